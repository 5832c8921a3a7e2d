/* Time zones, held against the C library's own reading of the same files. */
#include "base/zone.h"

#include <fcntl.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "unit.h"

static const char *const zones[] = { "Europe/Rome", "Europe/London", "Europe/Dublin",
	"Europe/Moscow", "Europe/Lisbon", "Europe/Istanbul", "Europe/Chisinau", "America/New_York",
	"America/Los_Angeles", "America/St_Johns", "America/Sao_Paulo", "America/Santiago",
	"America/Havana", "America/Nuuk", "America/Scoresbysund", "America/Caracas",
	"America/Phoenix", "America/Asuncion", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran",
	"Asia/Jerusalem", "Asia/Gaza", "Asia/Tokyo", "Asia/Shanghai", "Asia/Pyongyang",
	"Asia/Kabul", "Asia/Beirut", "Asia/Manila", "Australia/Lord_Howe", "Australia/Sydney",
	"Australia/Eucla", "Australia/Adelaide", "Africa/Casablanca", "Africa/El_Aaiun",
	"Africa/Cairo", "Africa/Monrovia", "Africa/Juba", "Pacific/Auckland", "Pacific/Chatham",
	"Pacific/Apia", "Pacific/Kiritimati", "Pacific/Easter", "Pacific/Norfolk",
	"Pacific/Marquesas", "Antarctica/Troll", "Antarctica/Casey", "Atlantic/Azores",
	"Indian/Maldives", "Etc/GMT+12", "Etc/GMT-14", "UTC" };

static const char *const strings[] = { "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT",
	"<+0330>-3:30", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "IST-2IDT,M3.4.4/26,M10.5.0",
	"NZST-12NZDT,M9.5.0,M4.1.0/3", "IST-1GMT0,M10.5.0,M3.5.0/1",
	"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "AAA3BBB,J60/0,J300/0", "AAA3BBB,59/0,299/0",
	"AAA-5BBB-6:30:15,M11.5.6/100,M3.1.1/-100" };

#define YEAR INT64_C(31556952)
#define FIRST (-70 * YEAR)
#define LAST (130 * YEAR)

static struct zone *
open_zone(const char *name)
{
	struct zone *zone = NULL;
	struct err err = ERR_INIT;

	if (zone_open(name, &zone, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return zone;
}

/* True where zone and C library agree about a second; the library has this zone as its own. */
static bool
agrees(const struct zone *zone, int64_t second)
{
	const time_t at = (time_t)second;
	struct zone_time got;
	struct tm want;

	zone_local(zone, second * USEC + 999999, &got);
	localtime_r(&at, &want);
	if (got.year == want.tm_year + 1900 && got.month == want.tm_mon + 1 &&
	    got.day == want.tm_mday && got.hour == want.tm_hour && got.minute == want.tm_min &&
	    got.second == want.tm_sec && got.weekday == (want.tm_wday + 6) % 7 &&
	    got.offset == want.tm_gmtoff && strncmp(got.abbreviation, want.tm_zone, 7) == 0)
		return true;
	unit_fail(__FILE__, __LINE__,
	    "%s at %lld: %d-%02d-%02d %02d:%02d:%02d %+d %s, expected %+ld %s", zone_name(zone),
	    (long long)second, got.year, got.month, got.day, got.hour, got.minute, got.second,
	    got.offset, got.abbreviation, want.tm_gmtoff, want.tm_zone);
	return false;
}

static int
offset_at(const struct zone *zone, int64_t instant)
{
	struct zone_time time;

	zone_local(zone, instant, &time);
	return time.offset;
}

/* A look each week or so, and on both sides of each change; between two looks nothing is missed. */
static void
compare(const struct zone *zone, int64_t first, int64_t last, int64_t step)
{
	int64_t change = zone_next_change(zone, first * USEC);

	for (int64_t second = first; second < last; second += step) {
		while (change <= second * USEC) {
			if (!agrees(zone, change / USEC - 1) || !agrees(zone, change / USEC) ||
			    offset_at(zone, change - 1) == offset_at(zone, change))
				return;
			change = zone_next_change(zone, change);
		}
		if (!agrees(zone, second))
			return;
		if (zone_next_change(zone, second * USEC) != change) {
			unit_fail(__FILE__, __LINE__, "%s at %lld: another next change",
			    zone_name(zone), (long long)second);
			return;
		}
	}
}

TEST(zones_are_those_of_the_c_library)
{
	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
		AUTO(zone_free) struct zone *zone = open_zone(zones[i]);

		setenv("TZ", zones[i], 1);
		tzset();
		if (zone != NULL)
			compare(zone, FIRST, LAST, 7 * 86400 + 5 * 3600 + 17);
	}
}

TEST(each_quarter_of_an_hour_of_some_years)
{
	static const char *const some[] = { "Europe/Rome", "America/New_York",
		"Australia/Lord_Howe", "America/Nuuk", "Africa/Casablanca" };

	for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
		AUTO(zone_free) struct zone *zone = open_zone(some[i]);

		setenv("TZ", some[i], 1);
		tzset();
		if (zone == NULL)
			continue;
		compare(zone, 1767225600 - 86400, 1767225600 + 366 * 86400, 900);
		compare(zone, INT64_C(2524608000), INT64_C(2524608000) + 366 * 86400, 900);
	}
}

