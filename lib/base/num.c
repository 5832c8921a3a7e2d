#include "base/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int
fail(int number)
{
	errno = number;
	return -1;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
num_u64_view(const char *s, size_t len, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	bool over = false;

	if (len == 0)
		return fail(EINVAL);
	for (size_t i = 0; i < len; i++) {
		uint64_t digit;

		if (!is_digit(s[i]))
			return fail(EINVAL);
		digit = (uint64_t)(s[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			over = true;
		else
			value = value * 10 + digit;
	}
	if (over || value > max)
		return fail(ERANGE);
	*ret = value;
	return 0;
}

int
num_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (num_u64_view(text, strlen(text), max, &value) < 0)
		return -1;
	if (value < min)
		return fail(ERANGE);
	*ret = value;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit span_units[] = {
	{ "ms", 1000 },
	{ "s", UINT64_C(1000000) },
	{ "m", UINT64_C(60) * 1000000 },
	{ "h", UINT64_C(3600) * 1000000 },
	{ "d", UINT64_C(86400) * 1000000 },
	{ "w", UINT64_C(604800) * 1000000 },
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "b", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "ki", UINT64_C(1) << 10 },
	{ "kib", UINT64_C(1) << 10 },
	{ "kb", UINT64_C(1000) },
	{ "m", UINT64_C(1) << 20 },
	{ "mi", UINT64_C(1) << 20 },
	{ "mib", UINT64_C(1) << 20 },
	{ "mb", UINT64_C(1000000) },
	{ "g", UINT64_C(1) << 30 },
	{ "gi", UINT64_C(1) << 30 },
	{ "gib", UINT64_C(1) << 30 },
	{ "gb", UINT64_C(1000000000) },
	{ "t", UINT64_C(1) << 40 },
	{ "ti", UINT64_C(1) << 40 },
	{ "tib", UINT64_C(1) << 40 },
	{ "tb", UINT64_C(1000000000000) },
};

/* The factor of the len bytes at name, or 0 where no unit is called so. */
static uint64_t
unit_factor(const struct unit *units, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].name) == len && strncasecmp(units[i].name, name, len) == 0)
			return units[i].factor;
	return 0;
}

/* Reads "NUMBER [blanks] LETTERS" at *text, moves *text behind it and the blanks that follow. */
static int
read_quantity(const char **text, uint64_t *ret_number, const char **ret_unit, size_t *ret_unit_len)
{
	const char *p = *text;
	size_t digits = strspn(p, "0123456789");

	if (num_u64_view(p, digits, UINT64_MAX, ret_number) < 0)
		return -1;
	p += digits;
	p += strspn(p, " ");
	*ret_unit = p;
	while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
		p++;
	*ret_unit_len = (size_t)(p - *ret_unit);
	*text = p + strspn(p, " ");
	return 0;
}

int
num_duration(const char *text, int64_t *ret_usec)
{
	const char *p = text;
	uint64_t total = 0;

	do {
		bool first = p == text;
		uint64_t number, factor, part;
		const char *unit;
		size_t len;

		if (read_quantity(&p, &number, &unit, &len) < 0)
			return -1;
		if (len == 0 && first && *p == '\0')
			factor = 1000000;
		else
			factor = unit_factor(span_units, sizeof span_units / sizeof *span_units,
			    unit, len);
		if (factor == 0)
			return fail(EINVAL);
		if (__builtin_mul_overflow(number, factor, &part) ||
		    __builtin_add_overflow(total, part, &total) || total > INT64_MAX)
			return fail(ERANGE);
	} while (*p != '\0');
	*ret_usec = (int64_t)total;
	return 0;
}

int
num_size(const char *text, uint64_t *ret_bytes)
{
	uint64_t number, factor, bytes;
	const char *p = text, *unit;
	size_t len;

	if (read_quantity(&p, &number, &unit, &len) < 0)
		return -1;
	factor = unit_factor(size_units, sizeof size_units / sizeof *size_units, unit, len);
	if (factor == 0 || *p != '\0')
		return fail(EINVAL);
	if (__builtin_mul_overflow(number, factor, &bytes))
		return fail(ERANGE);
	*ret_bytes = bytes;
	return 0;
}

char *
num_size_text(uint64_t bytes, char text[24])
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int step = 0;
	uint64_t tenths;

	while (step < 6 && bytes >> (10 * (step + 1)) > 0)
		step++;
	/* Cut, not rounded: what is said to be there is there. */
	tenths = step == 0 ? 0 : ((bytes >> (10 * (step - 1))) & 1023) * 10 / 1024;
	if (tenths == 0)
		snprintf(text, 24, "%" PRIu64 " %s", bytes >> (10 * step), names[step]);
	else
		snprintf(text, 24, "%" PRIu64 ".%" PRIu64 " %s", bytes >> (10 * step), tenths,
		    names[step]);
	return text;
}

int
num_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}
