/*
 * json_stream cuts an endless text into the messages it holds, in memory bounded by the largest
 * of them.  It takes bytes in chunks of any size and understands, without being told:
 *
 *	{...}			one message (it may span lines)
 *	[{...}, {...}]		an array of messages
 *	{"messages":[{...}]}	the same in an object, whose other members are ignored
 *	{...}\n{...}\n		JSON Lines
 *
 * Each message is handed to a function with its text, line and number.  An element that cannot be
 * one (too long, brackets or quotes that do not match, cut off) is handed over with a reason
 * instead, and reading goes on where the next begins: in JSON Lines on the next line, in an array
 * behind the comma that brackets and quotes suggest.  The stream only finds where elements begin
 * and end; the text of an element is judged by json_parse.
 */
#ifndef BASE_JSON_STREAM_H
#define BASE_JSON_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define JSON_STREAM_MAX (64u << 20) /* the usual cap of one element, in bytes */

struct json_element {
	const char *text; /* valid during the call; NULL where there is a problem */
	size_t len;
	const char *problem; /* NULL, or why this element cannot be read, in words */
	uint64_t line;	     /* where it starts in the input, from 1 */
	uint64_t index;	     /* its number in the input, from 0; bad ones count too */
};

/* Called for each element; anything but 0 ends the stream and is returned by feed or end. */
typedef int json_element_fn(const struct json_element *element, void *arg);

struct json_stream;

/* max: the longest element in bytes. */
struct json_stream *json_stream_new(size_t max, json_element_fn *each, void *arg);
void json_stream_free(struct json_stream *js); /* NULL is fine */

/* Returns 0, or what the function returned to end it; after that and after end: no more calls. */
int json_stream_feed(struct json_stream *js, const void *bytes, size_t n);
/* The input is complete: what is unfinished is handed over as a problem. */
int json_stream_end(struct json_stream *js);

#endif
