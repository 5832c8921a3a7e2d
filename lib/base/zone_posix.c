#include "base/zone_private.h"

#include <string.h>

#include "base/zone.h"

#define DAY 86400
#define HOURS_MAX 167 /* of the time of a change, either way */

int64_t
zone_floor(int64_t number, int64_t divisor)
{
	int64_t quotient = number / divisor;

	return number % divisor < 0 ? quotient - 1 : quotient;
}

/* Years are counted from March, so that the leap day is the last of one, and in eras of 400 years of
 * 146,097 days, day 0 of which is 719,468 days before 1970 for era 0. */
int64_t
zone_days(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = zone_floor(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void
zone_date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468, era = zone_floor(z, 146097), day = z - era * 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t of_year = day - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = year + era * 400 + (*ret_month <= 2);
}

/* ---- reading ----------------------------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "CET", or "<+03>".  A longer one is cut. */
static int
take_name(const char **at, char name[ZONE_ABBREVIATION])
{
	bool quoted = **at == '<';
	const char *start = quoted ? *at + 1 : *at, *p = start;
	size_t n;

	while (is_letter(*p) || (quoted && (is_digit(*p) || *p == '+' || *p == '-')))
		p++;
	n = (size_t)(p - start);
	if (n < 3 || (quoted && *p != '>'))
		return -1;
	*at = quoted ? p + 1 : p;
	if (n >= ZONE_ABBREVIATION)
		n = ZONE_ABBREVIATION - 1;
	memcpy(name, start, n);
	name[n] = '\0';
	return 0;
}

static int
take_number(const char **at, int min, int max, int *ret)
{
	int number = 0;

	if (!is_digit(**at))
		return -1;
	for (; is_digit(**at); ++*at) {
		number = number * 10 + (**at - '0');
		if (number > max)
			return -1;
	}
	if (number < min)
		return -1;
	*ret = number;
	return 0;
}

/* "[+-]H[:M[:S]]" as seconds. */
static int
take_time(const char **at, int hours_max, int32_t *ret)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes = 0, seconds = 0;

	if (**at == '-' || **at == '+')
		++*at;
	if (take_number(at, 0, hours_max, &hours) < 0)
		return -1;
	if (**at == ':' && (++*at, take_number(at, 0, 59, &minutes)) < 0)
		return -1;
	if (**at == ':' && (++*at, take_number(at, 0, 59, &seconds)) < 0)
		return -1;
	*ret = sign * (hours * 3600 + minutes * 60 + seconds);
	return 0;
}

/* "M3.5.0/2", "J60", "59/-1". */
static int
take_date(const char **at, struct zone_date *ret)
{
	ret->time = 2 * 3600;
	if (**at == 'M') {
		ret->form = ZONE_DATE_MONTH;
		if ((++*at, take_number(at, 1, 12, &ret->month)) < 0 || *(*at)++ != '.' ||
		    take_number(at, 1, 5, &ret->week) < 0 || *(*at)++ != '.' ||
		    take_number(at, 0, 6, &ret->weekday) < 0)
			return -1;
	} else if (**at == 'J') {
		ret->form = ZONE_DATE_JULIAN;
		if ((++*at, take_number(at, 1, 365, &ret->day)) < 0)
			return -1;
	} else {
		ret->form = ZONE_DATE_DAY;
		if (take_number(at, 0, 365, &ret->day) < 0)
			return -1;
	}
	return **at == '/' ? (++*at, take_time(at, HOURS_MAX, &ret->time)) : 0;
}

int
zone_posix_parse(const char *text, struct zone_posix *ret)
{
	struct zone_posix posix = { 0 };
	const char *at = text;

	/* What is written is added to local time to get UTC: west is positive. */
	if (take_name(&at, posix.standard.abbreviation) < 0 ||
	    take_time(&at, 24, &posix.standard.offset) < 0)
		return -1;
	posix.standard.offset = -posix.standard.offset;
	if (*at != '\0') {
		posix.has_summer = true;
		posix.summer.offset = posix.standard.offset + 3600;
		if (take_name(&at, posix.summer.abbreviation) < 0)
			return -1;
		if (*at != '\0' && *at != ',') {
			if (take_time(&at, 24, &posix.summer.offset) < 0)
				return -1;
			posix.summer.offset = -posix.summer.offset;
		}
		if (*at == '\0')
			at = ",M3.2.0,M11.1.0";
		if (*at++ != ',' || take_date(&at, &posix.start) < 0 || *at++ != ',' ||
		    take_date(&at, &posix.end) < 0 || *at != '\0')
			return -1;
	}
	*ret = posix;
	return 0;
}

/* ---- what holds -------------------------------------------------------------------------- */

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The seconds since 1970 that a local clock shows at that moment of a year. */
static int64_t
moment(const struct zone_date *date, int64_t year)
{
	int64_t day;

	if (date->form == ZONE_DATE_MONTH) {
		int64_t first = zone_days(year, date->month, 1);
		int64_t after = date->month == 12 ? zone_days(year + 1, 1, 1) :
						    zone_days(year, date->month + 1, 1);
		/* 1970-01-01 was a Thursday: 4, counted from Sunday. */
		int64_t weekday = (first % 7 + 7 + 4) % 7;

		day = first + (date->weekday - weekday + 7) % 7 + 7 * (date->week - 1);
		if (day >= after)
			day -= 7;
	} else {
		day = zone_days(year, 1, 1) + date->day;
		if (date->form == ZONE_DATE_JULIAN && !(is_leap(year) && date->day >= 60))
			day--;
	}
	return day * DAY + date->time;
}

static int64_t
year_at(const struct zone_posix *posix, int64_t second)
{
	int64_t year;
	int month, day;

	zone_date_of(zone_floor(second + posix->standard.offset, DAY), &year, &month, &day);
	return year;
}

/* A time of up to a week either way can take a change into the year before or behind its own: so those
 * of neighbouring years are looked at too.  Of two at one second the beginning of summer time counts:
 * it is how a file says that it has no end. */
const struct zone_kind *
zone_posix_at(const struct zone_posix *posix, int64_t second)
{
	int64_t year, latest = INT64_MIN;
	bool summer = false;

	if (!posix->has_summer)
		return &posix->standard;
	year = year_at(posix, second);
	for (int64_t y = year - 2; y <= year + 1; y++) {
		int64_t end = moment(&posix->end, y) - posix->summer.offset;
		int64_t start = moment(&posix->start, y) - posix->standard.offset;

		if (end <= second && end > latest) {
			latest = end;
			summer = false;
		}
		if (start <= second && start >= latest) {
			latest = start;
			summer = true;
		}
	}
	return summer ? &posix->summer : &posix->standard;
}

int64_t
zone_posix_next(const struct zone_posix *posix, int64_t second)
{
	int32_t offset = zone_posix_at(posix, second)->offset;
	int64_t year, next = INT64_MAX;

	if (!posix->has_summer)
		return INT64_MAX;
	year = year_at(posix, second);
	for (int64_t y = year - 1; y <= year + 2; y++) {
		int64_t changes[] = { moment(&posix->start, y) - posix->standard.offset,
			moment(&posix->end, y) - posix->summer.offset };

		for (int i = 0; i < 2; i++)
			if (changes[i] > second && changes[i] < next &&
			    zone_posix_at(posix, changes[i])->offset != offset)
				next = changes[i];
	}
	return next;
}
