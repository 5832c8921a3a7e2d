# Limits of accounts and domains, counted at a real server by its own clock.
# runs long

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

arrivals() { /usr/bin/python3 "$MAILQ_TOP/tests/helpers/arrivals.py" "$@"; }

# at_least GOT WANT: numbers with fractions
at_least() {
	awk -v got="$1" -v want="$2" 'BEGIN { exit !(got >= want) }' || fail "got $1, expected at least $2"
}

# age_history SECONDS: all that has been sent was sent so much earlier, and the limits are counted anew
age_history() {
	/usr/bin/python3 - "$1" "$MAILQ_SPOOL"/log/*.log <<-'EOT'
		import datetime, re, sys
		def earlier(match):
		    when = datetime.datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S.%fZ")
		    return '"t":"%sZ"' % (when - datetime.timedelta(seconds=float(sys.argv[1]))).isoformat(
		        timespec="microseconds")
		for path in sys.argv[2:]:
		    with open(path) as file:
		        text = file.read()
		    with open(path, "w") as file:
		        file.write(re.sub(r'"t":"([^"]*)Z"', lambda m: earlier([0, m[1] + "Z"]), text))
	EOT
	rm -f "$MAILQ_SPOOL"/limits/*
}

# The lines of history that say that a limit was reached
limited() {
	cat "$MAILQ_SPOOL"/log/*.log | grep '"event":"limited"' || :
}

# renames COMMAND...: how often it renames anything but the sums, which are written each hour
renames() {
	strace -f -qq -e trace=rename,renameat,renameat2 -o trace "$@" >/dev/null
	grep -v totals trace | grep -c rename || :
}

# ---- windows -----------------------------------------------------------------------------------

@test "one cycle sends what the limit allows, and ends at once; a restart forgets nothing" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 5; connections = 1;')" "$(relay other "$port")"
	add_ids m 20
	before=$SECONDS
	run_mailq
	summary 'sent 5, deferred 0, failed 0'
	[ $((SECONDS - before)) -lt 10 ]
	assert_equal "$(arrivals order server)" 'm-1 m-2 m-3 m-4 m-5'
	assert_equal "$(limited | wc -l)" 1
	assert_match "$(limited | value reason)" '^limit of 5 a minute$'
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_match "$stderr" 'account main: limit of 5 a minute is reached, until 20'
	add --account other --id O
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	# When the window has gone by, the next five.
	age_history 61
	run_mailq
	summary 'sent 5, deferred 0, failed 0'
	assert_equal "$(in_state waiting)" 10
}

@test "the narrowest of several windows holds; what was sent before there was a limit counts" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add_ids early 2
	run_mailq
	accounts "$(relay main "$port" 'limit_per_minute = 100; limit_per_hour = 4; limit_per_day = 5;')"
	add_ids m 10
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_match "$(limited | value reason)" '^limit of 4 an hour$'
	age_history 3601
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "a cycle stays for a slot that comes within two seconds" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 1;')"
	add_ids m 3
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	age_history 58.7
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "one mailq-run stays for an account with a pause, the next one leaves it alone, SIGTERM ends it" {
	start_keeper server port
	accounts "$(relay main "$port" 'min_interval_seconds = "50s";')"
	add_ids m 3
	start_server run mailq-run
	wait_for staying
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	staying
	stop_server run
	assert_equal "$(cat run.log)" 'sent 1, deferred 0, failed 0'
	assert_equal "$(kept server)" 1
	assert_equal "$(in_state waiting)" 2
}
# The one that stays has locked a byte of the limit's file.
staying() {
	grep -q "^[0-9]*: OFDLCK .*:$(stat -c %i "$MAILQ_SPOOL/limits/main") 2047 2047" /proc/locks
}

@test "at most 5 in any minute with 4 runners, through kills, and not fewer than that" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 5;')"
	add_ids m 50
	begun=$(date +%s.%N)
	for i in 1 2 3 4; do
		start_server "run$i" mailq-run --watch
	done
	wait_for kept_are 5
	# Nobody holds a slot now: whoever is killed takes none with it.
	wait_for no_slot_held
	stop_server run1 KILL
	stop_server run2 KILL
	start_server run1 mailq-run --watch
	wait_for -t 80 kept_are 10
	wait_for no_slot_held
	stop_server run3 KILL
	start_server run2 mailq-run --watch
	wait_for -t 80 kept_are 15
	ended=$(date +%s.%N)
	stop_servers
	[ "$(arrivals most server 60)" -le 5 ]
	# 15 took two windows of a minute, and hardly more.
	awk -v a="$begun" -v b="$ended" 'BEGIN { exit !(b - a >= 120 && b - a < 135) }' ||
		fail "15 messages took from $begun to $ended"
	assert_equal "$(kept server)" 15
}
kept_are() {
	[ "$(kept server)" -ge "$1" ]
}
no_slot_held() {
	! grep -aE '^holder [0-9]+: [1-9]' "$MAILQ_SPOOL/limits/main" &&
		! grep -q '"event":"offered"' <(find "$MAILQ_SPOOL/cur" -mindepth 3 -type f)
}

@test "killed with slots in its hands: they count as used" {
	start_script server port 'dot=hang'
	accounts "$(relay main "$port" 'limit_per_minute = 3; connections = 3;')"
	add_ids m 10
	start_server run mailq-run
	wait_for file_has server.log 'DATA'
	stop_server run KILL
	stop_server server
	start_keeper server2 port2
	accounts "$(relay main "$port2" 'limit_per_minute = 3;')"
	run_mailq
	assert_match "$output" '^sent 0, .* recovered 3$'
	assert_equal "$(kept server2)" 0
}

@test "a message that never left gives its slot back" {
	start_keeper server port --refuse 'no@example.org=550 5.1.1 unknown'
	accounts "$(relay main "$port" 'limit_per_minute = 3;')"
	for i in 1 2 3 4 5; do
		add --id "no-$i" --to no@example.org
	done
	add_ids m 5
	run_mailq
	summary 'sent 3, deferred 0, failed 5'
	assert_equal "$(arrivals most server 60)" 3
}

@test "lost before the dot, and sent on a fresh connection: one slot" {
	start_script server port 'data#1=cut'
	accounts "$(relay main "$port" 'limit_per_minute = 2; connections = 1;')"
	add_ids m 3
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_saw server '^message' 2
}

@test "the capture transport keeps to limits" {
	accounts '{ id = "main"; transport = "capture"; limit_per_minute = 4; }'
	add_ids m 10
	run_mailq
	summary 'sent 4, deferred 0, failed 0'
	run_mailq
	assert_equal "$(find "$MAILQ_SPOOL/captured/new" -type f | wc -l)" 4
}

@test "limit_behavior = reject: what is beyond fails at once, with the reason" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 5; limit_behavior = "reject";')"
	add_ids m 12
	run_mailq
	summary 'sent 5, deferred 0, failed 7'
	assert_equal "$(kept server)" 5
	assert_equal "$(history_of failed m-6 | value reason)" 'limit of 5 a minute of account main is reached'
	assert_equal "$(history_of failed m-6 | value class)" limit
	assert_equal "$(state m-12)" failed
	add --id late
	run_mailq
	summary 'sent 0, deferred 0, failed 1'
}

@test "a cycle at the limit with 5,000 messages waiting renames nothing and opens none of them" {
	accounts '{ id = "main"; transport = "capture"; limit_per_day = 1; }'
	add_ids first 1
	run_mailq
	add_ids m 5000
	assert_equal "$(renames mailq-run)" 0
	strace -f -qq -e trace=openat,open -o trace mailq-run
	assert_equal "$(grep -c '"waiting/default/\|"default/' trace || :)" 0
	assert_equal "$(in_state waiting)" 5000
}

@test "--id and --dry-run: a limit holds for them too, and is told" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 2;')"
	add_ids m 4
	run -0 mailq-run --dry-run
	assert_equal "$output" $'m-1\tmain\nm-2\tmain'
	[ ! -e "$MAILQ_SPOOL/limits/main" ]
	run_mailq --id m-2 m-3 m-4
	summary 'sent 2, deferred 0, failed 0'
	assert_match "$stderr" 'm-4: not sent: account main: limit of 2 a minute is reached'
	assert_equal "$(state m-4)" waiting
}

@test "a limit whose file is damaged is counted anew from what was sent" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 3;')"
	add_ids m 5
	run_mailq --limit 2
	summary 'sent 2, deferred 0, failed 0'
	printf 'XXXXXXXXXXXXXXXXXXXXXXXX' | dd of="$MAILQ_SPOOL/limits/main" bs=1 seek=30 conv=notrunc status=none
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(arrivals most server 60)" 3
}

@test "a limit that cannot be counted keeps its messages, and those of no other account" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_per_minute = 3;')" "$(relay other "$port")"
	add --account main --id M
	add --account other
	mkdir -p "$MAILQ_SPOOL/limits/main"
	# It cannot be moved there and made anew.
	rmdir "$MAILQ_SPOOL/corrupt"
	touch "$MAILQ_SPOOL/corrupt"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_match "$stderr" 'account main: .*limits/main.*: its messages wait'
	assert_equal "$(state M)" waiting
}

@test "emptied while slots are held, its file lets nothing more leave" {
	start_script server port 'dot=hang'
	accounts "$(relay main "$port" 'limit_per_minute = 5; connections = 5;')"
	add_ids m 10
	start_server run mailq-run
	wait_for file_has server.log 'DATA'
	: >"$MAILQ_SPOOL/limits/main"
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	stop_server run KILL
}

# in_spool SETTING...: the account "main" of the spool has these settings from now on
in_spool() {
	mailq-rules accounts set main "$@" >/dev/null
}

@test "a limit that is taken away and set again counts what left in between" {
	start_keeper server port
	mailq-rules accounts add main host=127.0.0.1 "port=$port" limit_per_minute=10 >/dev/null
	add_ids a 5
	run_mailq
	summary 'sent 5, deferred 0, failed 0'
	in_spool limit_per_minute=
	add_ids b 20
	run_mailq
	summary 'sent 20, deferred 0, failed 0'
	[ ! -e "$MAILQ_SPOOL/limits/main" ]
	in_spool limit_per_minute=10
	add_ids c 20
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	# Another limit in its place.
	in_spool limit_per_minute= limit_per_hour=31
	run_mailq
	summary 'sent 6, deferred 0, failed 0'
}

@test "the limit of a domain that is taken away and set again counts what left in between" {
	start_keeper server port
	limited=$(relay main "$port" 'domains = ( { domain = "slow.example"; per_minute = 4; } );')
	accounts "$limited"
	to slow.example a 2
	run_mailq
	accounts "$(relay main "$port")"
	to slow.example b 3
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	accounts "$limited"
	to slow.example c 4
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_equal "$(kept server)" 5
}

@test "a limit in one configuration counts what a run with another sends without it" {
	start_keeper server port
	accounts "$(relay main "$port")"
	start_server watch mailq-run --watch
	add_ids a 3
	wait_for kept_are 3
	cp "$MAILQ_CONFIG" "$BATS_TEST_TMPDIR/limited.conf"
	sed -i 's/port = /limit_per_minute = 8; port = /' "$BATS_TEST_TMPDIR/limited.conf"
	export MAILQ_CONFIG=$BATS_TEST_TMPDIR/limited.conf
	run_mailq
	add_ids b 3
	wait_for kept_are 6
	stop_server watch
	add_ids c 5
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
}

@test "what history is told to forget at once, a limit counts still" {
	start_keeper server port
	SETTINGS='queue: { retention = "0s"; };'
	accounts "$(relay main "$port")"
	add_ids a 5
	run_mailq
	wait_for forgotten
	accounts "$(relay main "$port" 'limit_per_day = 6;')"
	add_ids b 5
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	mailq-status check
	# After a day nobody needs it.
	old=$(find "$MAILQ_SPOOL/log" -name '*.old' | head -1)
	mv "$old" "$MAILQ_SPOOL/log/1000000000.000000.aaaaaaaa.old"
	touch -d '2 days ago' "$MAILQ_SPOOL/log/1000000000.000000.aaaaaaaa.old"
	run_mailq
	[ ! -e "$MAILQ_SPOOL/log/1000000000.000000.aaaaaaaa.old" ]
}
forgotten() {
	mailq-run -q && [ -z "$(find "$MAILQ_SPOOL/log" -name '*.log')" ]
}

# ---- pauses and batches ------------------------------------------------------------------------

@test "min_interval_seconds spaces messages, with three runners" {
	start_keeper server port
	accounts "$(relay main "$port" 'min_interval_seconds = "300ms";')"
	add_ids m 12
	for i in 1 2 3; do
		start_server "run$i" mailq-run
	done
	for i in 1 2 3; do
		wait_gone "$(server_pid "run$i")"
	done
	assert_equal "$(kept server)" 12
	at_least "$(arrivals least-gap server)" 0.299
	assert_equal "$(limited)" ''
	# They were sent by one that stayed, and not much later than they could.
	first=$(value came <server/00001.json) last=$(value came <server/00012.json)
	at_least 6 "$(awk -v a="$first" -v b="$last" 'BEGIN { print b - a }')"
}

@test "--watch keeps to min_interval_seconds as well" {
	start_keeper server port
	accounts "$(relay main "$port" 'min_interval_seconds = "300ms";')"
	add_ids m 10
	start_server run mailq-run --watch
	wait_for kept_are 10
	stop_server run
	at_least "$(arrivals least-gap server)" 0.299
}

@test "batch_size: so many messages in one cycle" {
	start_keeper server port
	accounts "$(relay main "$port" 'batch_size = 4;')" "$(relay other "$port")"
	add_ids m 10
	add_ids o 6 --account other
	run_mailq
	summary 'sent 10, deferred 0, failed 0'
	run_mailq
	summary 'sent 4, deferred 0, failed 0'
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
}

# ---- domains -----------------------------------------------------------------------------------

# to DOMAIN PREFIX COUNT: messages to it
to() {
	local i

	for ((i = 1; i <= $3; i++)); do
		printf '{"id":"%s-%d","to":"x@%s","subject":"%s-%d","body":"b"}\n' "$2" "$i" "$1" "$2" "$i"
	done | mailq-add --json >/dev/null
}

@test "the limit of a domain holds for it alone; its messages stand in a lane of its own, in order" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 1; domains = ( { domain = "slow.example"; per_minute = 2; } );')"
	to slow.example s 5
	to fast.example f 5
	to SLOW.example t 2
	run_mailq
	summary 'sent 7, deferred 0, failed 0'
	assert_equal "$(arrivals most server 60)" 7
	assert_equal "$(arrivals most server 60 slow.example)" 2
	assert_equal "$(find "$MAILQ_SPOOL/waiting/default,,slow.example" -type f | wc -l)" 5
	assert_equal "$(in_state waiting)" 5
	assert_match "$(limited | value reason)" '^limit of 2 a minute for slow.example$'
	# Once put aside, they stay there: nothing is renamed.
	assert_equal "$(renames mailq-run)" 0
	age_history 61
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	age_history 61
	run_mailq
	age_history 61
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(arrivals order server | tr ' ' '\n' | grep '^[st]' | tr '\n' ' ')" 's-1 s-2 s-3 s-4 s-5 t-1 t-2 '
	assert_equal "$(in_state waiting)" 0
	mailq-status check
}

@test "a lane whose domain is limited no longer is served as any other; batches stay what they are" {
	start_keeper server port
	accounts "$(relay main "$port" 'domains = ( { domain = "slow.example"; per_hour = 1; } );')"
	add --to a@slow.example --id A
	add --to b@slow.example --id B --batch spring
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	[ -n "$(find "$MAILQ_SPOOL/waiting/default,spring,slow.example" -type f)" ]
	accounts "$(relay main "$port")"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(history_of sent B | value batch)" spring
}

@test "a message to two limited domains needs a slot of both" {
	start_keeper server port
	accounts "$(relay main "$port" 'domains = ( { domain = "one.example"; per_minute = 10; },
		{ domain = "two.example"; per_minute = 1; } );')"
	add --id first --to x@two.example
	add --id both --to x@one.example --to y@one.example --to z@two.example
	add --id one --to x@one.example
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_equal "$(state both)" waiting
	[ -n "$(find "$MAILQ_SPOOL/waiting/default,,two.example" -name '*.both')" ]
	# The slot that it could not use was not kept.
	assert_equal "$(sed -n 's/^total: //p' "$MAILQ_SPOOL/limits/main,one.example" | head -1)" 1
	age_history 61
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(arrivals most server 600)" 3
}

@test "connections of a domain: never two conversations at once, with two runners and many connections" {
	start_keeper server port --slow 0.03
	accounts "$(relay main "$port" 'connections = 8; domains = ( { domain = "one.example"; connections = 1; } );')"
	to one.example s 12
	to many.example m 30
	start_server run2 mailq-run
	run_mailq
	wait_gone "$(server_pid run2)"
	run_mailq
	assert_equal "$(kept server)" 42
	assert_equal "$(arrivals at-once server one.example)" 1
	[ "$(arrivals at-once server many.example)" -gt 1 ]
	assert_equal "$(in_state waiting)" 0
}

@test "limit_behavior = reject holds for domains, by name; connections reject nothing" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_behavior = "reject"; domains = (
		{ domain = "slow.example"; per_minute = 2; }, { domain = "one.example"; connections = 1; } );')"
	to slow.example s 4
	to one.example o 4
	run_mailq
	summary 'sent 6, deferred 0, failed 2'
	assert_equal "$(history_of failed s-3 | value reason)" \
		'limit of 2 a minute for slow.example of account main is reached'
	assert_equal "$(history_of failed s-3 | value class)" limit
}

@test "limit_behavior = reject: only the recipients of a domain at its limit fail" {
	start_keeper server port
	accounts "$(relay main "$port" 'limit_behavior = "reject"; domains = (
		{ domain = "slow.example"; per_hour = 1; }, { domain = "late.example"; per_hour = 1; } );')"
	add --id first --to a@slow.example --to a@late.example
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	add --id mixed --to b@slow.example --to b@one.example --to b@late.example
	add --id none --to c@slow.example --to c@late.example
	run_mailq
	summary 'sent 0, deferred 0, failed 2'
	assert_equal "$(kept server)" 2
	# The one that was beyond no limit has it, and nobody else.
	run cat "$BATS_TEST_TMPDIR"/server/*.json
	assert_match "$output" b@one.example
	[[ $output != *b@slow.example* && $output != *c@slow.example* && $output != *b@late.example* ]]
	assert_equal "$(history_of failed mixed | value class)" limit
	assert_equal "$(history_of failed mixed | value reason)" \
		'b@slow.example: limit of 1 an hour for slow.example of account main is reached (sent to 1 other)'
	assert_equal "$(history_of failed mixed | value recipients.0.reply)" \
		'limit of 1 an hour for slow.example of account main is reached'
	assert_equal "$(history_of failed mixed | value recipients.1.outcome)" sent
	assert_equal "$(history_of failed mixed | value recipients.2.reply)" \
		'limit of 1 an hour for late.example of account main is reached'
	assert_equal "$(history_of failed mixed | value server)" "127.0.0.1:$port"
	# Of the other one nobody was asked.
	assert_equal "$(history_of failed none | value class)" limit
	assert_equal "$(history_of failed none | value recipients.1.address)" c@late.example
	[[ $(history_of failed none) != *'"server"'* ]]
	run -0 mailq-status show none
	assert_match "$output" 'failed: .*limit of 1 an hour for slow.example of account main is reached'
	[[ $output != *'by account'* ]]
	assert_match "$output" 'c@late.example: failed'
	# By hand, those that have it do not get it again.
	rm "$MAILQ_SPOOL"/limits/* "$MAILQ_SPOOL"/log/*
	mailq-status retry mixed
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(grep -l b@one.example "$BATS_TEST_TMPDIR"/server/*.json | wc -l)" 1
	run -0 mailq-status metrics
	assert_match "$output" 'mailq_attempts_total.* 1'
}

@test "limit_behavior = reject: what a server says of the others counts first" {
	start_script server port 'rcpt#2=550 5.1.1 nobody here' 'rcpt#3=451 4.2.0 later'
	accounts "$(relay main "$port" 'limit_behavior = "reject"; domains = ( { domain = "slow.example"; per_hour = 1; } );')"
	add --id first --to a@slow.example
	run_mailq
	add --id refused --to b@slow.example --to b@one.example
	run_mailq
	assert_equal "$(history_of failed refused | value class)" refused
	assert_equal "$(history_of failed refused | value reason)" 'b@one.example: 550 5.1.1 nobody here'
	assert_equal "$(history_of failed refused | value code)" 550
	# Of one that is put off, the others are given up once and for all.
	add --id later --to c@slow.example --to c@one.example
	run_mailq
	assert_equal "$(state later)" deferred
	assert_equal "$(history_of deferred later | value reason)" 'c@one.example: 451 4.2.0 later'
	assert_equal "$(history_of deferred later | value recipients.0.outcome)" failed
	due_now later
	run_mailq
	assert_equal "$(state later)" failed
	assert_match "$(history_of failed later | value reason)" \
		'^c@slow.example: failed in an earlier attempt .sent to 1 other.$'
	assert_equal "$(said server | grep -c 'RCPT TO:<[bc]@slow')" 0
}

@test "no server is named where none was asked: the account's limit, too late, no such account" {
	start_keeper server port
	accounts "$(relay nobody "$port")"
	add --account nobody --id unknown
	accounts "$(relay main "$port" 'limit_per_hour = 1; limit_behavior = "reject";')" "$(relay other "$port")"
	add_ids m 2
	add --account other --id late --expires "$(($(date +%s) + 1))"
	past() { [ "$(date +%s)" -gt "$1" ]; }
	wait_for past "$(date +%s)"
	wait_for past "$(date +%s)"
	run_mailq
	for id in m-2 late unknown; do
		assert_equal "$(state "$id")" failed
		[[ $(history_of failed "$id") != *'"server"'* && $(history_of failed "$id") != *'"attempt"'* ]]
		run -0 mailq-status show "$id"
		assert_match "$output" 'failed: '
		[[ $output != *'by account'* && $output != *127.0.0.1* ]]
	done
}

@test "a full disk with a limit: its messages wait, and mailq-run says so with 75" {
	unshare -m true 2>/dev/null || skip 'mounts cannot be made here'
	SETTINGS='queue: { min_free_space = "0"; min_free_inodes = 0; };' \
		accounts "$(relay main 9 'limit_per_minute = 5;')"
	mkdir -p "$MAILQ_SPOOL"
	unshare -m bash -c '
		mount -t tmpfs -o size=1m,mode=700 none "$MAILQ_SPOOL" || exit 99
		mailq-add --to a@b.example --subject x --body y >/dev/null
		dd if=/dev/zero of="$MAILQ_SPOOL/captured" bs=4096 2>/dev/null
		mailq-run 2>err; echo $? >code'
	assert_equal "$(cat code)" 75
	assert_match "$(cat err)" 'No space left on device: its messages wait'
}
