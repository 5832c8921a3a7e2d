# mailq-status metrics: the counters follow from what happened, whoever did it and however it ended.

load ../../helpers/common
load ../../helpers/delivery

setup() {
	delivery_setup
}

teardown() {
	common_teardown
}

# metric NAME[{LABELS}]: its value in what mailq-status says now
metric() {
	mailq-status metrics | awk -v name="$1" '{ at = length($0) - length($NF); if (substr($0, 1, at - 1) == name) print $NF }'
}

# assert_metric NAME[{LABELS}] VALUE
assert_metric() {
	assert_equal "$(metric "$1")" "$2" "$1"
}

# sums ACCOUNT: sent, errors, deferred, rate limited, uncertain, attempts, deliveries whose time is known
sums() {
	mailq-status metrics | awk -v label="{account_id=\"$1\"}" '
		{ name = $1; if (sub(/\{.*/, "", name) && substr($1, length(name) + 1) == label) v[name] = $2 }
		END { print v["asyncmail_sent_total"], v["asyncmail_errors_total"], v["asyncmail_deferred_total"],
			v["asyncmail_rate_limited_total"], v["mailq_uncertain_total"], v["mailq_attempts_total"],
			v["mailq_delivery_latency_seconds_count"] }'
}

# recorded EVENT: how many such lines there are in all journals
recorded() {
	cat "$MAILQ_SPOOL"/log/*.log "$MAILQ_SPOOL"/cur/*/journal 2>/dev/null | grep -c "\"event\":\"$1\"" || :
}

# forget: nothing is kept any longer, and mailq-run tidies up
forget() {
	cp "$MAILQ_CONFIG" kept.conf
	echo 'queue: { retention = "0s"; };' >>"$MAILQ_CONFIG"
	wait_for all_is_forgotten
	mv kept.conf "$MAILQ_CONFIG"
}
all_is_forgotten() {
	mailq-run -q && [ -z "$(find "$MAILQ_SPOOL/log" -name '*.log')" ]
}

@test "an empty spool: every counter is there, with 0, and promtool finds no fault" {
	accounts "$(relay main 9)" "$(relay backup 9)"
	run -0 --separate-stderr mailq-status metrics
	assert_equal "$stderr" ''
	run -0 promtool check metrics <<<"$output"
	assert_equal "$output" ''
	for account in main backup default; do
		assert_equal "$(sums "$account")" '0 0 0 0 0 0 0' "$account"
	done
	assert_metric asyncmail_pending_messages 0
	assert_metric mailq_oldest_due_age_seconds 0.000000
	assert_metric 'mailq_messages{state="claimed"}' 0
	assert_metric mailq_runners 0
	assert_metric mailq_suspended 0
	assert_metric 'mailq_account_parked{account_id="backup"}' 0
	assert_metric "mailq_build_info{version=\"$(mailq-status --version | sed -n '1s/.* //p')\"}" 1
	[ "$(metric mailq_free_bytes)" -gt 0 ]
}

@test "sent, deferred and failed, by the account that a message names" {
	start_keeper server port --refuse 'bad@example.org=550 5.1.1 no such user' \
		--refuse 'busy@example.org=450 4.2.1 mailbox busy'
	accounts "$(relay main "$port")" "$(relay backup "$port")"
	add --account main
	add --account main --batch spring
	add --account main --to bad@example.org
	add --account main --to busy@example.org --id late
	add --account main --to to@example.org --to bad@example.org
	add
	add
	add --to busy@example.org
	run_mailq
	summary 'sent 4, deferred 2, failed 2'
	assert_equal "$(sums main)" '2 2 1 0 0 5 2'
	assert_equal "$(sums default)" '2 0 1 0 0 3 2'
	assert_equal "$(sums backup)" '0 0 0 0 0 0 0'
	assert_metric asyncmail_pending_messages 2
	assert_metric 'mailq_messages{state="deferred"}' 2
	assert_metric 'mailq_messages{state="failed"}' 2
	due_now late
	run_mailq
	assert_equal "$(sums main)" '2 2 2 0 0 6 2'
	run -0 promtool check metrics < <(mailq-status metrics)
	assert_equal "$output" ''
}

@test "the histogram: each bucket holds those below it, the last all" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add_ids m 5
	run_mailq
	mailq-status metrics | grep '^mailq_delivery_latency_seconds_bucket{account_id="default"' >buckets
	assert_equal "$(wc -l <buckets)" 15
	assert_match "$(tail -n 1 buckets)" 'le="\+Inf"\} 5$'
	assert_equal "$(sort -c -s -n -k 2 buckets 2>&1)" ''
	assert_metric 'mailq_delivery_latency_seconds_count{account_id="default"}' 5
	[ "$(metric 'mailq_delivery_latency_seconds_sum{account_id="default"}')" != 0.000000 ]
}

