#include "spool/store/walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "spool/store/dirs.h"
#include "spool/store/id.h"

/* A bucket's names are sorted as a whole up to so many; one that is larger (none should be) is
 * shown in pieces, so that memory has a bound. */
#define NAMES_MAX ((size_t)32768)
/* For so few ids it pays to look first where their age says that they are. */
#define HINTS_MAX 64
/* A message is made this much after its batch began, and its id taken then, at the most (usually). */
#define HINT_BEFORE (10 * USEC)
#define HINT_BEHIND (2 * USEC)

/* Where a wanted id probably is. */
struct hint {
	char token[TOKEN_SIZE]; /* of the draft it came with; "" when unknown */
	int64_t created;	/* about; 0: unknown */
};

enum pass { PASS_ALL, PASS_LIKELY, PASS_REST };

struct walk {
	struct spool *spool;
	const struct walk_filter *filter;
	int (*each)(const struct place *place, void *arg);
	void *arg;
	struct err *err;
	char **ids; /* encoded, sorted */
	bool *found;
	size_t id_count, missing;
	struct hint *hints;
	enum pass pass;
	bool at_runner, at_lane, at_bucket; /* those of filter->from */
	struct place place;
};

/* ---- the names in a bucket --------------------------------------------------------------- */

struct item {
	int64_t due;
	uint64_t offset;
	int priority;
	unsigned int text; /* where it begins in the texts */
};

struct listing {
	struct walk *walk;
	struct item *items;
	size_t count, room;
	struct buf texts;
	int result;
};

static int
compare_items(const void *a, const void *b, void *arg)
{
	const struct item *x = a, *y = b;
	const char *texts = arg;

	if (x->priority != y->priority)
		return x->priority - y->priority;
	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return strcmp(texts + x->text, texts + y->text);
}

/* The same order as that of compare_items. */
static bool
is_behind(const struct message_name *name, const char *text, const char *from)
{
	struct message_name other;

	if (message_name_parse(from, &other) < 0)
		return true;
	if (name->priority != other.priority)
		return name->priority > other.priority;
	if (name->due != other.due)
		return name->due > other.due;
	if (name->offset != other.offset)
		return name->offset > other.offset;
	return strcmp(text, from) > 0;
}

static int
show_all(struct listing *listing)
{
	struct walk *walk = listing->walk;
	int result = 0;

	if (listing->count > 1)
		qsort_r(listing->items, listing->count, sizeof *listing->items, compare_items,
		    listing->texts.s);
	for (size_t i = 0; i < listing->count && result == 0; i++) {
		walk->place.text = listing->texts.s + listing->items[i].text;
		if (message_name_parse(walk->place.text, &walk->place.name) == 0)
			result = walk->each(&walk->place, walk->arg);
	}
	listing->count = 0;
	buf_clear(&listing->texts);
	return result;
}

static int
compare_id(const void *key, const void *element)
{
	return strcmp(key, *(char *const *)element);
}

/* Whether the id at the end of a name is one that is wanted and was not met yet; *ret is its place
 * among them.  Looks at the text alone: with few ids among many names, parsing each name would be
 * most of the work. */
static bool
is_wanted(const struct walk *walk, const char *text, size_t *ret)
{
	char **id;

	if (walk->ids == NULL)
		return true;
	for (int dots = 0; dots < 5; dots++) {
		text = strchr(text, '.');
		if (text == NULL)
			return false;
		text++;
	}
	id = bsearch(text, walk->ids, walk->id_count, sizeof *walk->ids, compare_id);
	if (id == NULL)
		return false;
	*ret = (size_t)(id - walk->ids);
	return !walk->found[*ret];
}

static int
take_name(const char *text, unsigned char type, void *arg)
{
	struct listing *listing = arg;
	struct walk *walk = listing->walk;
	struct message_name name;
	struct item *item;
	size_t wanted = 0;

	if (type != DT_REG && type != DT_UNKNOWN)
		return 0;
	if (!is_wanted(walk, text, &wanted) || message_name_parse(text, &name) < 0)
		return 0;
	if (walk->at_bucket && !is_behind(&name, text, walk->filter->from->text))
		return 0;
	if (walk->ids != NULL) {
		walk->found[wanted] = true;
		walk->missing--;
	}
	if (listing->count == listing->room) {
		listing->room = listing->room > 0 ? 2 * listing->room : 64;
		listing->items = xreallocarray(listing->items, listing->room, sizeof *item);
	}
	item = &listing->items[listing->count++];
	*item =
	    (struct item){ name.due, name.offset, name.priority, (unsigned int)listing->texts.len };
	/* Fits: so many names of NAME_MAX bytes are the buffer's maximum. */
	buf_add(&listing->texts, text, strlen(text) + 1);
	if (listing->count == NAMES_MAX)
		listing->result = show_all(listing);
	return listing->result != 0;
}

