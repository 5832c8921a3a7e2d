#include "cmd/serve/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Of a name, and of an IPv6 address in brackets. */
#define NAME_BYTES 256

/* What stands before the port, without brackets and without a dot at its end; -1 where that is too long, or
 * lacks a bracket. */
static int
cut_name(const char *field, char ret[NAME_BYTES])
{
	bool bracket = *field == '[';
	size_t n = bracket ? strcspn(field, "]") : strcspn(field, ":");

	if (bracket && field[n] == '\0')
		return -1;
	if (bracket) {
		field++;
		n--;
	}
	while (!bracket && n > 0 && field[n - 1] == '.')
		n--;
	if (n >= NAME_BYTES)
		return -1;
	memcpy(ret, field, n);
	ret[n] = '\0';
	return 0;
}

static bool
is_address(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* "example.com" of "a.example.com": true for what ends so, with a dot before it. */
static bool
is_below(const char *name, const char *parent)
{
	size_t n = strlen(name), m = strlen(parent);

	return n > m + 1 && name[n - m - 1] == '.' && strcasecmp(name + n - m, parent) == 0;
}

/* The machine's own, as it calls itself: with its domain, or that left out on either side. */
static bool
is_machine(const char *name, const char *own)
{
	size_t n = strcspn(own, ".");

	return *own != '\0' &&
	    (strcasecmp(name, own) == 0 || (strlen(name) == n && strncasecmp(name, own, n) == 0));
}

static bool
is_configured(const char *name, const struct strings *hosts)
{
	for (size_t i = 0; i < hosts->n; i++) {
		const char *host = hosts->v[i];

		if (strcmp(host, "*") == 0 || strcasecmp(host, name) == 0 ||
		    (strncmp(host, "*.", 2) == 0 && is_below(name, host + 2)))
			return true;
	}
	return false;
}

/* An address to listen on, which may be a name: "mail.example.com:8000". */
static bool
is_listened_on(const char *name, const char *where)
{
	char own[NAME_BYTES];

	return *where != '/' && strncmp(where, "unix:", 5) != 0 && cut_name(where, own) == 0 &&
	    strcasecmp(own, name) == 0;
}

bool
serve_host_is_ours(const struct settings *settings, const struct opt_list *listen,
    const char *field)
{
	char name[NAME_BYTES], own[NAME_BYTES] = "";

	if (field == NULL)
		return true;
	if (cut_name(field, name) < 0 || *name == '\0')
		return false;
	if (is_address(name) || strcasecmp(name, "localhost") == 0 || is_below(name, "localhost"))
		return true;
	if (is_configured(name, &settings->server.hosts))
		return true;
	if (gethostname(own, sizeof own - 1) == 0 && is_machine(name, own))
		return true;
	if (settings->delivery.hostname != NULL && is_machine(name, settings->delivery.hostname))
		return true;
	for (size_t i = 0; i < listen->n; i++)
		if (is_listened_on(name, listen->v[i]))
			return true;
	for (size_t i = 0; i < settings->server.listen.n; i++)
		if (is_listened_on(name, settings->server.listen.v[i]))
			return true;
	return false;
}
