# runs long: large forms, and several servers.
#
# The second service: a form, a message to each address in it; and its status.

load ../../helpers/common
load ../../helpers/serve

setup() { serve_setup; }
teardown() { common_teardown; }

FORM=/api/v1/send_email/
STATUS=/api/v1/send_email/status
QUEUED='{"status":"В очередь на отправку добавлены сообщения в количестве: '

form() { # CURL OPTION...
	api POST $FORM "$@"
}

# queues N: what the last answer says
queues() {
	answer 201
	assert_equal "$body" "$QUEUED$1\"}"
}

# The ids of all that waits, in order.
ids() {
	mailq-status list --json | value id
}

# raw TEXT: a form of the boundary B, with the line ends of the wire
raw() {
	printf '%s' "$1" | sed 's/$/\r/' >raw.txt
	api POST $FORM -H 'Content-Type: multipart/form-data; boundary=B' --data-binary @raw.txt
}

@test "the second service's examples work as they stand" {
	start_serve s port
	printf 'one' >file_1.docx
	head -c 200000 /dev/urandom >file_2.jpg
	run -0 curl -sS -X POST "$URL/api/v1/send_email/" \
		-H "Content-Type: multipart/form-data" \
		-F "emails=example1@example.com" \
		-F "emails=example2@example.com" \
		-F "emails=example3@example.com" \
		-F "subject=Заголовок сообщения" \
		-F "body=Текст сообщения"
	assert_equal "$output" "${QUEUED}3\"}"
	mailq-run
	run -0 curl -sS -X POST "$URL/api/v1/send_email/" \
		-H "Content-Type: multipart/form-data" \
		-F "emails=example2@example.com" \
		-F "emails=example3@example.com" \
		-F "subject=Заголовок сообщения" \
		-F "body=Your email body" \
		-F "files=@file_1.docx" \
		-F "files=@file_2.jpg"
	assert_equal "$output" "${QUEUED}2\"}"
	run -0 curl -sS -X GET "$URL/api/v1/send_email/status"
	assert_equal "$output" '{"total":2,"messages":[{"number":1,"email":"example2@example.com","subject":"Заголовок сообщения"},{"number":2,"email":"example3@example.com","subject":"Заголовок сообщения"}]}'
}

@test "each address gets a message of its own, as HTML, with the files" {
	start_serve s port
	printf 'one\n' >a.txt
	head -c 300000 /dev/urandom >b.bin
	: >empty.dat
	form -F emails=a@example.org -F emails=b@example.org -F 'subject=Привет' --form-string 'body=<b>Да</b>' \
		-F files=@a.txt -F files=@b.bin -F files=@empty.dat -F 'files=@a.txt;filename=файл.txt'
	answer 201
	assert_equal "$(queued)" 2
	for id in $(ids); do
		text "$id" >"$id.eml"
		/usr/bin/python3 - "$id.eml" <<-'EOF'
			import email, email.policy, sys
			m = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
			body = m.get_body()
			assert body.get_content_type() == "text/html", body.get_content_type()
			assert body.get_content().strip() == "<b>Да</b>", body.get_content()
			assert m["Subject"] == "Привет"
			assert m["To"] in ("a@example.org", "b@example.org"), m["To"]
			files = [(p.get_filename(), p.get_payload(decode=True)) for p in m.iter_attachments()]
			assert [name for name, _ in files] == ["a.txt", "b.bin", "empty.dat", "файл.txt"], files
			assert files[0][1] == b"one\n" and files[1][1] == open("b.bin", "rb").read() and files[2][1] == b""
		EOF
	done
	assert_equal "$(for id in $(ids); do recipients "$id"; done | sort | paste -sd' ')" 'a@example.org b@example.org'
	assert_equal "$(for id in $(ids); do header "$id" Message-ID; done | sort -u | wc -l)" 2
	# Nothing is left of the files.
	assert_equal "$(ls "$MAILQ_SPOOL/tmp")" ''
}

