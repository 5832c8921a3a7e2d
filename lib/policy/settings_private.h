/* Where things are on this machine; settings_place.c for settings.c. */
#ifndef POLICY_SETTINGS_PRIVATE_H
#define POLICY_SETTINGS_PRIVATE_H

#include <stdbool.h>

#include "base/err.h"

/* The configuration file to read (see settings_load), to be freed; NULL where there is none. */
char *settings_file(const char *option);

/* The host's full name, to be freed, never NULL.  Asks no name server: a program that queues a
 * message must not wait for one. */
char *settings_hostname(void);

/* True for letters, digits, hyphens and dots, neither of the two first: what can stand in EHLO and
 * in a Message-ID. */
bool settings_is_host_name(const char *name);

struct settings;
struct err;
/* For the table: a URL to call, without credentials in it; secrets to sign with. */
int settings_url_check(void *value, const char *place, struct err *err);
int settings_secrets_check(void *value, const char *place, struct err *err);
/* What holds between the settings of fetch and sync. */
int settings_exchange_check(const struct settings *s, struct err *err);

/* Frees what is a share's own. */
void settings_unshare(struct settings *s);

/* For the table: attachments.s3.endpoint. */
int settings_endpoint_check(void *value, const char *place, struct err *err);

#endif
