#include "cmd/view/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/journal/journal.h"

#define PUT_MAX 2000
#define LABEL_WIDTH 12
#define IDS_SHOWN 10 /* of a line that is about many */

char *
status_age(int64_t instant, char text[STATUS_TIME_SIZE])
{
	int64_t span = clock_now() - instant;
	char words[CLOCK_TEXT_SIZE];

	/* What was said to be in two hours is not in 1h 59m when it is shown. */
	if (span < -10 * USEC)
		span = (span - USEC / 2) / USEC * USEC;
	if (span > -USEC && span < USEC)
		snprintf(text, STATUS_TIME_SIZE, "now");
	else if (span > 0)
		snprintf(text, STATUS_TIME_SIZE, "%s ago", clock_span(span, words));
	else
		snprintf(text, STATUS_TIME_SIZE, "in %s", clock_span(-span, words));
	return text;
}

char *
status_time(int64_t instant, char text[STATUS_TIME_SIZE])
{
	time_t seconds = (time_t)(instant / USEC);
	char age[STATUS_TIME_SIZE], date[40] = "?";
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text, STATUS_TIME_SIZE, "%s (%.50s)", date, status_age(instant, age));
	return text;
}

void
status_put(const char *text)
{
	char safe[PUT_MAX];

	log_escape(safe, sizeof safe, text, strlen(text));
	fputs(safe, stdout);
}

void
status_field(const char *label, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	printf("  %-*s ", LABEL_WIDTH, label);
	status_put(text);
	putchar('\n');
}

void
status_json_instant(struct json_writer *w, const char *key, int64_t instant)
{
	char text[CLOCK_TEXT_SIZE];

	if (instant != 0)
		json_member_str(w, key, clock_iso_usec(instant, text));
}

void
status_json_suspension(struct json_writer *w, const struct suspension *one)
{
	static const char *const words[] = { [SUSPEND_ALL] = "all",
		[SUSPEND_ACCOUNT] = "account",
		[SUSPEND_BATCH] = "batch" };

	json_member_str(w, "what", words[one->kind]);
	if (one->kind != SUSPEND_ALL)
		json_member_str(w, words[one->kind], one->name);
	status_json_instant(w, "since", one->since);
	status_json_instant(w, "until", one->until);
	json_member_str(w, "by", one->by[0] != '\0' ? one->by : NULL);
	json_member_str(w, "reason", one->reason[0] != '\0' ? one->reason : NULL);
}

int
status_json_line(struct json_writer *w)
{
	struct buf *out = w->out;
	int result = json_finish(w);

	if (result == 0) {
		fwrite(out->s, 1, out->len, stdout);
		putchar('\n');
	}
	buf_clear(out);
	*w = (struct json_writer)JSON_WRITER(out);
	if (result < 0) {
		log_error("what is to be printed is over %zu bytes", out->max);
		return EX_SOFTWARE;
	}
	return EX_OK;
}

const char *
status_class(const char *word)
{
	static const char *const words[] = {
		[FAILURE_REFUSED] = "refused for good",
		[FAILURE_EXHAUSTED] = "attempts exhausted",
		[FAILURE_EXPIRED] = "expired",
		[FAILURE_LIMIT] = "beyond the limit",
		[FAILURE_ACCOUNT] = "no such account",
		[FAILURE_UNCERTAIN] = "perhaps delivered",
		[FAILURE_ATTACHMENT] = "attachment missing",
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(word, failure_text((enum failure)i)) == 0)
			return words[i];
	return word;
}

int64_t
status_instant(const struct json *value)
{
	const char *text = json_string(value);
	int64_t instant;

	if (text == NULL || clock_parse(text, 0, &instant) < 0)
		return 0;
	return instant;
}

