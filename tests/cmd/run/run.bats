# runs long: many cycles, some of them at the same time.
#
# mailq-run itself: what is due when and in which order, its options, several of it, its end.

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# subjects NAME: what a keeper has, in the order of arrival
subjects() {
	sed -n '/^\r$/q; s/^Subject: \([^\r]*\)\r$/\1/p' -s "$BATS_TEST_TMPDIR/$1"/*.eml
}

# in_order: like subjects, of all files (sed's q would end at the first)
in_order() {
	local file

	for file in "$BATS_TEST_TMPDIR/$1"/*.eml; do
		grep -m 1 -oE '^Subject: [^'$'\r'']*' "$file" | cut -c10-
	done
}

# ---- what is due -------------------------------------------------------------------------------

@test "higher priorities go first, and within one those that came first" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 1;')"
	n=0
	for priority in low 2 high immediate medium 1 3 0 low high medium immediate 2 2 0 3; do
		n=$((n + 1))
		add --priority $priority --subject "single-$priority-$n"
		case $priority in
		immediate) p=0 ;; high) p=1 ;; medium) p=2 ;; low) p=3 ;; *) p=$priority ;;
		esac
		printf '%d %03d single-%s-%d\n' "$p" "$n" "$priority" "$n"
	done >plan
	# Batches, whose buckets are their own, behind them and among them.
	add_ids batch 100 --priority high
	for ((i = 1; i <= 100; i++)); do
		printf '1 %03d batch-%d\n' $((100 + i)) "$i"
	done >>plan
	add --priority high --subject last-high
	echo '1 999 last-high' >>plan
	run_mailq
	summary 'sent 117, deferred 0, failed 0'
	diff <(grep -E ' (single|batch|last)' plan | sort -n -k1,1 -k2,2 | cut -d' ' -f3) <(in_order server)
}

@test "FIFO across batches of one priority" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 1;')"
	for letter in a b c; do
		add_ids "$letter" 80
		add --subject "single-$letter"
	done
	run_mailq
	diff <(for letter in a b c; do printf "$letter-%d\n" {1..80}; echo "single-$letter"; done) <(in_order server)
}

@test "not before its time" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --id later --at +1h
	add --id soon --at +1s
	run_mailq
	assert_equal "$(state later)" deferred
	delivered() { mailq-run && [ "$(kept server)" -eq 1 ]; }
	wait_for delivered
	assert_equal "$(state later)" deferred
	assert_equal "$(state soon)" ''
	sent=$(history_of sent soon | value t)
	[[ ! $sent < $(history_of sent soon | value created) ]]
}

# ---- options -----------------------------------------------------------------------------------

@test "--id: only these, due or not" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --id now
	add --id later --at +1h
	add --id third
	add --id 'odd id/.%'
	run_mailq --id later
	summary 'sent 1, deferred 0, failed 0'
	run_mailq --id now 'odd id/.%'
	summary 'sent 2, deferred 0, failed 0'
	assert_equal "$(state third)" waiting
	run -66 --separate-stderr timeout 60 mailq-run --id nobody-knows-it third 'odd id/.%'
	assert_equal "$stderr" 'mailq-run: no message "nobody-knows-it" in the queue
mailq-run: no message "odd id/.%" in the queue'
	assert_equal "$output" 'sent 1, deferred 0, failed 0'
	assert_equal "$(kept server)" 4
	run -64 mailq-run --watch --id third
	run -64 mailq-run --watch --dry-run
}

@test "--id names what it leaves alone" {
	start_script server port 'dot=550 5.0.0 no'
	accounts "$(relay main "$port")"
	add --id M
	run_mailq
	run_mailq --id M
	assert_match "$stderr" 'M: it is failed'
	assert_saw server '> DATA' 1
}

@test "--limit" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add_ids M 50
	run_mailq --limit 7
	summary 'sent 7, deferred 0, failed 0'
	assert_equal "$(in_state waiting)" 43
	assert_equal "$(kept server)" 7
}

@test "--account" {
	start_keeper one one_port
	start_keeper two two_port
	accounts "$(relay one "$one_port")" "$(relay two "$two_port")"
	add_ids A 3 --account one
	add_ids B 4 --account two
	add_ids C 5
	run_mailq --account two
	summary 'sent 4, deferred 0, failed 0'
	run_mailq --account one
	summary 'sent 8, deferred 0, failed 0'
	assert_equal "$(kept one) $(kept two)" '8 4'
	run -64 --separate-stderr mailq-run --account three
	assert_match "$stderr" 'three'
}

@test "--dry-run says what would go, in order, and changes nothing" {
	free_port port
	accounts "$(relay main "$port")" "$(relay other "$port")"
	add --id a
	add --id b --priority high
	add --id c --account other
	add --id d --at +1h
	find "$MAILQ_SPOOL" | sort >before
	run_mailq --dry-run
	assert_equal "$(sort <<<"$output")" $'a\tmain\nb\tmain\nc\tother'
	assert_equal "$(grep -n main <<<"$output" | head -n 1 | cut -d: -f2)" $'b\tmain'
	diff before <(find "$MAILQ_SPOOL" | sort)
	run_mailq --dry-run --json
	assert_equal "$(value id <<<"$output" | sort | paste -sd' ')" 'a b c'
	assert_equal "$(value priority <<<"$output" | sort | paste -sd' ')" '1 2 2'
	run_mailq --dry-run --limit 1
	assert_equal "${#lines[@]}" 1
}

@test "the summary: silent when nothing happened, as JSON, and not with -q" {
	start_script server port 'dot#2=550 5.0.0 no' 'dot#3=450 4.0.0 later'
	accounts "$(relay main "$port" 'connections = 1;')"
	run_mailq
	assert_equal "$output$stderr" ''
	add_ids M 3
	run_mailq --json
	for pair in sent=1 deferred=1 failed=1 uncertain=0 damaged=0 recovered=0; do
		assert_equal "$(value "${pair%=*}" <<<"$output")" "${pair#*=}" "${pair%=*}"
	done
	add
	run_mailq -q
	assert_equal "$output$stderr" ''
	assert_saw server '^message' 2
	add
	run -74 bash -c 'mailq-run >/dev/full'
}

@test "misuse is 64; a configuration that is not there 66, one that is wrong 78 with its line" {
	for arguments in '--limit 0' '--limit x' '--jobs -1' 'operand' '--id' '--now=1'; do
		run -64 --separate-stderr mailq-run $arguments
		assert_equal "$output" ''
		assert_match "$stderr" '^mailq-run: '
	done
	run -66 mailq-run -c "$PWD/nothing"
	printf 'delivery: { jobs = 1; };\naccounts: ( { id = "main"; hots = "x"; } );\n' >"$MAILQ_CONFIG"
	run -78 --separate-stderr mailq-run
	assert_match "$stderr" 'mailq\.conf:2: .*hots'
}

# ---- where it is configured --------------------------------------------------------------------

@test "the environment alone" {
	start_keeper server port --login 'app:pa ss'
	unset MAILQ_CONFIG
	export SMTP_HOST=127.0.0.1 SMTP_PORT=$port SMTP_USER=app SMTP_PASSWORD='pa ss' SMTP_USE_TLS=false
	add --from a@example.com
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(value login <server/00001.json)" app
}

@test "the file's accounts weigh more than the environment's" {
	start_keeper file file_port
	start_keeper environment environment_port
	export SMTP_HOST=127.0.0.1 SMTP_PORT=$environment_port
	DELIVERY='default_accounts = [ "main" ];' accounts "$(relay main "$file_port")"
	add
	run_mailq
	assert_equal "$(kept file) $(kept environment)" '1 0'
}

@test "the spool: -s before the environment before the file" {
	start_keeper server port
	SETTINGS="spool = \"$PWD/from-file\";" accounts "$(relay main "$port")"
	for place in from-file from-environment from-option; do
		MAILQ_SPOOL=$PWD/$place add
	done
	MAILQ_SPOOL=$PWD/from-environment run_mailq -s "$PWD/from-option"
	summary 'sent 1, deferred 0, failed 0'
	MAILQ_SPOOL=$PWD/from-environment run_mailq
	assert_equal "$(kept server)" 2
	MAILQ_SPOOL='' run_mailq
	assert_equal "$(kept server)" 3
}

# ---- several of it -----------------------------------------------------------------------------

@test "two runs share the work, and double none" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 2;')"
	for ((i = 0; i < 4; i++)); do
		add_ids "M$i" 100
	done
	start_server one mailq-run -v
	start_server two mailq-run -v
	wait_gone "$(server_pid one)"
	wait_gone "$(server_pid two)"
	assert_equal "$(kept server)" 400
	assert_equal "$(in_order server | sort -u | wc -l)" 400
	assert_equal "$(cat one.log two.log | grep -oE '^sent [0-9]+' | awk '{ n += $2 } END { print n }')" 400
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
}

@test "what one run has in hand, another leaves alone" {
	start_script server port "dot#1=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay main "$port" 'connections = 1;')"
	add --id held-up
	start_server first mailq-run
	wait_for file_has server.log '> DATA'
	add --id next
	run_mailq -v
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(history_of sent | value id)" next
	touch gate
	wait_gone "$(server_pid first)"
	assert_equal "$(cat first.log)" 'sent 1, deferred 0, failed 0'
	assert_saw server '^message' 2
}

# ---- its end -----------------------------------------------------------------------------------

@test "SIGTERM: the conversation in hand is finished, the rest put back, exit 0" {
	start_script server port "dot#1=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay main "$port" 'connections = 1;')"
	add_ids M 10
	mailq-run >run.log 2>&1 3>&- &
	pid=$!
	echo $pid >run.server
	wait_for file_has server.log '> DATA'
	kill -TERM $pid
	touch gate
	rm run.server
	wait $pid || fail "exit status $?"
	sent=$(saw server '^message')
	assert_equal "$(cat run.log)" "sent $sent, deferred 0, failed 0"
	[ "$sent" -ge 1 ] && [ "$sent" -le 2 ]
	assert_equal "$(in_state waiting)" $((10 - sent))
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
	assert_equal "$(attempts M-10)" 0
	assert_saw server '> QUIT' 1
	run_mailq
	assert_saw server '^message' 10
}

@test "killed with a message on the wire: uncertain, by its account's policy; the rest as before" {
	start_script retry retry_port "dot#1=gate $PWD/gate,250 2.0.0 ok"
	start_script hold hold_port "dot#1=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay retry "$retry_port" 'connections = 1;')" \
		"$(relay hold "$hold_port" 'connections = 1; uncertain = "hold";')"
	for account in retry hold; do
		add_ids $account 3 --account $account
	done
	start_server run mailq-run
	wait_for file_has retry.log '> DATA'
	wait_for file_has hold.log '> DATA'
	on_the_wire() { [ "$(cat "$MAILQ_SPOOL"/cur/*/journal | grep -c '"event":"dot"')" -eq 2 ]; }
	wait_for on_the_wire
	stop_server run KILL
	run_mailq
	# Each account had two messages in hand: one on the wire, one that follows it.
	assert_match "$output" '^sent 5, deferred 0, failed 0, (uncertain 2, )?recovered 4$'
	assert_match "$stderr" 'died'
	assert_equal "$(history_of uncertain | value id | sort | paste -sd' ')" 'hold-1 retry-1'
	assert_equal "$(state hold-1)" uncertain
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
	touch gate
	# The first copy of retry-1 was taken as well: that is what uncertain means.
	all_of() { [ "$(saw retry '^message')" -eq 4 ] && [ "$(saw hold '^message')" -eq 3 ]; }
	wait_for all_of
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
}

