/* The file that the sums are kept in, and which journals they are of. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/journal/totals_private.h"
#include "spool/store/own.h"
#include "spool/store/record.h"

/*
 *	mailq-totals 1
 *	boot TEXT
 *	spool CORRUPT RECOVERIES COMPLETED PUT-BACK UNCERTAIN CHECKSUM
 *	account ACCOUNT SENT FAILED DEFERRED LIMITED UNCERTAIN ATTEMPTS MICROSECONDS LATENCY... CHECKSUM
 *	bounces ACCOUNT HARD SOFT CHECKSUM	(where there were any)
 *	exchange TOLD REFUSED CHECKSUM
 *	log TOKEN BYTES		(closed; "open" while somebody may write to it)
 *	end CHECKSUM
 *
 * The lines with sums have checksums of their own, so that of a damaged file as many as possible are
 * not lost.
 */
#define HEAD "mailq-totals 1\n"
#define END_SIZE (sizeof("end 0123456789abcdef\n") - 1)
#define SUM_SIZE (sizeof(" 0123456789abcdef") - 1)
#define FILE_MAX_SIZE ((size_t)256 * 1024 * 1024)
/* Bounces, which came later, have a line of their own. */
#define ACCOUNT_TOTALS ((size_t)TOTAL_BOUNCED_HARD)
#define BOUNCE_TOTALS ((size_t)TOTAL_COUNT - ACCOUNT_TOTALS)
#define ACCOUNT_NUMBERS (ACCOUNT_TOTALS + 1 + TOTALS_BOUNDS + 1)
#define EXCHANGE_NUMBERS 2
#define SPOOL_NUMBERS (2 + RECOVERED_COUNT)

/* ---- journals ---------------------------------------------------------------------------- */

static size_t
slot_of(const struct ledger *ledger, const char *token)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	size_t slot;

	for (const char *p = token; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	slot = (hash ^ hash >> 15) & (ledger->slot_count - 1);
	while (ledger->slots[slot] != 0 &&
	    strcmp(ledger->journals[ledger->slots[slot] - 1].token, token) != 0)
		slot = (slot + 1) & (ledger->slot_count - 1);
	return slot;
}

static void
index_journals(struct ledger *ledger, size_t room)
{
	size_t slots = 64;

	while (slots < 2 * room)
		slots *= 2;
	free(ledger->slots);
	ledger->slots = xcalloc(slots, sizeof *ledger->slots);
	ledger->slot_count = slots;
	for (size_t i = 0; i < ledger->count; i++)
		ledger->slots[slot_of(ledger, ledger->journals[i].token)] = (uint32_t)i + 1;
}

struct tracked *
ledger_find(const struct ledger *ledger, const char *token)
{
	uint32_t place = ledger->slot_count > 0 ? ledger->slots[slot_of(ledger, token)] : 0;

	return place > 0 ? &ledger->journals[place - 1] : NULL;
}

struct tracked *
ledger_track(struct ledger *ledger, const char *token)
{
	struct tracked *journal = ledger_find(ledger, token);

	if (journal != NULL)
		return journal;
	if (ledger->count == ledger->room) {
		ledger->room = ledger->room > 0 ? 2 * ledger->room : 64;
		ledger->journals =
		    xreallocarray(ledger->journals, ledger->room, sizeof *ledger->journals);
		index_journals(ledger, ledger->room);
	}
	journal = &ledger->journals[ledger->count++];
	*journal = (struct tracked){ .offset = 0 };
	snprintf(journal->token, sizeof journal->token, "%s", token);
	ledger->slots[slot_of(ledger, token)] = (uint32_t)ledger->count;
	return journal;
}

void
ledger_prune(struct ledger *ledger, bool (*gone)(const char *token, void *arg), void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < ledger->count; i++)
		if (ledger->journals[i].seen || !gone(ledger->journals[i].token, arg))
			ledger->journals[kept++] = ledger->journals[i];
	if (kept == ledger->count)
		return;
	ledger->count = kept;
	index_journals(ledger, ledger->room);
}

void
ledger_release(struct ledger *ledger)
{
	totals_release(&ledger->totals);
	totals_release(&ledger->floor);
	free(ledger->journals);
	free(ledger->slots);
	auto_close_fd(&ledger->fd);
	*ledger = (struct ledger)LEDGER_INIT;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Whether the n bytes end with the checksum of what is before it, between these two. */
static bool
is_whole(const char *bytes, size_t n, const char *before, const char *behind)
{
	char want[32];
	size_t size = strlen(before) + 16 + strlen(behind);

	if (n < size)
		return false;
	snprintf(want, sizeof want, "%s%016" PRIx64 "%s", before, checksum_of(bytes, n - size),
	    behind);
	return memcmp(bytes + n - size, want, size) == 0;
}

/* The next word of a line; NULL at its end. */
static char *
take_word(char **line)
{
	char *word = *line, *end;

	if (word == NULL || *word == '\0')
		return NULL;
	end = strchr(word, ' ');
	*line = end != NULL ? end + 1 : NULL;
	if (end != NULL)
		*end = '\0';
	return word;
}

static bool
take_numbers(char **line, uint64_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *word = take_word(line);

		if (word == NULL || num_u64(word, 0, UINT64_MAX, &ret[i]) < 0)
			return false;
	}
	return true;
}

