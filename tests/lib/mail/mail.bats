# Composed messages, read by another's parser.

load ../../helpers/common

setup() {
	common_setup
	compose=$MAILQ_BUILD/tests/tools/compose
}

teardown() { common_teardown; }

@test "every field of random messages comes back through Python's email package" {
	mkdir out
	run "$MAILQ_TOP/tests/helpers/mail_roundtrip.py" "$compose" out 1 200
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "200 messages came back as they were" ]
}

@test "the same with a seed of today" {
	mkdir out
	run "$MAILQ_TOP/tests/helpers/mail_roundtrip.py" "$compose" out "$(date +%Y%m%d)" 100
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "neither libidn2 nor libmagic is loaded at the start" {
	local program

	for program in "$MAILQ_BUILD"/bin/*; do
		run ldd "$program"
		[ "$status" -eq 0 ]
		[[ $output != *libidn2.so* || $output == *libcurl* || $output == *libgnutls* ]]
		[[ $output != *libmagic* ]]
	done
}
