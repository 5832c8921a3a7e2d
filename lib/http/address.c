#include "http/address.h"

#include <string.h>

/* IANA's registries of special-purpose addresses (RFC 6890), as of 2026. */

struct range {
	unsigned char address[16];
	unsigned prefix;
	const char *owner;
};

static const struct range v4[] = {
	{ { 0 }, 8, "this host's own" }, { { 10 }, 8, "a private network's" },
	{ { 100, 64 }, 10, "a provider's own network's" }, /* RFC 6598 */
	{ { 127 }, 8, "this host's own" },
	{ { 169, 254 }, 16, "link-local" }, /* with the metadata of cloud machines */
	{ { 172, 16 }, 12, "a private network's" }, { { 192, 0, 0 }, 24, "for protocols" },
	{ { 192, 0, 2 }, 24, "for documentation" },
	{ { 192, 88, 99 }, 24, "for relays" }, /* RFC 7526 */
	{ { 192, 168 }, 16, "a private network's" }, { { 198, 18 }, 15, "for benchmarks" },
	{ { 198, 51, 100 }, 24, "for documentation" }, { { 203, 0, 113 }, 24, "for documentation" },
	{ { 168, 63, 129, 16 }, 32, "a cloud's own" }, /* Azure's host, from within a machine */
	{ { 224 }, 4, "multicast" }, { { 240 }, 4, "reserved" }, /* with broadcast */
};

static const struct range v6[] = {
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, "a private network's" }, /* RFC 8215 */
	{ { 0x20, 0x01, 0x00, 0x02 }, 48, "for benchmarks" },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, "for documentation" },
	{ { 0x20, 0x01, 0x00, 0x10 }, 28, "for protocols" },
	{ { 0x20, 0x01, 0x00, 0x20 }, 28, "for protocols" },
	{ { 0x3f, 0xff }, 20, "for documentation" },
	{ { 0xfc }, 7, "a private network's" },
	{ { 0xfe, 0x80 }, 10, "link-local" },
	{ { 0xfe, 0xc0 }, 10, "a private network's" },
	{ { 0xff }, 8, "multicast" },
};

static const unsigned char zero[16];

static const char *
find(const struct range *ranges, size_t n, const unsigned char *address)
{
	for (size_t i = 0; i < n; i++)
		if (net_prefix_same(address, ranges[i].address, ranges[i].prefix))
			return ranges[i].owner;
	return NULL;
}

static const char *
owner_of_v4(const unsigned char address[4])
{
	return find(v4, sizeof(v4) / sizeof(v4[0]), address);
}

/* IPv6 addresses that lead to an IPv4 one.  False: none of these. */
static bool
embedded(const unsigned char a[16], const char **ret_owner)
{
	static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const unsigned char teredo[4] = { 0x20, 0x01 };
	unsigned char client[4];

	/* ::ffff:a.b.c.d, ::a.b.c.d, ::ffff:0:a.b.c.d (RFC 2765), 64:ff9b::a.b.c.d (RFC 6052) */
	if ((memcmp(a, zero, 10) == 0 && a[10] == 0xff && a[11] == 0xff) ||
	    memcmp(a, zero, 12) == 0 ||
	    (memcmp(a, zero, 8) == 0 && a[8] == 0xff && a[9] == 0xff && a[10] == 0 && a[11] == 0) ||
	    memcmp(a, nat64, sizeof(nat64)) == 0) {
		*ret_owner = owner_of_v4(a + 12);
		return true;
	}
	/* 2002:AABB:CCDD:: (RFC 3056) */
	if (a[0] == 0x20 && a[1] == 0x02) {
		*ret_owner = owner_of_v4(a + 2);
		return true;
	}
	/* 2001:0:SERVER:...:CLIENT inverted (RFC 4380) */
	if (memcmp(a, teredo, sizeof(teredo)) == 0) {
		for (int i = 0; i < 4; i++)
			client[i] = (unsigned char)~a[12 + i];
		*ret_owner = owner_of_v4(a + 4);
		if (*ret_owner == NULL)
			*ret_owner = owner_of_v4(client);
		return true;
	}
	/* An interface identifier of ISATAP: [02]00:5efe:a.b.c.d (RFC 5214) */
	if ((a[8] & 0xfc) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe) {
		*ret_owner = owner_of_v4(a + 12);
		return *ret_owner != NULL;
	}
	return false;
}

const char *
http_address_owner(const struct sockaddr *address)
{
	unsigned char a[16];
	const char *owner;

	if (!net_address_bytes(address, a))
		return "not of the internet";
	if (memcmp(a, zero, 15) == 0 && a[15] <= 1)
		return "this host's own";
	if (embedded(a, &owner))
		return owner;
	owner = find(v6, sizeof(v6) / sizeof(v6[0]), a);
	if (owner != NULL)
		return owner;
	/* All that is handed out is in 2000::/3. */
	return (a[0] & 0xe0) == 0x20 ? NULL : "reserved";
}

bool
http_address_allowed(const struct sockaddr *address, const char *host,
    const struct net_place *places, size_t n)
{
	if (http_address_owner(address) == NULL)
		return true;
	for (size_t i = 0; i < n; i++)
		if (net_place_holds(&places[i], address, host))
			return true;
	return false;
}
