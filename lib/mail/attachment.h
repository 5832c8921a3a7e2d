/* The content type of an attachment, by its name and its first bytes. */
#ifndef MAIL_ATTACHMENT_H
#define MAIL_ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/magic.h"

#define MAIL_TYPE_SIZE 128
#define MAIL_SNIFF_SIZE 65536 /* how much of the content is looked at */

/* "application/pdf" for "a.pdf"; NULL for an extension that is not known, or none. */
const char *mail_type_by_name(const char *filename);

/*
 * The type to declare for a file: its name's, where the content does not speak against it;
 * "application/octet-stream" where the two disagree dangerously (a .txt that is a program or HTML);
 * the content's where the name says nothing.  magic may be NULL: then by name and a few signatures.
 * Never message/... or multipart/..., which may not be base64 (RFC 2046).  filename may be NULL.
 * ret_type holds MAIL_TYPE_SIZE bytes.
 */
void mail_type_of(const char *filename, const void *bytes, size_t n, struct mail_magic *magic,
    char *ret_type);

/* True for "type/subtype" of RFC 2045 tokens, without parameters, shorter than MAIL_TYPE_SIZE, and
 * neither message/... nor multipart/.... */
bool mail_type_ok(const char *type);

#endif
