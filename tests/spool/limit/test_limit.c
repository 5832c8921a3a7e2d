/* Limits: no window ever sees more than its max, whoever sends, dies, sets the clock or fills the disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/check/check.h"
#include "spool/journal/history.h"
#include "spool/limit/private.h"
#include "spool_fixture.h"

#define MS INT64_C(1000)
#define SECOND USEC
#define MINUTE (60 * USEC)
#define HOUR (3600 * USEC)
#define DAY (86400 * USEC)
/* When tests with a clock of their own begin. */
#define START (INT64_C(1700000000) * USEC)

/* ---- a clock that the test sets ------------------------------------------------------------ */

struct fake {
	int64_t wall, boot;
};

static void
read_fake(struct limit_moment *ret, void *arg)
{
	const struct fake *fake = arg;

	ret->wall = fake->wall;
	ret->boot = ret->boot_up = fake->boot;
}

static void
pass(struct fake *fake, int64_t span)
{
	fake->wall += span;
	fake->boot += span;
}

static struct limit_clock
clock_of(struct fake *fake, const char *boot)
{
	struct limit_clock clock = { .read = read_fake, .arg = fake };

	snprintf(clock.id, sizeof clock.id, "%s", boot);
	return clock;
}

/* What most tests need. */
struct scene {
	struct spool spool;
	struct fake fake;
	struct limit_clock clock;
	struct limit_rule rule;
	struct limit *limit;
	struct limit_look look;
};

static struct limit *
open_one(struct scene *scene)
{
	struct limit *limit = NULL;
	struct err err = ERR_INIT;

	if (limit_open_by(&scene->spool, "main", NULL, &scene->rule, &scene->clock, &limit, &err) <
	    0) {
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
		exit(2);
	}
	return limit;
}

static struct scene *
scene_new(int64_t span, uint64_t max)
{
	struct scene *scene = xcalloc(1, sizeof *scene);

	scene->spool = fresh_spool();
	scene->fake = (struct fake){ START, HOUR };
	scene->clock = clock_of(&scene->fake, "boot-1");
	limit_rule_add(&scene->rule, span, max);
	return scene;
}

static void
scene_end(struct scene *scene)
{
	limit_close(&scene->limit);
	spool_close(&scene->spool);
	free(scene);
}

static int64_t
take(struct scene *scene, struct limit *limit, uint64_t want)
{
	struct err err = ERR_INIT;
	int64_t n = limit_take(limit, want, &scene->look, &err);

	if (n < 0)
		unit_fail(__FILE__, __LINE__, "limit_take: %s", err.msg);
	return n;
}

static void
give(struct limit *limit, uint64_t left, uint64_t unused)
{
	struct err err = ERR_INIT;

	if (limit_give(limit, left, unused, &err) < 0)
		unit_fail(__FILE__, __LINE__, "limit_give: %s", err.msg);
}

static int
look(struct scene *scene)
{
	struct err err = ERR_INIT;
	int result = limit_look_by(&scene->spool, "main", NULL, &scene->rule, &scene->clock,
	    &scene->look, &err);

	if (result < 0)
		printf("# %s\n", err.msg);
	return result;
}

static void
path_of(const struct scene *scene, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/limits/%s", scene->spool.path, name);
}

/* ---- how it counts ------------------------------------------------------------------------- */

TEST(a_window)
{
	struct scene *s = scene_new(MINUTE, 5);

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 3), 3);
	CHECK_INT(s->look.free, 2);
	CHECK_INT(s->look.held, 3);
	pass(&s->fake, SECOND);
	give(s->limit, 2, 1);
	/* Two left after a second; three are to be had, however many are wanted. */
	CHECK_INT(take(s, s->limit, 100), 3);
	CHECK_INT(s->look.free, 0);
	CHECK_INT(s->look.used, 5);
	CHECK_INT(s->look.window, 0);
	CHECK_INT(s->look.next, START + SECOND + MINUTE);
	pass(&s->fake, 10 * SECOND);
	give(s->limit, 3, 0);
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.next, START + SECOND + MINUTE);
	/* A window is half open: exactly its span later there is room, and no instant before. */
	pass(&s->fake, 50 * SECOND - 1);
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.next, s->fake.wall + 1);
	pass(&s->fake, 1);
	CHECK_INT(take(s, s->limit, 5), 2);
	/* All others depend on what is held: of the five, two are held, three leave at once. */
	CHECK_INT(s->look.next, START + 11 * SECOND + MINUTE);
	pass(&s->fake, 10 * SECOND);
	CHECK_INT(take(s, s->limit, 5), 3);
	CHECK_INT(s->look.held, 5);
	CHECK_INT(s->look.next, 0);
	give(s->limit, 0, 5);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.free, 5);
	scene_end(s);
}

TEST(several_windows)
{
	struct scene *s = scene_new(MINUTE, 3);
	int64_t sent = 0, last = 0;

	limit_rule_add(&s->rule, HOUR, 10);
	limit_rule_add(&s->rule, DAY, 25);
	limit_rule_add(&s->rule, 10 * SECOND, 1);
	s->limit = open_one(s);
	/* As fast as it goes, for two days, each time at the very instant that was told. */
	for (int i = 0; i < 200 && s->fake.wall < START + 2 * DAY; i++) {
		int64_t n = take(s, s->limit, 10);

		CHECK(n <= 1);
		if (n == 1 && last != 0)
			CHECK(s->fake.boot - last >= 10 * SECOND);
		if (n == 1) {
			last = s->fake.boot;
			sent++;
			give(s->limit, 1, 0);
			CHECK_INT(take(s, s->limit, 0), 0);
		}
		CHECK_INT(s->look.free, 0);
		CHECK(s->look.next > s->fake.wall);
		pass(&s->fake, s->look.next - s->fake.wall);
	}
	CHECK_INT(sent, 50);
	scene_end(s);
}

/* Which of them is told of: the one that keeps all others waiting. */
TEST(the_tightest)
{
	struct scene *s = scene_new(MINUTE, 2);

	limit_rule_add(&s->rule, HOUR, 3);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2), 2);
	give(s->limit, 2, 0);
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.window, 0);
	CHECK_INT(s->look.used, 2);
	pass(&s->fake, MINUTE);
	CHECK_INT(take(s, s->limit, 2), 1);
	give(s->limit, 1, 0);
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.window, 1);
	CHECK_INT(s->look.used, 3);
	CHECK_INT(s->look.next, START + HOUR);
	scene_end(s);
}

