/* What a dead runner leaves, and what becomes of it: by its journal, by the boot, by the account. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/draft.h"
#include "spool/journal/audit.h"
#include "spool/queue/recover.h"
#include "spool/store/walk.h"
#include "spool_fixture.h"
#include "unit.h"

#define TOKEN "1732170240.000001.abcdefgh"

static char *recipient[] = { (char *)"b@example.org" };

static void
add(struct spool *spool, const char *id)
{
	const struct text_facts facts = { 0 };
	struct record record = { .id = (char *)(uintptr_t)id,
		.account = (char *)"main",
		.priority = 2,
		.sender = (char *)"a@example.com",
		.recipients = recipient,
		.recipient_count = 1 };
	struct draft *draft = draft_begin(spool);
	struct err err = ERR_INIT;

	CHECK(draft_message_begin(draft, &record, &err) == 0);
	CHECK(draft_write(draft, "S: x\r\n\r\nx\r\n", 11, &err) == 0);
	CHECK(draft_message_end(draft, &facts, &err) == 0);
	CHECK(draft_commit(draft, &err) == 0);
	draft_end(&draft);
}

struct finding {
	size_t count;
	enum state state;
	unsigned int attempts;
	int64_t due;
	char text[NAME_SIZE];
	int dir;
};

static int
note_place(const struct place *place, void *arg)
{
	struct finding *finding = arg;

	finding->count++;
	finding->state = place->state;
	finding->attempts = place->name.attempts;
	finding->due = place->name.due;
	snprintf(finding->text, sizeof finding->text, "%s", place->text);
	if (finding->dir < 0)
		finding->dir = fcntl(place->dir, F_DUPFD_CLOEXEC, 0);
	return 0;
}

/* Where the messages stand; the directory of one is given where it is asked for. */
static struct finding
find(struct spool *spool, int *ret_dir)
{
	const struct walk_filter filter = { .state = STATE_NONE };
	struct finding finding = { .state = STATE_NONE, .dir = -1 };
	struct err err = ERR_INIT;

	CHECK(walk(spool, &filter, note_place, &finding, &err) == 0);
	if (ret_dir != NULL)
		*ret_dir = finding.dir;
	else
		auto_close_fd(&finding.dir);
	return finding;
}

/* Puts the one message of the spool into the hands of a dead runner with this journal, in which %s
 * is the message's name. */
