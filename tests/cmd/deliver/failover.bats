# runs long: several cycles to several servers in each test.
#
# Which account sends a message, and what an operator's suspension stops.

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# suspend NAME [LINE...]: as mailq-rules does: "all", "account,ID", "batch,CODE"
suspend() {
	local name=$1

	shift
	mkdir -p "$MAILQ_SPOOL/suspended"
	printf '%s\n' "since: $(date +%s).000000" "$@" >"$BATS_TEST_TMPDIR/order"
	mv "$BATS_TEST_TMPDIR/order" "$MAILQ_SPOOL/suspended/$name"
}
activate() {
	rm "$MAILQ_SPOOL/suspended/$1"
}

closed_port() {
	free_port "$1"
}

# ---- faults ------------------------------------------------------------------------------------

@test "main, then its fallback, then the fallback of that: each with a fault" {
	start_keeper third port3
	closed_port port
	start_script second port2 'connect=554 5.7.1 not today'
	accounts "$(relay main "$port" 'fallback = "backup";')" "$(relay backup "$port2" 'fallback = "third";')" \
		"$(relay third "$port3")"
	add_ids m 20 --account main
	run_mailq
	summary 'sent 20, deferred 0, failed 0'
	assert_equal "$(kept third)" 20
	resting main
	resting backup
	assert_equal "$(history_of sent m-7 | value account)" third
	assert_equal "$(history_of sent m-7 | value attempt)" 1
}

@test "the default accounts in line, and their fallbacks behind them" {
	start_keeper server port3
	closed_port port
	closed_port port2
	DELIVERY='default_accounts = [ "main", "backup" ];' \
		accounts "$(relay main "$port")" "$(relay backup "$port2" 'fallback = "third";')" "$(relay third "$port3")"
	add_ids m 3
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	assert_equal "$(kept server)" 3
}

@test "a refused recipient, and a deferred one, do not move on" {
	start_script main port 'rcpt#1=550 5.1.1 unknown' 'rcpt#2=450 4.2.1 later'
	start_keeper backup port2
	accounts "$(relay main "$port" 'fallback = "backup"; connections = 1;')" "$(relay backup "$port2")"
	add --account main --id A
	add --account main --id B
	run_mailq
	summary 'sent 0, deferred 1, failed 1'
	assert_equal "$(kept backup)" 0
	! resting main
}

@test "an account without a fallback keeps its messages" {
	start_keeper backup port2
	closed_port port
	accounts "$(relay main "$port")" "$(relay backup "$port2")"
	add --account main --id A
	run_mailq
	summary 'sent 0, deferred 0, failed 0'
	assert_equal "$(state A)" waiting
}

@test "messages of an account whose file is damaged wait, with one warning" {
	start_keeper server port
	accounts "$(relay main "$port")" "$(relay gone "$port")"
	add --account gone --id G
	add --account gone --batch spring --id H
	add --account main
	accounts "$(relay main "$port")"
	mkdir -p "$MAILQ_SPOOL/accounts"
	echo 'id = "gone" host' >"$MAILQ_SPOOL/accounts/gone"
	chmod 600 "$MAILQ_SPOOL/accounts/gone"
	start_server run mailq-run --watch
	wait_for file_has run.log 'account gone: its file in the spool is damaged: its messages wait'
	wait_for kept_are 1
	stop_server run
	assert_equal "$(grep -c 'its messages wait' run.log)" 1
	assert_equal "$(state G) $(state H)" 'waiting waiting'
	rm "$MAILQ_SPOOL/accounts/gone"
	run_mailq
	summary 'sent 0, deferred 0, failed 2'
}

# ---- limits ------------------------------------------------------------------------------------

@test "limit_behavior = fallback: the next in line takes what is beyond, and the last one keeps the rest" {
	start_keeper main port
	start_keeper backup port2
	accounts "$(relay main "$port" 'limit_per_minute = 3; limit_behavior = "fallback"; fallback = "backup";')" \
		"$(relay backup "$port2" 'limit_per_minute = 4;')"
	add_ids m 10 --account main
	run_mailq
	summary 'sent 7, deferred 0, failed 0'
	assert_equal "$(kept main)" 3
	assert_equal "$(kept backup)" 4
	assert_equal "$(in_state waiting)" 3
	! resting main
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
}

