/* Journals: what is written is read back, whatever stands between. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/journal.h"
#include "unit.h"

static int
open_tmpdir(void)
{
	return open(unit_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A file of this content, at its start. */
static int
file_of(const char *bytes, size_t n)
{
	AUTO_FD int dir = open_tmpdir();
	int fd;

	unlinkat(dir, "file", 0);
	fd = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fs_write(fd, bytes, n) == 0);
	return fd;
}

struct lines {
	size_t count, stop_at;
	char events[2000];
	int64_t last_offset;
	char last[4000];
};

static int
collect(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	struct lines *lines = arg;
	const char *event = json_string(json_get(value, "event"));

	snprintf(lines->events + strlen(lines->events),
	    sizeof lines->events - strlen(lines->events), "%s ", event != NULL ? event : "?");
	snprintf(lines->last, sizeof lines->last, "%.*s", (int)len, text);
	lines->last_offset = offset;
	return ++lines->count == lines->stop_at ? 42 : 0;
}

TEST(events_have_words)
{
	for (int i = 0; i < EVENT_COUNT; i++)
		CHECK_INT(event_parse(event_text((enum event)i)), i);
	CHECK_INT(event_parse(""), EVENT_COUNT);
	CHECK_INT(event_parse("SENT"), EVENT_COUNT);
}

TEST(write_and_read)
{
	AUTO_FD int dir = open_tmpdir();
	AUTO_FD int fd = -1;
	struct journal journal;
	struct lines lines = { 0 };
	struct json *line;
	const struct recipient_outcome recipients[] = {
		{ "a@example.org", EVENT_SENT, 250, "2.1.5", "Ok" },
		{ "b@example.org", EVENT_FAILED, 550, "", "No \"such\" user\r\nhere" },
	};
	const struct journal_entry entry = { .event = EVENT_DEFERRED,
		.id = "MSG-1",
		.name = "2.1.000000.0.0.MSG-1",
		.lane = "main",
		.account = "main",
		.batch = "",
		.attempt = 3,
		.from = "app@example.com",
		.subject = "Gr\xc3\xbc\xc3\x9f"
			   "e",
		.message_id = "x@y",
		.server = "127.0.0.1:25",
		.created = 1,
		.size = 4096,
		.due = INT64_C(1732170240123456),
		.reason = "later",
		.code = 451,
		.enhanced = "4.7.1",
		.reply = "4.7.1 Greylisted",
		.recipients = recipients,
		.recipient_count = 2 };
	int64_t code;
	size_t bad = 99;

	CHECK_INT(journal_create(&journal, dir, "j1", "token", "test"), 0);
	journal_offered(&journal, "2.1.000000.0.0.MSG-1", "main");
	journal_dot(&journal, "2.1.000000.0.0.MSG-1");
	journal_add(&journal, &entry);
	journal_policy(&journal, EVENT_PARKED, "main", NULL, INT64_C(1732170240) * USEC, "535 no");
	CHECK_INT(journal_sync(&journal), 0);
	fd = openat(dir, "j1", O_RDONLY | O_CLOEXEC);
	CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
	CHECK_STR(lines.events, "begin offered dot deferred parked ");
	CHECK_INT(bad, 0);

	lines = (struct lines){ .stop_at = 4 };
	CHECK_INT(journal_read(fd, 0, collect, &lines, NULL), 42);
	line = json_parse(lines.last, strlen(lines.last), 1, NULL);
	CHECK_INT(strncmp(lines.last, "{\"t\":\"20", 8), 0);
	CHECK_STR(json_string(json_get(line, "id")), "MSG-1");
	CHECK_STR(json_string(json_get(line, "lane")), "main");
	CHECK(json_get(line, "batch") == NULL && json_get(line, "then") == NULL);
	CHECK_STR(json_string(json_get(line, "due")), "2024-11-21T06:24:00.123456Z");
	CHECK_STR(json_string(json_get(line, "created")), "1970-01-01T00:00:00.000001Z");
	CHECK_STR(json_string(json_get(line, "subject")), entry.subject);
	CHECK_INT(json_to_int(json_get(line, "code"), &code), 0);
	CHECK_INT(code, 451);
	CHECK_INT(json_length(json_get(line, "recipients")), 2);
	CHECK_STR(json_string(json_get(json_at(json_get(line, "recipients"), 1), "reply")),
	    recipients[1].reply);
	CHECK_STR(json_string(json_get(json_at(json_get(line, "recipients"), 1), "outcome")),
	    "failed");
	CHECK(json_get(json_at(json_get(line, "recipients"), 1), "enhanced") == NULL);
	json_free(line);

	/* From an offset on. */
	bad = (size_t)lines.last_offset;
	lines = (struct lines){ 0 };
	CHECK_INT(journal_read(fd, (int64_t)bad, collect, &lines, NULL), 0);
	CHECK_STR(lines.events, "deferred parked ");
	journal_close(&journal);
}

