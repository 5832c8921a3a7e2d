#include "spool/journal/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spool/store/record.h"

/* Names that were offered and whose dot was not met, by their sums: few at a time, as each message has
 * one line of both. */
struct offered {
	uint64_t *sums;
	size_t count, room;
};

struct auditing {
	struct journal_audit *ret;
	struct offered offered;
	size_t line; /* the number of the present one */
};

static void damaged(struct auditing *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The first fault is told. */
static void
damaged(struct auditing *a, const char *fmt, ...)
{
	va_list ap;

	if (a->ret->damaged)
		return;
	a->ret->damaged = true;
	va_start(ap, fmt);
	vsnprintf(a->ret->what, sizeof a->ret->what, fmt, ap);
	va_end(ap);
}

static void
add_offered(struct offered *offered, const char *name)
{
	if (offered->count == offered->room) {
		offered->room = offered->room > 0 ? 2 * offered->room : 256;
		offered->sums = xreallocarray(offered->sums, offered->room, sizeof *offered->sums);
	}
	offered->sums[offered->count++] = checksum_of(name, strlen(name));
}

/* The latest first: what was offered and put back stays, and is looked at last. */
static bool
take_offered(struct offered *offered, const char *name)
{
	uint64_t sum = checksum_of(name, strlen(name));

	for (size_t i = offered->count; i-- > 0;)
		if (offered->sums[i] == sum) {
			memmove(offered->sums + i, offered->sums + i + 1,
			    (--offered->count - i) * sizeof *offered->sums);
			return true;
		}
	return false;
}

static void
look_at_begin(struct auditing *a, const struct json *value)
{
	const char *theirs = json_string(json_get(value, "boot"));
	char boot[64];

	boot_id(boot);
	a->ret->same_boot = theirs != NULL && boot[0] != '\0' && strcmp(theirs, boot) == 0;
}

/* False where no writer makes such a line. */
static bool
look_at_line(struct auditing *a, const struct json *value)
{
	const char *word = json_string(json_get(value, "event"));
	const char *name = json_string(json_get(value, "name"));
	enum event event = word != NULL ? event_parse(word) : EVENT_COUNT;
	struct message_name parsed;

	if (event == EVENT_COUNT || json_string(json_get(value, "t")) == NULL ||
	    (event == EVENT_BEGIN) != (a->line == 1)) {
		if (a->line == 1)
			damaged(a, "it does not start with a line \"begin\"");
		else
			damaged(a, "line %zu is not one of a journal", a->line);
		return event != EVENT_COUNT;
	}
	if (event == EVENT_BEGIN)
		look_at_begin(a, value);
	if (event != EVENT_OFFERED && event != EVENT_DOT)
		return true;
	if (name == NULL || message_name_parse(name, &parsed) < 0) {
		damaged(a, "line %zu does not name a message", a->line);
		return false;
	}
	if (event == EVENT_OFFERED)
		add_offered(&a->offered, name);
	else if (!take_offered(&a->offered, name))
		damaged(a, "line %zu tells of the final dot of a message that was not offered",
		    a->line);
	return true;
}

static int
read_lines(struct auditing *a, int fd,
    int (*each)(const char *text, size_t len, const struct json *value, int64_t offset, void *arg),
    void *arg)
{
	struct journal_reader reader;
	const char *text;
	int64_t offset;
	size_t len;
	int result;

	journal_reader_init(&reader, fd, 0);
	while ((result = journal_next(&reader, &text, &len, &offset)) == 1) {
		AUTO_JSON struct json *value = text != NULL ? json_parse(text, len, 1, NULL) : NULL;

		/* What was taken for the end had another line behind it. */
		if (a->ret->torn)
			damaged(a, "line %zu is longer than any", a->line);
		a->ret->torn = text == NULL;
		a->line++;
		if (text == NULL)
			continue;
		if (json_kind(value) != JSON_OBJECT) {
			damaged(a, "line %zu is not a JSON object", a->line);
			continue;
		}
		if (look_at_line(a, value) && each != NULL &&
		    (result = each(text, len, value, offset, arg)) != 0)
			break;
	}
	journal_reader_release(&reader);
	return result;
}

int
journal_audit(int fd,
    int (*each)(const char *text, size_t len, const struct json *value, int64_t offset, void *arg),
    void *arg, struct journal_audit *ret)
{
	struct auditing a = { .ret = ret };
	int result;

	*ret = (struct journal_audit){ 0 };
	result = read_lines(&a, fd, each, arg);
	free(a.offered.sums);
	if (a.line == 0)
		damaged(&a, "it is empty");
	else if (a.line == 1 && ret->torn)
		damaged(&a, "its first line has no end");
	else if (ret->torn && !ret->damaged)
		snprintf(ret->what, sizeof ret->what, "its last line has no end");
	return result;
}
