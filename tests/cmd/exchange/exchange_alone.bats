# Reports that the application fails with, again and again: found, told alone, set aside; and an application that is
# down, for which nothing is.
# runs long

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/application

setup() {
	delivery_setup
	SYNC='timeout = "2s";'
}
teardown() { common_teardown; }

# cycles N: each tells, however shortly ago the last has failed.  (bats has a variable i of its own in run.)
cycles() {
	local cycle

	for ((cycle = 0; cycle < $1; cycle++)); do
		run_mailq --now
	done
}

@test "a report that the application fails with is told alone, holds up no other, and is set aside" {
	start_application app port
	sync_to "$port" 'batch_size = 20; max_attempts = 3;'
	add_ids m 50
	mailq-run -q --no-sync
	answers app sync 'choke deny:500: m-7 m-8 m-33'
	cycles 25
	assert_equal "$(heard app | wc -l) $(heard app | sort -u | wc -l)" '47 47'
	assert_match "$(mailq-status)" 'reports +0 not acknowledged; 3 set aside'
	assert_equal "$(mailq-status metrics | awk '$1 == "mailq_reports_dead" { print $2 }')" 3
	run -0 mailq-status check
	# What comes now is told at once.
	add --id new
	run_mailq
	assert_equal "$(heard app | tail -n 1)" 'new sent'
	# On demand, once more; the application has been mended.
	answers app sync ok
	run_mailq --resend-reports
	assert_equal "$(heard app | tail -n 3 | sort)" 'm-33 sent
m-7 sent
m-8 sent'
}

@test "each way to fail with a report isolates it; the warning names it" {
	start_application app port
	sync_to "$port" 'max_attempts = 2;'
	n=0
	for word in close 'deny:200:{"ok":false}' deny:400:bad deny:403: deny:413: deny:502: deny:503: hang; do
		n=$((n + 1))
		answers app sync "choke $word bad-$n"
		add --id "a-$n"
		add --id "bad-$n"
		add --id "z-$n"
		log=
		for cycle in {1..10}; do
			run_mailq --now
			log+=$stderr
		done
		assert_equal "$(heard app | tail -n 2 | sort)" "a-$n sent
z-$n sent" "at $word"
		assert_match "$log" "a report of \"bad-$n\" is set aside: told alone, the application fails with it" || fail "at $word"
	done
}

@test "an outage sets nothing aside, whatever comes meanwhile; what had failed alone before neither" {
	start_application app port
	sync_to "$port" 'batch_size = 10; max_attempts = 2;'
	for word in 'deny 500 down' 'deny 401 who' 'deny 404 where' 'deny 200 {"ok":false}' close 'redirect 302 /login'; do
		answers app sync "$word"
		for cycle in {1..12}; do
			add_ids "$((n += 1))" 2
			run_mailq --now
		done
		assert_equal "$(mailq-status --json | jq .reports.dead)" 0
		answers app sync ok
		cycles 3
		assert_match "$(mailq-status)" 'reports +0 not acknowledged' || fail "at $word"
		assert_equal "$(mailq-status --json | jq -r '"\(.reports.waiting) \(.reports.dead)"')" '0 0'
		assert_equal "$(heard app | sort -u | wc -l) $(heard app | wc -l)" "$((2 * n)) $((2 * n))"
	done
	# It is there for others, and fails with one; then it is down.
	sync_to "$port" 'batch_size = 10; max_attempts = 6;'
	answers app sync 'choke deny:500: bad'
	add --id bad
	add --id good
	cycles 5
	assert_equal "$(heard app | tail -n 1)" 'good sent'
	answers app sync 'deny 500 down'
	cycles 12
	assert_equal "$(mailq-status --json | jq .reports.dead)" 0
	answers app sync ok
	cycles 2
	assert_equal "$(heard app | tail -n 1)" 'bad sent'
}

@test "an application that wants to be left alone is not told in halves" {
	start_application app port
	sync_to "$port"
	add_ids m 4
	mailq-run -q --no-sync
	for word in 'answer-later 429 7' 'answer-later 503 7'; do
		answers app sync "$word"
		for i in 1 2 3; do
			now=$(date +%s)
			run_mailq --now
			pause=$(the_state state until)
			[ $((${pause%.*} - now)) -ge 7 ] || fail "$word: $pause"
		done
	done
	answers app sync 'answer-later 429 1000000'
	now=$(date +%s)
	run_mailq --now
	pause=$(the_state state until)
	[ $((${pause%.*} - now)) -le 3700 ] || fail "$pause"
	assert_equal "$(requests app | sort -u)" 4
}
