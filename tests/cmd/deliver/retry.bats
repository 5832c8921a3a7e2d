# How often and how long a message is tried, by its account and by itself, and what is told when it is
# failed: "retries exhausted" and "too old" are something else than "refused for good".

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# failed ID CLASS REASON: it is failed, on record once, of this class and for this reason
failed() {
	assert_equal "$(state "$1")" failed "state of $1"
	assert_equal "$(history_of failed "$1" | wc -l)" 1 "failed lines of $1"
	assert_equal "$(history_of failed "$1" | value class)" "$2" "class of $1"
	assert_match "$(history_of failed "$1" | value reason)" "$3"
}

# micros INSTANT: of a journal's line, in microseconds
micros() {
	echo $(($(date -d "${1%.*}Z" +%s) * 1000000 + 10#$(cut -c21-26 <<<"$1")))
}

# pauses ID: what lay between each deferral and the next attempt, in microseconds.  By the journal's
# own two instants, so that it does not matter how slow the machine is.
pauses() {
	local line

	history_of deferred "$1" | while read -r line; do
		echo $(($(micros "$(value due <<<"$line")") - $(micros "$(value t <<<"$line")")))
	done
}

# try ID TIMES: that many attempts, each as if its time had come
try() {
	local attempt

	for ((attempt = 1; attempt <= $2; attempt++)); do
		[ "$attempt" -eq 1 ] || due_now "$1"
		run_mailq
	done
}

# ---- the schedule ------------------------------------------------------------------------------

@test "the pauses of the schedule in turn, the last again and again, each within its jitter" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay exact "$port" 'retry = [ "1m", "5m", "1h" ]; retry_jitter = 0;')" \
		"$(relay loose "$port" 'retry = [ "1m", "5m", "1h" ]; retry_jitter = 20;')"
	for account in exact loose; do
		add --account $account --id $account
	done
	for attempt in 1 2 3 4 5; do
		[ "$attempt" -eq 1 ] || due_now exact loose
		run_mailq
		summary 'sent 0, deferred 2, failed 0'
	done
	wanted=(60 300 3600 3600 3600)
	# A line is written a moment after its pause was reckoned.
	mapfile -t got < <(pauses exact)
	assert_equal "${#got[@]}" 5
	for i in 0 1 2 3 4; do
		seconds=$(((got[i] + 999999) / 1000000))
		[ "$seconds" -le "${wanted[i]}" ] && [ "$seconds" -ge $((wanted[i] - 5)) ] ||
			fail "pause $((i + 1)): ${got[i]} us, expected ${wanted[i]} s"
	done
	mapfile -t got < <(pauses loose)
	for i in 0 1 2 3 4; do
		[ "${got[i]}" -le $((wanted[i] * 1200000)) ] && [ "${got[i]}" -ge $(((wanted[i] - 5) * 1000000)) ] ||
			fail "pause $((i + 1)) with jitter: ${got[i]} us, expected ${wanted[i]} s and up to 20 % more"
	done
	assert_equal "$(history_of deferred exact | value attempt | paste -sd' ')" '1 2 3 4 5'
}

@test "messages that were put off together come back apart" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'retry = [ "1000s" ]; retry_jitter = 50;')"
	add_ids M 20
	before=$(date +%s)
	run_mailq
	after=$(date +%s)
	for number in {1..20}; do
		at=$(due "M-$number")
		[ "$at" -ge $((before + 1000)) ] && [ "$at" -le $((after + 1501)) ] || fail "due $((at - before)) s later"
	done
	[ "$(find "$MAILQ_SPOOL/deferred" -type f -printf '%f\n' | cut -d. -f2 | sort -u | wc -l)" -gt 5 ]
}

@test "nothing is tried before its time" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'retry = [ "1h" ];')"
	add --id M
	run_mailq
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_saw server '> DATA' 1
}

# ---- given up ----------------------------------------------------------------------------------

@test "refused for good: at once, and of the class refused" {
	start_script server port 'dot=550 5.7.1 we do not want this'
	accounts "$(relay main "$port" 'max_attempts = 5;')"
	add --id M --max-attempts 5
	run_mailq
	summary 'sent 0, deferred 0, failed 1'
	failed M refused '^550 5\.7\.1 we do not want this$'
	run -0 mailq-status show M
	assert_match "$output" '550 5\.7\.1 we do not want this'
	[[ $output != *'failed after'* ]]
}

