# The HTTP server of lib/http, through a program that serves a few routes.

load ../../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

# start_http [OPTION...]: on a port of its own, which is then in $port.
start_http() {
	mkdir -p served
	start_server http env -C served "$MAILQ_BUILD/tests/tools/http_server" "$@" 127.0.0.1:0
	wait_for grep -q '^listening on 127' http.log || { cat http.log; return 1; }
	port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\).*/\1/p' http.log)
}
get() { # PATH [CURL OPTION...]
	local path=$1
	shift
	curl -sS --max-time 20 "$@" "http://127.0.0.1:$port$path"
}
status_of() {
	get "$@" -o /dev/null -w '%{http_code}'
}
number() { # NAME: from /numbers
	get /numbers | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}
is_number() {
	[ "$(number "$1")" = "$2" ]
}

@test "routes: parameters, queries, methods, and what is not there" {
	start_http
	assert_equal "$(get /health)" '{"status":"ok"}'
	assert_match "$(get '/messages/a%2Fb%20%C3%BC?x=1&y=a+b%26&z')" '"id":"a/b ü".*"query":\["x","1","y","a b&","z",""\]'
	assert_match "$(get /messages/1/parts/2 -X DELETE)" '"method":"DELETE".*"id":"1","part":"2"'
	assert_equal "$(get /nope)" '{"detail":"Not Found"}'
	assert_equal "$(status_of /nope)" 404
	assert_equal "$(status_of /messages/)" 404
	assert_equal "$(status_of /messages//parts/2)" 404
	assert_equal "$(status_of /messages/1/parts/2/3)" 404
	assert_equal "$(status_of /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18)" 404
	assert_equal "$(get /hello -X POST)" '{"detail":"Method Not Allowed"}'
	run get /messages/1/parts/2 -X PUT -i
	assert_match "$output" '405 .*Allow: GET, HEAD, DELETE, OPTIONS'
	run get /messages/1/parts/2 -X OPTIONS -i
	assert_match "$output" '204 .*Allow: GET, HEAD, DELETE, OPTIONS'
	run get /hello -I
	assert_match "$output" '200 .*Content-Length: 15'
	run get '/open?a=b' -i -d x
	assert_match "$output" '307 .*Location: /open/\?a=b'
	run get /hello/ -i
	assert_match "$output" '307 .*Location: /hello'
	assert_equal "$(get /hello/ -L)" '{"status":"ok"}'
	assert_equal "$(status_of /hello/x/)" 404
	assert_equal "$(get /nothing)" '{"detail":"Internal Server Error"}'
	assert_equal "$(get /defer?ms=20)" later
	assert_equal "$(get /quick-defer?ms=20)" later
	for path in durable durable-worker durable-alone; do
		assert_equal "$(get /$path -d x)" '{"ok":true}'
	done
}

@test "bodies: whole, at the bound, over it, in chunks, expected and in pieces" {
	start_http
	assert_equal "$(get /echo -d hello)" hello
	assert_equal "$(get /echo -H 'Transfer-Encoding: chunked' -d hello)" hello
	head -c 100000 /dev/urandom >at
	head -c 100001 /dev/urandom >over
	get /echo --data-binary @at -o back
	cmp at back
	get /echo --data-binary @at -H 'Expect: 100-continue' -o back
	cmp at back
	assert_equal "$(status_of /echo --data-binary @over)" 413
	assert_equal "$(status_of /echo --data-binary @over -H 'Expect: 100-continue')" 413
	assert_equal "$(status_of /echo --data-binary @over -H 'Transfer-Encoding: chunked')" 413
	assert_equal "$(get /echo --data-binary @over)" '{"detail":"Content Too Large"}'
	head -c 30000000 /dev/urandom >large
	get /large --data-binary @large -o back
	cmp large back
	get /large -T - -X POST <large -o back
	cmp large back
	assert_equal "$(get /count --data-binary @large)" '{"bytes":30000000}'
	assert_equal "$(get /count -X POST -T - <large)" '{"bytes":30000000}'
	assert_equal "$(get /count -d '')" '{"bytes":0}'
	# refused amid the body: the answer is heard though more is being sent
	{ head -c 100000 /dev/zero; printf x; head -c 20000000 /dev/zero; } >picky
	assert_equal "$(get /picky --data-binary @picky)" '{"detail":"No x, please"}'
	assert_equal "$(get /picky -X POST -T - <picky)" '{"detail":"No x, please"}'
	assert_equal "$(get /picky -d abxc)" '{"detail":"No x, please"}'
	# what begin made is gone, also where the client was
	run curl -sS --max-time 20 --limit-rate 1000 -m 0.3 --data-binary @large "http://127.0.0.1:$port/count"
	assert_status 28
	wait_for is_number states 0
}

