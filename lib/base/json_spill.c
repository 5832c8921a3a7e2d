#include "base/json_spill.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"

#define KEY_MAX 32   /* bytes of the longest key that can be looked for */
#define NO_MARK "\2" /* what a byte that begins marks becomes where it comes in */
#define NOT_ASCII 0xff

enum state {
	OUTSIDE, /* of strings */
	STRING,	 /* in one that goes on as it is */
	HELD,	 /* in one that is looked at, as long as it is short */
	LONG,	 /* in one that was long */
};

/* Where an escape stands. */
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_HEX };

struct json_spill {
	struct json_spill_calls calls;
	void *arg;
	enum state state;
	/* The brackets that are open, the innermost in the lowest bit: 1 an array, 0 an object.  Only the
	 * last two matter, so that more than fit may be open. */
	uint64_t brackets;
	char key[KEY_MAX]; /* the last string's first bytes */
	size_t key_len;	   /* KEY_MAX: longer */
	bool key_whole;	   /* behind such a string */
	size_t wanted;	   /* the key whose value is next, */
	bool is_wanted;	   /* where there is one */

	enum escape escape;
	int digits; /* of "\u" so far, */
	unsigned int code;
	uint64_t length; /* of the string so far, with its quotes */
	unsigned long number;
	struct buf held;
};

struct json_spill *
json_spill_new(const struct json_spill_calls *calls, void *arg)
{
	struct json_spill *s = xcalloc(1, sizeof *s);

	s->calls = *calls;
	s->arg = arg;
	buf_init(&s->held, calls->min);
	return s;
}

void
json_spill_free(struct json_spill *s)
{
	if (s == NULL)
		return;
	buf_release(&s->held);
	free(s);
}

static int
out(const struct json_spill *s, const char *bytes, size_t n)
{
	return n > 0 ? s->calls.out(s->arg, bytes, n) : 0;
}

static int
data(const struct json_spill *s, const char *bytes, size_t n)
{
	return n > 0 ? s->calls.data(s->arg, bytes, n) : 0;
}

/* Bytes that stand for themselves inside of a string, and what ends a run of them. */
static bool
is_plain(char c)
{
	return c != '"' && c != '\\' && c != '\n' && c != JSON_SPILL_MARK;
}

/* Non-zero where one of eight bytes is c. */
static uint64_t
any_is(uint64_t eight, char c)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t zeros = eight ^ (ones * (unsigned char)c);

	return (zeros - ones) & ~zeros & (ones << 7);
}

static size_t
plain(const char *p, size_t n)
{
	uint64_t eight;
	size_t i = 0;

	for (; n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, p + i, sizeof eight);
		if ((any_is(eight, '"') | any_is(eight, '\\') | any_is(eight, '\n') |
			any_is(eight, JSON_SPILL_MARK)) != 0)
			break;
	}
	while (i < n && is_plain(p[i]))
		i++;
	return i;
}

/* ---- outside of strings ------------------------------------------------------------------------ */

/* Behind a key: whether its value is one to look at. */
static void
match_key(struct json_spill *s)
{
	bool in_element = (s->brackets & 3) == 2;

	s->is_wanted = false;
	if (!s->key_whole || !in_element)
		return;
	for (size_t i = 0; s->calls.keys[i] != NULL && !s->is_wanted; i++) {
		s->is_wanted = strlen(s->calls.keys[i]) == s->key_len &&
		    memcmp(s->calls.keys[i], s->key, s->key_len) == 0;
		s->wanted = i;
	}
}

/* A byte that goes on as it is; where it opens a string that is looked at, the state becomes HELD and
 * it does not. */
static void
outside_byte(struct json_spill *s, char c)
{
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return;
	case '"':
		s->state = s->is_wanted ? HELD : STRING;
		s->key_len = 0;
		s->length = 0;
		break;
	case ':':
		match_key(s);
		s->key_whole = false;
		return;
	case '{':
	case '[':
		s->brackets = s->brackets << 1 | (c == '[');
		break;
	case '}':
	case ']':
		s->brackets >>= 1;
		break;
	default:
		break;
	}
	s->is_wanted = s->key_whole = false;
}

