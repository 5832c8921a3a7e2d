#include "spool/draft/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "spool/store/record.h"

#define DIRECTORY "answers"
#define HEAD_MAX 256
#define FILE_MAX (HEAD_MAX + ANSWER_TEXT_MAX)
#define AHEAD_MAX (60 * USEC) /* a clock may have been put back so far */

struct answer {
	struct spool *spool;
	int dir;
	int fd; /* locked */
	char key[ANSWER_HASH_SIZE];
	enum answer_state state;
	bool kept;
	int64_t begun;
	size_t head; /* bytes of the first line */
	int status;
	struct buf file;
	size_t text; /* where it begins in file */
};

/* ---- the file ------------------------------------------------------------------------------------ */

/* "mailq-answer 1 BEGUN REQUEST\n"; 0 where the file does not begin with such a line, which is then as
 * if it were empty: it was being written as the power failed. */
static size_t
read_head(const struct buf *file, int64_t *ret_begun, char request[ANSWER_HASH_SIZE])
{
	static const char magic[] = "mailq-answer 1 ";
	const char *begun = file->s + strlen(magic), *end = strchr(file->s, '\n'), *blank;
	uint64_t number;

	if (end == NULL || strncmp(file->s, magic, strlen(magic)) != 0)
		return 0;
	blank = memchr(begun, ' ', (size_t)(end - begun));
	if (blank == NULL || end - blank != ANSWER_HASH_SIZE ||
	    num_u64_view(begun, (size_t)(blank - begun), INT64_MAX, &number) < 0)
		return 0;
	memcpy(request, blank + 1, ANSWER_HASH_SIZE - 1);
	request[ANSWER_HASH_SIZE - 1] = '\0';
	*ret_begun = (int64_t)number;
	return (size_t)(end + 1 - file->s);
}

static uint64_t
sum_of(struct view text)
{
	AUTO(checksum_end) struct checksum *sum = checksum_begin();

	checksum_add(sum, text.s, text.len);
	return checksum_value(sum);
}

/* "STATUS LENGTH CHECKSUM\n" and the text behind the first line: true where both are there whole. */
static bool
read_text(struct answer *a)
{
	const char *line = a->file.s + a->head, *end = strchr(line, '\n');
	unsigned int status;
	uint64_t length, sum;
	int n = 0;

	if (end == NULL ||
	    sscanf(line, "%3u %" SCNu64 " %16" SCNx64 "%n", &status, &length, &sum, &n) != 3 ||
	    line + n != end)
		return false;
	a->status = (int)status;
	a->text = (size_t)(end + 1 - a->file.s);
	return a->file.len - a->text == length && sum_of(answer_text(a)) == sum;
}

/* What the file says of this request.  One that says nothing of use is begun anew. */
static enum answer_state
read_file(struct answer *a, const char *request, int64_t keep)
{
	int64_t now = clock_now();
	char found[ANSWER_HASH_SIZE];

	a->head = read_head(&a->file, &a->begun, found);
	if (a->head == 0 || now - a->begun >= keep || a->begun - now > AHEAD_MAX)
		return ANSWER_NEW;
	if (strcmp(found, request) != 0)
		return ANSWER_OTHER;
	return read_text(a) ? ANSWER_GIVEN : ANSWER_AGAIN;
}

static int
write_head(struct answer *a, const char *request)
{
	char line[HEAD_MAX];

	a->begun = clock_now();
	a->head = (size_t)snprintf(line, sizeof line, "mailq-answer 1 %" PRId64 " %s\n", a->begun,
	    request);
	if (ftruncate(a->fd, 0) < 0)
		return -1;
	return fs_pwrite(a->fd, line, a->head, 0);
}

/* ---- opening ------------------------------------------------------------------------------------- */

static int
open_directory(struct spool *spool, bool make)
{
	int dir = fs_open_dir(spool->root, DIRECTORY);

	if (dir >= 0 || errno != ENOENT || !make)
		return dir;
	if (spool_make_dir(spool, DIRECTORY, 0770) < 0)
		return -1;
	return fs_open_dir(spool->root, DIRECTORY);
}

/* Opens and locks the file, which is made where it is not there: 0; 1 where somebody holds it; -1 with
 * errno. */
static int
open_locked(struct answer *a)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		AUTO_FD int fd = fs_open(a->dir, a->key, O_RDWR | O_CREAT, 0660);
		struct stat st;

		if (fd < 0)
			return -1;
		if (fs_lock(fd, 0) < 0)
			return errno == EWOULDBLOCK ? 1 : -1;
		if (fstat(fd, &st) < 0)
			return -1;
		/* Forgotten by another in between: once more. */
		if (st.st_nlink == 0)
			continue;
		/* It is written in place: another name for it would be written, too. */
		if (st.st_nlink > 1) {
			errno = EMLINK;
			return -1;
		}
		a->fd = take_fd(&fd);
		return fs_read_all(a->fd, &a->file);
	}
	errno = EAGAIN;
	return -1;
}

static int
fail(const struct spool *spool, struct err *err)
{
	return err_io(err, "spool %s: " DIRECTORY, spool->path);
}

