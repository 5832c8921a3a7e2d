#include "base/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

/* ::ffff:0:0/96 (RFC 4291 section 2.5.5.2) */
static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

bool
net_address_bytes(const struct sockaddr *address, unsigned char ret[16])
{
	if (address->sa_family == AF_INET6) {
		memcpy(ret, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
		return true;
	}
	if (address->sa_family != AF_INET)
		return false;
	memcpy(ret, mapped, sizeof mapped);
	memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	return true;
}

bool
net_prefix_same(const unsigned char *a, const unsigned char *b, unsigned prefix)
{
	unsigned rest = prefix % 8;
	unsigned char mask = (unsigned char)(0xff00 >> rest);

	return memcmp(a, b, prefix / 8) == 0 &&
	    (rest == 0 || ((a[prefix / 8] ^ b[prefix / 8]) & mask) == 0);
}

static unsigned
port_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
	return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Cuts ":port" off, and the brackets.  -1 where they are wrong. */
static int
take_port(char *text, uint16_t *ret_port)
{
	char *colon = strrchr(text, ':'), *end;
	uint64_t port;

	*ret_port = 0;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return -1;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		memmove(text, text + 1, strlen(text));
		if (colon == NULL)
			return 0;
	} else if (colon == NULL || strchr(text, ':') != colon) {
		return 0; /* none, or an IPv6 address without brackets */
	}
	if (num_u64(colon + 1, 1, 65535, &port) < 0)
		return -1;
	*colon = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}

/* 1: an address or network; 0: none; -1: a wrong one. */
static int
take_network(char *text, struct net_place *place)
{
	char *slash = strchr(text, '/');
	static const unsigned char zero[16];
	unsigned char rest[16];
	uint64_t prefix = 128;
	unsigned offset = 0;

	if (slash != NULL)
		*slash = '\0';
	if (inet_pton(AF_INET6, text, place->address) != 1) {
		if (inet_pton(AF_INET, text, place->address + 12) != 1)
			return slash != NULL ? -1 : 0;
		memcpy(place->address, mapped, sizeof mapped);
		offset = 96;
	}
	if (slash != NULL && num_u64(slash + 1, 0, 128 - offset, &prefix) < 0)
		return -1;
	place->prefix = slash != NULL ? (unsigned)prefix + offset : 128;
	/* "10.1.2.3/8" is a mistake of some kind. */
	memcpy(rest, place->address, sizeof rest);
	for (unsigned bit = 0; bit < place->prefix; bit++)
		rest[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	return memcmp(rest, zero, sizeof rest) == 0 ? 1 : -1;
}

static int
take_name(const char *text, struct net_place *place)
{
	size_t n;

	place->below = strncmp(text, "*.", 2) == 0;
	if (place->below)
		text += 2;
	n = strlen(text);
	if (n > 0 && text[n - 1] == '.')
		n--;
	if (n == 0 || n >= sizeof place->name || text[0] == '.' || text[0] == '-')
		return -1;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!(c < 0x80 && isalnum(c)) && c != '-' && c != '_' && c != '.')
			return -1;
		place->name[i] = (char)tolower(c);
	}
	place->name[n] = '\0';
	return 0;
}

int
net_place_parse(const char *text, struct net_place *ret, struct err *err)
{
	struct net_place place = { .port = 0 };
	char copy[300];
	int network;

	if (strlen(text) < sizeof copy) {
		memcpy(copy, text, strlen(text) + 1);
		if (take_port(copy, &place.port) == 0) {
			network = take_network(copy, &place);
			if (network > 0 || (network == 0 && take_name(copy, &place) == 0)) {
				*ret = place;
				return 0;
			}
		}
	}
	return err_set(err, EX_CONFIG,
	    "expected a host such as \"files.example.com\" or \"*.example.com\", or a network such "
	    "as \"10.1.0.0/16\", with or without a port, found \"%.100s\"",
	    text);
}

/* ---- looking ------------------------------------------------------------------------------- */

static bool
holds_name(const struct net_place *place, const char *host)
{
	size_t n = strlen(host), len = strlen(place->name);

	if (n > 0 && host[n - 1] == '.')
		n--;
	if (!place->below)
		return n == len && strncasecmp(host, place->name, len) == 0;
	return n > len + 1 && host[n - len - 1] == '.' &&
	    strncasecmp(host + n - len, place->name, len) == 0;
}

bool
net_place_holds(const struct net_place *place, const struct sockaddr *address, const char *host)
{
	unsigned char bytes[16];

	if (!net_address_bytes(address, bytes) ||
	    (place->port != 0 && port_of(address) != place->port))
		return false;
	if (place->name[0] != '\0')
		return holds_name(place, host);
	return net_prefix_same(bytes, place->address, place->prefix);
}
