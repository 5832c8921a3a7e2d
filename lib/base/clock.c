#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"

/* 9999-12-31T23:59:59Z: what lies beyond has no name in RFC 3339. */
#define LAST_SECOND INT64_C(253402300799)

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * USEC + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Seconds and the microseconds above them, also before 1970. */
static time_t
split(int64_t instant, int *ret_usec)
{
	int64_t seconds = instant / USEC, rest = instant % USEC;

	if (rest < 0) {
		rest += USEC;
		seconds--;
	}
	*ret_usec = (int)rest;
	return (time_t)seconds;
}

static char *
write_iso(int64_t instant, char *text, bool with_usec)
{
	int usec;
	time_t seconds = split(instant, &usec);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = (size_t)snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (with_usec)
		snprintf(text + n, CLOCK_TEXT_SIZE - n, ".%06dZ", usec);
	else
		snprintf(text + n, CLOCK_TEXT_SIZE - n, "Z");
	return text;
}

char *
clock_iso(int64_t instant, char text[CLOCK_TEXT_SIZE])
{
	return write_iso(instant, text, false);
}

char *
clock_iso_usec(int64_t instant, char text[CLOCK_TEXT_SIZE])
{
	return write_iso(instant, text, true);
}

char *
clock_rfc5322(int64_t instant, char text[CLOCK_TEXT_SIZE])
{
	/* Not strftime's names: those follow the locale. */
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	int usec, zone;
	time_t seconds = split(instant, &usec);
	struct tm tm;

	localtime_r(&seconds, &tm);
	zone = (int)(tm.tm_gmtoff / 60);
	snprintf(text, CLOCK_TEXT_SIZE, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+', (zone < 0 ? -zone : zone) / 60,
	    (zone < 0 ? -zone : zone) % 60);
	return text;
}

/* "4h", or "4h 5m" where the smaller unit counts. */
static void
write_units(char *text, size_t size, uint64_t large, char large_unit, uint64_t small,
    char small_unit)
{
	if (small == 0)
		snprintf(text, size, "%" PRIu64 "%c", large, large_unit);
	else
		snprintf(text, size, "%" PRIu64 "%c %" PRIu64 "%c", large, large_unit, small,
		    small_unit);
}

char *
clock_span(int64_t span, char text[CLOCK_TEXT_SIZE])
{
	uint64_t usec = span < 0 ? -(uint64_t)span : (uint64_t)span;
	uint64_t s = usec / (uint64_t)USEC, tenths = usec / 100000 % 10;
	char *out = text;
	size_t size = CLOCK_TEXT_SIZE;

	if (span < 0) {
		*out++ = '-';
		size--;
	}
	if (s >= (uint64_t)100 * 86400)
		snprintf(out, size, "%" PRIu64 "d", s / 86400);
	else if (s >= 86400)
		write_units(out, size, s / 86400, 'd', s / 3600 % 24, 'h');
	else if (s >= 3600)
		write_units(out, size, s / 3600, 'h', s / 60 % 60, 'm');
	else if (s >= 60)
		write_units(out, size, s / 60, 'm', s % 60, 's');
	else if (s >= 10 || usec == 0 || (s > 0 && tenths == 0))
		snprintf(out, size, "%" PRIu64 "s", s);
	else if (usec >= 100000)
		snprintf(out, size, "%" PRIu64 ".%" PRIu64 "s", s, tenths);
	else if (usec >= 1000)
		snprintf(out, size, "%" PRIu64 "ms", usec / 1000);
	else
		snprintf(out, size, "0.%" PRIu64 "ms", usec >= 100 ? usec / 100 : 1);
	return text;
}

/* A cursor over what clock_parse reads; bad stays set once something did not fit. */
struct scan {
	const char *p;
	bool bad;
};

/* Exactly n digits, as a number of at most max. */
static int
scan_digits(struct scan *scan, size_t n, int max)
{
	uint64_t value = 0;

	if (scan->bad || strnlen(scan->p, n) < n ||
	    num_u64_view(scan->p, n, (uint64_t)max, &value) < 0) {
		scan->bad = true;
		return 0;
	}
	scan->p += n;
	return (int)value;
}

/* One character out of set; returns it. */
static char
scan_one(struct scan *scan, const char *set)
{
	if (scan->bad || *scan->p == '\0' || strchr(set, *scan->p) == NULL) {
		scan->bad = true;
		return '\0';
	}
	return *scan->p++;
}

