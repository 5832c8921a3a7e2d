#include "mail/message_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/clock.h"
#include "mail/header.h"
#include "mail/message_json_private.h"

#define INSTANT_MAX 253402300799.0 /* the end of the year 9999 */

static void
add_step(struct mail_fault *fault, const char *key, size_t index)
{
	fault->loc[fault->depth++] =
	    (struct mail_fault_step){ key != NULL ? xstrdup(key) : NULL, index };
}

void
mail_json_fault(struct reader *r, struct place place, const char *type, const char *msg)
{
	struct mail_faults *faults = r->faults;
	struct mail_fault fault = { .depth = 0, .type = type };

	if (faults->count >= MAIL_FAULTS_MAX) {
		faults->truncated = true;
		return;
	}
	if (place.field != NULL)
		add_step(&fault, place.field, 0);
	if (place.member != NULL)
		add_step(&fault, place.member, 0);
	else if (place.index >= 0)
		add_step(&fault, NULL, (size_t)place.index);
	if (place.inner != NULL)
		add_step(&fault, place.inner, 0);
	fault.msg = xstrdup(msg);
	faults->at = xreallocarray(faults->at, faults->count + 1, sizeof *faults->at);
	faults->at[faults->count++] = fault;
}

void
mail_json_err(struct reader *r, struct place place, const struct err *err)
{
	const char *colon = strstr(err->msg, ": ");

	mail_json_fault(r, place, "value_error", colon != NULL ? colon + 2 : err->msg);
}

