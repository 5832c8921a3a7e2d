/*
 * Words for people, on stderr: "program: message", one line each.  Control characters and bytes
 * that are not UTF-8 are written as \xNN, so no input can forge a line.  Only programs print;
 * library code calls these for what is worth knowing while it works, and returns errors instead.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The name before each line; the default is the program's own. */
void log_set_name(const char *name);
/* What is printed: -q is ERROR, the default WARNING, -v INFO, -vv DEBUG. */
void log_set_level(enum log_level level);
/* True if a line of this level would be printed: guards costly arguments. */
int log_wants(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Copies len bytes of text into dst (size > 4), with control characters (those that turn a line's
 * direction or take no place too) and invalid UTF-8 as \xNN,
 * always terminated; ends with "..." where it was cut. */
void log_escape(char *dst, size_t size, const char *text, size_t len);

#endif