@test "all bodies together have a bound" {
	start_http -o body_bytes=1000000
	head -c 900000 /dev/zero >most
	head -c 3000000 /dev/zero >all
	assert_equal "$(status_of /large --data-binary @most)" 200
	run get /large --data-binary @all -i
	assert_match "$output" '503 .*Retry-After: 1'
	assert_equal "$(status_of /large --data-binary @most)" 200
}

@test "what may not ask is refused before its body is read" {
	start_http
	assert_equal "$(get /private)" '{"detail":"Invalid or missing API token"}'
	assert_equal "$(status_of /private)" 401
	assert_equal "$(status_of /private -H 'X-API-Token: secret')" 200
	assert_equal "$(status_of /private -d small)" 401
	head -c 1000000 /dev/zero >large
	# with Expect no byte of it goes out
	run get /private --data-binary @large -H 'Expect: 100-continue' -o /dev/null -w '%{http_code} %{size_upload}'
	assert_equal "$output" '401 0'
	assert_equal "$(get /private --data-binary @large -H 'X-API-Token: secret' | cksum)" "$(cksum <large)"
}

@test "files, their tags, and the headers of pages" {
	start_http
	head -c 3000000 /dev/urandom >file
	get "/file?path=$PWD/file" -o back
	cmp file back
	run get "/file?path=$PWD/file" -I
	assert_match "$output" 'Content-Length: 3000000'
	tag=$(sed -n 's/^ETag: \([^\r]*\).*/\1/p' <<<"$output")
	[ -n "$tag" ]
	assert_match "$output" 'Cache-Control: max-age=60'
	run get "/file?path=$PWD/file" -H "If-None-Match: \"x\", W/$tag" -i
	assert_match "$output" '304 '
	[ "${#output}" -lt 1000 ]
	assert_equal "$(status_of "/file?path=$PWD/file" -H 'If-None-Match: "x"')" 200
	assert_equal "$(status_of "/file?path=$PWD/file" -H 'If-None-Match: *')" 304
	run get /page -i
	assert_match "$output" "Content-Security-Policy: default-src 'self'"
	assert_match "$output" 'X-Content-Type-Options: nosniff'
	assert_match "$output" 'X-Frame-Options: DENY'
}

@test "requests as no client should make them" {
	start_http
	run timeout 120 python3 "$MAILQ_TOP/tests/helpers/http_abuse.py" "$port"
	grep -v '^ok' <<<"$output" || :
	assert_status 0
	[ "$(grep -c '^ok' <<<"$output")" -gt 90 ]
	# and it is as well as before
	assert_equal "$(get /health)" '{"status":"ok"}'
	wait_for is_number connections 1
	wait_for is_number states 0
}

@test "what is read in vain from refused clients is taken from no other" {
	start_http
	run timeout 120 python3 "$MAILQ_TOP/tests/helpers/http_refused.py" "$port"
	[ "$status" -eq 0 ] || fail "$output"
}

@test "the access log: a line a request, nothing forged, no query" {
	start_http
	get '/messages/1?token=hidden' -o /dev/null
	get /private -H 'X-API-Token: secret' -o /dev/null
	get /echo -d hello -o /dev/null
	printf 'GET /a%%0Ab"\x1b[1m\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | nc_port >/dev/null
	wait_for grep -q ' 400 ' http.log
	assert_match "$(grep messages http.log)" '^127\.0\.0\.1 - GET /messages/1 200 0 [0-9]+ [0-9]+us$'
	assert_match "$(grep private http.log)" '^127\.0\.0\.1 tester GET /private 200 '
	assert_match "$(grep echo http.log)" ' /echo 200 5 5 '
	assert_match "$(grep ' 400 ' http.log)" '^127\.0\.0\.1 - GET /a%0Ab\\x22\\x1b\[1m\\xff 400 '
	! grep -q hidden http.log
	! grep -q secret http.log
}
nc_port() { # stdin to the server, what it answers to stdout
	python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
s.sendall(sys.stdin.buffer.read())
while data := s.recv(65536):
    sys.stdout.buffer.write(data)' "$port"
}

@test "slow clients: the head, the body and the next request have deadlines" {
	start_http -o head=600 -o body=900 -o idle=400
	run timeout 60 python3 "$MAILQ_TOP/tests/helpers/http_slow.py" "$port"
	assert_status 0
	assert_equal "$(grep -c '^ok' <<<"$output")" 6
	grep -q ' /echo 408 ' http.log
}

