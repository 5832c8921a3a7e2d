/* The record before each message's text. */
#include "spool/store/record.h"
#include "unit.h"

static char *two_recipients[] = { (char *)"a@example.org", (char *)"b@example.org" };

static struct record
full_record(void)
{
	return (struct record){
		.id = (char *)"MSG-101",
		.created = INT64_C(1732170240123456),
		.account = (char *)"main",
		.batch = (char *)"xmas",
		.priority = 1,
		.due = INT64_C(1732170300000000),
		.sender = (char *)"app@example.com",
		.recipients = two_recipients,
		.recipient_count = 2,
		.subject = (char *)"Gr\xc3\xbc\xc3\x9f"
				   "e: and a colon",
		.from = (char *)"app@example.com",
		.message_id = (char *)"x@y",
		.dsn_ret = (char *)"HDRS",
		.dsn_notify = (char *)"NEVER",
		.source = (char *)"test",
		.expires = INT64_C(1732999999000001),
		.max_attempts = 17,
	};
}

/* The record with the first line that a text of this length would give it. */
static void
pack(struct record *record, struct buf *out, uint64_t length)
{
	struct text_facts facts = { .length = length,
		.checksum = 0x123456789abcdef0u,
		.eight_bit = true };
	char line[RECORD_FIRST_LINE + 1];
	struct err err = ERR_INIT;

	buf_clear(out);
	CHECK_INT(record_pack(record, out, &err), 0);
	record_first_line(record->size, &facts, line);
	memcpy(out->s, line, RECORD_FIRST_LINE);
}

TEST(pack_and_unpack)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct record record = full_record(), got;
	struct err err = ERR_INIT;

	pack(&record, &out, 4711);
	CHECK_INT(record.size, out.len);
	CHECK_INT(record_unpack(out.s, out.len, &got, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_STR(got.id, record.id);
	CHECK_INT(got.created, record.created);
	CHECK_STR(got.account, record.account);
	CHECK_STR(got.batch, record.batch);
	CHECK_INT(got.priority, 1);
	CHECK_INT(got.due, record.due);
	CHECK_INT(got.expires, record.expires);
	CHECK_INT(got.max_attempts, 17);
	CHECK_STR(got.sender, record.sender);
	CHECK_INT(got.recipient_count, 2);
	CHECK_STR(got.recipients[0], "a@example.org");
	CHECK_STR(got.recipients[1], "b@example.org");
	CHECK_STR(got.subject, record.subject);
	CHECK_STR(got.from, record.from);
	CHECK_STR(got.message_id, record.message_id);
	CHECK_STR(got.dsn_ret, "HDRS");
	CHECK_STR(got.dsn_notify, "NEVER");
	CHECK_STR(got.source, "test");
	CHECK_INT(got.size, out.len);
	CHECK_INT(got.text.length, 4711);
	CHECK(got.text.checksum == 0x123456789abcdef0u);
	CHECK(got.text.eight_bit && !got.text.smtputf8);
	record_release(&got);
}

#define HASH_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(pieces_in_their_order)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct record_piece pieces[] = {
		{ .kind = PIECE_PART,
		    .offset = 0,
		    .size = 30000,
		    .checksum = 0xabc,
		    .hash = HASH_A },
		{ .kind = PIECE_REMOTE,
		    .offset = 0,
		    .boundary = (char *)"=_x",
		    .json = (char *)"{\"source\":{\"url\":\"http://a/ b\"}}" },
		{ .kind = PIECE_PART, .offset = 100, .size = 1, .hash = HASH_A },
	};
	struct record record = full_record(), got;
	struct err err = ERR_INIT;

	record.pieces = pieces;
	record.piece_count = 3;
	pack(&record, &out, 100);
	CHECK_INT(record_unpack(out.s, out.len, &got, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(got.piece_count, 3);
	CHECK_INT(got.pieces[0].size, 30000);
	CHECK(got.pieces[0].checksum == 0xabc);
	CHECK_STR(got.pieces[0].hash, HASH_A);
	CHECK_INT(got.pieces[1].kind, PIECE_REMOTE);
	CHECK_STR(got.pieces[1].boundary, "=_x");
	CHECK_STR(got.pieces[1].json, pieces[1].json);
	CHECK_INT(got.pieces[2].offset, 100);
	CHECK(record_is_remote(&got));
	CHECK_INT(record_total(&got), 30101);
	record_release(&got);
}

TEST(pieces_that_are_none)
{
	static const char *const lines[] = {
		"part: 1 1 0000000000000000 " HASH_A "0",
		"part: 1 1 0000000000000000 "
		"../../../../../../../../../../../../../../../../etc/passwd12345",
		"part: 1 0 0000000000000000 " HASH_A,
		"part: 1 99999999999999999999 0000000000000000 " HASH_A,
		"part: 101 1 0000000000000000 " HASH_A, /* behind the text */
		"part: -1 1 0000000000000000 " HASH_A,
		"part: 1 1 000000000000000 " HASH_A,
		"part: 1 1 " HASH_A,
		"part: ",
		"part: 5 1 0000000000000000 " HASH_A "\npart: 4 1 0000000000000000 " HASH_A,
		"remote: 1 =_x",
		"remote: 1 =_x \"text\"",
		"remote: 1  {}",
		"remote: 101 =_x {}",
	};

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
		struct record record = full_record(), got;
		struct text_facts facts = { .length = 100 };
		char first[RECORD_FIRST_LINE + 1];
		struct err err = ERR_INIT;

		pack(&record, &out, 100);
		buf_truncate(&out, out.len - 1);
		buf_addf(&out, "%s\n\n", lines[i]);
		record_first_line(out.len, &facts, first);
		memcpy(out.s, first, RECORD_FIRST_LINE);
		CHECK_ROW(lines[i], record_unpack(out.s, out.len, &got, &err) == -1);
		CHECK_ROW(lines[i], err.code == EX_DATAERR);
	}
}