@test "the sender is the default account's, else delivery.from, else mailq at this host" {
	start_serve s port
	form -F emails=a@example.org -F subject=S -F body=B
	answer 201
	assert_equal "$(header "$(ids)" From)" mailq@host.example
	stop_server s
	mailq-run
	configure 'from = "Shop <shop@example.com>";'
	start_serve s port
	form -F emails=a@example.org -F subject=S -F body=B
	assert_equal "$(header "$(ids)" From)" 'Shop <shop@example.com>'
	stop_server s
	mailq-run
	configure 'from = "shop@example.com";' \
		'accounts: ( { id = "main"; transport = "capture"; from = "news@example.com"; from_name = "News"; } );'
	start_serve s port
	form -F emails=a@example.org -F subject=S -F body=B
	assert_equal "$(header "$(ids)" From)" 'News <news@example.com>'
	assert_equal "$(field "$(ids)" account)" default
}

@test "one field with commas between is several addresses; the same twice is two messages" {
	start_serve s port
	form -F 'emails=a@example.org, "B, C" <b@example.org>' -F emails=a@example.org -F subject=S -F body=B
	queues 3
	assert_equal "$(for id in $(ids); do recipients "$id"; done | sort | paste -sd' ')" \
		'a@example.org a@example.org b@example.org'
}

@test "what is missing or wrong is 422, each fault with its place, and nothing is queued" {
	start_serve s port
	form -F x=y
	answer 422
	assert_equal "$(json '[f["loc"] for f in a["detail"]]')" '[["body","emails"],["body","subject"],["body","body"]]'
	assert_equal "$(json '{f["type"] for f in a["detail"]} == {"value_error.missing"}')" true
	form -F emails=good@example.org -F emails=bad -F 'emails=' -F 'emails=a@b, c' -F subject= -F body=B
	answer 422
	assert_equal "$(json '[f["loc"] for f in a["detail"]]')" \
		'[["body","emails",1],["body","emails",2],["body","emails",3],["body","subject"]]'
	form -F emails=a@example.org -F "subject=$(printf 'a\nBcc: x@example.com')" -F body=B
	answer 422 '"subject".*line break'
	form -F emails=a@example.org -F subject=S -F "body=$(printf '\xff')"
	answer 422 '"body","body"'
	form -F emails=root -F subject=S -F body=B
	answer 422 '"emails",0'
	printf x >file
	form -F emails=@file -F subject=S -F body=B
	answer 422 'str type expected'
	form -F emails=a@example.org -F subject=S -F body=B -F files=text
	answer 422 'expected a file'
	assert_equal "$(queued)" 0
}

@test "a field for a file where none was chosen is no attachment" {
	start_serve s port
	raw '--B
Content-Disposition: form-data; name="emails"

a@example.org
--B
Content-Disposition: form-data; name="subject"

S
--B
Content-Disposition: form-data; name="body"

B
--B
Content-Disposition: form-data; name="files"; filename=""
Content-Type: application/octet-stream


--B
Content-Disposition: form-data; name="files"


--B--
'
	queues 1
	assert_equal "$(header "$(ids)" Content-Type)" 'text/html; charset=us-ascii'
}

@test "a form that is none, or is cut off, is 422" {
	start_serve s port
	api POST $FORM -H 'Content-Type: application/json' -d '{}'
	answer 422 'multipart/form-data'
	api POST $FORM -d emails=a@example.org
	answer 422
	raw '--B
Content-Disposition: form-data; name="emails"

a@example.org
'
	answer 422 '"loc":\["body"\]'
	assert_equal "$(queued)" 0
}

@test "hostile file names stay names" {
	start_serve s port
	printf x >file
	form -F emails=a@example.org -F subject=S -F body=B -F 'files=@file;filename=../../etc/passwd' \
		-F 'files=@file;filename=..' -F 'files=@file;filename="C:\dir\evil.exe"'
	answer 201
	text "$(ids)" >text.eml
	grep -q 'filename="passwd"' text.eml
	grep -q 'filename="evil.exe"' text.eml
	! grep -qE 'filename="[^"]*[/\\]' text.eml
}