/* How many bytes from p on go on as they are. */
static size_t
outside(struct json_spill *s, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != JSON_SPILL_MARK && s->state == OUTSIDE) {
		outside_byte(s, p[i]);
		i += s->state != HELD;
	}
	return i;
}

/* ---- in a string that goes on as it is --------------------------------------------------------- */

static void
keep_key(struct json_spill *s, const char *bytes, size_t n)
{
	if (s->key_len == KEY_MAX)
		return;
	if (n >= KEY_MAX - s->key_len) {
		s->key_len = KEY_MAX;
		return;
	}
	memcpy(s->key + s->key_len, bytes, n);
	s->key_len += n;
}

static size_t
string(struct json_spill *s, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && s->state == STRING) {
		size_t run = s->escape == ESCAPE_NONE ? plain(p + i, n - i) : 0;

		keep_key(s, p + i, run);
		i += run;
		if (i == n || p[i] == JSON_SPILL_MARK)
			break;
		if (p[i] == '\n' || (p[i] == '"' && s->escape == ESCAPE_NONE)) {
			/* A string holds no line break: the quote that is missing was meant before. */
			s->key_whole = p[i] == '"' && s->key_len < KEY_MAX;
			s->escape = ESCAPE_NONE;
			s->state = OUTSIDE;
		} else if (s->escape == ESCAPE_BEGUN) {
			s->escape = ESCAPE_NONE;
		} else {
			s->escape = ESCAPE_BEGUN;
			s->key_len = KEY_MAX; /* no key that is looked for */
		}
		i++;
	}
	return i;
}

/* ---- in a string that is looked at ------------------------------------------------------------- */

/* It is over, and was short; or what cannot stand in it comes. */
static int
let_go(struct json_spill *s, enum state next)
{
	int result = out(s, s->held.s, s->held.len);

	buf_clear(&s->held);
	s->escape = ESCAPE_NONE;
	s->state = next;
	s->key_len = KEY_MAX;
	return result;
}

/* It is over, and was long. */
static int
put_mark(struct json_spill *s)
{
	char mark[64];
	int n = snprintf(mark, sizeof mark, "%c%lu %llu%c", JSON_SPILL_MARK, s->number,
	    (unsigned long long)s->length, JSON_SPILL_MARK);
	int result = s->calls.end(s->arg);

	s->state = OUTSIDE;
	return result != 0 ? result : out(s, mark, (size_t)n);
}

/* What cannot stand in a string is in this one: what is passed on in its place cannot either. */
static int
break_off(struct json_spill *s, const char *bytes, size_t n, enum state next)
{
	int result = s->calls.end(s->arg);

	if (result == 0)
		result = out(s, "\"", 1);
	if (result == 0)
		result = out(s, bytes, n);
	s->escape = ESCAPE_NONE;
	s->state = next;
	s->key_len = KEY_MAX;
	return result;
}

/* The next byte of an escape in a long string. */
static int
escaped_byte(struct json_spill *s, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char bad[] = { '\\', s->escape == ESCAPE_HEX ? 'u' : c, c };
	const char *found;
	int digit;
	char byte;

	if (s->escape == ESCAPE_HEX) {
		digit = num_hex(c);
		if (digit < 0)
			return break_off(s, bad, 3, c == '"' || c == '\n' ? OUTSIDE : STRING);
		s->code = s->code << 4 | (unsigned int)digit;
		if (++s->digits < 4)
			return 0;
		byte = s->code > 0 && s->code < 0x80 ? (char)s->code : (char)NOT_ASCII;
		s->escape = ESCAPE_NONE;
		return data(s, &byte, 1);
	}
	if (c == 'u') {
		s->escape = ESCAPE_HEX;
		s->digits = 0;
		s->code = 0;
		return 0;
	}
	found = c != '\0' ? strchr(from, c) : NULL;
	if (found == NULL)
		return break_off(s, bad, 2, c == '\n' ? OUTSIDE : STRING);
	s->escape = ESCAPE_NONE;
	return data(s, &to[found - from], 1);
}

