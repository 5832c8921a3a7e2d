/* The messages in the queue, a line each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/status.h"

/* Room for the line of a message with 10,000 recipients. */
#define LINE_OUT_MAX ((size_t)16 * 1024 * 1024)

struct listing {
	const struct status_options *options;
	struct json_writer w;
	int64_t count;
	int code;
};

static void
print_name(const struct place *place, const char *id, const char *account, const char *batch)
{
	char age[STATUS_TIME_SIZE];

	printf("%-9s %d %5u  %-13.40s ", state_text(place->state), place->name.priority,
	    place->name.attempts, status_age(place->name.due, age));
	status_put(account);
	printf("%*s ", (int)(strlen(account) < 12 ? 12 - strlen(account) : 0), "");
	status_put(id);
	if (batch[0] != '\0') {
		fputs("  batch ", stdout);
		status_put(batch);
	}
	putchar('\n');
}

static void
print_record(const struct record *record)
{
	fputs("          ", stdout);
	status_put(record->sender[0] != '\0' ? record->sender : "<>");
	fputs(" -> ", stdout);
	status_put(record->recipients[0]);
	if (record->recipient_count > 1)
		printf(" and %zu more", record->recipient_count - 1);
	if (record->subject != NULL) {
		fputs(": ", stdout);
		status_put(record->subject);
	}
	putchar('\n');
}

static void
put_record(struct json_writer *w, const struct record *record)
{
	status_json_instant(w, "created", record->created);
	json_member_int(w, "size", (int64_t)record->text.length);
	json_member_str(w, "sender", record->sender);
	json_member_str(w, "from", record->from);
	json_member_str(w, "subject", record->subject);
	status_json_recipients(w, record);
}

static void
put_name(struct json_writer *w, const struct place *place, const char *id, const char *account,
    const char *batch)
{
	json_member_str(w, "id", id);
	json_member_str(w, "state", state_text(place->state));
	json_member_str(w, "account", account);
	if (batch[0] != '\0')
		json_member_str(w, "batch", batch);
	json_member_int(w, "priority", place->name.priority);
	status_json_instant(w, "due", place->name.due);
	json_member_int(w, "attempts", place->name.attempts);
	json_member_str(w, "runner", place->runner);
}

static int
list_one(const struct place *place, void *arg)
{
	struct listing *listing = arg;
	const struct status_options *options = listing->options;
	char id[ID_TEXT_MAX + 1] = "";
	struct lane lane = { 0 };
	struct record record = { 0 };
	struct err err = ERR_INIT;
	bool opened = false;

	name_decode(place->name.id, id);
	lane_parse(place->lane, &lane);
	if (options->long_list)
		opened =
		    message_open(place->dir, place->text, &place->name, NULL, &record, &err) == 0;
	if (options->json) {
		json_begin_object(&listing->w);
		put_name(&listing->w, place, id, lane.account, lane.batch);
		if (opened)
			put_record(&listing->w, &record);
		json_end_object(&listing->w);
		if (status_json_line(&listing->w) != EX_OK)
			listing->code = EX_SOFTWARE;
	} else {
		print_name(place, id, lane.account, lane.batch);
		if (opened)
			print_record(&record);
	}
	/* One that has just gone is no fault. */
	if (options->long_list && !opened && err.code != EX_NOINPUT)
		listing->code = err_print(&err);
	record_release(&record);
	listing->count++;
	return ferror(stdout) != 0 || listing->count == options->limit;
}

int
status_list(struct spool *spool, const struct status_options *options)
{
	AUTO_BUF struct buf out = BUF_INIT(LINE_OUT_MAX);
	struct listing listing = { .options = options, .w = JSON_WRITER(&out) };
	struct walk_filter filter;
	struct err err = ERR_INIT;

	if (status_filter(options, &filter, &err) < 0)
		return err_print(&err);
	if (!options->json)
		printf("%-9s %s %s  %-13s %-12s %s\n", "STATE", "P", "TRIES", "DUE", "ACCOUNT",
		    "ID");
	if (walk(spool, &filter, list_one, &listing, &err) < 0)
		return err_print(&err);
	return listing.code;
}