/* Lines that are about no message, and why one failed, word for word: other programs read them. */
TEST(classes_and_policies)
{
	AUTO_FD int dir = open_tmpdir();
	AUTO_BUF struct buf text = BUF_INIT(65536);
	struct journal journal;
	static const char *const classes[] = { [FAILURE_REFUSED] = "refused",
		[FAILURE_EXHAUSTED] = "exhausted",
		[FAILURE_EXPIRED] = "expired",
		[FAILURE_LIMIT] = "limit",
		[FAILURE_ACCOUNT] = "account",
		[FAILURE_UNCERTAIN] = "uncertain" };

	CHECK_INT(journal_create(&journal, dir, "j-classes", "token", "test"), 0);
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		struct journal_entry entry = { .event = EVENT_FAILED,
			.id = "m",
			.attempt = -1,
			.class = failure_text((enum failure)i),
			.reason = "r" };

		CHECK_STR(entry.class, classes[i]);
		journal_add(&journal, &entry);
	}
	journal_policy(&journal, EVENT_LIMITED, "main", NULL, INT64_C(1732170240) * USEC,
	    "5 a minute");
	journal_policy(&journal, EVENT_SUSPENDED, NULL, "spring", 0, "no hurry");
	journal_policy(&journal, EVENT_ACTIVATED, NULL, NULL, 0, NULL);
	CHECK_INT(journal_write(&journal), 0);
	CHECK_INT(fs_read_file(dir, "j-classes", &text), 0);
	CHECK(
	    strstr(text.s,
		"\"event\":\"failed\",\"id\":\"m\",\"class\":\"exhausted\",\"reason\":\"r\"}\n") !=
	    NULL);
	CHECK(strstr(text.s,
		  "\"event\":\"limited\",\"account\":\"main\",\"until\":"
		  "\"2024-11-21T06:24:00.000000Z\",\"reason\":\"5 a minute\"}\n") != NULL);
	CHECK(
	    strstr(text.s,
		"\"event\":\"suspended\",\"batch\":\"spring\",\"reason\":\"no hurry\"}\n") != NULL);
	CHECK(strstr(text.s, "\"event\":\"activated\"}\n") != NULL);
	journal_close(&journal);
}

/* The date that journal.c reckons for itself is the one that clock.c has from the C library. */
TEST(instants_are_those_of_the_clock)
{
	static const int64_t seconds[] = { 1, 86399, 86400, 951782399, 951782400, 951868799,
		951868800, 1709164799, 1709164800, 1709251200, 1735689599, 1735689600, 4102444799,
		4107542400, 13574563200, 253402300799 };
	AUTO_FD int dir = open_tmpdir();
	AUTO_FD int fd = -1;
	struct journal journal;

	CHECK_INT(journal_create(&journal, dir, "j2", "token", "test"), 0);
	fd = openat(dir, "j2", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < 4000; i++) {
		int64_t instant = i < sizeof seconds / sizeof seconds[0] ?
		    seconds[i] * USEC + 999999 :
		    (int64_t)i * 3999971 * USEC / 10 + 7;
		struct journal_entry entry = { .event = EVENT_SENT, .due = instant, .attempt = -1 };
		char want[CLOCK_TEXT_SIZE];
		struct lines lines = { .stop_at = 1 };
		struct json *line;
		struct stat st;

		CHECK_INT(fstat(fd, &st), 0);
		journal_add(&journal, &entry);
		CHECK_INT(journal_write(&journal), 0);
		CHECK_INT(journal_read(fd, st.st_size, collect, &lines, NULL), 42);
		line = json_parse(lines.last, strlen(lines.last), 1, NULL);
		CHECK_STR(json_string(json_get(line, "due")), clock_iso_usec(instant, want));
		json_free(line);
	}
	journal_close(&journal);
}

