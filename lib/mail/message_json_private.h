/* What the files that read a message's JSON share. */
#ifndef MAIL_MESSAGE_JSON_PRIVATE_H
#define MAIL_MESSAGE_JSON_PRIVATE_H

#include <sys/types.h>

#include "base/json.h"
#include "mail/message_json.h"

struct reader {
	const struct json *object;
	const struct mail_json_options *options;
	struct mail_message *m;
	struct mail_delivery *delivery;
	struct mail_faults *faults;
};

/* Where in the message: a field, an element or member of it, a member of that. */
struct place {
	const char *field;
	const char *member; /* of an object; NULL: an element, where index is one */
	ssize_t index;	    /* -1: none */
	const char *inner;
};

#define FIELD(name) ((struct place){ name, NULL, -1, NULL })
#define ELEMENT(name, i) ((struct place){ name, NULL, (ssize_t)(i), NULL })

void mail_json_fault(struct reader *r, struct place place, const char *type, const char *msg);
/* The setters' messages begin with the field's name, which the place says here. */
void mail_json_err(struct reader *r, struct place place, const struct err *err);

/* message_json_attach.c: attachments. */
void mail_json_attachments(struct reader *r);

#endif
