#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "capture/browse.h"

static const char *
maildir(void)
{
	static char path[300];

	snprintf(path, sizeof path, "%s/maildir", unit_tmpdir());
	return path;
}

static void
put(const char *name)
{
	char path[700];
	int fd;

	mkdir(maildir(), 0700);
	snprintf(path, sizeof path, "%s/new", maildir());
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/cur", maildir());
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%s", maildir(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		abort();
	close(fd);
}

/* The names that are listed, "|" behind each. */
static void
list(size_t limit, const char *before, struct buf *out)
{
	struct maildir_list l;
	struct err err = ERR_INIT;

	buf_clear(out);
	maildir_list_init(&l, limit);
	CHECK_INT(maildir_list_add(&l, maildir(), 7, before, &err), 0);
	for (size_t i = 0; i < l.n; i++) {
		buf_addf(out, "%s|", l.v[i].name);
		CHECK_INT(l.v[i].maildir, 7);
	}
	buf_addf(out, "%s %" PRIu64, l.more ? "more" : "all", l.total);
	maildir_list_release(&l);
}

TEST(one_that_is_not_there_is_empty)
{
	AUTO_BUF struct buf out = BUF_INIT(10000);
	uint64_t size;

	list(10, NULL, &out);
	CHECK_STR(out.s, "all 0");
	CHECK_INT(maildir_open_message(maildir(), "1.M1P1Q1.host", &size), -1);
	CHECK_INT(errno, ENOENT);
}

TEST(the_newest_come_first_in_pages)
{
	AUTO_BUF struct buf out = BUF_INIT(10000);

	put("new/999.M000001P1Q1.host");
	put("new/1000.M000002P1Q1.host");
	put("cur/1000.M000001P1Q1.host:2,S");
	put("new/1000.M000001P1Q2.host");
	put("cur/other");
	put("new/.hidden");
	list(10, NULL, &out);
	CHECK_STR(out.s,
	    "1000.M000002P1Q1.host|1000.M000001P1Q2.host|1000.M000001P1Q1.host|"
	    "999.M000001P1Q1.host|other|all 5");
	list(2, NULL, &out);
	CHECK_STR(out.s, "1000.M000002P1Q1.host|1000.M000001P1Q2.host|more 5");
	list(2, "1000.M000001P1Q2.host", &out);
	CHECK_STR(out.s, "1000.M000001P1Q1.host|999.M000001P1Q1.host|more 5");
	list(2, "999.M000001P1Q1.host", &out);
	CHECK_STR(out.s, "other|all 5");
	list(2, "other", &out);
	CHECK_STR(out.s, "all 5");
}

TEST(a_message_is_found_with_flags_and_without)
{
	uint64_t size = 0;
	int fd;

	put("new/1.M1P1Q1.host");
	put("cur/2.M1P1Q1.host:2,FS");
	put("cur/2.M1P1Q1.hostile:2,FS");
	fd = maildir_open_message(maildir(), "1.M1P1Q1.host", &size);
	CHECK(fd >= 0);
	CHECK_INT(size, strlen("new/1.M1P1Q1.host"));
	close(fd);
	fd = maildir_open_message(maildir(), "2.M1P1Q1.host", &size);
	CHECK(fd >= 0);
	CHECK_INT(size, strlen("cur/2.M1P1Q1.host:2,FS"));
	close(fd);
	CHECK_INT(maildir_open_message(maildir(), "2.M1P1Q1", &size), -1);
	CHECK_INT(errno, ENOENT);
}

TEST(only_files_are_opened)
{
	char path[700];
	uint64_t size;

	put("new/1.M1P1Q1.host");
	snprintf(path, sizeof path, "%s/new/link", maildir());
	CHECK_INT(symlink("/etc/passwd", path), 0);
	CHECK_INT(maildir_open_message(maildir(), "link", &size), -1);
	CHECK_INT(errno, ENOENT);
	snprintf(path, sizeof path, "%s/new/fifo", maildir());
	CHECK_INT(mkfifo(path, 0600), 0);
	CHECK_INT(maildir_open_message(maildir(), "fifo", &size), -1);
}

TEST(names)
{
	CHECK(maildir_name_ok("1.M2P3Q4.host"));
	CHECK(!maildir_name_ok(""));
	CHECK(!maildir_name_ok(".."));
	CHECK(!maildir_name_ok(".x"));
	CHECK(!maildir_name_ok("a/b"));
	CHECK(!maildir_name_ok("a:2,S"));
	CHECK(!maildir_name_ok("a b"));
	CHECK(!maildir_name_ok("\xd0\x9f"));
	CHECK_INT(maildir_name_time("12.M000345P1.host"), 12 * USEC + 345);
	CHECK_INT(maildir_name_time("12.host"), 12 * USEC);
	CHECK_INT(maildir_name_time("12"), 0);
	CHECK_INT(maildir_name_time("99999999999999999999.x"), 0);
	CHECK_INT(maildir_name_time("x.M1"), 0);
}

UNIT_MAIN()
