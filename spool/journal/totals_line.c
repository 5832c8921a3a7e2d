/* What a line of a journal adds to the totals. */
#include <string.h>

#include "base/clock.h"
#include "spool/journal/journal.h"
#include "spool/journal/totals_private.h"

/* Every line begins like this, so that most can be passed over unread. */
#define LINE_HEAD "{\"t\":\""
#define TIME_AT (sizeof(LINE_HEAD) - 1)
#define TIME_LEN ((size_t)27)
#define EVENT_HEAD "\",\"event\":\""
#define EVENT_AT (TIME_AT + TIME_LEN + sizeof(EVENT_HEAD) - 1)

const int64_t totals_bounds[TOTALS_BOUNDS] = { USEC / 10, USEC / 2, USEC, 2 * USEC, 5 * USEC,
	10 * USEC, 30 * USEC, 60 * USEC, 300 * USEC, 900 * USEC, 3600 * USEC, 4 * 3600 * USEC,
	24 * 3600 * USEC, 5 * 24 * 3600 * USEC };

/* What counts of a line. */
struct facts {
	enum event event;
	struct view account; /* encoded; lives in the line or in text */
	char text[LANE_PART_MAX + 1];
	bool limit; /* FAILED: for a limit */
	bool soft;  /* BOUNCED */
	size_t ids; /* REPORTED */
	bool has_recipients;
	int64_t latency; /* SENT; -1: not known */
	int64_t recovered[RECOVERED_COUNT];
};

/* ---- the form of a line ------------------------------------------------------------------ */

enum form { FORM_TORN, FORM_COMPACT, FORM_LOOSE };

/* The place of the quote that ends a string whose text begins at i; len where there is none.  Most of
 * a line is strings. */
static size_t
end_of_string(const char *line, size_t len, size_t i)
{
	for (;; i++) {
		const char *quote = i < len ? memchr(line + i, '"', len - i) : NULL;
		size_t end, backslashes = 0;

		if (quote == NULL)
			return len;
		end = (size_t)(quote - line);
		while (backslashes < end - i && line[end - 1 - backslashes] == '\\')
			backslashes++;
		if (backslashes % 2 == 0)
			return end;
		i = end;
	}
}

/*
 * A dead writer's last line may be cut off anywhere, and be ended by its recovery: no beginning of an
 * object closes all its brackets.  A compact one has no white space between its words, as we write
 * them, so that a key is found by its bytes: none of them can stand inside a string, where a quote
 * is escaped.
 */
static enum form
form_of(const char *line, size_t len)
{
	enum form form = FORM_COMPACT;
	unsigned int depth = 0;

	/* A block that a power cut has emptied. */
	if (memchr(line, '\0', len) != NULL)
		return FORM_TORN;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c == '"')
			i = end_of_string(line, len, i + 1);
		else if (c < 0x20)
			return FORM_TORN;
		else if (c == ' ')
			form = FORM_LOOSE;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return i == len - 1 ? form : FORM_TORN;
	}
	return FORM_TORN;
}

/* The event, where it is one that counts. */
static bool
counts(const char *line, size_t len, enum event *ret)
{
	static const enum event counted[] = { EVENT_SENT, EVENT_DEFERRED, EVENT_FAILED,
		EVENT_UNCERTAIN, EVENT_LIMITED, EVENT_CORRUPT, EVENT_RECOVERED, EVENT_REPORTED,
		EVENT_BOUNCED, EVENT_REFUSED };

	if (len <= EVENT_AT || memcmp(line, LINE_HEAD, TIME_AT) != 0 ||
	    memcmp(line + TIME_AT + TIME_LEN, EVENT_HEAD, sizeof(EVENT_HEAD) - 1) != 0)
		return false;
	for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
		const char *word = event_text(counted[i]);
		size_t n = strlen(word);

		if (len > EVENT_AT + n && memcmp(line + EVENT_AT, word, n) == 0 &&
		    line[EVENT_AT + n] == '"') {
			*ret = counted[i];
			return true;
		}
	}
	return false;
}

