#include "spool/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

/* Pending lines go to the kernel when they are this many bytes, if nobody asks before. */
#define PENDING_FULL ((size_t)256 * 1024)
/* Bytes of a reply or reason that are kept; fewer in a message with very many recipients, so that
 * its line stays below JOURNAL_LINE_MAX. */
#define WORDS_MAX ((size_t)1000)
#define WORDS_OF_MANY ((size_t)80)
#define MANY_RECIPIENTS 1000

static const char *const event_words[] = {
	[EVENT_BEGIN] = "begin",
	[EVENT_OFFERED] = "offered",
	[EVENT_DOT] = "dot",
	[EVENT_PARKED] = "parked",
	[EVENT_LIMITED] = "limited",
	[EVENT_SUSPENDED] = "suspended",
	[EVENT_ACTIVATED] = "activated",
	[EVENT_MOVED] = "moved",
	[EVENT_RECOVERED] = "recovered",
	[EVENT_REFUSED] = "refused",
	[EVENT_REPORTED] = "reported",
	[EVENT_BOUNCED] = "bounced",
	[EVENT_SENT] = "sent",
	[EVENT_DEFERRED] = "deferred",
	[EVENT_FAILED] = "failed",
	[EVENT_UNCERTAIN] = "uncertain",
	[EVENT_HELD] = "held",
	[EVENT_RELEASED] = "released",
	[EVENT_RETRIED] = "retried",
	[EVENT_DELETED] = "deleted",
	[EVENT_CORRUPT] = "corrupt",
};

const char *
failure_text(enum failure failure)
{
	static const char *const words[] = { "refused", "exhausted", "expired", "limit", "account",
		"uncertain", "attachment" };

	return words[failure];
}

const char *
event_text(enum event event)
{
	return event_words[event];
}

enum event
event_parse(const char *word)
{
	for (int i = 0; i < EVENT_COUNT; i++)
		if (strcmp(word, event_words[i]) == 0)
			return (enum event)i;
	return EVENT_COUNT;
}

void
boot_id(char ret[64])
{
	AUTO_BUF struct buf text = BUF_INIT(63);

	ret[0] = '\0';
	if (fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text) < 0)
		return;
	memcpy(ret, text.s, text.len + 1);
	ret[strcspn(ret, "\n")] = '\0';
}

static char *
put_digits(char *out, unsigned int value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return out + digits;
}

/*
 * RFC 3339 with microseconds.  Several of these stand in each line, and gmtime_r and snprintf were
 * half of its cost; so the date is reckoned here, in years that begin in March, whose leap day is
 * their last.  For instants from 1970 on.
 */
static void
put_instant(struct json_writer *w, int64_t instant)
{
	int64_t seconds = instant > 0 ? instant / USEC : 0,
		micros = instant > 0 ? instant % USEC : 0;
	int64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
	unsigned int rest = (unsigned int)(seconds % 86400);
	unsigned int of_era = (unsigned int)(days % 146097);
	unsigned int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned int of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned int month = (5 * of_year + 2) / 153; /* 0 is March */
	char text[32], *p = text;

	year += (unsigned int)(days / 146097) * 400 + (month >= 10 ? 1 : 0);
	p = put_digits(p, year, 4);
	*p++ = '-';
	p = put_digits(p, month < 10 ? month + 3 : month - 9, 2);
	*p++ = '-';
	p = put_digits(p, of_year - (153 * month + 2) / 5 + 1, 2);
	*p++ = 'T';
	p = put_digits(p, rest / 3600, 2);
	*p++ = ':';
	p = put_digits(p, rest / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, rest % 60, 2);
	*p++ = '.';
	p = put_digits(p, (unsigned int)micros, 6);
	*p++ = 'Z';
	json_put_string(w, text, (size_t)(p - text));
}

/* A key as it stands in the line, comma, quotes and colon included: nothing in it needs escaping. */
static void
put_key(struct json_writer *w, struct view key)
{
	if (buf_add(w->out, key.s, key.len) < 0)
		w->failed = true;
	w->comma = false;
}