@test "a body over the limit is refused before it is read, and too many addresses or files are a fault" {
	configure '' 'server: { max_body = "100 KiB"; };'
	start_serve s port
	head -c 200000 /dev/zero >big
	form -F emails=a@example.org -F subject=S -F body=B -F files=@big
	answer 413
	stop_server s
	configure
	start_serve s port
	/usr/bin/python3 -c 'print(",".join(f"u{i}@example.org" for i in range(10001)), end="")' >emails
	form -F 'emails=<emails' -F subject=S -F body=B
	answer 422 'at most 10000 items'
	/usr/bin/python3 -c '
part = "--B\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\nx\r\n"
print("".join(part % ("files", "; filename=\"f\"") for i in range(1001)) + "--B--\r\n", end="")' >raw.txt
	api POST $FORM -H 'Content-Type: multipart/form-data; boundary=B' --data-binary @raw.txt
	answer 422 'at most 1000 items'
	assert_equal "$(queued)" 0
}

@test "without room on the disk it is 503, and nothing is stored" {
	configure '' 'queue: { min_free_space = "1000 TiB"; };'
	start_serve s port
	head -c 300000 /dev/zero >big
	form -F emails=a@example.org -F subject=S -F body=B
	answer 503
	form -F emails=a@example.org -F subject=S -F body=B -F files=@big
	answer 503
	assert_match "$head" 'Retry-After: '
	assert_equal "$(queued)" 0
	assert_equal "$(ls "$MAILQ_SPOOL/tmp")" ''
}

@test "a form in chunks is the same form" {
	local i

	start_serve s port
	head -c 2000000 /dev/urandom >a.bin
	for i in 1 2 3; do
		form -H 'Transfer-Encoding: chunked' -F "emails=u$i@example.org" -F subject=S -F body=B -F files=@a.bin
		queues 1
	done
	for id in $(ids); do
		text "$id" >"$id.eml"
		/usr/bin/python3 -c 'import email, sys
m = email.message_from_binary_file(open(sys.argv[1], "rb"))
assert m.get_payload(1).get_payload(decode=True) == open("a.bin", "rb").read()' "$id.eml"
	done
}

@test "files that do not fit for all addresses are refused before one is queued" {
	local free

	start_serve s port
	mailq-status >/dev/null
	# Smaller than what is stored once for all of them.
	head -c 16000 /dev/zero >small
	free=$(df --output=avail -B1 "$MAILQ_SPOOL" | tail -n 1)
	stop_server s
	# Room for some thousand of them, and ten thousand are asked for.
	configure '' "queue: { min_free_space = \"$(((free - 200000000) / 1024)) KiB\"; };"
	start_serve s port
	/usr/bin/python3 -c 'print(",".join(f"u{i}@example.org" for i in range(10000)), end="")' >emails
	form -F 'emails=<emails' -F subject=S -F body=B -F files=@small
	answer 503
	assert_equal "$(queued)" 0
	form -F emails=a@example.org -F subject=S -F body=B -F files=@small
	answer 201
}

@test "the texts of all forms together have a bound" {
	configure '' 'server: { max_body = "4 MiB"; body_memory = "4 MiB"; };'
	start_serve s port
	head -c 3500000 /dev/zero | tr '\0' x >text
	# One is held back before its end, with most of the memory.
	start_server slow /usr/bin/python3 -c '
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
body = b"--B\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\n" + open("text", "rb").read()
s.sendall(b"POST /api/v1/send_email/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
          b"Content-Length: %d\r\n\r\n" % (len(body) + 100) + body)
print("held", flush=True)
time.sleep(60)' "$port"
	wait_for file_has slow.log held
	full() {
		form -F emails=a@example.org -F subject=S -F 'body=<text' && [ "$code" = 503 ]
	}
	wait_for full
	stop_server slow
	freed() {
		form -F emails=a@example.org -F subject=S -F 'body=<text' && [ "$code" = 201 ]
	}
	wait_for freed
}