@test "attempts are used up: of the class exhausted, with the last reply" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'max_attempts = 3;')"
	add --id M
	try M 2
	assert_equal "$(state M)" deferred
	due_now M
	run_mailq
	failed M exhausted '^failed after 3 attempts \(max_attempts\); last: 451 4\.3\.0 later$'
	assert_saw server '> DATA' 3
	run -0 mailq-status show M
	assert_match "$output" 'failed after 3 attempts \(max_attempts\); last: 451 4\.3\.0 later'
	# One more because an operator wants it, and no more.
	mailq-status retry M
	run_mailq
	summary 'sent 0, deferred 0, failed 1'
	assert_saw server '> DATA' 4
	assert_match "$(history_of failed M | tail -n 1 | value reason)" '^failed after 4 attempts'
}

@test "a message's own max_attempts goes before its account's" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'max_attempts = 2;')" "$(relay free "$port")"
	add --id fewer --max-attempts 1
	add --id more --max-attempts 3
	echo '{"id":"json","account_id":"free","to":"to@example.org","subject":"s","body":"b","max_attempts":1}' |
		mailq-add --json
	# What holds for all of a JSON input, and one that says otherwise.
	printf '{"id":"%s","account_id":"free","to":"to@example.org","subject":"s","body":"b"%s}\n' \
		all '' own ',"max_attempts":3' | mailq-add --json --max-attempts 2
	run_mailq
	summary 'sent 0, deferred 3, failed 2'
	failed fewer exhausted '^failed after 1 attempt \(max_attempts\)'
	run -0 mailq-status show more
	assert_match "$output" 'max attempts +3'
	run -0 mailq-status show more --json
	assert_equal "$(value max_attempts <<<"$output")" 3
	failed json exhausted '^failed after 1 attempt \(max_attempts\)'
	due_now more all own
	run_mailq
	summary 'sent 0, deferred 2, failed 1'
	failed all exhausted '^failed after 2 attempts'
	due_now more own
	run_mailq
	failed more exhausted '^failed after 3 attempts'
	failed own exhausted '^failed after 3 attempts'
}

# older_than ID SECONDS: by the instant at which it was accepted
older_than() {
	local created

	created=$(grep -a -m 1 '^created: ' "$(find "$MAILQ_SPOOL" -type f -name "*.$1" -print -quit)")
	[ "$(date +%s)" -gt $((${created//[^0-9]/} / 1000000 + $2)) ]
}

# expiry ID: its own, in seconds
expiry() {
	sed -n 's/^expires: \([0-9]*\)\..*/\1/p' "$(find "$MAILQ_SPOOL" -type f -name "*.$1" -print -quit)"
}
is_past() { [ "$(date +%s)" -gt "$1" ]; }

@test "too old by its account: a last attempt when it expires, then the class expired" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'expires = "1h"; retry = [ "1d" ];')"
	add --id M
	run_mailq
	assert_equal "$(state M)" deferred
	# Not after a day: at the end of the hour.
	created=$(history_of deferred M | value created)
	assert_equal "$(($(micros "$(history_of deferred M | value due)") - $(micros "$created")))" 3600000000
	# It is older than it may be when that attempt is made.
	accounts "$(relay main "$port" 'expires = "1s"; retry = [ "1d" ];')"
	wait_for older_than M 1
	due_now M
	run_mailq
	failed M expired '^failed: not delivered within 1s \(expires\), attempts: 2; last: 451 4\.3\.0 later$'
	assert_saw server '> DATA' 2
	run -0 mailq-status show M
	assert_match "$output" 'failed: not delivered within 1s \(expires\)'
}

# after SPAN COMMAND...: as if so much time had gone by, or the clock were wrong by that
after() {
	local span=$1

	shift
	FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 faketime -f "$span" "$@"
}

@test "what could not be tried for longer than expires is tried, and has its time then" {
	start_script server port 'dot#1-15=451 4.3.0 later'
	start_script dead dead_port 'connect=554 5.7.1 go away'
	accounts "$(relay main "$port" 'expires = "5d";')" "$(relay other "$port" 'expires = "5d";')" \
		"$(relay parked "$dead_port" 'expires = "5d";')"
	add --id held
	mailq-status hold held
	add --id suspended --account other
	mailq-rules suspend --account other --reason test
	add --id parked --account parked
	after -6d mailq-add --id slow-clock --to to@example.org --subject s --body b
	after -20y mailq-add --id year-ago --to to@example.org --subject s --body b
	add --id idle
	# An account that rests: no attempt was made, and its time has not gone by.
	for days in 6 7; do
		after "+${days}d" mailq-status release held || :
		after "+${days}d" mailq-rules activate --account other
		after "+${days}d" mailq-run --now
	done
	assert_equal "$(history_of failed | wc -l)" 0
	assert_equal "$(state parked)" waiting
	for id in held suspended slow-clock year-ago idle; do
		assert_equal "$(state "$id")" deferred "state of $id"
	done
	# The second attempt is not the last one.
	after +8d mailq-run
	assert_equal "$(history_of failed | wc -l)" 0
	accounts "$(relay main "$port")" "$(relay other "$port")" "$(relay parked "$port")"
	after +13d mailq-run --now
	assert_equal "$(history_of failed | wc -l)" 0
	assert_equal "$(history_of sent | wc -l)" 6
}

@test "a clock that was ahead for one cycle puts off nothing when it is right again" {
	for jump in +1d +10y; do
		start_script "server$jump" port 'dot#1=451 4.3.0 later'
		accounts "$(relay main "$port" 'retry = [ "1m" ];')"
		rm -rf "$MAILQ_SPOOL"
		add --id asked --at +20d
		add --id M
		run -0 --separate-stderr after "$jump" mailq-run --id M
		assert_equal "$output" 'sent 0, deferred 1, failed 0'
		assert_equal "$(state M)" deferred
		run_mailq
		summary 'sent 1, deferred 0, failed 0'
		run_mailq
		assert_equal "$(state asked)" deferred
		assert_equal "$(saw "server$jump" '> DATA')" 2
	done
	# A look at what lies ahead costs nothing: no bucket of it is entered.
	start_script later port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'retry = [ "1h" ];')"
	add_ids L 5
	run_mailq
	summary 'sent 0, deferred 5, failed 0'
	find "$MAILQ_SPOOL/deferred/default" -name '2.*.r' | grep -q .
	strace -f -qq -e trace=openat -o trace mailq-run
	grep -q '"default"' trace
	run -1 grep '\.r"' trace
}

@test "its own expiry goes before its account's" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'expires = "1s"; retry = [ "30m" ];')"
	add --id M --expires +3h
	echo "{\"id\":\"J\",\"to\":\"to@example.org\",\"subject\":\"s\",\"body\":\"b\",\"expires_ts\":$(($(date +%s) + 10800))}" |
		mailq-add --json
	wait_for older_than J 1
	run_mailq
	summary 'sent 0, deferred 2, failed 0'
}