/* The account of a line and its numbers; NULL where the line is not of this form. */
static struct totals_account *
take_account(char *line, struct totals *totals, uint64_t *ret, size_t n)
{
	char plain[LANE_PART_MAX + 1];
	char *name = take_word(&line);

	if (name == NULL || strlen(name) > LANE_PART_MAX || name_decode(name, plain) < 0 ||
	    !take_numbers(&line, ret, n))
		return NULL;
	return totals_account(totals, name, strlen(name));
}

static bool
parse_account(char *line, struct totals *totals)
{
	uint64_t numbers[ACCOUNT_NUMBERS];
	struct totals_account *account = take_account(line, totals, numbers, ACCOUNT_NUMBERS);

	if (account == NULL)
		return false;
	memcpy(account->n, numbers, ACCOUNT_TOTALS * sizeof numbers[0]);
	account->latency_sum = numbers[ACCOUNT_TOTALS];
	memcpy(account->latency, numbers + ACCOUNT_TOTALS + 1, sizeof account->latency);
	return true;
}

static bool
parse_bounces(char *line, struct totals *totals)
{
	uint64_t numbers[BOUNCE_TOTALS];
	struct totals_account *account = take_account(line, totals, numbers, BOUNCE_TOTALS);

	if (account == NULL)
		return false;
	memcpy(account->n + ACCOUNT_TOTALS, numbers, sizeof numbers);
	return true;
}

static bool
parse_exchange(char *line, struct totals *totals)
{
	uint64_t numbers[EXCHANGE_NUMBERS];

	if (!take_numbers(&line, numbers, EXCHANGE_NUMBERS))
		return false;
	totals->told = numbers[0];
	totals->refused = numbers[1];
	return true;
}

static bool
parse_spool(char *line, struct totals *totals)
{
	uint64_t numbers[SPOOL_NUMBERS];

	if (!take_numbers(&line, numbers, SPOOL_NUMBERS))
		return false;
	totals->corrupt = numbers[0];
	totals->recoveries = numbers[1];
	memcpy(totals->recovered, numbers + 2, sizeof totals->recovered);
	return true;
}

/* A line with sums, whose checksum is looked at first.  Any other is none of its business. */
static bool
parse_sums(char *line, struct totals *totals)
{
	static const struct {
		struct view word;
		bool (*parse)(char *line, struct totals *totals);
	} kinds[] = { { VIEW("spool "), parse_spool }, { VIEW("account "), parse_account },
		{ VIEW("bounces "), parse_bounces }, { VIEW("exchange "), parse_exchange } };
	size_t n = strlen(line);

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strncmp(line, kinds[i].word.s, kinds[i].word.len) != 0)
			continue;
		if (!is_whole(line, n, " ", ""))
			return false;
		line[n - SUM_SIZE] = '\0';
		return kinds[i].parse(line + kinds[i].word.len, totals);
	}
	return true;
}

static bool
parse_journal(char *line, struct ledger *ledger)
{
	char *kind = take_word(&line), *token = take_word(&line);
	struct tracked *journal;
	uint64_t offset;

	if (kind == NULL || token == NULL || strlen(token) >= TOKEN_SIZE ||
	    !take_numbers(&line, &offset, 1) || offset > INT64_MAX)
		return false;
	journal = ledger_track(ledger, token);
	journal->offset = (int64_t)offset;
	journal->closed = strcmp(kind, "log") == 0;
	return true;
}

static bool
parse_line(char *line, struct ledger *ledger)
{
	if (strncmp(line, "boot ", 5) == 0) {
		snprintf(ledger->boot, sizeof ledger->boot, "%s", line + 5);
		return true;
	}
	if (strncmp(line, "log ", 4) == 0 || strncmp(line, "open ", 5) == 0)
		return parse_journal(line, ledger);
	return parse_sums(line, &ledger->totals);
}

/* Parses each line.  False where one is not as it should be. */
static bool
parse_lines(char *line, const char *stop, struct ledger *ledger)
{
	bool good = true;
	char *end;

	for (; line < stop; line = end + 1) {
		end = memchr(line, '\n', (size_t)(stop - line));
		if (end == NULL)
			return false;
		*end = '\0';
		good = strlen(line) == (size_t)(end - line) && parse_line(line, ledger) && good;
	}
	return good;
}