@test "Idempotency-Key: the same form again is not sent again, another one is 409" {
	start_serve s port
	printf one >file
	for _ in 1 2; do
		form -H 'Idempotency-Key: k' -F emails=a@example.org -F subject=S -F body=B -F files=@file
		queues 1
	done
	assert_equal "$(queued)" 1
	stop_server s
	start_serve s port
	form -H 'Idempotency-Key: k' -F emails=a@example.org -F subject=S -F body=B -F files=@file
	queues 1
	printf two >file
	form -H 'Idempotency-Key: k' -F emails=a@example.org -F subject=S -F body=B -F files=@file
	answer 409
	form -H 'Idempotency-Key: k' -F emails=a@example.org -F emails=b@example.org -F subject=S -F body=B
	answer 409
	# What is refused leaves the key as it was.
	form -H 'Idempotency-Key: other' -F emails=bad -F subject=S -F body=B
	answer 422
	form -H 'Idempotency-Key: other' -F emails=good@example.org -F subject=S -F body=B
	answer 201
	assert_equal "$(queued)" 2
}

@test "both endpoints need the token, with and without the last slash" {
	configure '' 'server: { api_token = "secret"; };'
	start_serve s port
	for path in /api/v1/send_email/ /api/v1/send_email; do
		api POST $path -F emails=a@example.org -F subject=S -F body=B
		answer 401 'Invalid or missing API token'
		api POST $path -H 'X-API-Token: secret' -F emails=a@example.org -F subject=S -F body=B
		answer 201
	done
	api GET $STATUS
	answer 401
	api GET $STATUS -H 'X-API-Token: secret'
	answer 200 '"total":2'
}

@test "status: a row for each recipient who is waited for, in every state but what is over" {
	start_serve s port
	api GET $STATUS
	assert_equal "$body" '{"total":0,"messages":[]}'
	mailq-add --from a@b.example --to c@example.org --to d@example.org --subject 'a "b"' --body B --id two </dev/null
	mailq-add --from a@b.example --to e@example.org --subject '' --body B --id later --at +1h </dev/null
	mailq-add --from a@b.example --to f@example.org --subject S --body B --id held </dev/null
	mailq-status hold held
	api GET $STATUS
	answer 200
	assert_equal "$(json 'a["total"]')" 4
	assert_equal "$(json '[m["number"] for m in a["messages"]]')" '[1,2,3,4]'
	assert_equal "$(json 'sorted((m["email"], m["subject"]) for m in a["messages"])')" \
		'[["c@example.org","a \"b\""],["d@example.org","a \"b\""],["e@example.org",""],["f@example.org","S"]]'
	api GET "$STATUS?limit=2"
	assert_equal "$(json '[a["total"], len(a["messages"])]')" '[4,2]'
	api GET "$STATUS?limit=0"
	assert_equal "$body" '{"total":4,"messages":[]}'
	api GET "$STATUS?limit=x"
	answer 422 '"query","limit"'
	mailq-run
	api GET $STATUS
	assert_equal "$(json 'sorted(m["email"] for m in a["messages"])')" '["e@example.org","f@example.org"]'
}

@test "status: whatever its length, the list needs no memory" {
	start_serve s port
	/usr/bin/python3 -c 'import json
for i in range(20000):
	print(json.dumps({"from": "a@b.example", "to": f"u{i}@example.org", "subject": "S" * 100, "body": "B"}))' >many.jsonl
	mailq-add -q --json many.jsonl >/dev/null
	api GET "$STATUS?limit=1000000"
	answer 200
	before=$(awk '/VmHWM/ { print $2 }' "/proc/$(server_pid s)/status")
	assert_equal "$(json '[a["total"], len(a["messages"]), len({m["email"] for m in a["messages"]})]')" '[20000,20000,20000]'
	[ "$(wc -c <body.txt)" -gt 2000000 ]
	for _ in 1 2 3; do
		api GET "$STATUS?limit=1000000"
	done
	after=$(awk '/VmHWM/ { print $2 }' "/proc/$(server_pid s)/status")
	[ $((after - before)) -lt 2000 ] || fail "grew from $before to $after KiB"
	assert_equal "$(ls "$MAILQ_SPOOL/tmp")" ''
}

