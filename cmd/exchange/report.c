#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/exchange/private.h"

/* So many recipients of a message are told of one by one. */
#define RECIPIENTS_MAX 100

static const char *
text_of(const struct report *report, const char *key)
{
	const char *text = json_string(json_get(report->value, key));

	return text != NULL && *text != '\0' ? text : NULL;
}

/* An instant of the line; 0 where it has none. */
static int64_t
instant_of(const struct report *report, const char *key)
{
	const char *text = text_of(report, key);
	int64_t instant;

	return text != NULL && clock_parse(text, 0, &instant) == 0 ? instant : 0;
}

/* What the line comes to for the application. */
enum told { TOLD_SENT, TOLD_ERROR, TOLD_DEFERRED, TOLD_BOUNCED };

static const struct {
	const char *status, *iso, *unix_time;
} words[] = {
	[TOLD_SENT] = { "sent", "ts_send", "sent_ts" },
	[TOLD_ERROR] = { "error", "ts_error", "error_ts" },
	[TOLD_DEFERRED] = { "deferred", "ts_deferred", "deferred_ts" },
	[TOLD_BOUNCED] = { "bounced", "ts_bounce", "bounce_ts" },
};

static enum told
told_as(const struct report *report)
{
	const char *then = text_of(report, "then");

	switch (report->event) {
	case EVENT_SENT:
		return TOLD_SENT;
	case EVENT_DEFERRED:
		return TOLD_DEFERRED;
	case EVENT_BOUNCED:
		return TOLD_BOUNCED;
	case EVENT_UNCERTAIN:
		return then != NULL && strcmp(then, "fail") == 0 ? TOLD_ERROR : TOLD_DEFERRED;
	default:
		return TOLD_ERROR;
	}
}

#define REASON_MAX 4096

/* Why, as one line, in ret. */
static const char *
reason_of(const struct report *report, char ret[REASON_MAX])
{
	const char *reason = text_of(report, "reason");

	if (reason == NULL)
		reason = text_of(report, "reply");
	if (report->event == EVENT_UNCERTAIN)
		snprintf(ret, REASON_MAX, "it may have been delivered: %s",
		    reason != NULL ? reason : "the server's answer was never seen");
	else if (reason == NULL)
		snprintf(ret, REASON_MAX, "%s",
		    report->event == EVENT_CORRUPT ? "the message was damaged in the queue" :
						     "no reason is on record");
	else
		return reason;
	return ret;
}

static void
put_reply(struct json_writer *w, const struct json *value)
{
	const char *enhanced = json_string(json_get(value, "enhanced"));
	const char *reply = json_string(json_get(value, "reply"));
	int64_t code;

	if (json_to_int(json_get(value, "code"), &code) == 0 && code > 0)
		json_member_int(w, "smtp_code", code);
	if (reply == NULL || *reply == '\0')
		return;
	json_key(w, "smtp_reply");
	if (enhanced != NULL && *enhanced != '\0' &&
	    strncmp(reply, enhanced, strlen(enhanced)) != 0) {
		AUTO_BUF struct buf line = BUF_INIT(SIZE_MAX);

		buf_addf(&line, "%s %s", enhanced, reply);
		json_put_str(w, line.s);
	} else {
		json_put_str(w, reply);
	}
}

/* Where they did not all fare alike, each of the recipients. */
static void
put_recipients(struct json_writer *w, const struct json *list)
{
	size_t n = json_length(list);
	bool alike = true;

	for (size_t i = 1; i < n && alike; i++) {
		const char *first = json_string(json_get(json_at(list, 0), "outcome"));
		const char *one = json_string(json_get(json_at(list, i), "outcome"));

		alike = first == NULL || one == NULL || strcmp(first, one) == 0;
	}
	if (alike)
		return;
	json_key(w, "recipients");
	json_begin_array(w);
	for (size_t i = 0; i < n && i < RECIPIENTS_MAX; i++) {
		const struct json *one = json_at(list, i);
		const char *outcome = json_string(json_get(one, "outcome"));

		json_begin_object(w);
		json_member_str(w, "address", json_string(json_get(one, "address")));
		if (outcome != NULL && strcmp(outcome, "failed") == 0)
			outcome = "error";
		json_member_str(w, "status", outcome);
		put_reply(w, one);
		json_end_object(w);
	}
	json_end_array(w);
}

static void
put_deferred(struct json_writer *w, const struct report *report, const char *reason, int64_t at)
{
	const char *then = text_of(report, "then");
	int64_t due = instant_of(report, "due");

	/* One that is tried again without a pause is due since it was recorded. */
	if (due == 0 && then != NULL && strcmp(then, "retry") == 0)
		due = at;
	if (due > 0)
		json_member_int(w, "deferred_until", due / USEC);
	json_member_str(w, "deferred_reason", reason);
}

static void
put_bounce(struct json_writer *w, const struct report *report, const char *reason)
{
	const char *enhanced = text_of(report, "enhanced");
	char text[24];
	int64_t code;

	json_member_str(w, "bounce_type", text_of(report, "class"));
	if (enhanced == NULL && json_to_int(json_get(report->value, "code"), &code) == 0) {
		snprintf(text, sizeof text, "%lld", (long long)code);
		enhanced = text;
	}
	json_member_str(w, "bounce_code", enhanced);
	json_member_str(w, "bounce_reason", reason);
	json_member_str(w, "recipient", text_of(report, "recipient"));
}

void
exchange_put_report(struct json_writer *w, const struct report *report)
{
	enum told told = told_as(report);
	int64_t at = instant_of(report, "t"), attempt;
	char iso[CLOCK_TEXT_SIZE], text[REASON_MAX];
	const char *reason = reason_of(report, text);

	json_begin_object(w);
	json_member_str(w, "id", report->id);
	json_member_str(w, "status", words[told].status);
	json_member_str(w, words[told].iso, clock_iso(at, iso));
	json_member_int(w, words[told].unix_time, at / USEC);
	if (told == TOLD_DEFERRED)
		put_deferred(w, report, reason, at);
	if (told == TOLD_BOUNCED)
		put_bounce(w, report, reason);
	if (told != TOLD_SENT)
		json_member_str(w, "error", reason);
	if (report->event == EVENT_UNCERTAIN)
		json_member_bool(w, "uncertain", true);
	json_member_str(w, "account_id", text_of(report, "account"));
	if (json_to_int(json_get(report->value, "attempt"), &attempt) == 0)
		json_member_int(w, "attempts", attempt);
	put_reply(w, report->value);
	put_recipients(w, json_get(report->value, "recipients"));
	json_end_object(w);
}
