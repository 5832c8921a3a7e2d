# What the capture transport has caught: as JSON, as pages, and its HTML where it can do nothing.

load ../../helpers/common
load ../../helpers/serve

setup() {
	serve_setup
	page=(-H 'Accept: text/html,application/xhtml+xml,*/*;q=0.8')
}
teardown() { common_teardown; }

# put NAME: standard input as a captured message of that name
put() {
	mkdir -p "$MAILQ_SPOOL/captured/new" "$MAILQ_SPOOL/captured/cur"
	cat >"$MAILQ_SPOOL/captured/$1"
}

send() { # OPTION...
	mailq-add -q --from a@example.com --to b@example.org "$@" </dev/null >/dev/null
	mailq-run -q
}

@test "what is captured is listed, the newest first, in pages" {
	start_serve s port
	api GET /captured
	assert_equal "$body" '{"ok":true,"total":0,"captured":[]}'
	for i in 1 2 3 4 5; do
		send --subject "Number $i" --body B --cc c@example.org
	done
	api GET '/captured?limit=2'
	answer 200
	assert_equal "$(json '[c["subject"] for c in a["captured"]]')" '["Number 5","Number 4"]'
	assert_equal "$(json 'a["total"]')" 5
	assert_equal "$(json 'a["captured"][0]["recipients"]')" '["b@example.org","c@example.org"]'
	assert_equal "$(json 'a["captured"][0]["from"]')" 'a@example.com'
	assert_equal "$(json 'a["captured"][0]["to"]')" 'b@example.org'
	assert_equal "$(json 'a["captured"][0]["account_id"]')" 'capture'
	[ "$(json 'abs(__import__("time").time() - a["captured"][0]["captured_ts"]) < 100')" = true ]
	api GET "/captured?limit=2&cursor=$(json 'a["next"]')"
	assert_equal "$(json '[c["subject"] for c in a["captured"]]')" '["Number 3","Number 2"]'
	api GET "/captured?limit=2&cursor=$(json 'a["next"]')"
	assert_equal "$(json '[c["subject"] for c in a["captured"]]')" '["Number 1"]'
	assert_equal "$(json '"next" in a')" false
	api GET '/captured?limit=0'
	answer 422
	api GET '/captured?cursor=../x'
	answer 422
	api GET "/captured" "${page[@]}"
	answer 200
	assert_match "$head" 'Content-Type: text/html'
	assert_match "$head" 'Vary: Accept'
	assert_match "$body" 'Number 5</a>.*Number 1</a>'
	api GET "/captured?limit=2" "${page[@]}"
	assert_match "$body" 'href="captured\?limit=2&amp;cursor=[^"]*">Older ones'
}

@test "a message is shown with its headers, texts and attachments, which come back as they were" {
	start_serve s port
	head -c 300000 /dev/urandom >file.bin
	send --subject 'Привет' --body '<p>Да</p>' --html --attach file.bin
	api GET /captured
	id=$(json 'a["captured"][0]["id"]')
	api GET "/captured/$id"
	answer 200
	assert_equal "$(json 'a["message"]["subject"]')" 'Привет'
	assert_match "$(json 'a["message"]["html"]')" '^<p>Да</p>'
	assert_equal "$(json '[h["value"] for h in a["message"]["headers"] if h["name"] == "Delivered-To"]')" '["b@example.org"]'
	assert_equal "$(json '[(f["filename"], f["content_type"]) for f in a["message"]["attachments"]]')" \
		'[["file.bin","application/octet-stream"]]'
	curl -fsS -D head.txt -o back "$URL$(json 'a["message"]["attachments"][0]["url"]')"
	cmp back file.bin
	grep -qi '^content-disposition: attachment; filename="file.bin"' head.txt
	grep -qi "^content-security-policy: sandbox; default-src 'none'" head.txt
	curl -fsS -D head.txt -o back "$URL/captured/$id/parts/0"
	cmp back "$MAILQ_SPOOL"/captured/new/"$id"
	grep -qi '^content-type: message/rfc822' head.txt
	api GET "/captured/$id/html"
	assert_match "$body" '^<p>Да</p>'
	assert_match "$head" "Content-Security-Policy: sandbox; default-src 'none'; img-src data: cid:; font-src data:; style-src 'unsafe-inline';"
	assert_match "$head" 'X-Frame-Options: SAMEORIGIN'
	api GET "/captured/$id" "${page[@]}"
	assert_match "$body" "<iframe sandbox title=\"The message\" src=\"$id/html\"></iframe>"
	assert_match "$body" 'parts/2" download>file.bin</a>'
}

