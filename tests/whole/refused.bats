# Messages that the API rejects, and of which the application hears as it does of those that were fetched.

load ../helpers/common
load ../helpers/delivery
load ../helpers/application
load ../helpers/serve

setup() {
	delivery_setup
	SYNC='timeout = "10s";'
}
teardown() { common_teardown; }

# batch MESSAGE...: a body for add-messages
batch() {
	local IFS=,

	printf '{"messages":[%s]}' "$*"
}

good() { one_message "\"id\":\"$1\""; }
# bad ID: rejected by itself in each form
bad() { one_message "\"id\":\"$1\"" '"headers":{"X-A":"a\r\nb"}'; }

told() { heard app | sort | tr '\n' ' '; }

@test "a rejected message with an id that is not known is reported as an error, once" {
	start_application app port
	sync_to "$port"
	start_serve serve api
	for path in /commands/add-messages /messages/add_batch; do
		post "$path" "$(batch "$(good "g$path")" "$(bad "b$path")" "$(one_message '"id":"17"' '"account_id":"nobody"')")"
		answer 200 '"queued":1'
		post "$path" "$(batch "$(bad "b$path")")"
		answer 200 '"queued":0'
	done
	run_mailq
	summary 'sent 2, deferred 0, failed 0, reported 5'
	assert_equal "$(told)" '17 error b/commands/add-messages error b/messages/add_batch error g/commands/add-messages sent g/messages/add_batch sent '
	assert_match "$(report app '[r["id"], r.get("error", "")]')" '\["b/commands/add-messages", "headers.X-A: '
	assert_equal "$(report app '[r["id"], r.get("account_id")] if r["id"] == "17" else 0' | grep 17)" '["17", "nobody"]'
	assert_equal "$(mailq-status metrics | awk '$1 == "mailq_fetch_refused_total" { print $2 }')" 3
	# It has heard of it: rejected once more, it is told once more.
	post /messages/add_batch "$(batch "$(bad b/messages/add_batch)")"
	run_mailq
	assert_equal "$(heard app | tail -n 1)" 'b/messages/add_batch error'
	run -0 mailq-status check
}

@test "what is known, has no id, or is refused with the whole request is not reported" {
	start_application app port
	sync_to "$port"
	start_serve serve api
	post /commands/add-messages "$(batch "$(good A)" "$(bad A)")"
	answer 200 '"queued":1'
	run_mailq
	# In the spool already, whatever is wrong with this one.
	post /commands/add-messages "$(batch "$(good A)" "$(bad A)")"
	answer 200 'duplicate id'
	post /messages/add_batch "$(batch '{"to":"a@example.org","subject":"no id"}' 'null' '{"id":"","to":"a"}')"
	answer 200 '"queued":0'
	post /commands/add-messages '{"messages":[{"id":"X","to":["a@example.org"]}]}'
	answer 422
	post /messages/add "$(bad Y)"
	answer 422
	run_mailq
	assert_equal "$(told)" 'A sent '
	assert_equal "$(mailq-status metrics | awk '$1 == "mailq_fetch_refused_total" { print $2 }')" 0
}

@test "an answer that is given again records nothing again; nobody to tell, nothing is recorded" {
	start_application app port
	sync_to "$port"
	start_serve serve api
	for i in 1 2; do
		post /commands/add-messages "$(batch "$(good A)" "$(bad B)")" -H 'Idempotency-Key: k1'
		answer 200 '"queued":1'
		run_mailq
	done
	assert_equal "$(told)" 'A sent B error '
	stop_server serve
	exchange ''
	start_serve serve api
	post /commands/add-messages "$(batch "$(bad C)")"
	answer 200 '"queued":0'
	assert_equal "$(cat "$MAILQ_SPOOL"/log/*.log | grep -c '"event":"refused"')" 1
}
