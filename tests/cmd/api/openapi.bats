# The API's description, held against the routes and the answers; and the pages that are drawn from it.
# runs long

load ../../helpers/common
load ../../helpers/serve

setup() {
	serve_setup
	document=$MAILQ_BUILD/share/mailq/openapi.json
	routes=$MAILQ_BUILD/tests/tools/routes
}
teardown() { common_teardown; }

check() { # ACTION ARGUMENT...
	run /usr/bin/python3 "$MAILQ_TOP/tests/helpers/openapi.py" "$document" "$@"
	[ "$status" -eq 0 ] || fail "$output"
	echo "$output"
}

@test "the routes and the document are the same" {
	"$routes" >table
	check routes <table
	assert_match "$output" '^[0-9]{2} answers'
}

@test "a route that is missing on either side is found" {
	"$routes" | sed 1d >table
	run /usr/bin/python3 "$MAILQ_TOP/tests/helpers/openapi.py" "$document" routes <table
	assert_status 1
	assert_match "$output" 'documented, and no route'
	{ "$routes"; echo 'GET /new new read'; } >table
	run /usr/bin/python3 "$MAILQ_TOP/tests/helpers/openapi.py" "$document" routes <table
	assert_status 1
	assert_match "$output" 'GET /new: a route that is not documented'
}

@test "every example works as it stands, and gets the answer that is documented" {
	start_serve s port
	curl -fsS "$URL/api/v1/send_email/" -F emails=a@example.org -F subject=S -F 'body=HTML'
	mailq-run
	check examples "127.0.0.1:$port"
}

@test "every refusal that is documented can be provoked, and looks as documented" {
	local scope tokens=

	for scope in send read admin; do
		tokens+="{ name = \"$scope\"; token = \"$scope\"; scopes = ( \"$scope\" ); }, "
	done
	configure '' "server: { max_body = \"64 KiB\"; tokens = ( ${tokens%, } ); };"
	start_serve s port
	"$routes" >table
	check refused "127.0.0.1:$port" table
}

@test "without room on the disk, what would be stored is 503" {
	configure '' 'queue: { min_free_space = "1000 TiB"; };'
	start_serve s port
	check full "127.0.0.1:$port"
	assert_match "$output" '^6 answers'
}

@test "what is malformed is 400, and what is broken is 500, as the document says of all others" {
	configure '' 'server: { api_token = "t"; };'
	start_serve s port
	check malformed "127.0.0.1:$port"
	assert_match "$output" '^[0-9]{2} answers'
	stop_server s
	configure
	mkdir "$MAILQ_SPOOL/rules"
	start_serve s port
	check broken "127.0.0.1:$port"
	assert_match "$output" '^2 answers'
	# Who runs it is told more.
	grep -q 'rules' s.log
}

@test "health needs no token, status does; the metrics are those of mailq-status, and the server's own" {
	configure '' 'server: { api_token = "t"; };'
	start_serve s port
	api GET /health
	assert_equal "$body" '{"status":"ok"}'
	api GET /status
	answer 401
	api GET /status -H 'X-API-Token: t'
	assert_equal "$body" '{"ok":true,"active":true}'
	mailq-rules suspend
	api GET /status -H 'X-API-Token: t'
	assert_equal "$body" '{"ok":true,"active":false}'
	mailq-rules activate
	mailq-add -q --from a@b.example --to c@d.example --subject S --body B </dev/null
	mailq-run -q
	api GET /metrics -H 'X-API-Token: t'
	answer 200
	assert_match "$head" 'Content-Type: text/plain; version=0.0.4'
	grep -qxF 'asyncmail_sent_total{account_id="default"} 1' body.txt
	grep -qx 'mailq_serve_requests_total [1-9]' body.txt
	# But for those that change from one look to the next.
	diff <(mailq-status metrics | sed -E 's/ [0-9.e+]+$//') <(sed '/mailq_serve_/d' body.txt | sed -E 's/ [0-9.e+]+$//')
	run -0 promtool check metrics <body.txt
	assert_equal "$output" ''
}

# missing WHAT: no reason to look away on a machine that tests all there is, and has npm
missing() {
	if [ -n "${CI:-}" ] && command -v npm >/dev/null; then
		fail "$1; and npm is there"
		return 1
	fi
	skip "$1"
}

@test "the linters have nothing to say" {
	local linters=$MAILQ_BUILD/linters/node_modules/.bin

	[ -x "$linters/redocly" ] || missing "the linters are not installed: make deps-test installs them with npm"
	run "$linters/redocly" lint --config "$MAILQ_TOP/tests/helpers/redocly.yaml" "$document"
	[ "$status" -eq 0 ] || fail "$output"
	[[ $output != *warning* || $output == *'Deprecation warning'* ]] || fail "$output"
	run "$linters/spectral" lint --fail-severity=hint -r "$MAILQ_TOP/tests/helpers/spectral.yaml" "$document"
	[ "$status" -eq 0 ] || fail "$output"
}

# page PATH: what a browser makes of it, in dom; it reaches this machine only
page() {
	chromium --headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync \
		--disable-component-update --no-first-run --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' \
		--user-data-dir="$BATS_TEST_TMPDIR/chromium" --virtual-time-budget=20000 --dump-dom \
		"http://127.0.0.1:$port$1" >dom 2>chromium.log
}

@test "Swagger UI and ReDoc are drawn from what the server holds" {
	[ -d "$MAILQ_BUILD/share/mailq/swagger-ui" ] || missing "swagger-ui and redoc are not there: make deps-docs fetches them"
	start_serve s port
	for path in /docs /api/openapi; do
		page $path
		grep -q 'opblock-summary-path' dom
		grep -q '/commands/​add-messages\|data-path="/commands/add-messages"' dom
	done
	page /redoc
	grep -q 'Add messages to the queue' dom
	grep -q 'Later form of the first service' dom
	# All that the pages asked for was there, and each part of them was asked for.
	! grep -E ' (GET|POST) [^ ]* [45][0-9][0-9] ' s.log
	for asset in swagger-ui.css swagger-ui-bundle.js swagger.js redoc.standalone.js redoc.js; do
		grep -q "GET /assets/$asset 200" s.log
	done
	# Their policy lets nothing else in.
	for path in /docs /redoc; do
		curl -fsS -o page.html -D head "http://127.0.0.1:$port$path"
		grep -qi "^content-security-policy: default-src 'none'; script-src 'self';" head
		! grep -qE '(src|href)="?https?:' page.html
	done
}

@test "where their files are not installed, the pages say how to get them, and the API works" {
	mkdir -p bin
	cp "$MAILQ_BUILD/bin/mailq-serve" bin/
	PATH=$PWD/bin:$PATH
	start_serve s port
	for path in /docs /api/openapi /redoc; do
		[ ! -e /usr/local/share/mailq ] || skip 'mailq is installed on this machine'
		run -0 curl -fsS "http://127.0.0.1:$port$path"
		assert_match "$output" 'make deps-docs'
	done
	run curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/openapi.json"
	assert_equal "$output" 404
	run -0 curl -fsS "http://127.0.0.1:$port/health"
	assert_equal "$output" '{"status":"ok"}'
}
