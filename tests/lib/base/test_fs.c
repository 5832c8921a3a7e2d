/* lib/base/fs */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fs.h"
#include "unit.h"

/* A fresh directory below the program's own. */
static int
fresh_dir(const char *name)
{
	int above = fs_open_dir(AT_FDCWD, unit_tmpdir());
	int dir;

	if (above < 0 || mkdirat(above, name, 0700) < 0 || (dir = fs_open_dir(above, name)) < 0) {
		perror(name);
		exit(2);
	}
	close(above);
	return dir;
}

static void
put(int dir, const char *name, const char *text)
{
	AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fs_write(fd, text, strlen(text)) == 0);
}

static void
check_content(int dir, const char *name, const char *want)
{
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);

	CHECK_INT(fs_read_file(dir, name, &b), 0);
	CHECK_STR(b.s, want);
}

static int
count_entry(const char *name, unsigned char d_type, void *arg)
{
	(void)name;
	(void)d_type;
	++*(int *)arg;
	return 0;
}

static int
count(int dir)
{
	int n = 0;

	CHECK_INT(fs_each(dir, count_entry, &n), 0);
	return n;
}

TEST(read_file_whole_and_bounded)
{
	AUTO_FD int dir = fresh_dir("read");
	AUTO_BUF struct buf fits = BUF_INIT(10), small = BUF_INIT(9), none = BUF_INIT(0);

	put(dir, "ten", "0123456789");
	CHECK_INT(fs_read_file(dir, "ten", &fits), 0);
	CHECK_STR(fits.s, "0123456789");
	CHECK_INT(fs_read_file(dir, "ten", &small), -1);
	CHECK_INT(errno, E2BIG);
	put(dir, "empty", "");
	CHECK_INT(fs_read_file(dir, "empty", &none), 0);
	CHECK_INT(fs_read_file(dir, "ten", &none), -1);
	CHECK_INT(errno, E2BIG);
	CHECK_INT(fs_read_file(dir, "absent", &none), -1);
	CHECK_INT(errno, ENOENT);
}

TEST(read_file_takes_regular_files_only)
{
	AUTO_FD int dir = fresh_dir("regular");
	AUTO_BUF struct buf b = BUF_INIT(100);

	put(dir, "target", "secret");
	CHECK_INT(symlinkat("target", dir, "link"), 0);
	CHECK_INT(mkfifoat(dir, "fifo", 0600), 0);
	CHECK_INT(mkdirat(dir, "dir", 0700), 0);
	CHECK_INT(fs_read_file(dir, "link", &b), -1);
	CHECK_INT(errno, FS_NOT_A_FILE);
	CHECK_INT(fs_read_file(dir, "fifo", &b), -1);
	CHECK_INT(errno, FS_NOT_A_FILE);
	CHECK_INT(fs_read_file(dir, "dir", &b), -1);
	CHECK_INT(errno, FS_NOT_A_FILE);
	CHECK_INT(b.len, 0);
	CHECK_INT(symlinkat("dir", dir, "dirlink"), 0);
	CHECK_INT(fs_open_dir(dir, "dirlink"), -1);
}

TEST(read_all_of_a_pipe)
{
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);
	char block[5000];
	int ends[2];

	memset(block, 'x', sizeof block);
	CHECK_INT(pipe(ends), 0);
	CHECK_INT(fs_write(ends[1], block, sizeof block), 0);
	close(ends[1]);
	CHECK_INT(fs_read_all(ends[0], &b), 0);
	CHECK_MEM(b.s, b.len, block, sizeof block);
	close(ends[0]);
}

