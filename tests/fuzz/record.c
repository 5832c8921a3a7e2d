/* The record before a message's text (spool/store/record.h): what is read is written the same. */
#include "fuzz.h"

#include "spool/store/record.h"

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	AUTO_BUF struct buf out = BUF_INIT(RECORD_MAX), twice = BUF_INIT(RECORD_MAX);
	struct record record = { 0 }, again = { 0 };
	struct text_facts facts;
	char line[RECORD_FIRST_LINE + 1];
	struct err err = ERR_INIT;

	if (n >= RECORD_FIRST_LINE)
		FUZZ_CHECK(record_size(copy, &facts) <= RECORD_MAX);
	if (record_unpack(copy, n, &record, &err) < 0) {
		FUZZ_CHECK(err.code == EX_DATAERR);
		return;
	}
	record_total(&record);
	record_is_remote(&record);
	FUZZ_CHECK(record_pack(&record, &out, &err) == 0);
	record_first_line(record.size, &record.text, line);
	memcpy(out.s, line, RECORD_FIRST_LINE);
	FUZZ_CHECK(record_unpack(out.s, out.len, &again, &err) == 0);
	FUZZ_CHECK(record_pack(&again, &twice, &err) == 0);
	record_first_line(again.size, &again.text, line);
	memcpy(twice.s, line, RECORD_FIRST_LINE);
	FUZZ_CHECK(out.len == twice.len && memcmp(out.s, twice.s, out.len) == 0);
	record_release(&record);
	record_release(&again);
}