@test "the last attempt is a minute before its own expiry, and where that is past there is none" {
	start_script server port 'dot=451 4.3.0 later'
	accounts "$(relay main "$port" 'retry = [ "2h" ];')"
	add --id early --expires +1h
	add --id late --expires +50s
	run_mailq
	summary 'sent 0, deferred 1, failed 1'
	assert_equal "$(due early)" $(($(expiry early) - 60))
	failed late expired "^failed: no further attempt before 2.*Z \\(the message's own expiry\\), attempts: 1; last: 451 4\.3\.0 later\$"
}

@test "from its own expiry on it is not sent, whoever was late, but when an operator wants it" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --id new --expires +3s
	add --id tried --expires +3s
	# As if it had been put off once, until now.
	file=$(find "$MAILQ_SPOOL/waiting" -type f -name '*.tried')
	mv "$file" "${file%.0.*.tried}.1.$(cut -d. -f5 <<<"${file##*/}").tried"
	wait_for is_past "$(expiry tried)"
	run_mailq
	summary 'sent 0, deferred 0, failed 2'
	failed new expired '^expired before it could be sent$'
	failed tried expired '^expired before its next attempt$'
	assert_equal "$(kept server)" 0
	run -0 mailq-status show tried
	assert_match "$output" 'expired before its next attempt'
	mailq-status retry new tried
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
}