@test "images that come with the HTML stand in it, and no other address of it is touched" {
	start_serve s port
	put new/1.M1P1Q1.host <<'EOF'
Subject: images
Content-Type: multipart/related; boundary=b

--b
Content-Type: text/html

<img src="cid:a@b"><img src='CID:a@b'><img src=cid:none@b><img src="https://example.com/x.png"> cid:
--b
Content-Type: image/png
Content-ID: <a@b>
Content-Transfer-Encoding: base64

aGVsbG8=
--b
Content-Type: text/html
Content-ID: <none@b>

<script>alert(1)</script>
--b--
EOF
	api GET /captured/1.M1P1Q1.host/html
	answer 200
	assert_equal "$body" '<img src="data:image/png;base64,aGVsbG8="><img src='"'"'data:image/png;base64,aGVsbG8='"'"'><img src=cid:none@b><img src="https://example.com/x.png"> cid:'
}

@test "whatever a sender writes is text on the pages" {
	start_serve s port
	put new/2.M1P1Q1.host <<'EOF'
Subject: <script>alert("1")</script>
From: "><img src=x onerror=alert(1)> <a@example.com>
X-<b>: 1
To: =?utf-8?B?PHNjcmlwdD4x?=
Content-Type: multipart/mixed; boundary=b

--b

</pre><script>2</script>
--b
Content-Disposition: attachment; filename="\"><script>3.txt"

x
--b--
EOF
	api GET /captured "${page[@]}"
	answer 200
	! grep -qi '<script\|<img' body.txt
	api GET /captured/2.M1P1Q1.host "${page[@]}"
	answer 200
	! grep -qi '<script\|<img\|<b>' body.txt
	assert_match "$body" '&lt;script&gt;2&lt;/script&gt;'
	assert_match "$head" "Content-Security-Policy: default-src 'none'; style-src 'self'"
	api GET /captured/2.M1P1Q1.host
	assert_equal "$(json 'a["message"]["to"]')" '<script>1'
}

@test "damaged and strange messages are shown as far as they go" {
	start_serve s port
	: | put new/1.M1P1Q1.empty
	head -c 100000 /dev/urandom | put new/1.M1P1Q1.noise
	{ printf 'Content-Type: multipart/mixed; boundary=b\n\n'; yes -- '--b' | head -n 20000; } | put new/1.M1P1Q1.parts
	{ printf 'Subject: '; head -c 3000000 /dev/zero | tr '\0' x; printf '\n\nbody'; } | put new/1.M1P1Q1.long
	for i in $(seq 200); do
		printf 'Content-Type: multipart/mixed; boundary=b%s\n\n--b%s\n' "$i" "$i"
	done | put new/1.M1P1Q1.deep
	{ printf 'Content-Type: text/plain; charset=utf-16\n\n'; head -c 100001 /dev/urandom; } | put cur/1.M1P1Q1.utf16:2,S
	printf 'Subject: a\0b\n\nx\0y' | put new/1.M1P1Q1.nul
	ln -s /etc/passwd "$MAILQ_SPOOL/captured/new/1.M1P1Q1.link"
	for path in /captured $(printf '/captured/1.M1P1Q1.%s ' empty noise parts long deep utf16 nul); do
		api GET "$path"
		answer 200
		/usr/bin/python3 -c 'import json; json.load(open("body.txt", encoding="utf-8"))'
		api GET "$path" "${page[@]}"
		answer 200
	done
	api GET /captured/1.M1P1Q1.parts
	assert_equal "$(json 'len(a["message"]["attachments"])')" 499
	api GET /captured/1.M1P1Q1.nul
	assert_equal "$(json 'a["message"]["text"]')" xy
	api GET /captured/1.M1P1Q1.link
	answer 404
}

@test "only what is there is found" {
	start_serve s port
	for id in none 1.M1P1Q1 . .. %2e%2e ..%2fx a%3ab %D0%9F; do
		curl -sS --path-as-is -o body.txt -w '%{http_code}' "$URL/captured/$id" >code.txt
		assert_match "$(cat code.txt)" '^404$'
	done
	put new/1.M1P1Q1.host <<<$'Subject: x\n\ny'
	api GET /captured/1.M1P1Q1.host/html
	answer 404 'no HTML'
	for part in 2 x -1 99999999999999999999; do
		api GET "/captured/1.M1P1Q1.host/parts/$part"
		answer 404 'no such part'
	done
	api GET /captured/1.M1P1Q1.host/parts/1
	assert_equal "$body" y
}