TEST(the_journal_is_locked_while_it_lives)
{
	AUTO_FD int dir = open_tmpdir();
	AUTO_FD int other = -1;
	struct journal journal, second;

	CHECK_INT(journal_create(&journal, dir, "j3", "token", "test"), 0);
	other = openat(dir, "j3", O_RDONLY | O_CLOEXEC);
	CHECK_INT(fs_lock(other, 0), -1);
	CHECK_INT(errno, EWOULDBLOCK);
	CHECK_INT(journal_create(&second, dir, "j3", "token", "test"), -1);
	CHECK_INT(errno, EEXIST);
	journal_close(&second);
	journal_close(&journal);
	CHECK_INT(fs_lock(other, 0), 0);
}

TEST(closing_what_never_was)
{
	struct journal journal = { 0 };

	journal_close(&journal);
	CHECK(fcntl(0, F_GETFD) >= 0); /* stdin is not what it closed */
}

/* What a crash leaves, and what was never a journal. */
TEST(damaged_lines_are_passed_over)
{
	static const struct {
		const char *text;
		const char *events;
		size_t bad;
	} rows[] = {
		{ "", "", 0 },
		{ "\n", "", 1 },
		{ "{\"event\":\"a\"}\n", "a ", 0 },
		{ "{\"event\":\"a\"}", "", 1 },
		{ "{\"event\":\"a\"}\n{\"event\":\"b\"", "a ", 1 },
		{ "garbage\n{\"event\":\"a\"}\n", "a ", 1 },
		{ "[1]\n\"x\"\n7\n{\"event\":\"a\"}\n", "a ", 3 },
		{ "{\"event\":\"a\"}{\"event\":\"b\"}\n{}\n", "? ", 1 },
		{ "\xff\xfe\n{\"event\":\"a\"}\n", "a ", 1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_FD int fd = file_of(rows[i].text, strlen(rows[i].text));
		struct lines lines = { 0 };
		size_t bad = 0;

		CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
		CHECK_STR(lines.events, rows[i].events);
		CHECK_ROW(rows[i].text, bad == rows[i].bad);
	}
	{
		static const char zeros[] = "{\"event\":\"a\"}\n\0\0\0\0\n{\"event\":\"b\"}\n\0\0";
		AUTO_FD int fd = file_of(zeros, sizeof zeros - 1);
		struct lines lines = { 0 };
		size_t bad = 0;

		CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
		CHECK_STR(lines.events, "a b ");
		CHECK_INT(bad, 2);
	}
}

/* Lines of all lengths around the steps in which a journal is read. */
TEST(long_lines)
{
	static char text[200000];
	static const size_t lengths[] = { 20, 32767, 32768, 32769, 65536, 65537, 150000 };

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		AUTO_BUF struct buf all = BUF_INIT(1 << 20);
		AUTO_FD int fd = -1;
		struct lines lines = { 0 };
		size_t bad = 0;

		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		buf_addf(&all,
		    "{\"event\":\"a\",\"x\":\"%s\"}\n{\"event\":\"b\"}\n%s\n{\"event\":\"c\"}\n",
		    text, text);
		fd = file_of(all.s, all.len);
		CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
		CHECK_STR(lines.events, "a b c ");
		CHECK_INT(bad, 1);
		CHECK_INT(lines.last_offset, (int64_t)all.len - 14);
	}
}

/* A line over the maximum is not kept in memory, and the lines behind it are read. */
TEST(a_line_over_the_maximum)
{
	AUTO_FD int fd = file_of("{\"event\":\"a\"}\n", 14);
	static char block[1 << 20];
	struct lines lines = { 0 };
	size_t bad = 0;

	memset(block, 'x', sizeof block);
	for (size_t n = 0; n < JOURNAL_LINE_MAX + sizeof block; n += sizeof block)
		CHECK_INT(fs_write(fd, block, sizeof block), 0);
	CHECK_INT(fs_write(fd, "\n{\"event\":\"b\"}\n", 15), 0);
	CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
	CHECK_STR(lines.events, "a b ");
	CHECK_INT(bad, 1);
}