TEST(at_once)
{
	struct scene *s = scene_new(MINUTE, 100);
	struct limit *other;

	s->rule.at_once = 4;
	s->limit = open_one(s);
	other = open_one(s);
	CHECK_INT(take(s, s->limit, 3), 3);
	CHECK_INT(take(s, other, 3), 1);
	CHECK_INT(s->look.window, -1);
	CHECK_INT(s->look.next, 0);
	CHECK_INT(s->look.used, 4);
	give(s->limit, 2, 0);
	CHECK_INT(take(s, other, 3), 2);
	CHECK_INT(take(s, other, 3), 0);
	limit_close(&other);
	CHECK_INT(take(s, s->limit, 9), 3);
	scene_end(s);

	/* Also without any window. */
	s = scene_new(MINUTE, 0);
	s->rule.at_once = 2;
	CHECK_INT(s->rule.count, 0);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 3), 2);
	give(s->limit, 2, 0);
	CHECK_INT(take(s, s->limit, 3), 2);
	scene_end(s);
}

TEST(more_is_not_given_than_was_taken)
{
	struct scene *s = scene_new(MINUTE, 5);

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2), 2);
	give(s->limit, 1, 7);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 4);
	CHECK_INT(s->look.held, 0);
	give(s->limit, 3, 3);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 4);
	scene_end(s);
}

/* Always asked for more than there is, and the slots come back after a moment. */
TEST(it_is_used_up)
{
	struct scene *s = scene_new(MINUTE, 30);
	int64_t sent = 0;

	s->limit = open_one(s);
	while (s->fake.wall < START + 2 * HOUR) {
		int64_t n = take(s, s->limit, 10);

		sent += n;
		if (n > 0) {
			pass(&s->fake, 300 * MS);
			give(s->limit, (uint64_t)n, 0);
		} else {
			pass(&s->fake, s->look.next - s->fake.wall);
		}
	}
	CHECK(sent <= 30 * 120 + 30);
	CHECK(sent >= 30 * 120 * 95 / 100);
	scene_end(s);
}

/* ---- against a simpler one ------------------------------------------------------------------ */

#define MODEL_MAX 4096

struct model {
	int64_t left[MODEL_MAX];
	size_t count;
	uint64_t held[3];
};

static uint64_t
model_free(const struct model *model, const struct limit_rule *rule, int64_t now)
{
	uint64_t free_slots = UINT64_MAX, held = model->held[0] + model->held[1] + model->held[2];

	for (size_t w = 0; w < rule->count; w++) {
		uint64_t used = held;

		for (size_t i = 0; i < model->count; i++)
			used += model->left[i] > now - rule->windows[w].span;
		used = used < rule->windows[w].max ? rule->windows[w].max - used : 0;
		free_slots = used < free_slots ? used : free_slots;
	}
	return free_slots;
}

/* When there will be room, should nothing be given back unused. */
static int64_t
model_next(const struct model *model, const struct limit_rule *rule, int64_t now)
{
	int64_t next = now;

	for (size_t i = 0; i < model->count; i++)
		for (size_t w = 0; w < rule->count; w++) {
			int64_t at = model->left[i] + rule->windows[w].span;

			if (at > now && model_free(model, rule, at) > 0 &&
			    (next == now || at < next))
				next = at;
		}
	return next == now ? 0 : next;
}

TEST(as_a_simple_one_counts)
{
	struct scene *s = scene_new(10 * SECOND, 7);
	struct limit *limits[3];
	struct model model = { .count = 0 };
	unsigned int seed = 20261121;

	limit_rule_add(&s->rule, 60 * SECOND, 20);
	limit_rule_add(&s->rule, SECOND, 3);
	for (int i = 0; i < 3; i++)
		limits[i] = open_one(s);
	for (int step = 0; step < 6000 && unit_failures == 0; step++) {
		int who = rand_r(&seed) % 3, what = rand_r(&seed) % 10;

		pass(&s->fake, rand_r(&seed) % (what == 9 ? 8 * SECOND : 400 * MS));
		if (what == 8 && rand_r(&seed) % 4 == 0) {
			for (uint64_t i = 0; i < model.held[who]; i++)
				model.left[model.count++] = s->fake.wall;
			model.held[who] = 0;
			limit_close(&limits[who]);
			limits[who] = open_one(s);
		} else if (what < 5) {
			uint64_t want = (uint64_t)(rand_r(&seed) % 6);
			uint64_t expected = model_free(&model, &s->rule, s->fake.wall);

			expected = expected < want ? expected : want;
			CHECK_INT(take(s, limits[who], want), expected);
			model.held[who] += expected;
			CHECK_INT(s->look.free, model_free(&model, &s->rule, s->fake.wall));
			if (s->look.free == 0)
				CHECK_INT(s->look.next, model_next(&model, &s->rule, s->fake.wall));
		} else if (model.held[who] > 0) {
			uint64_t left = (uint64_t)rand_r(&seed) % (model.held[who] + 1);
			uint64_t unused = (uint64_t)rand_r(&seed) % (model.held[who] - left + 1);

			give(limits[who], left, unused);
			model.held[who] -= left + unused;
			for (uint64_t i = 0; i < left; i++)
				model.left[model.count++] = s->fake.wall;
			CHECK_INT(look(s), 0);
			CHECK_INT(s->look.free, model_free(&model, &s->rule, s->fake.wall));
		}
		CHECK(model.count < MODEL_MAX - 30);
	}
	CHECK(model.count > 300); /* so the ring was full several times */
	for (int i = 0; i < 3; i++)
		limit_close(&limits[i]);
	scene_end(s);
}

/* ---- clocks -------------------------------------------------------------------------------- */

TEST(a_wall_clock_that_is_set)
{
	static const int64_t steps[] = { DAY, -DAY, 30 * SECOND, -30 * SECOND, 20 * 365 * DAY };

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct scene *s = scene_new(MINUTE, 2);

		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 2), 2);
		give(s->limit, 2, 0);
		pass(&s->fake, 20 * SECOND);
		s->fake.wall += steps[i];
		/* 40 seconds are left, by whatever clock. */
		CHECK_INT(take(s, s->limit, 2), 0);
		CHECK_INT(s->look.next, s->fake.wall + 40 * SECOND);
		CHECK_INT(look(s), 0);
		CHECK_INT(s->look.next, s->fake.wall + 40 * SECOND);
		pass(&s->fake, 40 * SECOND - 1);
		CHECK_INT(take(s, s->limit, 2), 0);
		limit_close(&s->limit);
		s->limit = open_one(s);
		pass(&s->fake, 1);
		CHECK_INT(take(s, s->limit, 2), 2);
		scene_end(s);
	}
}

