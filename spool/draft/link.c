/*
 * The names and ids of a draft of many.  Two links a message, each in a directory of its own, are
 * most of what a large batch costs, and all of it is time in the kernel: so a thread takes the ids
 * of those messages whose names are made, while the names of the next are being made.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "spool/draft/private.h"

/* Fewer ids than this are taken without a thread. */
#define THREAD_MIN 64

struct linking {
	struct draft *draft;
	struct group *groups;
	atomic_size_t named; /* so many messages have their names */
	atomic_bool stop;    /* the other side has failed */
	unsigned int shards; /* the ids' */
	struct err err;	     /* the ids' */
	bool failed;
};

static int
link_name(struct draft *draft, struct group *groups, const struct entry *entry, struct err *err)
{
	char text[NAME_SIZE];

	message_name_format(&entry->name, text);
	if (linkat(draft->spool->tmp, draft->token, groups[entry->group].fd, text, 0) < 0)
		return err_io(err, "spool %s: cannot link a message", draft->spool->path);
	return 0;
}

/* Takes the ids of entries from..to-1; *sibling is an id that this draft has taken, or NULL. */
static int
take_ids(struct linking *linking, size_t from, size_t to, const char **sibling)
{
	struct draft *draft = linking->draft;
	char text[NAME_SIZE];

	for (size_t i = from; i < to; i++) {
		struct entry *entry = &draft->entries[i];
		int taken;

		if (entry->made_up)
			continue;
		taken =
		    id_take(draft->spool, entry->name.id, draft->token, *sibling, &linking->err);
		if (taken < 0)
			return -1;
		if (taken == 0) {
			entry->result = DRAFT_DUPLICATE;
			message_name_format(&entry->name, text);
			if (unlinkat(linking->groups[entry->group].fd, text, 0) < 0)
				return err_io(&linking->err, "spool %s: cannot unlink",
				    draft->spool->path);
			continue;
		}
		*sibling = entry->name.id;
		linking->shards |= 1u << spool_id_shard(entry->name.id);
	}
	return 0;
}

static void *
take_all_ids(void *arg)
{
	struct linking *linking = arg;
	const char *sibling = NULL;
	size_t done = 0;

	while (done < linking->draft->count) {
		size_t named = atomic_load_explicit(&linking->named, memory_order_acquire);

		if (named == done) {
			if (atomic_load(&linking->stop))
				break;
			sched_yield();
			continue;
		}
		if (take_ids(linking, done, named, &sibling) < 0) {
			linking->failed = true;
			atomic_store(&linking->stop, true);
			break;
		}
		done = named;
	}
	return NULL;
}

static size_t
count_ids(const struct draft *draft)
{
	size_t count = 0;

	for (size_t i = 0; i < draft->count; i++)
		count += !draft->entries[i].made_up;
	return count;
}

int
draft_link(struct draft *draft, struct group *groups, unsigned int *ret_shards, struct err *err)
{
	struct linking linking = { .draft = draft, .groups = groups, .err = ERR_INIT };
	size_t ids = count_ids(draft);
	pthread_t thread;
	bool threaded = ids >= THREAD_MIN && draft_thread(&thread, take_all_ids, &linking) == 0;
	int result = 0;

	for (size_t i = 0; i < draft->count && result == 0 && !atomic_load(&linking.stop); i++) {
		result = link_name(draft, groups, &draft->entries[i], err);
		if (result == 0)
			atomic_store_explicit(&linking.named, i + 1, memory_order_release);
	}
	if (result < 0)
		atomic_store(&linking.stop, true);
	if (threaded)
		pthread_join(thread, NULL);
	else if (ids > 0 && result == 0)
		take_all_ids(&linking);
	if (result == 0 && linking.failed) {
		if (err != NULL)
			*err = linking.err;
		result = -1;
	}
	for (size_t i = 0; i < draft->count; i++)
		if (draft->entries[i].result == DRAFT_OPEN)
			groups[draft->entries[i].group].queued++;
	*ret_shards = linking.shards;
	return result;
}
