#include "cmd/policy/current.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cmd/policy/accounts.h"
#include "spool/policy/accounts.h"

static uint64_t
stamp_of(const struct current *current)
{
	uint64_t stamp = accounts_stamp(current->spool);
	struct stat st;

	if (current->settings.file == NULL || stat(current->settings.file, &st) < 0)
		return stamp;
	return stamp ^ ((uint64_t)st.st_ino << 40) ^ ((uint64_t)st.st_size << 20) ^
	    ((uint64_t)st.st_mtim.tv_sec * 1000003 + (uint64_t)st.st_mtim.tv_nsec);
}

int
current_begin(struct current *current, struct err *err)
{
	/* Before they are read: what changes meanwhile differs from it. */
	current->stamp = stamp_of(current);
	return accounts_load(&current->settings, current->spool, err);
}

bool
current_changed(void *arg)
{
	const struct current *current = arg;

	return current->lacking || stamp_of(current) != current->stamp;
}

static int
load(const struct current *current, struct settings *ret, struct err *err)
{
	if (settings_load(ret, current->config, err) < 0)
		return -1;
	if (accounts_load(ret, current->spool, err) == 0)
		return 0;
	settings_release(ret);
	return -1;
}

void
current_refresh(struct current *current)
{
	uint64_t stamp = stamp_of(current);
	struct err err = ERR_INIT;
	struct settings fresh;

	current->stamp = stamp;
	current->lacking = false;
	if (load(current, &fresh, &err) < 0) {
		if (strcmp(err.msg, current->told.msg) != 0)
			log_error("%s; still using the previous configuration", err.msg);
		current->told = err;
		return;
	}
	current->told = (struct err)ERR_INIT;
	settings_release(&current->settings);
	current->settings = fresh;
}

bool
current_has_account(const char *id, void *arg)
{
	struct current *current = arg;
	struct settings fresh;
	bool found;

	/* Where they cannot be read now, nothing is known for certain. */
	if (load(current, &fresh, NULL) < 0)
		return true;
	found = settings_account(&fresh, id) != NULL || settings_broken(&fresh, id);
	current->lacking = current->lacking || settings_account(&fresh, id) != NULL;
	settings_release(&fresh);
	return found;
}

void
current_release(struct current *current)
{
	settings_release(&current->settings);
}