TEST(TZ_as_a_posix_string)
{
	for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
		AUTO(zone_free) struct zone *zone = NULL;

		setenv("TZ", strings[i], 1);
		tzset();
		zone = open_zone(NULL);
		if (zone == NULL)
			continue;
		CHECK_STR(zone_name(zone), strings[i]);
		compare(zone, 0, LAST, 86400 + 3601);
	}
}

/* RFC 9636 section 3.3.2: summer time that begins at the second at which it ends. */
TEST(summer_time_all_year)
{
	static const char *const rows[] = { "EST5EDT,0/0,J365/25", "XXX-2<-04>4,0/0,J365/18" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(zone_free) struct zone *zone = NULL;

		setenv("TZ", rows[i], 1);
		zone = open_zone(NULL);
		for (int64_t t = 0; zone != NULL && t < LAST; t += 1800)
			if (offset_at(zone, t * USEC) != -14400) {
				unit_fail(__FILE__, __LINE__, "%s at %lld", rows[i], (long long)t);
				break;
			}
		if (zone != NULL)
			CHECK_INT(zone_next_change(zone, 0), INT64_MAX);
	}
}

/* A time of up to a week takes the change into another year. */
TEST(summer_time_that_begins_with_the_year)
{
	AUTO(zone_free) struct zone *zone = NULL;

	/* From 22 hours before January 1st: 02:00 of December 31st, 01:00 in UTC. */
	setenv("TZ", "AAA-1BBB-2,0/-22,M6.5.0", 1);
	zone = open_zone(NULL);
	if (zone == NULL)
		return;
	CHECK_INT(offset_at(zone, INT64_C(1767142800) * USEC), 7200);
	CHECK_INT(offset_at(zone, INT64_C(1767142800) * USEC - 1), 3600);
	CHECK_INT(zone_next_change(zone, INT64_C(1767142800) * USEC - 1),
	    INT64_C(1767142800) * USEC);
}

