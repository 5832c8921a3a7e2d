/* Names in a spool (spool/store/name.h): what is read is written the same. */
#include "fuzz.h"

#include "spool/store/name.h"

FUZZ(bytes, n)
{
	AUTO_FREE char *text = fuzz_text(bytes, n);
	AUTO_FREE char *plain = fuzz_text(bytes, n);
	char name[NAME_SIZE], bucket[BUCKET_SIZE], lane[LANE_MAX + 1], encoded[NAME_SIZE];
	struct message_name message;
	struct bucket_name of_bucket;
	struct lane of_lane;
	int64_t instant;

	if (message_name_parse(text, &message) == 0) {
		message_name_format(&message, name);
		FUZZ_CHECK(strcmp(name, text) == 0);
		FUZZ_CHECK(message_name_compare(&message, &message) == 0);
	}
	if (bucket_name_parse(text, &of_bucket) == 0) {
		bucket_name_format(&of_bucket, bucket);
		FUZZ_CHECK(strlen(bucket) <= strlen(text));
	}
	if (lane_parse(text, &of_lane) == 0 && lane_settled(text, lane) == 0) {
		char again[LANE_MAX + 1];

		FUZZ_CHECK(lane_format(of_lane.account, of_lane.batch, of_lane.domain, again) == 0);
		FUZZ_CHECK(strcmp(lane, again) == 0);
	}
	if (name_decode(text, plain) == 0 && strlen(text) < NAME_SIZE) {
		FUZZ_CHECK(name_encode(plain, NAME_SIZE - 1, encoded) == 0);
		FUZZ_CHECK(name_decode(encoded, name) == 0 && strcmp(name, plain) == 0);
	}
	if (name_encode(text, ID_TEXT_MAX, encoded) == 0) {
		FUZZ_CHECK(strlen(encoded) <= ID_TEXT_MAX && strchr(encoded, '/') == NULL);
		FUZZ_CHECK(name_decode(encoded, name) == 0 && strcmp(name, text) == 0);
	}
	instant_parse(text, &instant);
	id_made_at(text);
}
