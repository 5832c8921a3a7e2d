/* Which addresses are whose, and what an operator opens. */
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "unit.h"

static struct sockaddr_storage
address_of(const char *text, unsigned port)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
	} else {
		CHECK_ROW(text, inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
	}
	return storage;
}

static const struct {
	const char *address, *owner; /* NULL: public */
} owners[] = {
	{ "0.0.0.0", "this host's own" },
	{ "0.1.2.3", "this host's own" },
	{ "1.1.1.1", NULL },
	{ "9.255.255.255", NULL },
	{ "10.0.0.0", "a private network's" },
	{ "10.255.255.255", "a private network's" },
	{ "11.0.0.0", NULL },
	{ "100.63.255.255", NULL },
	{ "100.64.0.0", "a provider's own network's" },
	{ "100.100.100.200", "a provider's own network's" },
	{ "100.127.255.255", "a provider's own network's" },
	{ "100.128.0.0", NULL },
	{ "126.255.255.255", NULL },
	{ "127.0.0.1", "this host's own" },
	{ "127.255.255.255", "this host's own" },
	{ "128.0.0.0", NULL },
	{ "168.63.129.16", "a cloud's own" },
	{ "168.63.129.17", NULL },
	{ "169.253.255.255", NULL },
	{ "169.254.0.0", "link-local" },
	{ "169.254.169.254", "link-local" },
	{ "169.255.0.0", NULL },
	{ "172.15.255.255", NULL },
	{ "172.16.0.0", "a private network's" },
	{ "172.31.255.255", "a private network's" },
	{ "172.32.0.0", NULL },
	{ "192.0.0.0", "for protocols" },
	{ "192.0.0.255", "for protocols" },
	{ "192.0.1.0", NULL },
	{ "192.0.2.1", "for documentation" },
	{ "192.88.99.1", "for relays" },
	{ "192.167.255.255", NULL },
	{ "192.168.0.0", "a private network's" },
	{ "192.168.255.255", "a private network's" },
	{ "192.169.0.0", NULL },
	{ "198.17.255.255", NULL },
	{ "198.18.0.0", "for benchmarks" },
	{ "198.19.255.255", "for benchmarks" },
	{ "198.20.0.0", NULL },
	{ "198.51.100.7", "for documentation" },
	{ "203.0.113.255", "for documentation" },
	{ "223.255.255.255", NULL },
	{ "224.0.0.1", "multicast" },
	{ "239.255.255.255", "multicast" },
	{ "240.0.0.1", "reserved" },
	{ "255.255.255.255", "reserved" },

	{ "::", "this host's own" },
	{ "::1", "this host's own" },
	{ "::2", "this host's own" }, /* ::0.0.0.2 */
	{ "::127.0.0.1", "this host's own" },
	{ "::ffff:127.0.0.1", "this host's own" },
	{ "::ffff:169.254.169.254", "link-local" },
	{ "::ffff:8.8.8.8", NULL },
	{ "::ffff:0:10.0.0.1", "a private network's" },
	{ "64:ff9b::10.0.0.1", "a private network's" },
	{ "64:ff9b::8.8.8.8", NULL },
	{ "64:ff9b:1::8.8.8.8", "a private network's" },
	{ "64:ff9b:2::1", "reserved" },
	{ "2002:7f00:1::", "this host's own" },
	{ "2002:a9fe:a9fe::1", "link-local" },
	{ "2002:808:808::1", NULL },
	{ "2001:0:a00:1::1", "a private network's" },	       /* its server is 10.0.0.1 */
	{ "2001:0:808:808:0:0:80ff:fffe", "this host's own" }, /* its client is 127.0.0.1 */
	{ "2001:0:808:808:0:0:f7f7:f7f7", NULL },
	{ "2a00:1450:4001:81b:0:5efe:a00:1", "a private network's" },
	{ "2a00:1450:4001:81b:200:5efe:a00:1", "a private network's" },
	{ "2a00:1450:4001:81b:0:5efe:808:808", NULL },
	{ "100::1", "reserved" },
	{ "2001:2::1", "for benchmarks" },
	{ "2001:2:1::1", NULL },
	{ "2001:10::1", "for protocols" },
	{ "2001:20::1", "for protocols" },
	{ "2001:db8::1", "for documentation" },
	{ "3fff::1", "for documentation" },
	{ "3fff:1000::1", NULL },
	{ "2606:4700:4700::1111", NULL },
	{ "5f00::1", "reserved" },
	{ "fbff::1", "reserved" },
	{ "fc00::1", "a private network's" },
	{ "fd00:ec2::254", "a private network's" },
	{ "fe80::1", "link-local" },
	{ "febf::1", "link-local" },
	{ "fec0::1", "a private network's" },
	{ "ff02::1", "multicast" },
};

