#include "base/zone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/zone_private.h"

#define DIRECTORY "/usr/share/zoneinfo"
#define LOCALTIME "/etc/localtime"
#define NAME_MAX_BYTES 255

void
zone_free(struct zone **zone)
{
	struct zone *z = *zone;

	if (z == NULL)
		return;
	free(z->name);
	free(z->kinds);
	free(z->times);
	free(z->after);
	free(z);
	*zone = NULL;
}

/* ---- where it stands --------------------------------------------------------------------- */

static const char *
directory(void)
{
	const char *dir = getenv("TZDIR");

	return dir != NULL && *dir == '/' ? dir : DIRECTORY;
}

/* "Area/City": letters, digits and "_+-." apart by slashes, and no part that is "." or "..". */
static bool
is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_BYTES)
		return false;
	for (const char *part = name;; part++) {
		size_t length = strcspn(part, "/");

		if (length == 0 || *part == '.' || *part == '-')
			return false;
		for (size_t i = 0; i < length; i++) {
			char c = part[i];

			if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				(c >= '0' && c <= '9') || strchr("_+-.", c) != NULL))
				return false;
		}
		part += length;
		if (*part == '\0')
			return true;
	}
}

struct search {
	const char *part;
	size_t length;
	char found[NAME_MAX_BYTES + 1];
};

static int
compare_part(const char *name, unsigned char type, void *arg)
{
	struct search *s = arg;

	(void)type;
	if (strlen(name) != s->length || strncasecmp(name, s->part, s->length) != 0)
		return 0;
	snprintf(s->found, sizeof s->found, "%s", name);
	return 1;
}

/* The zone that differs from this name in nothing but the case of letters, into ret. */
static bool
find_near(const char *name, char ret[NAME_MAX_BYTES + 1])
{
	AUTO_FD int dir = open(directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = 0;

	for (const char *part = name; dir >= 0;) {
		struct search s = { .part = part, .length = strcspn(part, "/") };
		int below;

		if (fs_each(dir, compare_part, &s) != 1)
			return false;
		memcpy(ret + n, s.found, s.length);
		n += s.length;
		ret[n] = '\0';
		if (part[s.length] == '\0')
			return true;
		ret[n++] = '/';
		part += s.length + 1;
		below = openat(dir, s.found, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		auto_close_fd(&dir);
		dir = below;
	}
	return false;
}

/* Zones are links to one another, and /etc/localtime is one: these directories are the system's own,
 * and their links are followed.  -1 with errno; EBADMSG: it is no such file. */
static int
read_file(struct zone *z, const char *path)
{
	AUTO_BUF struct buf file = BUF_INIT(ZONE_FILE_MAX);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	errno = EBADMSG;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)ZONE_FILE_MAX)
		return -1;
	if (fs_read_all(fd, &file) < 0)
		return -1;
	errno = EBADMSG;
	return zone_read_tzif(z, &file);
}

/* As "UTC0" would be. */
static int
be_utc(struct zone *z)
{
	z->has_rule = true;
	return zone_posix_parse("UTC0", &z->rule);
}

static int
read_named(struct zone *z, const char *name)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s/%s", directory(), name) >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (read_file(z, path) == 0)
		return 0;
	/* A system without the tz database has this one all the same. */
	return errno == ENOENT && strcmp(name, "UTC") == 0 ? be_utc(z) : -1;
}

static int
fail(struct err *err, const char *name)
{
	char near[NAME_MAX_BYTES + 1];

	if (errno == EBADMSG || errno == E2BIG || errno == EISDIR)
		return err_set(err, EX_CONFIG,
		    "time zone \"%s\": the file of this name in %s is not a time zone file, or is "
		    "damaged",
		    name, directory());
	if (errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, EX_CONFIG, "time zone \"%s\": cannot read %s/%s", name,
		    directory(), name);
	if (access(directory(), F_OK) < 0)
		return err_set(err, EX_CONFIG,
		    "time zone \"%s\": there is no %s; the package tzdata brings it", name,
		    directory());
	if (is_name(name) && find_near(name, near))
		return err_set(err, EX_CONFIG, "there is no time zone \"%s\"; meant is \"%s\"?",
		    name, near);
	return err_set(err, EX_CONFIG,
	    "there is no time zone \"%s\"; expected one of %s, such as \"Europe/Rome\" or \"UTC\"",
	    name, directory());
}

