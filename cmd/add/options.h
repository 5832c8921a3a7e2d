/* What mailq-add was told on its command line, under its own name or called as sendmail. */
#ifndef CMD_ADD_OPTIONS_H
#define CMD_ADD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "mail/message_json.h"

enum add_form {
	ADD_RAW,     /* a message as it is, on standard input */
	ADD_FLAGS,   /* a message made from --subject and its like */
	ADD_JSON,    /* messages as JSON */
	ADD_BOUNCE,  /* a report of delivery, on standard input */
	ADD_QUEUE,   /* sendmail -bp: show the queue */
	ADD_RUN,     /* sendmail -q: deliver now */
	ADD_NOTHING, /* sendmail -bi: there is no table of aliases to make */
};

struct add_options {
	struct opt_common common;
	bool as_sendmail;

	/* How sendmail's callers say it.  sender also goes with a message made from flags. */
	const char *sender;    /* -f, -r: the envelope sender */
	const char *full_name; /* -F */
	bool ignore_dots;      /* -i, -oi */
	bool from_header;      /* -t */
	int mode;	       /* enum add_form by -b, -q and -I, else ADD_RAW */
	char *notify;	       /* -N, in upper case; NULL: not given (RFC 3461 section 4.1) */
	const char *envid;     /* -V: of at most 100 printable characters (section 4.4), or NULL */
	const char *ret;       /* -R: "FULL", "HDRS" or NULL (section 4.3) */

	/* A message from flags. */
	const char *from;
	struct opt_list to, cc, bcc, attach, headers;
	const char *subject;
	const char *body, *body_file;
	bool html;

	/* JSON. */
	bool json;
	const char *json_file; /* --json=FILE; NULL where not given so */

	/* A report of delivery. */
	bool bounce;
	bool bounce_drop; /* --bounce=drop: what is none of ours is no failure */

	/* How any of them goes out. */
	const char *id, *account, *batch;
	int priority;	      /* 0..3; -1: not given */
	int64_t due;	      /* an instant; 0: at once */
	int64_t expires;      /* an instant; 0: as the account says */
	int64_t max_attempts; /* 0: as the account says */

	bool ignored; /* what a flag that changes nothing is kept in */
	const char *ignored_text;
};

#define ADD_OPTIONS_INIT                                                                           \
	{                                                                                          \
		.mode = ADD_RAW, .priority = -1                                                    \
	}

extern const struct opt_program add_program;
extern const struct opt_program add_sendmail_program;

/* Decides the form and checks that what was given goes together: 0 and *ret_form, or EX_USAGE
 * after a line on stderr. */
int add_options_check(const struct add_options *options, const struct opt_rest *rest,
    enum add_form *ret_form);
/* What the options say about how a message goes out; checked (EX_DATAERR).  Borrows their strings. */
int add_options_delivery(const struct add_options *options, struct mail_delivery *ret_delivery,
    struct err *err);
/* The layers below say where a fault stands as JSON has it ("headers.X: ..."); this makes it the
 * option that was given ("--header X: ..."). */
void add_options_name_fault(const struct add_options *options, struct err *err);
void add_options_release(struct add_options *options);

#endif