@test "connections have a bound, in all and of one address" {
	start_http -o connections=10 -o per_address=6
	run timeout 60 python3 "$MAILQ_TOP/tests/helpers/http_many.py" "$port" 10 6
	[ "$status" -eq 0 ] || fail "$output"
	assert_equal "$(get /health)" '{"status":"ok"}'
}

@test "handlers that block stop nobody, and as many as there are workers run at once" {
	start_http -o workers=8 -o pollers=1
	started=$EPOCHREALTIME
	for i in 1 2 3 4 5 6 7 8; do get '/slow?ms=1000' -o "slow$i" & pids[i]=$!; done
	wait_for is_number connections 9
	assert_equal "$(get /health)" '{"status":"ok"}'
	[ ! -s slow1 ]
	for i in 1 2 3 4 5 6 7 8; do wait "${pids[i]}"; done
	assert_equal "$(cat slow8)" '{"status":"ok"}'
	awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a < 4) }'
}

@test "a client that hangs up changes nothing for its request" {
	start_http
	run curl -sS -m 0.3 "http://127.0.0.1:$port/slow?ms=900"
	assert_status 28
	run curl -sS -m 0.3 "http://127.0.0.1:$port/defer?ms=900"
	assert_status 28
	wait_for grep -q ' /slow 200 ' http.log
	wait_for grep -q ' /defer 200 ' http.log
	assert_equal "$(get /health)" '{"status":"ok"}'
}

@test "it stops: what runs is answered, what idles is closed, and the wait has a bound" {
	start_http -o stop=10000
	pid=$(server_pid http)
	get '/slow?ms=700' -i -o slow &
	client=$!
	exec {idle}<>"/dev/tcp/127.0.0.1/$port"
	wait_for is_number connections 3
	kill "$pid"
	wait "$client"
	grep -q '^Connection: close' slow
	grep -q 'ok' slow
	wait_gone "$pid" 5
	grep -qx stopped http.log
	exec {idle}>&-

	start_http -o stop=200
	pid=$(server_pid http)
	get '/slow?ms=8000' &
	client=$!
	wait_for is_number connections 2
	kill "$pid"
	wait_gone "$pid" 5
	grep -qx cut http.log
	! wait "$client"
}

@test "it stops: who comes later is refused at once, or handed on where the socket is another's, too" {
	start_http -o stop=10000 "$PWD/sock"
	wait_for grep -q '^listening on unix' http.log
	pid=$(server_pid http)
	get '/slow?ms=3000' -o slow &
	client=$!
	wait_for is_number connections 2
	kill "$pid"
	run timeout 20 python3 - "$port" "$PWD/sock" <<-'END'
	import os, socket, sys, time
	end = time.monotonic() + 15
	def refused(family, address):
	    try:
	        socket.socket(family, socket.SOCK_STREAM).connect(address)
	    except (ConnectionRefusedError, FileNotFoundError):
	        return True
	while not refused(socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))) or not refused(socket.AF_UNIX, sys.argv[2]):
	    assert time.monotonic() < end
	print(os.path.exists("slow") and os.path.getsize("slow"), os.path.exists(sys.argv[2]))
	END
	assert_match "$output" '^(0|False) False$'
	wait "$client"
	assert_equal "$(cat slow)" '{"status":"ok"}'
	wait_gone "$pid" 5

	cat >activate.py <<-'END'
	import http.client, json, os, signal, socket, subprocess, sys, threading, time
	# Holds the socket as systemd does, and starts one server after the other on it.
	s = socket.create_server(("127.0.0.1", 0))
	port = s.getsockname()[1]
	s.set_inheritable(True)
	def start(log):
	    def prepare():
	        os.dup2(s.fileno(), 3)
	        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
	    code = "import os,sys; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])"
	    return subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], stdout=open(log, "w"), preexec_fn=prepare, close_fds=False)
	def ask(path, ret):
	    c = socket.create_connection(("127.0.0.1", port), timeout=30)
	    c.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
	    text = b""
	    while piece := c.recv(4096):
	        text += piece
	    ret.append(text.split(b"\r\n")[0])
	def ask_later(path):
	    ret = []
	    t = threading.Thread(target=ask, args=(path, ret))
	    t.start()
	    return t, ret
	first = start("first.log")
	ready = []
	ask(b"/health", ready)
	def wait(what):
	    end = time.monotonic() + 20
	    while not what():
	        assert time.monotonic() < end
	        time.sleep(0.01)
	def connections():
	    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
	    c.request("GET", "/numbers")
	    return json.load(c.getresponse())["connections"]
	def target(fd):
	    try:
	        return os.readlink(fd)
	    except FileNotFoundError: # closed since it was listed
	        return None
	def listens():
	    held = f"/proc/{first.pid}/fd"
	    return target(f"/proc/self/fd/{s.fileno()}") in [target(f"{held}/{f}") for f in os.listdir(held)]
	slow, slow_ret = ask_later(b"/slow?ms=1500")
	wait(lambda: connections() == 2)
	first.send_signal(signal.SIGTERM)
	wait(lambda: not listens())
	waiting, waiting_ret = ask_later(b"/health")
	assert first.wait(20) == 0
	slow.join()
	assert not waiting_ret, waiting_ret
	second = start("second.log")
	waiting.join()
	second.send_signal(signal.SIGTERM)
	assert second.wait(20) == 0
	print(ready, slow_ret, waiting_ret)
	END
	run timeout 60 python3 activate.py "$MAILQ_BUILD/tests/tools/http_server"
	assert_equal "$output" "[b'HTTP/1.1 200 OK'] [b'HTTP/1.1 200 OK'] [b'HTTP/1.1 200 OK']"
}

