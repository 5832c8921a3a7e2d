/*
 * Whose an address is: what a program that fetches for strangers may not connect to, unless its operator
 * says so.  It is the address that counts, not the name it was found under, and it is looked at when it is
 * about to be connected to: a name that resolves to something else the second time gains nothing.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/net.h"

/*
 * NULL for an address of the public internet; else whose it is: "this host's own", "a private network's".
 * An IPv4 address within an IPv6 one counts as what it is (mapped, compatible, NAT64, 6to4, Teredo, ISATAP).
 */
const char *http_address_owner(const struct sockaddr *address);

/* True for an address of the public internet, and for one in any of these places. */
bool http_address_allowed(const struct sockaddr *address, const char *host,
    const struct net_place *places, size_t n);

#endif
