# mailq-serve: send-message, run-now, the lists of messages, one message, delete, cleanup.
# runs long

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/serve

setup() { delivery_setup; }
teardown() { common_teardown; }

SEND=/commands/send-message
ADD=/commands/add-messages

# capture ID [SETTINGS]
capture() {
	echo "{ id = \"$1\"; transport = \"capture\"; maildir = \"$BATS_TEST_TMPDIR/$1.box\"; ${2:-} }"
}
captured() { # ID: how many messages it has
	find "$BATS_TEST_TMPDIR/$1.box" -type f 2>/dev/null | wc -l
}
has_captured() { # ID COUNT
	[ "$(captured "$1")" -ge "$2" ]
}
no_runs() { # NAME: the server has no child left, not even as a zombie
	[ -z "$(ps -o pid= --ppid "$(server_pid "$1")")" ]
}

# ---- send-message ------------------------------------------------------------------------------

@test "send: the answer says what the server said" {
	start_script smtp port 'dot=250 2.0.0 queued as 42'
	accounts "$(relay main "$port")"
	start_serve s api
	post $SEND "$(one_message '"id":"M-1"')"
	answer 200
	assert_equal "$(json 'a["ok"]')" true
	assert_equal "$(json '{k: a["result"][k] for k in ("id", "status", "account", "smtp_code", "smtp_reply")}')" \
		'{"id":"M-1","status":"sent","account":"main","smtp_code":250,"smtp_reply":"2.0.0 queued as 42"}'
	assert_match "$(json 'a["result"]["timestamp"]')" '^20[0-9-]+T[0-9:.]+Z$'
	assert_saw smtp '^message' 1
	assert_equal "$(state M-1)" ""
	# The same id again is not sent twice.
	post $SEND "$(one_message '"id":"M-1"')"
	answer 200
	assert_equal "$body" '{"ok":false,"error":"duplicate id"}'
	assert_saw smtp '^message' 1
	post $SEND "$(one_message)"
	answer 200 '"status":"sent"'
	wait_for no_runs s
}

@test "send: a refusal for good is an error, one for now is a deferral" {
	start_script smtp port 'rcpt#1=550 5.1.1 nobody here' 'rcpt#2=451 4.3.0 later, please'
	accounts "$(relay main "$port")"
	start_serve s api
	post $SEND "$(one_message '"id":"bad"')"
	answer 200
	assert_equal "$(json '[a["ok"], a["result"]["status"], a["result"]["smtp_code"]]')" '[false,"error",550]'
	assert_match "$(json 'a["result"]["error"]')" 'nobody here'
	assert_equal "$(state bad)" failed
	post $SEND "$(one_message '"id":"later"')"
	answer 200
	assert_equal "$(json '[a["ok"], a["result"]["status"]]')" '[false,"deferred"]'
	assert_match "$(json 'a["result"]["error"]')" 'later, please'
	assert_equal "$(json 'a["result"]["deferred_until"]')" "$(due later)"
	assert_equal "$(state later)" deferred
}

@test "send: what is no message is 422, a message that cannot be is told so, and nothing is queued" {
	accounts "$(capture main)"
	start_serve s api
	post $SEND '{"from":"a@example.com","to":7,"subject":"S"}'
	answer 422
	assert_equal "$(json '[d["loc"] for d in a["detail"]]')" '[["body","to"],["body","body"]]'
	post $SEND '[]'
	answer 422
	post $SEND 'x'
	answer 422 'value_error.jsondecode'
	post $SEND "$(one_message '"cc":"nobody"')"
	answer 200 '^\{"ok":false,"error":"cc: '
	post $SEND "$(one_message '"account_id":"none"')"
	answer 200 '^\{"ok":false,"error":"account_id: '
	assert_equal "$(captured main)$(in_state waiting)" 00
}

