/*
 * A part: the content of an attachment that is stored once, apart from the messages that carry it.
 * What is stored is its base64 in CRLF lines of 76 (RFC 2045 section 6.8), as it is sent.  Who stores it and
 * where is no matter of this folder (spool/part/part.h); a message that is composed leaves a place for it.
 */
#ifndef MAIL_PART_H
#define MAIL_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blake2b.h"
#include "mail/attachment.h"

#define MAIL_PART_HASH_SIZE BLAKE2B_TEXT_SIZE

/* An attachment from so many raw bytes on is worth a file of its own; smaller ones stand in the text. */
#define MAIL_PART_MIN 16384

/* A value: copied freely, owns nothing. */
struct mail_part {
	char hash[MAIL_PART_HASH_SIZE]; /* BLAKE2b-256 of the raw bytes, hexadecimal: its name */
	uint64_t raw;			/* bytes as they were given */
	uint64_t size;			/* bytes of the base64 with its line ends: what is sent */
	uint64_t checksum;		/* XXH3 (64 bits, seed 0) of those */
	char type[MAIL_TYPE_SIZE];	/* by the file name it was stored under, and its content */
	bool utf8;			/* its beginning is UTF-8 */
};

#endif
