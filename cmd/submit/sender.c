#include "cmd/submit/sender.h"

#include <ctype.h>
#include <pwd.h>
#include <string.h>

#include "base/ids.h"
#include "cmd/submit/queue.h"
#include "mail/header.h"

const char *
add_domain(const struct settings *settings)
{
	return settings->delivery.qualify_domain != NULL ? settings->delivery.qualify_domain :
							   settings->delivery.hostname;
}

static int
parse(const struct settings *settings, const char *text, const char *setting,
    struct mail_address *ret_address, struct err *err)
{
	if (mail_address_parse(text, strlen(text), add_domain(settings), 0, ret_address, err) == 0)
		return 1;
	if (err != NULL)
		err->code = EX_CONFIG;
	return err_prefix(err, "%s", setting);
}

int
add_sender_check(const struct settings *settings, struct err *err)
{
	AUTO_ADDRESS struct mail_address common = MAIL_ADDRESS_INIT;

	if (settings->delivery.from != NULL &&
	    parse(settings, settings->delivery.from, "delivery.from", &common, err) < 0)
		return -1;
	for (size_t i = 0; i < settings_n_accounts(settings); i++) {
		const struct account *account = settings_account_at(settings, i);
		AUTO_ADDRESS struct mail_address own = MAIL_ADDRESS_INIT;

		if (account->from != NULL &&
		    parse(settings, account->from, "accounts: from", &own, err) < 0)
			return err_prefix(err, "%s", account->place);
	}
	return 0;
}

int
add_sender_configured(const struct settings *settings, const char *account,
    struct mail_address *ret_address, struct err *err)
{
	const struct account *a;

	if (add_account(settings, account, &a, err) < 0)
		return -1;
	if (a != NULL && a->from != NULL) {
		if (parse(settings, a->from, "accounts: from", ret_address, err) < 0)
			return -1;
		if (a->from_name != NULL) {
			free(ret_address->name);
			ret_address->name = xstrdup(a->from_name);
		}
		return 1;
	}
	if (settings->delivery.from != NULL)
		return parse(settings, settings->delivery.from, "delivery.from", ret_address, err);
	return 0;
}

/* The name in the system's list of users; in it "&" stands for the login name, capitalised. */
static char *
full_name(const struct passwd *user)
{
	AUTO_BUF struct buf name = BUF_INIT(200);
	size_t len = strcspn(user->pw_gecos, ",");

	for (size_t i = 0; i < len; i++) {
		size_t start = name.len;
		bool login = user->pw_gecos[i] == '&';

		if ((login ? buf_adds(&name, user->pw_name) : buf_addc(&name, user->pw_gecos[i])) <
		    0)
			return NULL;
		if (login)
			name.s[start] = (char)toupper((unsigned char)name.s[start]);
	}
	if (name.len == 0 || mail_text_check(name.s, name.len, NULL) < 0)
		return NULL;
	return xstrdup(name.s);
}

int
add_sender_default(const struct settings *settings, const char *account,
    struct mail_address *ret_address, struct err *err)
{
	int result = add_sender_configured(settings, account, ret_address, err);
	const struct passwd *user;
	AUTO_BUF struct buf address = BUF_INIT(MAIL_ADDRESS_MAX + 1);

	if (result != 0)
		return result;
	user = getpwuid(ids_caller());
	if ((user != NULL ? buf_adds(&address, user->pw_name) :
			    buf_addf(&address, "uid%u", (unsigned int)ids_caller())) < 0)
		return err_set(err, EX_CONFIG, "the user's name is too long for an address");
	if (mail_address_parse(address.s, address.len, add_domain(settings), 0, ret_address, err) <
	    0)
		return err_prefix(err, "the user's own address");
	if (user != NULL)
		ret_address->name = full_name(user);
	return 1;
}