/* The member as a string; NULL where it is absent, or no string, which is a fault. */
static const char *
get_string(struct reader *r, const char *name, bool required)
{
	const struct json *value = json_get_set(r->object, name);

	if (value == NULL && required)
		mail_json_fault(r, FIELD(name), "value_error.missing", "field required");
	else if (value != NULL && json_kind(value) != JSON_STRING)
		mail_json_fault(r, FIELD(name), "type_error.str", "str type expected");
	return json_string(value);
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* The name of an author whose address came without one. */
static int
set_from_name(struct mail_message *m, const char *name, struct err *err)
{
	if (mail_text_check(name, strlen(name), err) < 0)
		return -1;
	if (m->from.name == NULL)
		m->from.name = xstrdup(name);
	return 0;
}

static void
read_from(struct reader *r)
{
	const char *fallback = r->options->default_from;
	/* As the first service's later form calls it. */
	bool other =
	    json_get_set(r->object, "from") == NULL && json_get_set(r->object, "from_addr") != NULL;
	const char *key = other ? "from_addr" : "from";
	const char *text = get_string(r, key, fallback == NULL);
	const char *name = get_string(r, "from_name", false);
	struct err err = ERR_INIT;

	if (text == NULL && json_get_set(r->object, key) == NULL)
		text = fallback;
	if (text == NULL)
		return;
	if (mail_message_from(r->m, text, r->options->default_domain, &err) < 0)
		mail_json_err(r, FIELD(key), &err);
	else if (name != NULL && *name != '\0' && set_from_name(r->m, name, &err) < 0)
		mail_json_err(r, FIELD("from_name"), &err);
}

static void
read_recipient(struct reader *r, enum mail_recipient kind, struct place place, const char *text)
{
	struct err err = ERR_INIT;

	if (mail_message_recipients(r->m, kind, text, r->options->default_domain, &err) < 0)
		mail_json_err(r, place, &err);
}

static void
read_recipients(struct reader *r, const char *name, enum mail_recipient kind)
{
	const struct json *value = json_get_set(r->object, name);
	bool required = kind == MAIL_TO;

	if (value == NULL) {
		if (required)
			mail_json_fault(r, FIELD(name), "value_error.missing", "field required");
	} else if (json_kind(value) == JSON_STRING) {
		if (required || *json_string(value) != '\0')
			read_recipient(r, kind, FIELD(name), json_string(value));
	} else if (json_kind(value) != JSON_ARRAY) {
		mail_json_fault(r, FIELD(name), "type_error",
		    "a list of strings or one comma-separated string expected");
	} else if (json_length(value) == 0 && required) {
		mail_json_fault(r, FIELD(name), "value_error", "expected an address, found none");
	} else {
		for (size_t i = 0; i < json_length(value); i++) {
			const char *text = json_string(json_at(value, i));

			if (text == NULL)
				mail_json_fault(r, ELEMENT(name, i), "type_error.str",
				    "str type expected");
			else
				read_recipient(r, kind, ELEMENT(name, i), text);
		}
	}
}

static void
read_addresses(struct reader *r)
{
	const char *domain = r->options->default_domain, *text;
	struct err err = ERR_INIT;

	read_from(r);
	read_recipients(r, "to", MAIL_TO);
	read_recipients(r, "cc", MAIL_CC);
	read_recipients(r, "bcc", MAIL_BCC);
	text = get_string(r, "reply_to", false);
	if (text != NULL && mail_message_reply_to(r->m, text, domain, &err) < 0)
		mail_json_err(r, FIELD("reply_to"), &err);
	text = get_string(r, "return_path", false);
	if (text != NULL && mail_message_return_path(r->m, text, domain, &err) < 0)
		mail_json_err(r, FIELD("return_path"), &err);
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* "html": true, as a client of the first service says it that names no content_type. */
static void
read_html(struct reader *r)
{
	const struct json *value = json_get_set(r->object, "html");

	if (value != NULL && json_to_bool(value, &r->m->html) < 0)
		mail_json_fault(r, FIELD("html"), "type_error.bool",
		    "value could not be parsed to a boolean");
}

static void
read_texts(struct reader *r)
{
	struct err err = ERR_INIT;
	const char *text = get_string(r, "message_id", false);

	if (text != NULL && *text != '\0' && mail_message_message_id(r->m, text, &err) < 0)
		mail_json_err(r, FIELD("message_id"), &err);
	text = get_string(r, "subject", true);
	if (text != NULL && mail_message_subject(r->m, text, strlen(text), &err) < 0)
		mail_json_err(r, FIELD("subject"), &err);
	text = get_string(r, "body", !r->options->no_body);
	if (text == NULL && json_get_set(r->object, "body") == NULL && r->options->no_body)
		text = "";
	if (text != NULL && mail_message_body(r->m, text, strlen(text), &err) < 0)
		mail_json_err(r, FIELD("body"), &err);
	read_html(r);
	text = get_string(r, "content_type", false);
	if (text == NULL)
		return;
	r->m->html = strcmp(text, "html") == 0;
	if (!r->m->html && strcmp(text, "plain") != 0)
		mail_json_fault(r, FIELD("content_type"), "value_error.const",
		    "unexpected value; permitted: 'plain', 'html'");
}

static void
read_headers(struct reader *r)
{
	const struct json *headers = json_get_set(r->object, "headers"), *value;
	struct json_iter it = JSON_ITER_INIT;
	const char *name;

	if (headers != NULL && json_kind(headers) != JSON_OBJECT)
		mail_json_fault(r, FIELD("headers"), "type_error.dict",
		    "value is not a valid dict");
	while (json_next(headers, &it, &name, &value)) {
		struct place place = { "headers", name, -1, NULL };
		const char *text = json_string(value);
		struct err err = ERR_INIT;
		char number[24];
		int64_t n;

		if (json_kind(value) == JSON_NULL)
			continue;
		if (json_to_int(value, &n) == 0) {
			snprintf(number, sizeof number, "%lld", (long long)n);
			text = number;
		}
		if (text == NULL)
			mail_json_fault(r, place, "type_error.str", "str type expected");
		else if (mail_message_header(r->m, name, strlen(name), text, strlen(text), &err) <
		    0)
			mail_json_err(r, place, &err);
	}
}

/* ---- delivery ------------------------------------------------------------------------------- */

static void
read_id(struct reader *r, const char *name, char **ret_id)
{
	const char *text = get_string(r, name, false);
	struct err err = ERR_INIT;

	if (text == NULL)
		return;
	if (mail_id_check(text, strlen(text), &err) < 0)
		mail_json_fault(r, FIELD(name), "value_error", err.msg);
	else
		*ret_id = xstrdup(text);
}

static void
read_priority(struct reader *r)
{
	const struct json *value = json_get_set(r->object, "priority");
	int64_t number;

	if (value == NULL)
		return;
	if (json_to_int(value, &number) == 0)
		r->delivery->priority = number >= 0 && number <= 3 ? (int)number : -1;
	else if (json_kind(value) == JSON_STRING)
		r->delivery->priority = mail_priority_parse(json_string(value));
	if (r->delivery->priority < 0)
		mail_json_fault(r, FIELD("priority"), "value_error",
		    "expected 0 to 3, or immediate, high, medium or low");
}

/* Unix seconds into *ret; true where they are there and good. */
static bool
read_instant(struct reader *r, const char *name, int64_t *ret)
{
	const struct json *value = json_get_set(r->object, name);
	double seconds;

	if (value == NULL)
		return false;
	if (json_to_double(value, &seconds) < 0) {
		mail_json_fault(r, FIELD(name), "type_error.integer",
		    "value is not a valid integer");
		return false;
	}
	if (!(seconds >= 0 && seconds <= INSTANT_MAX)) {
		mail_json_fault(r, FIELD(name), "value_error",
		    "expected Unix seconds, 0 to the year 9999");
		return false;
	}
	*ret = (int64_t)(seconds * (double)USEC);
	return true;
}

static void
read_max_attempts(struct reader *r)
{
	const struct json *value = json_get_set(r->object, "max_attempts");
	int64_t number;

	if (value == NULL)
		return;
	if (json_to_int(value, &number) < 0)
		mail_json_fault(r, FIELD("max_attempts"), "type_error.integer",
		    "value is not a valid integer");
	else if (number < 1 || number > MAIL_ATTEMPTS_MAX)
		mail_json_fault(r, FIELD("max_attempts"), "value_error", "expected 1 to 1000000");
	else
		r->delivery->max_attempts = number;
}

/* From when on, until when and how often it may be tried. */
static void
read_times(struct reader *r)
{
	struct mail_delivery *delivery = r->delivery;
	struct err err = ERR_INIT;

	read_instant(r, "deferred_ts", &delivery->deferred_at);
	if (read_instant(r, "expires_ts", &delivery->expires_at)) {
		/* 0 would be none: it is an instant that is past. */
		if (delivery->expires_at == 0)
			delivery->expires_at = 1;
		if (mail_delivery_check(delivery, r->options->now, &err) < 0)
			mail_json_err(r, FIELD("expires_ts"), &err);
	}
	read_max_attempts(r);
}

int
mail_message_from_json(const struct json *object, const struct mail_json_options *options,
    struct mail_message *ret_message, struct mail_delivery *ret_delivery,
    struct mail_faults *faults)
{
	struct reader r = { object, options, ret_message, ret_delivery, faults };
	size_t before = faults->count;

	if (json_kind(object) != JSON_OBJECT) {
		mail_json_fault(&r, FIELD(NULL), "type_error.dict", "value is not a valid dict");
		return -1;
	}
	read_id(&r, "id", &ret_delivery->id);
	read_id(&r, "account_id", &ret_delivery->account_id);
	read_id(&r, "batch_code", &ret_delivery->batch_code);
	read_addresses(&r);
	read_texts(&r);
	read_headers(&r);
	mail_json_attachments(&r);
	read_priority(&r);
	read_times(&r);
	if (options->unknown != NULL)
		mail_json_tell_unknown(object, options);
	return faults->count > before || faults->truncated ? -1 : 0;
}
