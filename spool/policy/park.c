#include "spool/policy/park.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/store/lines.h"
#include "spool/store/own.h"

#define DIRECTORY "parked"
#define FILE_MAX ((size_t)4096)

static int
open_parked(const struct spool *spool, struct err *err)
{
	int fd = fs_open_dir(spool->root, DIRECTORY);

	return fd < 0 ? err_io(err, "spool %s: %s", spool->path, DIRECTORY) : fd;
}

static int
encode(const char *account, char name[LANE_PART_MAX + 1], struct err *err)
{
	if (name_encode(account, LANE_PART_MAX, name) < 0)
		return err_sys(err, EX_DATAERR, "account \"%s\"", account);
	return 0;
}

int
park_write(struct spool *spool, const char *account, const struct park *park, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(account, name, err) < 0 || (dir = open_parked(spool, err)) < 0)
		return -1;
	lines_add_instant(&text, "until", park->until);
	lines_add_instant(&text, "since", park->since);
	buf_addf(&text, "faults: %u\n", park->faults);
	lines_add_words(&text, "class", park->class);
	lines_add_words(&text, "reason", park->reason);
	if (own_replace(spool, dir, DIRECTORY, name, text.s, text.len) < 0)
		return err_io(err, "spool %s: cannot write %s/%s", spool->path, DIRECTORY, name);
	return 0;
}

/* One line into the struct; unknown keys are left for later versions. */
static int
take_line(const char *key, const char *value, void *arg)
{
	struct park *park = arg;
	uint64_t number;

	if (strcmp(key, "until") == 0)
		return instant_parse(value, &park->until);
	if (strcmp(key, "since") == 0)
		return instant_parse(value, &park->since);
	if (strcmp(key, "faults") == 0) {
		if (num_u64(value, 0, UINT32_MAX, &number) < 0)
			return -1;
		park->faults = (unsigned)number;
	} else if (strcmp(key, "class") == 0) {
		snprintf(park->class, sizeof park->class, "%s", value);
	} else if (strcmp(key, "reason") == 0) {
		snprintf(park->reason, sizeof park->reason, "%s", value);
	}
	return 0;
}

static int
parse(struct buf *text, struct park *ret)
{
	struct park park = { 0 };

	if (lines_parse(text, take_line, &park) < 0 || park.until == 0)
		return -1;
	*ret = park;
	return 0;
}

/* As park_read, by the encoded name. */
static int
read_entry(const struct spool *spool, int dir, const char *name, struct park *ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);

	if (fs_read_file(dir, name, &text) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_io(err, "spool %s: %s/%s", spool->path, DIRECTORY, name);
	}
	if (parse(&text, ret) < 0)
		return err_set(err, EX_DATAERR,
		    "spool %s: %s/%s is damaged: expected lines \"until: SECONDS.MICROSECONDS\", "
		    "...; you may delete it",
		    spool->path, DIRECTORY, name);
	return 1;
}

int
park_read(struct spool *spool, const char *account, struct park *ret, struct err *err)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(account, name, err) < 0 || (dir = open_parked(spool, err)) < 0)
		return -1;
	return read_entry(spool, dir, name, ret, err);
}

int
park_clear(struct spool *spool, const char *account, struct err *err)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(account, name, err) < 0 || (dir = open_parked(spool, err)) < 0)
		return -1;
	/* Not synced: an entry that comes back after a power cut costs a pause, and is cleared again. */
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_io(err, "spool %s: cannot remove %s/%s", spool->path, DIRECTORY, name);
	return 0;
}

struct visit {
	const struct spool *spool;
	int dir;
	int (*each)(const char *account, const struct park *park, void *arg);
	void *arg;
	int result;
};

static int
visit_entry(const char *name, unsigned char type, void *arg)
{
	struct visit *visit = arg;
	char account[NAME_SIZE];
	struct park park;

	(void)type;
	if (strlen(name) > LANE_PART_MAX || name_decode(name, account) < 0)
		return 0;
	if (read_entry(visit->spool, visit->dir, name, &park, NULL) != 1)
		return 0;
	visit->result = visit->each(account, &park, visit->arg);
	return visit->result != 0;
}

int
park_each(struct spool *spool, int (*each)(const char *account, const struct park *park, void *arg),
    void *arg, struct err *err)
{
	struct visit visit = { spool, open_parked(spool, err), each, arg, 0 };
	AUTO_FD int dir = visit.dir;

	if (dir < 0)
		return -1;
	if (fs_each(dir, visit_entry, &visit) < 0)
		return err_io(err, "spool %s: %s", spool->path, DIRECTORY);
	return visit.result;
}