@test "send: what holds a message back is told, and it goes when that is over" {
	accounts "$(capture main 'limit_per_minute = 1')" "$(capture other)"
	start_serve s api
	post /commands/suspend '{"batch_code":"xmas"}'
	post $SEND "$(one_message '"id":"B"' '"batch_code":"xmas"' '"account_id":"other"')"
	answer 200
	assert_equal "$(json 'a["result"]["status"]')" deferred
	assert_match "$(json 'a["result"]["error"]')" 'suspension of batch xmas'
	post $SEND "$(one_message '"account_id":"main"')"
	answer 200 '"status":"sent"'
	post $SEND "$(one_message '"account_id":"main"' '"id":"L"')"
	answer 200
	assert_equal "$(json 'a["result"]["status"]')" deferred
	assert_match "$(json 'a["result"]["error"]')" 'limit of 1 a minute'
	[ "$(json 'a["result"]["deferred_until"]')" -gt "$(date +%s)" ]
	assert_equal "$(state L)$(state B)" waitingwaiting
	post /commands/activate '{"batch_code":"xmas"}'
	run_mailq
	assert_equal "$(captured other)" 1
}

@test "send: it passes the rules and what waits before it" {
	accounts "$(capture main)"
	mailq-rules add --name never --days "$(LC_ALL=C date -d '3 days' +%a | tr A-Z a-z)" >/dev/null
	echo 'scheduler: { outside_rules = "wait"; };' >>"$MAILQ_CONFIG"
	add_ids old 50
	start_serve s api
	post $SEND "$(one_message '"id":"now"')"
	answer 200 '"status":"sent"'
	assert_equal "$(captured main)" 1
	run_mailq
	assert_equal "$(captured main)" 1
}

@test "send: a client that hangs up changes nothing" {
	start_script smtp port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay main "$port")"
	start_serve s api
	run curl -sS --max-time 2 --data-binary "$(one_message '"id":"H"')" "$URL$SEND"
	assert_status 28
	assert_equal "$(state H)" claimed
	touch open
	wait_for no_runs s
	assert_equal "$(state H)" ""
	assert_saw smtp '^message' 1
	post $SEND "$(one_message)"
	answer 200 '"status":"sent"'
}

@test "send: a server that is slow holds up no other message, and those that come together share a process" {
	start_script slow port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay slow "$port")" "$(capture main)"
	start_serve s api
	curl -sS -o slow.txt --data-binary "$(one_message '"id":"slow"' '"account_id":"slow"')" "$URL$SEND" 3>&- &
	wait_for file_has slow.log '^1> DATA'
	pids=()
	for i in $(seq 30); do
		curl -sS -o "out.$i" --data-binary "$(one_message "\"id\":\"m$i\"" '"account_id":"main"')" \
			"$URL$SEND" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	assert_equal "$(cat out.* | grep -o '"status":"sent"' | wc -l)" 30
	for i in $(seq 30); do
		file_has "out.$i" "\"id\":\"m$i\""
	done
	assert_equal "$(captured main)" 30
	[ "$(find "$MAILQ_SPOOL/log" -name '*.log' | wc -l)" -lt 25 ]
	[ ! -s slow.txt ]
	touch open
	wait_for file_has slow.txt '"status":"sent"'
	wait_for no_runs s
}

@test "send: one that another mailq-run has in hand is waited for" {
	start_script smtp port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay main "$port")"
	start_server watch mailq-run --watch
	add --id first >/dev/null
	wait_for file_has smtp.log '^1> DATA'
	touch open
	start_serve s api
	for i in 1 2 3 4 5; do
		post $SEND "$(one_message "\"id\":\"W$i\"")"
		answer 200 '"status":"sent"'
	done
	assert_saw smtp '^message' 6
}

@test "send: with a key, it is sent once, also where the server was killed in between" {
	start_script smtp port "dot#1=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay main "$port")"
	start_serve s api
	run curl -sS --max-time 2 -H 'Idempotency-Key: k1' --data-binary "$(one_message)" "$URL$SEND"
	assert_status 28
	post $SEND "$(one_message)" -H 'Idempotency-Key: k1'
	answer 409
	kill -9 "$(server_pid s)"
	start_serve again api2
	touch open
	post $SEND "$(one_message)" -H 'Idempotency-Key: k1'
	answer 200 '"status":"sent"'
	first=$body
	post $SEND "$(one_message)" -H 'Idempotency-Key: k1'
	answer 200
	assert_equal "$body" "$first"
	assert_saw smtp '^message' 1
}

