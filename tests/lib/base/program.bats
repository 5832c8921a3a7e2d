# What every program does before and after its own work.

load ../../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

programs() {
	basename -s .c -a "$MAILQ_TOP"/cmd/mailq-*.c
}

@test "output that cannot be written is a failure" {
	for program in $(programs); do
		run -74 --separate-stderr bash -c "$program --help >/dev/full"
		assert_match "$stderr" "^$program: standard output: No space left on device"
	done
	run -74 --separate-stderr bash -c 'mailq-status --json >/dev/full'
	assert_match "$stderr" '^mailq-status: standard output: '
}

@test "a reader that has seen enough is no news" {
	mkfifo pipe
	exec 8<>pipe 9>pipe 8<&-
	run -74 --separate-stderr bash -c 'mailq-status --json >&9'
	assert_equal "$stderr" ''
	exec 9>&-
}

@test "closed descriptors do not become files of the spool" {
	printf 'From: a@b.example\nTo: a@b.example\n\nx\n' >message
	run bash -c 'mailq-add -t <message >&- 2>&-'
	[ "$status" -eq 0 ] || [ "$status" -eq 74 ]
	run bash -c 'mailq-run >&- 2>&- <&-'
	[ "$status" -eq 0 ]
	# Nothing that programs print has landed in a file.
	run grep -rlE '^mailq-(add|run|status): |[0-9] sent' "$MAILQ_SPOOL"
	assert_equal "$output" ''
}

@test "files are for their owner alone, whatever the umask" {
	(
		umask 000
		mailq-add --from a@b.example --to a@b.example --subject x --body y
	)
	run find "$MAILQ_SPOOL" -perm /077 ! -type l
	assert_equal "$output" ''
}

@test "-q prints errors only, -v says more" {
	run -64 --separate-stderr mailq-status -q no-such-command
	assert_match "$stderr" "unknown command 'no-such-command'"
	run -0 --separate-stderr mailq-run -q
	assert_equal "$stderr" ''
}