TEST(another_boot)
{
	/* By how much the wall clock went on, and how long a slot is still full then. */
	static const struct {
		const char *name;
		int64_t wall, wait;
	} rows[] = {
		{ "down for 20 s", 20 * SECOND, 40 * SECOND },
		{ "down for an hour", HOUR, 0 },
		{ "a clock that stood still", 0, MINUTE },
		{ "a clock that was lost", -20 * 365 * DAY, MINUTE },
		{ "a clock of the far future", 500 * 365 * DAY, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene *s = scene_new(MINUTE, 2);
		struct err err = ERR_INIT;

		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 2), 2);
		give(s->limit, 2, 0);
		CHECK_INT(take(s, s->limit, 0), 0);
		/* All of it on disk for sure. */
		pass(&s->fake, MINUTE);
		CHECK_INT(take(s, s->limit, 2), 2);
		CHECK_INT(limit_sync(s->limit, &err), 0);
		give(s->limit, 2, 0);
		pass(&s->fake, MINUTE);
		CHECK_INT(take(s, s->limit, 2), 2);
		CHECK_INT(limit_sync(s->limit, &err), 0);
		give(s->limit, 0, 2);
		pass(&s->fake, -MINUTE);
		limit_close(&s->limit);
		s->fake.wall += rows[i].wall;
		s->fake.boot = 3 * SECOND;
		s->clock = clock_of(&s->fake, "boot-2");
		CHECK_INT(look(s), 0);
		CHECK_INT(s->look.free, rows[i].wait > 0 ? 0 : 2);
		if (rows[i].wait > 0)
			CHECK_INT(s->look.next, s->fake.wall + rows[i].wait);
		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 0), 0);
		CHECK_INT(s->look.free, rows[i].wait > 0 ? 0 : 2);
		if (rows[i].wait > 0) {
			CHECK_INT(s->look.next, s->fake.wall + rows[i].wait);
			pass(&s->fake, rows[i].wait - 1);
			CHECK_INT(take(s, s->limit, 2), 0);
			/* A clock that is put right now changes nothing. */
			s->fake.wall = START + 30 * 365 * DAY;
			pass(&s->fake, 1);
		}
		CHECK_INT(take(s, s->limit, 2), 2);
		scene_end(s);
	}
}

/* Stamps that were not synced may be missing after a power cut, whatever the page says. */
TEST(what_a_power_cut_takes)
{
	struct scene *s = scene_new(MINUTE, 4);
	char path[PATH_MAX];
	struct err err = ERR_INIT;
	int fd;

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 1), 1);
	give(s->limit, 1, 0);
	CHECK_INT(take(s, s->limit, 1), 1);
	CHECK_INT(limit_sync(s->limit, &err), 0);
	give(s->limit, 1, 0);
	pass(&s->fake, 10 * SECOND);
	CHECK_INT(take(s, s->limit, 1), 1);
	give(s->limit, 1, 0);
	limit_close(&s->limit);
	/* The page is on disk, of the ring only the first stamp. */
	path_of(s, "main", path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, LIMIT_PAGE + LIMIT_STAMP) == 0);
	close(fd);
	pass(&s->fake, 20 * SECOND);
	s->fake.boot = SECOND;
	s->clock = clock_of(&s->fake, "boot-2");
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 1);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2), 1);
	give(s->limit, 0, 1);
	/* The first is out of the window where it should be; those that were lost are as the last was. */
	pass(&s->fake, 30 * SECOND);
	CHECK_INT(take(s, s->limit, 4), 2);
	CHECK_INT(s->look.next, s->fake.wall + 10 * SECOND);
	pass(&s->fake, 10 * SECOND - 1);
	CHECK_INT(take(s, s->limit, 4), 0);
	pass(&s->fake, 1);
	CHECK_INT(take(s, s->limit, 4), 2);
	scene_end(s);
}

/* Killed between stamps and page: the oldest of a full ring are newer than they should be. */
TEST(stamps_without_their_page)
{
	struct scene *s = scene_new(MINUTE, 64);
	char path[PATH_MAX], page[LIMIT_PAGE];
	int fd;

	s->limit = open_one(s);
	path_of(s, "main", path);
	for (int i = 0; i < 64; i++) {
		CHECK_INT(take(s, s->limit, 1), 1);
		give(s->limit, 1, 0);
		pass(&s->fake, SECOND / 2);
	}
	pass(&s->fake, 50 * SECOND); /* half of them are out of the window */
	CHECK_INT(take(s, s->limit, 10), 10);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK_INT(fs_pread(fd, page, sizeof page, 0), 0);
	give(s->limit, 10, 0);
	CHECK_INT(fs_pwrite(fd, page, sizeof page, 0), 0);
	close(fd);
	for (int i = 0; i <= 120; i++) {
		CHECK_INT(look(s), 0);
		/* 10 left just now; they are taken for held, and were of before the kill. */
		CHECK(s->look.free <= 54);
		pass(&s->fake, SECOND / 2);
	}
	/* It errs for the length of a window, no longer. */
	CHECK(s->look.free == 54);
	scene_end(s);
}

/* ---- holders ------------------------------------------------------------------------------- */

/* A child that takes slots, tells by a byte that it has, and waits to be killed. */
static pid_t
child_that_holds(struct scene *s, uint64_t want)
{
	int ready[2];
	pid_t pid;
	char byte;

	CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct limit *limit = open_one(s);

		if (limit_take(limit, want, NULL, NULL) != (int64_t)want ||
		    limit_sync(limit, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK_INT(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void
kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(who_dies)
{
	struct scene *s = scene_new(MINUTE, 5);
	pid_t pid = child_that_holds(s, 3);

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 5), 2);
	CHECK_INT(s->look.held, 5);
	CHECK_INT(s->look.next, 0);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.held, 5);
	give(s->limit, 0, 2);
	pass(&s->fake, 10 * SECOND);
	kill_child(pid);
	/* Its messages may have left until this is noticed; who only looks counts them so, too. */
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.held, 0);
	CHECK_INT(s->look.free, 2);
	CHECK_INT(take(s, s->limit, 5), 2);
	CHECK_INT(s->look.held, 2);
	CHECK_INT(s->look.next, s->fake.wall + MINUTE);
	give(s->limit, 0, 2);
	pass(&s->fake, MINUTE);
	CHECK_INT(take(s, s->limit, 5), 5);
	/* And who ends without giving back. */
	limit_close(&s->limit);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 0);
	CHECK_INT(s->look.next, s->fake.wall + MINUTE);
	scene_end(s);
}

