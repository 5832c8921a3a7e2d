# mailq-serve: how it starts and stops, who may ask, and add-messages.
# runs long

load ../../helpers/common
load ../../helpers/serve
load ../../helpers/certificates

setup() { serve_setup; }
teardown() { common_teardown; }

ADD=/commands/add-messages

# server TEXT: what mailq.conf says in the group "server"
server() {
	configure '' "server: { $1 };"
}

# ---- adding ------------------------------------------------------------------------------------

@test "add: a message is in the queue when the answer comes" {
	start_serve s port
	post $ADD "$(add_one '"id":"MSG-1"' '"cc":null' '"priority":"high"' '"unknown":1')"
	answer 200
	assert_equal "$body" '{"ok":true,"queued":1,"rejected":[],"ids":["MSG-1"]}'
	assert_equal "$(field MSG-1 sender)" app@example.com
	assert_equal "$(recipients MSG-1)" a@example.org
	assert_equal "$(field MSG-1 priority)" 1
	assert_equal "$(field MSG-1 source)" "mailq-serve 127.0.0.1"
	assert_equal "$(header MSG-1 Subject)" S
	nothing_open
}

@test "add: ids are made up, and told in the order of the request" {
	start_serve s port
	post $ADD "{\"messages\":[$(one_message),$(one_message '"id":"mine"'),$(one_message)]}"
	answer 200
	assert_equal "$(json 'a["queued"]')" 3
	assert_equal "$(json 'a["ids"][1]')" mine
	assert_equal "$(queued)" 3
	[ -n "$(message_file "$(json 'a["ids"][0]')")" ]
	[ -n "$(message_file "$(json 'a["ids"][2]')")" ]
}

@test "add: each message stands alone, and a reason names the field" {
	start_serve s port
	post $ADD "{\"default_priority\":3,\"messages\":[$(one_message '"id":"good"'),
		$(one_message '"id":"good"'),
		$(one_message '"id":"bad1"' '"cc":"nobody"'),
		$(one_message '"id":"bad2"' '"account_id":"none"'),
		$(one_message '"id":"bad3"' '"headers":{"X-A":"a\nb"}'),
		$(one_message '"id":"bad4"' '"priority":9'),
		$(one_message '"id":"other"' '"priority":0')]}"
	answer 200
	assert_equal "$(json 'a["queued"]')" 2
	assert_equal "$(json 'a["ids"]')" '["good","other"]'
	assert_equal "$(json '[r["id"] for r in a["rejected"]]')" '["good","bad1","bad2","bad3","bad4"]'
	assert_equal "$(json '[r["index"] for r in a["rejected"]]')" '[1,2,3,4,5]'
	assert_equal "$(json 'a["rejected"][0]["reason"]')" "duplicate id"
	assert_match "$(json 'a["rejected"][1]["reason"]')" '^cc: '
	assert_match "$(json 'a["rejected"][2]["reason"]')" '^account_id: '
	assert_match "$(json 'a["rejected"][3]["reason"]')" '^headers.X-A: '
	assert_match "$(json 'a["rejected"][4]["reason"]')" '^priority: '
	assert_equal "$(field good priority)" 3
	assert_equal "$(field other priority)" 0
	assert_equal "$(queued)" 2
}

@test "add: an id that is known is not queued twice, whoever added it" {
	start_serve s port
	mailq-add --from a@b.example --to c@d.example --subject S --body B --id X </dev/null
	post $ADD "$(add_one '"id":"X"')"
	answer 200
	assert_equal "$body" \
		'{"ok":true,"queued":0,"rejected":[{"id":"X","reason":"duplicate id","index":0}],"ids":[]}'
	assert_equal "$(queued)" 1
}

