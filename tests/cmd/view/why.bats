# What a message waits for, as mailq-status show tells it: the exact thing, and when it clears.

load ../../helpers/common
load ../../helpers/delivery
setup() {
	delivery_setup
	accounts "$(capture main)"
}
teardown() { common_teardown; }

capture() { # ID [SETTINGS]
	echo "{ id = \"$1\"; transport = \"capture\"; maildir = \"$BATS_TEST_TMPDIR/$1.box\"; ${2:-} }"
}

# why ID CODE EXPRESSION [SECONDS [LESS]]: this code, such a text, and until an instant that lies ahead by
# so much at the most, and at the least by LESS (15) seconds less; without SECONDS, no instant is known
why() {
	local found until

	found=$(mailq-status show "$1" --json) || return 1
	assert_equal "$(jq -r .why.code <<<"$found")" "$2" "code of $1"
	assert_match "$(jq -r .why.text <<<"$found")" "$3"
	until=$(jq -r '.why.until // "" | sub("\\.[0-9]+Z"; "Z")' <<<"$found")
	if [ -z "${4:-}" ]; then
		assert_equal "$until" '' "until of $1"
	else
		until=$(($(date -d "$until" +%s) - $(date +%s)))
		[ "$until" -le "$4" ] && [ "$until" -ge $(($4 - ${5:-15})) ] ||
			fail "$1 is to wait $until s, expected $4 s"
	fi
}

# rules JSON...: the rules of the spool
rules() {
	{
		echo "{\"last_id\":$#}"
		printf '%s\n' "$@"
	} >"$MAILQ_SPOOL/rules"
	chmod 600 "$MAILQ_SPOOL/rules"
}

@test "nothing: it goes with the next mailq-run" {
	add --id a
	why a nothing '^the next mailq-run$'
	run -0 mailq-status show a
	assert_match "$output" 'waits for +the next mailq-run'
}

@test "held: by whom, when and why" {
	add --id a
	add --id b
	run -0 mailq-status hold a --reason $'the customer\e[31m asked'
	mailq-status hold b
	why a held "^it was held at 20[^(]*\((now|.s ago)\) by user $(id -u): the customer.*asked; \"mailq-status release\""
	why b held "by user $(id -u); \"mailq-status release\""
	run -0 mailq-status show a
	assert_match "$output" 'why +it was held at'
	assert_match "$output" 'held: by user [0-9]+: the customer\\x1b\[31m asked'
	mailq-status release a
	mailq-status hold a --reason again
	why a held ": again;"
	# By a rename alone.
	add --id c
	file=$(find "$MAILQ_SPOOL/waiting" -name '*.c')
	mkdir -p "$MAILQ_SPOOL/held/default/2.0"
	mv "$file" "$MAILQ_SPOOL/held/default/2.0/"
	why c held '^it was held; "mailq-status release" releases it$'
}

@test "a reason goes with each act, into the history" {
	add --id a
	mailq-status hold a --reason one
	mailq-status release a --reason two
	mailq-status hold a
	mailq-status retry a --reason three
	mailq-status delete a --reason four
	run -0 mailq-status log a --json
	assert_equal "$(jq -r '.reason | sub("by user [0-9]+"; "")' <<<"$output" | paste -sd,)" ': one,: two,,: three,: four'
	run -64 mailq-status list --reason x
}

@test "suspended: all, then the batch, then the account, with the reason" {
	add --id a --account main --batch spring
	mailq-rules suspend --account main --reason 'no password'
	why a suspended "^the end of the suspension of account main, until it is lifted; since .* by $(id -un): no password$"
	mailq-rules suspend --batch spring --for 2h
	why a suspended '^the end of the suspension of batch spring, until 20[^(]*\(in (2h|1h 59m)\); since 20' 7200
	mailq-rules suspend --for 1h --reason 'the relay is being moved'
	why a suspended '^the end of the suspension of all delivery, until 20[^(]*\(in (1h|59m 5.s)\); since .*: the relay is being moved$' 3600
}