int
answer_open(struct spool *spool, const char *key, const char *request, int64_t keep,
    struct answer **ret, struct err *err)
{
	AUTO(answer_end) struct answer *a = xcalloc(1, sizeof *a);
	int busy;

	*a = (struct answer){ .spool = spool, .dir = -1, .fd = -1, .state = ANSWER_GIVEN };
	buf_init(&a->file, FILE_MAX);
	snprintf(a->key, sizeof a->key, "%s", key);
	a->dir = open_directory(spool, true);
	if (a->dir < 0)
		return fail(spool, err);
	busy = open_locked(a);
	if (busy != 0)
		return busy < 0 ? fail(spool, err) : ANSWER_BUSY;
	a->state = read_file(a, request, keep);
	if (a->state == ANSWER_OTHER)
		return ANSWER_OTHER;
	if (a->state == ANSWER_NEW && write_head(a, request) < 0)
		return fail(spool, err);
	*ret = a;
	a = NULL;
	return (int)(*ret)->state;
}

bool
answer_is_again(const struct answer *a)
{
	return a->state == ANSWER_AGAIN;
}

int64_t
answer_begun(const struct answer *a)
{
	return a->begun;
}

int
answer_status(const struct answer *a)
{
	return a->status;
}

struct view
answer_text(const struct answer *a)
{
	return (struct view){ a->file.s + a->text, a->file.len - a->text };
}

/* ---- answering ----------------------------------------------------------------------------------- */

int
answer_keep(struct answer *a, bool durable, struct err *err)
{
	/* What is there again was perhaps never synced. */
	if (durable && (fs_sync_file(a->fd) < 0 || fs_sync_dir(a->dir) < 0))
		return fail(a->spool, err);
	a->kept = true;
	return 0;
}

int
answer_give(struct answer *a, int status, struct view text, struct err *err)
{
	char line[HEAD_MAX];
	int n = snprintf(line, sizeof line, "%03d %zu %016" PRIx64 "\n", status, text.len,
	    sum_of(text));

	if (text.len > ANSWER_TEXT_MAX)
		return err_set(err, EX_SOFTWARE, "an answer of %zu bytes is not stored", text.len);
	if (ftruncate(a->fd, (off_t)a->head) < 0 ||
	    fs_pwrite(a->fd, line, (size_t)n, (off_t)a->head) < 0 ||
	    fs_pwrite(a->fd, text.s, text.len, (off_t)a->head + n) < 0 || fs_sync_file(a->fd) < 0 ||
	    fs_sync_dir(a->dir) < 0)
		return fail(a->spool, err);
	a->state = ANSWER_GIVEN;
	return 0;
}

void
answer_end(struct answer **answer)
{
	struct answer *a = *answer;

	if (a == NULL)
		return;
	if (a->state == ANSWER_NEW && !a->kept && a->fd >= 0)
		unlinkat(a->dir, a->key, 0);
	auto_close_fd(&a->fd);
	auto_close_fd(&a->dir);
	buf_release(&a->file);
	free(a);
	*answer = NULL;
}

/* ---- forgetting ---------------------------------------------------------------------------------- */

struct tidying {
	int dir;
	int64_t before; /* what is older is forgotten */
	int64_t *times; /* of the others, where they are counted */
	size_t n, room;
	int64_t forgotten;
};

static int64_t
time_of(const struct stat *st)
{
	return st->st_mtim.tv_sec * USEC + st->st_mtim.tv_nsec / 1000;
}

/* One that is being used is left alone. */
static void
forget(struct tidying *t, const char *name)
{
	AUTO_FD int fd = fs_open(t->dir, name, O_RDONLY, 0);

	if (fd >= 0 && fs_lock(fd, 0) == 0 && unlinkat(t->dir, name, 0) == 0)
		t->forgotten++;
}

static int
look_at(const char *name, unsigned char type, void *arg)
{
	struct tidying *t = arg;
	struct stat st;

	(void)type;
	if (fstatat(t->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (time_of(&st) < t->before) {
		forget(t, name);
		return 0;
	}
	if (t->n == t->room) {
		t->room = t->room > 0 ? 2 * t->room : 1024;
		t->times = xreallocarray(t->times, t->room, sizeof *t->times);
	}
	t->times[t->n++] = time_of(&st);
	return 0;
}

static int
compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* One pass over the directory; the offset of a descriptor that was listed is at its end. */
static int
pass(struct tidying *t)
{
	AUTO_FD int listed = fs_open_dir(t->dir, ".");

	t->n = 0;
	return listed < 0 ? -1 : fs_each(listed, look_at, t);
}

int64_t
answers_tidy(struct spool *spool, int64_t keep, uint64_t max)
{
	AUTO_FD int dir = open_directory(spool, false);
	struct tidying t = { .dir = dir, .before = clock_now() - keep };
	int result;

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	result = pass(&t);
	if (result == 0 && t.n > max) {
		qsort(t.times, t.n, sizeof *t.times, compare_times);
		t.before = t.times[t.n - max];
		result = pass(&t);
	}
	free(t.times);
	return result < 0 ? -1 : t.forgotten;
}
