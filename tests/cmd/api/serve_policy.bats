# mailq-serve: rules, accounts, suspensions.
# runs long

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/serve

setup() { delivery_setup; }
teardown() { common_teardown; }

RULES=/commands/rules

capture() { # ID [SETTINGS]
	echo "{ id = \"$1\"; transport = \"capture\"; maildir = \"$BATS_TEST_TMPDIR/$1.box\"; ${2:-} }"
}
captured() { # ID: how many messages it has
	find "$BATS_TEST_TMPDIR/$1.box" -type f 2>/dev/null | wc -l
}
# account ID [MEMBER...]: as JSON
account() {
	local id=$1 more

	shift
	printf '{"id":"%s","host":"mail.example.com","port":587' "$id"
	for more in "$@"; do
		printf ',%s' "$more"
	done
	printf '}'
}

# ---- rules -------------------------------------------------------------------------------------

@test "rules: created, listed, changed, deleted; each answer has all of them in order" {
	accounts "$(capture main)"
	start_serve s api
	api GET $RULES
	answer 200
	assert_equal "$body" '{"ok":true,"rules":[]}'
	post $RULES '{"name":"office","days":[0,1,2,3,4],"start_hour":8,"end_hour":18,"interval_minutes":5}'
	answer 200
	assert_equal "$body" '{"ok":true,"rules":[{"id":1,"name":"office","enabled":true,"priority":0,"days":[0,1,2,3,4],"start_hour":8,"end_hour":18,"cross_midnight":false,"interval_minutes":5}]}'
	post $RULES '{}'
	answer 200
	assert_equal "$(json 'a["rules"][1]')" '{"id":2,"enabled":true,"priority":1,"days":[],"cross_midnight":false,"interval_minutes":1}'
	post $RULES '{"name":"first","priority":-1,"enabled":false}'
	assert_equal "$(json '[r["id"] for r in a["rules"]]')" '[3,1,2]'
	api PATCH $RULES/1 -d '{"enabled":false}'
	answer 200
	assert_equal "$(json '[r["enabled"] for r in a["rules"]]')" '[false,false,true]'
	api PATCH $RULES/2 -d '{"priority":-5,"name":"last","interval_minutes":60}'
	answer 200
	assert_equal "$(json '[(r["id"], r.get("name")) for r in a["rules"]]')" '[[2,"last"],[3,"first"],[1,"office"]]'
	# An hour is taken away by null.
	api PATCH $RULES/1 -d '{"end_hour":null}'
	assert_equal "$(json '"end_hour" in a["rules"][2]')" false
	api DELETE $RULES/3
	answer 200
	assert_equal "$(json '[r["id"] for r in a["rules"]]')" '[2,1]'
	# An id is never used again, and mailq-rules sees the same.
	post $RULES '{}'
	assert_equal "$(json '[r["id"] for r in a["rules"]]')" '[2,1,4]'
	run -0 mailq-rules list --json
	assert_equal "$(value id <<<"$output" | tr '\n' ' ')" '2 1 4 '
	mailq-rules delete 4
	api GET $RULES
	assert_equal "$(json '[r["id"] for r in a["rules"]]')" '[2,1]'
}

@test "rules: faults are 422 with their place, unknown ids 404" {
	accounts "$(capture main)"
	start_serve s api
	post $RULES '{"name":"one"}'
	for bad in '"start_hour":24' '"end_hour":"9"' '"interval_minutes":0' '"days":[7]' '"days":"mon"' \
		'"enabled":1' '"priority":1.5' '"colour":"red"' '"name":"a\nb"'; do
		post $RULES "{$bad}"
		answer 422
		assert_equal "$(json 'a["detail"][0]["loc"]')" "[\"body\",${bad%%:*}]" "$bad"
		api PATCH $RULES/1 -d "{$bad}"
		answer 422
	done
	api PATCH $RULES/1
	answer 422
	api PATCH $RULES/1 -d '{"id":2}'
	answer 422 '"loc":\["body","id"\]'
	for id in 2 0 -1 x 99999999999999999999 1x; do
		api PATCH "$RULES/$id" -d '{"enabled":true}'
		answer 404
		assert_equal "$body" '{"detail":"Rule not found"}'
		api DELETE "$RULES/$id"
		answer 404
	done
	api GET $RULES
	assert_equal "$(json 'len(a["rules"])')" 1
	api PUT $RULES/1
	answer 405
	# A damaged file is nobody's fault who asks.
	echo '{' >"$MAILQ_SPOOL/rules"
	api GET $RULES
	answer 500
	assert_equal "$body" '{"detail":"Internal Server Error"}'
}

