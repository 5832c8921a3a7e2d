/* The API's own forms of what comes in and goes out. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/serve/serve.h"

#define RETRY_AFTER (5 * USEC)
#define FAULTS_MAX 100			/* in one answer */
#define FAULTS_BYTES (1024u * 1024)	/* likewise */
#define ANSWER_MAX (256u * 1024 * 1024) /* bytes: more than any list of messages takes */

bool
serve_asks_page(struct http_request *r)
{
	const char *accept = http_header(r, "Accept");

	return accept != NULL && strstr(accept, "text/html") != NULL;
}

/* ---- faults ------------------------------------------------------------------------------------ */

void
serve_faults_init(struct serve_faults *faults)
{
	buf_init(&faults->json, FAULTS_BYTES);
	faults->w = (struct json_writer)JSON_WRITER(&faults->json);
	faults->count = 0;
	json_begin_object(&faults->w);
	json_key(&faults->w, "detail");
	json_begin_array(&faults->w);
}

void
serve_faults_release(struct serve_faults *faults)
{
	buf_release(&faults->json);
	faults->count = 0;
}

/* "body.messages[3]" as "body", "messages", 3. */
static void
put_path(struct json_writer *w, const char *path)
{
	while (*path != '\0') {
		size_t n = strcspn(path, ".[");

		if (n > 0)
			json_put_string(w, path, n);
		path += n;
		if (*path == '[') {
			json_put_int(w, strtoll(path + 1, NULL, 10));
			path += strcspn(path, "]");
			path += *path == ']';
		}
		path += *path == '.';
	}
}

/* True where the fault is one that the answer still takes; its entry's path is then open. */
static bool
begin_fault(struct serve_faults *faults, const char *path)
{
	if (faults->count++ >= FAULTS_MAX)
		return false;
	json_begin_object(&faults->w);
	json_key(&faults->w, "loc");
	json_begin_array(&faults->w);
	put_path(&faults->w, path);
	return true;
}

static void
end_fault(struct serve_faults *faults, const char *msg, const char *type)
{
	json_end_array(&faults->w);
	json_member_str(&faults->w, "msg", msg);
	json_member_str(&faults->w, "type", type);
	json_end_object(&faults->w);
}

void
serve_fault(struct serve_faults *faults, const char *path, const char *field, const char *type,
    const char *fmt, ...)
{
	char msg[1000];
	va_list ap;

	if (!begin_fault(faults, path))
		return;
	if (field != NULL)
		json_put_str(&faults->w, field);
	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	end_fault(faults, msg, type);
}

void
serve_fault_mail(struct serve_faults *faults, const char *path, const struct mail_fault *fault)
{
	if (!begin_fault(faults, path))
		return;
	for (size_t i = 0; i < fault->depth; i++) {
		if (fault->loc[i].key != NULL)
			json_put_str(&faults->w, fault->loc[i].key);
		else
			json_put_int(&faults->w, (int64_t)fault->loc[i].index);
	}
	end_fault(faults, fault->msg, fault->type);
}

bool
serve_fault_is_of_schema(const struct mail_fault *fault)
{
	return strcmp(fault->type, "value_error.missing") == 0 ||
	    strcmp(fault->type, "value_error.const") == 0 ||
	    strncmp(fault->type, "type_error", strlen("type_error")) == 0;
}

bool
serve_faults_reply(struct http_request *r, struct serve_faults *faults)
{
	bool any = faults->count > 0;

	json_end_array(&faults->w);
	json_end_object(&faults->w);
	if (any && json_finish(&faults->w) < 0)
		http_reply_detail(r, 422, "The body has too many faults to list them");
	else if (any)
		http_reply_json(r, 422, &faults->json);
	serve_faults_release(faults);
	return any;
}

static void
reply_fault(struct http_request *r, const char *path, const char *type, const char *msg)
{
	struct serve_faults faults;

	serve_faults_init(&faults);
	serve_fault(&faults, path, NULL, type, "%s", msg);
	serve_faults_reply(r, &faults);
}

/* ---- bodies ------------------------------------------------------------------------------------ */