/* Text of at most max bytes, cut between characters. */
static void
put_words(struct json_writer *w, struct view key, const char *text, size_t max)
{
	size_t n;

	if (text == NULL)
		return;
	n = strnlen(text, max + 1);
	if (n > max)
		for (n = max; n > max - 4 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	put_key(w, key);
	json_put_string(w, text, n);
}

static void
put_text(struct json_writer *w, struct view key, const char *text)
{
	if (text == NULL)
		return;
	put_key(w, key);
	json_put_str(w, text);
}

static void
put_number(struct json_writer *w, struct view key, int64_t number)
{
	put_key(w, key);
	json_put_int(w, number);
}

static void
begin_line(struct journal *journal, struct json_writer *w, enum event event)
{
	*w = (struct json_writer)JSON_WRITER(&journal->pending);
	put_key(w, VIEW("{\"t\":"));
	put_instant(w, clock_now());
	put_text(w, VIEW(",\"event\":"), event_text(event));
}

static void
end_line(struct journal *journal, struct json_writer *w)
{
	if (buf_add(w->out, "}\n", 2) < 0 || w->failed) {
		/* Cannot be while pending is emptied below; were it so, silence would be a lie. */
		journal->failure = E2BIG;
		return;
	}
	journal->unsynced = true;
	if (journal->pending.len >= PENDING_FULL)
		journal_write(journal);
}

int
journal_create(struct journal *journal, int dir, const char *name, const char *token,
    const char *program)
{
	struct json_writer w;
	struct stat mine, named;
	char boot[64];
	AUTO_FD int fd = fs_open(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0660);

	memset(journal, 0, sizeof *journal);
	journal->fd = -1;
	buf_init(&journal->pending, PENDING_FULL + JOURNAL_LINE_MAX);
	if (fd < 0 || fs_lock(fd, 0) < 0 || fstat(fd, &mine) < 0)
		return -1;
	/* A recovery that came between the two steps above took the file for a dead runner's. */
	if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) {
		errno = EWOULDBLOCK;
		return -1;
	}
	boot_id(boot);
	journal->fd = take_fd(&fd);
	begin_line(journal, &w, EVENT_BEGIN);
	put_text(&w, VIEW(",\"token\":"), token);
	put_text(&w, VIEW(",\"boot\":"), boot);
	put_text(&w, VIEW(",\"program\":"), program);
	put_number(&w, VIEW(",\"pid\":"), getpid());
	end_line(journal, &w);
	/* The entry must be as durable as the lines: fdatasync speaks for the file alone. */
	if (journal_write(journal) < 0 || fs_sync_dir(dir) < 0) {
		int saved = errno;

		journal_close(journal);
		errno = saved;
		return -1;
	}
	return 0;
}

int
journal_adopt(struct journal *journal, int fd)
{
	struct stat st;
	char last = '\n';

	memset(journal, 0, sizeof *journal);
	journal->fd = -1;
	buf_init(&journal->pending, PENDING_FULL + JOURNAL_LINE_MAX);
	if (fstat(fd, &st) < 0 || (st.st_size > 0 && fs_pread(fd, &last, 1, st.st_size - 1) < 0))
		return -1;
	if (last != '\n' && buf_addc(&journal->pending, '\n') < 0)
		return -1;
	journal->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	/* What its writer left is perhaps not on disk yet. */
	journal->unsynced = true;
	return journal->fd < 0 ? -1 : 0;
}

void
journal_offered(struct journal *journal, const char *name, const char *lane)
{
	struct json_writer w;

	begin_line(journal, &w, EVENT_OFFERED);
	put_text(&w, VIEW(",\"name\":"), name);
	put_text(&w, VIEW(",\"lane\":"), lane);
	end_line(journal, &w);
}

void
journal_dot(struct journal *journal, const char *name)
{
	struct json_writer w;

	begin_line(journal, &w, EVENT_DOT);
	put_text(&w, VIEW(",\"name\":"), name);
	end_line(journal, &w);
}

void
journal_policy(struct journal *journal, enum event event, const char *account, const char *batch,
    int64_t until, const char *reason)
{
	struct json_writer w;

	begin_line(journal, &w, event);
	put_text(&w, VIEW(",\"account\":"), account);
	put_text(&w, VIEW(",\"batch\":"), batch);
	if (until > 0) {
		put_key(&w, VIEW(",\"until\":"));
		put_instant(&w, until);
	}
	put_words(&w, VIEW(",\"reason\":"), reason, WORDS_MAX);
	end_line(journal, &w);
}

void
journal_recovered(struct journal *journal, uint64_t completed, uint64_t put_back,
    uint64_t uncertain)
{
	struct json_writer w;
	char reason[160];

	snprintf(reason, sizeof reason,
	    "a mailq-run died; of the messages it had claimed %" PRIu64
	    " were finished as recorded, %" PRIu64 " put back, %" PRIu64 " are uncertain",
	    completed, put_back, uncertain);
	begin_line(journal, &w, EVENT_RECOVERED);
	put_number(&w, VIEW(",\"completed\":"), (int64_t)completed);
	put_number(&w, VIEW(",\"put_back\":"), (int64_t)put_back);
	put_number(&w, VIEW(",\"uncertain\":"), (int64_t)uncertain);
	put_text(&w, VIEW(",\"reason\":"), reason);
	end_line(journal, &w);
}

