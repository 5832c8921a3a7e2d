/* The queue at a glance. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/status.h"
#include "spool/count.h"
#include "spool/park.h"

#define FEW_INODES 100000
#define JSON_OUT_MAX ((size_t)16 * 1024 * 1024)

/* The states in the order of the table. */
static const enum state shown[] = { STATE_WAITING, STATE_DEFERRED, STATE_CLAIMED, STATE_HELD,
	STATE_UNCERTAIN, STATE_FAILED };
#define N_SHOWN (sizeof shown / sizeof shown[0])

struct disk {
	uint64_t bytes, inodes;
	bool counts_inodes; /* some file systems have no number of them */
};

static struct disk
look_at_disk(const struct spool *spool)
{
	struct statvfs fs;

	if (fstatvfs(spool->root, &fs) < 0)
		return (struct disk){ 0 };
	return (struct disk){ (uint64_t)fs.f_bavail * fs.f_frsize, fs.f_favail, fs.f_files > 0 };
}

static void
print_states(const struct counts *counts)
{
	char text[STATUS_TIME_SIZE];

	for (size_t i = 0; i < N_SHOWN; i++) {
		enum state state = shown[i];

		printf("  %-10s %9llu", state_text(state),
		    (unsigned long long)counts->messages[state]);
		if (state == STATE_WAITING && counts->oldest != 0)
			printf("  oldest due %s", status_time(counts->oldest, text));
		if (state == STATE_DEFERRED && counts->next_due != 0)
			printf("  next due %s", status_time(counts->next_due, text));
		if (state == STATE_CLAIMED && counts->runners > 0)
			printf("  by %zu mailq-run at work", counts->runners);
		putchar('\n');
	}
}

static int
print_parked(const char *account, const struct park *park, void *arg)
{
	char text[STATUS_TIME_SIZE];

	(void)arg;
	if (park->until <= clock_now())
		return 0;
	fputs("Account ", stdout);
	status_put(account);
	printf(" is parked until %s, %u fault%s in a row, the first %s: ",
	    status_time(park->until, text), park->faults, park->faults == 1 ? "" : "s",
	    status_age(park->since, (char[STATUS_TIME_SIZE]){ 0 }));
	status_put(park->class);
	fputs(": ", stdout);
	status_put(park->reason);
	putchar('\n');
	return 0;
}

static void
print_lanes(const struct counts *counts)
{
	bool batches = false;
	int wide = 7;

	for (size_t i = 0; i < counts->lane_count; i++) {
		int n = (int)strlen(counts->lanes[i].lane.account);

		batches = batches || counts->lanes[i].lane.batch[0] != '\0';
		wide = n > wide ? n : wide;
	}
	printf("\n%-*s ", wide, "ACCOUNT");
	for (size_t i = 0; i < N_SHOWN; i++)
		printf(" %9s",
		    (const char *[]){ "WAITING", "DEFERRED", "CLAIMED", "HELD", "UNCERTAIN",
			"FAILED" }[i]);
	puts(batches ? "  BATCH" : "");
	for (size_t i = 0; i < counts->lane_count; i++) {
		const struct lane_count *lane = &counts->lanes[i];

		status_put(lane->lane.account);
		printf("%*s", wide - (int)strlen(lane->lane.account) + 1, "");
		for (size_t s = 0; s < N_SHOWN; s++)
			printf(" %9llu", (unsigned long long)lane->messages[shown[s]]);
		if (lane->lane.batch[0] != '\0') {
			fputs("  ", stdout);
			status_put(lane->lane.batch);
		}
		putchar('\n');
	}
}

static int
print_people(struct spool *spool, const struct counts *counts, struct err *err)
{
	struct disk disk = look_at_disk(spool);
	unsigned long long all = 0;
	char size[24];

	for (size_t i = 0; i < N_SHOWN; i++)
		all += counts->messages[shown[i]];
	status_put(spool->path);
	printf(": %llu message%s; %s", all, all == 1 ? "" : "s", num_size_text(disk.bytes, size));
	/* Seldom of interest, unless they run out before the space does. */
	if (disk.counts_inodes && disk.inodes < FEW_INODES)
		printf(" and only %llu inodes", (unsigned long long)disk.inodes);
	puts(" free");
	print_states(counts);
	if (park_each(spool, print_parked, NULL, err) < 0)
		return -1;
	if (counts->lane_count > 0)
		print_lanes(counts);
	return 0;
}

static void
put_states(struct json_writer *w, const uint64_t *messages)
{
	for (size_t i = 0; i < N_SHOWN; i++)
		json_member_int(w, state_text(shown[i]), (int64_t)messages[shown[i]]);
}

static int
put_parked(const char *account, const struct park *park, void *arg)
{
	struct json_writer *w = arg;

	if (park->until <= clock_now())
		return 0;
	json_begin_object(w);
	json_member_str(w, "account", account);
	status_json_instant(w, "until", park->until);
	status_json_instant(w, "since", park->since);
	json_member_int(w, "faults", park->faults);
	json_member_str(w, "class", park->class);
	json_member_str(w, "reason", park->reason);
	json_end_object(w);
	return 0;
}

static void
put_lane(struct json_writer *w, const struct lane_count *lane)
{
	json_begin_object(w);
	json_member_str(w, "account", lane->lane.account);
	if (lane->lane.batch[0] != '\0')
		json_member_str(w, "batch", lane->lane.batch);
	put_states(w, lane->messages);
	status_json_instant(w, "oldest_due", lane->oldest);
	status_json_instant(w, "next_due", lane->next_due);
	json_end_object(w);
}

static int
print_json(struct spool *spool, const struct counts *counts, struct err *err)
{
	AUTO_BUF struct buf out = BUF_INIT(JSON_OUT_MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct disk disk = look_at_disk(spool);
	char now[CLOCK_TEXT_SIZE];

	json_begin_object(&w);
	json_member_str(&w, "t", clock_iso_usec(clock_now(), now));
	json_member_str(&w, "spool", spool->path);
	json_key(&w, "messages");
	json_begin_object(&w);
	put_states(&w, counts->messages);
	json_end_object(&w);
	status_json_instant(&w, "oldest_due", counts->oldest);
	status_json_instant(&w, "next_due", counts->next_due);
	json_member_int(&w, "runners", (int64_t)counts->runners);
	json_member_int(&w, "free_bytes", (int64_t)disk.bytes);
	if (disk.counts_inodes)
		json_member_int(&w, "free_inodes", (int64_t)disk.inodes);
	json_key(&w, "parked");
	json_begin_array(&w);
	if (park_each(spool, put_parked, &w, err) < 0)
		return -1;
	json_end_array(&w);
	json_key(&w, "accounts");
	json_begin_array(&w);
	for (size_t i = 0; i < counts->lane_count; i++)
		put_lane(&w, &counts->lanes[i]);
	json_end_array(&w);
	json_end_object(&w);
	if (status_json_line(&w) != EX_OK)
		return err_set(err, EX_SOFTWARE,
		    "too many accounts and batches for one line of JSON");
	return 0;
}

int
status_summary(struct spool *spool, const struct status_options *options)
{
	AUTO(counts_release) struct counts counts = { 0 };
	struct err err = ERR_INIT;

	if (count_messages(spool, &counts, &err) < 0)
		return err_print(&err);
	if ((options->json ? print_json : print_people)(spool, &counts, &err) < 0)
		return err_print(&err);
	return EX_OK;
}
