/* Times, texts and outcomes as the programs show them. */
#ifndef CMD_VIEW_TEXT_H
#define CMD_VIEW_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "spool/policy/suspend.h"
#include "spool/store/record.h"

/* "2026-11-21 08:03:00 (3m ago)": local time, and how far it is from now. */
#define STATUS_TIME_SIZE 96
char *status_time(int64_t instant, char text[STATUS_TIME_SIZE]);
/* "3m ago", "in 5m", "now". */
char *status_age(int64_t instant, char text[STATUS_TIME_SIZE]);
/* Prints text with control characters escaped, at most 2,000 bytes of it. */
void status_put(const char *text);
/* "  label      text\n", escaped; nothing where text is NULL or empty. */
void status_field(const char *label, const char *text);
/* An instant as RFC 3339 with microseconds; nothing where it is 0. */
void status_json_instant(struct json_writer *w, const char *key, int64_t instant);
/* The member "recipients": those of the envelope. */
void status_json_recipients(struct json_writer *w, const struct record *record);
/* "what" ("all", "account" or "batch"), "account" or "batch", "since", "until", "by" and "reason" into
 * an object that has been begun. */
void status_json_suspension(struct json_writer *w, const struct suspension *one);
/* Prints the line that the writer has made, and empties its buffer.  0, or EX_SOFTWARE. */
int status_json_line(struct json_writer *w);
/* An RFC 3339 text of a journal as an instant; 0 where it is none. */
int64_t status_instant(const struct json *value);

/* Why a message failed, in words: "refused for good" of "refused" (failure_text); the word itself where
 * it is none that is known. */
const char *status_class(const char *word);
/* The words of one line of a journal for people: "sent by main, 127.0.0.1:25: 250 2.0.0 Ok". */
void status_outcome(const struct json *line, bool with_recipients);

#endif