TEST(more_holders_than_places)
{
	struct scene *s = scene_new(MINUTE, 1000);
	struct limit *limits[LIMIT_HOLDERS + 1];

	for (int i = 0; i <= LIMIT_HOLDERS; i++)
		limits[i] = open_one(s);
	for (int i = 0; i < LIMIT_HOLDERS; i++)
		CHECK_INT(take(s, limits[i], 2), 2);
	CHECK_INT(take(s, limits[LIMIT_HOLDERS], 2), 0);
	CHECK_INT(s->look.free, 0);
	CHECK_INT(s->look.next, 0);
	limit_close(&limits[7]);
	CHECK_INT(take(s, limits[LIMIT_HOLDERS], 2), 2);
	CHECK_INT(s->look.held, 2 * LIMIT_HOLDERS);
	for (int i = 0; i <= LIMIT_HOLDERS; i++)
		limit_close(&limits[i]);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 1000 - 2 * (LIMIT_HOLDERS + 1));
	scene_end(s);
}

/* ---- the ring ------------------------------------------------------------------------------ */

TEST(the_ring_turns)
{
	struct scene *s = scene_new(MINUTE, 60);
	char path[PATH_MAX];
	struct stat st;

	s->limit = open_one(s);
	for (int i = 0; i < 500; i++) {
		CHECK_INT(take(s, s->limit, 7), 7);
		give(s->limit, 7, 0);
		pass(&s->fake, 10 * SECOND);
	}
	CHECK_INT(take(s, s->limit, 100), 60 - 5 * 7);
	path_of(s, "main", path);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_size, LIMIT_PAGE + LIMIT_CAPACITY_MIN * LIMIT_STAMP);
	scene_end(s);
}

/* More at once than are read or written at a stroke, around the ring's end. */
TEST(many_at_once)
{
	struct scene *s = scene_new(MINUTE, 3000);

	s->limit = open_one(s);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(take(s, s->limit, 5000), 3000);
		give(s->limit, 3000, 0);
		CHECK_INT(take(s, s->limit, 1), 0);
		CHECK_INT(s->look.next, s->fake.wall + MINUTE);
		pass(&s->fake, MINUTE);
	}
	scene_end(s);
}

/* The cost of a limit, in stamps looked at, does not grow with it; nor does the file before its time. */
TEST(a_large_limit_costs_no_more)
{
	uint64_t reads[2];

	for (int large = 0; large < 2; large++) {
		uint64_t max = large ? 1000000 : 10, batch = max / 10;
		struct scene *s = scene_new(MINUTE, max);
		char path[PATH_MAX];
		struct stat st;
		uint64_t before;

		s->limit = open_one(s);
		path_of(s, "main", path);
		CHECK(stat(path, &st) == 0 && st.st_size < 32768);
		for (int i = 0; i < 25; i++) { /* around the ring twice */
			CHECK_INT(take(s, s->limit, batch), batch);
			give(s->limit, batch, 0);
			pass(&s->fake, 6 * SECOND);
		}
		before = limit_reads(s->limit);
		for (int i = 0; i < 1000; i++) {
			CHECK_INT(take(s, s->limit, 1), 1);
			give(s->limit, 1, 0);
			pass(&s->fake, 10 * SECOND);
		}
		reads[large] = limit_reads(s->limit) - before;
		CHECK(stat(path, &st) == 0);
		CHECK(st.st_size <= LIMIT_PAGE + (INT64_C(1) << 20) * LIMIT_STAMP);
		scene_end(s);
	}
	/* Ten times, a hundred thousand stamps are out of the window at a stroke: it doubles its steps. */
	CHECK(reads[0] <= 5000);
	CHECK(reads[1] <= reads[0] + 500);
}

/* ---- from the history ---------------------------------------------------------------------- */

/* Lines of a log, each at so many seconds before START. */
struct told {
	int64_t ago;
	const char *rest; /* behind "event":" */
};

static void
write_log(struct scene *s, const struct told *told, size_t n)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	char t[CLOCK_TEXT_SIZE], name[TOKEN_SIZE + 8];
	int fd;

	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "{\"t\":\"%s\",\"event\":\"%s}\n",
		    clock_iso_usec(START - told[i].ago * SECOND, t), told[i].rest);
	snprintf(name, sizeof name, "%lld.000000.00000000.log",
	    (long long)(START / USEC - told[0].ago - 1));
	fd = openat(s->spool.log, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fs_write(fd, text.s, text.len) == 0);
	close(fd);
}

#define TO(address, code)                                                                          \
	"\"recipients\":[{\"address\":\"" address "\",\"outcome\":\"sent\",\"code\":" #code "}]"

static const struct told history[] = {
	{ 90000, "sent\",\"id\":\"too-old\",\"account\":\"main\"," TO("a@example.org", 250) },
	{ 3000, "sent\",\"id\":\"1\",\"account\":\"main\"," TO("a@example.org", 250) },
	{ 2900, "sent\",\"id\":\"2\",\"account\":\"other\"," TO("a@example.org", 250) },
	{ 2800,
	    "failed\",\"id\":\"3\",\"account\":\"main\",\"code\":550," TO("b@Example.COM", 550) },
	{ 2700,
	    "failed\",\"id\":\"4\",\"account\":\"main\",\"class\":\"limit\",\"reason\":\"no\"" },
	{ 2600, "deferred\",\"id\":\"5\",\"account\":\"main\",\"reason\":\"connection lost\"" },
	{ 2500, "deferred\",\"id\":\"6\",\"account\":\"main\"," TO("c@example.net", 451) },
	{ 2400, "uncertain\",\"id\":\"7\",\"account\":\"main\",\"then\":\"retry\"" },
	{ 2400, "deferred\",\"id\":\"7\",\"account\":\"main\"" },
	{ 30, "sent\",\"id\":\"8\",\"account\":\"main\"," TO("d@sub.example.com", 250) },
	{ 20, "sent\",\"id\":\"9\",\"account\":\"main\"," TO("d@example.com", 250) },
	{ -50, "sent\",\"id\":\"ahead\",\"account\":\"main\"," TO("d@example.org", 250) },
};
#define HISTORY (sizeof history / sizeof history[0])

