/* What a server offers: the lines of its answer to EHLO (RFC 5321 section 4.1.1.1). */
#ifndef SMTP_CAPABILITIES_H
#define SMTP_CAPABILITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SMTP_MECH_PLAIN = 1,
	SMTP_MECH_LOGIN = 2,
	SMTP_MECH_XOAUTH2 = 4,
	SMTP_MECH_OAUTHBEARER = 8,
	SMTP_MECH_OTHER = 16,
};

struct smtp_capabilities {
	bool pipelining;     /* RFC 2920 */
	bool eight_bit;	     /* 8BITMIME, RFC 6152 */
	bool smtputf8;	     /* RFC 6531 */
	bool dsn;	     /* RFC 3461 */
	bool starttls;	     /* RFC 3207 */
	bool burl;	     /* RFC 4468 */
	bool size;	     /* RFC 1870 */
	uint64_t size_limit; /* 0: none, or none told */
	unsigned auth;	     /* SMTP_MECH_*, RFC 4954 */
};

/* Adds what a line says: the text behind "250-" or "250 ", with or without its line end. */
void smtp_capabilities_add(struct smtp_capabilities *caps, const char *line, size_t len);

#endif
