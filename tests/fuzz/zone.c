/* Files of time zones (base/zone.h), and the rule behind their last change. */
#include "fuzz.h"

#include "base/clock.h"
#include "base/zone.h"
#include "base/zone_private.h"

static void
look(const struct zone *zone, int64_t instant)
{
	struct zone_time time;
	int64_t next;

	zone_local(zone, instant, &time);
	FUZZ_CHECK(time.month >= 1 && time.month <= 12 && time.day >= 1 && time.day <= 31);
	FUZZ_CHECK(time.hour >= 0 && time.hour < 24 && time.minute >= 0 && time.minute < 60);
	FUZZ_CHECK(time.weekday >= 0 && time.weekday < 7);
	FUZZ_CHECK(time.offset >= ZONE_OFFSET_MIN && time.offset <= ZONE_OFFSET_MAX);
	next = zone_next_change(zone, instant);
	FUZZ_CHECK(next > instant);
}

FUZZ(bytes, n)
{
	static const int64_t instants[] = { 0, -1, INT64_C(-5000000000) * USEC, 1732170240 * USEC,
		INT64_C(4102444800) * USEC, INT64_C(9000000000) * USEC };
	struct buf file = BUF_INIT(ZONE_FILE_MAX);
	AUTO(zone_free) struct zone *zone = xcalloc(1, sizeof *zone);
	AUTO_FREE char *text = fuzz_text(bytes, n);
	struct zone posix = { .has_rule = true };

	buf_add(&file, bytes, n);
	if (zone_read_tzif(zone, &file) == 0)
		for (size_t i = 0; i < sizeof instants / sizeof *instants; i++)
			look(zone, instants[i]);
	if (zone_posix_parse(text, &posix.rule) == 0)
		for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
			int64_t second = instants[i] / USEC;

			FUZZ_CHECK(zone_posix_at(&posix.rule, second) != NULL);
			FUZZ_CHECK(zone_posix_next(&posix.rule, second) > second);
		}
	buf_release(&file);
}
