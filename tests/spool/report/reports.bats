# Reports that the application has not acknowledged, as operators see it: the glance, the metrics, check, and what is
# kept for it.  Telling it: exchange.bats.

load ../../helpers/common

reporter=$MAILQ_BUILD/tests/tools/reporter

setup() {
	common_setup
	export MAILQ_CONFIG=$PWD/mailq.conf
	configure
}

teardown() {
	common_teardown
}

# configure [SETTING...]: mail goes to a Maildir, and an application is told, but not by mailq-run here
configure() {
	printf '%s\n' 'sync: { url = "http://127.0.0.1:9/never"; };' "$@" >"$MAILQ_CONFIG"
}

# deliver ID...
deliver() {
	local id

	for id; do
		mailq-add --id "$id" --from a@example.com --to b@example.org --subject "$id" --body x >added
	done
	mailq-run --now -q --no-sync --no-fetch
}

# Whether the log began in a second that is over.
second_is_over() {
	[ "$(date +%s)" -gt "$(basename "$(echo "$MAILQ_SPOOL"/log/*.log)" | cut -d. -f1)" ]
}

# reports MEMBER: of the glance
reports() {
	mailq-status --json | jq -r ".reports.$1"
}

metric() {
	mailq-status metrics | awk -v name="$1" '$1 == name { print $2 }'
}

@test "the glance and the metrics tell how many wait, were rejected and are set aside" {
	deliver a b c
	run mailq-status
	assert_match "$output" 'reports +3 not acknowledged, the oldest [0-9.]+m?s old'
	assert_equal "$(reports waiting) $(reports rejected) $(reports dead)" "3 0 0"
	[ "$(reports oldest)" != null ]
	assert_equal "$(metric mailq_reports_waiting)" 3
	[ "$(metric mailq_reports_oldest_seconds | cut -d. -f1)" -lt 1000 ]
	# b is rejected twice, and that is too often.
	run "$reporter" "$MAILQ_SPOOL" 100 2 2 </dev/null
	assert_status 0
	assert_equal "$(grep -c ^heard <<<"$output")" 2
	run mailq-status
	assert_match "$output" 'reports +1 not acknowledged, .*, 1 rejected before|reports +0 not acknowledged; 1 set aside'
	until [ "$(reports waiting)" = 0 ]; do
		"$reporter" "$MAILQ_SPOOL" 100 1 2 </dev/null >told
	done
	run mailq-status
	assert_match "$output" 'reports +0 not acknowledged; 1 set aside \("mailq-run --resend-reports" sends them again\)'
	assert_equal "$(metric mailq_reports_waiting) $(metric mailq_reports_dead)" "0 1"
	assert_equal "$(metric mailq_reports_oldest_seconds)" 0.000000
	assert_equal "$(reports oldest)" null
}

@test "why the application cannot be told" {
	deliver a
	printf 'failures: 3\nuntil: %s.000000\nreason: 503 \033[31m\n' $(($(date +%s) + 100)) >"$MAILQ_SPOOL/reports/state"
	run mailq-status
	assert_match "$output" 'Reports failed 3 times in a row, next at .*: 503 '
	[[ $output != *$'\033'* ]]
	assert_equal "$(reports failures)" 3
	assert_equal "$(metric mailq_reports_failures)" 3
}

@test "without an application nothing is reported" {
	: >"$MAILQ_CONFIG"
	deliver a
	[ "$(ls "$MAILQ_SPOOL"/reports)" != '' ]
	run mailq-status
	[[ $output != *reports* ]]
	assert_equal "$(mailq-status --json | jq .reports)" null
	assert_equal "$(metric mailq_reports_waiting)" 0
	# Kept for a week; and for no longer than it is to be.
	[ "$(find "$MAILQ_SPOOL/reports" -name '*,*' | wc -l)" -eq 1 ]
	echo 'sync: { retention = "0s"; };' >"$MAILQ_CONFIG"
	mailq-run --now -q
	[ "$(find "$MAILQ_SPOOL/reports" -name '*,*' | wc -l)" -eq 0 ]
}

@test "what the application has not heard is not forgotten: logs, ids, failed messages" {
	deliver a
	wait_for second_is_over # logs are told apart by the second
	configure 'queue: { retention = "0s"; };'
	mailq-run --now -q --no-sync --no-fetch
	[ "$(find "$MAILQ_SPOOL/log" -name '*.log' | wc -l)" -eq 1 ]
	run -0 mailq-add --id a --from a@example.com --to b@example.org --subject a --body x
	assert_match "$output" 'duplicate id'
	"$reporter" "$MAILQ_SPOOL" 10 </dev/null >told
	mailq-run --now -q --no-sync --no-fetch
	[ "$(find "$MAILQ_SPOOL/log" -name '*.log' | wc -l)" -eq 0 ]
	run -0 mailq-add --id a --from a@example.com --to b@example.org --subject a --body x
	assert_equal "$output" a
}

@test "check names what is wrong in reports/, and sets aside what is damaged" {
	deliver a b
	run -0 mailq-status check
	"$reporter" "$MAILQ_SPOOL" 10 1 2 </dev/null >told
	run -0 mailq-status check
	touch "$MAILQ_SPOOL/reports/stray" "$MAILQ_SPOOL/reports/1.000000.aaaaaaaa,7"
	mkdir -p "$MAILQ_SPOOL/reports/again"
	echo '{"t":"2026-11-21T07:38:00.000000Z","event":"sent","id":"x"' >"$MAILQ_SPOOL/reports/again/1.000000.aaaaaaaa,3"
	run -65 mailq-status check
	assert_match "$output" 'reports/stray: is not part of it: expected TOKEN,OFFSET'
	assert_match "$output" 'reports/1.000000.aaaaaaaa,7: says that 7 bytes of a journal of 0 were reported'
	assert_match "$output" 'reports/again/1.000000.aaaaaaaa,3: is damaged: a line in it is not a report'
	run -65 mailq-status check --repair
	assert_match "$output" 'not a report; moved to corrupt/ \(repaired\)'
	[ -f "$MAILQ_SPOOL/corrupt/reports-1.000000.aaaaaaaa,3" ]
	rm "$MAILQ_SPOOL/reports/stray" "$MAILQ_SPOOL/reports/1.000000.aaaaaaaa,7"
	run -0 mailq-status check
}

@test "a damaged message that check sets aside is told" {
	deliver a
	mailq-add --id bad --from a@example.com --to b@example.org --subject bad --body x
	printf X | dd of="$(echo "$MAILQ_SPOOL"/waiting/*/*/*.bad)" bs=1 seek=100 conv=notrunc 2>dd
	run -0 mailq-status check --repair
	run "$reporter" "$MAILQ_SPOOL" 10 </dev/null
	assert_match "$output" 'a sent .*bad corrupt '
	[ -z "$(find "$MAILQ_SPOOL/reports" -name '*,*')" ]
}