@test "limit_behavior = fallback, with nobody behind it: its messages wait" {
	start_keeper main port
	accounts "$(relay main "$port" 'limit_per_minute = 3; limit_behavior = "fallback";')"
	add_ids m 5
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	assert_equal "$(in_state waiting)" 2
}

@test "a pause between messages is no reason to fall back" {
	start_keeper main port
	start_keeper backup port2
	accounts "$(relay main "$port" 'min_interval_seconds = "100ms"; limit_behavior = "fallback"; fallback = "backup";')" \
		"$(relay backup "$port2")"
	add_ids m 5 --account main
	run_mailq
	summary 'sent 5, deferred 0, failed 0'
	assert_equal "$(kept main)" 5
}

@test "with limit_behavior = fallback, the next in line takes what a domain's limit holds back" {
	start_keeper main port
	start_keeper backup port2
	accounts "$(relay main "$port" 'limit_behavior = "fallback"; fallback = "backup";
		domains = ( { domain = "example.org"; per_minute = 2; } );')" "$(relay backup "$port2")"
	add_ids m 6 --account main
	add --account main --to other@example.com
	run_mailq
	run_mailq
	assert_equal "$(kept main)" 3
	assert_equal "$(kept backup)" 4
}

# ---- suspension --------------------------------------------------------------------------------

@test "suspended: all, an account, a batch; --now and --id do not override it; new arrivals wait too" {
	start_keeper server port
	accounts "$(relay main "$port")" "$(relay other "$port")"
	add --id M --account main
	add --id O --account other
	add --id S --account other --batch spring
	suspend all 'reason: the relay is being moved'
	run_mailq --now -v
	summary 'sent 0, deferred 0, failed 0'
	run_mailq --id M
	assert_match "$stderr" 'M: not sent: all is suspended \(the relay is being moved\)'
	activate all
	suspend account,main
	suspend batch,spring 'reason: wrong price'
	add --id M2 --account main
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(state O)" ''
	run_mailq -v --id S M
	summary 'sent 0, deferred 0, failed 0'
	assert_match "$stderr" 'S: not sent: batch spring is suspended \(wrong price\)'
	assert_match "$stderr" 'M: not sent: account main is suspended'
	activate account,main
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	activate batch,spring
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "one whose time has come is none, and is tidied away" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --id A
	suspend all "until: $(($(date +%s) - 5)).000000"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	[ ! -e "$MAILQ_SPOOL/suspended/all" ]
}

@test "a suspended account of the list is passed over; one that a message names is waited for" {
	start_keeper server port
	start_keeper backup port2
	DELIVERY='default_accounts = [ "main", "backup" ];' \
		accounts "$(relay main "$port" 'fallback = "backup";')" "$(relay backup "$port2")"
	add --id A
	add --id B --account main
	suspend account,main
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(kept backup)" 1
	assert_equal "$(state B)" waiting
}

# suspended_midway NAME ADD-OPTION...: a drain of 3,000 messages that is suspended in its middle stops
# within some seconds, and goes on when that is lifted
suspended_midway() {
	local name=$1 stood looks

	shift
	start_keeper server port --slow 0.05
	accounts "$(relay main "$port" 'connections = 5;')"
	add_ids m 3000 "$@"
	start_server run mailq-run --watch
	wait_for kept_are 50
	suspend "$name"
	wait_for -t 10 nothing_claimed
	stood=$(kept server)
	[ "$stood" -lt 2900 ]
	# The watch goes on looking at the suspensions, which brings nothing.
	looks=$(reads)
	wait_for read_more $((looks + 4))
	assert_equal "$(kept server)" "$stood"
	activate "$name"
	wait_for kept_are $((stood + 50))
	stop_server run
	assert_match "$(cat run.log)" "^sent $(kept server), deferred 0, failed 0\$"
}
kept_are() {
	[ "$(kept server)" -ge "$1" ]
}
nothing_claimed() {
	[ "$(find "$MAILQ_SPOOL/cur" -mindepth 3 -type f | wc -l)" -eq 0 ]
}
# How often the watch has read anything.
reads() {
	sed -n 's/^syscr: //p' "/proc/$(server_pid run)/io"
}
read_more() {
	[ "$(reads)" -ge "$1" ]
}

@test "all suspended in the middle of a drain" {
	suspended_midway all
}

@test "an account suspended in the middle of a drain" {
	suspended_midway account,main --account main
}

@test "a batch suspended in the middle of a drain" {
	suspended_midway batch,spring --batch spring
}
