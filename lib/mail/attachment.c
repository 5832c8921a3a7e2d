#include "mail/attachment.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/utf8.h"

#define OCTETS "application/octet-stream"
#define SVG_WITHIN 4096 /* bytes of a content in which an SVG's element is looked for */
#define OFFICE "application/vnd.openxmlformats-officedocument."

static const struct {
	const char *extension, *type;
} types[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "aac", "audio/aac" },
	{ "apk", "application/vnd.android.package-archive" },
	{ "avi", "video/x-msvideo" },
	{ "avif", "image/avif" },
	{ "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" },
	{ "c", "text/x-c" },
	{ "conf", "text/plain" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "deb", "application/vnd.debian.binary-package" },
	{ "diff", "text/x-diff" },
	{ "dll", "application/vnd.microsoft.portable-executable" },
	{ "doc", "application/msword" },
	{ "docx", OFFICE "wordprocessingml.document" },
	{ "epub", "application/epub+zip" },
	{ "exe", "application/vnd.microsoft.portable-executable" },
	{ "flac", "audio/flac" },
	{ "gif", "image/gif" },
	{ "gpg", "application/pgp-encrypted" },
	{ "gz", "application/gzip" },
	{ "h", "text/x-c" },
	{ "heic", "image/heic" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", "text/calendar" },
	{ "jar", "application/java-archive" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "log", "text/plain" },
	{ "m4a", "audio/mp4" },
	{ "md", "text/markdown" },
	{ "mkv", "video/x-matroska" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpeg", "video/mpeg" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "ogg", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "p7m", "application/pkcs7-mime" },
	{ "p7s", "application/pkcs7-signature" },
	{ "patch", "text/x-diff" },
	{ "pdf", "application/pdf" },
	{ "pem", "application/x-pem-file" },
	{ "php", "text/x-php" },
	{ "png", "image/png" },
	{ "pps", "application/vnd.ms-powerpoint" },
	{ "ppt", "application/vnd.ms-powerpoint" },
	{ "pptx", OFFICE "presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "py", "text/x-python" },
	{ "rar", "application/vnd.rar" },
	{ "rtf", "application/rtf" },
	{ "sh", "text/x-sh" },
	{ "sql", "application/sql" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tgz", "application/gzip" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "tsv", "text/tab-separated-values" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" },
	{ "vcf", "text/vcard" },
	{ "wav", "audio/x-wav" },
	{ "weba", "audio/webm" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", OFFICE "spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};

/* What files of a type begin with; a type may have several lines. */
static const struct {
	const char *type, *bytes;
	size_t len;
} signatures[] = {
	{ "application/pdf", "%PDF-", 5 },
	{ "application/gzip", "\x1f\x8b", 2 },
	{ "application/zip", "PK\x03\x04", 4 },
	{ "application/zip", "PK\x05\x06", 4 },
	{ "application/msword", "\xd0\xcf\x11\xe0", 4 },
	{ "application/vnd.ms-excel", "\xd0\xcf\x11\xe0", 4 },
	{ "application/vnd.ms-powerpoint", "\xd0\xcf\x11\xe0", 4 },
	{ "image/png", "\x89PNG\r\n\x1a\n", 8 },
	{ "image/jpeg", "\xff\xd8\xff", 3 },
	{ "image/gif", "GIF8", 4 },
	{ "image/bmp", "BM", 2 },
	{ "image/tiff", "II*\0", 4 },
	{ "image/tiff", "MM\0*", 4 },
};

/* Programs that a system starts without asking. */
static const struct view programs[] = {
	{ "\x7f"
	  "ELF",
	    4 },
	{ "MZ\x90", 3 },
	{ "\xcf\xfa\xed\xfe", 4 },
	{ "\xce\xfa\xed\xfe", 4 },
	{ "\xca\xfe\xba\xbe", 4 },
};

const char *
mail_type_by_name(const char *filename)
{
	const char *dot = filename != NULL ? strrchr(filename, '.') : NULL;

	if (dot == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcasecmp(dot + 1, types[i].extension) == 0)
			return types[i].type;
	return NULL;
}

static bool
begins(struct view content, const char *bytes, size_t n)
{
	return content.len >= n && memcmp(content.s, bytes, n) == 0;
}

static bool
is_program(struct view content)
{
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
		if (begins(content, programs[i].s, programs[i].len))
			return true;
	/* any other DOS header: its first page is not text */
	return begins(content, "MZ", 2) && content.len > 64 && memchr(content.s, 0, 64) != NULL;
}

/* What a browser that guesses would take for a page. */
static bool
is_html(struct view content)
{
	static const char *const tags[] = { "<!doctype html", "<html", "<head", "<body", "<script",
		"<iframe" };
	size_t at = begins(content, "\xef\xbb\xbf", 3) ? 3 : 0;

	while (
	    at < content.len && strchr(" \t\r\n", content.s[at]) != NULL && content.s[at] != '\0')
		at++;
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (content.len - at >= strlen(tags[i]) &&
		    strncasecmp(content.s + at, tags[i], strlen(tags[i])) == 0)
			return true;
	return false;
}

/* A picture that may hold scripts: its element, behind what XML allows before it. */
static bool
is_svg(struct view content)
{
	size_t at = begins(content, "\xef\xbb\xbf", 3) ? 3 : 0;
	size_t n = content.len - at < SVG_WITHIN ? content.len - at : SVG_WITHIN;

	while (n > 0 && strchr(" \t\r\n", content.s[at]) != NULL && content.s[at] != '\0') {
		at++;
		n--;
	}
	if (n >= 4 && memcmp(content.s + at, "<svg", 4) == 0)
		return true;
	return n >= 2 &&
	    (memcmp(content.s + at, "<?", 2) == 0 || memcmp(content.s + at, "<!", 2) == 0) &&
	    memmem(content.s + at, n, "<svg", 4) != NULL;
}

static bool
is_text(struct view content)
{
	for (size_t i = 0; i < content.len;) {
		size_t n = utf8_sequence(content.s + i, content.len - i);

		if (n == 0) /* the last character may be cut */
			return content.len - i < 4 && content.len == MAIL_SNIFF_SIZE;
		if (n == 1 && (unsigned char)content.s[i] < 0x20 &&
		    (content.s[i] == '\0' || strchr("\t\r\n\f\x1b", content.s[i]) == NULL))
			return false;
		i += n;
	}
	return true;
}

static bool
has_prefix(const char *type, const char *prefix)
{
	return strncmp(type, prefix, strlen(prefix)) == 0;
}

/* Whether content speaks against a type: only where the type has a signature, or is text. */
static bool
looks_like(const char *type, struct view content)
{
	const char *kept = has_prefix(type, OFFICE) || has_prefix(type, "application/vnd.oasis") ?
	    "application/zip" :
	    type;
	bool known = false;

	if (has_prefix(type, "text/"))
		return memchr(content.s, '\0', content.len) == NULL;
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
		if (strcmp(signatures[i].type, kept) != 0)
			continue;
		if (begins(content, signatures[i].bytes, signatures[i].len))
			return true;
		known = true;
	}
	return !known;
}

static bool
may_be_html(const char *type)
{
	return strcmp(type, "text/html") == 0 || strstr(type, "xml") != NULL;
}

/* The type where the name says nothing. */
static const char *
by_content(struct view content, struct mail_magic *magic, char *scratch)
{
	if (content.len == 0)
		return OCTETS;
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
		if (signatures[i].len > 4 &&
		    begins(content, signatures[i].bytes, signatures[i].len))
			return signatures[i].type;
	if (magic != NULL &&
	    mail_magic_type(magic, content.s, content.len, scratch, MAIL_TYPE_SIZE) == 0)
		return scratch;
	return is_text(content) ? "text/plain" : OCTETS;
}

/* The type where the name says one and the content does not look like it. */
static const char *
by_both(const char *named, struct view content, struct mail_magic *magic, char *scratch)
{
	if (magic == NULL ||
	    mail_magic_type(magic, content.s, content.len, scratch, MAIL_TYPE_SIZE) < 0)
		return has_prefix(named, "text/") ? OCTETS : named;
	if (may_be_html(scratch))
		return OCTETS;
	/* a picture of another kind is what it is */
	if (has_prefix(named, "image/") && has_prefix(scratch, "image/"))
		return scratch;
	return has_prefix(named, "text/") ? OCTETS : named;
}

static const char *
find_type(const char *filename, struct view content, struct mail_magic *magic, char *scratch)
{
	const char *named = mail_type_by_name(filename);

	if (is_program(content))
		return named != NULL && strstr(named, "executable") != NULL ? named : OCTETS;
	if (is_html(content))
		return named == NULL ? "text/html" : may_be_html(named) ? named : OCTETS;
	if (is_svg(content))
		return named == NULL ? "image/svg+xml" : may_be_html(named) ? named : OCTETS;
	if (named == NULL)
		return by_content(content, magic, scratch);
	if (content.len == 0 || looks_like(named, content))
		return named;
	return by_both(named, content, magic, scratch);
}

void
mail_type_of(const char *filename, const void *bytes, size_t n, struct mail_magic *magic,
    char *ret_type)
{
	char scratch[MAIL_TYPE_SIZE];
	struct view content = { bytes, n < MAIL_SNIFF_SIZE ? n : MAIL_SNIFF_SIZE };
	const char *type = find_type(filename, n > 0 ? content : VIEW(""), magic, scratch);

	if (!mail_type_ok(type) || has_prefix(type, "inode/"))
		type = OCTETS;
	memcpy(ret_type, type, strlen(type) + 1);
}

bool
mail_type_ok(const char *type)
{
	size_t slash = strcspn(type, "/"), len = strlen(type);

	if (slash == 0 || slash + 1 >= len || len >= MAIL_TYPE_SIZE)
		return false;
	if (strncasecmp(type, "message/", 8) == 0 || strncasecmp(type, "multipart/", 10) == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (i != slash &&
		    (type[i] <= ' ' || type[i] > '~' ||
			strchr("()<>@,;:\\\"/[]?=", type[i]) != NULL))
			return false;
	return true;
}