@test "account: one that is not there, or whose file is damaged" {
	accounts "$(capture main)" "$(capture gone)" "$(capture bad)"
	add --id a --account gone
	add --id b --account bad
	accounts "$(capture main)"
	mkdir -m 700 -p "$MAILQ_SPOOL/accounts"
	echo 'host = ' >"$MAILQ_SPOOL/accounts/bad"
	chmod 600 "$MAILQ_SPOOL/accounts/bad"
	why a account '^the next cycle, which gives it up: there is no account "gone"$'
	why b account '^an account that works: the file of account "bad" is damaged'
	run -0 --separate-stderr mailq-status
	assert_match "$output" 'Messages wait for account bad: the file of account "bad" is damaged'
	assert_match "$output" 'Messages wait for account gone: there is no account "gone"'
	run -0 --separate-stderr mailq-status --json
	assert_equal "$(jq -r '.unusable | map(.account) | @csv' <<<"$output")" '"bad","gone"'
	run_mailq
	assert_equal "$(state b)" waiting
	why a failed '^no such account at 20.*"mailq-status retry" tries again$'
}

@test "backoff: which attempt, its reply, and when the next is" {
	start_script server port 'rcpt=451 4.7.1 greylisted, come back'
	accounts "$(relay main "$port" 'retry = [ "10m" ]; retry_jitter = 0;')"
	add --id a
	run_mailq
	why a backoff "^its next attempt at 20[^(]*\(in (10m|9m 5.s)\); attempt 1 by account main at 127\.0\.0\.1:$port ended at 20.*: 451 4\.7\.1 greylisted, come back" 600
	run -0 mailq-status show a
	assert_match "$output" 'waits for +its next attempt at'
	due_now a
	why a nothing .
	# Before all else comes an order.
	run_mailq
	why a backoff 'attempt 2 by account main' 600
	mailq-rules suspend
	why a suspended .
}

@test "a deferred one without history still says when" {
	add --id a
	file=$(find "$MAILQ_SPOOL/waiting" -name '*.a')
	mkdir -p "$MAILQ_SPOOL/deferred/default/2.0"
	mv "$file" "$MAILQ_SPOOL/deferred/default/2.0/2.$(($(date +%s) + 600)).000000.3.0.a"
	why a backoff '^its next attempt at 20[^(]*\(in [^)]*\)$' 600
}

@test "not_before: it was added to wait" {
	add --id a --at +1h
	why a not_before '^its time: it is not to go before 20[^(]*\(in (1h|59m 5.s)\)$' 3600
	mailq-status hold a
	mailq-status release a
	why a not_before . 3600
}

@test "parked: the fault of each account, and when the first of them is tried again" {
	free_port port
	free_port port2
	accounts "$(relay main "$port" 'fallback = "second";')" "$(relay second "$port2")"
	add --id a --account main
	run_mailq
	assert_equal "$(state a)" waiting
	why a parked '^account main, which is parked until 20.* after 1 fault in a row: connect: .*; and account second, which is parked until' 60
	# One that is tried again first is told first.
	sed -i "s/^until: .*/until: $(($(date +%s) + 30)).000000/" "$MAILQ_SPOOL/parked/second"
	why a parked '^account second, .*; and account main, ' 30
	rm "$MAILQ_SPOOL/parked/second"
	why a nothing .
	run -0 mailq-status
	assert_match "$output" 'Account main is parked until .*1 fault in a row.*connect: '
	mailq-rules suspend --account second
	why a parked '^account main.*; and the end of the suspension of account second' 60
}

@test "limit: which window, and the next slot" {
	accounts "$(capture main 'limit_per_minute = 2;')" "$(capture day 'limit_per_day = 1;')"
	add_ids m 4 --account main
	add_ids d 2 --account day
	run_mailq
	why m-3 limit '^limit of 2 a minute of account main; next slot at 20[^(]*\(in [0-9.]*[ms]\)$' 60
	why d-2 limit '^limit of 1 a day of account day; next slot at 20' 86400
	run -0 mailq-status
	assert_match "$output" 'Account main is at its limit of 2 a minute; next slot at 20[^(]*\(in [^)]*[ms]\)'
	assert_match "$output" 'Account day is at its limit of 1 a day; next slot at'
	run -0 mailq-status --json
	assert_equal "$(jq -r '.limited | sort_by(.account) | map(.account, .limit) | @csv' <<<"$output")" \
		'"day","limit of 1 a day","main","limit of 2 a minute"'
	run -0 mailq-status log
	assert_match "$output" 'limited: account main: limit of 2 a minute; until 20'
	# Without messages for it, an account at its limit is no news.
	mailq-status delete --all --account day
	run -0 mailq-status
	[[ $output != *'Account day'* ]]
}