TEST(what_is_absent_stays_absent)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct record record = { .id = (char *)"x",
		.created = 1,
		.account = (char *)"default",
		.priority = 2,
		.sender = (char *)"",
		.recipients = two_recipients,
		.recipient_count = 1 },
		      got;

	pack(&record, &out, 1);
	CHECK_INT(record_unpack(out.s, out.len, &got, NULL), 0);
	CHECK_STR(got.sender, "");
	CHECK_INT(got.created, 1);
	CHECK(got.batch == NULL && got.subject == NULL && got.from == NULL);
	CHECK(got.message_id == NULL && got.dsn_ret == NULL && got.source == NULL);
	CHECK_INT(got.due, 0);
	CHECK_INT(got.expires, 0);
	CHECK_INT(got.max_attempts, 0);
	record_release(&got);
}

TEST(no_field_can_make_a_line_of_its_own)
{
	static const size_t members[] = { offsetof(struct record, id),
		offsetof(struct record, account), offsetof(struct record, batch),
		offsetof(struct record, sender), offsetof(struct record, subject),
		offsetof(struct record, from), offsetof(struct record, message_id),
		offsetof(struct record, source), offsetof(struct record, dsn_notify) };
	static char evil[] = "x\nrecipient: evil@example.org", cr[] = "x\r";
	char *evil_recipient[] = { evil };

	for (size_t i = 0; i < 2 * sizeof members / sizeof members[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
		struct record record = full_record();
		struct err err = ERR_INIT;

		*(char **)((char *)&record + members[i / 2]) = i % 2 == 0 ? evil : cr;
		CHECK_INT(record_pack(&record, &out, &err), -1);
		CHECK_INT(err.code, EX_DATAERR);
		CHECK_INT(out.len, 0);
	}
	{
		AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
		struct record record = full_record();
		struct err err = ERR_INIT;

		record.recipients = evil_recipient;
		record.recipient_count = 1;
		CHECK_INT(record_pack(&record, &out, &err), -1);
		CHECK_INT(err.code, EX_DATAERR);
	}
}

TEST(an_unfinished_first_line_is_no_record)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct record record = full_record(), got;
	struct text_facts facts;
	struct err err = ERR_INIT;

	CHECK_INT(record_pack(&record, &out, &err), 0);
	CHECK_INT(record_size(out.s, &facts), 0);
	CHECK_INT(record_unpack(out.s, out.len, &got, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
}

/* Each way of damage is found, and none is read beyond the bytes there are (run under ASan). */
TEST(damage_is_refused)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct record record = full_record(), got;
	struct err err = ERR_INIT;

	pack(&record, &out, 10);
	for (size_t n = 0; n < out.len; n++) {
		char *copy = malloc(n > 0 ? n : 1);

		memcpy(copy, out.s, n);
		CHECK_INT(record_unpack(copy, n, &got, &err), -1);
		CHECK_INT(err.code, EX_DATAERR);
		free(copy);
	}
	for (size_t i = 0; i < out.len; i++) {
		static const char with[] = { '\0', '\n', ' ', 'x', '9' };

		for (size_t j = 0; j < sizeof with; j++) {
			char *copy = malloc(out.len);

			memcpy(copy, out.s, out.len);
			copy[i] = with[j];
			/* It may be a good record with another text; but it must come back. */
			if (record_unpack(copy, out.len, &got, &err) == 0)
				record_release(&got);
			free(copy);
		}
	}
}

TEST(what_a_record_must_have)
{
	static const struct {
		const char *name, *body;
	} rows[] = {
		{ "no id",
		    "created: 1.000000\naccount: a\nsender: s\npriority: 2\nrecipient: r\n\n" },
		{ "no account",
		    "id: i\ncreated: 1.000000\nsender: s\npriority: 2\nrecipient: r\n\n" },
		{ "no sender",
		    "id: i\ncreated: 1.000000\naccount: a\npriority: 2\nrecipient: r\n\n" },
		{ "no recipient",
		    "id: i\ncreated: 1.000000\naccount: a\nsender: s\npriority: 2\n\n" },
		{ "priority", "id: i\naccount: a\nsender: s\npriority: 4\nrecipient: r\n\n" },
		{ "max-attempts",
		    "id: i\naccount: a\nsender: s\nmax-attempts: 0\nrecipient: r\n\n" },
		{ "max-attempts",
		    "id: i\naccount: a\nsender: s\nmax-attempts: x\nrecipient: r\n\n" },
		{ "created", "id: i\ncreated: yesterday\naccount: a\nsender: s\nrecipient: r\n\n" },
		{ "no colon", "id: i\naccount: a\nsender: s\nrecipient: r\nfoo\n\n" },
		{ "CR in an address", "id: i\naccount: a\nsender: s\nrecipient: r\rDATA\n\n" },
		{ "CR in a key", "id: i\naccount: a\nsender: s\nrecipient: r\nx\r: y\n\n" },
		{ "no end", "id: i\naccount: a\nsender: s\nrecipient: r\n" },
		{ "two ends", "id: i\naccount: a\nsender: s\nrecipient: r\n\n\n" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
		struct text_facts facts = { .length = 1 };
		char line[RECORD_FIRST_LINE + 1];
		struct record got;
		struct err err = ERR_INIT;

		record_first_line(RECORD_FIRST_LINE + strlen(rows[i].body), &facts, line);
		buf_adds(&out, line);
		buf_adds(&out, rows[i].body);
		CHECK_ROW(rows[i].name, record_unpack(out.s, out.len, &got, &err) < 0);
		CHECK_ROW(rows[i].name, err.code == EX_DATAERR);
	}
}

TEST(unknown_keys_are_left_alone)
{
	const char *body =
	    "id: i\nfuture: value: with colon\ncreated: 1.000000\naccount: a\nsender: \n"
	    "priority: 0\nrecipient: r\n\n";
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	struct text_facts facts = { .length = 1 };
	char line[RECORD_FIRST_LINE + 1];
	struct record got;
	struct err err = ERR_INIT;

	record_first_line(RECORD_FIRST_LINE + strlen(body), &facts, line);
	buf_adds(&out, line);
	buf_adds(&out, body);
	CHECK_INT(record_unpack(out.s, out.len, &got, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_STR(got.id, "i");
	CHECK_STR(got.recipients[0], "r");
	record_release(&got);
}

TEST(ten_thousand_recipients)
{
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX);
	static char text[RECORD_RECIPIENTS_MAX][32];
	static char *list[RECORD_RECIPIENTS_MAX];
	struct record record = full_record(), got;

	for (size_t i = 0; i < RECORD_RECIPIENTS_MAX; i++) {
		snprintf(text[i], sizeof text[i], "user%zu@example.org", i);
		list[i] = text[i];
	}
	record.recipients = list;
	record.recipient_count = RECORD_RECIPIENTS_MAX;
	pack(&record, &out, 1);
	CHECK_INT(record_unpack(out.s, out.len, &got, NULL), 0);
	CHECK_INT(got.recipient_count, RECORD_RECIPIENTS_MAX);
	CHECK_STR(got.recipients[RECORD_RECIPIENTS_MAX - 1], "user9999@example.org");
	record_release(&got);
}

TEST(a_record_over_its_limit_is_refused)
{
	AUTO_BUF struct buf out = BUF_INIT(2 * RECORD_MAX);
	AUTO_FREE char *subject = malloc(RECORD_MAX + 1);
	struct record record = full_record();
	struct err err = ERR_INIT;

	memset(subject, 's', RECORD_MAX);
	subject[RECORD_MAX] = '\0';
	record.subject = subject;
	CHECK_INT(record_pack(&record, &out, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK(strstr(err.msg, "subject") != NULL);
	CHECK_INT(out.len, 0);
}

/* The sum does not depend on how the bytes were cut up, and is that of the format. */
TEST(checksums)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	struct checksum *sum = checksum_begin();
	uint64_t whole;

	CHECK(checksum_value(sum) == 0x2d06800538d394c2u); /* XXH3 of nothing */
	checksum_add(sum, text, sizeof text - 1);
	whole = checksum_value(sum);
	CHECK(whole == 0xce7d19a5418fb365u);
	checksum_reset(sum);
	for (size_t i = 0; i < sizeof text - 1; i++)
		checksum_add(sum, text + i, 1);
	CHECK(checksum_value(sum) == whole);
	checksum_end(&sum);
	CHECK(sum == NULL);
}

UNIT_MAIN()
