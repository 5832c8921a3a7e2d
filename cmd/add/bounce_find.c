/* Which message a report is about. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/add/bounce.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"

/* Clocks differ, ours and theirs. */
#define GRACE (3600 * USEC)
/* How far back is looked first, and how much farther each time. */
#define BACK_FIRST (3600 * USEC)
#define BACK_GROWTH 8
#define BACK_MAX (10 * 366 * 86400 * USEC)
/* A server gives up after some days; a report without any name of the message is about none that is older. */
#define BACK_UNNAMED (7 * 86400 * USEC)
#define UNION_MAX 2000

enum by { BY_ID, BY_ENVELOPE, BY_MESSAGE_ID, BY_RECIPIENT };

struct search {
	struct spool *spool;
	const struct mail_dsn *dsn;
	enum by by;
	const char *value;	     /* what the message's lines have; BY_RECIPIENT: the domain */
	struct bounce_message match; /* the latest that has one of the report's recipients */
	struct bounce_message fallback; /* the latest that has none of them */
};

void
bounce_message_release(struct bounce_message *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->recipients[i]);
	free(m->recipients);
	free(m->id);
	free(m->lane);
	free(m->account);
	free(m->batch);
	free(m->message_id);
	*m = (struct bounce_message)BOUNCE_MESSAGE_INIT;
}

const char *
bounce_recipient(const struct bounce_message *m, const struct mail_dsn_recipient *r,
    bool *ret_known)
{
	*ret_known = true;
	for (size_t i = 0; i < m->count; i++)
		if (mail_dsn_is_about(r, m->recipients[i]))
			return m->recipients[i];
	/* An alias behind which others are. */
	if (m->count == 1)
		return m->recipients[0];
	*ret_known = false;
	return r->original != NULL ? r->original : r->final;
}

/* ---- one line ------------------------------------------------------------------------------------- */

static bool
is_reported(const struct mail_dsn *dsn, const char *address)
{
	for (size_t i = 0; i < dsn->count; i++)
		if (mail_dsn_is_about(&dsn->recipients[i], address))
			return true;
	return false;
}

static void
replace(char **text, const struct json *line, const char *key)
{
	const char *by = json_string(json_get(line, key));

	if (by == NULL)
		return;
	free(*text);
	*text = xstrdup(by);
}

static bool
holds(const struct bounce_message *m, size_t n, const char *address)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(m->recipients[i], address) == 0)
			return true;
	return false;
}

/* What the line says of the message, added to what earlier ones said. */
static void
merge(struct bounce_message *m, const struct json *line)
{
	const struct json *list = json_get(line, "recipients");
	size_t n = json_length(list), before = m->count;

	replace(&m->id, line, "id");
	replace(&m->lane, line, "lane");
	replace(&m->account, line, "account");
	replace(&m->batch, line, "batch");
	replace(&m->message_id, line, "message_id");
	/* Attempts tell of those that were left; to compare very many would be dear, and the first has all. */
	if (m->count > 0 && (m->count > UNION_MAX || n > UNION_MAX))
		return;
	for (size_t i = 0; i < n && m->count < BOUNCE_RECIPIENTS; i++) {
		const char *address = json_string(json_get(json_at(list, i), "address"));

		if (address == NULL || (before > 0 && holds(m, before, address)))
			continue;
		if (m->count == m->room) {
			m->room = m->room > 0 ? 2 * m->room : 4;
			m->recipients =
			    xreallocarray(m->recipients, m->room, sizeof *m->recipients);
		}
		m->recipients[m->count++] = xstrdup(address);
	}
}

static bool
has_value(const struct search *search, const struct json *line)
{
	static const char *const
	    keys[] = { [BY_ID] = "id", [BY_ENVELOPE] = "envid", [BY_MESSAGE_ID] = "message_id" };
	const char *found;

	if (search->by == BY_RECIPIENT)
		return true;
	found = json_string(json_get(line, keys[search->by]));
	return found != NULL && strcmp(found, search->value) == 0;
}

/* Whether this event tells to whom a message went. */
static bool
is_delivery(enum event event)
{
	return event == EVENT_SENT || event == EVENT_DEFERRED || event == EVENT_FAILED ||
	    event == EVENT_UNCERTAIN;
}

