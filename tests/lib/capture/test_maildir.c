#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fs.h"
#include "capture/maildir.h"

/* Puts text into a file of its own and makes a message of it, with junk around. */
static struct maildir_message
message_of(const char *text, size_t len)
{
	static const char *const to[] = { "b@y", "c@z" };
	struct maildir_message m = { .sender = "a@x",
		.recipients = to,
		.n_recipients = 2,
		.offset = 3,
		.length = len };

	m.fd = memfd_create("message", MFD_CLOEXEC);
	CHECK_INT(fs_write(m.fd, "xxx", 3), 0);
	CHECK_INT(fs_write(m.fd, text, len), 0);
	CHECK_INT(fs_write(m.fd, "yyy", 3), 0);
	return m;
}

/* How many files stand in a directory of the Maildir; the name of one in name. */
static int
count(const char *maildir, const char *sub, char name[1000])
{
	char path[600];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", maildir, sub);
	d = opendir(path);
	CHECK(d != NULL);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, 1000, "%s/%s", path, e->d_name);
		n++;
	}
	if (d != NULL)
		closedir(d);
	return n;
}

static const char *
fresh_path(void)
{
	static char path[300];
	static int turn;

	snprintf(path, sizeof(path), "%s/deep/er/maildir%d", unit_tmpdir(), turn++);
	return path;
}

static const struct {
	const char *sent, *kept;
} contents[] = {
	{ "Subject: x\r\n\r\nHi\r\n", "Subject: x\n\nHi\n" },
	{ "Subject: x\n\nHi\n", "Subject: x\n\nHi\n" },
	{ "S: x\r\n\r\na\rb\r\r\nc\r", "S: x\n\na\rb\r\nc\r" },
	{ "S: x\r\n\r\n.dot\r\nFrom me\r\n", "S: x\n\n.dot\nFrom me\n" },
	{ "", "" },
};

TEST(messages_are_kept_as_readers_want_them)
{
	static const char head[] = "Return-Path: <a@x>\nDelivered-To: b@y\nDelivered-To: c@z\n";
	AUTO_BUF struct buf file = BUF_INIT(100000), want = BUF_INIT(100000);
	struct maildir_message message;
	struct err err = ERR_INIT;
	struct maildir *m;
	char name[1000];
	const char *path;
	struct stat st;
	size_t i;

	umask(077); /* as the programs do */
	for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		path = fresh_path();
		message = message_of(contents[i].sent, strlen(contents[i].sent));
		CHECK_INT(maildir_open(&m, path, &err), 0);
		CHECK_INT(maildir_add(m, &message, &err), 0);
		CHECK_INT(maildir_pending(m), 1);
		CHECK_INT(count(path, "new", name), 0);
		CHECK_INT(count(path, "tmp", name), 1);
		CHECK_INT(maildir_commit(m, &err), 0);
		CHECK_INT(maildir_pending(m), 0);
		CHECK_INT(count(path, "tmp", name), 0);
		CHECK_INT(count(path, "cur", name), 0);
		CHECK_INT(count(path, "new", name), 1);
		CHECK_INT(stat(name, &st), 0);
		CHECK_INT(st.st_mode & 0777, 0600);
		buf_clear(&file);
		buf_clear(&want);
		CHECK_INT(fs_read_file(AT_FDCWD, name, &file), 0);
		buf_addf(&want, "%s%s", head, contents[i].kept);
		CHECK_MEM(file.s, file.len, want.s, want.len);
		CHECK_STR(err.msg, "");
		maildir_free(m);
		close(message.fd);
	}
}

