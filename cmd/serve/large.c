#include "cmd/serve/large.h"

#include <string.h>

#include "base/digest.h"
#include "cmd/serve/state.h"
#include "cmd/submit/contents.h"

struct large {
	struct serve *serve;
	struct contents *contents;
	struct buf text; /* the JSON that is left */
	size_t max;	 /* bytes that all such together may hold */
	struct digest
	    *digest;	/* of the body as it came: for Idempotency-Key; NULL: there is none */
	struct err err; /* why text cannot be held */
};

/* Appends to what is held, out of what all requests together may hold. */
static int
take_text(void *arg, const char *bytes, size_t n)
{
	struct large *l = arg;
	atomic_size_t *all = &l->serve->forms;

	if (atomic_fetch_add(all, n) + n > l->max) {
		atomic_fetch_sub(all, n);
		return err_set(&l->err, EX_TEMPFAIL,
		    "bodies on their way in hold all of server.body_memory");
	}
	return buf_add(&l->text, bytes, n);
}

static void
feed(struct http_request *r, struct large *l, const char *bytes, size_t n)
{
	struct err err = ERR_INIT;

	if (l->digest != NULL)
		digest_add(l->digest, bytes, n);
	if (contents_feed(l->contents, bytes, n, &err) != 0)
		serve_reply_err(r, l->err.code != 0 ? &l->err : &err);
}

void
serve_large_begin(struct http_request *r, void *arg)
{
	struct large *l = xcalloc(1, sizeof *l);
	const struct serve_config *config = serve_config_peek(arg);
	AUTO_BUF struct buf before = BUF_INIT(0);

	http_set_state(r, l);
	l->serve = arg;
	l->max = (size_t)config->settings.server.body_memory;
	buf_init(&l->text, (size_t)config->settings.server.max_body);
	l->contents = contents_new(&l->serve->spool, &config->settings, take_text, l);
	serve_config_put(arg, config);
	if (http_header(r, SERVE_ONCE_HEADER) != NULL)
		l->digest = digest_begin();
	/* What came while it was not known how long it is. */
	http_take_body(r, &before);
	feed(r, l, before.s, before.len);
}

void
serve_large_piece(struct http_request *r, const char *bytes, size_t n, void *arg)
{
	(void)arg;
	feed(r, http_state(r), bytes, n);
}

void
serve_large_end(struct http_request *r, void *arg)
{
	struct large *l = http_state(r);

	(void)arg;
	if (l == NULL)
		return;
	atomic_fetch_sub(&l->serve->forms, l->text.len);
	buf_release(&l->text);
	contents_free(&l->contents);
	digest_end(&l->digest, NULL);
	free(l);
	http_set_state(r, NULL);
}

struct json *
serve_large_body(struct http_request *r)
{
	struct large *l = http_state(r);
	struct err err = ERR_INIT;

	if (l == NULL)
		return serve_body(r, false);
	if (contents_end(l->contents, &err) != 0) {
		serve_reply_err(r, l->err.code != 0 ? &l->err : &err);
		return NULL;
	}
	return serve_marked_body(r, buf_view(&l->text));
}

void
serve_large_options(struct http_request *r, struct mail_json_options *options)
{
	struct large *l = http_state(r);

	if (l == NULL)
		return;
	options->marked = contents_marked;
	options->marked_arg = l->contents;
}

int
serve_large_once(struct serve *serve, struct http_request *r, struct spool *spool,
    struct serve_once **ret)
{
	struct large *l = http_state(r);
	unsigned char digest[DIGEST_SIZE];

	if (l == NULL || l->digest == NULL)
		return serve_once_begin(serve, r, spool, ret);
	digest_end(&l->digest, digest);
	return serve_once_begin_digest(serve, r, spool, digest, ret);
}
