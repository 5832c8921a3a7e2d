/* Lists of addresses (mail/address.h): what is taken is canonical, and reads the same when it is written. */
#include "fuzz.h"

#include "mail/address.h"
#include "mail/header.h"

static void
check_one(const struct mail_address *address, int flags)
{
	AUTO_ADDRESS struct mail_address again = MAIL_ADDRESS_INIT;
	AUTO_BUF struct buf text = BUF_INIT((size_t)1 << 20);
	struct err err = ERR_INIT;

	if (*address->addr == '\0') {
		FUZZ_CHECK(flags & MAIL_ADDRESS_NULL_OK);
		return;
	}
	FUZZ_CHECK(strlen(address->addr) <= MAIL_ADDRESS_MAX);
	FUZZ_CHECK(mail_address_check(address->addr, strlen(address->addr), &err) == 0);
	FUZZ_CHECK(mail_address_text(&text, address) == 0);
	FUZZ_CHECK(mail_address_parse(text.s, text.len, NULL, 0, &again, &err) == 0);
	FUZZ_CHECK(strcmp(again.addr, address->addr) == 0);
	FUZZ_CHECK((again.name == NULL) == (address->name == NULL));
	FUZZ_CHECK(again.name == NULL || strcmp(again.name, address->name) == 0);
}

static void
check_header(const struct mail_addresses *list)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)16 << 20);
	size_t start = 0;

	FUZZ_CHECK(mail_header_addresses(&out, "To", list) == 0);
	for (size_t i = 0; i < out.len; i++) {
		if (out.s[i] != '\n')
			continue;
		FUZZ_CHECK(i > 0 && out.s[i - 1] == '\r' && i - 1 - start <= MAIL_LINE_MAX);
		start = i + 1;
	}
	FUZZ_CHECK(start == out.len);
}

FUZZ(bytes, n)
{
	int flags = fuzz_choice(&bytes, &n) & 7;
	AUTO_ADDRESSES struct mail_addresses list = MAIL_ADDRESSES_INIT;
	AUTO_ADDRESS struct mail_address one = MAIL_ADDRESS_INIT;
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	struct err err = ERR_INIT;

	if (mail_addresses_parse(&list, copy, n, flags & 4 ? "b.example" : NULL, flags, &err) ==
	    0) {
		for (size_t i = 0; i < list.count; i++)
			check_one(&list.at[i], flags);
		check_header(&list);
	}
	if (mail_address_parse(copy, n, NULL, flags, &one, &err) == 0)
		check_one(&one, flags);
	mail_address_check(copy, n, &err);
}