@test "limit: the pause between messages; another account that may step in, or not" {
	accounts "$(capture main 'min_interval_seconds = 100; limit_behavior = "fallback"; fallback = "second";')" \
		"$(capture second)"
	add_ids m 2 --account main
	run -0 --separate-stderr timeout 60 mailq-run --limit 1
	why m-2 limit '^pause of 1m 40s between messages of account main; next slot at' 100
	accounts "$(capture main 'limit_per_minute = 1; fallback = "second";')" "$(capture second)"
	why m-2 limit '^limit of 1 a minute of account main' 60
	accounts "$(capture main 'limit_per_minute = 1; fallback = "second"; limit_behavior = "fallback";')" \
		"$(capture second)"
	why m-2 nothing .
	accounts "$(capture main 'limit_per_minute = 1; fallback = "second"; limit_behavior = "reject";')" \
		"$(capture second)"
	why m-2 limit '^the next cycle, which gives it up: limit of 1 a minute of account main is reached$'
	run_mailq
	why m-2 failed '^beyond the limit at 20.*limit of 1 a minute of account main is reached'
}

@test "domain: the limit for a recipient, before it was met and after" {
	accounts "$(capture main 'domains = ( { domain = "slow.example"; per_hour = 1; },
		{ domain = "xn--bcher-kva.example"; per_hour = 1; } );')"
	add --id a --to x@slow.example --to z@bücher.example
	run_mailq
	add --id b --to y@fast.example --to y@Slow.Example
	add --id c --to y@fast.example
	add --id d --to y@BÜCHER.example
	why b domain '^limit of 1 an hour for slow\.example of account main; next slot at 20' 3600
	why c nothing .
	why d domain '^limit of 1 an hour for xn--bcher-kva\.example of account main' 3600
	run_mailq
	assert_equal "$(state b)$(state c)$(state d)" waitingwaiting
	why b domain '^limit of 1 an hour for slow\.example' 3600
	run -0 mailq-status show b --json
	assert_equal "$(jq -r .domain <<<"$output")" slow.example
	run -0 mailq-status list --json
	assert_equal "$(jq -r .domain <<<"$output" | sort | paste -sd,)" slow.example,xn--bcher-kva.example
	run -0 mailq-status list
	assert_match "$output" 'b +domain slow\.example'
	run -0 mailq-status
	assert_match "$output" 'Account main is at its limit of 1 an hour for slow\.example; next slot at'
	assert_match "$output" 'DOMAIN'
	assert_match "$output" $'default +1 [ 0]*  slow\.example\n'
	run -0 mailq-status --json
	assert_equal "$(jq -r '.accounts | map(.domain) | @csv' <<<"$output")" '"slow.example","xn--bcher-kva.example"'
	assert_equal "$(jq -r '.limited | map(.domain) | @csv' <<<"$output")" '"slow.example","xn--bcher-kva.example"'
}

@test "rule: no cycle is allowed; the next cycle, where one is not due yet" {
	SETTINGS='scheduler: { timezone = "UTC"; outside_rules = "wait"; };' accounts "$(capture main)"
	add --id a
	rules "{\"id\":1,\"name\":\"later\",\"enabled\":true,\"priority\":1,\"days\":[$((($(date -u +%u) + 1) % 7))],\"interval_minutes\":5}"
	run -0 mailq-status show a --json
	assert_equal "$(jq -r .why.code <<<"$output")" rule
	assert_match "$(jq -r .why.text <<<"$output")" '^a cycle, and none is allowed now; the next in '
	assert_match "$(jq -r .why.until <<<"$output")" "^$(date -u -d '+2 days' +%Y-%m-%d)T00:00:00"
	run -0 mailq-status
	assert_match "$output" 'No cycle is allowed now; the next in '
	run -0 mailq-status --json
	assert_equal "$(jq -r '.next_cycle | [.due, .allowed] | @csv' <<<"$output")" false,false
	run_mailq
	assert_equal "$(state a)" waiting
	rules '{"id":1,"name":"often","enabled":true,"priority":1,"days":[],"interval_minutes":30}'
	add --id b
	run_mailq
	assert_equal "$(state a)$(state b)" ''
	add --id c
	why c nothing '^the next cycle, in .*often' 1800 75
	run -0 mailq-status
	assert_match "$output" 'Next cycle in .*often'
	echo nonsense >"$MAILQ_SPOOL/rules"
	why c rule '^rules that can be followed: '
	run -0 mailq-status
	assert_match "$output" 'The rules cannot be followed: '
	run -0 mailq-status --json
	assert_match "$(jq -r .next_cycle.error <<<"$output")" rules
}