@test "send: SIGTERM waits for what is being delivered" {
	start_script smtp port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay main "$port")"
	start_serve s api
	curl -sS -o out.txt --data-binary "$(one_message)" "$URL$SEND" 3>&- &
	wait_for file_has smtp.log '^1> DATA'
	kill "$(server_pid s)"
	wait_for file_has s.log stopping
	touch open
	wait_for file_has out.txt '"status":"sent"'
	wait_gone "$(server_pid s)"
}

# ---- run-now -----------------------------------------------------------------------------------

@test "run-now: a cycle begins at once, whatever the rules say" {
	accounts "$(capture main)"
	mailq-rules add --name never --days "$(LC_ALL=C date -d '3 days' +%a | tr A-Z a-z)" >/dev/null
	echo 'scheduler: { outside_rules = "wait"; };' >>"$MAILQ_CONFIG"
	add_ids x 3
	start_serve s api
	api POST /commands/run-now
	answer 200
	assert_equal "$body" '{"ok":true}'
	wait_for has_captured main 3
	add --id grown >/dev/null
	post /instance/run_now '{"tenant_id":"t1"}'
	answer 200 '^\{"ok":true\}$'
	wait_for has_captured main 4
	wait_for no_runs s
}

@test "run-now: many of them are a few processes, and the last finds what came before it" {
	start_script smtp port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay slow "$port")" "$(capture main)"
	start_serve s api
	add --account slow >/dev/null
	for i in $(seq 40); do
		api POST /commands/run-now
		answer 200
	done
	wait_for file_has smtp.log '^1> DATA'
	[ "$(ps -o pid= --ppid "$(server_pid s)" | wc -l)" -le 2 ]
	add --account main --id late >/dev/null
	api POST /commands/run-now
	touch open
	wait_for has_captured main 1
	wait_for no_runs s
}

@test "run-now and send: without a mailq-run that can be started" {
	accounts "$(capture main)"
	mkdir alone
	cp "$MAILQ_BUILD/bin/mailq-serve" alone/
	free_port api
	start_server s env PATH=/usr/bin:/bin alone/mailq-serve --listen "127.0.0.1:$api"
	wait_port s "$api"
	URL=http://127.0.0.1:$api
	api POST /commands/run-now
	answer 200 '^\{"ok":false,"error":"mailq-run cannot be started'
	post $SEND "$(one_message '"id":"M"')"
	answer 200 '"status":"deferred"'
	assert_equal "$(state M)" waiting
	# That of PATH does where there is none beside it.
	kill "$(server_pid s)"
	wait_gone "$(server_pid s)"
	start_server t alone/mailq-serve --listen "127.0.0.1:$api"
	wait_port t "$api"
	api POST /commands/run-now
	answer 200 '^\{"ok":true\}$'
	wait_for has_captured main 1
}

# ---- lists -------------------------------------------------------------------------------------

# All ids of a list, page by page.
all_ids() { # PATH KEY LIMIT
	local next= ids= mark=?

	case $1 in *\?*) mark='&' ;; esac
	while :; do
		api GET "$1${mark}limit=$3${next:+&cursor=$next}"
		[ "$code" = 200 ] || { fail "$code: $body"; return 1; }
		ids+=$(json "\"\".join(m[\"id\"] + \" \" for m in a[\"$2\"])")
		next=$(json 'a.get("next", "")')
		[ -n "$next" ] || break
	done
	echo "$ids"
}

