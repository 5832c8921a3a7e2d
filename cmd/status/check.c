/* The spool's own fsck. */
#include <stdio.h>
#include <string.h>

#include "cmd/policy/accounts.h"
#include "cmd/status/status.h"
#include "cmd/view/text.h"
#include "policy/rule.h"
#include "spool/check/check.h"
#include "spool/policy/accounts.h"
#include "spool/policy/schedule.h"

struct checking {
	bool json;
	struct json_writer w;
};

static void
print_fault(const char *path, const char *text, bool repaired, void *arg)
{
	struct checking *checking = arg;
	struct json_writer *w = &checking->w;

	if (checking->json) {
		json_begin_object(w);
		json_member_str(w, "path", path);
		json_member_str(w, "fault", text);
		json_member_bool(w, "repaired", repaired);
		json_end_object(w);
		status_json_line(w);
		return;
	}
	status_put(path);
	fputs(": ", stdout);
	status_put(text);
	puts(repaired ? " (repaired)" : "");
}

/* The spool knows where the rules stand, and not what they mean. */
static void
check_rules(const struct spool *spool, struct checking *checking, struct check_result *result)
{
	AUTO_BUF struct buf text = BUF_INIT(RULES_FILE_MAX);
	AUTO(rules_release) struct rules rules = { 0 };
	struct err err = ERR_INIT;

	if (rules_file_read(spool, &text, &err) == 0 &&
	    rules_parse(text.s, text.len, &rules, &err) == 0)
		return;
	if (err.code == EX_IOERR || err.code == EX_TEMPFAIL)
		result->unread++;
	else
		result->faults++;
	print_fault("rules", err.msg, false, checking);
}

/* The accounts of the spool, likewise. */
struct accounts_check {
	const struct settings *settings;
	struct checking *checking;
	struct check_result *result;
};

static void
tell_account(struct accounts_check *check, const char *path, const char *text)
{
	check->result->faults++;
	print_fault(path, text, false, check->checking);
}

/* "accounts/main:3: port: ..." is about line 3 of accounts/main. */
static void
tell_fault(struct accounts_check *check, const char *path, const char *message)
{
	const char *rest = message + strlen(path);
	size_t digits;
	char text[700];

	if (strncmp(message, path, strlen(path)) != 0 || *rest != ':') {
		tell_account(check, path, message);
		return;
	}
	digits = strspn(rest + 1, "0123456789");
	if (digits > 0)
		snprintf(text, sizeof text, "line %.*s%s", (int)digits, rest + 1,
		    rest + 1 + digits);
	else
		snprintf(text, sizeof text, "%s", rest + 1 + strspn(rest + 1, " "));
	tell_account(check, path, text);
}

static int
check_account(const char *id, const char *file, void *arg)
{
	struct accounts_check *check = arg;
	const struct account *configured = accounts_configured(check->settings, id);
	struct account account = { 0 };
	struct err err = ERR_INIT;
	char path[NAME_SIZE], text[700];

	snprintf(path, sizeof path, "accounts/%.200s", id);
	if (configured != NULL) {
		snprintf(text, sizeof text, "ignored: an account of this id is at %s",
		    configured->place);
		tell_account(check, path, text);
	}
	if (!account_id_valid(id))
		tell_account(check, path, "its name is not the id of an account");
	else if (file != NULL && account_parse(id, file, path, &account, &err) < 0)
		tell_fault(check, path, err.msg);
	if (account.fallback != NULL &&
	    settings_account(check->settings, account.fallback) == NULL &&
	    !settings_broken(check->settings, account.fallback)) {
		snprintf(text, sizeof text, "fallback: there is no account \"%s\"",
		    account.fallback);
		tell_account(check, path, text);
	}
	account_free(&account);
	return 0;
}

int
status_check(struct spool *spool, const struct status_options *options,
    const struct settings *settings)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 * 1024);
	struct checking checking = { .json = options->json, .w = JSON_WRITER(&out) };
	struct check_result result;
	struct err err = ERR_INIT;

	if (check_spool(spool, options->repair, print_fault, &checking, &result, &err) < 0)
		return err_print(&err);
	check_rules(spool, &checking, &result);
	if (accounts_each(spool, check_account,
		&(struct accounts_check){ settings, &checking, &result }, &err) < 0)
		return err_print(&err);
	if (options->json) {
		json_begin_object(&checking.w);
		json_member_int(&checking.w, "messages", (int64_t)result.messages);
		json_member_int(&checking.w, "faults", (int64_t)result.faults);
		json_member_int(&checking.w, "repaired", (int64_t)result.repaired);
		json_member_int(&checking.w, "unread", (int64_t)result.unread);
		json_end_object(&checking.w);
		status_json_line(&checking.w);
	} else {
		printf("%llu message%s read, %llu fault%s, %llu repaired",
		    (unsigned long long)result.messages, result.messages == 1 ? "" : "s",
		    (unsigned long long)result.faults, result.faults == 1 ? "" : "s",
		    (unsigned long long)result.repaired);
		if (result.unread > 0)
			printf("; %llu could not be read", (unsigned long long)result.unread);
		putchar('\n');
	}
	if (result.faults > result.repaired)
		return EX_DATAERR;
	return result.unread > 0 ? EX_IOERR : EX_OK;
}
