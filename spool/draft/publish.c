/* The commit of a draft: from tmp/ into the queue.  The order of the steps is what draft_recover()
 * relies on; the comments say which crash leaves what. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/private.h"

/* A group of fewer messages goes into a shared bucket; a larger one becomes a bucket of its own. */
#define OWN_BUCKET_MIN 64
/* Every file system that we know has written by itself what was changed so many seconds ago. */
#define SYNCED_AFTER 300

static int
sync_id_dirs(struct spool *spool, unsigned int shards, struct err *err)
{
	for (unsigned int i = 0; i < ID_SHARDS; i++)
		if ((shards & 1u << i) && spool_sync_dir(spool, spool->ids[i]) < 0)
			return err_io(err, "spool %s: cannot sync the ids", spool->path);
	return 0;
}

/*
 * A duplicate is acknowledged like any other, so what it is a duplicate of must be on disk: of one
 * that came a moment ago, the process that added it is perhaps still syncing, or died before it did.
 */
static int
sync_duplicates(struct draft *draft, struct err *err)
{
	struct spool *spool = draft->spool;
	char token[TOKEN_SIZE];

	for (size_t i = 0; i < draft->count; i++) {
		if (draft->entries[i].result != DRAFT_DUPLICATE)
			continue;
		if (id_lookup(spool, draft->entries[i].name.id, token) == 1 &&
		    llabs(strtoll(token, NULL, 10) - clock_now() / USEC) > SYNCED_AFTER)
			continue;
		/* Once for all of them. */
		return fs_sync_all(spool->root) < 0 ?
		    err_io(err, "spool %s: cannot sync", spool->path) :
		    0;
	}
	return 0;
}

/* The last step for one message, whose file is in the queue by now. */
static int
sync_published(struct draft *draft, int bucket, const char *text, struct err *err)
{
	if (spool_sync_dir(draft->spool, bucket) == 0 && spool_sync_end(draft->spool) == 0) {
		draft->entries[0].result = DRAFT_QUEUED;
		return 0;
	}
	err_io(err, "spool %s: cannot sync a bucket", draft->spool->path);
	/* What is refused must not go out: back into tmp/, where it is rolled back, if it is not on its
	 * way by now. */
	if (renameat(bucket, text, draft->spool->tmp, draft->token) < 0)
		draft->committed = true;
	return -1;
}

/*
 * One message: its file is renamed into the queue.  A crash before the rename leaves tmp/TOKEN, and
 * perhaps the id with TOKEN in it: both are rolled back.  After it, the message is in the queue.
 */
int
draft_publish_one(struct draft *draft, struct err *err)
{
	struct spool *spool = draft->spool;
	struct entry *entry = &draft->entries[0];
	char text[NAME_SIZE];
	int taken = 1;

	if (!entry->made_up)
		taken = id_take(spool, entry->name.id, draft->token, NULL, err);
	if (taken < 0)
		return -1;
	if (taken == 0) {
		entry->result = DRAFT_DUPLICATE;
		if (sync_duplicates(draft, err) < 0)
			return -1;
		if (unlinkat(spool->tmp, draft->token, 0) < 0)
			return err_io(err, "tmp/%s", draft->token);
		if (draft->has_pieces)
			part_take_back(spool, draft->token, draft->fd);
		return 0;
	}
	/* Its id first: no message in the queue whose id a power cut could forget. */
	if (!entry->made_up && sync_id_dirs(spool, 1u << spool_id_shard(entry->name.id), err) < 0)
		return -1;
	message_name_format(&entry->name, text);
	for (int attempt = 0;; attempt++) {
		AUTO_FD int lane = spool_open_lane(spool, entry->state, entry->lane);
		AUTO_FD int bucket = lane < 0 ?
		    -1 :
		    spool_open_bucket(lane, entry->name.priority, entry->name.due, BUCKET_PLAIN);

		if (bucket < 0 && (errno != ENOENT || attempt == 100))
			return err_io(err, "spool %s: cannot make a bucket", spool->path);
		if (bucket < 0)
			continue;
		draft->visible = true;
		if (renameat(spool->tmp, draft->token, bucket, text) == 0)
			return sync_published(draft, bucket, text, err);
		if (errno != ENOENT || attempt == 100)
			return err_io(err, "spool %s: cannot queue a message", spool->path);
	}
}