@test "lists: every message once, whatever the size of a page" {
	start_script smtp port 'rcpt#1=550 no' 'rcpt#2=451 later'
	accounts "$(relay main "$port" 'connections = 1;')" "$(capture box)"
	start_serve s api
	add --account main --id f1 >/dev/null
	add --account main --id d1 >/dev/null
	add_ids s 5 --account box
	run_mailq
	add_ids w 130 --account main
	add_ids o 3 --account box --batch 'a+b/c'
	add --account box --at +1h --id 'd2~%&' >/dev/null
	mailq-status hold w-7 >/dev/null
	api GET '/messages?limit=1000'
	answer 200
	assert_equal "$(json 'len(a["messages"])')" 141
	assert_equal "$(json 'len({m["id"] for m in a["messages"]})')" 141
	assert_equal "$(json '"next" in a')" false
	whole=$(json '" ".join(m["id"] for m in a["messages"]) + " "')
	for limit in 1 7 100 141; do
		assert_equal "$(all_ids /messages messages $limit)" "$whole" "limit $limit"
	done
	# Each state, and the words of the first service.
	for try in waiting:132 queued:133 pending:132 deferred:2 held:1 uncertain:0 failed:1 error:1 sent:5 claimed:0; do
		assert_equal "$(all_ids "/messages?state=${try%:*}" messages 50 | wc -w)" "${try#*:}" "${try%:*}"
	done
	assert_equal "$(all_ids '/messages?active_only=true' messages 1000 | wc -w)" 135
	# By account and batch.
	assert_equal "$(all_ids '/messages?account_id=box&state=waiting' messages 2)" 'o-1 o-2 o-3 '
	assert_equal "$(all_ids '/messages?batch_code=a%2Bb%2Fc' messages 2)" 'o-1 o-2 o-3 '
	assert_equal "$(all_ids '/messages?account_id=box&state=sent' messages 2)" 's-5 s-4 s-3 s-2 s-1 '
	assert_equal "$(all_ids '/messages?account_id=main&state=sent' messages 2)" ''
}

@test "lists: what the rows say" {
	start_script smtp port 'rcpt#1=550 5.1.1 nobody' 'rcpt#2=451 4.0.0 later'
	accounts "$(relay main "$port" 'connections = 1;')" "$(capture box)"
	start_serve s api
	post $ADD "{\"messages\":[$(one_message '"id":"F"' '"account_id":"main"')]}"
	run_mailq
	post $ADD "{\"messages\":[$(one_message '"id":"D"' '"account_id":"main"' '"batch_code":"news"')]}"
	run_mailq
	post $ADD "{\"messages\":[$(one_message '"id":"S"' '"account_id":"box"' '"priority":"high"')]}"
	run_mailq
	api GET /messages
	answer 200
	assert_equal "$(json '[(m["id"], m["state"], m["status"], m["attempts"], m["account_id"]) for m in a["messages"]]')" \
		'[["D","deferred","deferred",1,"main"],["F","failed","error",1,"main"],["S","sent","sent",1,"box"]]'
	assert_equal "$(json '[m["message"] for m in a["messages"] if m["id"] == "D"][0]["to"]')" '["a@example.org"]'
	assert_equal "$(json '[(m["priority"], m["message"]["subject"]) for m in a["messages"]]')" '[[2,"S"],[2,"S"],[1,"S"]]'
	assert_equal "$(json '[sorted(k for k in m if k.endswith("_ts")) for m in a["messages"]]')" \
		'[["deferred_ts"],["error_ts"],["sent_ts"]]'
	assert_match "$(json 'a["messages"][1]["error"]')" nobody
	assert_match "$(json 'a["messages"][0]["error"]')" later
	assert_equal "$(json 'a["messages"][0]["batch_code"]')" news
	assert_equal "$(json 'a["messages"][0]["deferred_ts"]')" "$(due D)"
	assert_equal "$(json 'all(abs(m["error_ts"] - '"$(date +%s)"') < 300 for m in a["messages"] if "error_ts" in m)')" true
	assert_equal "$(json 'all(m["created_at"].endswith("Z") for m in a["messages"])')" true
	api GET /deferred
	answer 200
	assert_equal "$(json '[(d["id"], d["account_id"], d["deferred_until"]) for d in a["deferred"]]')" \
		"[[\"D\",\"main\",$(due D)]]"
}

