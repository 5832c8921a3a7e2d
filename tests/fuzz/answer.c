/* What the application answers to reports: what it rejects, and what it asks for. */
#include "fuzz.h"

#include "base/utf8.h"
#include "cmd/exchange/private.h"

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
	struct err err = ERR_INIT;

	if (exchange_answer_read(copy, n, &answer, &err) < 0) {
		FUZZ_CHECK(err.code == EX_PROTOCOL);
		return;
	}
	FUZZ_CHECK(utf8_valid(answer.words, strlen(answer.words)));
	for (size_t i = 0; i < answer.n; i++)
		FUZZ_CHECK(exchange_answer_rejects(&answer, answer.ids[i]));
}
