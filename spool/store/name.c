#include "spool/store/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/num.h"

static const char base32_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static bool
stands_for_itself(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c == '-' || c == '_' || c == '@' || c == '=' || c == '+' || (c == '.' && !first);
}

int
name_encode(const char *text, size_t max, char *ret)
{
	char *out = ret;

	if (text[0] == '\0') {
		errno = EINVAL;
		return -1;
	}
	for (const char *p = text; *p != '\0'; p++) {
		bool plain = stands_for_itself(*p, p == text);

		if ((size_t)(out - ret) + (plain ? 1 : 3) > max) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (plain)
			*out++ = *p;
		else
			out += snprintf(out, 4, "%%%02X", (unsigned char)*p);
	}
	*out = '\0';
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
name_decode(const char *encoded, char *ret)
{
	const char *p = encoded;

	while (*p != '\0') {
		if (*p == '%') {
			int high = hex_digit(p[1]);
			int low = high < 0 ? -1 : hex_digit(p[2]);

			if (low < 0 || high * 16 + low == 0)
				return -1;
			*ret++ = (char)(high * 16 + low);
			p += 3;
		} else if (stands_for_itself(*p, p == encoded)) {
			*ret++ = *p++;
		} else {
			return -1;
		}
	}
	*ret = '\0';
	return p == encoded ? -1 : 0;
}

/* Digits of base 32, most significant first. */
static void
base32(uint64_t value, int digits, char *ret)
{
	for (int i = digits - 1; i >= 0; i--) {
		ret[i] = base32_digits[value & 31];
		value >>= 5;
	}
}

static uint64_t
random64(void)
{
	uint64_t value = 0;

	/* Cannot fail for so few bytes once the system has booted (getrandom(2)). */
	while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
		;
	return value;
}

void
token_make(char ret[TOKEN_SIZE])
{
	int64_t now = clock_now();
	int n = snprintf(ret, TOKEN_SIZE, "%lld.%06lld.", (long long)(now / USEC),
	    (long long)(now % USEC));

	base32(random64(), 8, ret + n);
	ret[n + 8] = '\0';
}

void
id_make(char ret[ID_TEXT_MAX + 1])
{
	base32((uint64_t)(clock_now() / USEC), 7, ret);
	base32(random64(), 13, ret + 7);
	ret[20] = '\0';
}

int64_t
id_made_at(const char *id)
{
	int64_t seconds = 0;

	if (strlen(id) != 20 || strspn(id, base32_digits) != 20)
		return 0;
	for (int i = 0; i < 7; i++)
		seconds = seconds << 5 | (strchr(base32_digits, id[i]) - base32_digits);
	return seconds * USEC;
}

void
message_name_format(const struct message_name *name, char ret[NAME_SIZE])
{
	snprintf(ret, NAME_SIZE, "%d.%lld.%06lld.%u.%llu.%s", name->priority,
	    (long long)(name->due / USEC), (long long)(name->due % USEC), name->attempts,
	    (unsigned long long)name->offset, name->id);
}

/* Reads a decimal number up to a dot (or the end where end is allowed) and moves *p behind it.  Without leading
 * zeros: a message whose name is not as it would be written would never be found again under that. */
static int
take_number(const char **p, uint64_t max, bool at_end, uint64_t *ret)
{
	size_t n = strcspn(*p, ".");

	if (n == 0 || (n > 1 && **p == '0') || num_u64_view(*p, n, max, ret) < 0)
		return -1;
	if ((*p)[n] == '\0') {
		if (!at_end)
			return -1;
		*p += n;
	} else {
		*p += n + 1;
	}
	return 0;
}

static int
take_instant(const char **p, int64_t *ret)
{
	uint64_t seconds, micros;

	if (take_number(p, INT64_MAX / USEC - 1, false, &seconds) < 0 || strcspn(*p, ".") != 6 ||
	    (*p)[6] != '.' || num_u64_view(*p, 6, USEC - 1, &micros) < 0)
		return -1;
	*p += 7;
	*ret = (int64_t)seconds * USEC + (int64_t)micros;
	return 0;
}

int
message_name_parse(const char *text, struct message_name *ret)
{
	struct message_name name;
	uint64_t number;
	size_t n;
	char decoded[ID_TEXT_MAX + 1];

	if (take_number(&text, PRIORITY_MAX, false, &number) < 0)
		return -1;
	name.priority = (int)number;
	if (take_instant(&text, &name.due) < 0 ||
	    take_number(&text, ATTEMPTS_MAX, false, &number) < 0)
		return -1;
	name.attempts = (unsigned int)number;
	if (take_number(&text, INT64_MAX, false, &name.offset) < 0)
		return -1;
	n = strlen(text);
	if (n == 0 || n > ID_TEXT_MAX)
		return -1;
	memcpy(name.id, text, n + 1);
	if (name_decode(name.id, decoded) < 0)
		return -1;
	*ret = name;
	return 0;
}

void
bucket_name_format(const struct bucket_name *name, char ret[BUCKET_SIZE])
{
	snprintf(ret, BUCKET_SIZE, "%s%d.%lld%s%s", name->unsettled ? "." : "", name->priority,
	    (long long)(name->start / USEC), name->token[0] != '\0' ? "." : "", name->token);
}

int
bucket_name_parse(const char *text, struct bucket_name *ret)
{
	struct bucket_name name = { .unsettled = text[0] == '.' };
	uint64_t number;
	size_t n;

	if (name.unsettled)
		text++;
	if (take_number(&text, PRIORITY_MAX, false, &number) < 0)
		return -1;
	name.priority = (int)number;
	if (take_number(&text, INT64_MAX / USEC - 1, true, &number) < 0)
		return -1;
	name.start = (int64_t)number * USEC;
	n = strlen(text);
	if (n >= sizeof name.token || strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz.") != n)
		return -1;
	memcpy(name.token, text, n + 1);
	*ret = name;
	return 0;
}

int
instant_parse(const char *value, int64_t *ret)
{
	const char *dot = strchr(value, '.');
	uint64_t seconds, micros;

	if (dot == NULL || strlen(dot + 1) != 6 ||
	    num_u64_view(value, (size_t)(dot - value), INT64_MAX / USEC - 1, &seconds) < 0 ||
	    num_u64_view(dot + 1, 6, USEC - 1, &micros) < 0)
		return -1;
	*ret = (int64_t)seconds * USEC + (int64_t)micros;
	return 0;
}

int64_t
bucket_start(int64_t due)
{
	return due - due % (BUCKET_SPAN * USEC);
}

/* Appends a part behind a comma; an empty text is an empty part. */
static int
add_part(const char *text, size_t max, char *ret)
{
	size_t n = strlen(ret);
	size_t room = LANE_MAX - n - 1;

	if (n >= LANE_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	ret[n] = ',';
	ret[n + 1] = '\0';
	return text[0] != '\0' ? name_encode(text, max < room ? max : room, ret + n + 1) : 0;
}

int
lane_format(const char *account, const char *batch, const char *domain, char *ret)
{
	bool has_batch = batch != NULL && batch[0] != '\0';
	bool has_domain = domain != NULL && domain[0] != '\0';

	if (name_encode(account, LANE_PART_MAX, ret) < 0)
		return -1;
	if ((has_batch || has_domain) && add_part(has_batch ? batch : "", LANE_PART_MAX, ret) < 0)
		return -1;
	return has_domain ? add_part(domain, LANE_DOMAIN_MAX, ret) : 0;
}

static int
take_part(const char *text, size_t max, char *ret)
{
	return strlen(text) > max ? -1 : name_decode(text, ret);
}

int
lane_parse(const char *text, struct lane *ret)
{
	char parts[LANE_MAX + 1];
	char *batch, *domain = NULL;
	const char *end;
	size_t n;

	if (text[0] == '.')
		text++;
	end = strchr(text, '~');
	n = end != NULL ? (size_t)(end - text) : strlen(text);
	if (n > LANE_MAX)
		return -1;
	memcpy(parts, text, n);
	parts[n] = '\0';
	ret->batch[0] = ret->domain[0] = '\0';
	batch = strchr(parts, ',');
	if (batch != NULL) {
		*batch++ = '\0';
		domain = strchr(batch, ',');
	}
	if (domain != NULL) {
		*domain++ = '\0';
		if (take_part(domain, LANE_DOMAIN_MAX, ret->domain) < 0)
			return -1;
	}
	if (batch != NULL && (batch[0] != '\0' || domain == NULL) &&
	    take_part(batch, LANE_PART_MAX, ret->batch) < 0)
		return -1;
	return take_part(parts, LANE_PART_MAX, ret->account);
}

int
lane_settled(const char *text, char *ret)
{
	struct lane lane;

	return lane_parse(text, &lane) < 0 ?
	    -1 :
	    lane_format(lane.account, lane.batch, lane.domain, ret);
}

int
message_name_compare(const struct message_name *a, const struct message_name *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return strcmp(a->id, b->id);
}
