#include "spool/store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/store/own.h"
#include "spool/store/owner.h"

#define MARKER "mailq-spool"
#define MARKER_TEXT "mailq-spool 1\n"

/* What stands in the root beside the states, and is made with it. */
static const char *const plain_names[] = { "tmp", "cur", "log", "id", "partial", "parked",
	"corrupt", "reports" };
#define N_PLAIN (sizeof plain_names / sizeof plain_names[0])

static const char *const state_words[] = {
	[STATE_WAITING] = "waiting",
	[STATE_DEFERRED] = "deferred",
	[STATE_HELD] = "held",
	[STATE_UNCERTAIN] = "uncertain",
	[STATE_FAILED] = "failed",
	[STATE_CLAIMED] = "claimed",
	[STATE_SENT] = "sent",
	[STATE_NONE] = "none",
};

const char *
state_text(enum state state)
{
	return state_words[state];
}

enum state
state_parse(const char *word)
{
	for (int i = 0; i < STATE_NONE; i++)
		if (strcmp(word, state_words[i]) == 0)
			return (enum state)i;
	return STATE_NONE;
}

static int
make_tree(int root, struct err *err)
{
	char name[16];

	for (size_t i = 0; i < N_PLAIN; i++)
		if (fs_mkdir(root, plain_names[i], 0770) < 0)
			return err_io(err, "cannot make %s", plain_names[i]);
	for (int i = 0; i < STATE_COUNT; i++)
		if (fs_mkdir(root, state_words[i], 0770) < 0)
			return err_io(err, "cannot make %s", state_words[i]);
	for (unsigned int i = 0; i < ID_SHARDS; i++) {
		snprintf(name, sizeof name, "id/%x", i);
		if (fs_mkdir(root, name, 0770) < 0)
			return err_io(err, "cannot make %s", name);
	}
	/* All of it where there is no order, so that no later sync of one directory meets new ones in it. */
	if (fs_sync_dir_at(root, "id") < 0 || fs_sync_dir(root) < 0 ||
	    (!fs_is_ordered(root) && fs_sync_all(root) < 0))
		return err_io(err, "cannot sync");
	/* Last: a spool with its marker is whole. */
	if (fs_replace_file(root, MARKER, MARKER_TEXT, strlen(MARKER_TEXT), 0660) < 0)
		return err_io(err, "cannot write %s", MARKER);
	return 0;
}

/* 1 where the marker is there and of our version, 0 where it is not there. */
static int
read_marker(int root, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(64);

	if (fs_read_file(root, MARKER, &text) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_io(err, "%s", MARKER);
	}
	if (strcmp(text.s, MARKER_TEXT) != 0)
		return err_set(err, EX_CONFIG, "%s says \"%.20s\", this mailq reads \"%.13s\"",
		    MARKER, text.s, MARKER_TEXT);
	return 1;
}

struct unused {
	bool stranger, marked;
};