@test "rules: those made at the same time are all there; with a key, one is made once" {
	accounts "$(capture main)"
	start_serve s api
	pids=()
	for i in $(seq 20); do
		curl -sS -o /dev/null --data-binary "{\"name\":\"r$i\"}" "$URL$RULES" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	api GET $RULES
	assert_equal "$(json 'sorted(r["id"] for r in a["rules"])')" "[$(seq -s, 20)]"
	assert_equal "$(json 'len({r["name"] for r in a["rules"]})')" 20
	post $RULES '{"name":"once"}' -H 'Idempotency-Key: a'
	first=$body
	post $RULES '{"name":"once"}' -H 'Idempotency-Key: a'
	assert_equal "$body" "$first"
	api GET $RULES
	assert_equal "$(json 'len(a["rules"])')" 21
}

# The server is killed before or after each call that changes the spool, started again, and the request
# repeated: the rule is there once, and one that is to be deleted is gone.
@test "rules: with a key, one is made once and deleted once, wherever the server was killed" {
	local at act what shim=$MAILQ_BUILD/tests/preload/faults.so

	accounts "$(capture main)"
	mailq-rules add --name first >/dev/null
	mailq-rules add --name second >/dev/null
	mv "$MAILQ_SPOOL" before
	ask() { # WHAT
		if [ "$1" = create ]; then
			post $RULES '{"name":"once"}' -H 'Idempotency-Key: k'
		else
			api DELETE $RULES/2 -H 'Idempotency-Key: k'
		fi
	}
	for what in create delete; do
		want=$([ $what = create ] && echo '["first","second","once"]' || echo '["first"]')
		for act in before after; do
			for ((at = 1; at < 60; at++)); do
				rm -rf "$MAILQ_SPOOL"
				cp -r before "$MAILQ_SPOOL"
				ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$shim FAULTS_UNDER=$MAILQ_SPOOL \
					FAULTS_AT=$at FAULTS_ACT=$act FAULTS_LOG=$PWD/calls start_serve s api
				if ask $what 2>/dev/null; then
					[ "$code" = 200 ] && [ "$at" -gt 8 ] || fail "$what $act $at: $code $body"
					stop_server s
					break
				fi
				wait_gone "$(server_pid s)"
				rm -f s.server
				start_serve s api
				ask $what
				answer 200 || fail "$what $act $at"
				assert_equal "$(json '[r["name"] for r in a["rules"]]')" "$want" "$what $act $at"
				first=$body
				ask $what
				assert_equal "$body" "$first" "$what $act $at"
				api GET $RULES
				assert_equal "$body" "$first" "$what $act $at"
				stop_server s
			done
			[ "$at" -lt 60 ]
		done
	done
	# What a rule was made by is in the file, and shown to nobody.
	start_serve s api
	post $RULES '{"name":"shown"}' -H 'Idempotency-Key: l'
	grep -q '"once":"once-' "$MAILQ_SPOOL/rules"
	[[ $body != *once-* ]]
	post $RULES '{"once":"x"}'
	answer 422 '"loc":\["body","once"\]'
	# Another key makes another, also of the same name; and one that is changed is known still.
	post $RULES '{"name":"shown"}' -H 'Idempotency-Key: m'
	assert_equal "$(json '[r["name"] for r in a["rules"]]')" '["first","shown","shown"]'
}

# ---- accounts ----------------------------------------------------------------------------------