static int
take_line(const char *text, size_t len, const struct json *line, void *arg)
{
	struct search *search = arg;
	const char *event = json_string(json_get(line, "event"));
	const char *id = json_string(json_get(line, "id"));
	const struct json *list = json_get(line, "recipients");
	enum event parsed = event != NULL ? event_parse(event) : EVENT_COUNT;
	struct bounce_message *into = &search->fallback;

	(void)text;
	(void)len;
	if (id == NULL || !has_value(search, line) || !is_delivery(parsed))
		return 0;
	for (size_t i = 0; i < json_length(list) && into == &search->fallback; i++) {
		const char *address = json_string(json_get(json_at(list, i), "address"));

		if (address != NULL && is_reported(search->dsn, address))
			into = &search->match;
	}
	if (search->by == BY_RECIPIENT && (into != &search->match || parsed == EVENT_FAILED))
		return 0;
	/* Lines come in the order of time: a later message takes the place of an earlier one. */
	if (into->id != NULL && strcmp(into->id, id) != 0)
		bounce_message_release(into);
	merge(into, line);
	return 0;
}

/* ---- the journals ---------------------------------------------------------------------------------- */

/* The text that stands in each line that is wanted. */
static int
needle(const struct search *search, struct buf *ret)
{
	static const char
	    *const keys[] = { [BY_ENVELOPE] = "envid", [BY_MESSAGE_ID] = "message_id" };
	struct json_writer w = JSON_WRITER(ret);

	if (search->by == BY_ID)
		return 0;
	if (search->by == BY_RECIPIENT) {
		buf_addf(ret, "@%s\"", search->value);
		for (size_t i = 0; i < ret->len; i++)
			ret->s[i] = (char)tolower((unsigned char)ret->s[i]);
		return 0;
	}
	/* {"KEY":VALUE, from the quote on. */
	json_begin_object(&w);
	json_member_str(&w, keys[search->by], search->value);
	buf_consume(ret, 1);
	return json_finish(&w);
}

static int
look(struct search *search, const char *contains, int64_t since, int64_t until, struct err *err)
{
	struct history_filter filter = { .id = search->by == BY_ID ? search->value : NULL,
		.since = since > 0 ? since : 0,
		.until = until,
		.contains = *contains != '\0' ? contains : NULL };

	return history_read(search->spool, &filter, take_line, search, err) < 0 ? -1 : 0;
}

/* Window by window, from the latest back to an instant. */
static int
look_back(struct search *search, const char *contains, int64_t oldest, struct err *err)
{
	int64_t arrived = search->dsn->arrived, now = clock_now();
	int64_t until = 0;

	/* The server got it soon after we sent it. */
	if (arrived > 0 && arrived < now - GRACE &&
	    look(search, contains, arrived - GRACE, arrived + GRACE, err) < 0)
		return -1;
	if (search->by == BY_RECIPIENT) {
		/* Another that went to the same one since is not meant. */
		int64_t last = arrived > 0 ? arrived : search->dsn->date;

		until = last > 0 && last < now - GRACE ? last + GRACE : 0;
		now = until > 0 ? until : now;
	}
	for (int64_t back = BACK_FIRST; search->match.id == NULL; back *= BACK_GROWTH) {
		int64_t since = back < BACK_MAX ? now - back : 0;

		since = since > oldest ? since : oldest;
		if (look(search, contains, since, until, err) < 0)
			return -1;
		if (since <= oldest)
			break;
		until = since - 1;
	}
	return 0;
}

/* 1 and *ret, 0, or -1 with err. */
static int
find_by(struct spool *spool, const struct mail_dsn *dsn, enum by by, const char *value,
    int64_t oldest, struct bounce_message *ret, struct err *err)
{
	struct search search = { .spool = spool, .dsn = dsn, .by = by, .value = value };
	AUTO_BUF struct buf contains = BUF_INIT(8 * MAIL_DSN_TEXT);
	struct bounce_message *found;
	int rc = needle(&search, &contains) < 0 ? 0 : look_back(&search, contains.s, oldest, err);

	found = search.match.id != NULL ? &search.match : &search.fallback;
	if (rc == 0 && found->id != NULL) {
		*ret = *found;
		*found = (struct bounce_message)BOUNCE_MESSAGE_INIT;
		rc = 1;
	}
	bounce_message_release(&search.match);
	bounce_message_release(&search.fallback);
	return rc;
}