TEST(pread_past_the_end_is_eio)
{
	AUTO_FD int dir = fresh_dir("pread");
	AUTO_FD int fd = openat(dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char got[4] = "";

	CHECK_INT(fs_pwrite(fd, "abcdef", 6, 0), 0);
	CHECK_INT(fs_pwrite(fd, "XY", 2, 2), 0);
	CHECK_INT(fs_pread(fd, got, 3, 1), 0);
	CHECK_MEM(got, 3, "bXY", 3);
	CHECK_INT(fs_pread(fd, got, 3, 4), -1);
	CHECK_INT(errno, ENODATA);
}

TEST(mkdir_is_content_with_a_directory_only)
{
	AUTO_FD int dir = fresh_dir("mkdir");

	CHECK_INT(fs_mkdir(dir, "d", 0700), 0);
	CHECK_INT(fs_mkdir(dir, "d", 0700), 0);
	put(dir, "f", "");
	CHECK_INT(fs_mkdir(dir, "f", 0700), -1);
	CHECK_INT(errno, ENOTDIR);
	CHECK_INT(symlinkat("d", dir, "l"), 0);
	CHECK_INT(fs_mkdir(dir, "l", 0700), -1);
	CHECK_INT(errno, ENOTDIR);
	CHECK_INT(fs_mkdir(dir, "no/where", 0700), -1);
	CHECK_INT(errno, ENOENT);
}

TEST(mkdir_parents)
{
	char path[400];
	struct stat st;

	snprintf(path, sizeof path, "%s/p//q/r/", unit_tmpdir());
	CHECK_INT(fs_mkdir_parents(path, 0700), 0);
	CHECK(stat(path, &st) == 0 && S_ISDIR(st.st_mode));
	CHECK_INT(fs_mkdir_parents(path, 0700), 0);
	CHECK_INT(fs_mkdir_parents("/", 0700), 0);
	CHECK_INT(fs_mkdir_parents("", 0700), -1);
	snprintf(path, sizeof path, "%s/p/file", unit_tmpdir());
	put(AT_FDCWD, path, "");
	strncat(path, "/below", sizeof path - strlen(path) - 1);
	CHECK_INT(fs_mkdir_parents(path, 0700), -1);
	CHECK_INT(errno, ENOTDIR);
}

TEST(replace_file_old_or_new)
{
	AUTO_FD int dir = fresh_dir("replace");

	CHECK_INT(fs_replace_file(dir, "f", "one", 3, 0600), 0);
	check_content(dir, "f", "one");
	CHECK_INT(fs_replace_file(dir, "f", "two!", 4, 0600), 0);
	check_content(dir, "f", "two!");
	CHECK_INT(count(dir), 1);
	CHECK_INT(fs_mkdir(dir, "sub", 0700), 0);
	CHECK_INT(fs_replace_file(dir, "sub/g", "three", 5, 0600), 0);
	check_content(dir, "sub/g", "three");
	CHECK_INT(fs_replace_file(dir, "absent/g", "x", 1, 0600), -1);
	CHECK_INT(errno, ENOENT);
	CHECK_INT(fs_replace_file(dir, "sub", "x", 1, 0600), -1);
	CHECK_INT(errno, EISDIR);
	CHECK_INT(count(dir), 2);
}

TEST(replace_file_takes_over_what_a_dead_writer_left)
{
	AUTO_FD int dir = fresh_dir("leftover");

	put(dir, ".f.tmp", "half of a much longer content");
	CHECK_INT(fs_replace_file(dir, "f", "whole", 5, 0600), 0);
	check_content(dir, "f", "whole");
	CHECK_INT(count(dir), 1);
	/* A second name for a file that is somebody else's: its content stays. */
	put(dir, "precious", "keep");
	CHECK_INT(linkat(dir, "precious", dir, ".f.tmp", 0), 0);
	CHECK_INT(fs_replace_file(dir, "f", "x", 1, 0600), -1);
	CHECK_INT(errno, EEXIST);
	check_content(dir, "precious", "keep");
	check_content(dir, "f", "whole");
}

/* Each of many writers replaces one file over and over; it is whole at every moment. */
TEST(replace_file_by_many_at_once)
{
	AUTO_FD int dir = fresh_dir("many");
	char block[3000];

	memset(block, 'z', sizeof block);
	CHECK_INT(fs_replace_file(dir, "f", block, sizeof block, 0600), 0);
	for (int child = 0; child < 4; child++) {
		if (fork() != 0)
			continue;
		memset(block, 'a' + child, sizeof block);
		for (int i = 0; i < 25; i++)
			if (fs_replace_file(dir, "f", block, sizeof block, 0600) < 0)
				_exit(1);
		_exit(0);
	}
	for (int left = 4, status; left > 0;) {
		AUTO_BUF struct buf b = BUF_INIT(10000);
		pid_t pid = waitpid(-1, &status, WNOHANG);

		CHECK_INT(fs_read_file(dir, "f", &b), 0);
		CHECK_INT(b.len, sizeof block);
		CHECK(b.len > 0 && b.s[0] == b.s[b.len - 1]);
		if (pid > 0) {
			CHECK_INT(status, 0);
			left--;
		}
	}
	CHECK_INT(count(dir), 1);
}

TEST(lock_is_exclusive_and_waits)
{
	AUTO_FD int dir = fresh_dir("lock");
	AUTO_FD int first = openat(dir, "l", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	AUTO_FD int second = openat(dir, "l", O_RDWR | O_CLOEXEC);
	int64_t before;

	CHECK_INT(fs_lock(first, 0), 0);
	CHECK_INT(fs_lock(second, 0), -1);
	CHECK_INT(errno, EWOULDBLOCK);
	before = clock_monotonic();
	CHECK_INT(fs_lock(second, 30000), -1);
	CHECK_INT(errno, EWOULDBLOCK);
	CHECK(clock_monotonic() - before < 60 * USEC);
	close(take_fd(&first));
	CHECK_INT(fs_lock(second, USEC), 0);
}

static int
stop_at_b(const char *name, unsigned char d_type, void *arg)
{
	(void)d_type;
	(void)arg;
	return strcmp(name, "b") == 0 ? 7 : 0;
}

TEST(each_entry)
{
	AUTO_FD int dir = fresh_dir("each");
	char name[16];

	put(dir, "a", "");
	put(dir, "b", "");
	put(dir, "...", "");
	CHECK_INT(count(dir), 3);
	CHECK_INT(count(dir), 3);
	CHECK_INT(fs_each(dir, stop_at_b, NULL), 7);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "n%d", i);
		CHECK_INT(mkdirat(dir, name, 0700), 0);
	}
	CHECK_INT(count(dir), 2003);
	CHECK_INT(fs_each(-1, stop_at_b, NULL), -1);
	CHECK_INT(errno, EBADF);
	CHECK(fs_is_dots(".") && fs_is_dots("..") && !fs_is_dots("...") && !fs_is_dots(".a"));
}