@test "accounts: made, replaced and listed, their password never" {
	accounts "$(capture main)"
	start_serve s api
	post /account "$(account smtp '"user":"u"' '"password":"geheim"' '"ttl":60' '"limit_per_minute":30' \
		'"limit_behavior":"reject"' '"use_tls":null' '"tenant_id":null')"
	answer 200
	assert_equal "$body" '{"ok":true}'
	api GET /accounts
	answer 200
	[[ $body != *geheim* ]]
	assert_equal "$(json '[x["id"] for x in a["accounts"]]')" '["main","smtp"]'
	assert_equal "$(json '[a["accounts"][1][k] for k in ("host", "port", "user", "ttl", "limit_per_minute", "limit_behavior", "has_password")]')" \
		'["mail.example.com",587,"u",60,30,"reject",true]'
	assert_match "$(json 'a["accounts"][1]["created_at"]')" '^20.*Z$'
	made=$(json 'a["accounts"][1]["created_at"]')
	# Replaced: what is not named is as for a new one.
	post /account "$(account smtp '"use_tls":true')"
	answer 200
	api GET /accounts
	assert_equal "$(json '[a["accounts"][1].get(k) for k in ("user", "limit_per_minute", "has_password", "use_tls", "created_at")]')" \
		"[null,null,null,true,\"$made\"]"
	# It is there for messages at once, and for the other programs.
	post /commands/add-messages "{\"messages\":[$(one_message '"account_id":"smtp"')]}"
	answer 200 '"queued":1'
	run -0 mailq-rules accounts list --json
	assert_equal "$(value id <<<"$output" | tr '\n' ' ')" 'main smtp '
}

@test "accounts: faults are 422 with their place; what stands in mailq.conf is changed there" {
	accounts "$(capture main)"
	start_serve s api
	post /account '{}'
	answer 422
	assert_equal "$(json '[d["loc"][1] for d in a["detail"]]')" '["id","host","port"]'
	post /account "$(account x '"port":"25"')"
	answer 422
	for bad in '"limit_per_minute":"x"' '"use_tls":3' '"limit_behavior":"sometimes"' '"ttl":"soon"' \
		'"password_command":"id"' '"password_file":"/etc/shadow"' '"maildir":"/tmp/x"' \
		'"client_key":"/etc/ssl/key"'; do
		post /account "$(account x "$bad")"
		answer 422
		assert_equal "$(json 'a["detail"][0]["loc"]')" "[\"body\",${bad%%:*}]" "$bad"
	done
	post /account '{"id":"x","host":"h","port":99999}'
	answer 422 '"loc":\["body","port"\]'
	post /account '{"id":"a/b","host":"h","port":25}'
	answer 422 '"loc":\["body","id"\]'
	post /account '{"id":"x","host":"h.example","port":25,"user":"u","password":"geheim","starttls":"never"}'
	answer 422
	[[ $body != *geheim* ]]
	post /account "$(account x '"fallback":"none"')"
	answer 422 '"loc":\["body","fallback"\]'
	post /account "$(account main)"
	answer 200 '^\{"ok":false,"error":"account main is in the configuration'
	api DELETE /account/main
	answer 200 '^\{"ok":false,"error":"account main is in the configuration'
	api GET /accounts
	assert_equal "$(json '[x["id"] for x in a["accounts"]]')" '["main"]'
	post /account '{"id":"box","transport":"capture"}'
	answer 200
}

@test "accounts: deleted, also one that is not there; not while messages wait for it" {
	accounts "$(capture main)"
	start_serve s api
	for id in one two three; do
		post /account "{\"id\":\"$id\",\"transport\":\"capture\"}"
		answer 200
		add_ids "$id" 2 --account "$id"
	done
	api DELETE /account/nothing
	answer 200
	assert_equal "$body" '{"ok":true,"removed":0}'
	api DELETE /account/one
	answer 200 '^\{"ok":false,"error":"2 messages wait for account one'
	api DELETE '/account/one?force=true'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":1}'
	api DELETE '/account/two?move_to=nothing'
	answer 200 '^\{"ok":false,"error":"move_to'
	api DELETE '/account/two?move_to=main'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":1,"moved":2}'
	run_mailq
	assert_equal "$(captured main)" 2
	assert_equal "$(in_state failed)" 2
	api DELETE /account/three
	answer 200
	assert_equal "$body" '{"ok":true,"removed":1}'
	api GET /accounts
	assert_equal "$(json '[x["id"] for x in a["accounts"]]')" '["main"]'
	# One that another names stays.
	post /account '{"id":"b","transport":"capture"}'
	post /account '{"id":"a","transport":"capture","fallback":"b"}'
	answer 200
	api DELETE /account/b
	answer 200 '^\{"ok":false,"error":"account b is the fallback of account a'
}

@test "accounts: a damaged one is named, and can be deleted or replaced" {
	accounts "$(capture main)"
	start_serve s api
	post /account "$(account bad)"
	echo 'host = ' >"$MAILQ_SPOOL/accounts/bad.new"
	mv "$MAILQ_SPOOL/accounts/bad.new" "$MAILQ_SPOOL/accounts/bad"
	api GET /accounts
	answer 200
	assert_equal "$(json '[[x["id"] for x in a["accounts"]], a["damaged"]]')" '[["main"],["bad"]]'
	post /account "$(account bad)"
	answer 200
	api GET /accounts
	assert_equal "$(json '[[x["id"] for x in a["accounts"]], a.get("damaged")]')" '[["main","bad"],null]'
}