@test "a Unix socket: its mode, what is stale, what is taken" {
	mkdir served
	start_server one "$MAILQ_BUILD/tests/tools/http_server" "$PWD/sock"
	wait_for grep -q "^listening on unix:$PWD/sock" one.log
	assert_equal "$(stat -c '%A' sock)" srw-rw----
	assert_equal "$(curl -sS --unix-socket sock http://x/health)" '{"status":"ok"}'
	assert_match "$(curl -sS --unix-socket sock http://x/messages/1)" '"address":"unix"'
	run timeout 10 "$MAILQ_BUILD/tests/tools/http_server" "$PWD/sock"
	assert_status 69
	assert_match "$output" 'another server listens there'
	assert_equal "$(curl -sS --unix-socket sock http://x/health)" '{"status":"ok"}'
	stop_server one KILL
	[ -S sock ]
	start_server two "$MAILQ_BUILD/tests/tools/http_server" "unix:$PWD/sock"
	wait_for grep -q '^listening on unix' two.log
	assert_equal "$(curl -sS --unix-socket sock http://x/health)" '{"status":"ok"}'
	stop_server two
	[ ! -e sock ]
	echo precious >sock
	run timeout 10 "$MAILQ_BUILD/tests/tools/http_server" "$PWD/sock"
	assert_status 73
	assert_equal "$(cat sock)" precious
	assert_equal "$(ls -d sock*)" sock
}

@test "several listeners, IPv6, and addresses that are none" {
	start_http '[::1]:0' "$PWD/sock"
	wait_for grep -q '^listening on unix' http.log
	six=$(sed -n 's/^listening on \(\[::1\]:[0-9]*\)$/\1/p' http.log)
	assert_match "$(curl -sS "http://$six/messages/1")" '"address":"::1"'
	assert_equal "$(curl -sS --unix-socket sock http://x/health)" '{"status":"ok"}'
	assert_equal "$(get /health)" '{"status":"ok"}'
	run timeout 10 "$MAILQ_BUILD/tests/tools/http_server" "127.0.0.1:$port"
	assert_status 69
	assert_match "$output" 'in use'
	for where in nonsense 127.0.0.1 127.0.0.1:99999 ::1:80 '[::1]' ''; do
		run timeout 10 "$MAILQ_BUILD/tests/tools/http_server" "$where"
		assert_status 64
	done
	start_server all "$MAILQ_BUILD/tests/tools/http_server" '*:0'
	wait_for grep -q '^listening' all.log
	assert_match "$(cat all.log)" '\(public\)'
	stop_server all
}

@test "sockets handed over by systemd's protocol" {
	cat >activate.py <<-'END'
	import os, socket, sys
	s = socket.create_server(("127.0.0.1", 0))
	print(s.getsockname()[1], flush=True)
	os.dup2(s.fileno(), 3)
	os.set_inheritable(3, True)
	os.environ.update(LISTEN_FDS=sys.argv[1], LISTEN_PID=str(os.getpid() + int(sys.argv[2])))
	os.execv(sys.argv[3], sys.argv[3:])
	END
	start_server http python3 activate.py 1 0 "$MAILQ_BUILD/tests/tools/http_server"
	wait_for grep -q '^listening' http.log
	port=$(head -n 1 http.log)
	grep -qx "listening on 127.0.0.1:$port" http.log
	assert_equal "$(get /health)" '{"status":"ok"}'
	stop_server http
	# meant for another process: not ours
	start_server other python3 activate.py 1 1 "$MAILQ_BUILD/tests/tools/http_server" 127.0.0.1:0
	wait_for grep -q '^listening' other.log
	assert_equal "$(grep -c '^listening' other.log)" 1
	! grep -qx "listening on 127.0.0.1:$(head -n 1 other.log)" other.log
	# a descriptor that is none
	run timeout 10 python3 activate.py 2 0 "$MAILQ_BUILD/tests/tools/http_server"
	assert_status 78
	assert_match "$output" 'descriptor 4 of LISTEN_FDS'
}