@test "the Maildirs of all accounts that capture are looked at, and those of no others" {
	configure '' "accounts: ( { id = \"one\"; transport = \"capture\"; maildir = \"$PWD/one\"; },
		{ id = \"two\"; transport = \"capture\"; maildir = \"$PWD/two\"; },
		{ id = \"smtp\"; host = \"127.0.0.1\"; port = 1; } );"
	start_serve s port
	send --subject first --body B --account one
	send --subject second --body B --account two
	api GET /captured
	assert_equal "$(json '[(c["subject"], c["account_id"]) for c in a["captured"]]')" '[["second","two"],["first","one"]]'
}

@test "captured mail is for those who may read" {
	configure '' 'server: { tokens = ( { name = "s"; token = "s"; scopes = ( "send" ); },
		{ name = "r"; token = "r"; scopes = ( "read" ); } ); };'
	start_serve s port
	put new/1.M1P1Q1.host <<<$'Subject: x\n\ny'
	for path in /captured /captured/1.M1P1Q1.host /captured/1.M1P1Q1.host/parts/0 /captured/1.M1P1Q1.host/html; do
		api GET $path
		answer 401
		api GET $path -H 'X-API-Token: s'
		answer 403
	done
	api GET /captured/1.M1P1Q1.host -H 'X-API-Token: r'
	answer 200
}

@test "a browser shows the page, and nothing in the mail runs or is fetched" {
	command -v chromium >/dev/null || skip 'there is no chromium'
	start_serve s port
	put new/1.M1P1Q1.host <<EOF
Subject: In the browser
Content-Type: text/html; charset=utf-8

<p id=shown>Shown</p><img src="$URL/health?image"><script src="$URL/health?script"></script>
<link rel=stylesheet href="$URL/health?style"><form action="$URL/health?form"></form>
<script>fetch("$URL/health?fetch")</script><meta http-equiv=refresh content="0;url=$URL/health?refresh">
EOF
	run -0 chromium --headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync \
		--disable-component-update --no-first-run --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' \
		--user-data-dir="$BATS_TEST_TMPDIR/chromium" --virtual-time-budget=5000 \
		--screenshot="$BATS_TEST_TMPDIR/page.png" "$URL/captured/1.M1P1Q1.host"
	grep -q 'GET /captured/1.M1P1Q1.host/html 200' s.log
	grep -q 'GET /assets/page.css 200' s.log
	! grep -q 'GET /health' s.log
	[ -s page.png ]
}

@test "a browser is asked for the token as a password, on these pages alone" {
	command -v chromium >/dev/null || skip 'there is no chromium'
	configure '' 'server: { api_token = "se:cret ü"; tokens = ( { name = "s"; token = "s"; scopes = ( "send" ); } ); };'
	start_serve s port
	put new/1.M1P1Q1.host <<EOF
Subject: Behind a password
Content-Type: text/html; charset=utf-8

<p>Shown</p>
EOF
	local html='Accept: text/html,application/xhtml+xml,*/*;q=0.8' path
	for path in /captured /captured/1.M1P1Q1.host /captured/1.M1P1Q1.host/html /captured/1.M1P1Q1.host/parts/0; do
		api GET $path -H "$html"
		answer 401
		assert_match "$head" $'\nWWW-Authenticate: Basic realm="[^"]*API token[^"]*", charset="UTF-8"'
		api GET $path -H "$html" -u 'anyone:se:cret ü'
		answer 200
		# A program needs no accept, and may use it, too.
		api GET $path -u ':se:cret ü'
		answer 200
		for wrong in 'anyone:secret' 'se:cret ü:' 'x:' 's:x'; do
			api GET $path -u "$wrong"
			answer 401
		done
		api GET $path -u 'x:s'
		answer 403
		for header in 'Basic' 'Basic !' 'Basic eDp5AHo=' 'Bearer s' 'Basic eA=='; do
			api GET $path -H "Authorization: $header"
			answer 401
		done
	done
	# Only our own field counts where both are there.
	api GET /captured -u 'x:se:cret ü' -H 'X-API-Token: wrong'
	answer 401
	api GET /captured
	assert_match "$head" $'\nWWW-Authenticate: ApiKey '
	for path in /messages /status /metrics /commands/rules; do
		api GET $path -H "$html" -u 'anyone:se:cret ü'
		answer 401
		assert_match "$head" $'\nWWW-Authenticate: ApiKey '
	done
	api POST /commands/suspend -u 'anyone:se:cret ü'
	answer 401
	grep -q ' api_token GET /captured 200 ' s.log
	! grep -q 'se:cret' s.log
	# The name and the password in the address are what a user would type into the browser's window.
	run -0 chromium --headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync \
		--disable-component-update --no-first-run --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' \
		--user-data-dir="$BATS_TEST_TMPDIR/chromium" --virtual-time-budget=5000 --dump-dom \
		"http://me:se%3Acret%20%C3%BC@127.0.0.1:$port/captured/1.M1P1Q1.host"
	assert_match "$output" 'Behind a password'
	grep -q ' api_token GET /captured/1.M1P1Q1.host/html 200' s.log
}