/* The string that begins at s: where it ends, behind its quote; end where it does not. */
static const char *
skip_string(const char *s, const char *end)
{
	for (s++; s < end; s++) {
		size_t slashes = 0;

		s = memchr(s, '"', (size_t)(end - s));
		if (s == NULL)
			return end;
		while (s[-1 - (ssize_t)slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			return s + 1;
	}
	return end;
}

/* Whether there are more values in it than a request may have.  A value takes some hundred bytes in
 * memory, and two in the body: this is looked at before it is parsed. */
static bool
has_too_many_values(struct view body)
{
	const char *s = body.s, *end = body.s + body.len;
	size_t values = 1;

	if (body.len < SERVE_VALUES_MAX)
		return false;
	while (s < end) {
		if (*s == '"') {
			s = skip_string(s, end);
			continue;
		}
		values += *s == ',' || *s == '[' || *s == '{';
		s++;
	}
	return values > SERVE_VALUES_MAX;
}

static struct json *
read_body(struct http_request *r, struct view body, bool optional, bool marked)
{
	struct err err = ERR_INIT;
	struct json *json;

	if (body.len == 0 && !optional) {
		reply_fault(r, "body", "value_error.missing", "field required");
		return NULL;
	}
	if (has_too_many_values(body)) {
		snprintf(err.msg, sizeof err.msg, "expected at most %d values", SERVE_VALUES_MAX);
		reply_fault(r, "body", "value_error.jsondecode", err.msg);
		return NULL;
	}
	json = body.len == 0 ? json_parse("{}", 2, 1, &err) :
	    marked	     ? json_parse_marked(body.s, body.len, 1, &err) :
			       json_parse(body.s, body.len, 1, &err);
	if (json == NULL) {
		reply_fault(r, "body", "value_error.jsondecode", err.msg);
		return NULL;
	}
	if (json_kind(json) == JSON_OBJECT)
		return json;
	/* What FastAPI's optional bodies take, too. */
	if (optional && json_kind(json) == JSON_NULL) {
		json_free(json);
		return json_parse("{}", 2, 1, &err);
	}
	json_free(json);
	reply_fault(r, "body", "type_error.dict", "value is not a valid dict");
	return NULL;
}

struct json *
serve_body(struct http_request *r, bool optional)
{
	return read_body(r, http_body(r), optional, false);
}

struct json *
serve_marked_body(struct http_request *r, struct view body)
{
	return read_body(r, body, false, true);
}

/* ---- answers ----------------------------------------------------------------------------------- */

void
serve_answer_begin(struct serve_answer *answer, bool ok)
{
	buf_init(&answer->out, ANSWER_MAX);
	answer->w = (struct json_writer)JSON_WRITER(&answer->out);
	json_begin_object(&answer->w);
	json_member_bool(&answer->w, "ok", ok);
}

int
serve_answer_end(struct serve_answer *answer)
{
	json_end_object(&answer->w);
	return json_finish(&answer->w);
}

void
serve_reply(struct http_request *r, int status, struct serve_answer *answer)
{
	if (serve_answer_end(answer) == 0) {
		http_reply_json(r, status, &answer->out);
		return;
	}
	log_error("%s %s: the answer is larger than %u MiB", http_method(r), http_path(r),
	    ANSWER_MAX >> 20);
	buf_release(&answer->out);
	http_reply_detail(r, 500, "Internal Server Error");
}

void
serve_reply_ok(struct http_request *r)
{
	http_reply_text(r, 200, "application/json", "{\"ok\":true}");
}

void
serve_reply_error(struct http_request *r, const char *fmt, ...)
{
	struct serve_answer answer;
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	serve_answer_begin(&answer, false);
	json_member_str(&answer.w, "error", text);
	serve_reply(r, 200, &answer);
}

void
serve_reply_err(struct http_request *r, const struct err *err)
{
	if (err->code == EX_DATAERR) {
		reply_fault(r, "body", "value_error", err->msg);
		return;
	}
	log_error("%s %s: %s", http_method(r), http_path(r), err->msg);
	if (err->code == EX_TEMPFAIL)
		http_reply_later(r, 503, "The queue cannot take this now; try again later",
		    RETRY_AFTER);
	else
		http_reply_detail(r, 500, "Internal Server Error");
}

/* ---- lists ------------------------------------------------------------------------------------- */

int
serve_page_of(struct http_request *r, struct serve_page *ret)
{
	const char *limit = http_query(r, "limit");
	uint64_t n = SERVE_PAGE_DEFAULT;

	if (limit != NULL && num_u64(limit, 1, INT64_MAX, &n) < 0) {
		struct serve_faults faults;

		serve_faults_init(&faults);
		serve_fault(&faults, "query", "limit", "value_error.number",
		    "expected a whole number from 1 on");
		serve_faults_reply(r, &faults);
		return -1;
	}
	/* Clients of the first service ask for what they like, and were given all. */
	ret->limit = n < SERVE_PAGE_MAX ? (int64_t)n : SERVE_PAGE_MAX;
	ret->cursor = http_query(r, "cursor");
	if (ret->cursor != NULL && *ret->cursor == '\0')
		ret->cursor = NULL;
	return 0;
}

void
serve_source(const struct http_request *r, char *ret, size_t size)
{
	const char *user = http_user(r);

	snprintf(ret, size, "mailq-serve %s%s%s", http_address(r), user != NULL ? " " : "",
	    user != NULL ? user : "");
}
