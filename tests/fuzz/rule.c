/* Schedule rules as JSON, alone and as a file (policy/rule.h): what is read is written, and reads the same. */
#include "fuzz.h"

#include "base/json.h"
#include "policy/rule.h"

static void
write_rule(const struct rule *rule, struct buf *out)
{
	struct json_writer w = JSON_WRITER(out);

	rule_put(rule, &w);
	FUZZ_CHECK(json_finish(&w) == 0);
}

static void
read_file(const char *bytes, size_t n)
{
	AUTO_BUF struct buf first = BUF_INIT((size_t)16 << 20), second = BUF_INIT((size_t)16 << 20);
	struct rules rules, again = { 0 };
	struct err err = ERR_INIT;

	if (rules_parse(bytes, n, &rules, &err) == 0 && rules_format(&rules, &first) == 0) {
		FUZZ_CHECK(rules_parse(first.s, first.len, &again, &err) == 0);
		FUZZ_CHECK(rules_format(&again, &second) == 0);
		FUZZ_CHECK(strcmp(first.s, second.s) == 0);
	}
	rules_release(&rules);
	rules_release(&again);
}

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n), *text = fuzz_text(bytes, n);
	AUTO_JSON struct json *object = json_parse(copy, n, 1, NULL), *written = NULL;
	AUTO_BUF struct buf first = BUF_INIT((size_t)1 << 20), second = BUF_INIT((size_t)1 << 20);
	struct rule rule, again;
	struct err err = ERR_INIT;
	unsigned int days;

	read_file(copy, n);
	rule_days_parse(text, &days, &err);
	if (object == NULL || json_kind(object) != JSON_OBJECT)
		return;
	rule_init(&rule);
	rule_init(&again);
	rule.id = again.id = 1;
	rule.priority = 0; /* of a new rule: given by whoever adds it */
	if (rule_take(&rule, object, &err) == 0) {
		write_rule(&rule, &first);
		FUZZ_CHECK((written = json_parse(first.s, first.len, 1, &err)) != NULL);
		FUZZ_CHECK(rule_take(&again, written, &err) == 0);
		write_rule(&again, &second);
		FUZZ_CHECK(strcmp(first.s, second.s) == 0);
	}
	rule_release(&rule);
	rule_release(&again);
}