@test "killed before anything was on the wire: nothing is uncertain" {
	start_script server port "rcpt#1=gate $PWD/gate,250 2.1.5 ok"
	accounts "$(relay main "$port" 'connections = 1;')"
	add_ids M 5
	start_server run mailq-run
	wait_for file_has server.log '> RCPT'
	stop_server run KILL
	run_mailq
	summary 'sent 5, deferred 0, failed 0, recovered 2'
	assert_saw server '^message' 5
	assert_equal "$(attempts M-1)" ''
}

@test "a damaged message is moved aside and named; the others go" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --id good
	add --id text
	add --id record
	add --id empty
	for id in text record empty; do
		file=$(find "$MAILQ_SPOOL/waiting" -type f -name "*.$id")
		case $id in
		text) sed -i 's/a body/A body/' "$file" ;;
		record) sed -i '1s/^mailq/MAILQ/' "$file" ;;
		empty) : >"$file" ;;
		esac
	done
	add --id last
	run_mailq
	summary 'sent 2, deferred 0, failed 0, damaged 3'
	for id in text record empty; do
		assert_equal "$(state $id)" corrupt
		assert_match "$stderr" "\.$id: damaged"
	done
	assert_equal "$(kept server)" 2
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
}

# ---- watching ----------------------------------------------------------------------------------