/* ".123456789", where one stands, as microseconds; digits beyond the sixth are dropped. */
static int64_t
scan_fraction(struct scan *scan)
{
	int64_t usec = 0, weight = USEC / 10;

	if (scan->bad || *scan->p != '.')
		return 0;
	scan->p++;
	if (*scan->p < '0' || *scan->p > '9')
		scan->bad = true;
	for (; *scan->p >= '0' && *scan->p <= '9'; scan->p++) {
		usec += (*scan->p - '0') * weight;
		weight /= 10;
	}
	return usec;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* "Z" or "+01:00" or "+0100": seconds east of UTC. */
static int
scan_zone(struct scan *scan)
{
	char sign = scan_one(scan, "Zz+-");
	int seconds;

	if (sign == 'Z' || sign == 'z')
		return 0;
	seconds = scan_digits(scan, 2, 23) * 3600;
	if (*scan->p == ':')
		scan->p++;
	seconds += scan_digits(scan, 2, 59) * 60;
	return sign == '-' ? -seconds : seconds;
}

/* mktime, which says -1 for a failure and for the second before 1970 alike. */
static int
local_seconds(struct tm *tm, int64_t *ret_seconds)
{
	time_t seconds;

	tm->tm_isdst = -1;
	tm->tm_wday = -1;
	seconds = mktime(tm);
	if (seconds == (time_t)-1 && tm->tm_wday == -1)
		return -1;
	*ret_seconds = seconds;
	return 0;
}

static int
parse_date(const char *text, int64_t *ret_instant)
{
	struct scan scan = { text, false };
	struct tm tm = { 0 };
	int64_t seconds, usec = 0;
	int year;

	year = scan_digits(&scan, 4, 9999);
	scan_one(&scan, "-");
	tm.tm_mon = scan_digits(&scan, 2, 12) - 1;
	scan_one(&scan, "-");
	tm.tm_mday = scan_digits(&scan, 2, 31);
	scan_one(&scan, "Tt ");
	tm.tm_hour = scan_digits(&scan, 2, 23);
	scan_one(&scan, ":");
	tm.tm_min = scan_digits(&scan, 2, 59);
	if (*scan.p == ':') {
		scan.p++;
		tm.tm_sec = scan_digits(&scan, 2, 60);
		usec = scan_fraction(&scan);
	}
	if (scan.bad || tm.tm_mon < 0 || tm.tm_mday < 1 ||
	    tm.tm_mday > days_in_month(year, tm.tm_mon + 1))
		return -1;
	tm.tm_year = year - 1900;
	if (*scan.p == '\0') {
		if (local_seconds(&tm, &seconds) < 0)
			return -1;
	} else {
		int east = scan_zone(&scan);

		if (scan.bad || *scan.p != '\0')
			return -1;
		seconds = timegm(&tm) - east;
	}
	*ret_instant = seconds * USEC + usec;
	return 0;
}

/* "HH:MM": today's, or tomorrow's where that is not ahead any more. */
static int
parse_time_of_day(const char *text, int64_t now, int64_t *ret_instant)
{
	struct scan scan = { text, false };
	int hour, minute, usec;
	time_t today = split(now, &usec);
	struct tm tm;

	hour = scan_digits(&scan, 2, 23);
	scan_one(&scan, ":");
	minute = scan_digits(&scan, 2, 59);
	if (scan.bad || *scan.p != '\0' || localtime_r(&today, &tm) == NULL)
		return -1;
	for (int ahead = 0; ahead <= 1; ahead++) {
		struct tm day = { .tm_year = tm.tm_year,
			.tm_mon = tm.tm_mon,
			.tm_mday = tm.tm_mday + ahead,
			.tm_hour = hour,
			.tm_min = minute };
		int64_t seconds;

		if (local_seconds(&day, &seconds) < 0)
			return -1;
		*ret_instant = seconds * USEC;
		if (*ret_instant > now)
			break;
	}
	return 0;
}

static int
parse_unix(const char *text, int64_t *ret_instant)
{
	size_t digits = strspn(text, "0123456789");
	struct scan scan = { text + digits, false };
	uint64_t seconds;
	int64_t usec;

	if (num_u64_view(text, digits, LAST_SECOND, &seconds) < 0)
		return -1;
	usec = scan_fraction(&scan);
	if (scan.bad || *scan.p != '\0')
		return -1;
	*ret_instant = (int64_t)seconds * USEC + usec;
	return 0;
}

int
clock_parse(const char *text, int64_t now, int64_t *ret_instant)
{
	int64_t instant = 0, span;
	int result;

	if (strcmp(text, "now") == 0) {
		instant = now;
		result = 0;
	} else if (*text == '+') {
		result = num_duration(text + 1, &span);
		if (result == 0 && __builtin_add_overflow(now, span, &instant))
			result = -1;
	} else if (strlen(text) == 5 && text[2] == ':') {
		result = parse_time_of_day(text, now, &instant);
	} else if (text[strspn(text, "0123456789")] == '-') {
		result = parse_date(text, &instant);
	} else {
		result = parse_unix(text, &instant);
	}
	if (result == 0 && instant / USEC <= LAST_SECOND) {
		*ret_instant = instant;
		return 0;
	}
	errno = EINVAL;
	return -1;
}