TEST(what_was_sent_before_counts)
{
	struct scene *s = scene_new(DAY, 100);
	struct limit *domain = NULL;
	struct err err = ERR_INIT;

	write_log(s, history, HISTORY);
	s->limit = open_one(s);
	/* 1, 3, 6, 7, 8, 9 and the one from a clock that was ahead. */
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 7);
	limit_close(&s->limit);
	/* A domain: 3, 9, and 7, which does not say to whom. */
	CHECK_INT(limit_open_by(&s->spool, "main", "EXAMPLE.com", &s->rule, &s->clock, &domain,
		      &err),
	    0);
	CHECK_INT(take(s, domain, 0), 0);
	CHECK_INT(s->look.used, 3);
	limit_close(&domain);
	CHECK_INT(faccessat(s->spool.root, "limits/main,example.com", F_OK, 0), 0);
	scene_end(s);
}

TEST(a_rule_that_grows)
{
	struct scene *s = scene_new(MINUTE, 5);
	struct limit *old;

	write_log(s, history, HISTORY);
	old = open_one(s);
	CHECK_INT(take(s, old, 1), 1);
	CHECK_INT(s->look.used, 4); /* 8, 9, the one ahead, and this */
	give(old, 1, 0);
	CHECK_INT(take(s, old, 1), 1);
	CHECK_INT(s->look.next, START + 30 * SECOND);
	/* Longer: the history of an hour is added, and what the file alone knows stays. */
	s->rule.count = 0;
	limit_rule_add(&s->rule, HOUR, 50);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 9);
	CHECK_INT(s->look.held, 1);
	/* Who has it open goes on. */
	pass(&s->fake, 5 * SECOND);
	give(old, 1, 0);
	CHECK_INT(take(s, old, 9), 0);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 9);
	CHECK_INT(s->look.held, 0);
	/* More: there is room for them. */
	s->rule.windows[0].max = 1000;
	limit_close(&s->limit);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2000), 991);
	give(s->limit, 991, 0);
	/* 1 leaves the hour 600 s after START. */
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.next, START + 600 * SECOND);
	/* A smaller rule needs nothing. */
	limit_close(&s->limit);
	s->rule.count = 0;
	limit_rule_add(&s->rule, MINUTE, 5);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 1), 0);
	CHECK_INT(s->look.next, START + 5 * SECOND + MINUTE);
	CHECK_INT(s->look.used, 5);
	limit_close(&old);
	scene_end(s);
}

/* A ring that has turned has lost what the history still knows. */
TEST(a_full_ring_that_grows)
{
	struct scene *s = scene_new(MINUTE, 10);
	struct told told[150];

	/* Every 7 seconds one leaves, and the line about it is a little older than its stamp. */
	s->fake.wall = START - 150 * 7 * SECOND;
	s->limit = open_one(s);
	for (size_t i = 0; i < 150; i++) {
		told[i] = (struct told){ (150 - (int64_t)i) * 7,
			"sent\",\"id\":\"x\",\"account\":\"main\"," TO("a@example.org", 250) };
		CHECK_INT(take(s, s->limit, 1), 1);
		s->fake.wall++;
		s->fake.boot++;
		give(s->limit, 1, 0);
		pass(&s->fake, 7 * SECOND - 1);
	}
	write_log(s, told, 150);
	s->rule.count = 0;
	limit_rule_add(&s->rule, HOUR, 500);
	limit_close(&s->limit);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 0), 0);
	/* One twice: the line about the oldest that the ring has is older than it. */
	CHECK_INT(s->look.used, 151);
	pass(&s->fake, HOUR - 7 * SECOND);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 1);
	scene_end(s);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void
write_file(const struct scene *s, const char *bytes, size_t n)
{
	char path[PATH_MAX];
	int fd;

	path_of(s, "main", path);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CHECK(fd >= 0 && fs_write(fd, bytes, n) == 0);
	close(fd);
}

TEST(damaged_files)
{
	static const char *const kinds[] = { "empty", "zeros", "short", "garbage",
		"another version", "a changed page", "a page alone", "a bad stamp" };

	for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
		struct scene *s = scene_new(DAY, 100);
		char path[PATH_MAX], bytes[LIMIT_PAGE + 64 * LIMIT_STAMP + 1];
		size_t n = LIMIT_PAGE + 64 * LIMIT_STAMP;
		struct err err = ERR_INIT;
		int fd;

		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 9), 9);
		give(s->limit, 9, 0);
		limit_close(&s->limit);
		write_log(s, history, HISTORY);
		path_of(s, "main", path);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		CHECK_INT(fs_pread(fd, bytes, n, 0), 0);
		close(fd);
		CHECK_INT(limit_check(&s->spool, "main", NULL, NULL, &err), 0);
		switch (kind) {
		case 0:
			n = 0;
			break;
		case 1:
			memset(bytes, 0, n);
			break;
		case 2:
			n = 700;
			break;
		case 3:
			for (size_t i = 0; i < n; i++)
				bytes[i] = (char)(i * 7919 >> 3);
			break;
		case 4:
			bytes[12] = '2';
			break;
		case 5:
			memcpy(strstr(bytes, "total: 9"), "total: 0", 8);
			break;
		case 6:
			n = LIMIT_PAGE;
			break;
		default:
			bytes[LIMIT_PAGE + 3] = 'x';
			break;
		}
		write_file(s, bytes, n);
		/* One that was never finished is none; all else is told. */
		CHECK_INT(limit_check(&s->spool, "main", NULL, NULL, &err), kind < 2 ? 0 : -1);
		if (kind >= 2)
			CHECK_ROW(kinds[kind], err.code == EX_DATAERR);
		if (kind >= 2) {
			CHECK_INT(limit_look_by(&s->spool, "main", NULL, &s->rule, &s->clock,
				      &s->look, &err),
			    -1);
			CHECK_INT(err.code, EX_DATAERR);
		}
		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 1), 1);
		/* From the history alone: 7 of them, and this. */
		CHECK_ROW(kinds[kind], s->look.used == 8);
		CHECK_INT(limit_check(&s->spool, "main", NULL, NULL, &err), 0);
		scene_end(s);
	}
}

