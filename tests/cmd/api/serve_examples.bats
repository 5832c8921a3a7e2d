# What both services' documents show works here as it stands there: only ports, addresses of servers and
# tokens are the test's own.

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/serve

setup() {
	delivery_setup
	SETTINGS='server: { api_token = "my-secret-token"; };'
	TOKEN=(-H 'X-API-Token: my-secret-token')
}
teardown() { common_teardown; }

QUEUED='{"status":"В очередь на отправку добавлены сообщения в количестве: '

# ---- the first service ---------------------------------------------------------------------------

@test "first service: every endpoint of its reference is there, and asks for the token" {
	accounts
	start_serve s port
	while read -r method path; do
		api "$method" "$path"
		assert_equal "$code $body" '401 {"detail":"Invalid or missing API token"}' "$method $path"
		api "$method" "$path" "${TOKEN[@]}"
		[ "$code" != 405 ] && [ "$body" != '{"detail":"Not Found"}' ] || fail "$method $path: $code $body"
	done <<-'E'
		POST /commands/run-now
		POST /commands/suspend
		POST /commands/activate
		POST /commands/send-message
		POST /commands/add-messages
		POST /commands/rules
		GET /commands/rules
		PATCH /commands/rules/1
		DELETE /commands/rules/1
		POST /account
		GET /accounts
		DELETE /account/main
		GET /pending
		GET /deferred
		GET /messages
		GET /metrics
		GET /status
	E
	for path in /openapi.json /docs /redoc; do
		api GET $path
		answer 200
	done
}

@test "first service: the shell's examples of its usage page" {
	accounts
	start_serve s port
	run -0 curl -sS -X POST "$URL/commands/run-now" \
		-H "Content-Type: application/json" \
		-H "X-API-Token: my-secret-token"
	assert_equal "$output" '{"ok":true}'
	run -0 curl -sS -X POST "$URL/account" \
		-H "Content-Type: application/json" \
		-H "X-API-Token: my-secret-token" \
		-d '{
     "id":"gmail","host":"smtp.gmail.com","port":587,
     "user":"you@gmail.com","password":"***","use_tls":false,
     "limit_per_minute":30,"limit_per_hour":500,"limit_per_day":1000
   }'
	assert_equal "$output" '{"ok":true}'
	api GET /accounts "${TOKEN[@]}"
	assert_equal "$(json '[x[k] for x in a["accounts"] for k in
		("id", "host", "port", "user", "ttl", "limit_per_minute", "limit_per_hour", "limit_per_day", "limit_behavior", "use_tls")]')" \
		'["gmail","smtp.gmail.com",587,"you@gmail.com",300,30,500,1000,"defer",false]'
	[[ $body != *'"password"'* && $body != *'***'* ]] || fail "$body"
	api DELETE /account/gmail "${TOKEN[@]}"
	assert_match "$body" '^\{"ok":true'
}