TEST(TZ_as_a_name_or_a_path)
{
	static const struct {
		const char *variable, *name;
	} rows[] = {
		{ "Europe/Rome", "Europe/Rome" },
		{ ":Europe/Rome", "Europe/Rome" },
		{ "/usr/share/zoneinfo/Europe/Rome", "Europe/Rome" },
		{ ":/usr/share/zoneinfo/Europe/Rome", "Europe/Rome" },
		{ "", "UTC" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(zone_free) struct zone *zone = NULL;

		setenv("TZ", rows[i].variable, 1);
		tzset();
		zone = open_zone(NULL);
		if (zone == NULL)
			continue;
		CHECK_STR(zone_name(zone), rows[i].name);
		compare(zone, 1767225600, 1767225600 + 366 * 86400, 3600);
	}
	unsetenv("TZ");
	tzset();
	{
		AUTO(zone_free) struct zone *zone = open_zone("");

		if (zone != NULL)
			compare(zone, 1767225600, 1767225600 + 366 * 86400, 3600);
	}
}

TEST(far_from_now)
{
	static const struct {
		int64_t second;
		const char *want;
	} rows[] = {
		{ INT64_C(253402300799), "10000-01-01 00:59:59 CET 5" },
		{ INT64_C(9223372036854), "294247-01-10 05:00:54 CET 6" },
		{ INT64_C(-62135596800), "1-01-01 00:49:56 LMT 0" },
		{ INT64_C(-9223372036854), "-290308-12-21 20:49:02 LMT 6" },
	};
	AUTO(zone_free) struct zone *zone = open_zone("Europe/Rome");
	char text[80];

	for (size_t i = 0; zone != NULL && i < sizeof rows / sizeof rows[0]; i++) {
		struct zone_time t;

		zone_local(zone, rows[i].second * USEC, &t);
		snprintf(text, sizeof text, "%d-%02d-%02d %02d:%02d:%02d %s %d", t.year, t.month,
		    t.day, t.hour, t.minute, t.second, t.abbreviation, t.weekday);
		CHECK_STR(text, rows[i].want);
	}
}

TEST(names_that_are_none)
{
	static const struct {
		const char *name, *message;
	} rows[] = {
		{ "Europe/Roma", "there is no time zone \"Europe/Roma\"; expected one of" },
		{ "europe/rome", "meant is \"Europe/Rome\"?" },
		{ "america/argentina/UShuaia", "meant is \"America/Argentina/Ushuaia\"?" },
		{ "Europe", "is not a time zone file" },
		{ "tzdata.zi", "is not a time zone file" },
		{ "Europe/Rome/", "there is no time zone" },
		{ "Europe/Rome/x", "there is no time zone" },
		{ "/usr/share/zoneinfo/Europe/Rome", "there is no time zone" },
		{ "/etc/localtime", "there is no time zone" },
		{ "../zoneinfo/Europe/Rome", "there is no time zone" },
		{ "Europe/../Europe/Rome", "there is no time zone" },
		{ "./UTC", "there is no time zone" },
		{ "Europe//Rome", "there is no time zone" },
		{ "Europe/Rome\n", "there is no time zone" },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", "there is no time zone" },
		{ ":UTC", "there is no time zone" },
		{ " ", "there is no time zone" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct zone *zone = NULL;
		struct err err = ERR_INIT;

		CHECK_ROW(rows[i].name, zone_open(rows[i].name, &zone, &err) == -1);
		CHECK_ROW(rows[i].name, zone == NULL && err.code == EX_CONFIG);
		if (strstr(err.msg, rows[i].message) == NULL)
			unit_str(__FILE__, __LINE__, rows[i].name, err.msg, rows[i].message);
	}
}

TEST(TZ_that_is_none)
{
	static const char *const rows[] = { "Nowhere/City", "europe/rome", "C3", "CET-1CEST,",
		"CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
		"CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J365", "CET-1CEST,J366,J1",
		"CET-1CEST,366,1", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-25", "CET-1:60",
		"CET-1:0:60", "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1", "CET-1CEST,M3.5,M10",
		"../etc/passwd", "/etc/passwd", "/nonexistent", "\001\002\003" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct zone *zone = NULL;
		struct err err = ERR_INIT;

		setenv("TZ", rows[i], 1);
		CHECK_ROW(rows[i], zone_open(NULL, &zone, &err) == -1 && zone == NULL);
		CHECK_ROW(rows[i],
		    err.code == EX_CONFIG &&
			strncmp(err.msg, "environment variable TZ: ", 25) == 0);
		zone_free(&zone);
	}
	unsetenv("TZ");
}

/* ---- files that were made for it --------------------------------------------------------- */

static void
put_file(const char *name, const void *bytes, size_t n)
{
	char path[300];
	int fd;

	snprintf(path, sizeof path, "%s/%s", unit_tmpdir(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && fs_write(fd, bytes, n) == 0);
	close(fd);
}

/* Opens a zone of these bytes. */
static int
open_bytes(const void *bytes, size_t n, struct zone **ret)
{
	int result;

	put_file("zone", bytes, n);
	setenv("TZDIR", unit_tmpdir(), 1);
	result = zone_open("zone", ret, NULL);
	unsetenv("TZDIR");
	return result;
}

/* The header of a block: ut, standard, leap, times, kinds, letters. */
#define HEADER(version, u, s, l, t, k, c)                                                          \
	"TZif" version "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" u "\0\0\0" s "\0\0\0" l "\0\0\0" t   \
	"\0\0\0" k "\0\0\0" c
#define KIND(b3, b2, b1, index) b3 b2 b1 "\0" index
#define TWO_KINDS                                                                                  \
	"\0\0\x0e\x10\0\0"                                                                         \
	"\0\0\x1c\x20\0\x04"                                                                       \
	"AAA\0BBB\0"
#define EMPTY                                                                                      \
	HEADER("2", "\0", "\0", "\0", "\0", "\x01", "\x01")                                        \
	"\0\0\0\0\0\0"                                                                             \
	"\0"

TEST(a_file_of_version_1)
{
	static const char bytes[] =
	    HEADER("\0", "\0", "\0", "\0", "\x02", "\x02", "\x08") "\xff\xff\xff\x00"
								   "\0\0\x01\0"
								   "\x01\x00" TWO_KINDS;
	AUTO(zone_free) struct zone *zone = NULL;
	struct zone_time time;

	CHECK(open_bytes(bytes, sizeof bytes - 1, &zone) == 0);
	if (zone == NULL)
		return;
	CHECK_INT(zone_next_change(zone, -1000 * USEC), -256 * USEC);
	CHECK_INT(zone_next_change(zone, -256 * USEC), 256 * USEC);
	CHECK_INT(zone_next_change(zone, 256 * USEC), INT64_MAX);
	CHECK_INT(offset_at(zone, -1000 * USEC), 3600);
	CHECK_INT(offset_at(zone, -256 * USEC - 1), 3600);
	CHECK_INT(offset_at(zone, -256 * USEC), 7200);
	CHECK_INT(offset_at(zone, 256 * USEC), 3600);
	zone_local(zone, 0, &time);
	CHECK_STR(time.abbreviation, "BBB");
}

TEST(damaged_files_are_refused)
{
#define BLOCK(t, after)                                                                            \
	EMPTY HEADER("2", "\0", "\0", "\0", "\x02", "\x02", "\x08") t after TWO_KINDS
#define TIMES                                                                                      \
	"\0\0\0\0\0\0\0\x01"                                                                       \
	"\0\0\0\0\0\0\0\x02"
#define ROW(name, bytes, ok)                                                                       \
	{                                                                                          \
		name, bytes, sizeof(bytes) - 1, ok                                                 \
	}
	static const struct {
		const char *name, *bytes;
		size_t n;
		bool ok;
	} rows[] = {
		ROW("whole", BLOCK(TIMES, "\x01\x00") "\nAAA-1BBB,M3.5.0,M10.5.0\n", true),
		ROW("whole, no rule", BLOCK(TIMES, "\x01\x00") "\n\n", true),
		ROW("no kinds", EMPTY HEADER("2", "\0", "\0", "\0", "\0", "\0", "\x01") "\0\n\n",
		    false),
		ROW("empty", "", false),
		ROW("text", "Europe/Rome", false),
		ROW("first block alone", EMPTY, false),
		ROW("no footer", BLOCK(TIMES, "\x01\x00"), false),
		ROW("half a footer", BLOCK(TIMES, "\x01\x00") "\nAAA-1", false),
		ROW("a footer that is none", BLOCK(TIMES, "\x01\x00") "\nAAA\n", false),
		ROW("a zero byte in the footer", BLOCK(TIMES, "\x01\x00") "\nAAA-1\0\n", false),
		ROW("an unknown kind", BLOCK(TIMES, "\x01\x02") "\n\n", false),
		ROW("times that fall",
		    BLOCK("\0\0\0\0\0\0\0\x02"
			  "\0\0\0\0\0\0\0\x01",
			"\x01\x00") "\n\n",
		    false),
		ROW("a time twice",
		    BLOCK("\0\0\0\0\0\0\0\x02"
			  "\0\0\0\0\0\0\0\x02",
			"\x01\x00") "\n\n",
		    false),
		ROW("leap seconds",
		    EMPTY HEADER("2", "\0", "\0", "\x01", "\0", "\x01", "\x04") "\0\0\0\0\0\0"
										"AAA\0"
										"\0\0\0\0\0\0\0\x01"
										"\0\0\0\x01"
										"\n\n",
		    false),
		ROW("a name without an end",
		    EMPTY HEADER("2", "\0", "\0", "\0", "\0", "\x01", "\x03") "\0\0\0\0\0\0"
									      "AAA"
									      "\n\n",
		    false),
		ROW("a name behind the names",
		    EMPTY HEADER("2", "\0", "\0", "\0", "\0", "\x01", "\x04") "\0\0\0\0\0\x04"
									      "AAA\0"
									      "\n\n",
		    false),
		ROW("an offset of days",
		    EMPTY HEADER("2", "\0", "\0", "\0", "\0", "\x01", "\x04") "\0\x02\0\0\0\0"
									      "AAA\0"
									      "\n\n",
		    false),
		ROW("counts beyond the file",
		    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		    "\xff\xff"
		    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		    false),
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(zone_free) struct zone *zone = NULL;

		CHECK_ROW(rows[i].name,
		    (open_bytes(rows[i].bytes, rows[i].n, &zone) == 0) == rows[i].ok);
	}
}

TEST(a_file_with_any_byte_changed_or_cut_does_no_harm)
{
	AUTO_BUF struct buf file = BUF_INIT(65536);
	AUTO_BUF struct buf copy = BUF_INIT(65536);
	int opened = 0, refused = 0;

	CHECK(fs_read_file(AT_FDCWD, "/usr/share/zoneinfo/Australia/Lord_Howe", &file) == 0);
	for (size_t i = 0; i < 2 * file.len; i++) {
		AUTO(zone_free) struct zone *zone = NULL;
		size_t at = i / 2;

		buf_clear(&copy);
		buf_add(&copy, file.s, i % 2 == 0 ? file.len : at);
		if (i % 2 == 0)
			copy.s[at] = (char)(copy.s[at] ^ (at % 3 == 0 ? 0xff : 0x01));
		if (open_bytes(copy.s, copy.len, &zone) < 0) {
			refused++;
			continue;
		}
		opened++;
		for (int64_t t = FIRST; t < LAST; t += 40 * YEAR) {
			int64_t next = zone_next_change(zone, t * USEC);

			CHECK(next > t * USEC);
			CHECK(offset_at(zone, next) > -100000);
		}
	}
	CHECK(opened > 100);
	CHECK(refused > 100);
}

TEST(without_the_database_there_is_UTC)
{
	struct zone *zone = NULL;
	struct err err = ERR_INIT;

	setenv("TZDIR", "/nonexistent", 1);
	CHECK(zone_open("Europe/Rome", &zone, &err) == -1);
	CHECK(strstr(err.msg, "tzdata") != NULL);
	CHECK(zone_open("UTC", &zone, &err) == 0);
	if (zone != NULL) {
		CHECK_INT(zone_next_change(zone, 0), INT64_MAX);
		CHECK_INT(offset_at(zone, 0), 0);
		CHECK_STR(zone_name(zone), "UTC");
	}
	zone_free(&zone);
	unsetenv("TZDIR");
}

UNIT_MAIN()