@test "accounts: the grown form's" {
	accounts "$(capture main)"
	start_serve s api
	post /accounts/add "$(account smtp '"tenant_id":"t1"' '"user":"u"' '"password":"geheim"')"
	answer 200
	assert_equal "$(json '[a["id"], a["tenant_id"], a["port"]]')" '["smtp","t1",587]'
	[[ $body != *geheim* ]]
	api GET '/accounts/list?tenant_id=t1'
	assert_equal "$(json '[(x["id"], x["tenant_id"]) for x in a]')" '[["main","t1"],["smtp","t1"]]'
	api GET '/accounts/get?tenant_id=t1&account_id=smtp'
	answer 200
	assert_equal "$(json 'a["host"]')" mail.example.com
	api GET '/accounts/get?account_id=none'
	answer 404
	post /accounts/delete '{"tenant_id":"t1","account_id":"smtp"}'
	answer 200 '"removed":1'
	post /accounts/delete '{}'
	answer 422
	api GET /accounts/list
	assert_equal "$(json '[(x["id"], x["tenant_id"]) for x in a]')" '[["main","default"]]'
}

# ---- suspensions -------------------------------------------------------------------------------

@test "suspend, activate: the scheduler as a whole, across restarts" {
	accounts "$(capture main)"
	start_serve s api
	add >/dev/null
	api POST /commands/suspend
	answer 200
	assert_equal "$body" '{"ok":true,"active":false}'
	api GET /instance/status
	assert_equal "$body" '{"ok":true,"active":false}'
	kill "$(server_pid s)"
	wait_gone "$(server_pid s)"
	start_serve again api
	api GET /instance/status
	assert_equal "$body" '{"ok":true,"active":false}'
	run_mailq --now
	assert_equal "$(captured main)" 0
	run -0 mailq-rules suspend --json
	post /commands/activate '{}'
	answer 200
	assert_equal "$body" '{"ok":true,"active":true}'
	api GET /instance/status
	assert_equal "$body" '{"ok":true,"active":true}'
	run_mailq
	assert_equal "$(captured main)" 1
	# What is on is on.
	post /instance/activate '{"tenant_id":"t1"}'
	answer 200 '"active":true'
}

@test "suspend, activate: an account, a batch; by whom and why" {
	accounts "$(capture main)" "$(capture other)"
	start_serve s api
	post /commands/suspend '{"account_id":"main","reason":"the relay is being moved"}'
	answer 200
	assert_equal "$body" '{"ok":true,"active":false,"account_id":"main"}'
	post /instance/suspend "{\"tenant_id\":\"t1\",\"batch_code\":\"spring\",\"until\":$(($(date +%s) + 3600))}"
	answer 200
	assert_equal "$body" \
		'{"ok":true,"active":false,"batch_code":"spring","tenant_id":"t1","suspended_batches":["spring"],"pending_messages":0}'
	api GET /instance/status
	answer 200 '"active":true'
	add --account main >/dev/null
	add --account other --batch spring >/dev/null
	add --account other >/dev/null
	run_mailq
	assert_equal "$(captured main)$(captured other)" 01
	run -0 mailq-status --json
	assert_equal "$(jq -c '[.suspended[] | [.what, .account // .batch, .by, .reason, has("until")]]' <<<"$output")" \
		'[["account","main","API, 127.0.0.1","the relay is being moved",false],["batch","spring","API, 127.0.0.1",null,true]]'
	post /commands/activate '{"account_id":"main"}'
	assert_equal "$body" '{"ok":true,"active":true,"account_id":"main"}'
	post /commands/activate '{"batch_code":"spring"}'
	assert_equal "$body" '{"ok":true,"active":true,"batch_code":"spring"}'
	run_mailq
	assert_equal "$(captured main)$(captured other)" 12
}