@test "lists: pending, what is in hand first" {
	start_script smtp port "dot=gate $BATS_TEST_TMPDIR/open,250 2.0.0 queued"
	accounts "$(relay main "$port")" "$(capture box)"
	start_serve s api
	add --account main --id hand --to 'x@example.org, y@example.org' >/dev/null
	start_server run mailq-run --account main
	wait_for file_has smtp.log '^1> DATA'
	add_ids p 3 --account box
	api GET /pending
	answer 200
	assert_equal "$(json '[p["id"] for p in a["pending"]]')" '["hand","p-1","p-2","p-3"]'
	assert_equal "$(json '[a["pending"][0][k] for k in ("to_addr", "subject", "account_id", "state")]')" \
		'["x@example.org, y@example.org","test","main","claimed"]'
	assert_match "$(json 'a["pending"][0]["started_at"]')" '^20.*Z$'
	for limit in 1 2 3; do
		assert_equal "$(all_ids /pending pending $limit)" 'hand p-1 p-2 p-3 '
	done
	# What is in hand is not deleted, and told of.
	post /commands/delete-messages '{"ids":["hand","p-2","nothing","p-2"]}'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":1,"not_found":["nothing"],"in_delivery":["hand"]}'
	touch open
	wait_gone "$(server_pid run)"
	assert_saw smtp '^message' 1
}

@test "lists: a cursor holds when what it names is gone, and must be one" {
	accounts "$(capture main)"
	start_serve s api
	add_ids x 20
	api GET '/messages?state=waiting&limit=10'
	next=$(json 'a["next"]')
	post /commands/delete-messages '{"ids":["x-9","x-10","x-11"]}'
	answer 200 '"removed":3'
	api GET "/messages?state=waiting&limit=10&cursor=$next"
	assert_equal "$(json '[m["id"] for m in a["messages"]]')" \
		'["x-12","x-13","x-14","x-15","x-16","x-17","x-18","x-19","x-20"]'
	for bad in x waiting~2fx waiting~2 sent~2fx~2f0 sent~2f1 'waiting/a' '~00' none 'failed'; do
		api GET "/messages?state=waiting&cursor=$bad"
		answer 422 '"loc":\["query","cursor"\]'
	done
	for bad in 0 -1 x '' 99999999999999999999; do
		api GET "/messages?limit=$bad"
		answer 422 '"loc":\["query","limit"\]'
	done
	api GET '/messages?state=nowhere'
	answer 422 '"loc":\["query","state"\]'
}

@test "lists: what was sent, the latest first, page by page" {
	accounts "$(capture main)"
	start_serve s api
	expected=
	for i in 1 2 3; do
		add_ids "r$i" 40
		run_mailq
	done
	whole=$(all_ids '/messages?state=sent' messages 1000)
	assert_equal "$(wc -w <<<"$whole")" 120
	assert_equal "$(tr ' ' '\n' <<<"$whole" | sort -u | grep -c .)" 120
	for limit in 1 9 40 119; do
		assert_equal "$(all_ids '/messages?state=sent' messages $limit)" "$whole" "limit $limit"
	done
	api GET '/messages?state=sent&limit=40'
	assert_equal "$(json 'all(m["id"].startswith("r3-") for m in a["messages"])')" true
}

# ---- one message -------------------------------------------------------------------------------

@test "one message: with its attempts, the server's and each recipient's reply" {
	start_script smtp port 'rcpt#2=550 5.1.1 no such user' 'dot#1=451 4.3.2 not now'
	accounts "$(relay main "$port" 'retry = ["1s"];')"
	start_serve s api
	post $ADD "{\"messages\":[$(one_message '"id":"a/b c"' '"cc":"c@example.org"')]}"
	api GET /messages/a%2Fb%20c
	answer 200
	assert_equal "$(json '[a[k] for k in ("ok", "id", "state", "attempts", "history", "recipients")]')" \
		'[true,"a/b c","waiting",0,[],2]'
	assert_equal "$(json 'a["why"]["code"]')" nothing
	run_mailq
	api GET /messages/a%2Fb%20c
	answer 200
	assert_equal "$(json '[a["state"], a["attempts"], a["why"]["code"]]')" '["deferred",1,"backoff"]'
	assert_equal "$(json '[(h["event"], h["attempt"], h["server"]) for h in a["history"]]')" \
		"[[\"deferred\",1,\"127.0.0.1:$port\"]]"
	assert_equal "$(json '[(r["address"], r["outcome"], r["code"]) for r in a["history"][0]["recipients"]]')" \
		'[["a@example.org","deferred",451],["c@example.org","failed",550]]'
	assert_match "$(json 'a["history"][0]["ts"]')" '^20.*Z$'
	assert_match "$(json 'a["history"][0]["deferred_until"]')" '^20.*Z$'
	post $SEND "$(one_message '"id":"x"')"
	answer 200
	api GET /messages/x
	answer 200
	assert_equal "$(json '[a["state"], a["status"], a["message"]["subject"], len(a["history"])]')" '["sent","sent","S",1]'
	[ "$(json 'a["sent_ts"]')" -gt 0 ]
	api GET /messages/nothing
	answer 404
	assert_equal "$body" '{"detail":"Message not found"}'
	post /commands/delete-messages '{"ids":["a/b c"]}'
	answer 200 '"removed":1'
	api GET /messages/a%2Fb%20c
	answer 404
}

