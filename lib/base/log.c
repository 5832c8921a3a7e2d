#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static enum log_level current_level = LOG_LEVEL_WARNING;
static const char *program_name;

void
log_set_name(const char *name)
{
	program_name = name;
}

void
log_set_level(enum log_level level)
{
	current_level = level;
}

int
log_wants(enum log_level level)
{
	return level <= current_level;
}

/* Characters that a terminal obeys instead of showing: C0 and C1 controls, and those that turn the
 * direction of a line or take no place in it (U+200B, U+200E, U+200F, U+2028 to U+202E, U+2060 to
 * U+2069, U+FEFF), with which a text may look like another. */
static int
is_shown(const char *text, size_t n)
{
	const unsigned char *c = (const unsigned char *)text;

	if (n == 1)
		return c[0] >= 0x20 && c[0] != 0x7f;
	if (n == 2)
		return c[0] != 0xc2 || c[1] >= 0xa0;
	if (n == 3 && c[0] == 0xe2 && c[1] == 0x80)
		return c[2] != 0x8b && c[2] != 0x8e && c[2] != 0x8f && (c[2] < 0xa8 || c[2] > 0xae);
	if (n == 3 && c[0] == 0xe2 && c[1] == 0x81)
		return c[2] < 0xa0 || c[2] > 0xa9;
	return n == 4 || (n == 3 && memcmp(c, "\xef\xbb\xbf", 3) != 0);
}

void
log_escape(char *dst, size_t size, const char *text, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(text + i, len - i);
		unsigned char c = (unsigned char)text[i];
		int plain = is_shown(text + i, n);
		size_t need = plain ? n : 4;

		if (out + need + 4 > size) {
			memcpy(dst + out, "...", 3);
			out += 3;
			break;
		}
		if (plain)
			memcpy(dst + out, text + i, n);
		else
			snprintf(dst + out, 5, "\\x%02x", c);
		out += need;
		i += plain ? n : 1;
	}
	dst[out] = '\0';
}

static void __attribute__((format(printf, 2, 0)))
print_line(enum log_level level, const char *fmt, va_list ap)
{
	char raw[1024], line[1200];
	int saved = errno;

	if (!log_wants(level))
		return;
	vsnprintf(raw, sizeof raw, fmt, ap);
	log_escape(line, sizeof line, raw, strlen(raw));
	fprintf(stderr, "%s: %s\n", program_name ? program_name : program_invocation_short_name,
	    line);
	errno = saved;
}

#define DEFINE_LOG(function, level)                                                                \
	void function(const char *fmt, ...)                                                        \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		print_line(level, fmt, ap);                                                        \
		va_end(ap);                                                                        \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