static int
take_any(const char *text, size_t len, const struct json *line, void *arg)
{
	const char *event = json_string(json_get(line, "event"));
	enum event parsed = event != NULL ? event_parse(event) : EVENT_COUNT;

	(void)text;
	(void)len;
	if (is_delivery(parsed))
		merge(arg, line);
	return 0;
}

/* 1; 0: nothing was found; -1 with err. */
static int
find_all(struct spool *spool, const char *id, int64_t since, struct bounce_message *ret,
    struct err *err)
{
	struct history_filter filter = { .id = id, .since = since };

	if (history_read(spool, &filter, take_any, ret, err) < 0)
		return -1;
	return ret->id != NULL;
}

/* ---- names ------------------------------------------------------------------------------------------ */

int64_t
bounce_since(struct spool *spool, const char *id)
{
	char encoded[ID_TEXT_MAX + 1], token[TOKEN_SIZE];
	int64_t came;

	if (name_encode(id, ID_TEXT_MAX, encoded) < 0)
		return -1;
	if (id_lookup(spool, encoded, token) == 1) {
		came = strtoll(token, NULL, 10);
		came = came > 0 && came < INT64_MAX / USEC ? came * USEC : 0;
	} else {
		came = id_made_at(encoded);
		if (came == 0)
			return -1; /* one that a client gave would be on record */
	}
	return came > GRACE ? came - GRACE : 0;
}

static int
find_by_envelope(struct spool *spool, const struct mail_dsn *dsn, const char *envid,
    struct bounce_message *ret, struct err *err)
{
	int64_t since = bounce_since(spool, envid);
	int rc = 0;

	if (since >= 0)
		rc = find_by(spool, dsn, BY_ID, envid, since, ret, err);
	return rc != 0 ? rc : find_by(spool, dsn, BY_ENVELOPE, envid, 0, ret, err);
}

/* A report without any name of the message: whom it went to is all there is. */
static int
find_by_recipient(struct spool *spool, const struct mail_dsn *dsn, struct bounce_message *ret,
    struct err *err)
{
	const struct mail_dsn_recipient *r = &dsn->recipients[0];
	const char *at = strrchr(r->original != NULL ? r->original : r->final, '@');
	int64_t last = dsn->arrived > 0 ? dsn->arrived : dsn->date, now = clock_now();

	if (at == NULL || at[1] == '\0')
		return 0;
	last = last > 0 && last < now ? last : now;
	return find_by(spool, dsn, BY_RECIPIENT, at + 1, last - BACK_UNNAMED, ret, err);
}

static int
find(struct spool *spool, const struct mail_dsn *dsn, struct bounce_message *ret, struct err *err)
{
	AUTO_FREE char *plain = NULL;
	int rc = 0;

	if (dsn->envelope_id != NULL) {
		rc = find_by_envelope(spool, dsn, dsn->envelope_id, ret, err);
		/* It is to be decoded, and not all do. */
		plain = mail_xtext_decode(dsn->envelope_id);
		if (rc == 0 && plain != NULL)
			rc = find_by_envelope(spool, dsn, plain, ret, err);
	}
	if (rc == 0 && dsn->message_id != NULL)
		rc = find_by(spool, dsn, BY_MESSAGE_ID, dsn->message_id, 0, ret, err);
	/* What has a name that is none of ours is not ours. */
	if (rc == 0 && dsn->envelope_id == NULL && dsn->message_id == NULL)
		rc = find_by_recipient(spool, dsn, ret, err);
	return rc;
}

int
bounce_find(struct spool *spool, const struct mail_dsn *dsn, struct bounce_message *ret,
    struct err *err)
{
	struct bounce_message found = BOUNCE_MESSAGE_INIT;
	int rc = find(spool, dsn, &found, err);
	int64_t since;

	if (rc <= 0)
		return rc;
	/* All its recipients: a line tells of those of one attempt. */
	since = bounce_since(spool, found.id);
	rc = find_all(spool, found.id, since > 0 ? since : 0, ret, err);
	if (rc == 0) {
		*ret = found;
		return 1;
	}
	bounce_message_release(&found);
	return rc;
}