@test "TLS, beside plain, and certificates that are none" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
		-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null
	start_http -o head=2000 -t "$PWD/cert.pem" -k "$PWD/key.pem" tls:127.0.0.1:0
	wait_for file_lines http.log 2
	secure=$(sed -n '1s/^listening on //p' http.log)
	port=${secure#*:}
	tls() { curl -sS --max-time 20 --cacert cert.pem "https://127.0.0.1:$port$@"; }
	assert_match "$(tls /messages/1)" '"tls":true'
	assert_equal "$(curl -sS --cacert cert.pem --tls-max 1.2 "https://127.0.0.1:$port/health")" '{"status":"ok"}'
	run curl -sS --cacert cert.pem --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 "https://127.0.0.1:$port/health"
	[ "$status" -ne 0 ]
	head -c 5000000 /dev/urandom >large
	curl -sS --cacert cert.pem --data-binary @large "https://127.0.0.1:$port/large" -o back
	cmp large back
	assert_equal "$(curl -sS --cacert cert.pem --data-binary @large "https://127.0.0.1:$port/count")" '{"bytes":5000000}'
	assert_equal "$(curl -sS --cacert cert.pem --data-binary @large "https://127.0.0.1:$port/echo")" \
		'{"detail":"Content Too Large"}'
	# a peer that never speaks is cut too
	run timeout 20 python3 -c 'import socket, sys; print(socket.create_connection(("127.0.0.1", int(sys.argv[1]))).recv(1))' "$port"
	assert_equal "$output" "b''"
	plain=$(sed -n '2s/^listening on //p' http.log)
	assert_match "$(curl -sS "http://$plain/messages/1")" '"tls":false'
	echo nonsense >bad.pem
	run timeout 10 "$MAILQ_BUILD/tests/tools/http_server" -t bad.pem -k key.pem tls:127.0.0.1:0
	assert_status 69
	assert_match "$output" 'cannot start the server: .'
}

@test "forms as curl and Python send them" {
	start_http
	head -c 200000 /dev/urandom >'Grüße "x".pdf'
	: >empty
	run get /form -F emails=a@example.com -F emails=b@example.com -F 'subject=Тема' \
		-F 'files=@"Grüße \"x\".pdf"' -F 'files=@empty;type=text/plain'
	assert_equal "$output" "emails|-|-|13
emails|-|-|13
subject|-|-|8
files|Grüße \"x\".pdf|application/pdf|200000
files|empty|text/plain|0"
	assert_equal "$(get /form -d 'a=1&b=%C3%BC' )" $'a|-|-|1\nb|-|-|2'
	assert_equal "$(status_of /form -F a=b)" 201
	assert_equal "$(get /form -H 'Content-Type: text/plain' -d x)" \
		'{"detail":"Content-Type: expected multipart/form-data"}'
	printf -- '--B\r\nContent-Disposition: form-data; name=a\r\n\r\ncut' >cut
	run get /form -H 'Content-Type: multipart/form-data; boundary=B' --data-binary @cut -w ' %{http_code}'
	assert_equal "$output" '{"detail":"the form is cut off: its last boundary is missing"} 422'
}

@test "a stock client: one connection kept, in many threads" {
	start_http
	run timeout 60 python3 - "$port" <<-'END'
	import http.client, json, sys, threading
	port, faults = int(sys.argv[1]), []
	def work(k):
	    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
	    for i in range(100):
	        body = json.dumps({"k": k, "i": i, "x": "x" * (i * 50)}).encode()
	        c.request("POST", "/echo", body, {"Content-Type": "application/json"})
	        r = c.getresponse()
	        if r.status != 200 or r.read() != body or r.will_close:
	            faults.append((k, i, r.status))
	            return
	    c.close()
	threads = [threading.Thread(target=work, args=(k,)) for k in range(32)]
	for t in threads: t.start()
	for t in threads: t.join()
	print(faults)
	sys.exit(bool(faults))
	END
	[ "$status" -eq 0 ] || fail "$output"
	assert_equal "$(number requests)" 3200
}
