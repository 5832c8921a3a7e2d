# mailq-serve is killed with -9 again and again under 64 clients, while mailq-run --watch delivers over SMTP:
# what was answered as queued is delivered, and once.
# runs long
#
# The seed of the choices is shown, and KILL_SEED=N takes another run's.

load ../../helpers/common
load ../../helpers/serve

setup() {
	serve_setup
	export MAILQ_BUILD
}

teardown() {
	common_teardown
}

kills() {
	run /usr/bin/python3 -B "$MAILQ_TOP/tests/helpers/serve_kills.py" "$1"
	echo "$output"
	assert_status 0
	assert_match "$output" 'lost 0;'
}

@test "batches: what was answered as queued is delivered once, and what is posted again is known" {
	kills batches
}

@test "with keys: a request that is repeated until it is answered queues everything once" {
	kills keys
}

@test "forms with files, with keys: each address gets its message once, whole" {
	kills form
}

@test "send-message, with keys: clients that hang up or lose the server, and each message goes out once" {
	kills send
}

# Before each call that changes the spool, in its order.
@test "forms, with keys: killed at any call and posted again, each address has one message, and the answer says so" {
	local at shim=$MAILQ_BUILD/tests/preload/faults.so

	start_serve s port -q
	stop_server s
	mv spool empty
	head -c 300000 /dev/urandom >file
	form() {
		api POST /api/v1/send_email/ -H 'Idempotency-Key: k' -F emails=a@example.org -F emails=b@example.org \
			-F emails=c@example.org -F subject=S -F body=B -F files=@file
	}
	for ((at = 1; at < 120; at++)); do
		rm -rf spool
		cp -r empty spool
		ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$shim FAULTS_UNDER=$MAILQ_SPOOL \
			FAULTS_AT=$at FAULTS_ACT=before start_serve s port -q
		if form 2>curl.log; then
			[ "$code" = 201 ] && [ "$at" -gt 15 ] || fail "$at: $code $body"
			break
		fi
		wait_gone "$(server_pid s)"
		rm -f s.server
		start_serve s port -q
		form
		answer 201 ': 3"' || fail "killed at $at"
		stop_server s
		mailq-run -q
		assert_equal "$(find spool/captured/new -type f -size +300k | wc -l)" 3 "messages after $at"
	done
	[ "$at" -lt 120 ]
}
