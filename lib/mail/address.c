#include "mail/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/address_spec.h"
#include "mail/header.h"

const char *
mail_address_domain(const char *addr)
{
	const char *at = strrchr(addr, '@');

	return at != NULL ? at + 1 : "";
}

bool
mail_address_same(const char *a, const char *b)
{
	size_t local = strlen(a) - strlen(mail_address_domain(a));

	if (local != strlen(b) - strlen(mail_address_domain(b)))
		return false;
	return memcmp(a, b, local) == 0 && strcasecmp(a + local, b + local) == 0;
}

/* Takes the quotes and backslashes off a local part; -1 where they do not match. */
static int
unquote(struct buf *out, const char *text, size_t len)
{
	if (len < 2 || text[0] != '"')
		return buf_add(out, text, len);
	if (text[len - 1] != '"')
		return -1;
	for (size_t i = 1; i < len - 1; i++) {
		if (text[i] == '\\' && i + 1 < len - 1)
			i++;
		if (buf_addc(out, text[i]) < 0)
			return -1;
	}
	return 0;
}

int
mail_address_check(const char *text, size_t len, struct err *err)
{
	struct buf local AUTO_BUF = BUF_INIT(MAIL_ADDRESS_MAX);
	struct mail_address made AUTO_ADDRESS = MAIL_ADDRESS_INIT;
	const char *at = memrchr(text, '@', len);

	if (at == NULL)
		return err_set(err, EX_DATAERR, "no '@'");
	if (unquote(&local, text, (size_t)(at - text)) < 0)
		return err_set(err, EX_DATAERR, "the part before the '@' is not a local part");
	if (mail_spec_make(buf_view(&local), (struct view){ at + 1, len - (size_t)(at + 1 - text) },
		&made, err) < 0)
		return -1;
	if (!view_is((struct view){ text, len }, made.addr))
		return err_set(err, EX_DATAERR, "expected \"%s\"", made.addr);
	return 0;
}

void
mail_address_copy(struct mail_address *ret_copy, const struct mail_address *address)
{
	ret_copy->name = address->name != NULL ? xstrdup(address->name) : NULL;
	ret_copy->addr = address->addr != NULL ? xstrdup(address->addr) : NULL;
	ret_copy->utf8 = address->utf8;
}

void
mail_addresses_add(struct mail_addresses *list, const struct mail_address *address)
{
	if (list->count == list->cap) {
		list->cap = list->cap > 0 ? list->cap * 2 : 4;
		list->at = xreallocarray(list->at, list->cap, sizeof *list->at);
	}
	mail_address_copy(&list->at[list->count++], address);
}

/* FNV-1a over the address with its domain's case folded; seeded, as strangers choose the list. */
static size_t
hash_address(const char *addr, size_t seed)
{
	const char *domain = mail_address_domain(addr);
	size_t hash = (size_t)14695981039346656037u ^ seed;

	for (const char *p = addr; *p != '\0'; p++) {
		char c = p >= domain && *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;

		hash = (hash ^ (unsigned char)c) * (size_t)1099511628211u;
	}
	return hash;
}

/* Open addressing over indices + 1 of list; returns the slot of addr, or the free one for it. */
static size_t
find_slot(const struct mail_addresses *list, const size_t *slots, size_t mask, const char *addr)
{
	size_t i = hash_address(addr, (uintptr_t)slots) & mask;

	while (slots[i] != 0 && !mail_address_same(list->at[slots[i] - 1].addr, addr))
		i = (i + 1) & mask;
	return i;
}

void
mail_addresses_add_new(struct mail_addresses *list, const struct mail_addresses *more)
{
	size_t *slots AUTO_FREE = NULL;
	size_t size = 16;

	while (size < (list->count + more->count) * 2)
		size *= 2;
	slots = xcalloc(size, sizeof *slots);
	for (size_t i = 0; i < list->count; i++)
		slots[find_slot(list, slots, size - 1, list->at[i].addr)] = i + 1;
	for (size_t i = 0; i < more->count; i++) {
		size_t slot = find_slot(list, slots, size - 1, more->at[i].addr);

		if (slots[slot] == 0) {
			mail_addresses_add(list, &more->at[i]);
			slots[slot] = list->count;
		}
	}
}

int
mail_address_text(struct buf *out, const struct mail_address *address)
{
	bool plain;

	if (address->name == NULL)
		return buf_adds(out, address->addr);
	/* What looks like an encoded word is read as one outside of quotes; blanks in a row as one blank. */
	plain = strstr(address->name, "=?") == NULL;
	for (const char *p = address->name; *p != '\0'; p++)
		plain = plain &&
		    (mail_is_atext(*p) ||
			(*p == ' ' && p > address->name && p[1] != '\0' && p[1] != ' '));
	if (plain)
		return buf_addf(out, "%s <%s>", address->name, address->addr);
	if (buf_addc(out, '"') < 0)
		return -1;
	for (const char *p = address->name; *p != '\0'; p++) {
		if ((*p == '"' || *p == '\\') && buf_addc(out, '\\') < 0)
			return -1;
		if (buf_addc(out, *p) < 0)
			return -1;
	}
	return buf_addf(out, "\" <%s>", address->addr);
}

void
mail_address_release(struct mail_address *address)
{
	free(address->name);
	free(address->addr);
	*address = (struct mail_address)MAIL_ADDRESS_INIT;
}

void
mail_addresses_release(struct mail_addresses *list)
{
	for (size_t i = 0; i < list->count; i++)
		mail_address_release(&list->at[i]);
	free(list->at);
	*list = (struct mail_addresses)MAIL_ADDRESSES_INIT;
}