/* ---- instants ---------------------------------------------------------------------------- */

static bool
take_digits(const char *text, size_t n, int64_t *ret)
{
	int64_t value = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = 10 * value + (text[i] - '0');
	}
	*ret = value;
	return true;
}

/* "2026-11-21T07:38:00.123456Z", of which there are two in each line; any other form is slower.  The
 * days are reckoned in years that begin in March. */
static bool
take_instant(struct view text, int64_t *ret)
{
	int64_t year, month, day, hour, minute, second, micros, of_year, days;
	const char *s = text.s;
	char copy[CLOCK_TEXT_SIZE];

	if (text.len == TIME_LEN && take_digits(s, 4, &year) && take_digits(s + 5, 2, &month) &&
	    take_digits(s + 8, 2, &day) && take_digits(s + 11, 2, &hour) &&
	    take_digits(s + 14, 2, &minute) && take_digits(s + 17, 2, &second) &&
	    take_digits(s + 20, 6, &micros) && s[26] == 'Z' && month >= 1 && month <= 12) {
		year -= month <= 2;
		of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
		days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719468;
		*ret = (((days * 24 + hour) * 60 + minute) * 60 + second) * USEC + micros;
		return true;
	}
	if (text.len >= sizeof copy)
		return false;
	memcpy(copy, s, text.len);
	copy[text.len] = '\0';
	return clock_parse(copy, 0, ret) == 0;
}