TEST(something_else_in_its_place)
{
	for (int kind = 0; kind < 3; kind++) {
		struct scene *s = scene_new(MINUTE, 5);
		struct err err = ERR_INIT;
		struct stat st;

		CHECK_INT(mkdirat(s->spool.root, "limits", 0700), 0);
		if (kind == 0)
			CHECK_INT(mkdirat(s->spool.root, "limits/main", 0700), 0);
		else if (kind == 1)
			CHECK_INT(symlinkat("../mailq-spool", s->spool.root, "limits/main"), 0);
		else
			CHECK_INT(mkfifoat(s->spool.root, "limits/main", 0600), 0);
		/* Who only looks, tells; who takes, moves it away and begins anew. */
		CHECK_INT(limit_check(&s->spool, "main", NULL, NULL, &err), -1);
		CHECK_INT(err.code, EX_DATAERR);
		CHECK(strstr(err.msg, "limits/main: it is not a regular file") != NULL);
		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 1), 1);
		CHECK_INT(limit_check(&s->spool, "main", NULL, NULL, &err), 0);
		CHECK_INT(fstatat(s->spool.root, "corrupt/limits-main", &st, AT_SYMLINK_NOFOLLOW),
		    0);
		scene_end(s);
	}
}

struct faults {
	int count;
	bool repaired;
	char path[64], text[600];
};

static void
note_fault(const char *path, const char *text, bool repaired, void *arg)
{
	struct faults *faults = arg;

	if (strncmp(path, "limits/", 7) != 0)
		return;
	faults->count++;
	faults->repaired = repaired;
	snprintf(faults->path, sizeof faults->path, "%s", path);
	snprintf(faults->text, sizeof faults->text, "%s", text);
}

static struct faults
check(struct scene *s, bool repair)
{
	struct faults faults = { .count = 0 };
	struct check_result result;
	struct err err = ERR_INIT;

	if (check_spool(&s->spool, repair, note_fault, &faults, &result, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return faults;
}

/* The spool's own check names what is damaged, and moves it aside where nobody has it in use. */
TEST(the_check_of_the_spool)
{
	struct scene *s = scene_new(MINUTE, 10);
	struct faults faults;

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2), 2);
	CHECK_INT(check(s, true).count, 0);
	write_file(s, "What is this?\n", 14);
	faults = check(s, false);
	CHECK_INT(faults.count, 1);
	CHECK_STR(faults.path, "limits/main");
	CHECK(strstr(faults.text, "is damaged") != NULL);
	faults = check(s, true);
	CHECK_INT(faults.count, 1);
	CHECK(!faults.repaired);
	/* Who has it in use makes it anew; once it has ended, the file can be moved. */
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.held, 2);
	CHECK_INT(check(s, true).count, 0);
	limit_close(&s->limit);
	write_file(s, "What is this?\n", 14);
	faults = check(s, true);
	CHECK_INT(faults.count, 1);
	CHECK(faults.repaired);
	CHECK_INT(faccessat(s->spool.root, "corrupt/limits-main", F_OK, 0), 0);
	CHECK_INT(faccessat(s->spool.root, "limits/main", F_OK, 0), -1);
	CHECK_INT(check(s, true).count, 0);
	/* A stranger is told of and left. */
	CHECK_INT(mkdirat(s->spool.root, "limits/a,b,c", 0700), 0);
	faults = check(s, true);
	CHECK_INT(faults.count, 1);
	CHECK_STR(faults.path, "limits/a,b,c");
	CHECK(!faults.repaired);
	scene_end(s);
}

/* Damaged while a process holds slots: what can be read of it counts, and where nothing can, all. */
TEST(damaged_while_in_use)
{
	for (int lost = 0; lost < 2; lost++) {
		struct scene *s = scene_new(MINUTE, 10);
		pid_t pid = child_that_holds(s, 4);
		char path[PATH_MAX], bytes[LIMIT_PAGE];
		int fd;

		path_of(s, "main", path);
		fd = open(path, O_RDWR | O_CLOEXEC);
		CHECK_INT(fs_pread(fd, bytes, sizeof bytes, 0), 0);
		memcpy(strstr(bytes, "sure: "), "sure; ", 6);
		if (lost)
			memset(bytes + 100, '?', sizeof bytes - 100);
		CHECK_INT(fs_pwrite(fd, bytes, sizeof bytes, 0), 0);
		close(fd);
		s->limit = open_one(s);
		CHECK_INT(take(s, s->limit, 100), lost ? 0 : 6);
		if (lost)
			CHECK_INT(s->look.next, s->fake.wall + MINUTE);
		kill_child(pid);
		scene_end(s);
	}
}

/* What a process remembers of a file is of no use once another has made it anew. */
TEST(made_anew_by_another)
{
	struct scene *s = scene_new(MINUTE, 80);
	struct limit *other;
	char path[PATH_MAX], line[8] = "";
	int fd;

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 60), 60);
	give(s->limit, 60, 0);
	pass(&s->fake, MINUTE);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 0);
	/* What is damaged is not who holds what. */
	path_of(s, "main", path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fs_pread(fd, line, 6, 31) == 0 && strcmp(line, "ring: ") == 0);
	CHECK_INT(fs_pwrite(fd, "rong: ", 6, 31), 0);
	close(fd);
	other = open_one(s);
	CHECK_INT(take(s, other, 70), 70);
	give(other, 70, 0);
	CHECK_INT(take(s, s->limit, 80), 10);
	limit_close(&other);
	scene_end(s);
}

/* Moved away, as a repair does: what is held goes over to the new file. */
TEST(a_file_that_goes)
{
	struct scene *s = scene_new(MINUTE, 10);
	struct limit *other;
	char from[PATH_MAX], to[PATH_MAX];

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 4), 4);
	path_of(s, "main", from);
	snprintf(to, sizeof to, "%s/corrupt/limits-main", s->spool.path);
	CHECK_INT(rename(from, to), 0);
	CHECK_INT(take(s, s->limit, 1), 1);
	CHECK_INT(s->look.held, 5);
	other = open_one(s);
	CHECK_INT(take(s, other, 10), 5);
	CHECK_INT(unlink(from), 0);
	give(s->limit, 5, 0);
	give(other, 5, 0);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.used, 10);
	limit_close(&other);
	scene_end(s);
}

/* Emptied while a process holds slots: how many is known to nobody, and it may be all. */
TEST(emptied_while_in_use)
{
	struct scene *s = scene_new(MINUTE, 10);
	pid_t pid = child_that_holds(s, 4);
	char path[PATH_MAX];

	path_of(s, "main", path);
	CHECK_INT(truncate(path, 0), 0);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 100), 0);
	CHECK_INT(s->look.next, s->fake.wall + MINUTE);
	kill_child(pid);
	/* With nobody in it, it is a new one. */
	limit_close(&s->limit);
	CHECK_INT(truncate(path, 0), 0);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 100), 10);
	scene_end(s);
}

