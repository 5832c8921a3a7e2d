#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"

const char *
err_text(int number)
{
	const char *text;

	if (number == FS_NOT_A_FILE)
		return "it is not a regular file";
	if (number == FS_NOT_OURS)
		return "it belongs to another user";
	text = strerrordesc_np(number);
	return text != NULL ? text : "unknown error";
}

/* Formats into err->msg, escapes what would break the line, marks a cut with "...". */
static void __attribute__((format(printf, 2, 0)))
format_message(struct err *err, const char *fmt, va_list ap, const char *suffix)
{
	char raw[sizeof err->msg];
	int n = vsnprintf(raw, sizeof raw, fmt, ap);

	if (n >= 0 && (size_t)n < sizeof raw && suffix != NULL)
		snprintf(raw + n, sizeof raw - (size_t)n, ": %s", suffix);
	log_escape(err->msg, sizeof err->msg, raw, strlen(raw));
}

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	format_message(err, fmt, ap, NULL);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err == NULL)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	format_message(err, fmt, ap, err_text(saved));
	va_end(ap);
	errno = saved;
	return -1;
}

int
err_io(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err == NULL)
		return -1;
	switch (saved) {
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		err->code = EX_TEMPFAIL;
		break;
	default:
		err->code = EX_IOERR;
		break;
	}
	va_start(ap, fmt);
	format_message(err, fmt, ap, err_text(saved));
	va_end(ap);
	errno = saved;
	return -1;
}

int
err_prefix(struct err *err, const char *fmt, ...)
{
	char inner[sizeof err->msg];
	va_list ap;

	if (err == NULL)
		return -1;
	memcpy(inner, err->msg, sizeof inner);
	va_start(ap, fmt);
	format_message(err, fmt, ap, inner);
	va_end(ap);
	return -1;
}

int
err_print(const struct err *err)
{
	log_error("%s", err->msg);
	return err->code != 0 ? err->code : EX_SOFTWARE;
}