void
journal_reported(struct journal *journal, const char *const *ids, size_t count)
{
	struct json_writer w;

	begin_line(journal, &w, EVENT_REPORTED);
	put_key(&w, VIEW(",\"ids\":["));
	for (size_t i = 0; i < count; i++)
		json_put_str(&w, ids[i]);
	put_key(&w, VIEW("]"));
	end_line(journal, &w);
}

static const char *
unless_empty(const char *text)
{
	return text != NULL && *text != '\0' ? text : NULL;
}

static void
put_recipients(struct json_writer *w, const struct journal_entry *entry)
{
	size_t max = entry->recipient_count > MANY_RECIPIENTS ? WORDS_OF_MANY : WORDS_MAX;

	put_key(w, VIEW(",\"recipients\":["));
	for (size_t i = 0; i < entry->recipient_count; i++) {
		const struct recipient_outcome *one = &entry->recipients[i];

		put_text(w, i == 0 ? VIEW("{\"address\":") : VIEW(",{\"address\":"), one->address);
		put_text(w, VIEW(",\"outcome\":"), event_text(one->outcome));
		if (one->code > 0)
			put_number(w, VIEW(",\"code\":"), one->code);
		put_text(w, VIEW(",\"enhanced\":"), unless_empty(one->enhanced));
		put_words(w, VIEW(",\"reply\":"), unless_empty(one->reply), max);
		put_key(w, VIEW("}"));
	}
	put_key(w, VIEW("]"));
}

void
journal_add(struct journal *journal, const struct journal_entry *entry)
{
	struct json_writer w;

	begin_line(journal, &w, entry->event);
	put_text(&w, VIEW(",\"id\":"), entry->id);
	put_text(&w, VIEW(",\"name\":"), entry->name);
	put_text(&w, VIEW(",\"lane\":"), entry->lane);
	put_text(&w, VIEW(",\"account\":"), entry->account);
	put_text(&w, VIEW(",\"batch\":"), unless_empty(entry->batch));
	if (entry->attempt >= 0)
		put_number(&w, VIEW(",\"attempt\":"), entry->attempt);
	put_text(&w, VIEW(",\"from\":"), entry->from);
	put_words(&w, VIEW(",\"subject\":"), entry->subject, WORDS_MAX);
	put_words(&w, VIEW(",\"message_id\":"), entry->message_id, WORDS_MAX);
	put_words(&w, VIEW(",\"envid\":"), entry->envid, WORDS_MAX);
	put_text(&w, VIEW(",\"server\":"), entry->server);
	if (entry->created > 0) {
		put_key(&w, VIEW(",\"created\":"));
		put_instant(&w, entry->created);
	}
	if (entry->size > 0)
		put_number(&w, VIEW(",\"size\":"), (int64_t)entry->size);
	if (entry->due > 0) {
		put_key(&w, VIEW(",\"due\":"));
		put_instant(&w, entry->due);
	}
	put_text(&w, VIEW(",\"then\":"), entry->then);
	put_text(&w, VIEW(",\"class\":"), entry->class);
	put_words(&w, VIEW(",\"recipient\":"), entry->recipient, WORDS_MAX);
	put_words(&w, VIEW(",\"reporter\":"), entry->reporter, WORDS_MAX);
	put_words(&w, VIEW(",\"report_id\":"), entry->report_id, WORDS_MAX);
	put_words(&w, VIEW(",\"reason\":"), entry->reason, WORDS_MAX);
	if (entry->code > 0)
		put_number(&w, VIEW(",\"code\":"), entry->code);
	put_text(&w, VIEW(",\"enhanced\":"), unless_empty(entry->enhanced));
	put_words(&w, VIEW(",\"reply\":"), unless_empty(entry->reply), WORDS_MAX);
	if (entry->recipient_count > 0)
		put_recipients(&w, entry);
	end_line(journal, &w);
}

int
journal_write(struct journal *journal)
{
	if (journal->failure == 0 &&
	    fs_write(journal->fd, journal->pending.s, journal->pending.len) < 0)
		journal->failure = errno;
	buf_clear(&journal->pending);
	errno = journal->failure;
	return journal->failure == 0 ? 0 : -1;
}

int
journal_sync(struct journal *journal)
{
	if (journal_write(journal) < 0)
		return -1;
	if (!journal->unsynced)
		return 0;
	if (fdatasync(journal->fd) < 0) {
		journal->failure = errno;
		return -1;
	}
	journal->unsynced = false;
	return 0;
}

void
journal_close(struct journal *journal)
{
	/* One that was only zeroed, never created, must not close stdin. */
	if (journal->pending.s == NULL)
		return;
	auto_close_fd(&journal->fd);
	buf_release(&journal->pending);
}