/* ---- limits that are lifted ---------------------------------------------------------------- */

static bool
is_main(const char *account, const char *domain, void *arg)
{
	const char *which = arg;

	return strcmp(account, "main") == 0 &&
	    (domain != NULL ? strcmp(domain, which) == 0 : which[0] == '\0');
}

static int
lift(struct scene *s, const char *domain)
{
	struct err err = ERR_INIT;
	char arg[100];
	int result;

	snprintf(arg, sizeof arg, "%s", domain);
	result = limit_lift(&s->spool, is_main, arg, &err);
	if (result < 0)
		printf("# %s\n", err.msg);
	return result;
}

static bool
is_there(const struct scene *s, const char *name)
{
	char path[PATH_MAX];

	path_of(s, name, path);
	return access(path, F_OK) == 0;
}

static int
fail_at_line(const char *text, size_t len, const struct json *value, void *arg)
{
	(void)value;
	(void)arg;
	unit_fail(__FILE__, __LINE__, "%.*s", (int)len, text);
	return 0;
}

TEST(lifted_and_set_again)
{
	struct scene *s = scene_new(DAY, 100);
	struct limit *domain = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(lift(s, ""), 0);
	CHECK_INT(faccessat(s->spool.root, "limits", F_OK, 0), -1);
	s->limit = open_one(s);
	CHECK_INT(limit_open_by(&s->spool, "main", "Example.com", &s->rule, &s->clock, &domain,
		      &err),
	    0);
	limit_close(&domain);
	limit_close(&s->limit);
	/* What was sent without it: 7, of which 3 to the domain. */
	write_log(s, history, HISTORY);
	CHECK_INT(lift(s, "example.com"), 0);
	CHECK(is_there(s, "main"));
	CHECK(!is_there(s, "main,example.com"));
	CHECK_INT(lift(s, ""), 0);
	CHECK(!is_there(s, "main"));
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 7);
	CHECK_INT(limit_open_by(&s->spool, "main", "example.com", &s->rule, &s->clock, &domain,
		      &err),
	    0);
	CHECK_INT(take(s, domain, 0), 0);
	CHECK_INT(s->look.used, 3);
	limit_close(&domain);
	scene_end(s);
}

/* By one whose settings have no such limit, while another's have it: that one counts anew at once, and
 * what is held stays held.  Whatever is told anew, the file does not grow. */
TEST(lifted_while_in_use)
{
	struct scene *s = scene_new(DAY, 20);
	pid_t pid = child_that_holds(s, 4);
	struct stat before, after;
	char path[PATH_MAX];

	path_of(s, "main", path);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 2), 2);
	write_log(s, history, HISTORY);
	CHECK_INT(lift(s, ""), 0);
	CHECK(is_there(s, "main"));
	CHECK_INT(take(s, s->limit, 100), 7);
	CHECK_INT(s->look.used, 20);
	CHECK_INT(s->look.held, 13);
	CHECK_INT(stat(path, &before), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(lift(s, ""), 0);
		pass(&s->fake, SECOND);
		CHECK_INT(take(s, s->limit, 1), 0);
		CHECK_INT(s->look.used, 20);
	}
	CHECK_INT(stat(path, &after), 0);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(after.st_ino, before.st_ino);
	/* Held by the dead too, until somebody counts them. */
	give(s->limit, 0, 9);
	limit_close(&s->limit);
	kill_child(pid);
	CHECK_INT(lift(s, ""), 0);
	CHECK(is_there(s, "main"));
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 100), 9);
	scene_end(s);
}

/* Also where the file is made anew for a wider rule: what it had does not stand for what it has not. */
TEST(lifted_then_another_rule)
{
	struct scene *s = scene_new(DAY, 30);
	struct limit *holder;

	s->limit = holder = open_one(s);
	CHECK_INT(take(s, holder, 3), 3);
	give(holder, 3, 0);
	write_log(s, history, HISTORY);
	CHECK_INT(lift(s, ""), 0);
	s->rule.count = 0;
	limit_rule_add(&s->rule, HOUR, 151);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 0), 0);
	/* Those of the hour that the history tells of; it does not know of the three. */
	CHECK_INT(s->look.used, 7);
	limit_close(&holder);
	scene_end(s);
}

/* What was forgotten early counts still, for as long as a window is. */
TEST(forgotten_but_counted)
{
	struct scene *s = scene_new(DAY, 100);
	struct err err = ERR_INIT;
	struct history_filter filter = { .all = true };
	int64_t now = clock_now();

	write_log(s, history, HISTORY);
	CHECK_INT(history_retire(&s->spool, now + SECOND, 10, false, &err), 1);
	CHECK_INT(history_read(&s->spool, &filter, fail_at_line, NULL, &err), 0);
	CHECK_INT(history_retire(&s->spool, now + SECOND, 10, false, &err), 0);
	CHECK_INT(check(s, false).count, 0);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.used, 7);
	scene_end(s);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* No write succeeds from here on. */
static void
fill_disk(bool full)
{
	static struct rlimit before;
	struct rlimit none;

	if (!full) {
		setrlimit(RLIMIT_FSIZE, &before);
		return;
	}
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_FSIZE, &none);
}

TEST(a_full_disk)
{
	struct scene *s = scene_new(MINUTE, 10);
	struct err err = ERR_INIT;
	int64_t n;
	int opened;

	fflush(stdout);
	fill_disk(true);
	opened = limit_open_by(&s->spool, "main", NULL, &s->rule, &s->clock, &s->limit, &err);
	fill_disk(false);
	CHECK_INT(opened, -1);
	CHECK(strstr(err.msg, "limits/main") != NULL);

	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 3), 3);
	fill_disk(true);
	n = limit_take(s->limit, 2, NULL, &err);
	opened = limit_give(s->limit, 2, 1, &err);
	fill_disk(false);
	CHECK_INT(n, -1);
	CHECK_INT(opened, -1);
	/* Nothing was granted, nothing given: three are held. */
	CHECK_INT(take(s, s->limit, 0), 0);
	CHECK_INT(s->look.held, 3);
	CHECK_INT(s->look.free, 7);
	give(s->limit, 2, 1);
	CHECK_INT(take(s, s->limit, 10), 8);
	scene_end(s);
}

