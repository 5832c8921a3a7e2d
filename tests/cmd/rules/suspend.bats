# mailq-rules suspend and activate: what is suspended does not leave, until it is lifted or over.

load ../../helpers/common
load ../../helpers/delivery
setup() {
	delivery_setup
	accounts "$(capture main)" "$(capture other)"
}
teardown() { common_teardown; }

capture() { # ID [SETTINGS]
	echo "{ id = \"$1\"; transport = \"capture\"; maildir = \"$BATS_TEST_TMPDIR/$1.box\"; ${2:-} }"
}
captured() { # ID: how many messages it has
	find "$BATS_TEST_TMPDIR/$1.box" -type f 2>/dev/null | wc -l
}
json() { # FILTER: of what the last command printed
	jq -r "$1" <<<"$output"
}
nothing_suspended() {
	[ "$(mailq-status --json | jq '.suspended | length')" = 0 ]
}
has_captured() { # ID COUNT
	[ "$(captured "$1")" -ge "$2" ]
}

@test "the scheduler off: nothing leaves, new arrivals and --now included" {
	add --account main
	run -0 mailq-rules suspend --reason 'the relay is being moved'
	assert_equal "$output" 'the scheduler is off: no message is delivered until it is activated: the relay is being moved'
	add --account other
	run_mailq
	run_mailq --now
	run_mailq --now --account main
	add --id one
	run_mailq --now --id one
	assert_equal "$(in_state waiting)" 3
	assert_equal "$(captured main)$(captured other)" 00
	run -0 mailq-rules activate
	assert_equal "$output" 'the scheduler is on again'
	run_mailq
	assert_equal "$(in_state waiting)" 0
}

@test "an account: what names it waits, other mail goes" {
	add --id m --account main
	add --id o --account other
	run -0 mailq-rules suspend --account main
	assert_equal "$output" 'account main is suspended until it is activated'
	add --id m2 --account main
	run_mailq
	assert_equal "$(state m)$(state m2)$(state o)" waitingwaiting
	assert_equal "$(captured main) $(captured other)" '0 1'
	run -0 mailq-rules activate --account main
	assert_equal "$output" 'account main is active again'
	run_mailq
	assert_equal "$(captured main)" 2
}

@test "of several accounts, the next takes what names none" {
	DELIVERY='default_accounts = [ "main", "other" ];' accounts "$(capture main)" "$(capture other)"
	add --id any
	add --id named --account main
	mailq-rules suspend --account main
	run_mailq
	assert_equal "$(captured main) $(captured other)" '0 1'
	assert_equal "$(state named)" waiting
	mailq-rules suspend --account other
	add --id any2
	run_mailq
	assert_equal "$(state any2)" waiting
	run -0 mailq-status show any2 --json
	assert_equal "$(json .why.code)" suspended
	assert_match "$(json .why.text)" 'of account main.*and the end of the suspension of account other'
	run -0 mailq-status --json
	assert_equal "$(json '[.accounts[].suspended] | @csv')" true,true
	mailq-rules activate --account other
	run_mailq
	assert_equal "$(captured main) $(captured other)" '0 2'
}

@test "the account default is all mail that names none" {
	add --id any
	add --id named --account main
	mailq-rules suspend --account default
	run_mailq
	assert_equal "$(state any)$(state named)" waiting
	assert_equal "$(captured main)" 1
	mailq-rules activate --account default
	run_mailq
	assert_equal "$(captured main)" 2
}

@test "a batch, which need not exist yet, for each account" {
	run -0 mailq-rules suspend --batch 'spring/é'
	add --id a --account main --batch 'spring/é'
	add --id b --account other --batch 'spring/é'
	add --id c --account main --batch summer
	run_mailq
	assert_equal "$(state a)$(state b)$(state c)" waitingwaiting
	run -0 mailq-rules activate --batch 'spring/é'
	assert_equal "$output" 'batch spring/é is active again'
	run_mailq
	assert_equal "$(in_state waiting)" 0
}

@test "a suspended lane keeps deferred and retried messages too" {
	add --id late --batch spring --at +1s
	add --id held --batch spring
	mailq-status hold held
	mailq-rules suspend --batch spring
	mailq-status release held
	wait_for eval '[ "$(date +%s)" -gt "$(due late)" ]'
	run_mailq --now
	assert_equal "$(state late)$(state held)" deferredwaiting
	mailq-rules activate --batch spring
	run_mailq
	assert_equal "$(state late)$(state held)" ''
}

