#include "spool/store/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "spool/store/name.h"

#define PIECE_SIZE_MAX ((uint64_t)1 << 40) /* so that no sum of them overflows */

/* The fields that are one line of text each; an absent one is NULL. */
static const struct text_field {
	const char *key;
	size_t offset;
	bool required;
} text_fields[] = {
	{ "id", offsetof(struct record, id), true },
	{ "account", offsetof(struct record, account), true },
	{ "batch", offsetof(struct record, batch), false },
	{ "sender", offsetof(struct record, sender), true },
	{ "from", offsetof(struct record, from), false },
	{ "subject", offsetof(struct record, subject), false },
	{ "message-id", offsetof(struct record, message_id), false },
	{ "dsn-ret", offsetof(struct record, dsn_ret), false },
	{ "dsn-notify", offsetof(struct record, dsn_notify), false },
	{ "envid", offsetof(struct record, envid), false },
	{ "source", offsetof(struct record, source), false },
};

static char **
text_member(struct record *record, const struct text_field *field)
{
	return (char **)((char *)record + field->offset);
}

static int
add_line(struct buf *out, const char *key, const char *value, struct err *err)
{
	if (strpbrk(value, "\r\n") != NULL)
		return err_set(err, EX_DATAERR, "%s: a line break is not allowed", key);
	if (buf_adds(out, key) < 0 || buf_add(out, ": ", 2) < 0 || buf_adds(out, value) < 0 ||
	    buf_addc(out, '\n') < 0)
		return err_set(err, EX_DATAERR, "%s: the envelope is over its limit of %u bytes",
		    key, RECORD_MAX);
	return 0;
}

static int
add_instant(struct buf *out, const char *key, int64_t instant, struct err *err)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRId64 ".%06" PRId64, instant / USEC, instant % USEC);
	return add_line(out, key, text, err);
}

/* What stands in for bytes of the text, a line each. */
static int
add_piece(struct buf *out, const struct record_piece *piece, struct err *err)
{
	AUTO_BUF struct buf line = BUF_INIT(RECORD_MAX);
	int added;

	if (piece->kind == PIECE_PART)
		added = buf_addf(&line, "%" PRIu64 " %" PRIu64 " %016" PRIx64 " %s", piece->offset,
		    piece->size, piece->checksum, piece->hash);
	else
		added = buf_addf(&line, "%" PRIu64 " %s %s", piece->offset, piece->boundary,
		    piece->json);
	if (added < 0)
		return err_set(err, EX_DATAERR, "the envelope is too large");
	return add_line(out, piece->kind == PIECE_PART ? "part" : "remote", line.s, err);
}

int
record_pack(struct record *record, struct buf *out, struct err *err)
{
	static const struct text_facts unknown;
	char first[RECORD_FIRST_LINE + 1];
	size_t start = out->len;
	struct buf body = BUF_INIT(RECORD_MAX);
	int result = 0;

	for (size_t i = 0; i < sizeof text_fields / sizeof text_fields[0] && result == 0; i++) {
		const char *value = *text_member(record, &text_fields[i]);

		if (value != NULL)
			result = add_line(&body, text_fields[i].key, value, err);
		if (i == 0 && result == 0)
			result = add_instant(&body, "created", record->created, err);
	}
	if (result == 0 && buf_addf(&body, "priority: %d\n", record->priority) < 0)
		result = err_set(err, EX_DATAERR, "the envelope is too large");
	if (result == 0 && record->due > 0)
		result = add_instant(&body, "due", record->due, err);
	if (result == 0 && record->expires > 0)
		result = add_instant(&body, "expires", record->expires, err);
	if (result == 0 && record->max_attempts > 0 &&
	    buf_addf(&body, "max-attempts: %" PRId64 "\n", record->max_attempts) < 0)
		result = err_set(err, EX_DATAERR, "the envelope is too large");
	for (size_t i = 0; i < record->recipient_count && result == 0; i++)
		result = add_line(&body, "recipient", record->recipients[i], err);
	for (size_t i = 0; i < record->piece_count && result == 0; i++)
		result = add_piece(&body, &record->pieces[i], err);
	if (result == 0) {
		record->size = RECORD_FIRST_LINE + body.len + 1;
		record_first_line(record->size, &unknown, first);
		if (buf_add(out, first, RECORD_FIRST_LINE) < 0 ||
		    buf_add(out, body.s, body.len) < 0 || buf_addc(out, '\n') < 0) {
			buf_truncate(out, start);
			result = err_set(err, EX_DATAERR,
			    "the envelope is over its limit of %u bytes", RECORD_MAX);
		}
	}
	buf_release(&body);
	return result;
}

