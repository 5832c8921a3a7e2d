/* A part's headers, and forms without parts. */
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "base/utf8.h"
#include "http/form_private.h"

#define DISPOSITION_MAX FORM_HEADERS_MAX

/* ---- names ------------------------------------------------------------------------------------- */

void
form_text(const char *text, size_t len, char *ret, size_t size)
{
	bool valid = utf8_valid(text, len);
	size_t out = 0;

	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		size_t n = valid ? utf8_sequence(text + i, len - i) : 1;
		bool latin = !valid && c >= 0x80;
		/* C0, DEL, and C1 in either form. */
		bool control = c < 0x20 || c == 0x7f || (latin && c < 0xa0) ||
		    (valid && n == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0);

		if (!control) {
			if (out + (latin ? 2 : n) >= size)
				break;
			if (latin) {
				ret[out++] = (char)(0xc0 | c >> 6);
				ret[out++] = (char)(0x80 | (c & 0x3f));
			} else {
				memcpy(ret + out, text + i, n);
				out += n;
			}
		}
		i += n;
	}
	ret[out] = '\0';
}

/* What browsers write for the three characters that could end the name (WHATWG's HTML, "multipart/form-
 * data encoding algorithm"); a line's end has no place in a name. */
static void
unescape(const char *sent, char *ret, size_t size)
{
	size_t out = 0;

	for (; *sent != '\0' && out + 1 < size; sent++)
		if (strncmp(sent, "%22", 3) == 0) {
			ret[out++] = '"';
			sent += 2;
		} else if (strncasecmp(sent, "%0D", 3) == 0 || strncasecmp(sent, "%0A", 3) == 0)
			sent += 2;
		else
			ret[out++] = *sent;
	ret[out] = '\0';
}

void
form_file_name(const char *sent, char *ret, size_t size)
{
	char plain[DISPOSITION_MAX];
	const char *last = plain;

	unescape(sent, plain, sizeof plain);
	for (const char *c = plain; *c != '\0'; c++)
		if (*c == '/' || *c == '\\')
			last = c + 1;
	form_text(last, strlen(last), ret, size);
	if (strcmp(ret, ".") == 0 || strcmp(ret, "..") == 0)
		*ret = '\0';
}

/* ---- headers ----------------------------------------------------------------------------------- */

/* Copies the value of a field of the part, its folded lines joined; false where it is absent. */
static bool
find_field(const char *text, size_t len, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name), out = 0;
	bool inside = false;

	for (size_t i = 0; i < len;) {
		const char *line = text + i, *end = memmem(line, len - i, "\r\n", 2);
		size_t line_len = end != NULL ? (size_t)(end - line) : len - i;

		i += line_len + 2;
		if (*line != ' ' && *line != '\t') {
			if (inside)
				break;
			if (line_len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
				continue;
			inside = true;
			line += n + 1;
			line_len -= n + 1;
		}
		if (!inside || out + line_len + 1 >= size)
			continue;
		memcpy(ret + out, line, line_len);
		out += line_len;
	}
	while (out > 0 && (ret[out - 1] == ' ' || ret[out - 1] == '\t'))
		out--;
	ret[out] = '\0';
	out = strspn(ret, " \t");
	memmove(ret, ret + out, strlen(ret + out) + 1);
	return inside;
}