TEST(nothing_is_made_by_looking)
{
	struct scene *s = scene_new(MINUTE, 10);
	char path[PATH_MAX];
	struct stat before, after;
	struct err err = ERR_INIT;

	s->rule.at_once = 3;
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.free, 3);
	CHECK_INT(faccessat(s->spool.root, "limits", F_OK, 0), -1);
	s->limit = open_one(s);
	CHECK_INT(take(s, s->limit, 3), 3);
	path_of(s, "main", path);
	CHECK_INT(stat(path, &before), 0);
	CHECK_INT(before.st_mode & 07777, 0600);
	CHECK_INT(look(s), 0);
	CHECK_INT(s->look.held, 3);
	CHECK_INT(stat(path, &after), 0);
	CHECK_INT(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(limit_look_by(&s->spool, "", NULL, &s->rule, &s->clock, &s->look, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	scene_end(s);
}

TEST(names)
{
	static const struct {
		const char *account, *domain, *expected;
	} rows[] = {
		{ "main", NULL, "main" },
		{ "a b,c", NULL, "a%20b%2Cc" },
		{ "main", "Gmail.com", "main,gmail.com" },
		{ "main", "xn--bcher-kva.example", "main,xn--bcher-kva.example" },
		{ "", NULL, NULL },
		{ "main", "", NULL },
		{ "main", "a-domain-that-is-much-too-long-to-be-in-a-name.example", NULL },
	};
	char name[LIMIT_NAME_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int result = limit_name(rows[i].account, rows[i].domain, name);

		CHECK_INT(result, rows[i].expected != NULL ? 0 : -1);
		if (result == 0) {
			CHECK_STR(name, rows[i].expected);
			CHECK(limit_name_is_valid(name));
		}
	}
	CHECK(!limit_name_is_valid("main,"));
	CHECK(!limit_name_is_valid(",x"));
	CHECK(!limit_name_is_valid("a,b,c"));
	CHECK(!limit_name_is_valid(".main.tmp"));
}

/* ---- processes ----------------------------------------------------------------------------- */

#define WORKERS 4
#define SHORT (200 * MS)
#define SHORT_MAX 5
#define LONGER (500 * MS)
#define LONGER_MAX 9

static struct limit_rule
short_rule(void)
{
	struct limit_rule rule = { .at_once = 0 };

	limit_rule_add(&rule, SHORT, SHORT_MAX);
	limit_rule_add(&rule, LONGER, LONGER_MAX);
	return rule;
}

static int64_t
monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Takes, lets leave, holds a while and gives, at random, until it is killed. */
static void
work(struct spool *spool, int log, unsigned int seed)
{
	struct limit_rule rule = short_rule();

	for (;;) {
		struct limit *limit = NULL;
		int rounds = 1 + rand_r(&seed) % 20;

		if (limit_open(spool, "main", NULL, &rule, &limit, NULL) < 0)
			_exit(1);
		while (rounds-- > 0) {
			uint64_t want = 1 + (uint64_t)(rand_r(&seed) % SHORT_MAX);
			int64_t got = limit_take(limit, want, NULL, NULL);
			int64_t left = got > 0 && rand_r(&seed) % 4 != 0 ? got : got / 2;

			if (got < 0)
				_exit(1);
			for (int64_t i = 0; i < left; i++) {
				int64_t now = monotonic_ns();

				if (write(log, &now, sizeof now) != sizeof now)
					_exit(1);
			}
			usleep((useconds_t)(rand_r(&seed) % 3000));
			if (got > 0 && rand_r(&seed) % 5 != 0 &&
			    limit_give(limit, (uint64_t)left, (uint64_t)(got - left), NULL) < 0)
				_exit(1);
		}
		limit_close(&limit);
	}
}

static pid_t
start_worker(struct spool *spool, int log, unsigned int seed)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		work(spool, log, seed);
	return pid;
}

static int
compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
check_window(const int64_t *times, size_t n, int64_t span, size_t max)
{
	for (size_t i = 0; i + max < n; i++)
		if (times[i + max] - times[i] < span * 1000) {
			unit_fail(__FILE__, __LINE__,
			    "%zu left within %lld us, expected %zu in %lld", max + 1,
			    (long long)(times[i + max] - times[i]) / 1000, max, (long long)span);
			return;
		}
}

TEST(processes_that_are_killed)
{
	struct spool spool = fresh_spool();
	struct limit_rule rule = short_rule();
	AUTO_BUF struct buf times = BUF_INIT(1 << 24);
	int log = openat(spool.root, "wake", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct limit_look now;
	pid_t workers[WORKERS];
	unsigned int seed = 7;
	size_t n;

	for (unsigned int i = 0; i < WORKERS; i++)
		workers[i] = start_worker(&spool, log, i);
	for (unsigned int i = 0; i < 60; i++) {
		unsigned int victim = (unsigned int)rand_r(&seed) % WORKERS;
		int status;

		usleep((useconds_t)(20000 + rand_r(&seed) % 60000));
		CHECK_INT(waitpid(workers[victim], &status, WNOHANG),
		    0); /* at work, without error */
		kill_child(workers[victim]);
		workers[victim] = start_worker(&spool, log, 100 + i);
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		kill_child(workers[i]);
	CHECK(lseek(log, 0, SEEK_SET) == 0 && fs_read_all(log, &times) == 0);
	n = times.len / sizeof(int64_t);
	qsort(times.s, n, sizeof(int64_t), compare_times);
	check_window((const int64_t *)(const void *)times.s, n, SHORT, SHORT_MAX);
	check_window((const int64_t *)(const void *)times.s, n, LONGER, LONGER_MAX);
	/* It was worth looking: the limit was reached, and never stuck. */
	CHECK(n > 15);
	CHECK_INT(limit_look(&spool, "main", NULL, &rule, &now, NULL), 0);
	CHECK_INT(now.held, 0);
	close(log);
	spool_close(&spool);
}

/* All of them make the file at the same time, and none is granted more for it. */
TEST(made_by_several_at_once)
{
	for (int round = 0; round < 10; round++) {
		struct scene *s = scene_new(HOUR, 10);
		pid_t pids[WORKERS];
		int64_t granted = 0;

		write_log(s, history, HISTORY);
		fflush(stdout);
		for (int i = 0; i < WORKERS; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct limit *limit = open_one(s);
				int64_t got = limit_take(limit, 3, NULL, NULL);

				give(limit, (uint64_t)got, 0);
				limit_close(&limit);
				_exit((int)got);
			}
		}
		for (int i = 0; i < WORKERS; i++) {
			int status;

			CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status));
			granted += WEXITSTATUS(status);
		}
		CHECK_INT(granted, 3); /* 7 of the history */
		scene_end(s);
	}
}

UNIT_MAIN()
