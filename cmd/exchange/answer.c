/*
 * What the application answers to reports.  Published applications answer with nothing, with words, with counts and
 * with JSON that warnings stand before; so a 2xx acknowledges, and the body is searched for what it takes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/exchange/private.h"
#include "mail/header.h"

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- values, of whatever kind they come as ------------------------------------------------------ */

/* A number, also as a string. */
static int
number_of(const struct json *value, double *ret)
{
	const char *text = json_string(value);
	char *end;

	if (text == NULL)
		return json_to_double(value, ret);
	if (*text < '0' || *text > '9')
		return -1;
	*ret = strtod(text, &end);
	return *end == '\0' ? 0 : -1;
}

/* 1: it says yes, 0: it says no, -1: neither. */
static int
truth_of(const struct json *value)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	const char *text = json_string(value);
	double number;
	bool truth;

	if (json_to_bool(value, &truth) == 0)
		return truth;
	if (number_of(value, &number) == 0)
		return number != 0;
	for (int i = 0; text != NULL && i < (int)(sizeof words / sizeof *words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return i % 2;
	return -1;
}

/* ---- ids that it rejects ------------------------------------------------------------------------ */

static void
take_id(struct exchange_answer *answer, const char *id)
{
	answer->ids = xreallocarray(answer->ids, answer->n + 1, sizeof *answer->ids);
	answer->ids[answer->n++] = xstrdup(id);
}

/* The id that an element of a list is, or has. */
static void
take_element(struct exchange_answer *answer, const struct json *element)
{
	char text[24];
	double number;

	if (json_kind(element) == JSON_OBJECT)
		element = json_get(element, "id");
	if (json_string(element) != NULL) {
		take_id(answer, json_string(element));
	} else if (json_to_double(element, &number) == 0 && number >= -1e15 && number <= 1e15 &&
	    number == (double)(int64_t)number) {
		snprintf(text, sizeof text, "%lld", (long long)number);
		take_id(answer, text);
	} else {
		answer->strange++;
	}
}

/* An object has the ids as its keys, and the reasons behind them. */
static void
take_keys(struct exchange_answer *answer, const struct json *object)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;

	while (json_next(object, &it, &key, &value))
		if (json_kind(value) != JSON_NULL && truth_of(value) != 0)
			take_id(answer, key);
}

/* ---- members --------------------------------------------------------------------------------------- */

static bool
is_list(const char *key)
{
	return strcmp(key, "rejected") == 0 || strcmp(key, "error") == 0 ||
	    strcmp(key, "not_found") == 0;
}

static void
take_status(struct exchange_answer *answer, const char *status)
{
	static const char *const failures[] = { "error", "failed", "failure", "fail", "ko" };

	for (size_t i = 0; status != NULL && i < sizeof failures / sizeof *failures; i++)
		if (strcasecmp(status, failures[i]) == 0)
			snprintf(answer->refusal, sizeof answer->refusal, "status \"%s\"", status);
}

/* A time without a zone is in UTC, as those of the reports are. */
static double
instant_of(const struct json *value)
{
	const char *text = json_string(value);
	char utc[64];
	double number;
	int64_t instant;

	if (number_of(value, &number) == 0)
		return number;
	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	snprintf(utc, sizeof utc, "%sZ", text);
	if (clock_parse(utc, 0, &instant) < 0 && clock_parse(text, clock_now(), &instant) < 0)
		return 0;
	return (double)instant / (double)USEC;
}

static void
take_idle(struct exchange_answer *answer, double until)
{
	double most = (double)((clock_now() + EXCHANGE_IDLE_MAX) / USEC);

	if (!(until > 0))
		return;
	answer->idle_cut = until > most;
	answer->idle_until = (int64_t)((until < most ? until : most) * (double)USEC);
}

/* In its own words, for people. */
static void
take_words(struct exchange_answer *answer, const char *key, const char *words)
{
	static const char *const keys[] = { "error", "detail", "message", "reason" };

	for (size_t i = 0; words != NULL && *words != '\0' && i < sizeof keys / sizeof *keys; i++)
		if (strcmp(key, keys[i]) == 0 && answer->words[0] == '\0')
			log_escape(answer->words, sizeof answer->words, words, strlen(words));
}

