/* reports/state and reports/fetch: how the last call of each kind went; reports/refused. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/report/private.h"
#include "spool/store/lines.h"
#include "spool/store/own.h"

#define STATE_MAX ((size_t)4096)

static int
take(const char *key, const char *value, void *arg)
{
	struct reports_state *state = arg;
	const struct {
		const char *key;
		unsigned int *number;
	} numbers[] = { { "failures", &state->failures }, { "suspects", &state->suspects },
		{ "skipped", &state->skipped }, { "room", &state->room } };
	uint64_t number;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (strcmp(key, numbers[i].key) != 0)
			continue;
		if (num_u64(value, 0, UINT32_MAX, &number) < 0)
			return -1;
		*numbers[i].number = (unsigned int)number;
		return 0;
	}
	if (strcmp(key, "until") == 0) {
		return instant_parse(value, &state->until);
	} else if (strcmp(key, "idle-until") == 0) {
		return instant_parse(value, &state->idle_until);
	} else if (strcmp(key, "told") == 0) {
		return instant_parse(value, &state->told);
	} else if (strcmp(key, "reason") == 0) {
		snprintf(state->reason, sizeof state->reason, "%s", value);
	}
	return 0;
}

static void
read_state(const struct spool *spool, const char *path, struct reports_state *ret)
{
	AUTO_BUF struct buf text = BUF_INIT(STATE_MAX);

	*ret = (struct reports_state){ 0 };
	if (fs_read_file(spool->root, path, &text) < 0 || lines_parse(&text, take, ret) < 0)
		*ret = (struct reports_state){ 0 };
}

/* Under another name first: nobody reads half of it. */
static int
replace(const struct spool *spool, const char *name, const char *temporary, const struct buf *text)
{
	AUTO_FD int dir = reports_open_dir(spool);
	AUTO_FD int fd = dir < 0 ?
	    -1 :
	    own_open(spool, dir, REPORTS_DIRECTORY, temporary, O_WRONLY | O_TRUNC, true);

	if (fd < 0 || fs_write(fd, text->s, text->len) < 0)
		return -1;
	if (renameat(dir, temporary, dir, name) == 0)
		return 0;
	/* A directory cannot be replaced. */
	if (errno != EISDIR || own_clear(spool, dir, REPORTS_DIRECTORY, name) < 0)
		return -1;
	return renameat(dir, temporary, dir, name);
}

static int
write_state(const struct spool *spool, const char *name, const char *temporary,
    const struct reports_state *state)
{
	AUTO_BUF struct buf text = BUF_INIT(STATE_MAX);

	buf_addf(&text, "failures: %u\n", state->failures);
	if (state->until > 0)
		lines_add_instant(&text, "until", state->until);
	if (state->idle_until > 0)
		lines_add_instant(&text, "idle-until", state->idle_until);
	if (state->told > 0)
		lines_add_instant(&text, "told", state->told);
	if (state->suspects > 0)
		buf_addf(&text, "suspects: %u\n", state->suspects);
	if (state->skipped > 0)
		buf_addf(&text, "skipped: %u\n", state->skipped);
	if (state->room > 0)
		buf_addf(&text, "room: %u\n", state->room);
	if (state->reason[0] != '\0')
		lines_add_words(&text, "reason", state->reason);
	return replace(spool, name, temporary, &text);
}

void
reports_state_read(const struct spool *spool, struct reports_state *ret)
{
	read_state(spool, REPORTS_DIRECTORY "/" REPORTS_STATE, ret);
}

int
reports_state_write(const struct spool *spool, const struct reports_state *state)
{
	return write_state(spool, REPORTS_STATE, "." REPORTS_STATE ".tmp", state);
}

void
reports_fetch_read(const struct spool *spool, struct reports_state *ret)
{
	read_state(spool, REPORTS_DIRECTORY "/" REPORTS_FETCH, ret);
}

int
reports_fetch_write(const struct spool *spool, const struct reports_state *state)
{
	return write_state(spool, REPORTS_FETCH, "." REPORTS_FETCH ".tmp", state);
}

/* A line of 16 hexadecimal digits for each. */
#define REFUSED_LINE 17

size_t
reports_refused_read(const struct spool *spool, uint64_t ret[REPORTS_REFUSED_MAX])
{
	AUTO_BUF struct buf text = BUF_INIT((size_t)REPORTS_REFUSED_MAX * REFUSED_LINE);
	size_t n = 0;

	if (fs_read_file(spool->root, REPORTS_DIRECTORY "/" REPORTS_REFUSED, &text) < 0)
		return 0;
	for (const char *line = text.s; *line != '\0'; line += REFUSED_LINE) {
		char *end;

		errno = 0;
		ret[n] = strtoull(line, &end, 16);
		if (errno != 0 || end != line + REFUSED_LINE - 1 || *end != '\n')
			return 0;
		n++;
	}
	return n;
}

int
reports_refused_write(const struct spool *spool, const uint64_t *hashes, size_t count)
{
	AUTO_BUF struct buf text = BUF_INIT((size_t)REPORTS_REFUSED_MAX * REFUSED_LINE);

	if (count == 0)
		return unlinkat(spool->root, REPORTS_DIRECTORY "/" REPORTS_REFUSED, 0) < 0 &&
			errno != ENOENT ?
		    -1 :
		    0;
	for (size_t i = 0; i < count; i++)
		if (buf_addf(&text, "%016" PRIx64 "\n", hashes[i]) < 0)
			return -1;
	return replace(spool, REPORTS_REFUSED, "." REPORTS_REFUSED ".tmp", &text);
}