static bool
is_ours(const char *name)
{
	static const char *const others[] = { "count", "totals", "wake", "captured", "lost+found" };

	for (size_t i = 0; i < N_PLAIN; i++)
		if (strcmp(name, plain_names[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strcmp(name, others[i]) == 0)
			return true;
	return name[0] == '.' || state_parse(name) < STATE_COUNT;
}

static int
note_name(const char *name, unsigned char d_type, void *arg)
{
	struct unused *unused = arg;

	(void)d_type;
	if (strcmp(name, MARKER) == 0)
		unused->marked = true;
	else if (!is_ours(name))
		unused->stranger = true;
	return 0;
}

/* A directory without a marker becomes a spool where it is empty, or somebody was killed while
 * making one of it; a home, or /etc, that was named by mistake does not.  1 where the marker is there
 * by now: somebody else has just made it. */
static int
check_unused(int root, struct err *err)
{
	AUTO_FD int listed = fs_open_dir(root, ".");
	struct unused unused = { false, false };

	if (listed < 0 || fs_each(listed, note_name, &unused) < 0)
		return err_io(err, "cannot list it");
	if (unused.marked)
		return 1;
	if (unused.stranger)
		return err_set(err, EX_CONFIG,
		    "it is not a spool (no file \"%s\" in it), and not empty", MARKER);
	return 0;
}

/* 1 where it is a spool, 0 where it may become one. */
static int
look_at(int root, struct err *err)
{
	int marked = read_marker(root, err), unused;

	if (marked != 0)
		return marked;
	unused = check_unused(root, err);
	return unused <= 0 ? unused : read_marker(root, err);
}

static int
check_file_system(int root, struct err *err)
{
	struct statfs fs;

	if (fstatfs(root, &fs) < 0)
		return err_io(err, "statfs");
	switch ((unsigned int)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case 0xff534d42u: /* CIFS */
	case 0xfe534d42u: /* SMB2 */
	case SMB_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case V9FS_MAGIC:
		return err_set(err, EX_CONFIG,
		    "it lies on a network file system, whose renames and locks cannot be relied on "
		    "(queue.allow_network_fs = true takes the risk)");
	default:
		return 0;
	}
}

static int
open_part(const struct spool *spool, const char *path, const char *name, int *ret_fd,
    struct err *err)
{
	*ret_fd = fs_open_dir(spool->root, name);
	return *ret_fd >= 0 ? 0 : owner_explain(spool->root, path, name, err);
}

static int
open_parts(struct spool *spool, const char *path, struct err *err)
{
	if (open_part(spool, path, "tmp", &spool->tmp, err) < 0 ||
	    open_part(spool, path, "cur", &spool->cur, err) < 0 ||
	    open_part(spool, path, "log", &spool->log, err) < 0)
		return -1;
	for (int i = 0; i < STATE_COUNT; i++)
		if (open_part(spool, path, state_words[i], &spool->states[i], err) < 0)
			return -1;
	return 0;
}

/* Something else has the marker's name, in what is a whole spool otherwise: it goes to corrupt/.  True where the
 * marker is there again. */
static bool
mend_marker(const struct spool *spool)
{
	struct stat st;

	for (int i = 0; i < STATE_COUNT; i++)
		if (fstatat(spool->root, state_words[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			return false;
	return own_clear(spool, spool->root, "", MARKER) == 0 &&
	    own_replace(spool, spool->root, "", MARKER, MARKER_TEXT, strlen(MARKER_TEXT)) == 0;
}

static int
open_checked(struct spool *spool, const char *path, const struct spool_options *options,
    struct err *err)
{
	int marked;

	if (!options->allow_network_fs && check_file_system(spool->root, err) < 0)
		return -1;
	marked = look_at(spool->root, err);
	if (marked < 0 && fs_is_foreign() && !options->read_only &&
	    owner_check(spool->root, path, options, true, err) == 0 && mend_marker(spool))
		marked = look_at(spool->root, err);
	if (marked < 0 || owner_check(spool->root, path, options, marked > 0, err) < 0)
		return -1;
	if (marked == 0) {
		if (options->read_only)
			return err_set(err, EX_NOINPUT, "it is not a spool: no file \"%s\" in it",
			    MARKER);
		if (make_tree(spool->root, err) < 0)
			return -1;
	}
	return open_parts(spool, path, err);
}

int
spool_open(struct spool *spool, const char *path, const struct spool_options *options,
    struct err *err)
{
	memset(spool, 0, sizeof *spool);
	spool->root = spool->tmp = spool->cur = spool->log = -1;
	memset(spool->states, -1, sizeof spool->states);
	memset(spool->ids, -1, sizeof spool->ids);
	spool->read_only = options->read_only;
	spool->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->root < 0 && errno == ENOENT && !options->read_only) {
		if (fs_mkdir_parents(path, 0700) < 0) {
			err_io(err, "spool %s: cannot be made", path);
			return err == NULL ? -1 : (err->code = EX_CANTCREAT, -1);
		}
		spool->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (spool->root < 0) {
		owner_explain_closed(path, options, err);
		if (err != NULL && errno == ENOENT)
			err->code = EX_NOINPUT;
		return -1;
	}
	spool->ordered = fs_is_ordered(spool->root);
	spool->path = xstrdup(path);
	if (open_checked(spool, path, options, err) < 0) {
		spool_close(spool);
		return err_prefix(err, "spool %s", path);
	}
	return 0;
}

void
spool_close(struct spool *spool)
{
	auto_close_fd(&spool->root);
	auto_close_fd(&spool->tmp);
	auto_close_fd(&spool->cur);
	auto_close_fd(&spool->log);
	for (int i = 0; i < STATE_COUNT; i++)
		auto_close_fd(&spool->states[i]);
	for (int i = 0; i < ID_SHARDS; i++)
		auto_close_fd(&spool->ids[i]);
	free(spool->path);
	spool->path = NULL;
}

int
spool_sync_dir(const struct spool *spool, int dir)
{
	return spool->ordered ? fs_sync_dir(dir) : 0;
}

int
spool_sync_end(const struct spool *spool)
{
	return spool->ordered ? 0 : fs_sync_all(spool->root);
}

int
spool_make_dir(const struct spool *spool, const char *name, unsigned int mode)
{
	if (fs_mkdir(spool->root, name, mode) < 0 || spool_sync_dir(spool, spool->root) < 0)
		return -1;
	return spool_sync_end(spool);
}

int
spool_check_space(const struct spool *spool, uint64_t min_free_bytes, uint64_t min_free_inodes,
    struct err *err)
{
	struct statvfs fs;
	uint64_t free_bytes;
	char have[24], want[24];

	if (fstatvfs(spool->root, &fs) < 0)
		return err_io(err, "spool %s: statvfs", spool->path);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes < min_free_bytes)
		return err_set(err, EX_TEMPFAIL,
		    "spool %s: only %s free on its file system, less than queue.min_free_space "
		    "(%s)",
		    spool->path, num_size_text(free_bytes, have),
		    num_size_text(min_free_bytes, want));
	/* File systems without a fixed number of inodes (btrfs) report none at all. */
	if (fs.f_files > 0 && fs.f_favail < min_free_inodes)
		return err_set(err, EX_TEMPFAIL,
		    "spool %s: only %llu inodes free on its file system, less than "
		    "queue.min_free_inodes (%llu)",
		    spool->path, (unsigned long long)fs.f_favail,
		    (unsigned long long)min_free_inodes);
	return 0;
}

unsigned int
spool_id_shard(const char *encoded_id)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *p = encoded_id; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return (hash ^ hash >> 16) % ID_SHARDS;
}

int
spool_id_dir(struct spool *spool, const char *encoded_id)
{
	unsigned int shard = spool_id_shard(encoded_id);
	char name[16];

	if (spool->ids[shard] < 0) {
		snprintf(name, sizeof name, "id/%x", shard);
		spool->ids[shard] = fs_open_dir(spool->root, name);
	}
	return spool->ids[shard];
}

void
spool_wake(const struct spool *spool)
{
	AUTO_FD int fd = own_open(spool, spool->root, "", "wake", O_WRONLY, false);

	/* Closing what was open for writing is the event that both wait for (IN_CLOSE_WRITE). */
	(void)fd;
}
