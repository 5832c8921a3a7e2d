/*
 * libconfig cuts an integer to 32 bits in silence unless an L stands behind it, ends the process
 * when it is to include a directory, and stops at a NUL.  So the text is looked over first, and
 * that of the files it includes.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf_private.h"
#include "base/fs.h"

#define INCLUDE_DEPTH 10 /* libconfig's own bound */

struct scan {
	const char *file; /* as messages name it */
	const char *main; /* relative names count from this file's directory */
	const char *p;
	unsigned line;
	int depth;
	bool alone; /* nothing may be included */
	struct err *err;
};

static int
scan_file(const char *file, const char *main, int depth, struct buf *text, struct err *err);

char *
conf_include_path(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	int directory = slash != NULL ? (int)(slash - file) : 0;
	char *path;

	if (*name == '/' || slash == NULL)
		return xstrdup(name);
	if (asprintf(&path, "%.*s/%s", directory, file, name) < 0)
		abort();
	return path;
}

static int
fail_unended(const struct scan *s, unsigned line, const char *what)
{
	return err_set(s->err, EX_CONFIG, "%s:%u: %s", s->file, line, what);
}

static int
skip_comment(struct scan *s)
{
	unsigned line = s->line;

	for (s->p += 2; strncmp(s->p, "*/", 2) != 0; s->p++) {
		if (*s->p == '\0')
			return fail_unended(s, line, "a comment without its */");
		s->line += *s->p == '\n';
	}
	s->p += 2;
	return 0;
}

static int
skip_string(struct scan *s)
{
	unsigned line = s->line;

	for (s->p++; *s->p != '"'; s->p++) {
		if (*s->p == '\\' && s->p[1] != '\0')
			s->p++;
		if (*s->p == '\0')
			return fail_unended(s, line, "a string without its closing quote");
		s->line += *s->p == '\n';
	}
	s->p++;
	return 0;
}

static int
check_number(struct scan *s)
{
	const char *start = s->p, *digits;
	bool fits, negative = *start == '-', hexadecimal;
	unsigned long long value, most;
	char *end;

	digits = start + (*start == '-' || *start == '+');
	/* A sign alone: libconfig refuses it.  strtoull would pass over blanks, line ends and a second sign. */
	if (!isdigit((unsigned char)*digits)) {
		s->p = digits;
		return 0;
	}
	hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	errno = 0;
	value = strtoull(digits, &end, hexadecimal ? 16 : 10);
	s->p = end;
	if (!hexadecimal && (*end == '.' || *end == 'e' || *end == 'E')) {
		s->p += strspn(s->p, ".0123456789eE+-");
		return 0;
	}
	most = *end == 'L' ? INT64_MAX : INT32_MAX;
	fits = errno == 0 && value <= most + (negative ? 1 : 0);
	s->p += strspn(s->p, "L");
	if (fits)
		return 0;
	/* Not quoted: it may be a password without its quotes. */
	return err_set(s->err, EX_CONFIG, "%s:%u: a number that does not fit into %d bits%s",
	    s->file, s->line, most == INT32_MAX ? 32 : 64,
	    most == INT32_MAX ? " (expected an L after it, or a string)" : "");
}

/* At '@'. */
static int
check_include(struct scan *s)
{
	AUTO_BUF struct buf text = BUF_INIT(CONF_FILE_MAX);
	AUTO_FREE char *name = NULL, *path = NULL;
	const char *p = s->p + strlen("@include");
	size_t n = 0, space = strspn(p, " \t");

	p += space;
	if (space == 0 || *p != '"' || p[n = 1 + strcspn(p + 1, "\"\n")] != '"')
		return err_set(s->err, EX_CONFIG, "%s:%u: expected @include \"FILE\"", s->file,
		    s->line);
	name = xstrndup(p + 1, n - 1);
	path = conf_include_path(s->main, name);
	s->p = p + n + 1;
	if (s->depth >= INCLUDE_DEPTH)
		return err_set(s->err, EX_CONFIG,
		    "%s:%u: files include one another more than %d deep", s->file, s->line,
		    INCLUDE_DEPTH);
	if (scan_file(path, s->main, s->depth + 1, &text, s->err) == 0)
		return 0;
	if (s->err != NULL && s->err->code != EX_CONFIG) {
		err_prefix(s->err, "%s:%u", s->file, s->line);
		s->err->code = EX_CONFIG;
	}
	return -1;
}

/* libconfig knows the word at the beginning of a line only. */
static bool
at_include(const struct scan *s, const char *line_start)
{
	return strncmp(s->p, "@include", strlen("@include")) == 0 &&
	    strspn(line_start, " \t") == (size_t)(s->p - line_start);
}

static int
scan_text(struct scan *s)
{
	const char *line_start = s->p;

	while (*s->p != '\0') {
		unsigned char c = (unsigned char)*s->p;

		if (c == '\n') {
			s->line++;
			line_start = ++s->p;
		} else if (c == '#' || (c == '/' && s->p[1] == '/')) {
			s->p += strcspn(s->p, "\n");
		} else if (c == '/' && s->p[1] == '*') {
			if (skip_comment(s) < 0)
				return -1;
		} else if (c == '"') {
			if (skip_string(s) < 0)
				return -1;
		} else if (isalpha(c) || c == '*') {
			while (isalnum((unsigned char)*s->p) ||
			    (*s->p != '\0' && strchr("-_*", *s->p)))
				s->p++;
		} else if (isdigit(c) || c == '-' || c == '+') {
			if (check_number(s) < 0)
				return -1;
		} else if (c == '@' && s->alone) {
			return err_set(s->err, EX_CONFIG, "%s:%u: @include is not for this file",
			    s->file, s->line);
		} else if (at_include(s, line_start)) {
			if (check_include(s) < 0)
				return -1;
		} else {
			s->p++;
		}
	}
	return 0;
}

static int
scan_bytes(struct scan *s, const char *text, size_t len)
{
	if (strlen(text) != len)
		return err_set(s->err, EX_CONFIG, "%s: a NUL byte in it: expected text", s->file);
	s->p = text;
	return scan_text(s);
}

static int
scan_file(const char *file, const char *main, int depth, struct buf *text, struct err *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct scan s = { .file = file, .main = main, .line = 1, .depth = depth, .err = err };

	if (fd < 0)
		return err_sys(err, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s", file);
	if (fs_read_all(fd, text) < 0) {
		if (errno == E2BIG)
			return err_set(err, EX_CONFIG, "%s: longer than 1 MiB", file);
		return err_sys(err, EX_NOINPUT, "%s", file);
	}
	return scan_bytes(&s, text->s, text->len);
}

int
conf_scan(const char *file, struct buf *text, struct err *err)
{
	return scan_file(file, file, 0, text, err);
}

int
conf_scan_text(const char *text, size_t len, const char *place, struct err *err)
{
	struct scan s = { .file = place, .main = place, .line = 1, .alone = true, .err = err };

	return scan_bytes(&s, text, len);
}
