/* hold, release, retry, delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/status/status.h"
#include "cmd/view/text.h"
#include "spool/queue/act.h"

static const struct act_word {
	const char *command;
	enum act what;
	const char *done;
	const char *unfit; /* what those must be that it goes with */
} words[] = {
	{ "hold", ACT_HOLD, "held", "held already" },
	{ "release", ACT_RELEASE, "released", "neither held nor uncertain" },
	{ "retry", ACT_RETRY, "to be sent at once", "waiting to be sent at once already" },
	{ "delete", ACT_DELETE, "deleted", "" },
};

static void
print_json(const struct act_result *result)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)16 * 1024 * 1024);
	struct json_writer w = JSON_WRITER(&out);

	json_begin_object(&w);
	json_member_int(&w, "done", (int64_t)result->done);
	json_member_int(&w, "claimed", (int64_t)result->claimed);
	json_member_int(&w, "unfit", (int64_t)result->unfit);
	json_key(&w, "missing");
	json_begin_array(&w);
	for (size_t i = 0; i < result->missing_count; i++)
		json_put_str(&w, result->missing[i]);
	json_end_array(&w);
	json_end_object(&w);
	status_json_line(&w);
}

/* Says what could not be done (only_id: the one that was named, where it was one); returns the exit status. */
static int
tell(const struct act_result *result, const struct act_word *word, const char *only_id)
{
	int code = EX_OK;

	if (result->unfit > 0) {
		if (only_id != NULL)
			log_error("message \"%s\" is %s", only_id, word->unfit);
		else
			log_error("%llu message%s: %s", (unsigned long long)result->unfit,
			    result->unfit == 1 ? "" : "s", word->unfit);
		code = EX_UNAVAILABLE;
	}
	if (result->claimed > 0) {
		log_error("%llu message%s just being delivered and not touched; try again",
		    (unsigned long long)result->claimed, result->claimed == 1 ? " is" : "s are");
		code = EX_TEMPFAIL;
	}
	for (size_t i = 0; i < result->missing_count; i++) {
		log_error("no message \"%s\" in the queue", result->missing[i]);
		code = EX_NOINPUT;
	}
	return code;
}

/* Of a release, what stands nowhere in the queue may have been set aside as damaged.  Returns the exit status of
 * what cannot be taken back. */
static int
release_corrupt(struct spool *spool, const char *reason, struct act_result *result)
{
	size_t missing = 0;
	int code = EX_OK;

	for (size_t i = 0; i < result->missing_count; i++) {
		char *id = result->missing[i];
		struct err err = ERR_INIT;
		int released = act_release_corrupt(spool, id, reason, &err);

		if (released < 0)
			code = err_print(&err);
		if (released > 0)
			result->done++;
		if (released == 0)
			result->missing[missing++] = id;
		else
			free(id);
	}
	result->missing_count = missing;
	return code;
}

int
status_act(struct spool *spool, const struct status_options *options, const char *command,
    char **ids, int n)
{
	const struct act_word *word = words;
	AUTO(act_result_release) struct act_result result = { 0 };
	struct walk_filter filter;
	struct err err = ERR_INIT;
	int acted, code, left = EX_OK;

	while (strcmp(word->command, command) != 0)
		word++;
	if (status_filter(options, &filter, &err) < 0)
		return err_print(&err);
	if (!options->all) {
		filter.ids = (const char *const *)ids;
		filter.id_count = (size_t)n;
	}
	acted = act(spool, word->what, options->reason, &filter, &result, &err);
	if (acted == 0 && word->what == ACT_RELEASE)
		left = release_corrupt(spool, options->reason, &result);
	if (options->json)
		print_json(&result);
	else if (!options->common.quiet)
		printf("%llu message%s %s\n", (unsigned long long)result.done,
		    result.done == 1 ? "" : "s", word->done);
	if (acted < 0)
		return err_print(&err);
	code = tell(&result, word, !options->all && n == 1 ? ids[0] : NULL);
	return left != EX_OK ? left : code;
}
