/* The sums in memory. */
#include <stdlib.h>
#include <string.h>

#include "spool/journal/totals_private.h"

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
	raise_to(&totals->told, floor->told);
	raise_to(&totals->refused, floor->refused);
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
