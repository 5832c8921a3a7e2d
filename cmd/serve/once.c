/* Idempotency-Key: the same request again gets the first one's answer, and is not done again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "cmd/serve/state.h"
#include "spool/draft/answers.h"

#define KEY_MAX 255
#define RETRY_AFTER USEC

struct serve_once {
	struct spool *spool;
	struct answer *answer;
	bool again; /* an earlier try died before it had an answer */
	bool named; /* ids were given out */
	char key[DIGEST_TEXT_SIZE];
	char id[48];
};

_Static_assert(ANSWER_HASH_SIZE == DIGEST_TEXT_SIZE, "a digest as text");

/* ---- the key ------------------------------------------------------------------------------------- */

/* A GET is asked again with what is the same and what is not, as its parameters are no part of a body; and
 * whatever one does here is the same when it is done twice. */
static bool
has_key(const struct http_request *r)
{
	return http_header(r, SERVE_ONCE_HEADER) != NULL && strcmp(http_method(r), "GET") != 0;
}

/* NULL after a reply. */
static const char *
get_key(struct http_request *r)
{
	const char *key = http_header(r, SERVE_ONCE_HEADER);
	struct serve_faults faults;
	bool plain = true;

	for (const char *c = key; *c != '\0'; c++)
		plain = plain && *c >= 0x20 && *c < 0x7f;
	if (plain && *key != '\0' && strlen(key) <= KEY_MAX &&
	    http_header_count(r, SERVE_ONCE_HEADER) == 1)
		return key;
	serve_faults_init(&faults);
	serve_fault(&faults, "header", SERVE_ONCE_HEADER, "value_error",
	    "expected one key of 1 to %d printable ASCII characters", KEY_MAX);
	serve_faults_reply(r, &faults);
	return NULL;
}

/* A key is one client's, and for one thing: those of others are other keys. */
static void
hash_key(const struct http_request *r, const char *key, char ret[DIGEST_TEXT_SIZE])
{
	const char *texts[] = { http_user(r) != NULL ? http_user(r) : "", http_method(r),
		http_path(r), key };
	unsigned char digest[DIGEST_SIZE];

	digest_texts(texts, sizeof texts / sizeof *texts, digest);
	digest_text(digest, ret);
}

/* ---- beginning ----------------------------------------------------------------------------------- */

static void
replay(struct http_request *r, const struct answer *answer)
{
	struct view text = answer_text(answer);
	struct buf body = BUF_INIT(ANSWER_TEXT_MAX);

	buf_add(&body, text.s, text.len);
	http_set_header(r, "Idempotent-Replayed", "true");
	http_reply_json(r, answer_status(answer), &body);
}

static int
open_answer(struct serve *serve, struct spool *spool, const char *key, const char *request,
    struct answer **ret, struct err *err)
{
	const struct serve_config *config = serve_config_peek(serve);
	const struct settings *s = &config->settings;
	int result = spool_check_space(spool, (uint64_t)s->queue.min_free_bytes,
	    (uint64_t)s->queue.min_free_inodes, err);

	if (result == 0)
		result = answer_open(spool, key, request, s->server.keep_answers, ret, err);
	serve_config_put(serve, config);
	return result;
}

int
serve_once_begin_digest(struct serve *serve, struct http_request *r, struct spool *spool,
    const unsigned char *digest, struct serve_once **ret)
{
	struct serve_once *once;
	AUTO(answer_end) struct answer *answer = NULL;
	char hashed[DIGEST_TEXT_SIZE], request[DIGEST_TEXT_SIZE];
	struct err err = ERR_INIT;
	const char *key;

	*ret = NULL;
	if (!has_key(r))
		return 0;
	key = get_key(r);
	if (key == NULL)
		return 1;
	hash_key(r, key, hashed);
	digest_text(digest, request);
	switch (open_answer(serve, spool, hashed, request, &answer, &err)) {
	case ANSWER_GIVEN:
		replay(r, answer);
		return 1;
	case ANSWER_OTHER:
		http_reply_detail(r, 409,
		    "This Idempotency-Key was used before, for a request with another body");
		return 1;
	case ANSWER_BUSY:
		http_reply_later(r, 409,
		    "A request with this Idempotency-Key is still being worked on", RETRY_AFTER);
		return 1;
	case -1:
		serve_reply_err(r, &err);
		return 1;
	case ANSWER_AGAIN:
	case ANSWER_NEW:
		break;
	}
	once = xcalloc(1, sizeof *once);
	once->spool = spool;
	once->again = answer_is_again(answer);
	memcpy(once->key, hashed, sizeof once->key);
	once->answer = answer;
	answer = NULL;
	*ret = once;
	return 0;
}

