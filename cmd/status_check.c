/* The spool's own fsck. */
#include <stdio.h>

#include "cmd/status.h"
#include "spool/check.h"

struct checking {
	bool json;
	struct json_writer w;
};

static void
print_fault(const char *path, const char *text, bool repaired, void *arg)
{
	struct checking *checking = arg;
	struct json_writer *w = &checking->w;

	if (checking->json) {
		json_begin_object(w);
		json_member_str(w, "path", path);
		json_member_str(w, "fault", text);
		json_member_bool(w, "repaired", repaired);
		json_end_object(w);
		status_json_line(w);
		return;
	}
	status_put(path);
	fputs(": ", stdout);
	status_put(text);
	puts(repaired ? " (repaired)" : "");
}

int
status_check(struct spool *spool, const struct status_options *options)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 * 1024);
	struct checking checking = { .json = options->json, .w = JSON_WRITER(&out) };
	struct check_result result;
	struct err err = ERR_INIT;

	if (check_spool(spool, options->repair, print_fault, &checking, &result, &err) < 0)
		return err_print(&err);
	if (options->json) {
		json_begin_object(&checking.w);
		json_member_int(&checking.w, "messages", (int64_t)result.messages);
		json_member_int(&checking.w, "faults", (int64_t)result.faults);
		json_member_int(&checking.w, "repaired", (int64_t)result.repaired);
		json_end_object(&checking.w);
		status_json_line(&checking.w);
	} else {
		printf("%llu message%s read, %llu fault%s, %llu repaired\n",
		    (unsigned long long)result.messages, result.messages == 1 ? "" : "s",
		    (unsigned long long)result.faults, result.faults == 1 ? "" : "s",
		    (unsigned long long)result.repaired);
	}
	return result.faults > result.repaired ? EX_DATAERR : EX_OK;
}