@test "an expiry that is past, or comes before the message may be sent, is refused" {
	for row in '2001-01-01T00:00:a time in the future, found 2001-01-01T00:00:00Z' '0:a time in the future, found 1970'; do
		run -65 --separate-stderr mailq-add --to a@example.org --subject s --body b --expires "${row%:a *}"
		assert_match "$stderr" "^mailq-add: --expires: expected a ${row##*:a }"
	done
	run -65 --separate-stderr mailq-add --to a@example.org --subject s --body b --at +2h --expires +1h
	assert_match "$stderr" '^mailq-add: --expires: expected a time after .*, before which the message is not sent'
	run -64 mailq-add --to a@example.org --subject s --body b --expires teatime
	run -64 mailq-add --to a@example.org --subject s --body b --max-attempts 0
	run -65 --separate-stderr mailq-add --json <<-END
		{"to":"a@example.org","subject":"s","body":"b","expires_ts":1000000000}
		{"to":"a@example.org","subject":"s","body":"b","deferred_ts":4000000000,"expires_ts":3999999999}
		{"to":"a@example.org","subject":"s","body":"b","max_attempts":0}
		{"to":"a@example.org","subject":"s","body":"b","expires_ts":"soon"}
	END
	assert_match "$stderr" 'line 1: messages\[0\]\.expires_ts: expected a time in the future, found 2001-09-09T01:46:40Z'
	assert_match "$stderr" 'line 2: messages\[1\]\.expires_ts: expected a time after 2096-10-02T07:06:40Z'
	assert_match "$stderr" 'line 3: messages\[2\]\.max_attempts: expected 1 to 1000000'
	assert_match "$stderr" 'line 4: messages\[3\]\.expires_ts: value is not a valid integer'
	# Of two sources: the option is for all, the message says otherwise.
	run -65 --separate-stderr mailq-add --json --expires +1h <<-END
		{"to":"a@example.org","subject":"s","body":"b","deferred_ts":4000000000}
	END
	assert_match "$stderr" 'messages\[0\]\.expires_ts: expected a time after 2096'
	[ -z "$(find "$MAILQ_SPOOL/waiting" "$MAILQ_SPOOL/deferred" -type f)" ]
}

# ---- several recipients, and uncertain ones ----------------------------------------------------

@test "one recipient refused, the other put off until the attempts are used up" {
	start_script server port 'rcpt#1=550 5.1.1 no such user' 'rcpt=450 4.2.1 busy'
	accounts "$(relay main "$port" 'max_attempts = 2;')"
	add --id M --to bad@example.org,busy@example.org
	run_mailq
	summary 'sent 0, deferred 1, failed 0'
	due_now M
	run_mailq
	failed M exhausted '^failed after 2 attempts \(max_attempts\); last: busy@example\.org: 450 4\.2\.1 busy$'
	# Only the one that was put off was tried again.
	assert_saw server 'RCPT TO:<bad@example.org>' 1
	assert_saw server 'RCPT TO:<busy@example.org>' 2
}

@test "one recipient refused, the others reached: of the class refused" {
	start_keeper server port --refuse 'bad@example.org=550 5.1.1 no such user' \
		--refuse-once 'busy@example.org=450 4.2.1 mailbox busy'
	accounts "$(relay main "$port")"
	add --id M --to bad@example.org,busy@example.org
	run_mailq
	due_now M
	run_mailq
	failed M refused 'bad@example\.org: 550 in an earlier attempt'
	add --id N --to bad@example.org,good@example.org
	run_mailq
	failed N refused '^bad@example\.org: 550 5\.1\.1 no such user \(sent to 1 other\)$'
}

@test "perhaps delivered: of the class uncertain where its account says fail, and exhausted on its last attempt" {
	start_script server port 'dot=cut'
	accounts "$(relay fail "$port" 'uncertain = "fail";')" "$(relay retry "$port")"
	add --id F --account fail
	add --id R --account retry --max-attempts 1
	add --id S --account retry
	run_mailq
	failed F uncertain 'no answer to the final dot'
	failed R exhausted '^failed after 1 attempt \(max_attempts\); last: no answer to the final dot'
	assert_equal "$(state S)" deferred
	for row in F:fail R:fail S:retry; do
		assert_equal "$(history_of uncertain "${row%:*}" | value then)" "${row#*:}" "what follows for ${row%:*}"
	done
}

@test "after a death on the wire: of the class uncertain, or exhausted where no attempt is left" {
	start_script server port "dot#1-3=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay fail "$port" 'uncertain = "fail";')" "$(relay retry "$port" 'max_attempts = 1;')" \
		"$(relay own "$port")"
	for account in fail retry own; do
		add --id $account --account $account --max-attempts 1
	done
	start_server run mailq-run
	on_the_wire() { [ "$(cat "$MAILQ_SPOOL"/cur/*/journal | grep -c '"event":"dot"')" -eq 3 ]; }
	wait_for on_the_wire
	stop_server run KILL
	run_mailq
	failed fail uncertain 'died after it had offered the message'
	failed retry exhausted '^failed after 1 attempt \(max_attempts\); last: mailq-run died'
	failed own exhausted '^failed after 1 attempt \(max_attempts\); last: mailq-run died'
	touch gate
}
