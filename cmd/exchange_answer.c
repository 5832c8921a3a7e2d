#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/exchange_private.h"

/* How far ahead the application may put off empty calls. */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The id that an element of a list is, or has: to be freed; NULL where it is none. */
static char *
element_id(const struct json *element)
{
	char text[24];
	int64_t number;

	if (json_kind(element) == JSON_OBJECT)
		element = json_get(element, "id");
	if (json_string(element) != NULL)
		return xstrdup(json_string(element));
	if (json_to_int(element, &number) < 0)
		return NULL;
	snprintf(text, sizeof text, "%lld", (long long)number);
	return xstrdup(text);
}

static void
take_ids(struct exchange_answer *answer, const struct json *list)
{
	size_t n = json_length(list), others = 0;

	answer->ids = xreallocarray(answer->ids, answer->n + n + 1, sizeof *answer->ids);
	for (size_t i = 0; i < n; i++) {
		char *id = element_id(json_at(list, i));

		if (id != NULL)
			answer->ids[answer->n++] = id;
		else
			others++;
	}
	if (others > 0)
		log_warning("sync: the application rejects %zu that are no ids", others);
}

/* True for what says no more than if it were not there: null, false, 0, "". */
static bool
says_nothing(const struct json *value)
{
	int64_t number;
	bool truth;

	if (json_kind(value) == JSON_NULL)
		return true;
	if (json_to_bool(value, &truth) == 0)
		return !truth;
	if (json_to_int(value, &number) == 0)
		return number == 0;
	return json_string(value) != NULL && *json_string(value) == '\0';
}

/* Why it failed, in the application's own words, if it has any. */
static int
refused(const struct json *root, const char *what, struct err *err)
{
	static const char *const keys[] = { "error", "detail", "message", "reason" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *words = json_string(json_get(root, keys[i]));

		if (words != NULL && *words != '\0')
			return err_set(err, EX_PROTOCOL, "it answered %s: %.300s", what, words);
	}
	return err_set(err, EX_PROTOCOL, "it answered %s", what);
}

static int
check_status(const struct json *root, struct err *err)
{
	static const char *const failures[] = { "error", "failed", "failure", "fail", "ko" };
	const struct json *ok = json_get_set(root, "ok");
	const char *status = json_string(json_get(root, "status"));
	bool truth = false;

	if (ok != NULL && (json_to_bool(ok, &truth) < 0 || !truth))
		return refused(root, "that it is not ok", err);
	for (size_t i = 0; status != NULL && i < sizeof failures / sizeof *failures; i++) {
		char what[40];

		snprintf(what, sizeof what, "status \"%s\"", failures[i]);
		if (strcasecmp(status, failures[i]) == 0)
			return refused(root, what, err);
	}
	return 0;
}

static int
read_lists(struct exchange_answer *answer, struct err *err)
{
	static const char *const lists[] = { "rejected", "error", "not_found" };
	const struct json *root = answer->json;
	bool ok = false;

	json_to_bool(json_get(root, "ok"), &ok);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		const struct json *list = json_get(root, lists[i]);

		if (json_kind(list) == JSON_ARRAY)
			take_ids(answer, list);
		else if (says_nothing(list))
			continue;
		else if (strcmp(lists[i], "error") != 0)
			return err_set(err, EX_PROTOCOL, "%s in its answer: expected ids, found %s",
			    lists[i], json_kind_name(json_kind(list)));
		else if (!ok)
			return refused(root, "an error", err);
	}
	if (answer->n > 0)
		qsort(answer->ids, answer->n, sizeof *answer->ids, compare);
	return 0;
}

static void
read_wishes(struct exchange_answer *answer)
{
	double number;
	bool truth = false;

	if (json_to_double(json_get(answer->json, "queued"), &number) == 0 && number > 0)
		answer->more = true;
	if (json_to_bool(json_get(answer->json, "more_messages"), &truth) == 0 && truth)
		answer->more = true;
	if (json_to_double(json_get(answer->json, "next_sync_after"), &number) == 0 && number > 0) {
		int64_t now = clock_now();
		double most = (double)((now + EXCHANGE_IDLE_MAX) / USEC);

		answer->idle_cut = number > most;
		answer->idle_until = (int64_t)((number < most ? number : most) * (double)USEC);
	}
}

int
exchange_answer_read(const char *text, size_t len, struct exchange_answer *ret, struct err *err)
{
	struct exchange_answer answer = { 0 };

	answer.json = json_parse(text, len, 1, err);
	if (answer.json == NULL) {
		err->code = EX_PROTOCOL;
		return err_prefix(err, "its answer is no JSON");
	}
	if (json_kind(answer.json) != JSON_OBJECT)
		err_set(err, EX_PROTOCOL, "its answer: expected an object, found %s",
		    json_kind_name(json_kind(answer.json)));
	else if (check_status(answer.json, err) == 0 && read_lists(&answer, err) == 0) {
		read_wishes(&answer);
		*ret = answer;
		return 0;
	}
	exchange_answer_release(&answer);
	return -1;
}

bool
exchange_answer_rejects(const struct exchange_answer *answer, const char *id)
{
	return answer->n > 0 &&
	    bsearch(&id, answer->ids, answer->n, sizeof *answer->ids, compare) != NULL;
}

void
exchange_answer_release(struct exchange_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++)
		free(answer->ids[i]);
	free(answer->ids);
	json_free(answer->json);
	*answer = (struct exchange_answer){ 0 };
}