static bool
same_group(const struct group *group, const struct entry *entry)
{
	return group->state == entry->state && group->priority == entry->name.priority &&
	    (entry->state == STATE_WAITING || group->span == bucket_start(entry->name.due)) &&
	    strcmp(group->lane, entry->lane) == 0;
}

/* Sorts the entries into groups; returns how many. */
static size_t
make_groups(struct draft *draft, struct group **ret)
{
	struct group *groups = NULL;
	size_t count = 0, last = 0;

	for (size_t i = 0; i < draft->count; i++) {
		struct entry *entry = &draft->entries[i];
		size_t g = last;

		/* Neighbours are mostly alike. */
		if (count == 0 || !same_group(&groups[g], entry))
			for (g = 0; g < count && !same_group(&groups[g], entry); g++)
				;
		if (g == count) {
			groups = xreallocarray(groups, ++count, sizeof *groups);
			groups[g] = (struct group){ .state = entry->state,
				.lane = entry->lane,
				.priority = entry->name.priority,
				.span = bucket_start(entry->name.due),
				.start = entry->name.due,
				.fd = -1,
				.bucket = -1,
				.lane_fd = -1 };
		}
		if (entry->name.due < groups[g].start)
			groups[g].start = entry->name.due;
		entry->group = last = g;
	}
	*ret = groups;
	return count;
}

static int
make_private_dirs(struct draft *draft, int private, struct group *groups, size_t count,
    struct err *err)
{
	char name[24];

	for (size_t g = 0; g < count; g++) {
		snprintf(name, sizeof name, "%zu", g);
		if (mkdirat(private, name, 0770) < 0 ||
		    (groups[g].fd = fs_open_dir(private, name)) < 0)
			return err_io(err, "spool %s: cannot make a bucket", draft->spool->path);
	}
	return 0;
}

/* A large group becomes a bucket of its own by one rename of its directory. */
static int
publish_directory(struct draft *draft, int private, size_t number, struct group *group)
{
	struct bucket_name bucket = { .priority = group->priority, .start = group->start };
	char from[24], to[BUCKET_SIZE];

	snprintf(from, sizeof from, "%zu", number);
	memcpy(bucket.token, draft->token, sizeof bucket.token);
	bucket_name_format(&bucket, to);
	if (spool_sync_dir(draft->spool, group->fd) < 0 ||
	    renameat(private, from, group->lane_fd, to) < 0)
		return -1;
	group->bucket = take_fd(&group->fd);
	return spool_sync_dir(draft->spool, group->lane_fd);
}

/* A small one: each name is renamed into the shared bucket. */
static int
publish_names(struct draft *draft, size_t number, struct group *group)
{
	char text[NAME_SIZE];
	int attempt = 0;

	for (size_t i = 0; i < draft->count; i++) {
		const struct entry *entry = &draft->entries[i];

		if (entry->group != number || entry->result == DRAFT_DUPLICATE)
			continue;
		message_name_format(&entry->name, text);
		for (;;) {
			if (group->bucket < 0)
				group->bucket = spool_open_bucket(group->lane_fd, group->priority,
				    entry->state == STATE_WAITING ? group->start : entry->name.due,
				    BUCKET_PLAIN);
			if (group->bucket < 0)
				return -1;
			if (renameat(group->fd, text, group->bucket, text) == 0)
				break;
			if (errno != ENOENT || ++attempt == 100)
				return -1;
			auto_close_fd(&group->bucket); /* it was empty, and was removed */
		}
	}
	return group->bucket < 0 ? 0 : spool_sync_dir(draft->spool, group->bucket);
}

static int
publish_groups(struct draft *draft, int private, struct group *groups, size_t count,
    struct err *err)
{
	struct spool *spool = draft->spool;

	for (size_t g = 0; g < count; g++) {
		struct group *group = &groups[g];
		int result;

		if (group->queued == 0)
			continue;
		/* Again where the lane was empty, and was removed meanwhile. */
		for (int attempt = 0;; attempt++) {
			group->lane_fd = spool_open_lane(spool, group->state, group->lane);
			if (group->lane_fd < 0)
				return err_io(err, "spool %s: cannot make a lane", spool->path);
			result = group->queued < OWN_BUCKET_MIN ?
			    publish_names(draft, g, group) :
			    publish_directory(draft, private, g, group);
			if (result == 0 || errno != ENOENT || attempt == 100)
				break;
			auto_close_fd(&group->lane_fd);
		}
		if (result < 0)
			return err_io(err, "spool %s: cannot queue messages", spool->path);
		/* There may be as many groups as messages. */
		auto_close_fd(&group->lane_fd);
		auto_close_fd(&group->fd);
	}
	if (spool_sync_end(spool) < 0)
		return err_io(err, "spool %s: cannot sync", spool->path);
	return 0;
}