@test "add: a field that is missing or of another type refuses the whole, with the path to each" {
	start_serve s port
	post $ADD "{\"messages\":[$(one_message),{\"from\":\"a@b.example\",\"to\":[\"c@d.example\",5],\"body\":null},7]}"
	answer 422
	assert_equal "$(json '[f["loc"] for f in a["detail"]]')" \
		'[["body","messages",1,"to",1],["body","messages",1,"subject"],["body","messages",1,"body"],["body","messages",2]]'
	assert_equal "$(json 'a["detail"][1]')" \
		'{"loc":["body","messages",1,"subject"],"msg":"field required","type":"value_error.missing"}'
	nothing_queued
	post $ADD '{}'
	answer 422
	assert_equal "$body" \
		'{"detail":[{"loc":["body","messages"],"msg":"field required","type":"value_error.missing"}]}'
	post $ADD '{"messages":{}}'
	answer 422 '"loc":\["body","messages"\],"msg":"value is not a valid list","type":"type_error.list"'
	post $ADD '{"messages":[],"default_priority":"urgent"}'
	answer 422 '"loc":\["body","default_priority"\]'
	post $ADD '{"messages":[]}'
	answer 200
	assert_equal "$body" '{"ok":true,"queued":0,"rejected":[],"ids":[]}'
}

@test "add: what is no strict JSON is refused, and nothing of it is queued" {
	local text

	start_serve s port
	for text in '' '[' 'null' '[]' '"x"' '{"messages":[]} x' '{"messages":[],"messages":[]}' \
		'{"messages":[{"a":1,"a":2}]}' '{"messages":[NaN]}' '{"messages":[01]}' '{messages:[]}' \
		'{"messages":[99999999999999999999]}' '{"messages":[1e999]}' "{'messages':[]}" \
		'{"messages":[],}' '{"messages":["\ud800"]}' '{"messages":["\u0000"]}' '/**/{}' \
		"$(printf '{"messages":["\xff"]}')" "$(printf '{"messages":["a\tb"]}')"; do
		post $ADD "$text"
		answer 422 '"detail":\[\{"loc":\["body"' || fail "$text"
	done
	/usr/bin/python3 -c 'print("{\"messages\":" + "[" * 100000 + "]" * 100000 + "}")' >deep.json
	/usr/bin/python3 -c 'print("{\"messages\":[" + "0," * 1500000 + "0]}")' >many.json
	post $ADD @deep.json
	answer 422 '"detail":\[\{"loc":\["body"'
	post $ADD @many.json
	answer 422 'expected at most 200000 values'
	# What stands in a string is no value.
	/usr/bin/python3 -c 'print("{\"x\":\"" + ",[{\\\"" * 300000 + "\",\"messages\":[]}")' >string.json
	post $ADD @string.json
	answer 200
	nothing_queued
}

@test "add: a batch and a body have their bounds" {
	server 'max_batch = 3; max_body = "4 KiB"'
	start_serve s port
	m=$(one_message)
	post $ADD "{\"messages\":[$m,$m,$m]}"
	answer 200 '"queued":3'
	post $ADD "{\"messages\":[$m,$m,$m,$m]}"
	answer 422 '"loc":\["body","messages"\],"msg":"ensure this value has at most 3 items"'
	post $ADD "$(add_one "\"x\":\"$(head -c 5000 /dev/zero | tr '\0' x)\"")"
	answer 413 '"detail":'
	assert_equal "$(queued)" 3
}

@test "add: a batch that does not fit into memory" {
	start_serve s port
	/usr/bin/python3 - >large.json <<-'E'
	import json
	m = lambda i: {"id": f"L{i}", "from": "a@b.example", "to": "c@d.example", "subject": "S",
	    "body": "x" * 60 + "\n" + ("y" * 70 + "\n") * 100}
	print(json.dumps({"messages": [m(i) for i in range(1000)] }))
	E
	post $ADD @large.json
	answer 200 '"queued":1000,'
	assert_equal "$(queued)" 1000
	assert_equal "$(text L999 | tail -n 1 | tr -d '\r' | wc -c)" 71
	post $ADD @large.json
	answer 200 '"queued":0,'
	assert_equal "$(queued)" 1000
	mailq-status check
	nothing_open
}

@test "add: files are attached below the configured directories alone" {
	mkdir files
	echo hello >files/a.txt
	configure '' "attachments: { paths = \"$PWD/files\"; };"
	start_serve s port
	post $ADD "$(add_one '"id":"F"' "\"attachments\":[{\"path\":\"$PWD/files/a.txt\"}]")"
	answer 200 '"queued":1'
	assert_match "$(text F)" 'filename="?a.txt'
	post $ADD "$(add_one "\"attachments\":[{\"path\":\"/etc/passwd\"}]")"
	answer 200 '"reason":"attachments\[0\].path: '
}