# rows of the whole list, page by page, LIMIT at a time: "NUMBER EMAIL" a line
# The "NUMBER EMAIL" of each row of the last answer.
rows() {
	json '[[m["number"], m["email"]] for m in a["messages"]]' | sed 's/\],\[/\n/g; s/[]["]//g; s/,/ /g' | grep .
}
in_pages() { # LIMIT
	local cursor= look count total

	while :; do
		api GET "$STATUS?limit=$1&cursor=$cursor"
		answer 200
		rows
		look=$(json '[len(a["messages"]), a["total"], a.get("next", "")]')
		IFS='[],"' read -r _ count total _ cursor _ <<<"$look"
		[ "$count" -le "$1" ]
		assert_equal "$total" "$want_total"
		[ -n "$cursor" ] || break
	done
}

@test "status: in pages, each recipient once, whatever their size; the total is that of all" {
	start_serve s port
	/usr/bin/python3 -c 'import json
for i in range(30):
	to = [f"u{i}-{k}@example.org" for k in range(1 + i % 4)]
	print(json.dumps({"from": "a@b.example", "to": to, "subject": "recipient: x", "body": "B", **({"deferred_ts": 4000000000} if i % 3 == 0 else {})}))' >some.jsonl
	mailq-add -q --json some.jsonl >/dev/null
	mailq-add --from a@b.example --to held@example.org --subject S --body B --id held </dev/null
	mailq-status hold held
	want_total=74
	api GET $STATUS
	answer 200
	assert_equal "$(json '[a["total"], len(a["messages"]), "next" in a]')" '[74,74,false]'
	rows >whole
	assert_equal "$(wc -l <whole)" 74
	for limit in 1 2 3 7 73 74 75; do
		in_pages $limit >paged
		diff whole paged || fail "limit $limit"
	done
	# A message that goes amid its recipients takes the rest of them along, and no others.
	api GET "$STATUS?limit=2"
	assert_equal "$(json '[m["email"] for m in a["messages"]]')" "$(head -2 whole | cut -d' ' -f2 | sed 's/.*/"&"/' | paste -sd, | sed 's/.*/[&]/')"
	for bad in x 1 1.2 1.2.x 1.0.sent 1.0.failed~2f~2fa~2fb~2fc '1.0.waiting~2f~2f..~2f..~2fc' -1.0.waiting; do
		api GET "$STATUS?cursor=$bad"
		answer 422 '"query","cursor"'
	done
	# By default a page is bounded, and the total still that of all.
	/usr/bin/python3 -c 'import json
for i in range(10500):
	print(json.dumps({"from": "a@b.example", "to": f"v{i}@example.org", "subject": "S", "body": "B"}))' >many.jsonl
	mailq-add -q --json many.jsonl >/dev/null
	api GET $STATUS
	assert_equal "$(json '[a["total"], len(a["messages"])]')" '[10574,10000]'
	api GET "$STATUS?cursor=$(json 'a["next"]')"
	assert_equal "$(json '[a["total"], len(a["messages"]), a["messages"][0]["number"], "next" in a]')" '[10574,574,10001,false]'
	# Recipients that are settled are no more waited for, and what is counted is counted anew when it changes.
	mailq-run -q
	api GET "$STATUS?limit=1"
	assert_equal "$(json 'a["total"]')" "$(grep -c . <<<"$(api GET "$STATUS?limit=1000" >/dev/null; json '"\n".join(m["email"] for m in a["messages"])')")"
}