int
serve_once_begin(struct serve *serve, struct http_request *r, struct spool *spool,
    struct serve_once **ret)
{
	struct view body = http_body(r);
	unsigned char digest[DIGEST_SIZE];
	const char *name, *value;
	struct digest *d;

	*ret = NULL;
	if (!has_key(r))
		return 0;
	if (http_query_at(r, 0, &value) == NULL) {
		digest_sha256(body.s, body.len, digest);
	} else {
		d = digest_begin();
		digest_add(d, body.s, body.len);
		for (size_t i = 0; (name = http_query_at(r, i, &value)) != NULL; i++) {
			digest_add(d, name, strlen(name) + 1);
			digest_add(d, value, strlen(value) + 1);
		}
		digest_end(&d, digest);
	}
	return serve_once_begin_digest(serve, r, spool, digest, ret);
}

/* ---- the messages of the request ----------------------------------------------------------------- */

const char *
serve_once_id(struct serve_once *once, size_t i)
{
	char begun[24], number[24], text[DIGEST_TEXT_SIZE];
	const char *texts[] = { once != NULL ? once->key : "", begun, number };
	unsigned char digest[DIGEST_SIZE];

	if (once == NULL)
		return NULL;
	/* With the time, as the key may be used again when its answer is forgotten. */
	snprintf(begun, sizeof begun, "%" PRId64, answer_begun(once->answer));
	snprintf(number, sizeof number, "%zu", i);
	digest_texts(texts, sizeof texts / sizeof *texts, digest);
	digest_text(digest, text);
	snprintf(once->id, sizeof once->id, "once-%.32s", text);
	once->named = true;
	return once->id;
}

bool
serve_once_queued(struct serve_once *once, const char *id)
{
	char encoded[NAME_SIZE], token[TOKEN_SIZE];

	if (once == NULL || !once->again || name_encode(id, ID_TEXT_MAX, encoded) < 0 ||
	    id_lookup(once->spool, encoded, token) != 1)
		return false;
	/* A token begins with the second in which its draft was. */
	return strtoll(token, NULL, 10) >= answer_begun(once->answer) / USEC;
}

bool
serve_once_is_again(const struct serve_once *once)
{
	return once != NULL && once->again;
}

int
serve_once_keep(struct serve_once *once, struct err *err)
{
	/* Ids of the client's own make it known again without this. */
	return once == NULL ? 0 : answer_keep(once->answer, once->named, err);
}

/* ---- answering ----------------------------------------------------------------------------------- */

void
serve_once_reply(struct serve_once **once, struct http_request *r, int status,
    struct serve_answer *answer)
{
	struct err err = ERR_INIT;

	if (*once != NULL && serve_answer_end(answer) == 0) {
		/* What is done is done, and is found again by its ids. */
		if (answer_give((*once)->answer, status, buf_view(&answer->out), &err) < 0)
			log_error("%s %s: %s; a repeated request will be looked at again",
			    http_method(r), http_path(r), err.msg);
		http_reply_json(r, status, &answer->out);
	} else {
		serve_reply(r, status, answer);
	}
	serve_once_end(once);
}

void
serve_once_end(struct serve_once **once)
{
	if (*once == NULL)
		return;
	answer_end(&(*once)->answer);
	free(*once);
	*once = NULL;
}

void
serve_once_tidy(struct serve *serve)
{
	const struct serve_config *config = serve_config_peek(serve);
	struct err err = ERR_INIT;
	struct serve_lent *lent = serve_lend(serve, &err);

	if (lent == NULL)
		log_error("%s", err.msg);
	else if (answers_tidy(&lent->spool, config->settings.server.keep_answers,
		     (uint64_t)config->settings.server.max_answers) < 0)
		log_warning("spool %s: answers: cannot be tidied: %s", serve->spool_path,
		    strerrordesc_np(errno));
	serve_give_back(serve, lent);
	serve_config_put(serve, config);
}