@test "add: an account that was made just now is known, one that is gone is not" {
	start_serve s port
	post $ADD "$(add_one '"account_id":"new"')"
	answer 200 '"reason":"account_id: '
	for i in 1 2 3; do
		mailq-rules accounts add "new$i" host=127.0.0.1 port=25 starttls=never
		post $ADD "$(add_one "\"account_id\":\"new$i\"")"
		answer 200 '"queued":1'
	done
	mailq-rules accounts delete new2 --force
	post $ADD "$(add_one '"account_id":"new2"')"
	answer 200 '"reason":"account_id: '
	post $ADD "$(add_one '"account_id":"new3"')"
	answer 200 '"queued":1'
}

@test "add: without room it is 503 with Retry-After, and nothing is stored" {
	configure '' 'queue: { min_free_space = "8191 PiB"; };' || :
	configure '' 'queue: { min_free_inodes = 9000000000000000000L; };'
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	answer 503
	assert_match "$head" $'\nRetry-After: [0-9]+'
	post $ADD "$(add_one)"
	answer 503
	nothing_queued
	[ -z "$(ls -A "$MAILQ_SPOOL/answers" 2>/dev/null)" ]
}

# ---- who may ask -------------------------------------------------------------------------------

@test "tokens: of the configuration, by file, by hash; each with its scopes" {
	printf 'filed\nrest\n' >token
	hash=$(printf hashed | sha256sum | cut -d' ' -f1)
	server "api_token = \"all of it\"; tokens = (
		{ name = \"crm\"; token = \"t1\"; scopes = [ \"send\", \"read\" ]; },
		{ name = \"filed one\"; token_file = \"$PWD/token\"; scopes = \"send\"; },
		{ name = \"hashed\"; hash = \"sha256:$hash\"; scopes = \"send\"; },
		{ name = \"looker\"; token = \"t2\"; scopes = \"read\"; } );"
	start_serve s port
	for token in 'all of it' t1 filed hashed; do
		post $ADD "$(add_one)" -H "X-API-Token: $token"
		answer 200
	done
	post $ADD "$(add_one)" -H 'X-API-Token: t2'
	answer 403
	assert_equal "$body" '{"detail":"The token \"looker\" lacks the scope \"send\""}'
	for token in '' t all ' ' 'T1' 't1t1' "sha256:$hash" "$hash" rest "$(head -c 4000 /dev/zero | tr '\0' t)"; do
		post $ADD "$(add_one)" -H "X-API-Token: $token"
		answer 401
		assert_equal "$body" '{"detail":"Invalid or missing API token"}'
	done
	post $ADD "$(add_one)"
	answer 401
	post $ADD "$(add_one)" -H 'X-API-Token: t1' -H 'X-API-Token: t1'
	answer 401
	assert_equal "$(queued)" 4
	# Names show in the log and in the record, tokens do not.
	grep -q ' crm POST /commands/add-messages 200 ' s.log
	grep -q ' filed\\x20one POST ' s.log
	grep -q ' looker POST /commands/add-messages 403 ' s.log
	! grep -qE 't1|t2|all of it|hashed .*hashed' s.log
	grep -qr 'source: mailq-serve 127.0.0.1 crm' "$MAILQ_SPOOL/waiting"
}

@test "tokens: by the environment and by a file alone" {
	API_TOKEN=secret start_serve s port
	post $ADD "$(add_one)"
	answer 401
	post $ADD "$(add_one)" -H 'X-API-Token: secret'
	answer 200
	stop_server s
	echo other >token
	server "api_token_file = \"$PWD/token\";"
	start_serve s port
	post $ADD "$(add_one)" -H 'X-API-Token: other'
	answer 200
}

@test "tokens: a faulty list is told with its place" {
	expect() {
		run -78 --separate-stderr timeout 20 mailq-serve --listen 127.0.0.1:0
		assert_match "$stderr" "$1"
	}
	server 'tokens = ( { token = "x"; scopes = "read"; } );'
	expect "$MAILQ_CONFIG:[0-9]*: server.tokens: name: expected"
	server 'tokens = ( { name = "a"; scopes = "read"; } );'
	expect 'expected one of token, token_file, hash'
	server 'tokens = ( { name = "a"; token = "x"; hash = "sha256:00"; scopes = "read"; } );'
	expect 'server.tokens.hash: expected "sha256:" and 64'
	server 'tokens = ( { name = "a"; token = "x"; } );'
	expect 'scopes: expected at least one'
	server 'tokens = ( { name = "a"; token = "x"; scopes = "all"; } );'
	expect 'scopes: expected'
	server 'tokens = ( { name = "a"; token = "x"; scopes = "read"; }, { name = "a"; token = "y"; scopes = "read"; } );'
	expect 'two of the name "a"'
	server 'api_token_file = "/nonexistent";'
	expect 'server.api_token_file: /nonexistent: No such file'
	: >empty
	server "api_token_file = \"$PWD/empty\";"
	expect 'expected a token in the first line'
	server 'tls_certificate = "/x";'
	expect 'tls_certificate and tls_key together'
	server 'socket_mode = "rw";'
	expect 'server.socket_mode: expected a mode in octal'
}

@test "a page of another site cannot act through a browser" {
	start_serve s port
	post $ADD "$(add_one)" -H 'Origin: https://evil.example' -H 'Sec-Fetch-Site: cross-site'
	answer 403
	nothing_queued
}

# asked_for HOST [CURL OPTION...]: the answer's status
asked_for() {
	local host=$1

	shift
	curl -sS -o body.txt -w '%{http_code}' -H "Host: $host" "$@" "$URL/status"
}

@test "without a token, a name that is not this machine's is refused, as a page may have made it up" {
	server 'hosts = [ "mail.example.com", "*.inner.example" ];'
	hostname >name || cat /proc/sys/kernel/hostname >name
	start_serve s port
	for host in "127.0.0.1:$port" 127.0.0.1 '[::1]:1' 10.1.2.3 localhost "localhost:$port" LOCALHOST localhost. \
		app.localhost "$(cat name)" "$(cut -d. -f1 name):$port" mail.example.com MAIL.example.com:80 \
		a.inner.example b.a.inner.example.; do
		assert_equal "$(asked_for "$host")" 200 "$host"
	done
	for host in evil.example "evil.example:$port" 127.0.0.1.evil.example localhost.evil.example evillocalhost \
		inner.example evilinner.example xmail.example.com 127.0.0.1x 0x7f.1 ::1 '[::1' '[evil.example]' \
		"$(cat name).evil.example" "$(head -c 300 /dev/zero | tr '\0' a)" ''; do
		assert_equal "$(asked_for "$host")" 403 "$host"
	done
	assert_match "$(cat body.txt)" '"detail":"This server is not asked for by this name: .*server.hosts'
	post $ADD "$(add_one)" -H 'Host: evil.example'
	answer 403
	nothing_queued
	# What says nothing, and asks for no token ever, is answered.
	api GET /health -H 'Host: evil.example'
	answer 200
	# The names are read again.
	server 'hosts = "*";'
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log 'configuration was read again'
	assert_equal "$(asked_for evil.example)" 200
	# With a token the name does not matter: no page of another has it.
	server 'api_token = "t";'
	kill -HUP "$(server_pid s)"
	wait_for eval '[ "$(asked_for evil.example)" = 401 ]'
	assert_equal "$(asked_for evil.example -H 'X-API-Token: t')" 200
	# Nor on a Unix socket, which no page reaches.
	stop_server s
	server ''
	start_server u mailq-serve --listen "$PWD/api.sock"
	wait_for file_has u.log 'listening on unix:'
	assert_equal "$(asked_for anything.example --unix-socket "$PWD/api.sock")" 200
	stop_server u
	# A name that it listens on is its own.
	start_serve l other --listen "localhost:0"
	assert_equal "$(asked_for evil.example)" 403
}

# ---- where it listens --------------------------------------------------------------------------

@test "without a token only this machine may connect, unless it is told otherwise" {
	free_port port
	for where in "0.0.0.0:$port" "[::]:$port" "*:$port"; do
		run -78 --separate-stderr timeout 20 mailq-serve --listen "$where"
		assert_match "$stderr" 'mailq-serve: other machines can connect .*--insecure'
	done
	start_server s mailq-serve --insecure --listen "0.0.0.0:$port"
	wait_port s "$port"
	stop_server s
	server 'api_token = "x";'
	start_server s mailq-serve --listen "0.0.0.0:$port"
	wait_port s "$port"
	# Nor may the last token go.
	server ''
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log 'no token is set.*still using the previous configuration'
	URL=http://127.0.0.1:$port
	post $ADD "$(add_one)"
	answer 401
}

@test "it listens where mailq.conf says: addresses, a Unix socket of this mode" {
	free_port port
	free_port other
	server "listen = [ \"127.0.0.1\", \"127.0.0.1:$other\", \"$PWD/second.sock\" ]; port = $port;
		socket = \"$PWD/api.sock\"; socket_mode = \"0600\";"
	start_server s mailq-serve
	wait_port s "$port"
	wait_port s "$other"
	wait_for file_has s.log "listening on unix:$PWD/api.sock"
	assert_equal "$(stat -c %a api.sock)" 600
	URL=http://localhost
	post $ADD "$(add_one '"id":"U"')" --unix-socket "$PWD/api.sock"
	answer 200
	assert_equal "$(field U source)" "mailq-serve unix"
	post $ADD "$(add_one)" --unix-socket "$PWD/second.sock"
	answer 200
	stop_server s
	[ ! -e api.sock ]
}

@test "a socket that systemd hands over comes before all others" {
	free_port port
	free_port other
	cat >activate.py <<-'E'
	import os, socket, sys
	s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
	os.dup2(s.fileno(), 3)
	os.set_inheritable(3, True)
	os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
	os.execvp(sys.argv[2], sys.argv[2:])
	E
	start_server s /usr/bin/python3 activate.py "$port" mailq-serve --listen "127.0.0.1:$other"
	wait_for file_has s.log "listening on 127.0.0.1:$port"
	URL=http://127.0.0.1:$port
	post $ADD "$(add_one)"
	answer 200
	! port_open "$other"
}

@test "TLS, by certificate and key; a Unix socket stays plain" {
	make_certificates certs
	free_port port
	server "listen = \"127.0.0.1:$port\"; socket = \"$PWD/api.sock\";
		tls_certificate = \"$PWD/certs/server.pem\"; tls_key = \"$PWD/certs/server.key\";"
	start_server s mailq-serve
	wait_port s "$port"
	URL=https://127.0.0.1:$port
	post $ADD "$(add_one)" --cacert certs/ca.pem
	answer 200
	run curl -sS --cacert certs/other-ca.pem "$URL$ADD"
	[ "$status" -ne 0 ]
	URL=http://localhost
	post $ADD "$(add_one)" --unix-socket "$PWD/api.sock"
	answer 200
}

# serial PORT: that of the certificate which a new connection gets
serial() {
	openssl s_client -connect "127.0.0.1:$1" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
has_serial() { # PORT SERIAL
	[ "$(serial "$1")" = "$2" ]
}

@test "SIGHUP takes a new certificate; what is open goes on, and one that is none changes nothing" {
	make_certificates certs
	make_certificates others
	mkdir tls
	cp certs/server.pem certs/server.key tls
	free_port port
	server "listen = \"127.0.0.1:$port\"; tls_certificate = \"$PWD/tls/server.pem\"; tls_key = \"$PWD/tls/server.key\";"
	start_server s mailq-serve
	wait_port s "$port"
	first=$(serial "$port")
	[ -n "$first" ]
	cat >kept.py <<-'E'
	import http.client, os, ssl, sys, time
	c = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context(), timeout=30)
	for i in range(3):
	    c.request("GET", "/health")
	    print(c.getresponse().read().decode(), flush=True)
	    while i < 2 and not os.path.exists(f"go{i}"):
	        time.sleep(0.01)
	E
	/usr/bin/python3 kept.py "$port" >kept.txt 3>&- &
	kept=$!
	wait_for file_lines kept.txt 1
	cp others/server.pem others/server.key tls
	want=$(openssl x509 -noout -serial -in others/server.pem)
	[ "$first" != "$want" ]
	kill -HUP "$(server_pid s)"
	wait_for has_serial "$port" "$want"
	touch go0
	wait_for file_lines kept.txt 2
	# A key of another certificate, and none at all.
	cp certs/server.key tls
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log 'still using the previous certificate'
	rm tls/server.pem
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log 'server.tls_certificate: .*server.pem: No such file.*still using the previous certificate'
	assert_equal "$(serial "$port")" "$want"
	touch go1
	wait "$kept"
	assert_equal "$(sort -u kept.txt)" '{"status":"ok"}'
	stop_server s
}

@test "an address that is taken, and one that is none" {
	start_serve s port
	run -69 --separate-stderr mailq-serve --listen "127.0.0.1:$port"
	assert_match "$stderr" "127.0.0.1:$port"
	run -64 --separate-stderr mailq-serve --listen 127.0.0.1:99999
	run -64 --separate-stderr mailq-serve operand
	assert_match "$stderr" 'unexpected argument "operand"'
}

# ---- signals, log ------------------------------------------------------------------------------

@test "SIGTERM answers what runs, accepts no more, and exits 0" {
	start_serve s port
	cat >slow.py <<-'E'
	import os, signal, socket, sys, time
	port, pid = int(sys.argv[1]), int(sys.argv[2])
	body = sys.argv[3].encode()
	s = socket.create_connection(("127.0.0.1", port))
	s.sendall(b"POST /commands/add-messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
	s.sendall(body[:20])
	# An answer on another connection says that the server has seen what came before it.
	t = socket.create_connection(("127.0.0.1", port))
	t.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	while t.recv(4096):
	    pass
	os.kill(pid, signal.SIGTERM)
	while "stopping" not in open("s.log").read():
	    time.sleep(0.01)
	# Nobody else is let in, though it is there still.
	end, refused = time.monotonic() + 20, False
	while not refused and time.monotonic() < end:
	    try:
	        socket.create_connection(("127.0.0.1", port)).close()
	    except ConnectionRefusedError:
	        refused = True
	print("refused", refused)
	s.sendall(body[20:])
	answer = b""
	while chunk := s.recv(4096):
	    answer += chunk
	print(answer.decode())
	E
	run /usr/bin/python3 slow.py "$port" "$(server_pid s)" "$(add_one)"
	assert_match "$output" '^refused True
HTTP/1.1 200 '
	assert_match "$output" '"queued":1'
	pid=$(server_pid s)
	wait_gone "$pid"
	wait "$pid"
	assert_equal "$(queued)" 1
	assert_match "$(tail -n 1 s.log)" 'stopping|POST'
}

@test "SIGHUP reads the configuration again; a broken one changes nothing" {
	server 'max_batch = 1;'
	start_serve s port
	m=$(one_message)
	post $ADD "{\"messages\":[$m,$m]}"
	answer 422
	server 'max_batch = 2;'
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log 'configuration was read again'
	post $ADD "{\"messages\":[$m,$m]}"
	answer 200
	server 'max_batch = 0;'
	kill -HUP "$(server_pid s)"
	wait_for file_has s.log "$MAILQ_CONFIG:[0-9]*: server.max_batch: .*still using the previous configuration"
	post $ADD "{\"messages\":[$m,$m]}"
	answer 200
	server 'api_token = "x";'
	kill -HUP "$(server_pid s)"
	wait_for file_lines s.log 7
	post $ADD "{\"messages\":[$m,$m]}"
	answer 401
}

@test "the access log is one line a request, escaped, and -q turns it off" {
	start_serve s port
	api GET '/no%20such%0Apath?token=secret'
	api GET '/nothing%1b%5b2J' || :
	post $ADD "$(add_one)"
	assert_match "$(tail -n 1 s.log)" \
		'^mailq-serve: 127\.0\.0\.1 - POST /commands/add-messages 200 [0-9]+ [0-9]+ [0-9]+us$'
	assert_equal "$(grep -c ' GET ' s.log)" 2
	! grep -q secret s.log
	stop_server s
	start_serve q port -q
	post $ADD "$(add_one)"
	stop_server q
	[ ! -s q.log ]
}

# ---- Idempotency-Key ---------------------------------------------------------------------------

@test "once: the same request again has the same answer, also of another process" {
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: key 1'
	answer 200 '"queued":1'
	first=$body
	post $ADD "$(add_one)" -H 'Idempotency-Key: key 1'
	answer 200
	assert_equal "$body" "$first"
	assert_match "$head" $'\nIdempotent-Replayed: true'
	stop_server s KILL
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: key 1'
	assert_equal "$body" "$first"
	assert_equal "$(queued)" 1
	post $ADD "$(add_one '"id":"x"')" -H 'Idempotency-Key: key 1'
	answer 409 'another body'
	assert_equal "$(queued)" 1
	# Other keys are other requests.
	post $ADD "$(add_one)" -H 'Idempotency-Key: key 2'
	answer 200 '"queued":1'
	post $ADD "$(add_one)"
	answer 200 '"queued":1'
	assert_equal "$(queued)" 3
	mailq-status check
}

@test "once: a key is its token's own" {
	server 'tokens = ( { name = "a"; token = "a"; scopes = "send"; }, { name = "b"; token = "b"; scopes = "send"; } );'
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: k' -H 'X-API-Token: a'
	answer 200 '"queued":1'
	post $ADD "$(add_one '"priority":1')" -H 'Idempotency-Key: k' -H 'X-API-Token: b'
	answer 200 '"queued":1'
	assert_equal "$(queued)" 2
}

@test "once: what was refused leaves its key free, and a key must be one" {
	start_serve s port
	post $ADD '{"messages":[{}]}' -H 'Idempotency-Key: k'
	answer 422
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	answer 200 '"queued":1'
	for key in '' "$(head -c 256 /dev/zero | tr '\0' k)" 'ä'; do
		post $ADD "$(add_one)" -H "Idempotency-Key;" -H "Idempotency-Key: $key"
		answer 422 '"loc":\["header","Idempotency-Key"\]'
	done
	post $ADD "$(add_one)" -H 'Idempotency-Key: a' -H 'Idempotency-Key: b'
	answer 422
	assert_equal "$(queued)" 1
}

@test "once: while the first request is at work, the second is told so" {
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	exec {fd}<"$(echo "$MAILQ_SPOOL"/answers/*)"
	flock -n "$fd"
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	answer 409 'still being worked on'
	assert_match "$head" $'\nRetry-After: '
	exec {fd}<&-
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	answer 200
	assert_equal "$(queued)" 1
}

@test "once: an answer is remembered for server.keep_answers" {
	start_serve s port
	post $ADD "$(add_one)" -H 'Idempotency-Key: k'
	answer 200
	first=$body
	file=$(echo "$MAILQ_SPOOL"/answers/*)
	# As if it had been a day and a second ago.
	begun=$(($(sed -n '1s/^mailq-answer 1 \([0-9]*\) .*/\1/p' "$file") - 86401000000))
	sed -i "1s/ [0-9]* / $begun /" "$file"
	post $ADD "$(add_one '"subject":"new"')" -H 'Idempotency-Key: k'
	answer 422
	post $ADD "$(add_one '"batch_code":"new"')" -H 'Idempotency-Key: k'
	answer 200 '"queued":1'
	[ "$body" != "$first" ]
	assert_equal "$(queued)" 2
}

@test "once: a damaged answer is one that was never stored" {
	start_serve s port
	post $ADD "$(add_one '"id":"mine"')" -H 'Idempotency-Key: k'
	first=$body
	post $ADD "{\"messages\":[$(one_message),$(one_message)]}" -H 'Idempotency-Key: l'
	second=$body
	for file in "$MAILQ_SPOOL"/answers/*; do
		truncate -s -3 "$file"
	done
	post $ADD "$(add_one '"id":"mine"')" -H 'Idempotency-Key: k'
	assert_equal "$body" "$first"
	post $ADD "{\"messages\":[$(one_message),$(one_message)]}" -H 'Idempotency-Key: l'
	assert_equal "$body" "$second"
	assert_equal "$(queued)" 3
}

# The server is killed before or after each call that changes the spool, started again, and the request
# repeated: each message is there once, and the answer says so.
@test "once: killed at any point, a repeated request queues nothing twice" {
	local at act shim=$MAILQ_BUILD/tests/preload/faults.so

	text="{\"messages\":[$(one_message),$(one_message '"id":"mine"'),$(one_message),$(one_message '"id":"mine"')]}"
	want='{"id":"mine","reason":"duplicate id","index":3}'
	start_serve s port
	stop_server s
	mv spool empty
	for act in before after; do
		for ((at = 1; at < 80; at++)); do
			rm -rf spool
			cp -r empty spool
			ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$shim FAULTS_UNDER=$MAILQ_SPOOL \
				FAULTS_AT=$at FAULTS_ACT=$act FAULTS_LOG=$PWD/calls start_serve s port
			if post $ADD "$text" -H 'Idempotency-Key: k' 2>/dev/null; then
				[ "$code" = 200 ] && [ "$at" -gt 20 ] || fail "$act $at: $code $body"
				break
			fi
			wait_gone "$(server_pid s)"
			rm -f s.server
			start_serve s port
			post $ADD "$text" -H 'Idempotency-Key: k'
			answer 200 '"queued":3' || fail "$act $at"
			[[ $body == *"$want"* ]] || fail "$act $at: $body"
			assert_equal "$(queued)" 3 "messages after $act $at"
			stop_server s
		done
		[ "$at" -lt 80 ]
		stop_server s
	done
}

# ---- load --------------------------------------------------------------------------------------

load_once() { # PREFIX CLIENTS REQUESTS BATCH [keys]
	/usr/bin/python3 "$MAILQ_TOP/tests/helpers/serve_load.py" "$port" "$1" "$2" "$3" "$4" answers.txt "${@:5}"
}

# Every recipient in the spool, sorted.
in_spool() {
	mailq-run -q
	grep -rhE '^To: [a-z]+-[0-9-]+@example.org' "$MAILQ_SPOOL/captured" |
		grep -oE '[a-z]+-[0-9-]+' | sort
}

@test "many clients at once: each message is there once" {
	start_serve s port -q
	run load_once a 16 10 7
	assert_status 0
	assert_equal "$output" 'queued 1120, lost 0'
	run load_once b 32 10 1
	assert_status 0
	in_spool >found
	sort answers.txt | diff - found
	assert_equal "$(wc -l <found)" 1440
	mailq-status check
}

@test "the same ids from many clients at once, in either order: each is queued once" {
	start_serve s port -q
	cat >same.py <<-'E'
	import http.client, json, sys, threading
	m = lambda i: {"id": i, "from": "a@b.example", "to": "c@d.example", "subject": "S", "body": "B"}
	queued, codes = [], []
	def client(number):
	    c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
	    for r in range(20):
	        ids = [f"X{r}", f"Y{r}", f"own-{number}-{r}"]
	        body = json.dumps({"messages": [m(i) for i in (ids if number % 2 else ids[::-1])]})
	        c.request("POST", "/commands/add-messages", body)
	        a = c.getresponse()
	        codes.append(a.status)
	        queued.extend(json.loads(a.read()).get("ids", []))
	threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
	for t in threads: t.start()
	for t in threads: t.join()
	print(sorted(set(codes)), len(queued), len(set(queued)))
	E
	run /usr/bin/python3 same.py "$port"
	assert_equal "$output" '[200] 360 360'
	assert_equal "$(queued)" 360
	nothing_open
}

@test "killed under load: what was answered is there once" {
	start_serve s port -q
	load_once a 64 1000 20 >load.out &
	loader=$!
	wait_for file_lines answers.txt 400
	stop_server s KILL
	wait "$loader"
	assert_match "$(cat load.out)" 'lost 64'
	in_spool >found
	assert_equal "$(uniq -d found)" '' 'twice'
	sort answers.txt | comm -23 - found >missing
	[ ! -s missing ] || fail "answered and not there: $(head missing)"
	mailq-status check
}

@test "killed under load again and again, with keys: every message is there once" {
	start_serve s port -q
	load_once a 64 6 20 keys >load.out &
	loader=$!
	for n in 400 1500 3000; do
		wait_for file_lines answers.txt "$n"
		stop_server s KILL
		start_serve s port -q
	done
	wait "$loader" || fail "$(cat load.out)"
	assert_equal "$(cat load.out)" 'queued 7680, lost 0'
	in_spool >found
	sort answers.txt | diff - found | head
	assert_equal "$(wc -l <found)" 7680
	mailq-status check
}
