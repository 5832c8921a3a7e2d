/* JSON (base/json.h): what is read can be written, and reads the same. */
#include "fuzz.h"

#include "base/json.h"
#include "base/utf8.h"

static void
put(struct json_writer *w, const struct json *value)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *member;
	const char *key;
	int64_t whole = 0;
	double number = 0;
	bool truth = false;

	switch (json_kind(value)) {
	case JSON_NULL:
		json_put_null(w);
		break;
	case JSON_BOOL:
		FUZZ_CHECK(json_to_bool(value, &truth) == 0);
		json_put_bool(w, truth);
		break;
	case JSON_INT:
		FUZZ_CHECK(json_to_int(value, &whole) == 0);
		json_put_int(w, whole);
		break;
	case JSON_DOUBLE:
		FUZZ_CHECK(json_to_double(value, &number) == 0);
		json_put_double(w, number);
		break;
	case JSON_STRING:
		FUZZ_CHECK(strlen(json_string(value)) == json_string_view(value).len);
		FUZZ_CHECK(utf8_valid(json_string(value), strlen(json_string(value))));
		json_put_str(w, json_string(value));
		break;
	case JSON_ARRAY:
		json_begin_array(w);
		for (size_t i = 0; i < json_length(value); i++)
			put(w, json_at(value, i));
		json_end_array(w);
		break;
	case JSON_OBJECT:
		json_begin_object(w);
		while (json_next(value, &it, &key, &member)) {
			FUZZ_CHECK(json_get(value, key) == member);
			json_key(w, key);
			put(w, member);
		}
		json_end_object(w);
		break;
	case JSON_MARK:
		FUZZ_CHECK(json_kind(value) != JSON_MARK);
	}
}

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	struct err err = ERR_INIT;
	AUTO_JSON struct json *root = json_parse(copy, n, 1, &err), *again = NULL;
	AUTO_BUF struct buf text = BUF_INIT(64 * n + 64), twice = BUF_INIT(64 * n + 64);
	struct json_writer w = JSON_WRITER(&text), w2 = JSON_WRITER(&twice);

	json_free(json_parse_marked(copy, n, 1, NULL));
	if (root == NULL) {
		FUZZ_CHECK(err.code == EX_DATAERR);
		return;
	}
	put(&w, root);
	FUZZ_CHECK(json_finish(&w) == 0);
	FUZZ_CHECK((again = json_parse(text.s, text.len, 1, &err)) != NULL);
	put(&w2, again);
	FUZZ_CHECK(text.len == twice.len && memcmp(text.s, twice.s, text.len) == 0);
}