TEST(whose_they_are)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		struct sockaddr_storage a = address_of(owners[i].address, 80);
		const char *owner = http_address_owner((struct sockaddr *)&a);

		CHECK_ROW(owners[i].address, (owner == NULL) == (owners[i].owner == NULL));
		if (owner != NULL && owners[i].owner != NULL)
			CHECK_STR(owner, owners[i].owner);
	}
}

TEST(other_families)
{
	struct sockaddr a = { .sa_family = AF_UNIX };

	CHECK_STR(http_address_owner(&a), "not of the internet");
	CHECK(!http_address_allowed(&a, "x", NULL, 0));
}

static const struct {
	const char *place, *address, *host;
	unsigned port;
	bool allowed;
} places[] = {
	{ "10.1.0.0/16", "10.1.255.1", "x.example", 80, true },
	{ "10.1.0.0/16", "10.2.0.1", "x.example", 80, false },
	{ "10.1.0.0/16", "::ffff:10.1.2.3", "x.example", 80, true },
	{ "10.1.0.0/16", "64:ff9b::10.1.2.3", "x.example", 80, false },
	{ "127.0.0.1", "127.0.0.1", "x.example", 80, true },
	{ "127.0.0.1", "127.0.0.2", "x.example", 80, false },
	{ "127.0.0.1:8080", "127.0.0.1", "x.example", 8080, true },
	{ "127.0.0.1:8080", "127.0.0.1", "x.example", 8081, false },
	{ "127.0.0.1:8080", "::1", "x.example", 8080, false },
	{ "::1", "::1", "x.example", 80, true },
	{ "[::1]", "::1", "x.example", 80, true },
	{ "[::1]:8080", "::1", "x.example", 8080, true },
	{ "[::1]:8080", "::1", "x.example", 80, false },
	{ "fd00::/8", "fdff::1", "x.example", 80, true },
	{ "fd00::/8", "fc00::1", "x.example", 80, false },
	{ "[fd00::/8]:443", "fd00::1", "x.example", 443, true },
	{ "0.0.0.0/0", "10.0.0.1", "x.example", 80, true },
	{ "0.0.0.0/0", "fd00::1", "x.example", 80, false },
	{ "::/0", "10.0.0.1", "x.example", 80, true },
	{ "files.example.com", "10.0.0.1", "files.example.com", 80, true },
	{ "files.example.com", "10.0.0.1", "FILES.example.com.", 80, true },
	{ "Files.Example.com.", "10.0.0.1", "files.example.com", 80, true },
	{ "files.example.com", "10.0.0.1", "other.example.com", 80, false },
	{ "files.example.com", "10.0.0.1", "a.files.example.com", 80, false },
	{ "files.example.com:8443", "10.0.0.1", "files.example.com", 8443, true },
	{ "files.example.com:8443", "10.0.0.1", "files.example.com", 443, false },
	{ "*.example.org", "10.0.0.1", "a.example.org", 80, true },
	{ "*.example.org", "10.0.0.1", "a.b.example.org", 80, true },
	{ "*.example.org", "10.0.0.1", "example.org", 80, false },
	{ "*.example.org", "10.0.0.1", "badexample.org", 80, false },
	{ "*.example.org", "10.0.0.1", ".example.org", 80, false },
	{ "localhost", "127.0.0.1", "localhost", 80, true },
	{ "localhost", "127.0.0.1", "rebind.example", 80, false },
};

TEST(what_is_opened)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct sockaddr_storage a = address_of(places[i].address, places[i].port);
		struct net_place place;
		struct err err = ERR_INIT;

		CHECK_ROW(places[i].place, net_place_parse(places[i].place, &place, &err) == 0);
		CHECK_ROW(places[i].place,
		    http_address_allowed((struct sockaddr *)&a, places[i].host, &place, 1) ==
			places[i].allowed);
	}
}

TEST(what_is_no_place)
{
	static const char *const bad[] = { "", "*", "*.", ".example.com", "10.0.0.1/8",
		"10.0.0.0/33", "fd00::1/8", "fd00::/129", "10.0.0.0/", "10.0.0.0/x", "a b", "a/8",
		"http://a", "a:0", "a:65536", "a:", "[::1", "[::1]x", "[::1]:", "a.*.b", "-a",
		"a@b", "*.*.a", "::1:x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct net_place place = { .port = 1 };
		struct err err = ERR_INIT;

		CHECK_ROW(bad[i], net_place_parse(bad[i], &place, &err) == -1);
		CHECK_ROW(bad[i], err.code == EX_CONFIG);
		CHECK_ROW(bad[i], place.port == 1);
	}
}

UNIT_MAIN()
