/* Parameters of a field: RFC 2045 section 5.1, with RFC 2231 (charsets, continuations). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "http/form_private.h"

#define ATTRIBUTE_MAX 80
#define SECTIONS_MAX 50 /* of a continued value */

struct param {
	char attribute[ATTRIBUTE_MAX];
	char value[FORM_HEADERS_MAX];
};

/*
 * A quoted string at *at, behind its first quote.  A backslash is taken for itself unless a quote or
 * another follows: browsers of old sent "C:\dir\name" as it is.
 */
static int
quoted(const char **at, char *ret, size_t size)
{
	const char *c = *at;
	size_t n = 0;

	for (; *c != '"'; c++) {
		if (*c == '\\' && (c[1] == '"' || c[1] == '\\'))
			c++;
		if (*c == '\0' || n + 1 >= size)
			return -1;
		ret[n++] = *c;
	}
	ret[n] = '\0';
	*at = c + 1;
	return 0;
}

/* The next "; attribute=value" at *at: 1, 0 at the end, -1 malformed. */
static int
next(const char **at, struct param *p)
{
	const char *c = *at;
	size_t n;

	c += strspn(c, " \t;");
	if (*c == '\0')
		return 0;
	n = strcspn(c, "=; \t\"");
	if (n == 0 || n >= sizeof p->attribute)
		return -1;
	memcpy(p->attribute, c, n);
	p->attribute[n] = '\0';
	c += n;
	c += strspn(c, " \t");
	if (*c++ != '=')
		return -1;
	c += strspn(c, " \t");
	if (*c == '"') {
		c++;
		if (quoted(&c, p->value, sizeof p->value) < 0)
			return -1;
	} else {
		n = strcspn(c, ";");
		if (n >= sizeof p->value)
			return -1;
		memcpy(p->value, c, n);
		p->value[n] = '\0';
		c += n;
		while (n > 0 && (p->value[n - 1] == ' ' || p->value[n - 1] == '\t'))
			p->value[--n] = '\0';
	}
	c += strspn(c, " \t");
	if (*c != ';' && *c != '\0')
		return -1;
	*at = c;
	return 1;
}

/* Finds attribute; 1, 0 absent, -1 malformed or there twice. */
static int
find(const char *field, const char *attribute, struct param *p)
{
	struct param other;
	int rc, found = 0;

	field += strcspn(field, ";");
	while ((rc = next(&field, &other)) == 1)
		if (strcasecmp(other.attribute, attribute) == 0) {
			if (found++ > 0)
				return -1;
			*p = other;
		}
	return rc < 0 ? -1 : found;
}

/* Appends s with its %XX decoded to ret at *n. */
static int
percent(const char *s, char *ret, size_t size, size_t *n)
{
	for (; *s != '\0'; s++) {
		char c = *s;

		if (c == '%') {
			if (num_hex(s[1]) < 0 || num_hex(s[2]) < 0)
				return -1;
			c = (char)(num_hex(s[1]) * 16 + num_hex(s[2]));
			s += 2;
		}
		if (c == '\0' || *n + 1 >= size)
			return -1;
		ret[(*n)++] = c;
	}
	return 0;
}

/* Past charset'language' where the charset is one that form_text understands. */
static const char *
past_charset(const char *value)
{
	const char *language = strchr(value, '\'');
	const char *text = language != NULL ? strchr(language + 1, '\'') : NULL;
	size_t n = language != NULL ? (size_t)(language - value) : 0;

	if (text == NULL)
		return NULL;
	if ((n == 5 && strncasecmp(value, "utf-8", 5) == 0) ||
	    (n == 10 && strncasecmp(value, "iso-8859-1", 10) == 0) ||
	    (n == 8 && strncasecmp(value, "us-ascii", 8) == 0))
		return text + 1;
	return NULL;
}

/* name*=charset'language'%XX... */
static int
extended(const char *field, const char *name, struct param *p, char *out, size_t *n)
{
	char attribute[ATTRIBUTE_MAX];
	const char *text;
	int rc;

	snprintf(attribute, sizeof attribute, "%s*", name);
	rc = find(field, attribute, p);
	if (rc != 1)
		return rc;
	text = past_charset(p->value);
	return text != NULL && percent(text, out, FORM_HEADERS_MAX, n) == 0 ? 1 : -1;
}

/* name*0=, name*1*=... */
static int
continued(const char *field, const char *name, struct param *p, char *out, size_t *n)
{
	char attribute[ATTRIBUTE_MAX];
	int rc, i;

	for (i = 0; i < SECTIONS_MAX; i++) {
		const char *text;

		snprintf(attribute, sizeof attribute, "%s*%d", name, i);
		rc = find(field, attribute, p);
		if (rc == 1) {
			size_t len = strlen(p->value);

			if (*n + len >= FORM_HEADERS_MAX)
				return -1;
			memcpy(out + *n, p->value, len);
			*n += len;
			continue;
		}
		snprintf(attribute, sizeof attribute, "%s*%d*", name, i);
		if (rc == 0)
			rc = find(field, attribute, p);
		if (rc == 0)
			break;
		text = i == 0 ? past_charset(p->value) : p->value;
		if (rc < 0 || text == NULL || percent(text, out, FORM_HEADERS_MAX, n) < 0)
			return -1;
	}
	return i > 0;
}

int
form_parameter(const char *field, const char *name, char *ret, size_t size)
{
	struct param p;
	char out[FORM_HEADERS_MAX];
	size_t n = 0;
	int rc, plain = 0;

	if (strlen(name) + 5 >= ATTRIBUTE_MAX)
		return -1;
	rc = extended(field, name, &p, out, &n);
	if (rc == 0)
		rc = continued(field, name, &p, out, &n);
	/* The plain form stands beside the others for those who cannot read them. */
	if (rc != 1 && (plain = find(field, name, &p)) == 1) {
		n = strlen(p.value);
		memcpy(out, p.value, n);
		rc = 1;
	}
	if (rc != 1 || plain < 0)
		return rc < 0 || plain < 0 ? -1 : 0;
	if (n >= size)
		return -1;
	memcpy(ret, out, n);
	ret[n] = '\0';
	return 1;
}