/* Every way to open one, of every kind: at once, and with one answer. */
TEST(open_refuses_what_is_no_file)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_CREAT,
		O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_TRUNC };
	static const char *const names[] = { "fifo", "dir", "link", "dangling", "socket" };
	AUTO_FD int dir = fresh_dir("kinds");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FD int fd = -1;
	struct stat st;

	put(dir, "target", "kept");
	CHECK_INT(mkfifoat(dir, "fifo", 0600), 0);
	CHECK_INT(mkdirat(dir, "dir", 0700), 0);
	CHECK_INT(symlinkat("target", dir, "link"), 0);
	CHECK_INT(symlinkat("nowhere", dir, "dangling"), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/socket", dir);
	CHECK_INT(bind(sock, (struct sockaddr *)&address, sizeof address), 0);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		for (size_t k = 0; k < sizeof flags / sizeof flags[0]; k++) {
			errno = 0;
			CHECK_ROW(names[i], fs_open(dir, names[i], flags[k], 0600) == -1);
			CHECK_ROW(names[i], errno == FS_NOT_A_FILE && fs_is_foreign());
		}
	CHECK_INT(fstatat(dir, "target", &st, 0), 0);
	CHECK_INT(st.st_size, 4);
	CHECK_INT(fstatat(dir, "nowhere", &st, 0), -1);
	CHECK_INT(fs_open(dir, "absent", O_RDONLY, 0), -1);
	CHECK_INT(errno, ENOENT);
	CHECK(!fs_is_foreign());
	fd = fs_open(dir, "target", O_WRONLY | O_TRUNC, 0);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

/* A file of another user counts where he may put one: in his directory, or a group's. */
TEST(whose_files)
{
	AUTO_FD int dir = fresh_dir("owners");
	struct stat st = { .st_mode = S_IFREG, .st_uid = geteuid() };
	AUTO_FD int fd = -1;

	CHECK(fs_is_ours(dir, &st));
	st.st_uid = 0;
	CHECK(fs_is_ours(dir, &st));
	st.st_uid = 12345;
	CHECK(!fs_is_ours(dir, &st));
	CHECK_INT(fchmod(dir, 0770), 0);
	CHECK(fs_is_ours(dir, &st));
	CHECK_INT(fchmod(dir, 0700), 0);
	if (geteuid() != 0)
		return;
	put(dir, "his", "x");
	CHECK_INT(fchownat(dir, "his", 12345, 12345, 0), 0);
	CHECK_INT(fs_open(dir, "his", O_RDONLY, 0), -1);
	CHECK_INT(errno, FS_NOT_OURS);
	CHECK_INT(fchown(dir, 12345, 12345), 0);
	fd = fs_open(dir, "his", O_RDONLY, 0);
	CHECK(fd >= 0);
}

TEST(syncing)
{
	AUTO_FD int dir = fresh_dir("sync");

	put(dir, "f", "x");
	CHECK_INT(fs_sync_dir(dir), 0);
	CHECK_INT(fs_sync_dir_at(dir, "."), 0);
	CHECK_INT(fs_sync_dir_at(dir, "absent"), -1);
	CHECK_INT(fs_sync_all(dir), 0);
	CHECK_INT(fs_sync_dir(-1), -1);
	CHECK_INT(fs_sync_all(-1), -1);
	CHECK(!fs_is_ordered(-1));
}

UNIT_MAIN()
