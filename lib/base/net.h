/*
 * Places in the network, as settings name them:
 *
 *	files.example.com	that name, whatever it resolves to
 *	*.example.com		any name below it
 *	10.1.0.0/16, fd00::/8	a network; an address alone is a network of one
 *	[::1]:8080, a.b:443	any of these (IPv6 in brackets) at one port only
 */
#ifndef BASE_NET_H
#define BASE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct net_place {
	char name[256]; /* lower case; "": a network */
	bool below;
	unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned prefix;
	uint16_t port; /* 0: any */
};

/* -1 with err (EX_CONFIG) where text is none; bits behind a network's prefix must be 0. */
int net_place_parse(const char *text, struct net_place *ret, struct err *err);
/* Whether an address (IPv4 or IPv6) that was found under a name is there.  host may be an address too. */
bool
net_place_holds(const struct net_place *place, const struct sockaddr *address, const char *host);

/* The 16 bytes of an IPv6 address, or of ::ffff:a.b.c.d.  False for other families. */
bool net_address_bytes(const struct sockaddr *address, unsigned char ret[16]);
/* Whether the first prefix bits of both are the same. */
bool net_prefix_same(const unsigned char *a, const unsigned char *b, unsigned prefix);

#endif
