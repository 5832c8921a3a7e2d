# runs long: the tree is built with the sanitizers.
#
# Every unit test once more, and the seeds of the fuzzers, under the address and the undefined-behaviour sanitizers.

load ../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

@test "the unit tests and the seeds of the fuzzers hold under the sanitizers" {
	local failed= ran=0

	run make -C "${MAILQ_BUILD%/*}" -j2 SANITIZE=1 out="$BATS_TEST_TMPDIR/build-sanitize" test-programs
	assert_status 0
	for program in $(find build-sanitize/tests -name 'test_*' -type f); do
		[ -x "$program" ] && [[ $program != *.? ]] || continue
		run "$program"
		ran=$((ran + 1))
		[ "$status" -eq 0 ] || failed+="$program: ${output:0:4000}"$'\n'
	done
	[ "$ran" -eq "$(find "$MAILQ_TOP/tests" -name 'test_*.c' | wc -l)" ]
	[ -z "$failed" ] || fail "$failed"
	MAILQ_BUILD=$BATS_TEST_TMPDIR/build-sanitize run "$MAILQ_TOP/tests/checks/fuzz"
	assert_status 0
}