# ---- delete, cleanup ---------------------------------------------------------------------------

@test "delete: in every state; ids that are none; what is no list" {
	accounts "$(capture main)"
	start_serve s api
	add_ids x 4
	add --id later --at +1h >/dev/null
	mailq-status hold x-1 >/dev/null
	post /commands/delete-messages '{"ids":["x-1","x-2","later","x-9","",".."]}'
	answer 200
	assert_equal "$(json '[a["ok"], a["removed"], sorted(a["not_found"])]')" '[true,3,["","..","x-9"]]'
	post /commands/delete-messages '{}'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":0,"not_found":[]}'
	post /commands/delete-messages '{"ids":"x-3"}'
	answer 422 '"loc":\["body","ids"\]'
	post /commands/delete-messages '{"ids":["x-3",4]}'
	answer 422 '"loc":\["body","ids",1\]'
	assert_equal "$(in_state waiting)" 2
	# Its id is free again; and who did it is on record.
	post $ADD "{\"messages\":[$(one_message '"id":"x-2"')]}"
	answer 200 '"queued":1'
	run -0 mailq-status log x-1
	assert_match "$output" 'API, 127.0.0.1'
	post /messages/delete_batch '{"tenant_id":"t","ids":["x-2","x-3"]}'
	answer 200 '"removed":2'
}

@test "cleanup: what is over is forgotten when it is old enough, what waits is not" {
	start_script smtp port 'rcpt#1=550 no'
	accounts "$(relay main "$port" 'connections = 1;')" "$(capture box)"
	start_serve s api
	add --account main --id gone >/dev/null
	add_ids s 3 --account box
	run_mailq
	add --account box --id waits >/dev/null
	post /commands/cleanup-messages '{"older_than_seconds":3600}'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":0}'
	api POST /commands/cleanup-messages
	answer 200 '"removed":0'
	post /commands/cleanup-messages '{"older_than_seconds":0}'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":4}'
	api GET /messages
	assert_equal "$(json '[m["id"] for m in a["messages"]]')" '["waits"]'
	post $ADD "{\"messages\":[$(one_message '"id":"gone"')]}"
	answer 200 '"queued":1'
	for bad in -1 1.5 '"1"' 99999999999999; do
		post /commands/cleanup-messages "{\"older_than_seconds\":$bad}"
		answer 422 '"loc":\["body","older_than_seconds"\]'
	done
}

# ---- the first service's grown form ------------------------------------------------------------