/* Takes bytes of a long string; how many in *ret_n. */
static int
long_bytes(struct json_spill *s, const char *p, size_t n, size_t *ret_n)
{
	size_t i = 0;
	int result = 0;

	while (i < n && s->state == LONG && result == 0) {
		size_t run = s->escape == ESCAPE_NONE ? plain(p + i, n - i) : 0;

		result = data(s, p + i, run);
		i += run;
		s->length += run;
		if (i == n || result != 0)
			break;
		s->length++;
		if (s->escape != ESCAPE_NONE)
			result = escaped_byte(s, p[i]);
		else if (p[i] == '"')
			result = put_mark(s);
		else if (p[i] == '\\')
			s->escape = ESCAPE_BEGUN;
		else
			result = break_off(s, p[i] == JSON_SPILL_MARK ? NO_MARK : "\n", 1,
			    p[i] == '\n' ? OUTSIDE : STRING);
		i++;
	}
	*ret_n = i;
	return result;
}

/* The string has become too long to hold: what is held of it goes the other way. */
static int
become_long(struct json_spill *s)
{
	AUTO_BUF struct buf first = s->held;
	size_t taken;
	int result = s->calls.begin(s->arg, s->wanted, &s->number);

	buf_init(&s->held, first.max);
	if (result != 0)
		return result;
	s->state = LONG;
	s->escape = ESCAPE_NONE;
	s->length = 1;
	result = long_bytes(s, first.s + 1, first.len - 1, &taken);
	/* Where it was broken off, the rest goes on as it is. */
	if (result == 0 && taken < first.len - 1)
		result = json_spill_feed(s, first.s + 1 + taken, first.len - 1 - taken);
	return result;
}

/* Holds bytes of a string that is short so far, with what ends it. */
static int
held_bytes(struct json_spill *s, const char *p, size_t n, size_t *ret_n)
{
	size_t room = s->calls.min - s->held.len, end = n < room ? n : room, i = 0;
	enum state next = HELD;

	while (i < end && next == HELD) {
		i += s->escape == ESCAPE_NONE ? plain(p + i, end - i) : 0;
		if (i == end)
			break;
		if (p[i] == JSON_SPILL_MARK) {
			next = STRING;
			break;
		}
		if (p[i] == '\n' || (p[i] == '"' && s->escape == ESCAPE_NONE))
			next = OUTSIDE;
		s->escape = p[i] == '\\' && s->escape == ESCAPE_NONE ? ESCAPE_BEGUN : ESCAPE_NONE;
		i++;
	}
	buf_add(&s->held, p, i);
	*ret_n = i;
	if (next != HELD)
		return let_go(s, next);
	return s->held.len == s->calls.min ? become_long(s) : 0;
}

/* ---- all of it --------------------------------------------------------------------------------- */

/* What went on as it is up to here goes out; then the byte at which it does not. */
static int
interrupt(struct json_spill *s, const char *run, size_t n)
{
	int result = out(s, run, n);

	if (result != 0)
		return result;
	if (s->state == HELD)
		return buf_addc(&s->held, '"');
	s->escape = ESCAPE_NONE;
	s->is_wanted = s->key_whole = false;
	s->key_len = KEY_MAX;
	return out(s, NO_MARK, 1);
}

int
json_spill_feed(struct json_spill *s, const char *bytes, size_t n)
{
	size_t i = 0, from = 0, taken;
	int result = 0;

	while (i < n && result == 0) {
		if (s->state == HELD || s->state == LONG) {
			result = s->state == HELD ? held_bytes(s, bytes + i, n - i, &taken) :
						    long_bytes(s, bytes + i, n - i, &taken);
			i += taken;
			from = i;
			continue;
		}
		i += s->state == OUTSIDE ? outside(s, bytes + i, n - i) :
					   string(s, bytes + i, n - i);
		if (i < n && (s->state == HELD || bytes[i] == JSON_SPILL_MARK)) {
			result = interrupt(s, bytes + from, i - from);
			from = ++i;
		}
	}
	return result != 0 ? result : out(s, bytes + from, n - from);
}

int
json_spill_end(struct json_spill *s)
{
	int result;

	if (s->state == HELD)
		return let_go(s, OUTSIDE);
	if (s->state != LONG)
		return 0;
	s->state = OUTSIDE;
	result = s->calls.end(s->arg);
	return result != 0 ? result : out(s, "\"", 1);
}