watches() { # PID: it is ready to be woken
	ls -l "/proc/$1/fd" | grep -q inotify
}

@test "--watch delivers soon after mailq-add, again and again, and ends with SIGTERM" {
	start_keeper server port
	accounts "$(relay main "$port")"
	mailq-run --watch >watch.log 2>&1 3>&- &
	pid=$!
	echo $pid >watch.server
	wait_for watches $pid
	for n in 1 2 3; do
		add --subject "watched-$n"
		has() { [ "$(kept server)" -eq "$n" ]; }
		wait_for has
	done
	settled() { [ "$(in_state cur)" -eq 1 ] && [ "$(in_state waiting)" -eq 0 ]; }
	wait_for settled
	rm watch.server
	kill -TERM $pid
	wait $pid || fail "exit status $?"
	assert_equal "$(cat watch.log)" 'sent 3, deferred 0, failed 0'
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
}

@test "--watch retries what has become due, and a parked account when its rest is over" {
	start_script server port 'dot#1=451 4.3.0 later'
	accounts "$(relay main "$port" 'retry = [ "1s" ]; retry_jitter = 0;')"
	add --id M
	start_server watch mailq-run --watch
	wait_for file_has server.log '^message'
	free_port nobody
	stop_server watch
	assert_equal "$(cat watch.log)" 'sent 1, deferred 1, failed 0'
	accounts "$(relay main "$nobody")"
	add --id N
	start_server watch mailq-run --watch
	wait_for resting main
	assert_equal "$(state N)" waiting
	start_script back nobody_port
	# A person takes the rest away.
	accounts "$(relay main "$nobody_port")"
	stop_server watch
	forget_rest
	start_server watch mailq-run --watch
	wait_for file_has back.log '^message'
	stop_server watch
}

@test "--watch with a server that does not answer still delivers what comes for another" {
	start_script stuck stuck_port "dot=gate $PWD/gate,250 2.0.0 ok"
	start_keeper quick quick_port
	accounts "$(relay stuck "$stuck_port")" "$(relay quick "$quick_port")"
	add --account stuck
	start_server watch mailq-run --watch
	wait_for file_has stuck.log '> DATA'
	for n in 1 2 3; do
		add --account quick
		has() { [ "$(kept quick)" -eq "$n" ]; }
		wait_for has
	done
	touch gate
	wait_for file_has stuck.log '^message'
	stop_server watch
}

@test "--watch reads a password again once it has been refused" {
	start_keeper server port --login app:right
	echo wrong >password
	accounts "$(relay main "$port" "user = \"app\"; password_file = \"$PWD/password\";")"
	add
	start_server watch mailq-run --watch
	wait_for resting main
	assert_equal "$(kept server)" 0
	echo right >password
	forget_rest
	has() { [ "$(kept server)" -eq 1 ]; }
	wait_for has
	stop_server watch
	assert_match "$(cat watch.log)" 'sent 1, deferred 0, failed 0$'
}
