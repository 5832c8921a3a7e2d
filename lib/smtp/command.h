/* The commands of a mail transaction, written into a buffer.  The only place where an address
 * becomes bytes on the wire. */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include <stdbool.h>

#include "base/buf.h"
#include "smtp/capabilities.h"
#include "smtp/job.h"

/*
 * True if an address may stand between < and > in a command: no control character, no space or
 * angle bracket outside a quoted string, valid UTF-8, at most 320 bytes, not empty.  *ret_ascii
 * tells if it is ASCII.
 */
bool smtp_address_fits(const char *address, bool *ret_ascii);

/* MAIL FROM with the parameters that both the job asks for and the server offers: SIZE (RFC 1870),
 * BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET and ENVID (RFC 3461). */
void smtp_command_mail(struct buf *out, const struct smtp_job *job, bool utf8,
    const struct smtp_capabilities *caps);

/* RCPT TO with NOTIFY and ORCPT (RFC 3461) where the server has DSN. */
void smtp_command_rcpt(struct buf *out, const struct smtp_recipient *recipient,
    const struct smtp_capabilities *caps);

#endif