/* "Europe/Rome" of "/usr/share/zoneinfo/Europe/Rome". */
static const char *
name_in_path(const char *path)
{
	static const char part[] = "/zoneinfo/";
	const char *at = strstr(path, part);

	return at != NULL && is_name(at + sizeof part - 1) ? at + sizeof part - 1 : "local time";
}

static int
read_localtime(struct zone *z, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlink(LOCALTIME, target, sizeof target - 1);

	if (read_file(z, LOCALTIME) < 0) {
		if (errno != ENOENT)
			return err_set(err, EX_CONFIG, LOCALTIME " is not the file of a time zone");
		z->name = xstrdup("UTC");
		return be_utc(z);
	}
	target[n > 0 ? n : 0] = '\0';
	z->name = xstrdup(name_in_path(target));
	return 0;
}

/* $TZ: a name or a path, with a colon before it or without; or a POSIX string. */
static int
read_variable(struct zone *z, const char *text, struct err *err)
{
	const char *name = *text == ':' ? text + 1 : text;

	if (*name == '\0')
		name = "UTC";
	if (*name == '/') {
		z->name = xstrdup(name_in_path(name));
		if (read_file(z, name) < 0)
			return err_set(err, EX_CONFIG,
			    "environment variable TZ: %s is not the file of a time zone", name);
		return 0;
	}
	z->name = xstrdup(name);
	errno = ENOENT;
	if (is_name(name) && read_named(z, name) == 0)
		return 0;
	if (errno != ENOENT || zone_posix_parse(name, &z->rule) < 0) {
		fail(err, name);
		return err_prefix(err, "environment variable TZ");
	}
	z->has_rule = true;
	return 0;
}

static int
read_zone(struct zone *z, const char *name, struct err *err)
{
	const char *variable = getenv("TZ");

	if (name == NULL || *name == '\0')
		return variable != NULL ? read_variable(z, variable, err) : read_localtime(z, err);
	z->name = xstrdup(name);
	errno = ENOENT;
	if (!is_name(name) || read_named(z, name) < 0)
		return fail(err, name);
	return 0;
}

int
zone_open(const char *name, struct zone **ret, struct err *err)
{
	AUTO(zone_free) struct zone *z = xcalloc(1, sizeof *z);

	if (read_zone(z, name, err) < 0)
		return -1;
	*ret = z;
	z = NULL;
	return 0;
}

const char *
zone_name(const struct zone *zone)
{
	return zone->name;
}

/* ---- what holds -------------------------------------------------------------------------- */

/* How many changes lie at or before a second. */
static size_t
changes_until(const struct zone *z, int64_t second)
{
	size_t low = 0, high = z->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->times[middle] <= second)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct zone_kind *
kind_at(const struct zone *z, int64_t second)
{
	size_t passed = changes_until(z, second);

	if (passed == z->count && z->has_rule)
		return zone_posix_at(&z->rule, second);
	return &z->kinds[passed == 0 ? 0 : z->after[passed - 1]];
}

void
zone_local(const struct zone *zone, int64_t instant, struct zone_time *ret)
{
	int64_t second = zone_floor(instant, USEC), local, day, year;
	const struct zone_kind *kind = kind_at(zone, second);
	int of_day;

	local = second + kind->offset;
	day = zone_floor(local, 86400);
	of_day = (int)(local - day * 86400);
	zone_date_of(day, &year, &ret->month, &ret->day);
	ret->year = (int)year;
	ret->hour = of_day / 3600;
	ret->minute = of_day / 60 % 60;
	ret->second = of_day % 60;
	ret->weekday = (int)((day % 7 + 7 + 3) % 7);
	ret->offset = kind->offset;
	memcpy(ret->abbreviation, kind->abbreviation, sizeof ret->abbreviation);
}

static int64_t
next_second(const struct zone *z, int64_t second)
{
	int32_t offset = kind_at(z, second)->offset;

	for (size_t i = changes_until(z, second); i < z->count; i++) {
		if (kind_at(z, z->times[i])->offset != offset)
			return z->times[i];
		second = z->times[i];
	}
	return z->has_rule ? zone_posix_next(&z->rule, second) : INT64_MAX;
}

int64_t
zone_next_change(const struct zone *zone, int64_t instant)
{
	int64_t second = next_second(zone, zone_floor(instant, USEC));

	return second > INT64_MAX / USEC ? INT64_MAX : second * USEC;
}