static void
take_member(struct exchange_answer *answer, const char *key, const struct json *value)
{
	take_words(answer, key, json_string(value));
	answer->error |= strcmp(key, "error") == 0 && json_string(value) != NULL;
	if (is_list(key) && json_kind(value) == JSON_ARRAY) {
		for (size_t i = 0; i < json_length(value); i++)
			take_element(answer, json_at(value, i));
	} else if (is_list(key) && json_kind(value) == JSON_OBJECT) {
		take_keys(answer, value);
	} else if (strcmp(key, "ok") == 0) {
		answer->ok = truth_of(value) > 0;
		if (truth_of(value) == 0)
			snprintf(answer->refusal, sizeof answer->refusal, "that it is not ok");
	} else if (strcmp(key, "status") == 0) {
		take_status(answer, json_string(value));
	} else if (strcmp(key, "queued") == 0 || strcmp(key, "more_messages") == 0) {
		double number = 1;

		number_of(value, &number);
		answer->more |= truth_of(value) > 0 && number > 0;
	} else if (strcmp(key, "next_sync_after") == 0) {
		take_idle(answer, instant_of(value));
	}
}

/* ---- JSON that is not quite one --------------------------------------------------------------------- */

static size_t
skip(const char *s, size_t at, size_t len, const char *set)
{
	while (at < len && s[at] != '\0' && strchr(set, s[at]) != NULL)
		at++;
	return at;
}

#define SPACE " \t\r\n"
#define BROKEN SIZE_MAX
/* Braces that are looked at: each may cost the length of the text. */
#define TRIES 100

/* Behind the quote that ends a string; BROKEN where none does. */
static size_t
string_end(const char *s, size_t at, size_t len)
{
	for (at++; at < len && s[at] != '"'; at++)
		if (s[at] == '\\')
			at++;
	return at < len ? at + 1 : BROKEN;
}

/* Behind the value that begins there; BROKEN where it does not end. */
static size_t
value_end(const char *s, size_t at, size_t len)
{
	size_t depth = 0, begin = at;

	while (at < len) {
		if (s[at] == '"') {
			at = string_end(s, at, len);
			if (at == BROKEN || depth == 0)
				return at;
			continue;
		}
		depth += s[at] == '{' || s[at] == '[';
		if (depth == 0 && strchr(",]}" SPACE, s[at]) != NULL)
			return at > begin ? at : BROKEN;
		if ((s[at] == '}' || s[at] == ']') && --depth == 0)
			return at + 1;
		at++;
	}
	return BROKEN;
}

/* What of a list is whole. */
static void
take_loose_list(struct exchange_answer *answer, const char *s, size_t at, size_t len)
{
	for (;;) {
		AUTO_JSON struct json *element = NULL;
		size_t end;

		at = skip(s, at, len, SPACE ",");
		if (at >= len || s[at] == ']' || (end = value_end(s, at, len)) == BROKEN)
			return;
		element = json_parse(s + at, end - at, 1, NULL);
		take_element(answer, element);
		at = end;
	}
}

/*
 * Members of the object that begins there, one by one, each as far as it can be read: what is cut off, stands
 * there twice or is not UTF-8 spoils no other.  Returns the place behind it, len where it does not end, BROKEN
 * where it is none.  answer NULL: only looks.
 */
