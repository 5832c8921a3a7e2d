/* Faults of a message and how it is to be delivered: what message_json.c fills. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "mail/header.h"
#include "mail/message_json.h"

static const char *const priorities[] = { "immediate", "high", "medium", "low" };

int
mail_priority_parse(const char *text)
{
	for (int i = 0; i < 4; i++)
		if (strcasecmp(text, priorities[i]) == 0 || (text[0] == '0' + i && text[1] == '\0'))
			return i;
	return -1;
}

const char *
mail_priority_name(int priority)
{
	return priority >= 0 && priority < 4 ? priorities[priority] : "unknown";
}

int
mail_id_check(const char *text, size_t len, struct err *err)
{
	if (len == 0 || len > MAIL_ID_MAX)
		return err_set(err, EX_DATAERR, "expected 1 to %d bytes, found %zu", MAIL_ID_MAX,
		    len);
	return mail_text_check(text, len, err);
}

int
mail_delivery_check(const struct mail_delivery *delivery, int64_t now, struct err *err)
{
	char expires[CLOCK_TEXT_SIZE], deferred[CLOCK_TEXT_SIZE];

	if (delivery->expires_at == 0)
		return 0;
	clock_iso(delivery->expires_at, expires);
	if (delivery->expires_at <= now)
		return err_set(err, EX_DATAERR,
		    "expires_ts: expected a time in the future, found %s", expires);
	if (delivery->expires_at <= delivery->deferred_at)
		return err_set(err, EX_DATAERR,
		    "expires_ts: expected a time after %s, before which the message is not sent; "
		    "found %s",
		    clock_iso(delivery->deferred_at, deferred), expires);
	return 0;
}

void
mail_delivery_release(struct mail_delivery *delivery)
{
	free(delivery->id);
	free(delivery->account_id);
	free(delivery->batch_code);
	*delivery = (struct mail_delivery)MAIL_DELIVERY_INIT;
}

void
mail_faults_release(struct mail_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		for (size_t step = 0; step < faults->at[i].depth; step++)
			free(faults->at[i].loc[step].key);
		free(faults->at[i].msg);
	}
	free(faults->at);
	*faults = (struct mail_faults)MAIL_FAULTS_INIT;
}

int
mail_fault_text(struct buf *out, const struct mail_fault *fault, const char *prefix)
{
	bool any = prefix != NULL && *prefix != '\0';

	if (any && buf_adds(out, prefix) < 0)
		return -1;
	for (size_t i = 0; i < fault->depth; i++) {
		const struct mail_fault_step *step = &fault->loc[i];
		int rc;

		if (step->key != NULL)
			rc = buf_addf(out, "%s%s", any ? "." : "", step->key);
		else
			rc = buf_addf(out, "[%zu]", step->index);
		if (rc < 0)
			return -1;
		any = true;
	}
	return buf_addf(out, "%s%s", any ? ": " : "", fault->msg);
}

int
mail_faults_err(const struct mail_faults *faults, const char *prefix, struct err *err)
{
	struct buf text AUTO_BUF = BUF_INIT(sizeof err->msg);

	if (faults->count == 0)
		return err_set(err, EX_DATAERR, "no valid message");
	mail_fault_text(&text, &faults->at[0], prefix);
	if (faults->count == 1)
		return err_set(err, EX_DATAERR, "%s", text.s);
	return err_set(err, EX_DATAERR, "%.450s (and %zu more fault%s)", text.s, faults->count - 1,
	    faults->count > 2 ? "s" : "");
}

/* ---- fields ---------------------------------------------------------------------------------- */

void
mail_json_tell_unknown(const struct json *object, const struct mail_json_options *options)
{
	static const char *const known[] = { "id", "account_id", "from", "from_addr", "from_name",
		"to", "cc", "bcc", "reply_to", "return_path", "message_id", "subject", "body",
		"content_type", "html", "headers", "attachments", "priority", "deferred_ts",
		"expires_ts", "max_attempts", "batch_code" };
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *name;

	while (json_next(object, &it, &name, &value)) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(name, known[i]) != 0)
			i++;
		if (i == sizeof known / sizeof *known)
			options->unknown(options->arg, name);
	}
}
