# runs long: large files are queued and delivered.
#
# Attachments: where they come from, and that they arrive as they were.

load ../../helpers/common
load ../../helpers/serve
load ../../helpers/delivery

setup() {
	serve_setup
	ATTACHMENTS=$MAILQ_TOP/tests/helpers/attachments.py
}
teardown() { common_teardown; }

# deliver_to_keeper: all that waits goes to an aiosmtpd, which keeps it in the directory kept
deliver_to_keeper() {
	start_keeper kept port_of_keeper
	accounts "$(relay main "$port_of_keeper")"
	mailq-run --now >run.txt || fail "$(cat run.txt)"
}

# sums FILE...: "BYTES SHA256" of each, a line each
sums() {
	local file

	for file in "$@"; do
		echo "$(stat -c %s "$file") $(sha256sum <"$file" | cut -d' ' -f1)"
	done
}

# arrived MESSAGE: the same of its attachments
arrived() {
	"$ATTACHMENTS" list "$1" | sed -E 's/.* ([0-9]+ [0-9a-f]{64})$/\1/'
}

# peak COMMAND...: runs it; the most memory that it had, in KiB, is in $peak
peak() {
	/usr/bin/python3 - "$@" <<-'EOF' >peak.out || fail "$(cat peak.out)"
		import resource, subprocess, sys
		done = subprocess.run(sys.argv[1:], stdout=open("peaked.out", "w"))
		print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
		sys.exit(done.returncode)
	EOF
	peak=$(cat peak.out)
}

# refused EXPRESSION ATTACHMENT...: add-messages takes nothing of a message with these, and says why
refused() {
	local expression=$1 IFS=,

	shift
	post /commands/add-messages "$(add_one "\"attachments\":[$*]")"
	assert_match "$body" "$expression"
	[ "$code" = 422 ] || assert_equal "$(json 'a["queued"]')" 0
}