@test "limits: reached, and messages refused for one" {
	accounts "$(relay main 9)"
	mailq-status >/dev/null
	cat >"$MAILQ_SPOOL/log/1732147200.000000.aaaaaaaa.log" <<-'END'
	{"t":"2026-11-21T07:38:00.000000Z","event":"limited","account":"main","until":"2026-11-21T07:39:00.000000Z"}
	{"t":"2026-11-21T07:38:00.000000Z","event":"failed","id":"a","lane":"main","account":"main","attempt":1,"class":"limit"}
	{"t":"2026-11-21T07:38:00.000000Z","event":"failed","id":"b","lane":"main","account":"main","attempt":1,"class":"refused"}
	END
	assert_equal "$(sums main)" '0 2 0 2 0 0 0'
}

@test "right after kill -9, and after the recovery" {
	start_script server port "dot#3=gate $PWD/gate,250 2.0.0 at last"
	accounts "$(relay main "$port" 'connections = 1; uncertain = "hold";')"
	add_ids m 6
	assert_metric 'mailq_messages{state="waiting"}' 6
	mailq-run -q &
	runner=$!
	wait_for third_is_on_the_wire
	assert_metric mailq_runners 1
	assert_equal "$(sums default)" '2 0 0 0 0 2 2'
	kill -KILL "$runner"
	wait "$runner" || :
	assert_equal "$(sums default)" '2 0 0 0 0 2 2'
	assert_metric mailq_runners 0
	assert_metric mailq_recoveries_total 0
	assert_metric asyncmail_pending_messages 4
	touch gate
	run_mailq
	assert_equal "$(sums default)" '5 0 0 0 1 6 5'
	assert_metric mailq_recoveries_total 1
	assert_metric 'mailq_recovered_messages_total{outcome="uncertain"}' 1
	assert_metric 'mailq_messages{state="uncertain"}' 1
	assert_equal "$(recorded sent)" 5
	run -0 mailq-status log
	assert_match "$output" 'recovered: a mailq-run died; of the messages it had claimed 0 were finished as recorded, [0-9] put back, 1 are uncertain'
}
third_is_on_the_wire() {
	[ "$(recorded sent)" -eq 2 ] && [ "$(recorded dot)" -eq 3 ]
}

@test "logs that are forgotten were summed before, and counters go on from there" {
	start_keeper server port --refuse 'bad@example.org=550 5.1.1 no such user'
	accounts "$(relay main "$port")"
	add_ids a 3
	add --to bad@example.org
	run_mailq
	forget
	assert_equal "$(recorded sent)" 0
	assert_equal "$(sums default)" '3 1 0 0 0 4 3'
	add_ids b 2
	run_mailq
	assert_equal "$(sums default)" '5 1 0 0 0 6 5'
	forget
	forget
	assert_equal "$(sums default)" '5 1 0 0 0 6 5'
	[ "$(stat -c %a "$MAILQ_SPOOL/totals")" = 600 ]
	run -0 mailq-status check
}

# old_log N: a log of a year ago with one message that was sent
old_log() {
	local file=$MAILQ_SPOOL/log/$((1732147200 + $1)).000000.aaaaaaaa.log

	echo '{"t":"2024-11-21T00:00:00.000000Z","event":"sent","id":"a","lane":"main","account":"main"}' >"$file"
	chmod 600 "$file"
	touch -d 2024-11-21 "$file"
}

@test "killed at any step of forgetting: each log counts once" {
	accounts "$(relay main 9)"
	mailq-status >/dev/null
	total=0 killed=0
	for call in renameat fsync syncfs unlinkat flock; do
		for when in 1 2 3 4; do
			total=$((total + 1))
			old_log "$total"
			run timeout 60 strace -qq -o trace -e trace="$call" \
				-e inject="$call:signal=KILL:when=$when" mailq-run -q
			[ "$status" -eq 0 ] || killed=$((killed + 1))
			assert_equal "$(sums main)" "$total 0 0 0 0 0 0" "killed at $call $when"
			run -0 mailq-status check
		done
	done
	[ "$killed" -ge 8 ] || fail "only $killed were killed"
	mailq-run -q
	assert_equal "$(find "$MAILQ_SPOOL/log" -name '*.log')" ''
	assert_equal "$(sums main)" "$total 0 0 0 0 0 0"
	run -0 mailq-status check
}

