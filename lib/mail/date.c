#include "mail/date.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"

#define YEAR_MAX 9999

/* Digits at *at, least to most of them: 0 and their value, or -1. */
static int
digits(const char **at, size_t least, size_t most, int *ret)
{
	size_t n = strspn(*at, "0123456789");
	int value = 0;

	if (n < least || n > most)
		return -1;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + ((*at)[i] - '0');
	*at += n;
	*ret = value;
	return 0;
}

/* The place of the three letters at *at among names, which stand one behind the other; -1: they are none. */
static int
name_at(const char **at, const char *names)
{
	size_t n = strlen(names) / 3;

	for (size_t i = 0; i < n; i++)
		if (strncasecmp(*at, names + 3 * i, 3) == 0) {
			*at += 3;
			return (int)i;
		}
	return -1;
}

static void
blanks(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static int
parse_day(const char **at, struct tm *tm)
{
	size_t length;
	int year;

	blanks(at);
	if (name_at(at, "SunMonTueWedThuFriSat") >= 0) {
		blanks(at);
		if (**at == ',')
			++*at;
		blanks(at);
	}
	if (digits(at, 1, 2, &tm->tm_mday) < 0)
		return -1;
	*at += strspn(*at, " \t\r\n-"); /* hyphens: seen in the wild */
	tm->tm_mon = name_at(at, "JanFebMarAprMayJunJulAugSepOctNovDec");
	*at += strspn(*at, " \t\r\n-");
	length = strspn(*at, "0123456789");
	if (tm->tm_mon < 0 || digits(at, 2, 4, &year) < 0)
		return -1;
	/* RFC 5322 section 4.3. */
	if (length == 2 && year < 50)
		year += 2000;
	else if (length < 4)
		year += 1900;
	if (year < 1970 || year > YEAR_MAX || tm->tm_mday < 1 || tm->tm_mday > 31)
		return -1;
	tm->tm_year = year - 1900;
	return 0;
}

static int
parse_time(const char **at, struct tm *tm)
{
	blanks(at);
	if (digits(at, 1, 2, &tm->tm_hour) < 0 || **at != ':')
		return -1;
	++*at;
	if (digits(at, 2, 2, &tm->tm_min) < 0)
		return -1;
	if (**at == ':') {
		++*at;
		if (digits(at, 2, 2, &tm->tm_sec) < 0)
			return -1;
	}
	return tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60 ? -1 : 0;
}

/* Seconds east of Greenwich; what is not known is taken for UTC (section 4.3). */
static int
parse_zone(const char *at)
{
	static const char names[] = "ESTEDTCSTCDTMSTMDTPSTPDT";
	static const int hours[] = { -5, -4, -6, -5, -7, -6, -8, -7 };
	const char *digit;
	int value, i;

	blanks(&at);
	digit = at + 1;
	if ((*at == '+' || *at == '-') && digits(&digit, 4, 4, &value) == 0) {
		value = value / 100 * 3600 + value % 100 * 60;
		return *at == '-' ? -value : value;
	}
	i = name_at(&at, names);
	return i >= 0 ? hours[i] * 3600 : 0;
}

int
mail_date_parse(const char *text, int64_t *ret_instant)
{
	struct tm tm = { 0 };
	int64_t seconds;

	if (parse_day(&text, &tm) < 0 || parse_time(&text, &tm) < 0) {
		errno = EINVAL;
		return -1;
	}
	seconds = (int64_t)timegm(&tm) - parse_zone(text);
	*ret_instant = seconds > 0 ? seconds * USEC : 0;
	return 0;
}