/* All or nothing: the names of a draft that fails are taken back into tmp/, where they are rolled
 * back.  Those that are on their way by now are not; their ids stay known. */
static void
take_back(struct draft *draft, int private, const struct group *groups, size_t count)
{
	char name[24], text[NAME_SIZE];

	for (size_t g = 0; g < count; g++) {
		AUTO_FD int home = -1;

		snprintf(name, sizeof name, "%zu", g);
		if (groups[g].bucket < 0)
			continue;
		home = fs_open_dir(private, name);
		if (home < 0 && mkdirat(private, name, 0770) == 0)
			home = fs_open_dir(private, name);
		for (size_t i = 0; i < draft->count; i++) {
			const struct entry *entry = &draft->entries[i];

			if (entry->group != g || entry->result == DRAFT_DUPLICATE)
				continue;
			message_name_format(&entry->name, text);
			/* Without room for another directory: at once and for good. */
			if (home >= 0)
				renameat(groups[g].bucket, text, home, text);
			else if (unlinkat(groups[g].bucket, text, 0) == 0 && !entry->made_up)
				id_give_up(draft->spool, entry->name.id, draft->token);
		}
	}
}

/* Removes what is empty now.  The file goes first, as in a rollback: without it there is nothing to
 * roll back, and without the directory it would be taken for the draft of one message. */
static void
remove_private(struct draft *draft, int private, const char *private_name, size_t groups)
{
	char name[24];

	if (unlinkat(draft->spool->tmp, draft->token, 0) < 0)
		return;
	/* They may all be sent by now, or known already. */
	if (draft->has_pieces)
		part_take_back(draft->spool, draft->token, draft->fd);
	for (size_t g = 0; g < groups; g++) {
		snprintf(name, sizeof name, "%zu", g);
		unlinkat(private, name, AT_REMOVEDIR);
	}
	unlinkat(draft->spool->tmp, private_name, AT_REMOVEDIR);
}

/*
 * Many messages share the draft's file; each gets a name that says where it lies in it.  All names
 * are made in tmp/TOKEN.d/, the ids are taken and synced, and then each group is renamed into the
 * queue.  A crash leaves tmp/TOKEN and, in tmp/TOKEN.d/, just the names that were not published.
 */
int
draft_publish_many(struct draft *draft, struct err *err)
{
	struct spool *spool = draft->spool;
	struct group *groups = NULL;
	char name[PRIVATE_SIZE];
	AUTO_FD int private = -1;
	unsigned int shards = 0;
	size_t count = make_groups(draft, &groups);
	int result;

	draft_private_name(draft->token, name);
	if (mkdirat(spool->tmp, name, 0770) < 0 || (private = fs_open_dir(spool->tmp, name)) < 0)
		result = err_io(err, "spool %s: cannot make tmp/%s", spool->path, name);
	else
		result = make_private_dirs(draft, private, groups, count, err);
	if (result == 0)
		result = draft_link(draft, groups, &shards, err);
	if (result == 0)
		result = sync_id_dirs(spool, shards, err);
	if (result == 0)
		result = sync_duplicates(draft, err);
	if (result == 0) {
		draft->visible = true;
		result = publish_groups(draft, private, groups, count, err);
		if (result < 0)
			take_back(draft, private, groups, count);
	}
	if (result == 0) {
		remove_private(draft, private, name, count);
		for (size_t i = 0; i < draft->count; i++)
			if (draft->entries[i].result == DRAFT_OPEN)
				draft->entries[i].result = DRAFT_QUEUED;
	}
	for (size_t g = 0; g < count; g++) {
		auto_close_fd(&groups[g].fd);
		auto_close_fd(&groups[g].bucket);
		auto_close_fd(&groups[g].lane_fd);
	}
	free(groups);
	return result;
}