/* What a damaged file says of journals cannot be relied on: all are summed anew. */
static void
keep_floor(struct ledger *ledger)
{
	struct totals sums = ledger->totals;
	int fd = take_fd(&ledger->fd);

	ledger->totals = (struct totals){ 0 };
	ledger_release(ledger);
	ledger->floor = sums;
	ledger->fd = fd;
	ledger->damaged = true;
}

int
ledger_load(struct ledger *ledger, const struct spool *spool)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX_SIZE);
	size_t head = strlen(HEAD);
	bool good;

	ledger->fd = fs_open(spool->root, TOTALS_FILE, O_RDONLY, 0);
	if (ledger->fd < 0) {
		ledger->damaged = fs_is_foreign();
		return errno == ENOENT || ledger->damaged ? 0 : -1;
	}
	if (fs_read_all(ledger->fd, &text) < 0)
		return -1;
	good = text.len >= head + END_SIZE && strncmp(text.s, HEAD, head) == 0 &&
	    is_whole(text.s, text.len, "end ", "\n");
	if (good)
		text.len -= END_SIZE;
	if (!parse_lines(text.s + (good ? head : 0), text.s + text.len, ledger) || !good)
		keep_floor(ledger);
	return 0;
}

bool
ledger_is_current(const struct ledger *ledger, const struct spool *spool)
{
	struct stat mine, named;
	char text[64];

	if (fstatat(spool->root, TOTALS_FILE, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && ledger->fd < 0;
	if (own_fault(spool->root, &named, text) != NULL)
		return ledger->fd < 0;
	return ledger->fd >= 0 && fstat(ledger->fd, &mine) == 0 && mine.st_ino == named.st_ino &&
	    mine.st_dev == named.st_dev;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Ends the line that begins at from. */
static int
end_sums(struct buf *out, size_t from)
{
	return buf_addf(out, " %016" PRIx64 "\n", checksum_of(out->s + from, out->len - from));
}

static int
write_numbers(struct buf *out, const uint64_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf_addf(out, " %" PRIu64, numbers[i]) < 0)
			return -1;
	return 0;
}

static int
write_bounces(struct buf *out, const struct totals_account *account)
{
	size_t from = out->len;

	if (account->n[TOTAL_BOUNCED_HARD] + account->n[TOTAL_BOUNCED_SOFT] == 0)
		return 0;
	if (buf_addf(out, "bounces %s", account->encoded) < 0 ||
	    write_numbers(out, account->n + ACCOUNT_TOTALS, BOUNCE_TOTALS) < 0)
		return -1;
	return end_sums(out, from);
}

static int
write_totals(struct buf *out, const struct totals *totals)
{
	size_t from = out->len;

	if (buf_addf(out, "spool %" PRIu64 " %" PRIu64, totals->corrupt, totals->recoveries) < 0 ||
	    write_numbers(out, totals->recovered, RECOVERED_COUNT) < 0 || end_sums(out, from) < 0)
		return -1;
	for (size_t i = 0; i < totals->account_count; i++) {
		const struct totals_account *account = &totals->accounts[i];

		from = out->len;
		if (buf_addf(out, "account %s", account->encoded) < 0 ||
		    write_numbers(out, account->n, ACCOUNT_TOTALS) < 0 ||
		    write_numbers(out, &account->latency_sum, 1) < 0 ||
		    write_numbers(out, account->latency, TOTALS_BOUNDS + 1) < 0 ||
		    end_sums(out, from) < 0 || write_bounces(out, account) < 0)
			return -1;
	}
	from = out->len;
	if (buf_addf(out, "exchange %" PRIu64 " %" PRIu64, totals->told, totals->refused) < 0)
		return -1;
	return end_sums(out, from);
}

int
ledger_store(const struct ledger *ledger, const struct spool *spool)
{
	AUTO_BUF struct buf out = BUF_INIT(FILE_MAX_SIZE);

	if (buf_addf(&out, HEAD "boot %s\n", ledger->boot) < 0 ||
	    write_totals(&out, &ledger->totals) < 0)
		return -1;
	for (size_t i = 0; i < ledger->count; i++) {
		const struct tracked *journal = &ledger->journals[i];

		if (buf_addf(&out, "%s %s %" PRId64 "\n", journal->closed ? "log" : "open",
			journal->token, journal->offset) < 0)
			return -1;
	}
	if (buf_addf(&out, "end %016" PRIx64 "\n", checksum_of(out.s, out.len)) < 0)
		return -1;
	return own_replace(spool, spool->root, "", TOTALS_FILE, out.s, out.len);
}
