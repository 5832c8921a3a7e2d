#include "smtp/capabilities.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

/* The next word of a line: its start, and its length in *ret_len (0 at the end). */
static const char *
next_word(const char **at, const char *end, size_t *ret_len)
{
	const char *start;

	while (*at < end && (**at == ' ' || **at == '\t'))
		++*at;
	start = *at;
	while (*at < end && **at != ' ' && **at != '\t' && **at != '\r' && **at != '\n')
		++*at;
	*ret_len = (size_t)(*at - start);
	return start;
}

static bool
word_is(const char *word, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(word, name, len) == 0;
}

static unsigned
mechanism(const char *word, size_t len)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {
		{ "PLAIN", SMTP_MECH_PLAIN },
		{ "LOGIN", SMTP_MECH_LOGIN },
		{ "XOAUTH2", SMTP_MECH_XOAUTH2 },
		{ "OAUTHBEARER", SMTP_MECH_OAUTHBEARER },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (word_is(word, len, known[i].name))
			return known[i].bit;
	return SMTP_MECH_OTHER;
}

void
smtp_capabilities_add(struct smtp_capabilities *caps, const char *line, size_t len)
{
	const char *at = line, *end = line + len, *word;
	uint64_t limit;
	size_t n;

	word = next_word(&at, end, &n);
	if (word_is(word, n, "PIPELINING")) {
		caps->pipelining = true;
	} else if (word_is(word, n, "8BITMIME")) {
		caps->eight_bit = true;
	} else if (word_is(word, n, "SMTPUTF8")) {
		caps->smtputf8 = true;
	} else if (word_is(word, n, "DSN")) {
		caps->dsn = true;
	} else if (word_is(word, n, "STARTTLS")) {
		caps->starttls = true;
	} else if (word_is(word, n, "BURL")) {
		caps->burl = true;
	} else if (word_is(word, n, "SIZE")) {
		caps->size = true;
		word = next_word(&at, end, &n);
		if (n > 0 && num_u64_view(word, n, UINT64_MAX, &limit) == 0)
			caps->size_limit = limit;
	} else if (word_is(word, n, "AUTH") ||
	    (n > 4 && word[4] == '=' && word_is(word, 4, "AUTH"))) {
		at = word + (n > 4 ? 5 : 4);
		while ((word = next_word(&at, end, &n)), n > 0)
			caps->auth |= mechanism(word, n);
	}
}