@test "what a runner has not synced yet is on disk before it is told" {
	accounts "$(relay main 9)"
	mailq-status >/dev/null
	old_log 1
	run -0 strace -qq -o trace -e trace=fdatasync mailq-status metrics
	[ ! -s trace ]
	mkdir "$MAILQ_SPOOL/cur/1732147300.000000.abcdefgh"
	mv "$MAILQ_SPOOL"/log/*.log "$MAILQ_SPOOL/cur/1732147300.000000.abcdefgh/journal"
	run -0 strace -qq -o trace -e trace=fdatasync mailq-status metrics
	assert_match "$output" 'asyncmail_sent_total\{account_id="main"\} 1'
	assert_match "$(cat trace)" '^fdatasync\([0-9]+\) += 0$'
	# A sync that fails is no number.
	run -74 strace -qq -o trace -e inject=fdatasync:error=EIO mailq-status metrics
	assert_match "$output" 'cannot sum the journals in cur'
}

@test "five mailq-run at once, and eight who ask: no counter goes back, and the last is right" {
	free_port port
	start_sink sink "$port"
	accounts "$(relay main "$port")"
	for batch in 1 2 3 4 5; do
		add_ids "b$batch" 200
	done
	mkdir asked
	runners=() readers=()
	for n in 1 2 3 4 5 6 7 8; do
		(
			before=0
			until [ -e done ]; do
				now=$(metric 'asyncmail_sent_total{account_id="default"}')
				[ "$now" -ge "$before" ] || echo "$before, then $now" >>asked/went-back
				before=$now
			done
			echo "$before" >"asked/$n"
		) 3>&- &
		readers+=($!)
	done
	for n in 1 2 3 4 5; do
		mailq-run -q 3>&- &
		runners+=($!)
	done
	for pid in "${runners[@]}"; do
		wait "$pid"
	done
	assert_equal "$(sums default)" '1000 0 0 0 0 1000 1000'
	touch done
	for pid in "${readers[@]}"; do
		wait "$pid"
	done
	[ ! -e asked/went-back ] || fail "$(cat asked/went-back)"
	assert_equal "$(find asked -name '[1-8]' | wc -l)" 8
	assert_metric asyncmail_pending_messages 0
	[ "$(find "$MAILQ_SPOOL/log" -name '*.log' | wc -l)" -ge 2 ]
}

@test "a damaged file of sums is named, and nothing that it still says is lost" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add_ids a 3
	run_mailq
	forget
	add_ids b 2
	run_mailq
	run -0 mailq-status check
	# The line of the account is whole, what follows is not.
	sed -i 's/^end .*/end 0000000000000000/' "$MAILQ_SPOOL/totals"
	run -65 mailq-status check
	assert_match "$output" 'totals: is damaged'
	run -0 mailq-status check --repair
	assert_match "$output" 'totals: is damaged.*\(repaired\)'
	run -0 mailq-status check
	assert_equal "$(sums default)" '3 0 0 0 0 3 3'
	add_ids c 1
	run_mailq
	assert_equal "$(sums default)" '4 0 0 0 0 4 4'
	# With nothing to be read in it, the logs that are there tell what they can.
	head -c 500 /dev/urandom >"$MAILQ_SPOOL/totals"
	assert_equal "$(sums default)" '3 0 0 0 0 3 3'
	run -0 mailq-status check
}

@test "a spool that cannot be written tells the same" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add_ids a 3
	run_mailq
	mkdir ro
	unshare -m true 2>/dev/null || skip 'needs mount namespaces'
	run -0 unshare -m sh -c "mount --bind '$MAILQ_SPOOL' ro && mount -o remount,bind,ro ro && mailq-status -s ro metrics"
	assert_match "$output" 'asyncmail_sent_total\{account_id="default"\} 3'
}