@test "--for: it ends by itself, and mailq-run tidies up" {
	add --id a
	run -0 mailq-rules suspend --for 1s --reason 'just a moment'
	assert_match "$output" 'until 20..-..-.. ..:..:.. \((now|in 1s|in 0\..s)\): just a moment$'
	run_mailq
	assert_equal "$(state a)" waiting
	wait_for nothing_suspended
	[ -e "$MAILQ_SPOOL/suspended/all" ]
	run_mailq
	assert_equal "$(state a)" ''
	[ ! -e "$MAILQ_SPOOL/suspended/all" ]
	run -0 mailq-status log
	assert_match "$output" 'activated: all delivery: its time is over'
}

@test "a mailq-run that watches goes on when it is lifted, and when its time is over" {
	mailq-rules suspend --batch spring
	add --id a --batch spring
	add --id b
	start_server watch mailq-run --watch
	wait_for has_captured main 1
	assert_equal "$(state a)$(state b)" waiting
	mailq-rules activate --batch spring
	wait_for -t 10 has_captured main 2
	mailq-rules suspend --batch spring --for 1s
	add --id c --batch spring
	wait_for -t 10 has_captured main 3
	# Suspended while it watches: what comes then is not taken.
	mailq-rules suspend --account main
	add --id d --account main
	add --id e --account other
	wait_for -t 10 has_captured other 1
	assert_equal "$(state d)" waiting
	stop_server watch
	assert_equal "$(state d)" waiting
}

@test "again replaces, and what was not suspended is told" {
	mailq-rules suspend --account main --for 1h --reason first
	run -0 mailq-rules suspend --account main --reason second
	run -0 mailq-status --json
	assert_equal "$(json '.suspended | length')" 1
	assert_equal "$(json '.suspended[0] | [.what, .account, .reason, .until, .by] | @csv')" \
		"\"account\",\"main\",\"second\",,\"$(id -un)\""
	run -0 --separate-stderr mailq-rules activate --account other
	assert_equal "$output" ''
	assert_equal "$stderr" 'mailq-rules: account other was not suspended'
	mailq-rules activate --account main
	run -0 --separate-stderr mailq-rules activate --account main
	assert_equal "$stderr" 'mailq-rules: account main was not suspended'
	run -0 --separate-stderr mailq-rules activate
	assert_equal "$stderr" 'mailq-rules: all delivery was not suspended'
}

@test "who lifts one order hears of the others" {
	mailq-rules suspend
	mailq-rules suspend --account main
	mailq-rules suspend --batch spring
	run -0 --separate-stderr mailq-rules activate --batch spring
	assert_equal "$output" 'batch spring is active again'
	assert_equal "$stderr" 'mailq-rules: all delivery is still suspended'
	run -0 --separate-stderr mailq-rules activate
	assert_equal "$stderr" 'mailq-rules: account main is still suspended'
	mailq-rules suspend
	run -0 --separate-stderr mailq-rules -q activate
	assert_equal "$output$stderr" ''
}

@test "as JSON" {
	run -0 mailq-rules suspend --json --batch spring --for 2h --reason moved
	assert_equal "$(json '[.ok, .active, .what, .batch, .reason] | @csv')" 'true,false,"batch","spring","moved"'
	assert_equal "$(json '(.until | sub("\\.[0-9]+"; "") | fromdate) - (.since | sub("\\.[0-9]+"; "") | fromdate)')" 7200
	run -0 mailq-rules suspend --json
	assert_equal "$(json '[.ok, .active, .what] | @csv')" 'true,false,"all"'
	run -0 --separate-stderr mailq-rules activate --json
	assert_equal "$(json '[.ok, .active] | @csv')" 'true,true'
	run -0 --separate-stderr mailq-rules activate --json
	assert_equal "$(json '[.ok, .active] | @csv')" 'true,true'
	assert_match "$stderr" 'was not suspended'
}

@test "misuse" {
	run -64 mailq-rules suspend --account main --batch spring
	assert_match "$output" 'expected --account or --batch, not both'
	run -64 mailq-rules suspend --account nope
	assert_equal "$output" 'mailq-rules: --account: there is no account "nope"; expected main, other, or default for messages that name no account'
	run -64 mailq-rules activate --account nope
	for duration in 0 0s -1 soon 1y ''; do
		run -64 mailq-rules suspend --for "$duration"
	done
	run -64 mailq-rules suspend --batch ''
	run -64 mailq-rules suspend --account ''
	run -64 mailq-rules suspend --batch "$(printf '%0101d' 0)"
	run -65 mailq-rules suspend --batch "$(printf '%.0s/' {1..50})"
	assert_equal "$output" 'mailq-rules: --batch: over its limit of 100 bytes (a byte other than letters, digits and -_@=+. counts three)'
	run -65 mailq-rules activate --batch "$(printf '%.0s/' {1..50})"
	assert_match "$output" '^mailq-rules: --batch: over its limit of 100 bytes'
	run -64 mailq-rules suspend --reason "$(printf '%0400d' 0)"
	run -64 mailq-rules activate --reason x
	run -64 mailq-rules suspend main
	nothing_suspended
}

