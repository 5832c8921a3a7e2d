/* Answers to requests with a key: what is given again, what is done again, what is forgotten. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/answers.h"
#include "spool_fixture.h"
#include "unit.h"

#define KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ASKED "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OTHER "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define DAY (86400 * USEC)

static int
state_of(struct spool *spool, const char *key, const char *request)
{
	struct answer *answer = NULL;
	struct err err = ERR_INIT;
	int state = answer_open(spool, key, request, DAY, &answer, &err);

	CHECK_STR(err.msg, "");
	if (answer != NULL)
		CHECK_INT(answer_keep(answer, false, &err), 0);
	answer_end(&answer);
	return state;
}

static void
give(struct spool *spool, const char *key, const char *text)
{
	struct answer *answer = NULL;
	struct err err = ERR_INIT;

	answer_open(spool, key, ASKED, DAY, &answer, &err);
	CHECK_INT(answer_give(answer, 201, view_str(text), &err), 0);
	CHECK_STR(err.msg, "");
	answer_end(&answer);
}

TEST(answer_given_again)
{
	struct spool spool = fresh_spool();
	struct answer *answer = NULL, *second = NULL;
	struct err err = ERR_INIT;
	int64_t begun;

	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &answer, &err), ANSWER_NEW);
	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &second, &err), ANSWER_BUSY);
	CHECK_INT(answer_open(&spool, KEY, OTHER, DAY, &second, &err), ANSWER_BUSY);
	CHECK(second == NULL);
	begun = answer_begun(answer);
	CHECK_INT(answer_keep(answer, true, &err), 0);
	answer_end(&answer);

	CHECK_INT(answer_open(&spool, KEY, OTHER, DAY, &answer, &err), ANSWER_OTHER);
	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &answer, &err), ANSWER_AGAIN);
	CHECK(answer_is_again(answer));
	CHECK_INT(answer_begun(answer), begun);
	CHECK_INT(answer_give(answer, 201, VIEW("{\"ok\":true}"), &err), 0);
	answer_end(&answer);

	CHECK_INT(answer_open(&spool, KEY, OTHER, DAY, &answer, &err), ANSWER_OTHER);
	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &answer, &err), ANSWER_GIVEN);
	CHECK_INT(answer_status(answer), 201);
	CHECK_MEM(answer_text(answer).s, answer_text(answer).len, "{\"ok\":true}", 11);
	answer_end(&answer);
	spool_close(&spool);
}

TEST(answer_that_was_not_needed)
{
	struct spool spool = fresh_spool();
	struct answer *answer = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &answer, &err), ANSWER_NEW);
	answer_end(&answer);
	CHECK_INT(answer_open(&spool, KEY, OTHER, DAY, &answer, &err), ANSWER_NEW);
	answer_end(&answer);
	/* One that was begun is not forgotten by a further try. */
	CHECK_INT(state_of(&spool, KEY, ASKED), ANSWER_NEW);
	CHECK_INT(answer_open(&spool, KEY, ASKED, DAY, &answer, &err), ANSWER_AGAIN);
	answer_end(&answer);
	CHECK_INT(state_of(&spool, KEY, OTHER), ANSWER_OTHER);
	spool_close(&spool);
}

TEST(answer_out_of_time)
{
	struct spool spool = fresh_spool();
	struct answer *answer = NULL;
	struct err err = ERR_INIT;

	give(&spool, KEY, "{}");
	usleep(10);
	CHECK_INT(answer_open(&spool, KEY, ASKED, 1, &answer, &err), ANSWER_NEW);
	answer_end(&answer);
	spool_close(&spool);
}

/* Cut at any byte, or with a byte changed, it is begun, or as if it were not there; never another answer. */
TEST(answer_damaged)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf whole = BUF_INIT(4096);
	AUTO_FD int dir = -1;
	size_t head;

	give(&spool, KEY, "{\"ok\":true,\"queued\":3}");
	dir = fs_open_dir(spool.root, "answers");
	CHECK_INT(fs_read_file(dir, KEY, &whole), 0);
	head = strcspn(whole.s, "\n") + 1;
	for (size_t n = 0; n < whole.len; n++) {
		AUTO_FD int fd = openat(dir, KEY, O_WRONLY | O_TRUNC | O_CLOEXEC);
		char changed = whole.s[n] == 'z' ? 'y' : 'z';
		int state;

		CHECK(fd >= 0 && fs_pwrite(fd, whole.s, n, 0) == 0);
		state = state_of(&spool, KEY, ASKED);
		CHECK_INT(state, n < head ? ANSWER_NEW : ANSWER_AGAIN);
		CHECK(ftruncate(fd, 0) == 0 && fs_pwrite(fd, whole.s, whole.len, 0) == 0 &&
		    fs_pwrite(fd, &changed, 1, (off_t)n) == 0);
		state = state_of(&spool, KEY, ASKED);
		CHECK(state == ANSWER_NEW || state == ANSWER_AGAIN || state == ANSWER_OTHER);
	}
	spool_close(&spool);
}

static size_t
count_answers(struct spool *spool)
{
	AUTO_FD int dir = fs_open_dir(spool->root, "answers");
	char name[65];
	size_t n = 0;

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "%064d", i);
		n += faccessat(dir, name, F_OK, 0) == 0;
	}
	return n;
}

TEST(answers_forgotten)
{
	struct spool spool = fresh_spool();
	struct answer *answer = NULL;
	AUTO_FD int dir = -1;
	struct err err = ERR_INIT;
	char name[65];

	CHECK_INT(answers_tidy(&spool, DAY, 10), 0);
	for (int i = 0; i < 20; i++) {
		struct timespec times[2] = { { 0 } };

		snprintf(name, sizeof name, "%064d", i);
		give(&spool, name, "{}");
		dir = dir < 0 ? fs_open_dir(spool.root, "answers") : dir;
		/* The i-th is 20 - i hours old. */
		times[0].tv_sec = times[1].tv_sec = clock_now() / USEC - (20 - i) * 3600;
		CHECK_INT(utimensat(dir, name, times, 0), 0);
	}
	CHECK_INT(answers_tidy(&spool, DAY, 20), 0);
	/* One that is in use stays. */
	snprintf(name, sizeof name, "%064d", 0);
	CHECK_INT(answer_open(&spool, name, ASKED, DAY, &answer, &err), ANSWER_GIVEN);
	CHECK_INT(answers_tidy(&spool, 15 * 3600 * USEC + 1800 * USEC, 20), 4);
	answer_end(&answer);
	CHECK_INT(count_answers(&spool), 16);
	CHECK_INT(answers_tidy(&spool, DAY, 10), 6);
	CHECK_INT(count_answers(&spool), 10);
	snprintf(name, sizeof name, "%064d", 19);
	CHECK_INT(faccessat(dir, name, F_OK, 0), 0);
	spool_close(&spool);
}

UNIT_MAIN()