static void
make_wreck(struct spool *spool, const char *boot, const char *lines)
{
	AUTO_BUF struct buf text = BUF_INIT(4096);
	AUTO_FD int dir = -1;
	AUTO_FD int cur = -1;
	AUTO_FD int lane = -1;
	AUTO_FD int journal = -1;
	struct finding finding = find(spool, &dir);

	CHECK_INT(finding.count, 1);
	CHECK(mkdirat(spool->cur, TOKEN, 0700) == 0);
	CHECK((cur = fs_open_dir(spool->cur, TOKEN)) >= 0);
	CHECK(mkdirat(cur, "main", 0700) == 0);
	CHECK((lane = fs_open_dir(cur, "main")) >= 0);
	CHECK(renameat(dir, finding.text, lane, finding.text) == 0);
	if (lines == NULL)
		return;
	buf_addf(&text,
	    "{\"t\":\"2026-11-21T07:38:00.000000Z\",\"event\":\"begin\",\"token\":\"" TOKEN
	    "\",\"boot\":\"%s\",\"program\":\"mailq-run\"}\n",
	    boot);
	while (*lines != '\0') {
		size_t n = strcspn(lines, "%");

		buf_add(&text, lines, n);
		lines += n;
		if (*lines == '%') {
			buf_adds(&text, finding.text);
			lines++;
		}
	}
	journal = openat(cur, "journal", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(journal >= 0 && fs_write(journal, text.s, text.len) == 0);
}

static int
truncate_at(int dir, const char *name)
{
	AUTO_FD int fd = openat(dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -1 : 0;
}

static char
policy(const char *account, unsigned int attempts, const struct record *record,
    char reason[RECOVER_REASON], void *arg)
{
	char then = *(char *)arg;

	CHECK_STR(account, "main");
	CHECK_INT(attempts, 1);
	CHECK_STR(record->id, "m");
	if (then == 'x' || then == 'e')
		snprintf(reason, RECOVER_REASON, "no more");
	return then;
}

static bool
is_empty(struct spool *spool, const char *path)
{
	AUTO_FD int fd = fs_open_dir(spool->root, path);
	AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(take_fd(&fd));
	struct dirent *item;

	while (dir != NULL && (item = readdir(dir)) != NULL)
		if (!fs_is_dots(item->d_name))
			return false;
	return dir != NULL;
}

#define OFFERED "{\"t\":\"x\",\"event\":\"offered\",\"name\":\"%\",\"lane\":\"main\"}\n"
#define DOT "{\"t\":\"x\",\"event\":\"dot\",\"name\":\"%\"}\n"
#define OUTCOME(event, more)                                                                       \
	"{\"t\":\"x\",\"event\":\"" event "\",\"id\":\"m\",\"name\":\"%\"" more "}\n"
#define HERE "here" /* this boot */

TEST(a_journal_decides)
{
	static const struct {
		const char *name, *boot, *lines;
		char policy;
		enum state state; /* STATE_NONE: gone */
		unsigned int attempts;
		uint64_t completed, put_back, uncertain;
	} rows[] = {
		{ "no journal", HERE, NULL, 'r', STATE_WAITING, 1, 0, 0, 1 },
		{ "no journal, hold", HERE, NULL, 'h', STATE_UNCERTAIN, 1, 0, 0, 1 },
		{ "claimed", HERE, "", 'r', STATE_WAITING, 0, 0, 1, 0 },
		{ "offered", HERE, OFFERED, 'r', STATE_WAITING, 0, 0, 1, 0 },
		{ "offered before a power cut", "gone", OFFERED, 'r', STATE_WAITING, 1, 0, 0, 1 },
		{ "claimed before a power cut", "gone", "", 'r', STATE_WAITING, 0, 0, 1, 0 },
		{ "dot, retry", HERE, OFFERED DOT, 'r', STATE_WAITING, 1, 0, 0, 1 },
		{ "dot, hold", HERE, OFFERED DOT, 'h', STATE_UNCERTAIN, 1, 0, 0, 1 },
		{ "dot, fail", HERE, OFFERED DOT, 'f', STATE_FAILED, 1, 0, 0, 1 },
		{ "dot, no attempt left", HERE, OFFERED DOT, 'x', STATE_FAILED, 1, 0, 0, 1 },
		{ "dot, no time left", HERE, OFFERED DOT, 'e', STATE_FAILED, 1, 0, 0, 1 },
		{ "dot of a torn line", HERE, OFFERED "{\"t\":\"x\",\"event\":\"dot\",\"na", 'r',
		    STATE_WAITING, 1, 0, 0, 1 },
		{ "claimed, a torn line", HERE, "{\"t\":\"x\",\"event\":\"off", 'h',
		    STATE_UNCERTAIN, 1, 0, 0, 1 },
		{ "claimed, torn by a power cut", "gone", "{\"t\":\"x\",\"event\":\"off", 'h',
		    STATE_WAITING, 0, 0, 1, 0 },
		{ "offered, torn by a power cut", "gone", OFFERED "{\"t\":\"x\",\"event\":\"d", 'h',
		    STATE_UNCERTAIN, 1, 0, 0, 1 },
		{ "a damaged line", HERE, "{\"t\":\"x\",\"event\":\"offeree\"}\n" OFFERED, 'h',
		    STATE_UNCERTAIN, 1, 0, 0, 1 },
		{ "a damaged line before a power cut", "gone", "zzz\n", 'h', STATE_UNCERTAIN, 1, 0,
		    0, 1 },
		{ "a damaged line, sent", HERE, OFFERED "zzz\n" DOT OUTCOME("sent", ""), 'h',
		    STATE_NONE, 0, 1, 0, 0 },
		{ "sent", HERE, OFFERED DOT OUTCOME("sent", ""), 'h', STATE_NONE, 0, 1, 0, 0 },
		{ "sent before a power cut", "gone", OFFERED DOT OUTCOME("sent", ""), 'h',
		    STATE_NONE, 0, 1, 0, 0 },
		{ "deferred", HERE,
		    OFFERED DOT OUTCOME("deferred", ",\"due\":\"2038-01-01T00:00:00.000000Z\""),
		    'h', STATE_DEFERRED, 1, 1, 0, 0 },
		{ "failed", HERE, OFFERED DOT OUTCOME("failed", ""), 'h', STATE_FAILED, 1, 1, 0,
		    0 },
		{ "uncertain, told before", HERE,
		    OFFERED DOT OUTCOME("uncertain", ",\"then\":\"hold\""), 'f', STATE_UNCERTAIN, 1,
		    0, 0, 1 },
		{ "uncertain, then deferred", HERE,
		    OFFERED DOT OUTCOME("uncertain", ",\"then\":\"retry\"")
			OUTCOME("deferred", ",\"due\":\"2038-01-01T00:00:00.000000Z\""),
		    'f', STATE_DEFERRED, 1, 1, 0, 0 },
		{ "of another message", HERE,
		    "{\"t\":\"x\",\"event\":\"offered\",\"name\":\"2.1.000001.0.0.n\"}\n"
		    "{\"t\":\"x\",\"event\":\"dot\",\"name\":\"2.1.000001.0.0.n\"}\n",
		    'h', STATE_WAITING, 0, 0, 1, 0 },
		{ "a dot of none that was offered", HERE,
		    OFFERED "{\"t\":\"x\",\"event\":\"dot\",\"name\":\"2.1.000001.0.0.n\"}\n", 'h',
		    STATE_UNCERTAIN, 1, 0, 0, 1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct spool spool = fresh_spool();
		struct recover_result result;
		struct err err = ERR_INIT;
		struct finding finding;
		char then = rows[i].policy, boot[64];

		boot_id(boot);
		add(&spool, "m");
		make_wreck(&spool, strcmp(rows[i].boot, HERE) == 0 ? boot : rows[i].boot,
		    rows[i].lines);
		CHECK_ROW(rows[i].name, recover_runners(&spool, policy, &then, &result, &err) == 0);
		CHECK_ROW(rows[i].name, result.runners == 1);
		CHECK_ROW(rows[i].name, result.completed == rows[i].completed);
		CHECK_ROW(rows[i].name, result.put_back == rows[i].put_back);
		CHECK_ROW(rows[i].name, result.uncertain == rows[i].uncertain);
		finding = find(&spool, NULL);
		CHECK_ROW(rows[i].name, finding.count == (rows[i].state == STATE_NONE ? 0 : 1));
		CHECK_ROW(rows[i].name, finding.state == rows[i].state);
		CHECK_ROW(rows[i].name, finding.attempts == rows[i].attempts);
		CHECK_ROW(rows[i].name, is_empty(&spool, "cur"));
		/* And nothing is left for a second one. */
		CHECK_ROW(rows[i].name, recover_runners(&spool, policy, &then, &result, &err) == 0);
		CHECK_ROW(rows[i].name, result.runners == 0);
		spool_close(&spool);
	}
}

#define NAME "2.1732170240.123456.0.0.m"

static int
note_dot(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	const char *name = json_string(json_get(value, "name"));

	(void)text;
	(void)len;
	(void)offset;
	if (strcmp(json_string(json_get(value, "event")), "dot") == 0 && strcmp(name, NAME) == 0)
		*(bool *)arg = true;
	return 0;
}

/* Whether a message whose final dot has left would be put back by what these bytes say. */
static bool
is_put_back(const char *bytes, size_t n, bool *ret_sound)
{
	AUTO_FD int fd = memfd_create("journal", MFD_CLOEXEC);
	struct journal_audit audit;
	bool dot = false;

	CHECK(fd >= 0 && fs_write(fd, bytes, n) == 0);
	CHECK_INT(journal_audit(fd, note_dot, &dot, &audit), 0);
	*ret_sound = !audit.damaged && !audit.torn;
	CHECK(*ret_sound == (audit.what[0] == '\0'));
	return *ret_sound && audit.same_boot && !dot;
}

/* Wherever a journal is cut or changed, a message that was sent is not sent again unawares.  Only what
 * is cut between two lines looks like a runner that died before it wrote the second. */
TEST(damage_anywhere_leaves_doubt)
{
	AUTO_BUF struct buf text = BUF_INIT(10000);
	size_t lines = 0;
	bool sound;
	char boot[64];

	boot_id(boot);
	buf_addf(&text,
	    "{\"t\":\"x\",\"event\":\"begin\",\"token\":\"" TOKEN "\",\"boot\":\"%s\"}\n", boot);
	buf_adds(&text,
	    "{\"t\":\"x\",\"event\":\"offered\",\"name\":\"" NAME "\",\"lane\":\"main\"}\n");
	buf_adds(&text, "{\"t\":\"x\",\"event\":\"dot\",\"name\":\"" NAME "\"}\n");
	CHECK(!is_put_back(text.s, text.len, &sound) && sound);
	for (size_t n = 0; n < text.len; n++)
		if (is_put_back(text.s, n, &sound)) {
			CHECK_INT(text.s[n - 1], '\n');
			lines++;
		}
	CHECK_INT(lines, 2);
	for (size_t i = 0; i < text.len; i++)
		for (int flip = 1; flip < 256; flip++) {
			text.s[i] = (char)(text.s[i] ^ flip);
			CHECK_ROW("a changed byte", !is_put_back(text.s, text.len, &sound));
			text.s[i] = (char)(text.s[i] ^ flip);
		}
}

/* What was told of a journal that is shorter by now: lines that come are not passed over. */
TEST(an_emptied_journal_goes_on_being_reported)
{
	struct spool spool = fresh_spool();
	struct recover_result result;
	struct err err = ERR_INIT;
	char then = 'h', boot[64];

	boot_id(boot);
	add(&spool, "m");
	make_wreck(&spool, boot, OFFERED DOT);
	CHECK(linkat(spool.cur, TOKEN "/journal", spool.root, "reports/" TOKEN ",100", 0) == 0);
	CHECK(truncate_at(spool.cur, TOKEN "/journal") == 0);
	CHECK(recover_runners(&spool, policy, &then, &result, &err) == 0);
	CHECK_INT(result.damaged, 1);
	CHECK_INT(result.uncertain, 1);
	CHECK(faccessat(spool.root, "reports/" TOKEN ",0", F_OK, 0) == 0);
	CHECK(faccessat(spool.root, "reports/" TOKEN ",100", F_OK, 0) < 0);
	spool_close(&spool);
}

/* The journal's second name has what the first has lost. */
TEST(a_journal_that_is_gone_comes_back_from_reports)
{
	struct spool spool = fresh_spool();
	struct recover_result result;
	struct err err = ERR_INIT;
	char then = 'h', boot[64];

	boot_id(boot);
	add(&spool, "m");
	make_wreck(&spool, boot, OFFERED DOT OUTCOME("sent", ""));
	CHECK(renameat(spool.cur, TOKEN "/journal", spool.root, "reports/" TOKEN ",0") == 0);
	CHECK(recover_runners(&spool, policy, &then, &result, &err) == 0);
	CHECK_INT(result.completed, 1);
	CHECK_INT(result.damaged, 0);
	CHECK_INT(find(&spool, NULL).count, 0);
	CHECK(faccessat(spool.log, TOKEN ".log", F_OK, 0) == 0);
	CHECK(faccessat(spool.root, "reports/" TOKEN ",0", F_OK, 0) == 0);
	spool_close(&spool);
}

/* What cannot be opened, nor moved to corrupt/, is told, and nothing of it is touched. */
TEST(a_journal_that_cannot_be_opened_is_told)
{
	struct spool spool = fresh_spool();
	struct recover_result result;
	struct err err = ERR_INIT;
	char then = 'h', boot[64];

	boot_id(boot);
	add(&spool, "m");
	make_wreck(&spool, boot, OFFERED DOT);
	CHECK(unlinkat(spool.cur, TOKEN "/journal", 0) == 0);
	CHECK(mkdirat(spool.cur, TOKEN "/journal", 0700) == 0);
	CHECK(unlinkat(spool.root, "corrupt", AT_REMOVEDIR) == 0);
	CHECK(mkfifoat(spool.root, "corrupt", 0600) == 0);
	CHECK(recover_runners(&spool, policy, &then, &result, &err) < 0);
	CHECK_INT(err.code, EX_IOERR);
	CHECK(strstr(err.msg, "cur/" TOKEN "/journal") != NULL);
	CHECK_INT(find(&spool, NULL).state, STATE_CLAIMED);
	spool_close(&spool);
}

TEST(a_deferred_one_keeps_its_instant)
{
	struct spool spool = fresh_spool();
	struct recover_result result;
	struct err err = ERR_INIT;
	struct finding finding;
	char then = 'r', boot[64];

	boot_id(boot);
	add(&spool, "m");
	make_wreck(&spool, boot,
	    OFFERED DOT OUTCOME("deferred", ",\"due\":\"2038-01-01T00:00:00.250000Z\""));
	CHECK(recover_runners(&spool, policy, &then, &result, &err) == 0);
	finding = find(&spool, NULL);
	CHECK_INT(finding.due, INT64_C(2145916800250000));
	spool_close(&spool);
}

/* What a recovery puts on record of an uncertain message. */
TEST(a_failure_has_its_class)
{
	static const struct {
		char policy;
		const char *then, *class, *reason;
	} rows[] = {
		{ 'f', "\"then\":\"fail\"", "\"class\":\"uncertain\"",
		    "\"reason\":\"mailq-run died" },
		{ 'x', "\"then\":\"fail\"", "\"class\":\"exhausted\"",
		    "\"reason\":\"no more; last: mailq-run died" },
		{ 'e', "\"then\":\"fail\"", "\"class\":\"expired\"",
		    "\"reason\":\"no more; last: mailq-run died" },
		{ 'r', "\"then\":\"retry\"", NULL, NULL },
		{ 'h', "\"then\":\"hold\"", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct spool spool = fresh_spool();
		AUTO_BUF struct buf log = BUF_INIT(10000);
		struct recover_result result;
		struct err err = ERR_INIT;
		char then = rows[i].policy, boot[64], *failed;

		boot_id(boot);
		add(&spool, "m");
		make_wreck(&spool, boot, OFFERED DOT);
		CHECK(recover_runners(&spool, policy, &then, &result, &err) == 0);
		CHECK_INT(fs_read_file(spool.log, TOKEN ".log", &log), 0);
		CHECK_ROW(rows[i].then, strstr(log.s, rows[i].then) != NULL);
		failed = strstr(log.s, "\"event\":\"failed\"");
		CHECK_ROW(rows[i].then, (failed != NULL) == (rows[i].class != NULL));
		if (failed != NULL && rows[i].class != NULL) {
			CHECK_ROW(rows[i].class, strstr(failed, rows[i].class) != NULL);
			CHECK_ROW(rows[i].class, strstr(failed, rows[i].reason) != NULL);
		}
		spool_close(&spool);
	}
}

TEST(a_living_runner_is_let_alone)
{
	struct spool spool = fresh_spool();
	struct recover_result result;
	struct err err = ERR_INIT;
	AUTO_FD int journal = -1;
	char then = 'r', boot[64];

	boot_id(boot);
	add(&spool, "m");
	make_wreck(&spool, boot, OFFERED DOT);
	journal = openat(spool.cur, TOKEN "/journal", O_RDWR | O_CLOEXEC);
	CHECK(journal >= 0 && fs_lock(journal, 0) == 0);
	CHECK(recover_runners(&spool, policy, &then, &result, &err) == 0);
	CHECK_INT(result.runners, 0);
	CHECK_INT(find(&spool, NULL).state, STATE_CLAIMED);
	spool_close(&spool);
}

TEST(what_was_never_finished_goes)
{
	struct spool spool = fresh_spool();
	AUTO_FD int locked = -1;

	add(&spool, "m"); /* makes waiting/main */
	CHECK(mkdirat(spool.root, "waiting/.main~" TOKEN, 0700) == 0);
	CHECK(mkdirat(spool.root, "failed/main", 0700) == 0);
	CHECK(mkdirat(spool.root, "failed/main/.2.1732170240." TOKEN, 0700) == 0);
	CHECK(mkdirat(spool.root, "held/.full~" TOKEN, 0700) == 0);
	CHECK(mkdirat(spool.root, "held/.full~" TOKEN "/2.1732170240", 0700) == 0);
	CHECK(fs_replace_file(spool.root, "partial/kept", "sent 250 a\n", 11, 0600) == 0);
	CHECK(fs_replace_file(spool.root, "partial/.dead.tmp", "x", 1, 0600) == 0);
	locked = openat(spool.root, "partial/.alive.tmp", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(locked >= 0 && fs_lock(locked, 0) == 0);
	recover_unfinished(&spool);
	CHECK(faccessat(spool.root, "waiting/.main~" TOKEN, F_OK, 0) < 0);
	CHECK(is_empty(&spool, "failed/main"));
	CHECK(faccessat(spool.root, "held/.full~" TOKEN "/2.1732170240", F_OK, 0) == 0);
	CHECK(faccessat(spool.root, "partial/kept", F_OK, 0) == 0);
	CHECK(faccessat(spool.root, "partial/.dead.tmp", F_OK, 0) < 0);
	CHECK(faccessat(spool.root, "partial/.alive.tmp", F_OK, 0) == 0);
	CHECK_INT(find(&spool, NULL).count, 1);
	spool_close(&spool);
}

static int
count_entry(const char *name, unsigned char type, void *arg)
{
	(void)name;
	(void)type;
	++*(int *)arg;
	return 0;
}

/* Another runner removes an empty bucket between our open and our listing of it. */
TEST(a_directory_that_went_is_empty)
{
	struct spool spool = fresh_spool();
	AUTO_FD int dir = -1;
	int count = 0;

	CHECK(mkdirat(spool.root, "waiting/gone", 0700) == 0);
	CHECK((dir = fs_open_dir(spool.root, "waiting/gone")) >= 0);
	CHECK(unlinkat(spool.root, "waiting/gone", AT_REMOVEDIR) == 0);
	CHECK_INT(fs_each(dir, count_entry, &count), 0);
	CHECK_INT(count, 0);
	spool_close(&spool);
}

UNIT_MAIN()