@test "what is suspended, parked and due" {
	accounts "$(relay main 9)" "$(relay other 9)"
	add --account main --id a
	mailq-run -q || :
	assert_metric 'mailq_account_parked{account_id="main"}' 1
	assert_metric 'mailq_account_parked{account_id="other"}' 0
	mkdir -p "$MAILQ_SPOOL/suspended"
	for name in all account,other batch,spring batch,fall; do
		echo 'since: 1732147200.000000' >"$MAILQ_SPOOL/suspended/$name"
	done
	assert_metric mailq_suspended 1
	assert_metric mailq_suspended_batches 2
	assert_metric 'mailq_account_suspended{account_id="other"}' 1
	assert_metric 'mailq_account_suspended{account_id="main"}' 0
	# One whose next attempt is due counts, before any runner has looked.
	[ "$(metric mailq_oldest_due_age_seconds | cut -d. -f1)" -lt 1000 ]
	file=$(find "$MAILQ_SPOOL/waiting" -name '*.a')
	mkdir -p "$MAILQ_SPOOL/deferred/main/2.0"
	mv "$file" "$MAILQ_SPOOL/deferred/main/2.0/2.1000000000.000000.1.0.a"
	[ "$(metric mailq_oldest_due_age_seconds | cut -d. -f1)" -gt 100000000 ]
}

@test "labels: whatever an account is called" {
	accounts "$(relay main 9)"
	mailq-status >/dev/null
	# A quote, a backslash, a newline; an umlaut; a byte that is no UTF-8.
	{
		echo '{"t":"2026-11-21T07:38:00.000000Z","event":"sent","id":"a","lane":"%22a%5Cb%0Ac","account":"main"}'
		echo '{"t":"2026-11-21T07:38:00.000000Z","event":"sent","id":"b","lane":"%C3%BC","account":"main"}'
		echo '{"t":"2026-11-21T07:38:00.000000Z","event":"sent","id":"c","lane":"%FF","account":"main"}'
	} >"$MAILQ_SPOOL/log/1732147200.000000.aaaaaaaa.log"
	run -0 mailq-status metrics
	assert_equal "$(grep '^asyncmail_sent_total' <<<"$output")" 'asyncmail_sent_total{account_id="\"a\\b\nc"} 1
asyncmail_sent_total{account_id="default"} 0
asyncmail_sent_total{account_id="main"} 0
asyncmail_sent_total{account_id="ü"} 1
asyncmail_sent_total{account_id="\\xff"} 1'
	run -0 promtool check metrics <<<"$output"
	assert_equal "$output" ''
}

@test "the order is always the same, and each series stands once" {
	start_keeper server port
	accounts "$(relay main "$port")" "$(relay b "$port")" "$(relay a "$port")"
	add --account b
	mailq-status metrics | sed 's/ [^ ]*$//' >first
	run_mailq
	mailq-status metrics | sed 's/ [^ ]*$//' >second
	cmp first second
	assert_equal "$(grep -v '^#' first | sort | uniq -d)" ''
	# Each family is told of before its first sample, once.
	assert_equal "$(grep '^# TYPE' first | sort | uniq -d)" ''
	assert_equal "$(grep -c '^# HELP' first)" "$(grep -c '^# TYPE' first)"
}

@test "the line for the textfile collector, as the page has it" {
	accounts "$(relay main 9)"
	line=$(sed -n 's|^\* \* \* \* \* cd /var/lib/prometheus/node-exporter && ||p' "$MAILQ_TOP/man/mailq-status.1")
	assert_match "$line" '^mailq-status metrics '
	mkdir node-exporter
	cd node-exporter
	run -0 sh -c "$line"
	run -0 promtool check metrics <mailq.prom
	# One that failed replaces nothing.
	run env MAILQ_SPOOL=/proc/none sh -c "$line"
	[ "$status" -ne 0 ]
	[ -s mailq.prom ]
}

@test "bounces, what the application heard, and what it handed out that was no message" {
	mailq-run -q
	printf '{"t":"2026-11-21T07:38:00.000000Z","event":%s}\n' \
		'"bounced","id":"a","lane":"main","account":"main","class":"hard"' \
		'"bounced","id":"b","lane":"main","account":"main","class":"soft"' \
		'"bounced","id":"c","lane":"main","account":"main","class":"soft"' \
		'"reported","ids":["a","b"]' '"refused","id":"d"' >"$MAILQ_SPOOL/log/1732170240.000000.abcdefgh.log"
	assert_metric 'mailq_bounces_total{account_id="main",kind="hard"}' 1
	assert_metric 'mailq_bounces_total{account_id="main",kind="soft"}' 2
	assert_metric mailq_reports_told_total 2
	assert_metric mailq_fetch_refused_total 1
	assert_equal "$(sums main)" '0 0 0 0 0 0 0'
}

@test "metrics takes no operand" {
	run -64 mailq-status metrics x
	assert_match "$output" "metrics: unexpected operand 'x'"
}
