/* The sums in memory, and the file that they are kept in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/record.h"
#include "spool/totals_private.h"

/*
 *	mailq-totals 1
 *	boot TEXT
 *	spool CORRUPT RECOVERIES COMPLETED PUT-BACK UNCERTAIN CHECKSUM
 *	account ACCOUNT SENT FAILED DEFERRED LIMITED UNCERTAIN ATTEMPTS MICROSECONDS LATENCY... CHECKSUM
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
#define ACCOUNT_NUMBERS (TOTAL_COUNT + 1 + TOTALS_BOUNDS + 1)
#define SPOOL_NUMBERS (2 + RECOVERED_COUNT)

/* ---- accounts ---------------------------------------------------------------------------- */

/* Encoded texts in the order of bytes: the order of lines. */
static int
compare_encoded(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/* Whether these bytes are the one encoding of a text: what stands in lanes, and in our file. */
static bool
is_encoded(const char *encoded, size_t len)
{
	char copy[LANE_PART_MAX + 1], plain[LANE_PART_MAX + 1], again[LANE_PART_MAX + 1];

	if (len == 0 || len > LANE_PART_MAX)
		return false;
	memcpy(copy, encoded, len);
	copy[len] = '\0';
	return name_decode(copy, plain) == 0 && name_encode(plain, LANE_PART_MAX, again) == 0 &&
	    strcmp(copy, again) == 0;
}

static struct totals_account *
insert_account(struct totals *totals, size_t at, const char *encoded, size_t len)
{
	struct totals_account *account;

	totals->accounts =
	    xreallocarray(totals->accounts, totals->account_count + 1, sizeof *totals->accounts);
	account = &totals->accounts[at];
	memmove(account + 1, account, (totals->account_count++ - at) * sizeof *account);
	memset(account, 0, sizeof *account);
	memcpy(account->encoded, encoded, len);
	name_decode(account->encoded, account->account);
	return account;
}

struct totals_account *
totals_account(struct totals *totals, const char *encoded, size_t len)
{
	size_t low = 0, high = totals->account_count;
	bool is_other = compare_encoded(encoded, len, TOTALS_OTHER, strlen(TOTALS_OTHER)) == 0;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct totals_account *account = &totals->accounts[middle];
		int order =
		    compare_encoded(encoded, len, account->encoded, strlen(account->encoded));

		if (order == 0)
			return account;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	if (!is_other && (totals->account_count >= TOTALS_ACCOUNTS || !is_encoded(encoded, len)))
		return totals_account(totals, TOTALS_OTHER, strlen(TOTALS_OTHER));
	return insert_account(totals, low, encoded, len);
}

static void
raise_to(uint64_t *number, uint64_t floor)
{
	if (*number < floor)
		*number = floor;
}

/* What is told is how many took up to a bound: these sums are the counters. */
static void
raise_latency(uint64_t *latency, const uint64_t *floor)
{
	uint64_t sum = 0, floor_sum = 0, told = 0;

	for (size_t i = 0; i <= TOTALS_BOUNDS; i++) {
		uint64_t before = told;

		sum += latency[i];
		floor_sum += floor[i];
		told = sum > floor_sum ? sum : floor_sum;
		latency[i] = told - before;
	}
}

void
totals_raise(struct totals *totals, const struct totals *floor)
{
	raise_to(&totals->corrupt, floor->corrupt);
	raise_to(&totals->recoveries, floor->recoveries);
	for (size_t i = 0; i < RECOVERED_COUNT; i++)
		raise_to(&totals->recovered[i], floor->recovered[i]);
	for (size_t i = 0; i < floor->account_count; i++) {
		const struct totals_account *from = &floor->accounts[i];
		struct totals_account *to =
		    totals_account(totals, from->encoded, strlen(from->encoded));

		for (size_t k = 0; k < TOTAL_COUNT; k++)
			raise_to(&to->n[k], from->n[k]);
		raise_latency(to->latency, from->latency);
		raise_to(&to->latency_sum, from->latency_sum);
	}
}

void
totals_release(struct totals *totals)
{
	free(totals->accounts);
	*totals = (struct totals){ 0 };
}

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

static bool
parse_account(char *line, struct totals *totals)
{
	uint64_t numbers[ACCOUNT_NUMBERS];
	char plain[LANE_PART_MAX + 1];
	char *name = take_word(&line);
	struct totals_account *account;

	if (name == NULL || strlen(name) > LANE_PART_MAX || name_decode(name, plain) < 0 ||
	    !take_numbers(&line, numbers, ACCOUNT_NUMBERS))
		return false;
	account = totals_account(totals, name, strlen(name));
	memcpy(account->n, numbers, sizeof account->n);
	account->latency_sum = numbers[TOTAL_COUNT];
	memcpy(account->latency, numbers + TOTAL_COUNT + 1, sizeof account->latency);
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
	size_t n = strlen(line);

	if (strncmp(line, "spool ", 6) != 0 && strncmp(line, "account ", 8) != 0)
		return true;
	if (!is_whole(line, n, " ", ""))
		return false;
	line[n - SUM_SIZE] = '\0';
	return line[0] == 's' ? parse_spool(line + 6, totals) : parse_account(line + 8, totals);
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
	struct stat st;
	bool good;

	ledger->fd =
	    openat(spool->root, TOTALS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (ledger->fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(ledger->fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return -1;
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

	if (fstatat(spool->root, TOTALS_FILE, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && ledger->fd < 0;
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
		    write_numbers(out, account->n, TOTAL_COUNT) < 0 ||
		    write_numbers(out, &account->latency_sum, 1) < 0 ||
		    write_numbers(out, account->latency, TOTALS_BOUNDS + 1) < 0 ||
		    end_sums(out, from) < 0)
			return -1;
	}
	return 0;
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
	return fs_replace_file(spool->root, TOTALS_FILE, out.s, out.len, 0660);
}