void
record_first_line(size_t size, const struct text_facts *facts, char *ret)
{
	snprintf(ret, RECORD_FIRST_LINE + 1, "mailq 1 %08zu %016" PRIu64 " %016" PRIx64 " %c%c-\n",
	    size, facts->length, facts->checksum, facts->eight_bit ? '8' : '-',
	    facts->smtputf8 ? 'u' : '-');
}

static int
hex64(const char *s, uint64_t *ret)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = s[i] != '\0' ? strchr(digits, s[i]) : NULL;

		if (digit == NULL)
			return -1;
		value = value << 4 | (uint64_t)(digit - digits);
	}
	*ret = value;
	return 0;
}

size_t
record_size(const char line[RECORD_FIRST_LINE], struct text_facts *ret_facts)
{
	struct text_facts facts = { 0 };
	uint64_t size;

	if (memcmp(line, "mailq 1 ", 8) != 0 || line[16] != ' ' || line[33] != ' ' ||
	    line[50] != ' ' || line[RECORD_FIRST_LINE - 1] != '\n')
		return 0;
	if (num_u64_view(line + 8, 8, RECORD_MAX + RECORD_FIRST_LINE + 1, &size) < 0 ||
	    num_u64_view(line + 17, 16, INT64_MAX, &facts.length) < 0 ||
	    hex64(line + 34, &facts.checksum) < 0)
		return 0;
	if (size <= RECORD_FIRST_LINE + 1 || facts.length == 0)
		return 0;
	facts.eight_bit = line[51] == '8';
	facts.smtputf8 = line[52] == 'u';
	*ret_facts = facts;
	return (size_t)size;
}

/* Takes the next word of *text off, which a space follows; NULL where there is none. */
static char *
next_word(char **text)
{
	char *word = *text, *end = strchr(word, ' ');

	if (end == NULL || end == word)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return word;
}

static bool
is_hash(const char *text)
{
	return strlen(text) == MAIL_PART_HASH_SIZE - 1 &&
	    strspn(text, "0123456789abcdef") == MAIL_PART_HASH_SIZE - 1;
}

/* "part: OFFSET SIZE CHECKSUM HASH" and "remote: OFFSET BOUNDARY JSON", in their order. */
static int
take_piece(struct record *record, enum piece_kind kind, char *value, struct err *err)
{
	const char *key = kind == PIECE_PART ? "part" : "remote";
	uint64_t from =
	    record->piece_count > 0 ? record->pieces[record->piece_count - 1].offset : 0;
	struct record_piece piece = { .kind = kind };
	char *offset = next_word(&value), *second = offset != NULL ? next_word(&value) : NULL;
	char *third = second != NULL && kind == PIECE_PART ? next_word(&value) : NULL;
	bool right =
	    second != NULL && num_u64(offset, from, record->text.length, &piece.offset) == 0;

	if (record->piece_count == RECORD_PIECES_MAX)
		return err_set(err, EX_DATAERR, "more than %d parts", RECORD_PIECES_MAX);
	if (right && kind == PIECE_PART) {
		right = third != NULL && strlen(third) == 16 &&
		    hex64(third, &piece.checksum) == 0 &&
		    num_u64(second, 1, PIECE_SIZE_MAX, &piece.size) == 0 && is_hash(value);
		if (right)
			memcpy(piece.hash, value, sizeof piece.hash);
	} else if (right) {
		piece.boundary = second;
		piece.json = value;
		right = value[0] == '{';
	}
	if (!right)
		return err_set(err, EX_DATAERR, "%s: expected \"%s\" within the text", key,
		    kind == PIECE_PART ? "OFFSET SIZE CHECKSUM HASH" : "OFFSET BOUNDARY JSON");
	record->pieces[record->piece_count++] = piece;
	return 0;
}