/* Shows what is in a directory of messages; place says which. */
static int
walk_names(struct walk *walk, int dir)
{
	struct listing listing = { .walk = walk };
	int listed, result;

	buf_init(&listing.texts, NAMES_MAX * NAME_SIZE);
	walk->place.dir = dir;
	listed = fs_each(dir, take_name, &listing);
	result = listed == 0 ? show_all(&listing) : listing.result;
	if (listed < 0)
		result = err_io(walk->err, "spool %s: cannot list %s/%s/%s", walk->spool->path,
		    state_text(walk->place.state), walk->place.lane, walk->place.bucket);
	free(listing.items);
	buf_release(&listing.texts);
	return result;
}

/* ---- the tree ---------------------------------------------------------------------------- */

static bool
all_found(const struct walk *walk)
{
	return walk->ids != NULL && walk->missing == 0;
}

/* A message that came with a batch stands in the bucket of its draft; any that was alone, or has moved
 * since, in a shared one, whose token is no more than a number. */
static bool
is_hinted(const struct hint *hint, const struct bucket_name *bucket)
{
	bool shared = strchr(bucket->token, '.') == NULL;

	if (hint->created == 0)
		return false;
	if (shared)
		return bucket->start >= bucket_start(hint->created - HINT_BEFORE) &&
		    bucket->start <= hint->created + HINT_BEHIND;
	if (hint->token[0] != '\0')
		return strcmp(hint->token, bucket->token) == 0;
	return bucket->start >= hint->created - HINT_BEFORE &&
	    bucket->start <= hint->created + HINT_BEHIND;
}

static bool
is_likely(const struct walk *walk, const char *text)
{
	struct bucket_name bucket;

	if (bucket_name_parse(text, &bucket) < 0)
		return false;
	for (size_t i = 0; i < walk->id_count; i++)
		if (!walk->found[i] && is_hinted(&walk->hints[i], &bucket))
			return true;
	return false;
}

/* Of a list of directories that are in order: whether this one lies before the place from which on the
 * walk goes, and in *ret_at whether that place is in it. */
static bool
lies_before(bool at_parent, const char *name, const char *from,
    int (*compare)(const void *, const void *), bool *ret_at)
{
	int order = at_parent ? compare(&name, &from) : 1;

	*ret_at = order == 0;
	return order < 0;
}

static int
walk_bucket(struct walk *walk, int lane, const char *bucket)
{
	const struct walk_from *from = walk->filter->from;
	AUTO_FD int dir = -1;

	if (lies_before(walk->at_lane, bucket, from != NULL ? from->bucket : NULL,
		dirs_compare_buckets, &walk->at_bucket))
		return 0;
	if (walk->pass != PASS_ALL && is_likely(walk, bucket) != (walk->pass == PASS_LIKELY))
		return 0;
	dir = dirs_enter(lane, bucket);
	if (dir < 0)
		return errno == 0 ? 0 :
				    err_io(walk->err, "spool %s: %s/%s/%s", walk->spool->path,
					state_text(walk->place.state), walk->place.lane, bucket);
	walk->place.bucket = bucket;
	return walk_names(walk, dir);
}

static bool
lane_passes(const struct walk_filter *filter, const char *lane)
{
	struct lane parts;

	if (lane_parse(lane, &parts) < 0)
		return false;
	if (filter->account != NULL && strcmp(filter->account, parts.account) != 0)
		return false;
	return filter->batch == NULL || strcmp(filter->batch, parts.batch) == 0;
}

/* A lane of a state, or of a runner, where messages stand in it without a bucket. */
static int
walk_lane(struct walk *walk, int parent, const char *lane)
{
	const struct walk_from *from = walk->filter->from;
	struct dir_list buckets;
	AUTO_FD int dir = -1;
	int result = 0;

	if (lies_before(walk->at_runner, lane, from != NULL ? from->lane : NULL, dirs_compare_text,
		&walk->at_lane) ||
	    !lane_passes(walk->filter, lane))
		return 0;
	walk->place.lane = lane;
	dir = dirs_enter(parent, lane);
	if (dir >= 0 && walk->place.state == STATE_CLAIMED) {
		walk->at_bucket = walk->at_lane;
		walk->place.bucket = "";
		return walk_names(walk, dir);
	}
	if (dir >= 0)
		result = dirs_list(dir, &buckets, dirs_compare_buckets);
	if (dir < 0 || result < 0)
		return errno == 0 ? 0 :
				    err_io(walk->err, "spool %s: %s/%s", walk->spool->path,
					state_text(walk->place.state), lane);
	for (size_t i = 0; i < buckets.count && result == 0 && !all_found(walk); i++)
		result = walk_bucket(walk, dir, buckets.names[i]);
	dirs_release(&buckets);
	return result;
}

static int
walk_lanes(struct walk *walk, int parent)
{
	struct dir_list lanes;
	int result = 0;

	if (dirs_list(parent, &lanes, dirs_compare_text) < 0)
		return err_io(walk->err, "spool %s: cannot list %s", walk->spool->path,
		    state_text(walk->place.state));
	for (size_t i = 0; i < lanes.count && result == 0 && !all_found(walk); i++)
		result = walk_lane(walk, parent, lanes.names[i]);
	dirs_release(&lanes);
	return result;
}

