#include "cmd/run/print.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

static void
print_json(const struct totals *totals, const struct skipped *skipped)
{
	const struct deliver_counts *counts = &totals->delivered;
	AUTO_BUF struct buf line = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&line);
	char next[CLOCK_TEXT_SIZE];

	json_begin_object(&w);
	json_member_int(&w, "sent", (int64_t)counts->sent);
	json_member_int(&w, "deferred", (int64_t)counts->deferred);
	json_member_int(&w, "failed", (int64_t)counts->failed);
	json_member_int(&w, "uncertain", (int64_t)counts->uncertain);
	json_member_int(&w, "damaged", (int64_t)counts->corrupt);
	json_member_int(&w, "recovered", (int64_t)counts->recovered);
	json_member_int(&w, "reported", (int64_t)totals->exchanged.reported);
	json_member_int(&w, "fetched", (int64_t)totals->exchanged.fetched);
	json_member_int(&w, "refused", (int64_t)totals->exchanged.refused);
	if (totals->resent >= 0)
		json_member_int(&w, "resent", totals->resent);
	if (skipped != NULL) {
		json_member_bool(&w, "skipped", true);
		if (skipped->next != INT64_MAX)
			json_member_str(&w, "next", clock_iso_usec(skipped->next, next));
		json_member_str(&w, "why", skipped->why);
	}
	json_end_object(&w);
	puts(line.s);
}

static void
print_number(const char *name, uint64_t number)
{
	if (number > 0)
		printf(", %s %llu", name, (unsigned long long)number);
}

static void
print_summary(const struct totals *totals)
{
	const struct deliver_counts *counts = &totals->delivered;

	printf("sent %llu, deferred %llu, failed %llu", (unsigned long long)counts->sent,
	    (unsigned long long)counts->deferred, (unsigned long long)counts->failed);
	print_number("uncertain", counts->uncertain);
	print_number("damaged", counts->corrupt);
	print_number("recovered", counts->recovered);
	print_number("reported", totals->exchanged.reported);
	print_number("fetched", totals->exchanged.fetched);
	print_number("refused", totals->exchanged.refused);
	putchar('\n');
}

static void
print_skipped(const struct skipped *skipped)
{
	char span[CLOCK_TEXT_SIZE], why[2 * sizeof skipped->why];
	int64_t ahead = skipped->next - clock_now();

	log_escape(why, sizeof why, skipped->why, strlen(skipped->why));
	if (skipped->next == INT64_MAX)
		printf("no cycle is due, and there will be no further cycle: %s\n", why);
	else
		printf("no cycle is due for %s: %s\n", clock_span(ahead > 0 ? ahead : 0, span),
		    why);
}

static bool
anything_happened(const struct totals *t)
{
	return t->delivered.claimed + t->delivered.recovered + t->exchanged.reported +
	    t->exchanged.fetched + t->exchanged.refused >
	    0;
}

void
run_print(const struct totals *totals, const struct skipped *skipped, bool json)
{
	bool asked = log_wants(LOG_LEVEL_INFO) || isatty(STDOUT_FILENO) == 1;

	if (json)
		print_json(totals, skipped);
	else if (skipped != NULL && asked)
		print_skipped(skipped);
	else if (skipped == NULL && (asked || anything_happened(totals)))
		print_summary(totals);
	if (totals->delivered.suspended > 0)
		log_info("some mail is suspended: \"mailq-status\" says what, and why");
}
