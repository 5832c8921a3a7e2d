#include "mail/magic.h"

#include <dlfcn.h>
#include <magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* The name that programs linked with this library look for; it holds for all of ABI 1. */
#define LIBRARY "libmagic.so.1"

struct mail_magic {
	bool tried;
	void *library;
	magic_t cookie; /* NULL: nothing is recognised */
	const char *(*buffer)(magic_t, const void *, size_t);
	void (*close)(magic_t);
};

struct mail_magic *
mail_magic_new(void)
{
	return xcalloc(1, sizeof(struct mail_magic));
}

/* Opens library and database, once. */
static void
load(struct mail_magic *m)
{
	magic_t (*open)(int) = NULL;
	int (*load_database)(magic_t, const char *) = NULL;

	m->tried = true;
	m->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (m->library == NULL)
		return;
	open = (magic_t(*)(int))dlsym(m->library, "magic_open");
	load_database = (int (*)(magic_t, const char *))dlsym(m->library, "magic_load");
	m->buffer =
	    (const char *(*)(magic_t, const void *, size_t))dlsym(m->library, "magic_buffer");
	m->close = (void (*)(magic_t))dlsym(m->library, "magic_close");
	if (open == NULL || load_database == NULL || m->buffer == NULL || m->close == NULL)
		return;
	m->cookie = open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ENCODING);
	if (m->cookie != NULL && load_database(m->cookie, NULL) < 0) {
		m->close(m->cookie);
		m->cookie = NULL;
	}
}

int
mail_magic_type(struct mail_magic *magic, const void *bytes, size_t n, char *ret_type, size_t size)
{
	const char *type;

	if (!magic->tried)
		load(magic);
	if (magic->cookie == NULL || n == 0)
		return -1;
	type = magic->buffer(magic->cookie, bytes, n);
	if (type == NULL || strchr(type, '/') == NULL || strlen(type) >= size)
		return -1;
	memcpy(ret_type, type, strlen(type) + 1);
	return 0;
}

void
mail_magic_free(struct mail_magic *magic)
{
	if (magic == NULL)
		return;
	if (magic->cookie != NULL)
		magic->close(magic->cookie);
	if (magic->library != NULL)
		dlclose(magic->library);
	free(magic);
}
