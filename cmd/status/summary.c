/* The queue at a glance. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/utf8.h"
#include "cmd/status/brakes.h"
#include "cmd/view/text.h"
#include "spool/report/reports.h"

#define FEW_INODES 100000
/* With less than this, programs cannot be expected to write a journal, or a count of what was sent. */
#define FULL_BYTES ((uint64_t)64 * 1024)
#define JSON_OUT_MAX ((size_t)16 * 1024 * 1024)

/* The states in the order of the table. */
static const enum state shown[] = { STATE_WAITING, STATE_DEFERRED, STATE_CLAIMED, STATE_HELD,
	STATE_UNCERTAIN, STATE_FAILED };
#define N_SHOWN (sizeof shown / sizeof shown[0])

struct disk {
	uint64_t bytes, inodes;
	bool counts_inodes; /* some file systems have no number of them */
	bool full;
};

static struct disk
look_at_disk(const struct spool *spool)
{
	struct statvfs fs;
	struct disk disk;

	if (fstatvfs(spool->root, &fs) < 0)
		return (struct disk){ 0 };
	disk = (struct disk){ .bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
		.inodes = fs.f_favail,
		.counts_inodes = fs.f_files > 0 };
	disk.full = disk.bytes < FULL_BYTES || (disk.counts_inodes && disk.inodes == 0);
	return disk;
}

/* The reports that the application has not acknowledged, and how the last call to it went. */
struct backlog {
	bool shown; /* there is an application, or something that it never took */
	struct reports_backlog counts;
	struct reports_state state;
};

static int
read_backlog(const struct spool *spool, const struct settings *settings, struct backlog *ret,
    struct err *err)
{
	*ret = (struct backlog){ 0 };
	/* Without one, what it would be told is history, no more. */
	if ((settings->sync.url != NULL ? reports_count : reports_count_dead)(spool, &ret->counts,
		err) < 0)
		return -1;
	if (settings->sync.url != NULL)
		reports_state_read(spool, &ret->state);
	ret->shown = settings->sync.url != NULL || ret->counts.dead > 0;
	return 0;
}

static void
print_backlog(const struct backlog *backlog)
{
	const struct reports_backlog *counts = &backlog->counts;
	const struct reports_state *state = &backlog->state;
	char span[CLOCK_TEXT_SIZE], text[STATUS_TIME_SIZE];
	int64_t now = clock_now();

	if (!backlog->shown)
		return;
	printf("  %-10s %9llu not acknowledged", "reports", (unsigned long long)counts->waiting);
	if (counts->oldest != 0)
		printf(", the oldest %s old",
		    clock_span(now > counts->oldest ? now - counts->oldest : 0, span));
	if (counts->rejected > 0)
		printf(", %llu rejected before", (unsigned long long)counts->rejected);
	if (counts->dead > 0)
		printf("; %llu set aside (\"mailq-run --resend-reports\" sends them again)",
		    (unsigned long long)counts->dead);
	putchar('\n');
	if (state->failures == 0)
		return;
	printf("Reports failed %u time%s in a row", state->failures,
	    state->failures == 1 ? "" : "s");
	if (state->until > now)
		printf(", next at %s", status_time(state->until, text));
	fputs(": ", stdout);
	status_put(state->reason);
	putchar('\n');
}

static void
put_backlog(const struct backlog *backlog, struct json_writer *w)
{
	const struct reports_backlog *counts = &backlog->counts;
	const struct reports_state *state = &backlog->state;

	if (!backlog->shown)
		return;
	json_key(w, "reports");
	json_begin_object(w);
	json_member_int(w, "waiting", (int64_t)counts->waiting);
	json_member_int(w, "rejected", (int64_t)counts->rejected);
	json_member_int(w, "dead", (int64_t)counts->dead);
	status_json_instant(w, "oldest", counts->oldest);
	status_json_instant(w, "last_told", state->told);
	json_member_int(w, "failures", state->failures);
	if (state->failures > 0) {
		status_json_instant(w, "until", state->until);
		json_member_str(w, "reason", state->reason);
	}
	json_end_object(w);
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
			printf("  by %zu running mailq-run", counts->runners);
		putchar('\n');
	}
}

/* How wide the columns of names are; 0 where nothing stands in one. */
struct widths {
	int account, batch, domain;
};

static void
widen(int *width, const char *text)
{
	int n = (int)utf8_length(text, strlen(text));

	*width = n > *width ? n : *width;
}

static void
put_padded(const char *text, int width)
{
	int n = (int)utf8_length(text, strlen(text));

	status_put(text);
	printf("%*s", n < width ? width - n : 0, "");
}