@test "rule: one time of the next cycle, in the zone of the rules" {
	# An hour that is over there when it begins here, wherever the test runs.
	SETTINGS='scheduler: { timezone = "Asia/Tokyo"; outside_rules = "wait"; };' accounts
	add --id a
	hour=$(TZ=Asia/Tokyo date +%k)
	mailq-rules add --from $(((hour + 3) % 24)) --to $(((hour + 4) % 24)) --every 5m >/dev/null
	for command in '' 'show a'; do
		# shellcheck disable=SC2086
		run -0 env TZ=UTC mailq-status $command
		line=$(grep 'the next in' <<<"$output")
		assert_match "$line" '; the next in [0-9hm ]*: .*; next [A-Z][a-z]{2} 20[0-9-]{8} [0-9]{2}:00 JST .Asia/Tokyo.'
		assert_equal "$(grep -oE '20[0-9]{2}-[0-9]{2}-[0-9]{2}' <<<"$line" | wc -l)" 1
	done
}

@test "uncertain: a person must decide" {
	start_script server port 'dot=cut'
	accounts "$(relay main "$port" 'uncertain = "hold";')"
	add --id a
	run_mailq
	why a uncertain '^the server of account main may have taken it at 20.*answer was never seen.*"mailq-status release" sends it'
}

@test "failed: of which kind" {
	start_script server port 'rcpt#1=550 5.1.1 no such user' 'rcpt#2-=451 4.3.0 later'
	accounts "$(relay main "$port" 'max_attempts = 1;')"
	add --id refused
	run_mailq
	add --id exhausted
	run_mailq
	why refused failed '^refused for good at 20.*550 5\.1\.1 no such user; "mailq-status retry" tries again$'
	why exhausted failed '^attempts exhausted at 20.*451 4\.3\.0 later'
	run -0 mailq-status log refused
	assert_match "$output" 'failed by account main at .*, attempt 1: refused for good: .*550'
	run -0 mailq-status show exhausted
	assert_match "$output" 'why +attempts exhausted'
	assert_match "$output" 'failed by account main at .*, attempt 1: attempts exhausted: '
	run -0 mailq-status show exhausted --json
	assert_equal "$(jq -r '.history[-1].class' <<<"$output")" exhausted
}

@test "sending: a mailq-run has claimed it, or had" {
	start_script server port "dot=gate $PWD/gate,250 2.0.0 at last"
	accounts "$(relay main "$port")"
	add --id a
	start_server run mailq-run
	wait_for file_has server.log '> DATA'
	why a sending '^a mailq-run has claimed it$'
	stop_server run KILL
	why a sending 'is dead; the next mailq-run settles it$'
}

@test "one that cannot be read says so, and why it waits" {
	add --id a
	file=$(find "$MAILQ_SPOOL/waiting" -name '*.a')
	: >"$file"
	why a nothing '^the next mailq-run; it cannot be read: '
}

@test "all of it on a spool that cannot be written" {
	accounts "$(capture main 'limit_per_minute = 1; domains = ( { domain = "slow.example"; per_hour = 1; } );')"
	add_ids m 2
	run_mailq
	add --id b --batch spring
	mailq-rules suspend --batch spring
	unshare -m true 2>/dev/null || skip 'mounts cannot be made here'
	unshare -m bash -c '
		mount --bind "$MAILQ_SPOOL" "$MAILQ_SPOOL" && mount -o remount,ro,bind "$MAILQ_SPOOL" || exit 99
		set -e
		mailq-status show m-2 --json | grep -q "\"code\":\"limit\""
		mailq-status show b --json | grep -q "\"code\":\"suspended\""
		mailq-status | grep -q "Batch spring is suspended"
		mailq-status | grep -q "Account main is at its limit of 1 a minute"'
}