/* A CRLF on the border of two chunks, wherever that is. */
TEST(large_messages)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
	AUTO_BUF struct buf file = BUF_INIT(1 << 20);
	struct maildir_message message;
	struct err err = ERR_INIT;
	struct maildir *m;
	const char *path;
	char name[1000];
	int shift, i;

	for (shift = 0; shift < 3; shift++) {
		buf_clear(&text);
		buf_clear(&want);
		buf_clear(&file);
		buf_adds(&want, "Return-Path: <a@x>\nDelivered-To: b@y\nDelivered-To: c@z\n");
		buf_add(&text, "xx", (size_t)shift);
		buf_add(&want, "xx", (size_t)shift);
		for (i = 0; i < 70000; i++) {
			buf_adds(&text, "a\r\n");
			buf_adds(&want, "a\n");
		}
		path = fresh_path();
		message = message_of(text.s, text.len);
		CHECK_INT(maildir_open(&m, path, &err), 0);
		CHECK_INT(maildir_add(m, &message, &err), 0);
		CHECK_INT(maildir_commit(m, &err), 0);
		CHECK_INT(count(path, "new", name), 1);
		CHECK_INT(fs_read_file(AT_FDCWD, name, &file), 0);
		CHECK_MEM(file.s, file.len, want.s, want.len);
		maildir_free(m);
		close(message.fd);
	}
}

TEST(groups)
{
	struct maildir_message message = message_of("S: x\r\n\r\n", 8);
	struct err err = ERR_INIT;
	const char *path = fresh_path();
	struct maildir *m, *other;
	char name[1000];
	int i;

	CHECK_INT(maildir_open(&m, path, &err), 0);
	CHECK_INT(maildir_open(&other, path, &err), 0);
	CHECK_INT(maildir_commit(m, &err), 0);
	for (i = 0; i < 300; i++)
		CHECK_INT(maildir_add(m, &message, &err), 0);
	for (i = 0; i < 2; i++)
		CHECK_INT(maildir_add(other, &message, &err), 0);
	CHECK_INT(maildir_commit(m, &err), 0);
	CHECK_INT(count(path, "new", name), 300);
	/* What was not committed leaves nothing behind, and takes nothing of another's away. */
	CHECK_INT(count(path, "tmp", name), 2);
	maildir_free(m);
	CHECK_INT(count(path, "tmp", name), 2);
	maildir_free(other);
	CHECK_INT(count(path, "tmp", name), 0);
	CHECK_INT(count(path, "new", name), 300);
	close(message.fd);
}

TEST(hostile_envelopes)
{
	static const char *const to[] = { "b@y>\nSubject: forged", "\xc3\xa4@x" };
	struct maildir_message message = message_of("S: x\r\n\r\n", 8);
	AUTO_BUF struct buf file = BUF_INIT(10000);
	struct err err = ERR_INIT;
	const char *path = fresh_path();
	struct maildir *m;
	char name[1000];

	message.sender = "a\r\n\r\n../x";
	message.recipients = to;
	CHECK_INT(maildir_open(&m, path, &err), 0);
	CHECK_INT(maildir_add(m, &message, &err), 0);
	CHECK_INT(maildir_commit(m, &err), 0);
	CHECK_INT(count(path, "new", name), 1);
	CHECK_INT(fs_read_file(AT_FDCWD, name, &file), 0);
	CHECK_STR(file.s,
	    "Return-Path: <a????../x>\nDelivered-To: b@y>?Subject: forged\n"
	    "Delivered-To: \xc3\xa4@x\nS: x\n\n");
	CHECK(strpbrk(strrchr(name, '/') + 1, "/:,\n ") == NULL);
	maildir_free(m);
	close(message.fd);
}

TEST(what_cannot_be)
{
	struct maildir_message message = message_of("S: x\r\n\r\n", 8);
	struct err err = ERR_INIT;
	const char *path = fresh_path();
	struct maildir *m = NULL;
	char name[1000];

	CHECK_INT(maildir_open(&m, "/proc/none/such", &err), -1);
	CHECK(strstr(err.msg, "/proc/none/such") != NULL);
	CHECK(m == NULL);
	CHECK_INT(maildir_open(&m, path, &err), 0);
	message.length = 1000; /* more than there is */
	CHECK_INT(maildir_add(m, &message, &err), -1);
	CHECK_INT(maildir_pending(m), 0);
	CHECK_INT(count(path, "tmp", name), 0);
	maildir_free(m);
	close(message.fd);
}

UNIT_MAIN()