@test "contents as base64 arrive bit for bit: short and long, in lines, escaped, by every road" {
	local expected

	"$ATTACHMENTS" content 5000 small.bin
	"$ATTACHMENTS" content 40000 middle.bin
	"$ATTACHMENTS" content 3000000 large.bin
	: >empty.bin
	configure
	start_serve s port
	"$ATTACHMENTS" json small.bin middle.bin large.bin empty.bin >1.json
	"$ATTACHMENTS" json small.bin middle.bin large.bin empty.bin --lines --escaped >2.json
	"$ATTACHMENTS" json large.bin small.bin middle.bin empty.bin --member storage_path --escaped >3.json
	api POST /commands/add-messages --data-binary @1.json
	answer 200
	api POST /commands/add-messages --data-binary @2.json -H 'Transfer-Encoding: chunked'
	answer 200
	api POST /messages/add_batch --data-binary @3.json
	answer 200
	mailq-add --json 1.json 2.json 3.json
	"$ATTACHMENTS" json small.bin middle.bin large.bin empty.bin --one | mailq-add --json
	mailq-add --from app@example.com --to a@example.org --subject S --body B --attach small.bin \
		--attach middle.bin --attach large.bin --attach empty.bin
	assert_equal "$(ls "$MAILQ_SPOOL/tmp")" ''
	# Whatever came how often, each of the two large contents is there once.
	assert_equal "$(find "$MAILQ_SPOOL/blobs" -type f ! -name '.*' | wc -l)" 2
	stop_server s
	deliver_to_keeper
	assert_equal "$(ls kept/*.eml | wc -l)" 8
	expected=$(sums small.bin middle.bin large.bin empty.bin | sort)
	for message in kept/*.eml; do
		assert_equal "$(arrived "$message" | sort)" "$expected"
	done
	assert_equal "$(find "$MAILQ_SPOOL/blobs" -type f ! -name '.*' | wc -l)" 0
}

@test "a form's files to 500 addresses are stored once, and arrive" {
	local before after

	"$ATTACHMENTS" content 3145728 report.bin
	configure
	start_serve s port
	mailq-status >/dev/null
	before=$(du -sk "$MAILQ_SPOOL" | cut -f1)
	/usr/bin/python3 -c 'print(",".join(f"u{i}@example.org" for i in range(500)), end="")' >emails
	api POST /api/v1/send_email/ -F 'emails=<emails' -F subject=S -F body=B -F files=@report.bin
	answer 201 ': 500"'
	after=$(du -sk "$MAILQ_SPOOL" | cut -f1)
	[ $((after - before)) -lt $((12 * 1024)) ] || fail "the spool grew by $((after - before)) KiB"
	assert_equal "$(queued)" 500
	stop_server s
	mailq-status delete --all --json >/dev/null
	assert_equal "$(find "$MAILQ_SPOOL/blobs" -type f ! -name '.*' | wc -l)" 0
}

@test "the memory of who takes an attachment does not grow with it" {
	configure '' 'queue: { max_message_size = "200 MiB"; };
		attachments: { max_size = "100 MiB"; max_total = "100 MiB"; };
		server: { max_body = "100 MiB"; };'
	"$ATTACHMENTS" content 60000000 large.bin
	"$ATTACHMENTS" json large.bin --lines >large.json
	peak mailq-add --json large.json
	[ "$peak" -lt 32768 ] || fail "mailq-add --json: $peak KiB"
	peak mailq-add --from app@example.com --to a@example.org --subject S --body B --attach large.bin
	[ "$peak" -lt 32768 ] || fail "mailq-add --attach: $peak KiB"
	start_serve s port
	api POST /commands/add-messages --data-binary @large.json
	answer 200 '"queued":1'
	peak=$(awk '/VmHWM/ { print $2 }' "/proc/$(server_pid s)/status")
	[ "$peak" -lt 32768 ] || fail "mailq-serve: $peak KiB"
	assert_equal "$(queued)" 3
	assert_equal "$(find "$MAILQ_SPOOL/blobs" -type f ! -name '.*' | wc -l)" 1
}

@test "the same content in each message of a request is stored once" {
	"$ATTACHMENTS" content 200000 a.bin
	"$ATTACHMENTS" json a.bin --messages 20 >in.json
	start_serve s port
	api POST /commands/add-messages --data-binary @in.json
	answer 200 '"queued":20'
	mailq-add --json in.json >/dev/null
	assert_equal "$(queued)" 40
	assert_equal "$(find "$MAILQ_SPOOL/blobs" -type f ! -name '.*' | wc -l)" 1
}

@test "long contents that are wrong are refused by place, and the others are taken" {
	configure '' 'attachments: { max_size = "1 MiB"; };'
	/usr/bin/python3 - >in.json <<-'EOF'
		import json
		def m(id, **attachment):
		    return {"id": id, "from": "a@example.com", "to": "b@example.org", "subject": "S", "body": "B",
		        "attachments": [attachment]}
		good = "QUJD" * 500000
		print(json.dumps({"messages": [
		    m("character", content="QUJD" * 100000 + "QU!D" + "QUJD" * 100000),
		    m("cut", content="QUJD" * 100000 + "QUJ"),
		    m("padded", content="QUJD" * 100000 + "QQ==QUJD"),
		    m("large", content=good),
		    m("good", content="QUJD" * 300000),
		    m("prefix", storage_path="base64:" + "QUJD" * 100000 + "-"),
		    m("no-prefix", storage_path="QUJD" * 100000),
		    m("mode", storage_path="QUJD" * 100000, fetch_mode="base64"),
		    m("both", content="QUJD" * 100000, storage_path="base64:" + "QUJD" * 100000),
		    m("letter", content="QUJD" * 100000 + "\u00e9"),
		]}))
	EOF
	start_serve s port
	api POST /commands/add-messages --data-binary @in.json
	answer 200
	assert_equal "$(json 'a["ids"]')" '["good","mode"]'
	/usr/bin/python3 - <<-'EOF'
		import json
		want = {
		    "character": "attachments[0].content: invalid base64 at byte 400003",
		    "cut": "attachments[0].content: invalid base64 at byte 400004",
		    "padded": "attachments[0].content: invalid base64 at byte 400005",
		    "large": "attachments[0].content: larger than 1048576 bytes",
		    "prefix": "attachments[0].storage_path: invalid base64 at byte 400001",
		    "no-prefix": "attachments[0].storage_path: longer than any URL or path",
		    "both": "attachments[0]: expected one of content, path, storage_path, url, s3",
		    "letter": "attachments[0].content: invalid base64 at byte 400001",
		}
		got = {r["id"]: r["reason"] for r in json.load(open("body.txt"))["rejected"]}
		assert got == want, got
	EOF
	run --separate-stderr mailq-add --json in.json
	assert_status 65
	assert_match "$stderr" 'messages\[0\]\.attachments\[0\]\.content: invalid base64 at byte 400003'
	assert_match "$stderr" 'messages\[6\]\.attachments\[0\]\.storage_path: longer than any URL or path'
}

@test "a long body that is no JSON is refused where it is wrong" {
	/usr/bin/python3 - <<-'EOF'
		good = '{"messages":[{"from":"a@example.com","to":"b@example.org","subject":"S","body":"B",' \
		    '"attachments":[{"content":"%s"}]}]%s'
		long = "QUJD" * 500000
		open("1", "w").write(good % (long, ""))
		open("2", "w").write(good % (long, ", nothing}"))
		open("3", "w").write(good % (long + "\\x", "}"))
		open("4", "w").write(good % (long + "\n", "}"))
		open("5", "w").write(good % (long, ',"x":\x010 9\x01}'))
		open("6", "w").write(good % (long, '}'))
	EOF
	start_serve s port
	for file in 1 2 3 4 5; do
		api POST /commands/add-messages --data-binary "@$file"
		answer 422 'value_error.jsondecode'
	done
	# The place is that in what was sent.
	api POST /commands/add-messages --data-binary @2
	answer 422 "line 1, byte 2000118: expected a key in quotes"
	api POST /commands/add-messages --data-binary @6
	answer 200 '"queued":1'
	assert_equal "$(ls "$MAILQ_SPOOL/tmp")" ''
}

@test "a large request is known again by its key" {
	"$ATTACHMENTS" content 2000000 a.bin
	"$ATTACHMENTS" json a.bin >in.json
	start_serve s port
	api POST /commands/add-messages --data-binary @in.json -H 'Idempotency-Key: k1'
	answer 200 '"queued":1'
	first=$body
	api POST /commands/add-messages --data-binary @in.json -H 'Idempotency-Key: k1' -H 'Transfer-Encoding: chunked'
	assert_equal "$body" "$first"
	assert_match "$head" 'Idempotent-Replayed: true'
	echo ' ' >>in.json
	api POST /commands/add-messages --data-binary @in.json -H 'Idempotency-Key: k1'
	answer 409
	assert_equal "$(queued)" 1
}

@test "send-message takes a large attachment" {
	"$ATTACHMENTS" content 2000000 a.bin
	"$ATTACHMENTS" json a.bin --one >in.json
	start_serve s port
	api POST /commands/send-message --data-binary @in.json
	answer 200 '"ok":true.*"status":"sent"'
	assert_equal "$(arrived "$(find "$MAILQ_SPOOL/captured" -path '*/new/*' -type f)")" "$(sums a.bin)"
}

@test "paths: one answer to whatever may not be read" {
	local reason='expected a file that can be read below a directory of attachments.paths' path

	mkdir -p allowed/sub/private allowed/second
	echo inside >allowed/sub/a.txt
	echo outside >b.txt
	echo hidden >allowed/sub/private/c.txt
	ln -s ../b.txt allowed/link
	ln -s sub allowed/linked
	mkfifo allowed/pipe
	configure '' "attachments: { paths = [ \"$PWD/allowed\" ]; };"
	start_serve s port
	for path in "$PWD/b.txt" "$PWD/allowed/../b.txt" "$PWD/allowed/link" "$PWD/allowed/linked/a.txt" \
		"$PWD/allowed" "$PWD/allowed/" "$PWD/allowed/sub" "$PWD/allowed/pipe" "$PWD/allowed/nowhere" \
		"$PWD/allowed/sub/../sub/a.txt" "$PWD/allowed/sub/a.txt/" /etc/passwd /dev/zero "$PWD/allowedx"; do
		refused "attachments\[0\]\.path: $path: $reason\"" "{\"path\":\"$path\"}"
		refused "attachments\[0\]\.storage_path: $path: $reason\"" "{\"storage_path\":\"$path\"}"
	done
	refused 'expected base64:CONTENT' '{"storage_path":"allowed/sub/a.txt"}'
	refused "attachments\[0\]\.storage_path: a.txt: $reason" '{"storage_path":"a.txt","fetch_mode":"filesystem"}'
	for path in "$PWD/allowed/sub/a.txt" "$PWD/allowed//sub/./a.txt"; do
		post /commands/add-messages "$(add_one "\"attachments\":[{\"path\":\"$path\"}]")"
		answer 200 '"queued":1'
		id=$(json 'a["ids"][0]')
		text "$id" >one.eml
		assert_equal "$("$ATTACHMENTS" list one.eml | cut -d' ' -f1-3)" 'a.txt text/plain attachment'
	done
	assert_equal "$(arrived one.eml)" "$(sums allowed/sub/a.txt)"
}

@test "sizes: of each, of all of a message, by every road" {
	configure '' "attachments: { paths = [ \"$PWD\" ]; max_size = \"100 KiB\"; max_total = \"150 KiB\"; };"
	head -c 102401 /dev/zero >over.bin
	head -c 100000 /dev/zero >a.bin
	start_serve s port
	refused 'attachments\[0\]\.path: larger than 102400 bytes' "{\"path\":\"$PWD/over.bin\"}"
	"$ATTACHMENTS" json over.bin >in.json
	api POST /commands/add-messages --data-binary @in.json
	answer 200 '"queued":0.*attachments\[0\]\.content: larger than 102400 bytes'
	refused 'attachments: larger than 150 KiB together \(attachments.max_total\)' \
		"{\"path\":\"$PWD/a.bin\"}" "{\"path\":\"$PWD/a.bin\"}"
	run -65 mailq-add --from app@example.com --to a@example.org --subject S --body B --attach over.bin
	run -65 mailq-add --from app@example.com --to a@example.org --subject S --body B --attach a.bin --attach a.bin
	assert_match "$output" '--attach: larger than 150 KiB together'
	"$ATTACHMENTS" json a.bin a.bin >in.json
	run -65 mailq-add --json in.json
	assert_match "$output" 'attachments: larger than 150 KiB together'
	api POST /api/v1/send_email/ -F emails=a@example.org -F subject=S -F body=B -F files=@over.bin
	answer 422 '"loc":\["body","files"\],"msg":"over.bin is larger than 100 KiB'
	api POST /api/v1/send_email/ -F emails=a@example.org -F subject=S -F body=B -F files=@a.bin -F files=@a.bin
	answer 422 'larger than 150 KiB together'
	assert_equal "$(queued)" 0
	post /commands/add-messages "$(add_one "\"attachments\":[{\"path\":\"$PWD/a.bin\"}]")"
	answer 200 '"queued":1'
}

@test "sources are checked for their form at the door" {
	start_serve s port
	refused 'attachments\[0\]\.url: expected a URL that begins with http' '{"url":"file:///etc/passwd"}'
	refused 'attachments\[0\]\.url: expected a URL without a user' '{"url":"http://u:p@example.com/"}'
	refused 'attachments\[0\]\.url: control character' '{"url":"http://example.com/\r\nX: y"}'
	refused 'attachments\[0\]: expected one of' '{"url":"http://example.com/","content":""}'
	refused 'attachments\[0\]: expected one of' '{"filename":"a"}'
	refused 'attachments\[1\]\.storage_path: an endpoint' '{"content":""}' '{"storage_path":"@x"}'
	refused 'attachments\[0\]\.s3: no S3 is configured here' '{"s3":{"bucket":"abc","key":"k"}}'
	refused 'attachments\[0\]\.storage_path: no S3 is configured here' '{"storage_path":"s3:abc/k"}'
	refused 'attachments","*' '{"content":7}'
	answer 422 '"loc":\["body","messages",0,"attachments",0,"content"\],"msg":"str type expected"'
	refused 'permitted' '{"storage_path":"x","fetch_mode":"pigeon"}'
	answer 422 '"loc":\["body","messages",0,"attachments",0,"fetch_mode"\]'
	assert_equal "$(queued)" 0
}

@test "names in any script, and pictures in HTML, as Python and s-nail read them" {
	local name

	/usr/bin/python3 - >in.json <<-'EOF'
		import base64, json
		c = base64.b64encode(b"GIF89a\1\0\1\0\0\0\0;").decode()
		names = ["plain.gif", "Ünï \"quoted\"; x.gif", "отчёт за май.gif", "日本語" * 20 + ".gif", "../../etc/a.gif",
		    "C:\\dir\\b.gif", "ملف.gif", "😀.gif"]
		print(json.dumps({"id": "m", "from": "a@example.com", "to": "b@example.org", "subject": "S",
		    "body": "<img src=\"cid:logo@x\">", "content_type": "html", "attachments":
		    [{"filename": n, "content": c} for n in names] +
		    [{"filename": "logo.gif", "content": c, "content_id": "logo@x"},
		     {"filename": "r_{MD5:0123456789abcdef0123456789abcdef}.gif", "storage_path": "base64:" + c}]}))
	EOF
	mailq-add --json in.json
	text m >m.eml
	/usr/bin/python3 - <<-'EOF'
		import email, email.policy
		want = ["logo.gif", "plain.gif", "Ünï \"quoted\"; x.gif", "отчёт за май.gif", "日本語" * 20 + ".gif", "a.gif",
		    "b.gif", "ملف.gif", "😀.gif", "r.gif"]
		for policy in email.policy.default, email.policy.compat32:
		    m = email.message_from_binary_file(open("m.eml", "rb"), policy=policy)
		    parts = [p for p in m.walk() if p.get_filename()]
		    assert [p.get_filename() for p in parts] == want, [p.get_filename() for p in parts]
		    assert all(p.get_content_type() == "image/gif" for p in parts)
		    assert parts[0]["Content-ID"] == "<logo@x>" and parts[0].get_content_disposition() == "inline"
		    assert m.get_payload(0).get_content_type() == "multipart/related"
		# Who looks at name= alone finds encoded words.
		old = email.message_from_binary_file(open("m.eml", "rb"), policy=email.policy.compat32)
		for p in old.walk():
		    if p.get_filename():
		        text = str(email.header.make_header(email.header.decode_header(p.get_param("name").replace("\r\n", ""))))
		        assert text == p.get_filename(), (text, p.get_filename())
	EOF
	printf 'From a@example.com Sat Jan  1 00:00:00 2000\n' >box
	tr -d '\r' <m.eml >>box
	LC_ALL=C.UTF-8 HOME=$PWD MAILRC=/dev/null s-nail -n -R -# -S ttycharset=utf-8 -Y 'type 1' -Y xit -f box \
		</dev/null >seen.txt 2>&1
	for name in 'отчёт за май.gif' 'ملف.gif' '😀.gif' 'logo.gif' 'r.gif'; do
		grep -qF "$name" seen.txt || fail "s-nail: $name: $(cat seen.txt)"
	done
}

@test "a name with a control character is refused, whoever gives it" {
	start_serve s port
	refused 'attachments\[0\]\.filename: line break at byte 2' '{"filename":"a\nb","content":""}'
	refused 'attachments\[0\]\.filename: control character at byte 2' '{"filename":"a\u0007b","content":""}'
	refused 'attachments\[0\]\.filename: longer than 255 bytes' \
		"{\"filename\":\"$(printf 'x%.0s' {1..256})\",\"content\":\"\"}"
	refused 'attachments\[0\]\.mime_type: ' '{"mime_type":"text/plain\r\nX: y","content":""}'
	refused 'attachments\[0\]\.content_id: ' '{"content_id":"a>\r\nX: y","content":""}'
}

@test "types: what a name promises and the content is not is no more than bytes" {
	start_serve s port
	b64() { printf "$1" | base64 -w0; }
	post /commands/add-messages "$(add_one "\"id\":\"t\",\"attachments\":[
		{\"filename\":\"a.txt\",\"content\":\"$(b64 '<html><script>')\"},
		{\"filename\":\"b.txt\",\"content\":\"$(b64 'MZ\x90\0\3\0\0\0')\"},
		{\"filename\":\"c.pdf\",\"content\":\"$(b64 '<!DOCTYPE html><p>')\"},
		{\"filename\":\"d.jpg\",\"content\":\"$(b64 '<svg xmlns=\"http://www.w3.org/2000/svg\"/>')\"},
		{\"filename\":\"e.pdf\",\"content\":\"$(b64 '%%PDF-1.4\n')\"},
		{\"filename\":\"f.txt\",\"content\":\"$(b64 'hello\n')\"},
		{\"filename\":\"g.txt\",\"content\":\"$(b64 'hello\n')\",\"mime_type\":\"text/markdown\"}]")"
	answer 200 '"queued":1'
	text t >t.eml
	assert_equal "$("$ATTACHMENTS" list t.eml | cut -d' ' -f1,2 | paste -sd' ')" \
		'a.txt application/octet-stream b.txt application/octet-stream c.pdf application/octet-stream d.jpg application/octet-stream e.pdf application/pdf f.txt text/plain g.txt text/markdown'
}

@test "on_attachment_error: read with its two words, and no other" {
	configure '' 'attachments: { on_error = "send_without"; };
		accounts: ( { id = "a"; transport = "capture"; on_attachment_error = "fail"; } );'
	mailq-add --from app@example.com --to a@example.org --subject S --body B
	configure '' 'attachments: { on_error = "perhaps"; };'
	run -78 mailq-add --from app@example.com --to a@example.org --subject S --body B
	assert_match "$output" 'attachments.on_error: expected one of fail, send_without|on_error'
}