@test "the glance says what is suspended, since when, until when, by whom and why" {
	add --account main --batch spring
	add --account main
	add --account other
	mailq-rules suspend --batch spring --for 2h --reason $'moved\033[31m'
	mailq-rules suspend --account other
	run -0 mailq-status
	assert_match "$output" "Batch spring is suspended until 20[^(]*\(in (2h|1h 59m)\), since 20[^(]*\(now\) by $(id -un): moved \[31m"
	assert_match "$output" "Account other is suspended until it is activated, since 20[^(]*\(now\) by $(id -un)"
	assert_match "$output" $'\nmain +1 .* 0\n'
	assert_match "$output" $'\nmain +1 .* 0  spring  suspended\n'
	assert_match "$output" 'other +1 .* 0 +suspended$'
	run -0 mailq-status --json
	assert_equal "$(json '[.accounts[] | [.account, .batch, .suspended]] | tostring')" \
		'[["main",null,null],["main","spring",true],["other",null,true]]'
	mailq-rules suspend
	run -0 mailq-status
	assert_match "$output" 'All delivery is suspended until it is activated'
	assert_equal "$(grep -c 'suspended$' <<<"$output")" 3
}

@test "what cannot be understood holds, and is told" {
	add --id a --account main
	mkdir -m 700 -p "$MAILQ_SPOOL/suspended"
	echo 'until: tomorrow' >"$MAILQ_SPOOL/suspended/account,main"
	touch "$MAILQ_SPOOL/suspended/everything"
	chmod 600 "$MAILQ_SPOOL"/suspended/*
	run_mailq
	assert_equal "$(state a)" waiting
	run -0 mailq-status
	assert_match "$output" 'Account main is suspended .*suspended/account,main cannot be understood'
	run -65 mailq-status check
	assert_match "$output" 'suspended/account,main: .*lines "since: SECONDS\.MICROSECONDS"'
	assert_match "$output" 'suspended/everything: .*suspends nothing'
	assert_match "$output" '2 faults'
	run -0 mailq-rules activate --account main
	run_mailq
	assert_equal "$(state a)" ''
	rm "$MAILQ_SPOOL/suspended/everything"
	run -0 mailq-status check
}

@test "a person may touch a file, and remove it" {
	add --id a
	mkdir -m 700 -p "$MAILQ_SPOOL/suspended"
	: >"$MAILQ_SPOOL/suspended/all"
	run_mailq
	assert_equal "$(state a)" waiting
	rm "$MAILQ_SPOOL/suspended/all"
	run_mailq
	assert_equal "$(state a)" ''
}

@test "an order outlives the account, and can be lifted then" {
	mailq-rules suspend --account other
	accounts "$(capture main)"
	run -0 mailq-rules activate --account other
	assert_equal "$output" 'account other is active again'
	run -64 mailq-rules activate --account other
}

@test "the log tells it in words" {
	mailq-rules suspend --account main --for 1h --reason moved
	mailq-rules suspend --batch spring
	mailq-rules activate --account main
	run -0 mailq-status log
	assert_match "${lines[0]}" "suspended: account main: by $(id -un): moved; until 20[^(]*\(in (1h|59m 5.s)\)$"
	assert_match "${lines[1]}" "suspended: batch spring: by $(id -un)$"
	assert_match "${lines[2]}" "activated: account main: by $(id -un)$"
	run -0 mailq-status log --full --json
	assert_equal "$(json 'select(.event == "begin") | .program' | sort -u)" mailq-rules
}

@test "a suspended lane of many costs no rename" {
	add_ids m 300 --batch spring
	mailq-rules suspend --batch spring
	find "$MAILQ_SPOOL/waiting" -printf '%p %C@\n' | sort >before
	run_mailq
	find "$MAILQ_SPOOL/waiting" -printf '%p %C@\n' | sort >after
	diff before after
	assert_equal "$(in_state waiting)" 300
}
