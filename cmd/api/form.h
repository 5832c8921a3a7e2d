/* A form on its way in, for a message to each of many addresses. */
#ifndef CMD_API_FORM_H
#define CMD_API_FORM_H

#include "base/digest.h"
#include "cmd/serve/spill.h"
#include "http/form.h"

#define UPLOAD_EMAILS_MAX 10000		      /* addresses of one request */
#define UPLOAD_FILES_MAX 1000		      /* files of one request */
#define UPLOAD_TEXT_MAX ((size_t)1024 * 1024) /* bytes of one field of addresses */

struct upload_file {
	char *filename;
	uint64_t start, length; /* in files */
};

enum upload_field { UPLOAD_OTHER, UPLOAD_EMAILS, UPLOAD_SUBJECT, UPLOAD_BODY, UPLOAD_FILES };

struct upload {
	struct serve *serve;
	struct form_reader *form;
	struct serve_faults faults;

	struct mail_addresses emails;
	size_t email_count; /* fields of that name */
	struct buf subject, body;
	struct upload_file *file;
	size_t file_count;
	struct spill files; /* one behind another */

	/* What the form says, whatever its boundaries: for Idempotency-Key; NULL: there is none. */
	struct digest *digest;

	/* The part at hand. */
	enum upload_field field;
	bool is_file;
	bool skip; /* nobody asked for it, or it is at fault already */
	struct buf text;
	uint64_t part_bytes;

	size_t memory;	   /* bytes that this form holds, */
	size_t memory_max; /* and that all together may */
};

/* After the last piece: true where the form is whole, and what is left is to look at what it says. */
bool upload_end(struct http_request *r, struct upload *u);

#endif