/* One "key: value" line into the record.  Unknown keys are left for later versions to read. */
static int
take_field(struct record *record, const char *key, char *value, struct err *err)
{
	uint64_t number;
	int64_t *instant = NULL;

	for (size_t i = 0; i < sizeof text_fields / sizeof text_fields[0]; i++) {
		if (strcmp(key, text_fields[i].key) == 0) {
			*text_member(record, &text_fields[i]) = value;
			return 0;
		}
	}
	if (strcmp(key, "recipient") == 0) {
		if (record->recipient_count == RECORD_RECIPIENTS_MAX)
			return err_set(err, EX_DATAERR, "more than %d recipients",
			    RECORD_RECIPIENTS_MAX);
		record->recipients[record->recipient_count++] = value;
		return 0;
	}
	if (strcmp(key, "part") == 0)
		return take_piece(record, PIECE_PART, value, err);
	if (strcmp(key, "remote") == 0)
		return take_piece(record, PIECE_REMOTE, value, err);
	if (strcmp(key, "priority") == 0) {
		if (num_u64(value, 0, 3, &number) < 0)
			return err_set(err, EX_DATAERR, "priority: \"%s\" is not 0 to 3", value);
		record->priority = (int)number;
		return 0;
	}
	if (strcmp(key, "max-attempts") == 0) {
		if (num_u64(value, 1, RECORD_ATTEMPTS_MAX, &number) < 0)
			return err_set(err, EX_DATAERR, "max-attempts: \"%s\" is not 1 to %d",
			    value, RECORD_ATTEMPTS_MAX);
		record->max_attempts = (int64_t)number;
		return 0;
	}
	if (strcmp(key, "created") == 0)
		instant = &record->created;
	else if (strcmp(key, "due") == 0)
		instant = &record->due;
	else if (strcmp(key, "expires") == 0)
		instant = &record->expires;
	if (instant != NULL && instant_parse(value, instant) < 0)
		return err_set(err, EX_DATAERR, "%s: \"%s\" is not seconds with six decimals", key,
		    value);
	return 0;
}

/* How many lines begin with this, which begins with a newline. */
static size_t
count_lines(const char *s, const char *start)
{
	size_t count = 0;

	while ((s = strstr(s, start)) != NULL) {
		count++;
		s++;
	}
	return count;
}

static int
take_lines(struct record *record, struct err *err)
{
	char *line = record->memory + RECORD_FIRST_LINE;

	while (*line != '\n') {
		char *end = strchr(line, '\n');
		char *colon = strstr(line, ": ");

		if (end == NULL)
			return err_set(err, EX_DATAERR, "the record has no empty line at its end");
		if (colon == NULL || colon > end)
			return err_set(err, EX_DATAERR, "the record has a line without \": \"");
		*end = '\0';
		*colon = '\0';
		/* A relay would take it for the end of a command. */
		if (strchr(line, '\r') != NULL || strchr(colon + 2, '\r') != NULL)
			return err_set(err, EX_DATAERR, "the record has a line break in a line");
		if (take_field(record, line, colon + 2, err) < 0)
			return -1;
		line = end + 1;
	}
	if (line[1] != '\0')
		return err_set(err, EX_DATAERR, "the record ends before its stated size");
	return 0;
}

int
record_unpack(const char *bytes, size_t n, struct record *ret, struct err *err)
{
	struct record record = { 0 };
	size_t pieces;
	int result;

	if (n <= RECORD_FIRST_LINE || (record.size = record_size(bytes, &record.text)) == 0 ||
	    record.size > n)
		return err_set(err, EX_DATAERR, "no complete record");
	if (memchr(bytes, '\0', record.size) != NULL)
		return err_set(err, EX_DATAERR, "a zero byte in the record");
	record.memory = xstrndup(bytes, record.size);
	/* A key may also stand in a value, so this counts at least as many as there are. */
	record.recipients =
	    xcalloc(count_lines(record.memory, "\nrecipient: ") + 1, sizeof(char *));
	pieces = count_lines(record.memory, "\npart: ") + count_lines(record.memory, "\nremote: ");
	if (pieces > 0)
		record.pieces = xcalloc(pieces, sizeof *record.pieces);
	result = take_lines(&record, err);
	for (size_t i = 0; i < sizeof text_fields / sizeof text_fields[0] && result == 0; i++)
		if (text_fields[i].required && *text_member(&record, &text_fields[i]) == NULL)
			result =
			    err_set(err, EX_DATAERR, "the record has no %s", text_fields[i].key);
	if (result == 0 && record.recipient_count == 0)
		result = err_set(err, EX_DATAERR, "the record has no recipient");
	if (result < 0) {
		record_release(&record);
		return -1;
	}
	*ret = record;
	return 0;
}

void
record_release(struct record *record)
{
	if (record->memory == NULL)
		return;
	free(record->recipients);
	free(record->pieces);
	free(record->memory);
	*record = (struct record){ 0 };
}

uint64_t
record_total(const struct record *record)
{
	uint64_t total = record->text.length;

	for (size_t i = 0; i < record->piece_count; i++)
		total += record->pieces[i].size;
	return total;
}

bool
record_is_remote(const struct record *record)
{
	for (size_t i = 0; i < record->piece_count; i++)
		if (record->pieces[i].kind == PIECE_REMOTE)
			return true;
	return false;
}
