/* The inside of struct mail_raw, shared by raw.c (the flow) and raw_header.c (the fields). */
#ifndef MAIL_RAW_PRIVATE_H
#define MAIL_RAW_PRIVATE_H

#include "base/buf.h"
#include "mail/raw.h"

enum raw_phase { RAW_HEADER, RAW_HELD, RAW_BODY, RAW_ENDED };

struct mail_raw {
	struct mail_raw_options options; /* its strings are the ones below */
	char *from_addr, *from_name, *host, *default_domain;
	struct mail_raw_info info; /* likewise */
	char *subject, *from, *message_id;

	enum raw_phase phase;
	struct buf input;  /* not looked at yet; from RAW_HELD on what is held of the body */
	size_t scanned;	   /* of input, without a line end */
	bool seen_line;	   /* the first line has been taken */
	struct buf header; /* the fields in their order, CRLF line ends */
	struct buf added;  /* the fields that were missing */

	const struct mail_sink *sink;
	struct buf output; /* gathered for the sink */
	size_t returns;	   /* CRs that are lone unless an LF follows */
	size_t line_len;   /* of the body's present line */
	bool dot_held;	   /* the line so far is a dot that may be the end */
};

/* Reads the whole header: fills info and added. */
int raw_header_finish(struct mail_raw *raw, struct err *err);
/* True for a field that is not passed on. */
struct mail_field;
bool raw_field_is_hidden(const struct mail_field *field);
/* True for a field that is passed on and holds addresses. */
bool raw_field_has_addresses(const struct mail_field *field);
/* Writes domains that are not ASCII as A-labels (RFC 5890), in addresses whose local part is ASCII: so they
 * need no SMTPUTF8.  A header with a signature stays as it is, and so does a domain that is not valid. */
void raw_header_ascii_domains(struct mail_raw *raw);

#endif
