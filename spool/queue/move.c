#include "spool/queue/move.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/store/dirs.h"

struct moving {
	struct spool *spool;
	const char *from, *to; /* accounts */
	enum state state;
	int states;		   /* the state's directory, to list */
	const char *lane;	   /* as its directory is named */
	char target[LANE_MAX + 1]; /* the lane that it goes to */
	int bucket;		   /* that is being emptied */
	bool changed;
	struct err *err;
};

static int
fail(const struct moving *m, const char *what)
{
	return err_io(m->err, "spool %s: cannot move %s/%s%s%s", m->spool->path,
	    state_text(m->state), m->lane, *what != '\0' ? "/" : "", what);
}

static int
move_message(const char *text, unsigned char type, void *arg)
{
	struct moving *m = arg;
	struct message_name name;

	if ((type != DT_REG && type != DT_UNKNOWN) || message_name_parse(text, &name) < 0)
		return 0;
	if (spool_move(m->spool, m->bucket, text, m->state, m->target, &name) < 0) {
		if (errno == ENOENT) /* a runner was faster */
			return 0;
		return fail(m, text);
	}
	m->changed = true;
	return 0;
}

/* A batch's bucket has a token of its own, so that no other has its name: it goes as a whole. */
static bool
move_bucket_whole(struct moving *m, int lane, const char *name)
{
	struct bucket_name bucket;
	AUTO_FD int target = -1;

	if (bucket_name_parse(name, &bucket) < 0 || bucket.unsettled ||
	    strchr(bucket.token, '.') == NULL)
		return false;
	target = spool_open_lane(m->spool, m->state, m->target);
	return target >= 0 && renameat2(lane, name, target, name, RENAME_NOREPLACE) == 0;
}

static int
move_bucket(struct moving *m, int lane, const char *name)
{
	AUTO_FD int bucket = -1;
	int result;

	if (move_bucket_whole(m, lane, name)) {
		m->changed = true;
		return 0;
	}
	bucket = dirs_enter(lane, name);
	if (bucket < 0)
		return errno == 0 ? 0 : fail(m, name);
	m->bucket = bucket;
	result = fs_each(bucket, move_message, m);
	if (result < 0 && m->err != NULL && m->err->code == 0)
		return fail(m, name);
	/* One that is not empty stays by itself. */
	if (result == 0)
		unlinkat(lane, name, AT_REMOVEDIR);
	return result;
}

static int
move_buckets(struct moving *m)
{
	AUTO_FD int lane = dirs_enter(m->states, m->lane);
	struct dir_list buckets;
	int result = 0;

	if (lane < 0)
		return errno == 0 ? 0 : fail(m, "");
	if (dirs_list(lane, &buckets, dirs_compare_buckets) < 0)
		return fail(m, "");
	for (size_t i = 0; i < buckets.count && result == 0; i++)
		result = move_bucket(m, lane, buckets.names[i]);
	dirs_release(&buckets);
	if (result == 0)
		unlinkat(m->states, m->lane, AT_REMOVEDIR);
	return result;
}

static int
move_lane(struct moving *m)
{
	struct lane lane;

	if (lane_parse(m->lane, &lane) < 0 || strcmp(lane.account, m->from) != 0)
		return 0;
	if (lane_format(m->to, lane.batch, lane.domain, m->target) < 0)
		return fail(m, "");
	/* One that is being made at this moment is left to its maker's name for it. */
	if (m->lane[0] != '.' &&
	    renameat2(m->states, m->lane, m->states, m->target, RENAME_NOREPLACE) == 0) {
		m->changed = true;
		return 0;
	}
	return move_buckets(m);
}

static int
move_state(struct moving *m)
{
	/* A descriptor of its own: listing uses the offset. */
	AUTO_FD int dir = fs_open_dir(m->spool->root, state_text(m->state));
	struct dir_list lanes;
	int result = 0;

	m->states = dir;
	if (dir < 0 || dirs_list(dir, &lanes, dirs_compare_text) < 0)
		return err_io(m->err, "spool %s: cannot list %s", m->spool->path,
		    state_text(m->state));
	for (size_t i = 0; i < lanes.count && result == 0; i++) {
		m->lane = lanes.names[i];
		result = move_lane(m);
	}
	dirs_release(&lanes);
	return result;
}

int
move_account(struct spool *spool, const char *from, const char *to, struct err *err)
{
	struct err own = ERR_INIT;
	struct moving m = { .spool = spool, .from = from, .to = to, .err = &own };
	int result = 0;

	for (int state = 0; state < STATE_COUNT && result == 0; state++) {
		m.state = (enum state)state;
		result = move_state(&m);
	}
	if (m.changed && fs_sync_all(spool->root) < 0 && result == 0)
		result = err_io(&own, "spool %s: cannot sync", spool->path);
	if (result < 0 && err != NULL)
		*err = own;
	return result < 0 ? -1 : 0;
}