TEST(an_adopted_journal_goes_on_behind_a_torn_line)
{
	AUTO_FD int fd = file_of("{\"event\":\"begin\"}\n{\"event\":\"se", 30);
	AUTO_FD int append = -1;
	AUTO_FD int dir = open_tmpdir();
	struct journal journal;
	struct lines lines = { 0 };
	size_t bad = 0;

	append = openat(dir, "file", O_RDWR | O_APPEND | O_CLOEXEC);
	CHECK_INT(journal_adopt(&journal, append), 0);
	journal_dot(&journal, "2.1.000000.0.0.x");
	CHECK_INT(journal_sync(&journal), 0);
	journal_close(&journal);
	CHECK_INT(journal_read(fd, 0, collect, &lines, &bad), 0);
	CHECK_STR(lines.events, "begin dot ");
	CHECK_INT(bad, 1);
}

/* Words of strangers have no end; a line does. */
TEST(a_line_stays_below_its_maximum)
{
	enum { N = 10000 };
	static struct recipient_outcome recipients[N];
	AUTO_FREE char *reply = malloc(100000);
	AUTO_FD int dir = open_tmpdir();
	AUTO_FD int fd = -1;
	struct journal journal;
	struct journal_entry entry = { .event = EVENT_FAILED,
		.id = "x",
		.attempt = 1,
		.recipients = recipients,
		.recipient_count = N };
	struct lines lines = { 0 };
	struct stat st;

	memset(reply, '\x01', 99999);
	reply[99999] = '\0';
	entry.reason = entry.reply = entry.subject = reply;
	for (size_t i = 0; i < N; i++)
		recipients[i] = (struct recipient_outcome){ "someone@example.org", EVENT_FAILED,
			550, "5.1.1", reply };
	CHECK_INT(journal_create(&journal, dir, "j4", "token", "test"), 0);
	journal_add(&journal, &entry);
	CHECK_INT(journal_sync(&journal), 0);
	journal_close(&journal);
	fd = openat(dir, "j4", O_RDONLY | O_CLOEXEC);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK(st.st_size < (off_t)JOURNAL_LINE_MAX);
	CHECK_INT(journal_read(fd, 0, collect, &lines, NULL), 0);
	CHECK_STR(lines.events, "begin failed ");
}

TEST(words_are_cut_between_characters)
{
	AUTO_FD int dir = open_tmpdir();
	AUTO_FD int fd = -1;
	struct journal journal;
	char subject[1202];
	struct journal_entry entry = { .event = EVENT_SENT, .attempt = -1, .subject = subject };
	struct lines lines = { 0 };

	for (size_t i = 0; i < 600; i++)
		memcpy(subject + 1 + 2 * i, "\xc3\xa9", 3);
	subject[0] = 'x';
	CHECK_INT(journal_create(&journal, dir, "j5", "token", "test"), 0);
	journal_add(&journal, &entry);
	CHECK_INT(journal_sync(&journal), 0);
	journal_close(&journal);
	fd = openat(dir, "j5", O_RDONLY | O_CLOEXEC);
	CHECK_INT(journal_read(fd, 0, collect, &lines, NULL), 0);
	CHECK(strstr(lines.last, "\xef\xbf\xbd") == NULL);
	CHECK(strstr(lines.last, "\xc3\xa9\"}") != NULL);
}

/* A journal that failed once says so for ever. */
TEST(a_failure_stays)
{
	AUTO_FD int dir = open_tmpdir();
	struct journal journal;
	int good;

	CHECK_INT(journal_create(&journal, dir, "j6", "token", "test"), 0);
	good = journal.fd;
	journal.fd = openat(dir, "j6", O_RDONLY | O_CLOEXEC);
	journal_dot(&journal, "x");
	CHECK_INT(journal_write(&journal), -1);
	CHECK_INT(errno, EBADF);
	close(journal.fd);
	journal.fd = good;
	CHECK_INT(journal_sync(&journal), -1);
	journal_dot(&journal, "x");
	CHECK_INT(journal_sync(&journal), -1);
	CHECK_INT(errno, EBADF);
	journal_close(&journal);
}

UNIT_MAIN()
