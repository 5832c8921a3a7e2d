# make start and make stop: the API and delivery in the background, on a spool of their own.

load ../helpers/common

setup() {
	common_setup
	unset MAILQ_SPOOL
	free_port port
	export PORT=$port
	service=$MAILQ_TOP/scripts/service
}
teardown() {
	"$service" stop "$PWD/.mailq" >/dev/null 2>&1 || :
	common_teardown
}

@test "start makes a service that captures, says where it is, and stop ends it" {
	run -0 --separate-stderr "$service" start
	assert_equal "$stderr" ''
	assert_match "$output" "The API +http://127.0.0.1:$port/"
	assert_match "$output" "http://127.0.0.1:$port/docs"
	assert_match "$output" "captured mail +http://127.0.0.1:$port/captured"
	serve=$(cat .mailq/mailq-serve.pid) run=$(cat .mailq/mailq-run.pid)
	run -0 curl -fsS "http://127.0.0.1:$port/api/v1/send_email/" -F emails=a@example.org -F subject=Hello -F body=B
	delivered() {
		curl -fsS "http://127.0.0.1:$port/captured" | grep -q '"subject":"Hello"'
	}
	wait_for delivered
	run -0 "$service" stop
	assert_match "$output" 'mailq-serve has stopped.*mailq-run has stopped'
	not_running "$serve"
	not_running "$run"
	[ ! -e .mailq/mailq-serve.pid ]
	[ ! -e .mailq/mailq-run.pid ]
	# What was there is there again.
	run -0 "$service" start
	delivered
}

@test "start twice is refused, stop twice is not" {
	"$service" start
	run -1 --separate-stderr "$service" start
	assert_match "$stderr" 'runs already'
	"$service" stop
	run -0 "$service" stop
	assert_equal "$output" 'Nothing runs here.'
}

@test "the pid of another program is let alone" {
	mkdir .mailq
	sleep 1000 3>&- &
	other=$!
	echo $other >.mailq/mailq-serve.pid
	echo $other >.mailq/mailq-run.pid
	run -0 "$service" stop
	kill -0 $other
	echo $other >.mailq/mailq-serve.pid
	run -0 "$service" start
	kill $other
}

@test "settings in the environment and in .env hold" {
	printf '# a comment\nAPI_TOKEN="from the file"\nPORT=1\nPATH=/nowhere\n' >.env
	"$service" start
	run curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/status"
	assert_equal "$output" 401
	run curl -sS -o /dev/null -w '%{http_code}' -H 'X-API-Token: from the file' "http://127.0.0.1:$port/status"
	assert_equal "$output" 200
}

@test "the user's own configuration is not used, that beside the spool is" {
	mkdir -p "$HOME/.config/mailq"
	echo 'nonsense' >"$HOME/.config/mailq/mailq.conf"
	"$service" start
	"$service" stop
	echo 'server: { api_token = "x"; };' >.mailq/mailq.conf
	"$service" start
	run curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/status"
	assert_equal "$output" 401
}

@test "what keeps it from starting is told, and nothing is left running" {
	start_server other /usr/bin/python3 -m http.server --bind 127.0.0.1 "$port"
	wait_port other "$port"
	run -1 --separate-stderr "$service" start
	assert_match "$stderr" "service: mailq-serve: .*$port"
	[ ! -e .mailq/mailq-serve.pid ]
	[ ! -e .mailq/mailq-run.pid ]
}

@test "misuse is 64" {
	run -64 "$service"
	run -64 "$service" restart
}
