/* What history says of a message. */
#include <stdio.h>
#include <string.h>

#include "cmd/view/text.h"
#include "cmd/view/why_private.h"
#include "spool/journal/history.h"

/* The last line of an event. */
struct last {
	enum event event;
	bool found;
	int64_t t, attempt;
	char account[LANE_PART_MAX + 1], server[200], class[24];
	char reason[400];
};

static void
copy(char *ret, size_t size, const struct json *line, const char *key)
{
	const char *text = json_string(json_get(line, key));

	snprintf(ret, size, "%s", text != NULL ? text : "");
}

/* The reason, else the reply as a server gave it. */
static void
copy_reason(struct last *last, const struct json *line)
{
	const char *reply = json_string(json_get(line, "reply"));
	int64_t code;

	copy(last->reason, sizeof last->reason, line, "reason");
	if (last->reason[0] != '\0' || reply == NULL)
		return;
	if (json_to_int(json_get(line, "code"), &code) == 0)
		snprintf(last->reason, sizeof last->reason, "%lld %s", (long long)code, reply);
	else
		snprintf(last->reason, sizeof last->reason, "%s", reply);
}

static int
take_line(const char *text, size_t len, const struct json *line, void *arg)
{
	struct last *last = arg;
	const char *event = json_string(json_get(line, "event"));

	(void)text;
	(void)len;
	if (event == NULL || event_parse(event) != last->event)
		return 0;
	last->found = true;
	last->t = status_instant(json_get(line, "t"));
	if (json_to_int(json_get(line, "attempt"), &last->attempt) < 0)
		last->attempt = 0;
	copy(last->account, sizeof last->account, line, "account");
	copy(last->server, sizeof last->server, line, "server");
	copy(last->class, sizeof last->class, line, "class");
	copy_reason(last, line);
	return 0;
}

static int
read_last(const struct asking *asking, enum event event, struct last *ret, struct err *err)
{
	char id[ID_TEXT_MAX + 1];
	struct history_filter filter = { .id = id };

	*ret = (struct last){ .event = event };
	if (name_decode(asking->message->name.id, id) < 0)
		return 0;
	return history_read(asking->spool, &filter, take_line, ret, err) < 0 ? -1 : 0;
}

/* " at 2026-11-21 08:03:00 (3m ago)", "" where it is not known. */
static char *
when(const struct last *last, char text[STATUS_TIME_SIZE + 8])
{
	char instant[STATUS_TIME_SIZE];

	text[0] = '\0';
	if (last->found && last->t != 0)
		snprintf(text, STATUS_TIME_SIZE + 8, " at %s", status_time(last->t, instant));
	return text;
}

int
why_held(const struct asking *asking, struct why *ret, struct err *err)
{
	char at[STATUS_TIME_SIZE + 8];
	struct last last;

	if (read_last(asking, EVENT_HELD, &last, err) < 0)
		return -1;
	why_set(ret, WHY_HELD, 0, "it was held%s%s%s; \"mailq-status release\" releases it",
	    when(&last, at), last.reason[0] != '\0' ? " " : "", last.reason);
	return 0;
}

int
why_uncertain(const struct asking *asking, struct why *ret, struct err *err)
{
	char at[STATUS_TIME_SIZE + 8];
	struct last last;

	if (read_last(asking, EVENT_UNCERTAIN, &last, err) < 0)
		return -1;
	why_set(ret, WHY_UNCERTAIN, 0,
	    "%s%s may have taken it%s, but its answer was never seen%s%s%s; \"mailq-status "
	    "release\" "
	    "sends it (again), \"delete\" does not",
	    last.account[0] != '\0' ? "the server of account " : "a server", last.account,
	    when(&last, at), last.reason[0] != '\0' ? " (" : "", last.reason,
	    last.reason[0] != '\0' ? ")" : "");
	return 0;
}

int
why_failed(const struct asking *asking, struct why *ret, struct err *err)
{
	char at[STATUS_TIME_SIZE + 8];
	struct last last;

	if (read_last(asking, EVENT_FAILED, &last, err) < 0)
		return -1;
	why_set(ret, WHY_FAILED, 0, "%s%s%s%s; \"mailq-status retry\" tries again",
	    last.class[0] != '\0' ? status_class(last.class) : "it failed", when(&last, at),
	    last.reason[0] != '\0' ? ": " : "", last.reason);
	return 0;
}

int
why_backoff(const struct asking *asking, struct why *ret, struct err *err)
{
	int64_t due = asking->message->name.due;
	char at[STATUS_TIME_SIZE + 8], next[STATUS_TIME_SIZE];
	struct last last;

	if (read_last(asking, EVENT_DEFERRED, &last, err) < 0)
		return -1;
	status_time(due, next);
	if (!last.found)
		why_set(ret, WHY_BACKOFF, due, "its next attempt at %s", next);
	else
		why_set(ret, WHY_BACKOFF, due,
		    "its next attempt at %s; attempt %lld by account %s%s%s ended%s: %s", next,
		    (long long)last.attempt, last.account, last.server[0] != '\0' ? " at " : "",
		    last.server, when(&last, at),
		    last.reason[0] != '\0' ? last.reason : "no reason is on record");
	return 0;
}