static int
walk_state(struct walk *walk, enum state state)
{
	/* A descriptor of its own: listing uses the offset, and walks may be nested. */
	AUTO_FD int dir = fs_open_dir(walk->spool->root, state_text(state));

	if (dir < 0)
		return err_io(walk->err, "spool %s: %s", walk->spool->path, state_text(state));
	walk->place = (struct place){ .state = state };
	walk->at_runner = walk->filter->from != NULL;
	return walk_lanes(walk, dir);
}

static int
walk_claimed(struct walk *walk)
{
	AUTO_FD int cur = fs_open_dir(walk->spool->root, "cur");
	const struct walk_from *from = walk->filter->from;
	struct dir_list runners;
	int result = 0;

	if (cur < 0 || dirs_list(cur, &runners, dirs_compare_text) < 0)
		return err_io(walk->err, "spool %s: cur", walk->spool->path);
	for (size_t i = 0; i < runners.count && result == 0 && !all_found(walk); i++) {
		AUTO_FD int dir = -1;

		if (lies_before(from != NULL, runners.names[i], from != NULL ? from->runner : NULL,
			dirs_compare_text, &walk->at_runner))
			continue;
		dir = dirs_enter(cur, runners.names[i]);
		walk->place = (struct place){ .state = STATE_CLAIMED, .runner = runners.names[i] };
		if (dir >= 0)
			result = walk_lanes(walk, dir);
		else if (errno != 0)
			result = err_io(walk->err, "spool %s: cur/%s", walk->spool->path,
			    runners.names[i]);
	}
	dirs_release(&runners);
	return result;
}

static int
walk_pass(struct walk *walk, enum pass pass)
{
	enum state only = walk->filter->state;
	int result = 0;

	walk->pass = pass;
	for (int state = 0; state < STATE_COUNT && result == 0 && !all_found(walk); state++)
		if (only == STATE_NONE || only == (enum state)state)
			result = walk_state(walk, (enum state)state);
	/* Last: what is claimed meanwhile is met here. */
	if (result == 0 && !all_found(walk) && pass != PASS_REST &&
	    (only == STATE_NONE || only == STATE_CLAIMED))
		result = walk_claimed(walk);
	return result;
}

/* ---- ids --------------------------------------------------------------------------------- */

/* What the id, and its entry where it has one, say about when it came: a guess, and only about
 * where to look first. */
static void
fill_hint(struct spool *spool, const char *id, struct hint *ret)
{
	uint64_t seconds = 0;

	*ret = (struct hint){ 0 };
	if (id_lookup(spool, id, ret->token) == 1) {
		size_t n = strspn(ret->token, "0123456789");

		if (num_u64_view(ret->token, n, INT64_MAX / USEC - 1, &seconds) == 0)
			ret->created = (int64_t)seconds * USEC;
	} else {
		ret->token[0] = '\0';
		ret->created = id_made_at(id);
	}
}

/* Encodes and sorts the ids.  One that cannot be encoded is in no name. */
static void
take_ids(struct walk *walk)
{
	const struct walk_filter *filter = walk->filter;
	size_t n = 0;

	walk->ids = xcalloc(filter->id_count + 1, sizeof *walk->ids);
	walk->found = xcalloc(filter->id_count + 1, sizeof *walk->found);
	for (size_t i = 0; i < filter->id_count; i++) {
		char encoded[ID_TEXT_MAX + 1];

		if (name_encode(filter->ids[i], ID_TEXT_MAX, encoded) == 0)
			walk->ids[n++] = xstrdup(encoded);
	}
	qsort(walk->ids, n, sizeof *walk->ids, dirs_compare_text);
	for (size_t i = 0; i < n; i++) {
		if (walk->id_count > 0 && strcmp(walk->ids[walk->id_count - 1], walk->ids[i]) == 0)
			free(walk->ids[i]);
		else
			walk->ids[walk->id_count++] = walk->ids[i];
	}
	walk->missing = walk->id_count;
	if (walk->id_count > HINTS_MAX)
		return;
	walk->hints = xcalloc(walk->id_count + 1, sizeof *walk->hints);
	for (size_t i = 0; i < walk->id_count; i++)
		fill_hint(walk->spool, walk->ids[i], &walk->hints[i]);
}

int
walk(struct spool *spool, const struct walk_filter *filter,
    int (*each)(const struct place *place, void *arg), void *arg, struct err *err)
{
	struct walk walk = { .spool = spool,
		.filter = filter,
		.each = each,
		.arg = arg,
		.err = err };
	int result;

	if (filter->ids != NULL)
		take_ids(&walk);
	if (walk.hints == NULL) {
		result = walk_pass(&walk, PASS_ALL);
	} else {
		result = walk_pass(&walk, PASS_LIKELY);
		if (result == 0)
			result = walk_pass(&walk, PASS_REST);
	}
	for (size_t i = 0; i < walk.id_count; i++)
		free(walk.ids[i]);
	free(walk.ids);
	free(walk.found);
	free(walk.hints);
	return result;
}
