/* mailq-rules accounts test: does it work?  Sends nothing. */
#include <stdio.h>
#include <string.h>

#include "capture/maildir.h"
#include "cmd/policy/account_params.h"
#include "cmd/rules/accounts.h"
#include "smtp/probe.h"

/* What came of one. */
struct finding {
	const struct account *account; /* NULL: there is none that could be tried */
	const char *id;
	char server[300];
	struct smtp_probe probe; /* smtp */
	struct err err;		 /* code 0: it works */
};

static void
print_text(const struct finding *f)
{
	const struct account *a = f->account;
	const char *line = f->probe.capabilities.s;

	accounts_print(f->id);
	fputs(": ", stdout);
	accounts_print(f->server);
	if (a->transport == ACCOUNT_CAPTURE) {
		puts(": can be written");
		return;
	}
	printf(" (%s), %s, ", f->probe.peer, f->probe.tls ? "TLS" : "no TLS");
	if (f->probe.authenticated) {
		fputs("logged in as ", stdout);
		accounts_print(a->user);
		putchar('\n');
	} else {
		puts("no login");
	}
	while (line != NULL && *line != '\0') {
		size_t n = strcspn(line, "\n");

		if (n > 0) /* some servers end their list with an empty line */
			printf("    %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

static void
put_capabilities(struct json_writer *w, const char *line)
{
	json_key(w, "capabilities");
	json_begin_array(w);
	while (line != NULL && *line != '\0') {
		size_t n = strcspn(line, "\n");

		if (n > 0)
			json_put_string(w, line, n);
		line += n + (line[n] == '\n');
	}
	json_end_array(w);
}

static void
print_json(const struct finding *f)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)256 * 1024);
	struct json_writer w = JSON_WRITER(&out);
	bool works = f->err.code == 0;

	json_begin_object(&w);
	json_member_str(&w, "id", f->id);
	json_member_bool(&w, "ok", works);
	if (f->account != NULL)
		json_member_str(&w, "server", f->server);
	if (!works) {
		json_member_int(&w, "code", f->err.code);
		json_member_str(&w, "error", f->err.msg);
	} else if (f->account->transport == ACCOUNT_SMTP) {
		json_member_str(&w, "peer", f->probe.peer);
		json_member_bool(&w, "tls", f->probe.tls);
		json_member_bool(&w, "authenticated", f->probe.authenticated);
		if (f->probe.authenticated)
			json_member_str(&w, "user", f->account->user);
		put_capabilities(&w, f->probe.capabilities.s);
	}
	json_end_object(&w);
	accounts_print_json(&w);
}

static int
try_maildir(const struct accounts_command *c, struct finding *f)
{
	struct maildir *maildir = NULL;
	int result;

	if (f->account->maildir != NULL)
		snprintf(f->server, sizeof f->server, "%s", f->account->maildir);
	else
		snprintf(f->server, sizeof f->server, "%s/captured", c->spool->path);
	result = maildir_open(&maildir, f->server, &f->err);
	maildir_free(maildir);
	return result;
}

static int
try_server(const struct accounts_command *c, struct finding *f)
{
	AUTO(account_secret_wipe) struct buf secret = BUF_INIT(ACCOUNT_SECRET_MAX);
	const struct account *a = f->account;
	struct smtp_params params;

	snprintf(f->server, sizeof f->server, strchr(a->host, ':') != NULL ? "[%s]:%d" : "%s:%d",
	    a->host, (int)a->port);
	if (a->user != NULL && account_secret(a, &secret, &f->err) < 0)
		return -1;
	account_params(a, c->settings, a->user != NULL ? secret.s : NULL, &params);
	if (smtp_probe(&params, &f->probe, &f->err) == 0)
		return 0;
	return err_prefix(&f->err, "account %s", a->id);
}

static void
find(const struct accounts_command *c, struct finding *f)
{
	f->account = settings_account(c->settings, f->id);
	if (f->account != NULL)
		return;
	if (settings_broken(c->settings, f->id))
		err_set(&f->err, EX_CONFIG,
		    "account %s: its file cannot be used: \"mailq-status check\" says why", f->id);
	else
		err_set(&f->err, EX_NOINPUT, "there is no account %s", f->id);
}

/* 0, or the exit status that its failure asks for. */
static int
test_one(const struct accounts_command *c, const char *id)
{
	struct finding f = { .id = id, .err = ERR_INIT };
	int result = -1;

	find(c, &f);
	if (f.account != NULL)
		result = f.account->transport == ACCOUNT_CAPTURE ? try_maildir(c, &f) :
								   try_server(c, &f);
	if (c->options->json)
		print_json(&f);
	else if (result == 0)
		print_text(&f);
	fflush(stdout);
	if (result < 0 && !c->options->json)
		err_print(&f.err);
	smtp_probe_release(&f.probe);
	return result < 0 ? f.err.code : 0;
}

int
accounts_test(const struct accounts_command *c)
{
	int code = EX_OK, result;

	for (int i = 0; i < c->n; i++) {
		result = test_one(c, c->words[i]);
		code = code == EX_OK ? result : code;
	}
	/* Without a word about which ones: all. */
	for (size_t i = 0; c->n == 0 && i < settings_n_accounts(c->settings); i++) {
		result = test_one(c, settings_account_at(c->settings, i)->id);
		code = code == EX_OK ? result : code;
	}
	return code;
}