static int64_t
latency_of(struct view t, struct view created)
{
	int64_t sent, accepted;

	if (created.s == NULL || !take_instant(t, &sent) || !take_instant(created, &accepted))
		return -1;
	return sent > accepted ? sent - accepted : 0; /* clocks are set back at times */
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The string behind key (",\"lane\":\""), up to its quote; {NULL, 0} where it is not there. */
static struct view
find(const char *line, size_t len, struct view key)
{
	const char *at = memmem(line, len, key.s, key.len);
	const char *end;

	if (at == NULL)
		return (struct view){ NULL, 0 };
	at += key.len;
	end = memchr(at, '"', (size_t)(line + len - at));
	return end == NULL ? (struct view){ NULL, 0 } : (struct view){ at, (size_t)(end - at) };
}

/* By the bytes of the line.  False where that is not enough. */
static bool
read_compact(const char *line, size_t len, struct facts *facts)
{
	const char *rest = line + EVENT_AT;
	size_t left = len - EVENT_AT;
	struct view lane = find(rest, left, VIEW(",\"lane\":\""));
	const char *comma;

	if (lane.s == NULL || facts->event == EVENT_LIMITED || facts->event == EVENT_RECOVERED ||
	    facts->event == EVENT_REPORTED || facts->event == EVENT_BOUNCED)
		return false;
	comma = memchr(lane.s, ',', lane.len);
	facts->account = (struct view){ lane.s, comma ? (size_t)(comma - lane.s) : lane.len };
	left -= (size_t)(lane.s - rest);
	rest = lane.s;
	if (facts->event == EVENT_SENT)
		facts->latency = latency_of((struct view){ line + TIME_AT, TIME_LEN },
		    find(rest, left, VIEW(",\"created\":\"")));
	if (facts->event == EVENT_FAILED)
		facts->limit =
		    view_is(find(rest, left, VIEW(",\"class\":\"")), failure_text(FAILURE_LIMIT));
	facts->has_recipients = memmem(rest, left, ",\"recipients\":[{", 16) != NULL &&
	    (!facts->limit || memmem(rest, left, ",\"attempt\":", 11) != NULL);
	return true;
}

/* Whom the message names; else the account that the line is about. */
static void
read_account(const struct json *value, struct facts *facts)
{
	const char *lane = json_string(json_get(value, "lane"));
	const char *account = json_string(json_get(value, "account"));
	struct lane parts;

	if (lane != NULL && lane_parse(lane, &parts) == 0)
		account = parts.account;
	facts->account = VIEW("default");
	if (account == NULL)
		return;
	facts->account = VIEW(TOTALS_OTHER);
	if (name_encode(account, LANE_PART_MAX, facts->text) == 0)
		facts->account = view_str(facts->text);
}

static bool
read_loose(const char *line, size_t len, struct facts *facts)
{
	static const char *const keys[] = { "completed", "put_back", "uncertain" };
	AUTO_JSON struct json *value = json_parse(line, len, 1, NULL);
	struct view created = json_string_view(json_get(value, "created"));
	const char *class = json_string(json_get(value, "class"));

	if (json_kind(value) != JSON_OBJECT)
		return false;
	read_account(value, facts);
	if (facts->event == EVENT_SENT)
		facts->latency = latency_of((struct view){ line + TIME_AT, TIME_LEN }, created);
	facts->limit = class != NULL && strcmp(class, failure_text(FAILURE_LIMIT)) == 0;
	facts->soft = class != NULL && strcmp(class, "soft") == 0;
	facts->ids = json_length(json_get(value, "ids"));
	facts->has_recipients = json_length(json_get(value, "recipients")) > 0 &&
	    (!facts->limit || json_get(value, "attempt") != NULL);
	for (size_t i = 0; i < RECOVERED_COUNT; i++)
		if (json_to_int(json_get(value, keys[i]), &facts->recovered[i]) < 0 ||
		    facts->recovered[i] < 0)
			facts->recovered[i] = 0;
	return true;
}

/* ---- adding ------------------------------------------------------------------------------ */

static void
add_latency(struct totals_account *account, int64_t latency)
{
	size_t i = 0;

	if (latency < 0)
		return;
	while (i < TOTALS_BOUNDS && latency > totals_bounds[i])
		i++;
	account->latency[i]++;
	account->latency_sum += (uint64_t)latency;
}

static void
add_outcome(struct totals_account *account, const struct facts *facts)
{
	static const enum total totals[EVENT_COUNT] = { [EVENT_SENT] = TOTAL_SENT,
		[EVENT_FAILED] = TOTAL_FAILED,
		[EVENT_DEFERRED] = TOTAL_DEFERRED,
		[EVENT_UNCERTAIN] = TOTAL_UNCERTAIN,
		[EVENT_LIMITED] = TOTAL_LIMITED };

	account->n[totals[facts->event]]++;
	if (facts->event == EVENT_FAILED && facts->limit)
		account->n[TOTAL_LIMITED]++;
	/* What follows from an uncertain attempt has a line of its own, without recipients; and so has
	 * a message that failed without an attempt; one beyond a limit may name its recipients then. */
	if (facts->event == EVENT_UNCERTAIN || facts->has_recipients)
		account->n[TOTAL_ATTEMPTS]++;
	if (facts->event == EVENT_SENT)
		add_latency(account, facts->latency);
}

void
totals_count_line(struct totals *totals, const char *line, size_t len)
{
	struct facts facts = { .latency = -1 };
	enum form form;

	if (!counts(line, len, &facts.event))
		return;
	form = form_of(line, len);
	if (form == FORM_TORN ||
	    !((form == FORM_COMPACT && read_compact(line, len, &facts)) ||
		read_loose(line, len, &facts)))
		return;
	if (facts.event == EVENT_CORRUPT) {
		totals->corrupt++;
	} else if (facts.event == EVENT_RECOVERED) {
		totals->recoveries++;
		for (size_t i = 0; i < RECOVERED_COUNT; i++)
			totals->recovered[i] += (uint64_t)facts.recovered[i];
	} else if (facts.event == EVENT_REPORTED) {
		totals->told += facts.ids;
	} else if (facts.event == EVENT_REFUSED) {
		totals->refused++;
	} else if (facts.event == EVENT_BOUNCED) {
		totals_account(totals, facts.account.s, facts.account.len)
		    ->n[facts.soft ? TOTAL_BOUNCED_SOFT : TOTAL_BOUNCED_HARD]++;
	} else {
		add_outcome(totals_account(totals, facts.account.s, facts.account.len), &facts);
	}
}
