/* Configuration (base/conf.h) by the tables of mailq.conf and of an account. */
#include "fuzz.h"

#include "base/conf.h"
#include "policy/account.h"
#include "policy/settings.h"

/* libconfig (1.5) forgets a string that it has begun when the text behind it is not right. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = xcalloc(1, n + 1);
	struct settings settings = { 0 };
	struct account account = { 0 };
	const struct conf_target all = { settings_schema, &settings },
				 one = { account_schema, &account };
	struct err err = ERR_INIT;

	memcpy(copy, bytes, n);
	conf_defaults(settings_schema, &settings);
	conf_defaults(account_schema, &account);
	if (conf_parse(copy, n, "fuzz", &all, 1, &err) < 0)
		FUZZ_CHECK(err.code == EX_CONFIG);
	if (conf_parse(copy, n, "fuzz", &one, 1, &err) == 0)
		account_check(&account, "fuzz", &err);
	account_free(&account);
	conf_release(settings_schema, &settings);
}