/* "250 2.0.0 Ok: queued as 12345", as much of it as there is. */
static void
put_reply(const struct json *line)
{
	const char *enhanced = json_string(json_get(line, "enhanced"));
	const char *reply = json_string(json_get(line, "reply"));
	int64_t code;

	if (json_to_int(json_get(line, "code"), &code) == 0)
		printf(" %lld", (long long)code);
	if (enhanced != NULL &&
	    (reply == NULL || strncmp(reply, enhanced, strlen(enhanced)) != 0)) {
		putchar(' ');
		status_put(enhanced);
	}
	if (reply != NULL) {
		putchar(' ');
		status_put(reply);
	}
}

static void
put_member(const char *before, const struct json *line, const char *key)
{
	const char *text = json_string(json_get(line, key));

	if (text == NULL)
		return;
	fputs(before, stdout);
	status_put(text);
}

static void
put_recipients(const struct json *recipients)
{
	for (size_t i = 0; i < json_length(recipients); i++) {
		const struct json *one = json_at(recipients, i);
		const char *address = json_string(json_get(one, "address"));

		fputs("    ", stdout);
		status_put(address != NULL ? address : "?");
		put_member(": ", one, "outcome");
		put_reply(one);
		putchar('\n');
	}
}

/* Of a line that is about no message: "account main", "batch spring", "all delivery". */
static void
put_subject(const struct json *line)
{
	if (json_get(line, "account") != NULL)
		put_member(": account ", line, "account");
	else if (json_get(line, "batch") != NULL)
		put_member(": batch ", line, "batch");
	else
		fputs(": all delivery", stdout);
}

static void
put_instant(const char *before, const struct json *line, const char *key)
{
	int64_t instant = status_instant(json_get(line, key));
	char text[STATUS_TIME_SIZE];

	if (instant != 0)
		printf("%s%s", before, status_time(instant, text));
}

/* Of a line that is about many messages. */
static void
put_ids(const struct json *ids)
{
	size_t n = json_length(ids);

	for (size_t i = 0; i < n && i < IDS_SHOWN; i++) {
		const char *id = json_string(json_at(ids, i));

		fputs(i == 0 ? ": " : ", ", stdout);
		status_put(id != NULL ? id : "?");
	}
	if (n > IDS_SHOWN)
		printf(" and %zu more", n - IDS_SHOWN);
}

void
status_outcome(const struct json *line, bool with_recipients)
{
	const char *event = json_string(json_get(line, "event"));
	const char *class = json_string(json_get(line, "class"));
	enum event parsed = event != NULL ? event_parse(event) : EVENT_COUNT;
	int64_t attempt;

	status_put(event != NULL ? event : "?");
	/* Without an attempt nobody was asked: the account is told by the reason, where it matters. */
	if (json_to_int(json_get(line, "attempt"), &attempt) == 0) {
		put_member(" by account ", line, "account");
		put_member(" at ", line, "server");
		printf(", attempt %lld", (long long)attempt);
	} else if (parsed >= EVENT_PARKED && parsed <= EVENT_ACTIVATED) {
		put_subject(line);
	}
	put_member(" for ", line, "recipient");
	put_member(parsed == EVENT_REFUSED ? " from " : " by ", line, "reporter");
	if (!with_recipients)
		put_ids(json_get(line, "ids"));
	if (class != NULL) {
		fputs(": ", stdout);
		status_put(status_class(class));
	}
	if (json_get(line, "reason") != NULL) {
		put_member(": ", line, "reason");
	} else if (json_get(line, "code") != NULL || json_get(line, "reply") != NULL) {
		putchar(':');
		put_reply(line);
	}
	put_member("; then: ", line, "then");
	put_instant("; due ", line, "due");
	put_instant("; until ", line, "until");
	putchar('\n');
	if (with_recipients)
		put_recipients(json_get(line, "recipients"));
}

void
status_json_recipients(struct json_writer *w, const struct record *record)
{
	json_key(w, "recipients");
	json_begin_array(w);
	for (size_t i = 0; i < record->recipient_count; i++)
		json_put_str(w, record->recipients[i]);
	json_end_array(w);
}