static size_t
read_loosely(struct exchange_answer *answer, const char *s, size_t at, size_t len)
{
	for (at++;;) {
		AUTO_JSON struct json *value = NULL;
		char key[32] = "";
		size_t begin, end;

		begin = skip(s, at, len, SPACE ",");
		if (begin >= len)
			return len;
		if (s[begin] == '}')
			return begin + 1;
		if (s[begin] != '"')
			return BROKEN;
		if ((end = string_end(s, begin, len)) == BROKEN)
			return len;
		if (end - begin - 2 < sizeof key)
			memcpy(key, s + begin + 1, end - begin - 2);
		begin = skip(s, end, len, SPACE);
		if (begin >= len)
			return len;
		if (s[begin] != ':')
			return BROKEN;
		begin = skip(s, begin + 1, len, SPACE);
		end = value_end(s, begin, len);
		if (answer != NULL && is_list(key) && begin < len && s[begin] == '[')
			take_loose_list(answer, s, begin + 1, len);
		else if (answer != NULL && end != BROKEN &&
		    (value = json_parse(s + begin, end - begin, 1, NULL)) != NULL)
			take_member(answer, key, value);
		if (end == BROKEN)
			return len;
		at = end;
	}
}

/* An object that the text begins with or ends with: warnings may stand before it, a time behind it.  In the midst of
 * a page it is something else. */
static void
search(struct exchange_answer *answer, const char *s, size_t len)
{
	size_t first = skip(s, 0, len, SPACE), tries = 0;

	for (size_t at = first; at < len && tries < TRIES; at++) {
		size_t next = skip(s, at + 1, len, SPACE), end;

		if (s[at] != '{' || next >= len || s[next] != '"')
			continue;
		tries++;
		end = read_loosely(NULL, s, at, len);
		if (end != BROKEN && (at == first || skip(s, end, len, SPACE) == len)) {
			read_loosely(answer, s, at, len);
			return;
		}
		if (end != BROKEN)
			at = end - 1;
	}
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

/* Without a byte order mark, and in UTF-8: UTF-16 is known by its mark, or by the zero beside the brace. */
static struct view
decode(const char *text, size_t len, struct buf *room)
{
	const unsigned char *u = (const unsigned char *)text;
	AUTO_FREE char *copy = NULL;
	const char *charset = NULL;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return (struct view){ text + 3, len - 3 };
	if (len >= 2 && u[0] == 0xff && u[1] == 0xfe)
		charset = "UTF-16LE";
	else if (len >= 2 && u[0] == 0xfe && u[1] == 0xff)
		charset = "UTF-16BE";
	if (charset != NULL) {
		text += 2;
		len -= 2;
	} else if (len >= 2 && u[0] == '{' && u[1] == 0) {
		charset = "UTF-16LE";
	} else if (len >= 2 && u[0] == 0 && u[1] == '{') {
		charset = "UTF-16BE";
	}
	if (charset == NULL || len == 0)
		return (struct view){ text, len };
	copy = xmalloc(len);
	memcpy(copy, text, len);
	if (mail_to_utf8(room, charset, copy, len) < 0)
		return (struct view){ text, len };
	return buf_view(room);
}

int
exchange_answer_read(const char *text, size_t len, struct exchange_answer *ret, struct err *err)
{
	AUTO_BUF struct buf room = BUF_INIT(4 * len + 16);
	struct exchange_answer answer = { 0 };
	struct view body = decode(text, len, &room);
	AUTO_JSON struct json *root = json_parse(body.s, body.len, 1, NULL);
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;

	while (json_kind(root) == JSON_OBJECT && json_next(root, &it, &key, &value))
		take_member(&answer, key, value);
	if (root == NULL)
		search(&answer, body.s, body.len);
	answer.plain = json_kind(root) != JSON_OBJECT;
	if (answer.n > 0)
		qsort(answer.ids, answer.n, sizeof *answer.ids, compare);
	if (answer.refusal[0] == '\0') {
		*ret = answer;
		return 0;
	}
	err_set(err, EX_PROTOCOL, "it answered %s%s%s", answer.refusal,
	    answer.words[0] != '\0' ? ": " : "", answer.words);
	exchange_answer_release(&answer);
	return -1;
}

bool
exchange_answer_rejects(const struct exchange_answer *answer, const char *id)
{
	return answer->n > 0 &&
	    bsearch(&id, answer->ids, answer->n, sizeof *answer->ids, compare) != NULL;
}

void
exchange_answer_release(struct exchange_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++)
		free(answer->ids[i]);
	free(answer->ids);
	*answer = (struct exchange_answer){ 0 };
}
