#include "mail/idn.h"

#include <ctype.h>
#include <dlfcn.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"

/* The name that programs linked with this library look for; it holds for all of ABI 0. */
#define LIBRARY "libidn2.so.0"

typedef int lookup_fn(const uint8_t *source, uint8_t **ret_name, int flags);
typedef const char *strerror_fn(int code);
typedef void free_fn(void *p);

struct functions {
	lookup_fn *lookup;
	strerror_fn *strerror;
	free_fn *free;
};

/* The library stays loaded, so that later calls find it at the cost of a look-up. */
static int
load(struct functions *ret_functions, struct err *err)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct functions f = { NULL, NULL, NULL };

	if (library != NULL) {
		f.lookup = (lookup_fn *)dlsym(library, "idn2_lookup_u8");
		f.strerror = (strerror_fn *)dlsym(library, "idn2_strerror");
		f.free = (free_fn *)dlsym(library, "idn2_free");
	}
	if (f.lookup == NULL || f.strerror == NULL || f.free == NULL)
		return err_set(err, EX_UNAVAILABLE,
		    "the domain is not ASCII, and " LIBRARY " is not installed");
	*ret_functions = f;
	return 0;
}

/*
 * The mapping turns fullwidth signs into ASCII ones: without this look, "user：pw＠host" would come out as
 * "user:pw@host", and "a，b" as a list of two.
 */
static bool
is_host_name(const char *name)
{
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && strchr("-_.", *name) == NULL)
			return false;
	return true;
}

int
mail_idn_ascii(const char *domain, size_t len, char *ret_ascii, size_t size, struct err *err)
{
	char *source AUTO_FREE = xstrndup(domain, len);
	struct functions f = { NULL, NULL, NULL };
	uint8_t *name = NULL;
	bool plain;
	size_t n;
	int rc;

	if (load(&f, err) < 0)
		return -1;
	rc = f.lookup((const uint8_t *)source, &name, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc != IDN2_OK)
		return err_set(err, EX_DATAERR, "no valid domain: %s", f.strerror(rc));
	n = strlen((const char *)name);
	plain = is_host_name((const char *)name);
	if (plain && n < size)
		memcpy(ret_ascii, name, n + 1);
	f.free(name);
	if (!plain)
		return err_set(err, EX_DATAERR,
		    "no valid domain: expected letters, digits, hyphens and dots");
	if (n >= size)
		return err_set(err, EX_DATAERR, "the domain is too long");
	return 0;
}
