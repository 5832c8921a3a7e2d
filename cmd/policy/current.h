/*
 * The configuration of a run that may last: mailq.conf and the accounts of the spool, read again when
 * they have changed.
 */
#ifndef CMD_POLICY_CURRENT_H
#define CMD_POLICY_CURRENT_H

#include <stdint.h>

#include "policy/settings.h"
#include "spool/store/spool.h"

struct current {
	const char *config; /* as -c gave it, or NULL */
	const struct spool *spool;
	struct settings settings;
	uint64_t stamp;	 /* of the files, as they were read */
	bool lacking;	 /* an account was asked for that is there by now, and not in settings */
	struct err told; /* why they could not be read again */
};

/* The settings were loaded by the caller (settings_load), and the spool is open: adds its accounts. */
int current_begin(struct current *current, struct err *err);
/* Whether the files are others than those that were read.  Fits deliver_options.overtaken, as the
 * following fits has_account; arg is the struct current. */
bool current_changed(void *arg);
/* Whether an account of this id stands in the files as they are now, be it damaged: a run that began
 * before it was made does not know it. */
bool current_has_account(const char *id, void *arg);
/* Reads them again, whether changed or not.  What cannot be read is told of, once, and leaves the old
 * settings in force.  Nothing may hold a pointer into these. */
void current_refresh(struct current *current);
void current_release(struct current *current); /* the settings too */

#endif