@test "grown: its lists are arrays, its rows have a tenant" {
	accounts "$(capture main)"
	start_serve s api
	add_ids s 2
	run_mailq
	add --id later --at +1h >/dev/null
	add_ids w 2 --batch b1
	api GET '/messages/list?tenant_id=t1'
	answer 200
	assert_equal "$(json '[(m["id"], m["pk"], m["tenant_id"], m["status"], "smtp_ts" in m) for m in a]')" \
		'[["w-1","w-1","t1","pending",false],["w-2","w-2","t1","pending",false],["later","later","t1","deferred",false],["s-2","s-2","t1","sent",true],["s-1","s-1","t1","sent",true]]'
	api GET '/messages/list?active_only=true&limit=2'
	assert_equal "$(json '[m["id"] for m in a]')" '["w-1","w-2"]'
	next=$(sed -n 's/^X-Next-Cursor: //p' <<<"$head")
	api GET "/messages/list?active_only=true&limit=2&cursor=$next"
	assert_equal "$(json '[m["id"] for m in a]')" '["later"]'
	api GET '/messages/get?message_id=s-1&tenant_id=t1'
	answer 200
	assert_equal "$(json '[a["id"], a["status"], a["message"]["subject"]]')" '["s-1","sent","s-1"]'
	api GET /messages/get
	answer 422
	api GET '/messages/get?message_id=none'
	answer 404
	api GET /messages/count_active
	assert_equal "$code$body" 2003
	api GET '/messages/count_pending_for_tenant?tenant_id=t1&batch_code=b1'
	assert_equal "$code$body" 2002
	post /messages/delete '{"message_pk":"w-1"}'
	assert_equal "$code$body" 200true
	post /messages/delete '{"message_pk":"w-1"}'
	assert_equal "$code$body" 200false
	post /messages/add_batch "{\"messages\":[$(one_message '"id":"n"')]}"
	answer 200 '"queued":1'
	api GET '/messages/cleanup?tenant_id=t1&older_than_seconds=0'
	answer 200
	assert_equal "$body" '{"ok":true,"removed":2}'
	api GET /messages/cleanup -H 'Sec-Fetch-Site: cross-site'
	answer 403
	# A key does not make a GET one that was answered already; and HEAD removes nothing.
	run_mailq
	for age in 3600 0; do
		curl -sS -I -o head.txt "$URL/messages/cleanup?older_than_seconds=0"
		grep -q '^HTTP/1.1 405' head.txt
		api GET "/messages/cleanup?older_than_seconds=$age" -H 'Idempotency-Key: k'
		answer 200
		assert_equal "$body" "{\"ok\":true,\"removed\":$([ $age = 0 ] && echo 2 || echo 0)}"
	done
}

# What the client that the first service publishes for its grown form sends, call by call.
@test "grown: one message, senders and bodies as its clients write them" {
	accounts "$(capture main)"
	start_serve s api
	post /messages/add '{"id":"m1","tenant_id":"t1","account_id":"main","from_addr":"app@example.com",
		"to":["a@example.org"],"subject":"S","body":"B","priority":1,"batch_code":"b1"}'
	answer 200
	assert_equal "$body" '{"ok":true,"id":"m1","pk":"m1"}'
	assert_equal "$(field m1 sender) $(field m1 priority) $(field m1 batch)" 'app@example.com 1 b1'
	post /messages/add "$(one_message '"id":"m1"')"
	answer 409
	assert_equal "$body" '{"detail":"duplicate id"}'
	post /messages/add "$(one_message)" -H 'Idempotency-Key: k'
	answer 200
	first=$body
	post /messages/add "$(one_message)" -H 'Idempotency-Key: k'
	assert_equal "$body" "$first"
	assert_equal "$(in_state waiting)" 2
	post /messages/add '{"id":"x","from_addr":"nobody","to":[],"subject":7}'
	answer 422
	assert_equal "$(json '[d["loc"] for d in a["detail"]]')" '[["body","from_addr"],["body","to"],["body","subject"],["body","body"]]'
	post /messages/add "$(one_message '"account_id":"none"')"
	answer 422 'account_id: '
	post /messages/add '[]'
	answer 422
	# In a batch each stands alone, whatever it lacks, and one without a body says nothing.
	post /messages/add_batch '{"messages":[{"id":"b1","from_addr":"a@example.com","to":"b@example.org","subject":"S"},
		{"id":"b2","to":"b@example.org","subject":"S","body":"B"},7,{"id":"b3","from":"a@example.com","to":["b@example.org"],"subject":"T","body":"B"}]}'
	answer 200
	assert_equal "$(json '[a["queued"], a["ids"], [r.get("id") for r in a["rejected"]], [r["index"] for r in a["rejected"]]]')" \
		'[2,["b1","b3"],["b2",null],[1,2]]'
	assert_match "$(json 'a["rejected"][0]["reason"]')" '^from: '
	post /messages/add_batch '{"messages":5}'
	answer 422
	# The commands take the sender by its other name, too; HTML and the author's name as the example client has them.
	post $ADD '{"messages":[{"id":"h","from":"a@example.com","from_name":"Grüße","to":"b@example.org","subject":"S","body":"<p>B</p>","html":true}]}'
	answer 200 '"queued":1'
	assert_match "$(text h)" $'\nContent-Type: text/html'
	assert_match "$(text h)" $'From: =\\?(utf|UTF)-8\\?.*<a@example.com>'
	post $ADD '{"messages":[{"from_addr":"a@example.com","from_name":"a\nBcc: x@example.org","to":"b@example.org","subject":"S","body":"B"}]}'
	answer 200 '"reason":"from_name: line break'
	post $SEND '{"from_addr":"a@example.com","to":"b@example.org","subject":"S","body":"B"}'
	answer 200 '"status":"sent"'
	# Lists of any length are asked for, and given as far as a page goes.
	api GET '/messages?limit=100000'
	answer 200
	api GET '/messages?limit=0'
	answer 422
}