# A program keeps what it has to send, hands it over in one request, and asks for a cycle at once: as HTTP
# libraries do it, with a connection that is kept, and a POST that has no body and no type.
@test "first service: what its example client does" {
	start_keeper keeper smtp
	accounts "$(relay main "$smtp")"
	start_serve s port
	cat >client.py <<-'E'
	import http.client, json, sys
	c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
	def post(path, body=None):
	    headers = {"X-API-Token": "my-secret-token", **({"Content-Type": "application/json"} if body else {})}
	    c.request("POST", path, json.dumps(body) if body else None, headers)
	    a = c.getresponse()
	    assert a.status == 200, a.read()
	    return json.loads(a.read())
	count = int(sys.argv[2])
	messages = [{"id": f"test_{count}_{i}", "to": "recipient@example.org", "from": "test@example.com",
	             "from_name": "Example Client", "subject": f"Integration ({i + 1}/{count})",
	             "body": f"\n        <h2>Hello</h2><p>test_{i}</p>\n    ", "html": True, "account_id": "main"}
	            for i in range(count)]
	a = post("/commands/add-messages", {"messages": messages})
	assert a["ok"] is True and a["queued"] == count and a["rejected"] == [], a
	assert post("/commands/run-now") == {"ok": True}
	a = post("/commands/add-messages", {"messages": messages})
	assert a["queued"] == 0 and {r["id"] for r in a["rejected"]} == {m["id"] for m in messages}, a
	E
	for count in 1 5; do
		run -0 /usr/bin/python3 client.py "$port" $count
	done
	has_kept() { [ "$(kept keeper)" -ge "$1" ]; }
	wait_for has_kept 6
	assert_equal "$(cat keeper/*.eml | grep -c '^Subject: Integration (')" 6
	# What became of each is there to be asked for.
	api GET /messages "${TOKEN[@]}"
	assert_equal "$(json 'sorted([m["id"], m["state"]] for m in a["messages"])[0]')" '["test_1_0","sent"]'
	api GET /metrics "${TOKEN[@]}"
	grep -qxF 'asyncmail_sent_total{account_id="main"} 6' body.txt
	grep -qxF 'asyncmail_pending_messages 0' body.txt
	for name in errors deferred rate_limited; do
		grep -qx "# TYPE asyncmail_${name}_total counter" body.txt
	done
}

# ---- the second service --------------------------------------------------------------------------

@test "second service: its three examples, one after the other" {
	start_keeper keeper smtp
	# One message goes out, and the others of the first request wait, as its example of the status shows.
	SETTINGS= accounts "$(relay main "$smtp" 'limit_per_minute = 1;')"
	start_serve s port
	head -c 30000 /dev/urandom >file_1.docx
	head -c 200000 /dev/urandom >file_2.jpg
	run -0 curl -sS -X POST "$URL/api/v1/send_email/" \
		-H "Content-Type: multipart/form-data" \
		-F "emails=example1@example.com" \
		-F "emails=example2@example.com" \
		-F "emails=example3@example.com" \
		-F "subject=Заголовок сообщения" \
		-F "body=Текст сообщения"
	assert_equal "$output" "${QUEUED}3\"}"
	mailq-run -q
	run -0 curl -sS -X GET "$URL/api/v1/send_email/status"
	assert_equal "$output" '{"total":2,"messages":[{"number":1,"email":"example2@example.com","subject":"Заголовок сообщения"},{"number":2,"email":"example3@example.com","subject":"Заголовок сообщения"}]}'
	run -0 curl -sS -X POST "$URL/api/v1/send_email/" \
		-H "Content-Type: multipart/form-data" \
		-F "emails=example1@example.com" \
		-F "emails=example2@example.com" \
		-F "subject=Заголовок сообщения" \
		-F "body=Your email body" \
		-F "files=@file_1.docx" \
		-F "files=@file_2.jpg"
	assert_equal "$output" "${QUEUED}2\"}"
	api GET /api/openapi
	answer 200
	# The limit is lifted: all of them arrive, with their files.
	SETTINGS= accounts "$(relay main "$smtp")"
	mailq-run -q --now
	mailq-run -q --now
	assert_equal "$(kept keeper)" 5
	cat keeper/*.json | grep -oE 'example[0-9]@' | sort | uniq -c | tr -s ' \n' ' ' >addresses
	assert_equal "$(cat addresses)" ' 2 example1@ 2 example2@ 1 example3@ '
	run -0 /usr/bin/python3 - <<-'E'
	import email, email.policy, glob
	files = [open(name, "rb").read() for name in ("file_1.docx", "file_2.jpg")]
	whole = 0
	for name in glob.glob("keeper/*.eml"):
	    message = email.message_from_binary_file(open(name, "rb"), policy=email.policy.default)
	    assert message["Subject"] == "Заголовок сообщения", message["Subject"]
	    whole += [a.get_content() for a in message.iter_attachments()] == files
	print(whole)
	E
	assert_equal "$output" 2
}