static void
print_lane(const struct lane_count *lane, const struct widths *widths, bool suspended)
{
	put_padded(lane->lane.account, widths->account + 1);
	for (size_t s = 0; s < N_SHOWN; s++)
		printf(" %9llu", (unsigned long long)lane->messages[shown[s]]);
	/* Nothing is padded at the end of a line. */
	if (lane->lane.batch[0] != '\0' || lane->lane.domain[0] != '\0' || suspended) {
		if (widths->batch > 0) {
			fputs("  ", stdout);
			put_padded(lane->lane.batch,
			    lane->lane.domain[0] != '\0' || suspended ? widths->batch : 0);
		}
		if (widths->domain > 0) {
			fputs("  ", stdout);
			put_padded(lane->lane.domain, suspended ? widths->domain : 0);
		}
	}
	puts(suspended ? "  suspended" : "");
}

static void
print_lanes(const struct counts *counts, const struct brakes *brakes)
{
	struct widths widths = { .account = (int)strlen("ACCOUNT") };

	for (size_t i = 0; i < counts->lane_count; i++) {
		widen(&widths.account, counts->lanes[i].lane.account);
		widen(&widths.batch, counts->lanes[i].lane.batch);
		widen(&widths.domain, counts->lanes[i].lane.domain);
	}
	if (widths.batch > 0)
		widen(&widths.batch, "BATCH");
	printf("\n%-*s ", widths.account, "ACCOUNT");
	for (size_t i = 0; i < N_SHOWN; i++)
		printf(" %9s",
		    (const char *[]){ "WAITING", "DEFERRED", "CLAIMED", "HELD", "UNCERTAIN",
			"FAILED" }[i]);
	if (widths.batch > 0)
		printf("  %-*s", widths.domain > 0 ? widths.batch : 0, "BATCH");
	puts(widths.domain > 0 ? "  DOMAIN" : "");
	for (size_t i = 0; i < counts->lane_count; i++)
		print_lane(&counts->lanes[i], &widths,
		    brakes_suspended(brakes, &counts->lanes[i].lane));
}

static int
print_people(const struct spool *spool, const struct counts *counts, const struct brakes *brakes,
    const struct backlog *backlog, struct err *err)
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
	print_backlog(backlog);
	if (disk.full)
		puts("The file system of the spool is full: nothing is added, and what must be "
		     "counted "
		     "or recorded is not sent");
	if (brakes_print(brakes, err) < 0)
		return -1;
	if (counts->lane_count > 0)
		print_lanes(counts, brakes);
	return 0;
}

static void
put_states(struct json_writer *w, const uint64_t *messages)
{
	for (size_t i = 0; i < N_SHOWN; i++)
		json_member_int(w, state_text(shown[i]), (int64_t)messages[shown[i]]);
}

static void
put_lane(struct json_writer *w, const struct lane_count *lane, bool suspended)
{
	json_begin_object(w);
	json_member_str(w, "account", lane->lane.account);
	if (lane->lane.batch[0] != '\0')
		json_member_str(w, "batch", lane->lane.batch);
	if (lane->lane.domain[0] != '\0')
		json_member_str(w, "domain", lane->lane.domain);
	if (suspended)
		json_member_bool(w, "suspended", true);
	put_states(w, lane->messages);
	status_json_instant(w, "oldest_due", lane->oldest);
	status_json_instant(w, "next_due", lane->next_due);
	json_end_object(w);
}

static int
print_json(const struct spool *spool, const struct counts *counts, const struct brakes *brakes,
    const struct backlog *backlog, struct err *err)
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
	put_backlog(backlog, &w);
	if (brakes_put(brakes, &w, err) < 0)
		return -1;
	json_key(&w, "accounts");
	json_begin_array(&w);
	for (size_t i = 0; i < counts->lane_count; i++)
		put_lane(&w, &counts->lanes[i], brakes_suspended(brakes, &counts->lanes[i].lane));
	json_end_array(&w);
	json_end_object(&w);
	if (status_json_line(&w) != EX_OK)
		return err_set(err, EX_SOFTWARE,
		    "too many accounts and batches for one line of JSON");
	return 0;
}

int
status_summary(struct spool *spool, const struct status_options *options,
    const struct settings *settings)
{
	AUTO(counts_release) struct counts counts = { 0 };
	AUTO(brakes_release) struct brakes brakes = { 0 };
	struct backlog backlog;
	struct err err = ERR_INIT;

	if (count_messages(spool, &counts, &err) < 0 ||
	    read_backlog(spool, settings, &backlog, &err) < 0 ||
	    brakes_read(&brakes, spool, settings, &counts, &err) < 0)
		return err_print(&err);
	if ((options->json ? print_json : print_people)(spool, &counts, &brakes, &backlog, &err) <
	    0)
		return err_print(&err);
	return EX_OK;
}