@test "delete: for what was sent the queue is not searched, however large it is" {
	accounts "$(capture main)"
	start_serve s api
	add_ids sent 3 --account main
	run_mailq
	add_ids w 2 --account main
	cat >watched.py <<-'E2'
	import ctypes, os, subprocess, sys
	libc = ctypes.CDLL(None, use_errno=True)
	fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
	for top in [top for top, _, _ in os.walk(sys.argv[1])]:
	    assert libc.inotify_add_watch(fd, top.encode(), 0x20) >= 0  # IN_OPEN
	subprocess.run(sys.argv[2:], check=True)
	try:
	    seen = len(os.read(fd, 65536))
	except BlockingIOError:
	    seen = 0
	print("\nsearched" if seen else "\nnot searched")
	E2
	searched() { # PATH BODY
		/usr/bin/python3 watched.py "$MAILQ_SPOOL/waiting/main" curl -sS -d "$2" "$URL$1"
	}
	run -0 searched /commands/delete-messages '{"ids":["sent-1","sent-3"]}'
	assert_equal "$output" $'{"ok":true,"removed":0,"not_found":["sent-1","sent-3"]}\nnot searched'
	run -0 searched /messages/delete '{"message_pk":"sent-2"}'
	assert_equal "$output" $'false\nnot searched'
	run -0 searched /commands/delete-messages '{"ids":["sent-1","w-1"]}'
	assert_equal "$output" $'{"ok":true,"removed":1,"not_found":["sent-1"]}\nsearched'
	# An id that is free again is another message's.
	post /commands/cleanup-messages '{"older_than_seconds":0}'
	add --id sent-1 --account main >/dev/null
	post /commands/delete-messages '{"ids":["sent-1"]}'
	answer 200 '"removed":1,'
}

@test "lists: of what was sent by one account, a page is filled where that takes no long search" {
	accounts "$(capture main)" "$(capture other)"
	start_serve s api
	add_ids first 5 --account other
	run_mailq
	/usr/bin/python3 -c 'import json
for i in range(21000):
	print(json.dumps({"from": "a@b.example", "to": "c@d.example", "subject": "S", "body": "B", "account_id": "main"}))' >many.jsonl
	mailq-add -q --json many.jsonl >/dev/null
	run_mailq
	add_ids last 2 --account other
	run_mailq
	api GET '/messages?state=sent&account_id=other&limit=5'
	answer 200
	first=$(json '[m["id"] for m in a["messages"]]')
	all=$first
	while next=$(json 'a.get("next", "")') && [ -n "$next" ]; do
		api GET "/messages?state=sent&account_id=other&limit=5&cursor=$next"
		all+=$(json '[m["id"] for m in a["messages"]]')
	done
	assert_equal "$(tr -d '[]"' <<<"${all//][/,}" | tr , '\n' | grep . | paste -sd,)" 'last-2,last-1,first-5,first-4,first-3,first-2,first-1'
	assert_match "$first" '^\["last-2","last-1","first-5"'
}