/* Each line a field, or more of one, without control characters. */
static bool
are_fields(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
			i++;
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int
judge_encoding(const char *text, size_t len, struct err *err)
{
	char encoding[40];

	if (!find_field(text, len, "Content-Transfer-Encoding", encoding, sizeof encoding) ||
	    strcasecmp(encoding, "binary") == 0 || strcasecmp(encoding, "8bit") == 0 ||
	    strcasecmp(encoding, "7bit") == 0)
		return 0;
	return err_set(err, EX_DATAERR,
	    "Content-Transfer-Encoding of a part: expected none (RFC 7578 section 4.7)");
}

int
form_headers(struct form_reader *f, const char *text, size_t len, struct err *err)
{
	char disposition[DISPOSITION_MAX], sent[DISPOSITION_MAX];
	char name[FORM_NAME_MAX + 1], filename[FORM_NAME_MAX + 1], type[FORM_NAME_MAX + 1];
	struct form_part part = { .name = name };
	int rc;

	if (!are_fields(text, len))
		return err_set(err, EX_DATAERR, "the headers of a part: a control character");
	if (!find_field(text, len, "Content-Disposition", disposition, sizeof disposition) ||
	    strncasecmp(disposition, "form-data", 9) != 0 || strchr("; \t", disposition[9]) == NULL)
		return err_set(err, EX_DATAERR,
		    "the headers of a part: expected Content-Disposition: form-data");
	if (judge_encoding(text, len, err) < 0)
		return -1;
	if (form_parameter(disposition, "name", sent, sizeof sent) != 1)
		return err_set(err, EX_DATAERR,
		    "Content-Disposition of a part: expected a field's name");
	form_text(sent, strlen(sent), name, sizeof name);
	rc = form_parameter(disposition, "filename", sent, sizeof sent);
	if (rc < 0)
		return err_set(err, EX_DATAERR,
		    "Content-Disposition of a part: malformed filename");
	if (rc == 1) {
		form_file_name(sent, filename, sizeof filename);
		part.filename = filename;
	}
	if (find_field(text, len, "Content-Type", sent, sizeof sent)) {
		form_text(sent, strlen(sent), type, sizeof type);
		part.type = type;
	}
	return form_begin_part(f, &part, err);
}

/* ---- application/x-www-form-urlencoded ---------------------------------------------------------- */

/* Decodes one more character; 1 with *ret_c, 0 amid an escape, -1 malformed. */
static int
decode(struct form_reader *f, char c, char *ret_c)
{
	if (f->escape_len > 0 || c == '%') {
		f->escape[f->escape_len++] = c;
		if (f->escape_len > 1 && num_hex(c) < 0)
			return -1;
		if (f->escape_len < 3)
			return 0;
		f->escape_len = 0;
		*ret_c = (char)(num_hex(f->escape[1]) * 16 + num_hex(f->escape[2]));
		return 1;
	}
	*ret_c = c == '+' ? ' ' : c;
	return 1;
}

static int
malformed(struct err *err)
{
	return err_set(err, EX_DATAERR, "the form: expected %%XX after a %%");
}

static int
begin_value(struct form_reader *f, struct err *err)
{
	char name[FORM_NAME_MAX + 1];
	struct form_part part = { .name = name };

	form_text(f->in.s, f->in.len, name, sizeof name);
	buf_clear(&f->in);
	f->state = FORM_URL_VALUE;
	return form_begin_part(f, &part, err);
}

/* A name is complete, or a field: at "=", "&", or the end. */
static int
boundary(struct form_reader *f, char c, struct err *err)
{
	if (f->escape_len > 0)
		return malformed(err);
	if (f->state == FORM_URL_NAME) {
		if (c != '=' && f->in.len == 0)
			return 0; /* nothing between two of them */
		if (begin_value(f, err) < 0)
			return -1;
		if (c == '=')
			return 0;
	}
	f->state = FORM_URL_NAME;
	return f->callbacks.end(f->arg, err);
}

int
form_url_feed(struct form_reader *f, const char *bytes, size_t n, struct err *err)
{
	char out[4096];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = bytes[i];

		if (c == '&' || (c == '=' && f->state == FORM_URL_NAME)) {
			if (len > 0 && f->callbacks.data(out, len, f->arg, err) < 0)
				return -1;
			len = 0;
			if (boundary(f, c, err) < 0)
				return -1;
			continue;
		}
		switch (decode(f, c, &c)) {
		case -1:
			return malformed(err);
		case 0:
			continue;
		default:
			break;
		}
		if (f->state == FORM_URL_NAME) {
			if (buf_addc(&f->in, c) < 0)
				return err_set(err, EX_DATAERR,
				    "the form: a field's name is too long");
			continue;
		}
		out[len++] = c;
		if (len == sizeof out) {
			if (f->callbacks.data(out, len, f->arg, err) < 0)
				return -1;
			len = 0;
		}
	}
	return len > 0 ? f->callbacks.data(out, len, f->arg, err) : 0;
}

int
form_url_end(struct form_reader *f, struct err *err)
{
	if (boundary(f, '&', err) < 0)
		return -1;
	return 0;
}