@test "suspend: what cannot be, and what is no order" {
	accounts "$(capture main)"
	start_serve s api
	post /commands/suspend '{"account_id":"none"}'
	answer 200
	assert_equal "$body" '{"ok":false,"error":"there is no account \"none\""}'
	post /commands/activate '{"account_id":"none"}'
	answer 200 '^\{"ok":false'
	post /commands/suspend '{"account_id":"default"}'
	answer 200 '"ok":true'
	for bad in '"account_id":1' '"batch_code":""' '"reason":[]' '"until":"tomorrow"' '"until":1'; do
		post /commands/suspend "{$bad}"
		answer 422
		assert_equal "$(json 'a["detail"][0]["loc"]')" "[\"body\",${bad%%:*}]" "$bad"
	done
	post /commands/suspend '{"account_id":"main","batch_code":"b"}'
	answer 422
	post /commands/suspend '[1]'
	answer 422
	run -0 mailq-status --json
	assert_equal "$(jq -c '[.suspended[].account]' <<<"$output")" '["default"]'
}

@test "suspend: as the clients of the first service's grown form order it, in the query or the body" {
	accounts "$(capture main)"
	start_serve s api
	add_ids a 3 --batch b1
	add_ids b 1
	# A batch that is named in the query is not everything.
	api POST '/commands/suspend?tenant_id=t1&batch_code=b1' -H 'Content-Type: application/json' -d '{}'
	answer 200
	assert_equal "$body" \
		'{"ok":true,"active":false,"batch_code":"b1","tenant_id":"t1","suspended_batches":["b1"],"pending_messages":3}'
	api GET /status
	assert_equal "$(json 'a["active"]')" true
	post /instance/suspend '{"tenant_id":"t1","batch_code":"b2"}'
	assert_equal "$(json 'sorted(a["suspended_batches"])')" '["b1","b2"]'
	run_mailq
	assert_equal "$(captured main)" 1
	api POST '/commands/activate?tenant_id=t1&batch_code=b2'
	answer 200 '"suspended_batches":\["b1"\]'
	post /tenants/suspend_batch '{"tenant_id":"t1"}'
	answer 200
	assert_equal "$(json '(a["active"], sorted(a["suspended_batches"]), a["pending_messages"])')" '[false,["*","b1"],3]'
	api GET '/tenants/get_suspended_batches?tenant_id=t1'
	assert_equal "$(json 'sorted(a["suspended_batches"])')" '["*","b1"]'
	api GET /status
	assert_equal "$(json 'a["active"]')" false
	# A tenant as a whole: its batches too.
	post /tenants/activate_batch '{"tenant_id":"t1"}'
	answer 200 '"suspended_batches":\[\]'
	run_mailq
	assert_equal "$(captured main)" 4
	# The scheduler, as it was before there were tenants: the batches stay as they are.
	post /commands/suspend '{"batch_code":"b1"}'
	post /commands/activate '{}'
	assert_equal "$body" '{"ok":true,"active":true}'
	api GET /tenants/get_suspended_batches
	assert_equal "$body" '{"ok":true,"suspended_batches":["b1"]}'
	# What the query says is part of what a key stands for.
	api POST '/commands/suspend?batch_code=x' -H 'Idempotency-Key: k'
	answer 200
	api POST '/commands/suspend?batch_code=x' -H 'Idempotency-Key: k'
	answer 200 '"batch_code":"x"'
	api POST '/commands/suspend?batch_code=y' -H 'Idempotency-Key: k'
	answer 409
	api POST /commands/activate -d '{"batch_code":"x"}'
	api POST '/commands/suspend?batch_code='
	answer 422 '"loc":\["query","batch_code"\]'
	api GET /tenants/list
	assert_equal "$(json '[t["id"] for t in a]')" '["default"]'
	api GET '/tenants?active_only=true'
	assert_equal "$(json '[t["id"] for t in a["tenants"]]')" '["default"]'
}

@test "accounts: use_tls of the grown form is STARTTLS, but for port 465" {
	accounts "$(capture main)"
	start_serve s api
	post /accounts/add "$(account one '"tenant_id":"t1"' '"use_tls":true' '"user":"u"' '"password":"p"')"
	answer 200
	post /accounts/add '{"id":"two","host":"mail.example.com","port":465,"use_tls":true}'
	answer 200
	post /account "$(account three '"use_tls":true')"
	answer 200
	grep -q 'starttls = "required"' "$MAILQ_SPOOL/accounts/one"
	! grep -q use_tls "$MAILQ_SPOOL/accounts/one"
	grep -q 'use_tls = true' "$MAILQ_SPOOL/accounts/two"
	grep -q 'use_tls = true' "$MAILQ_SPOOL/accounts/three"
}
