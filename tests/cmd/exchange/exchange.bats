# The exchange with the application: reports out, messages in, and an application that misbehaves.
# runs long

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/application
load ../../helpers/certificates
setup() {
	delivery_setup
	SYNC='timeout = "2s";'
}
teardown() { common_teardown; }

# ---- reports -----------------------------------------------------------------------------------

@test "each outcome is told, under the names that both published clients read" {
	start_application app port
	start_script server smtp 'rcpt#2=550 5.1.1 no such user' 'rcpt#3=451 4.2.0 not now' 'rcpt#4=550 5.1.1 no'
	sync_to "$port" '' "$(relay main "$smtp" 'connections = 1;')"
	add --id good
	add --id bad --to bad@example.org
	add --id later --to later@example.org
	add --id both --to bad@example.org --to good@example.org
	before=$(date +%s)
	run_mailq
	summary 'sent 1, deferred 1, failed 2, reported 4'
	assert_equal "$(heard app | sort)" 'bad error
both error
good sent
later deferred'
	assert_equal "$(requests app 'h["content-type"]')" application/json
	assert_equal "$(requests app 'h.get("authorization", "none")')" none
	report app 'r["id"] != "good" or (sorted(r) == ["account_id", "attempts", "id", "sent_ts", "smtp_code",
		"smtp_reply", "status", "ts_send"] and r["account_id"] == "main" and r["attempts"] == 1
		and r["smtp_code"] == 250 and r["sent_ts"] >= '"$before"' and len(r["ts_send"]) == 20)' >checks
	report app 'r["id"] != "bad" or (r["smtp_code"], r["smtp_reply"]) == (550, "5.1.1 no such user")
		and "no such user" in r["error"] and r["error_ts"] >= '"$before"' and r["ts_error"][-1] == "Z"' >>checks
	report app 'r["id"] != "later" or r["deferred_until"] > r["deferred_ts"] >= '"$before"'
		and "not now" in r["error"] and r["error"] == r["deferred_reason"]' >>checks
	report app 'r["id"] != "both" or [(x["address"], x["status"]) for x in r["recipients"]]
		== [("bad@example.org", "error"), ("good@example.org", "sent")]' >>checks
	assert_equal "$(sort checks | uniq -c | tr -s ' ')" ' 16 true'
	# Heard is heard: the next cycle has nothing to tell.
	run_mailq
	assert_equal "$(requests app | tr '\n' ' ')" '4 0 '
	assert_equal "$(heard app | wc -l)" 4
}

@test "what may have been delivered is told as what it is" {
	start_application app port
	start_script server smtp 'dot=cut'
	for policy in retry hold fail; do
		sync_to "$port" '' "$(relay main "$smtp" "uncertain = \"$policy\";")"
		add --id "$policy"
		run_mailq --id "$policy"
		mailq-status delete "$policy" >/dev/null
	done
	assert_equal "$(requests app)" ''
	run_mailq
	assert_equal "$(report app '[r["id"], r["status"], "deferred_until" in r, "may have been" in r["error"]] if "uncertain" in r
		else "certain"' | grep -v '^certain$')" \
		'["retry", "deferred", true, true]
["hold", "deferred", false, true]
["fail", "error", false, true]'
}

@test "in batches, oldest first, on one connection; and in memory that does not grow" {
	start_application app port
	sync_to "$port" 'batch_size = 50;'
	add_ids m 1020
	mailq-run --no-sync >/dev/null
	assert_equal "$(requests app)" ''
	run_mailq
	summary 'sent 0, deferred 0, failed 0, reported 1020'
	assert_equal "$(requests app | sort -n | uniq -c | tr -s ' ')" ' 1 20
 20 50'
	assert_equal "$(wc -l <app/accepts)" 1
	# In the order in which they happened: by their times, and at the same one as they stand in the log.
	report app 'r["id"]' >told
	cat "$MAILQ_SPOOL"/log/*.log | sort -s -t'"' -k4,4 | sed -n 's/.*"event":"sent","id":"\([^"]*\)".*/\1/p' >happened
	diff happened told
}

@test "an empty list is posted once a cycle, if at all" {
	start_application app port
	sync_to "$port"
	run_mailq
	run_mailq
	assert_equal "$(requests app | tr '\n' ' ')" '0 0 '
	add --id A
	run_mailq
	assert_equal "$(requests app | tail -n +3)" 1
	sync_to "$port" 'when_idle = false;'
	run_mailq
	assert_equal "$(requests app | wc -l)" 3
	# Not before the application wants it; what there is to tell is told.
	sync_to "$port"
	answers app sync "answer 200 {\"ok\":true,\"next_sync_after\":$(($(date +%s) + 3600))}" ok
	run_mailq
	run_mailq
	assert_equal "$(requests app | wc -l)" 4
	add --id B
	run_mailq
	assert_equal "$(requests app | tail -n +5)" 1
	# Its last answer asks for no more peace.
	run_mailq
	assert_equal "$(requests app | wc -l)" 6
}

@test "--no-sync, --id and --dry-run tell nothing; --account does" {
	start_application app port
	sync_to "$port"
	add --id A
	add --id B
	run_mailq --dry-run
	run_mailq --id A
	run_mailq --no-sync
	assert_equal "$(requests app)" ''
	run_mailq --account capture
	assert_equal "$(heard app)" 'A sent
B sent'
}

# Which answers acknowledge, and which do not: what the application says, and what reports/state is to say of it.
@test "an answer that is not good acknowledges nothing, and puts the next call off" {
	start_application app port
	SYNC='timeout = "1s"; retention = "1d";'
	sync_to "$port"
	cat >rows <<-'END'
		deny 500 {"ok":true}|answered 500
		deny 404 nothing here|answered 404: nothing here
		deny 401 {}|answered 401
		deny 429 {}|answered 429
		deny 200 {"ok":false,"error":"database is down"}|not ok: database is down
		deny 200 {"ok":false,"rejected":["x"]}|not ok
		deny 200 {"status":"error","message":"busy"}|status "error": busy
		deny 200 {"ok":"false","detail":"later"}|not ok: later
		deny 200 <b>Warning</b> in x {"ok":false}|not ok
		redirect 301 /elsewhere|a redirection to http://127.0.0.1:PORT/elsewhere, not followed: only 307 and 308
		redirect 302 /elsewhere|only 307 and 308
		redirect 303 http://127.0.0.1:PORT/elsewhere|only 307 and 308
		redirect 307 http://localhost:PORT/elsewhere|to http://localhost:PORT/elsewhere, not followed: that is another scheme, host or port
		redirect 308 https://127.0.0.1:PORT/elsewhere|another scheme, host or port
		redirect 308 http://127.0.0.1:9/elsewhere?key=s3cret|to http://127.0.0.1:9/elsewhere, not followed
		redirect 307 /sync|redirected more than 5 times
		close|
		hang|
		drip|
	END
	n=0
	while IFS='|' read -r word why; do
		n=$((n + 1))
		answers app sync "${word//PORT/$port}"
		add --id "m$n" >/dev/null
		run_mailq
		summary 'sent 1, deferred 0, failed 0' || fail "at: $word"
		assert_match "$stderr" '[0-9]+ reports? not acknowledged; next call in' || fail "at: $word"
		assert_equal "$(the_state state failures)" 1 "failures at: $word"
		[[ $(the_state state reason) == *"${why//PORT/$port}"* ]] || fail "at: $word: $(the_state state reason)"
		# In the next cycle it is left alone, and nothing is said.
		before=$(requests app | wc -l)
		run_mailq
		assert_equal "$stderr" ''
		assert_equal "$(requests app | wc -l)" "$before" "requests at: $word"
		forget_failures
	done <rows
	assert_equal "$(heard app)" ''
	assert_equal "$(requests app 'r["path"]' | sort -u)" /sync
	answers app sync heard
	run_mailq
	summary "sent 0, deferred 0, failed 0, reported $n"
	assert_equal "$(heard app)" "$(for ((i = 1; i <= n; i++)); do echo "m$i sent"; done)"
}

@test "any 2xx acknowledges what its body does not name" {
	start_application app port
	sync_to "$port"
	cat >rows <<-'END'
		answer 200 {"sent":1,"error":1,"deferred":0}
		answer 200 {"ok":true,"rejected":1,"error":"1","not_found":null}
		answer 200 <html><body>saved</body></html>
		answer 200 OK
		answer 200 
		answer 201 
		answer 202 {"queued":"0"}
		answer 204 
		answer 200 []
		answer 200 null
		answer 200 {"ok":"true"}
		answer 200 {"ok":1}
		answer 200 {"ok":true
		answer 200 {"ok":true,"ok":true}
		answer 200 <b>Warning</b> in x {"ok":true}
		truncated
		oversized
		endless
		follow 307 /there
		follow 308 http://127.0.0.1:PORT/sync/
	END
	n=0
	while read -r word; do
		n=$((n + 1))
		answers app sync "${word//PORT/$port}"
		add --id "m$n" >/dev/null
		run_mailq
		summary 'sent 1, deferred 0, failed 0, reported 1' || fail "at: $word"
		assert_equal "$stderr" '' "stderr at: $word"
		assert_equal "$(the_state state failures)" 0 "failures at: $word"
	done <rows
	answers app sync ok
	run_mailq
	assert_equal "$(heard app)" "$(for ((i = 1; i <= n; i++)); do echo "m$i sent"; done)"
	# An error in words is not lost.
	answers app sync 'answer 200 {"error":"no such table"}'
	run_mailq
	assert_match "$stderr" 'it acknowledges, and says: no such table'
	# What broke off counts as far as it goes.
	answers app sync 'reject-truncated A' ok
	add --id A
	add --id B
	run_mailq
	summary 'sent 2, deferred 0, failed 0, reported 1'
	run_mailq
	assert_equal "$(heard app | tail -n 2)" 'B sent
A sent'
}

@test "a redirection to another path is followed with method, body, credentials and signature" {
	start_application app port
	sync_to "$port" "user = \"me\"; password = \"pw\"; secret = \"whsec_$(head -c 32 /dev/zero | base64 -w 0)\";"
	add --id A
	answers app sync 'follow 308 /there' ok
	run_mailq
	assert_equal "$(heard app)" 'A sent'
	assert_equal "$(requests app '[r["method"], r["path"], r["count"], h["content-type"], h["authorization"]]')" \
		"[\"POST\", \"/sync\", 1, \"application/json\", \"Basic $(printf me:pw | base64)\"]
[\"POST\", \"/there\", 1, \"application/json\", \"Basic $(printf me:pw | base64)\"]"
	assert_equal "$(requests app '[h["webhook-id"], h["webhook-timestamp"], h["webhook-signature"], r["body"]]' | sort -u | wc -l)" 1
	# So are messages.
	fetch_from "$port"
	echo "{\"messages\":[$(message B)]}" >batch
	answers app fetch 'redirect 307 /mail/other' "file $PWD/batch"
	run_mailq
	summary 'sent 1, deferred 0, failed 0, reported 1, fetched 1'
}

@test "--now calls whatever failed a moment ago; failures follow each other less and less often" {
	start_application app port
	sync_to "$port"
	answers app sync 'deny 500 no'
	add --id A
	for n in 1 2 3; do
		now=$(date +%s)
		run_mailq --now
		assert_equal "$(the_state state failures)" "$n"
		pause=$(the_state state until)
		pause=$((${pause%.*} - now))
		[ "$pause" -ge $((5 << (n - 1))) ] && [ "$pause" -le $(((6 << (n - 1)) + 3)) ] || fail "after $n: $pause s"
	done
	answers app sync ok
	run_mailq --now
	summary 'sent 0, deferred 0, failed 0, reported 1'
	assert_equal "$(the_state state failures)" 0
}

@test "an application that is not there, or hangs, holds up no mail" {
	free_port port
	sync_to "$port"
	add --id A
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_match "$stderr" '1 report not acknowledged'
	forget_failures
	start_application app port "$port"
	answers app sync hang
	SYNC='timeout = "30s";'
	sync_to "$port"
	start_server run mailq-run
	wait_for file_lines app/requests 1
	# The call is under way; what comes in now goes out now.
	add --id B
	captured() { grep -q '"sent","id":"B"' "$MAILQ_SPOOL"/cur/*/journal; }
	wait_for captured
	not_running "$(server_pid run)" && fail 'it did not wait for the application'
	# SIGTERM ends the call.
	kill -TERM "$(server_pid run)"
	wait_gone "$(server_pid run)" 10
	assert_equal "$(cat run.log)" 'sent 1, deferred 0, failed 0'
	# That is no failure of the application.
	assert_equal "$(the_state state failures)" ''
	answers app sync ok
	run_mailq
	assert_equal "$(heard app)" 'A sent
B sent'
}

@test "rejected reports are told again once a cycle, then set aside, and sent again on demand" {
	start_application app port
	sync_to "$port" 'max_attempts = 3;'
	add_ids m 5
	answers app sync 'reject rejected m-2' 'reject error m-2' 'reject not_found m-2'
	run_mailq
	summary 'sent 5, deferred 0, failed 0, reported 4'
	run_mailq
	summary ''
	run_mailq
	summary ''
	assert_equal "$(requests app | tr '\n' ' ')" '5 1 1 '
	answers app sync ok
	run_mailq
	assert_equal "$(requests app | tail -n 1)" 0
	assert_equal "$(heard app | grep -c m-2)" 0
	assert_match "$(mailq-status)" '1 set aside'
	run_mailq --resend-reports
	assert_equal "$output" '1 reports that were set aside are sent again
sent 0, deferred 0, failed 0, reported 1'
	assert_equal "$(heard app | grep -c m-2)" 1
	run_mailq --resend-reports --json
	assert_equal "$(value resent <<<"$output")" 0
	run -64 mailq-run --resend-reports --id A
}

@test "rejections may be objects or numbers; ids that were not sent are named and passed over" {
	start_application app port
	sync_to "$port"
	add --id 17
	add --id A
	add --id B
	answers app sync 'answer 200 {"ok":true,"rejected":[{"id":"A","reason":"x"}],"error":[17,"who"],"not_found":[null]}'
	run_mailq
	summary 'sent 3, deferred 0, failed 0, reported 1'
	assert_match "$stderr" '"who", which was not reported'
	answers app sync ok
	run_mailq
	assert_equal "$(requests app | tr '\n' ' ')" '3 2 '
}

@test "what happened is told in order for each message, also behind a rejection" {
	start_application app port
	start_script server smtp 'rcpt=450 4.0.0 later'
	sync_to "$port" '' "$(relay main "$smtp" 'retry = [ "1s" ]; max_attempts = 3;')"
	add --id A
	answers app sync 'reject rejected A' 'reject rejected A' ok
	over() { mailq-run >/dev/null && [ -n "$(history_of failed A)" ]; }
	wait_for over
	run_mailq
	run_mailq
	assert_equal "$(heard app)" 'A deferred
A deferred
A error'
}

@test "an application that has messages is asked again at once, ten times at the most" {
	start_application app port
	fetch_from "$port"
	answers app sync 'answer 200 {"ok":true,"queued":2}' 'answer 200 {"ok":true,"more_messages":true}' ok
	run_mailq
	assert_equal "$(requests app 'r["method"]' | tr '\n' ' ')" 'GET POST GET POST GET POST '
	answers app sync 'answer 200 {"ok":true,"queued":1}'
	rm app/requests
	run_mailq
	assert_equal "$(requests app 'r["method"]' | sort | uniq -c | tr -s ' \n' ' ')" ' 11 GET 11 POST '
	# Asked again, it hands a message out: that is delivered and told in the same cycle.
	echo "{\"messages\":[$(message late)]}" >late
	answers app fetch ok "file $PWD/late" ok
	answers app sync 'answer 200 {"ok":true,"queued":1}' ok
	rm app/requests
	run_mailq
	summary 'sent 1, deferred 0, failed 0, reported 1, fetched 1'
	assert_equal "$(heard app)" 'late sent'
	# The bound does not make it deaf to signals.
	answers app sync 'answer 200 {"ok":true,"queued":1}'
	answers app fetch hang
	start_server run mailq-run
	hanging() { [ "$(requests app 'r["method"]' | tail -n 1)" = GET ]; }
	wait_for hanging
	stop_server run
}

@test "what the application hands in when it hears of the last leaves in the same cycle" {
	start_application app port
	sync_to "$port"
	cat >more <<-'END'
		#!/bin/sh
		n=$(cat n 2>/dev/null || echo 0)
		echo $((n + 1)) >n
		exec mailq-add -q --id "late-$n" --from from@example.com --to to@example.org --subject s --body b
	END
	chmod +x more
	add --id first
	answers app sync "exec $PWD/more" "exec $PWD/more" ok
	run_mailq
	summary 'sent 3, deferred 0, failed 0, reported 3'
	assert_equal "$(heard app)" 'first sent
late-0 sent
late-1 sent'
	# One that always has more is heard again in the next cycle.
	answers app sync "exec $PWD/more"
	run_mailq
	assert_equal "$stderr" ''
	[ "$(cat n)" -ge 5 ] && [ "$(cat n)" -le 30 ] || fail "$(cat n) rounds"
}

@test "credentials: basic, a token, from files; none in a URL" {
	start_application app port
	sync_to "$port" 'user = "me"; password = "sécret";'
	run_mailq
	assert_equal "$(requests app 'h["authorization"]' | tail -n 1)" "Basic $(printf 'me:sécret' | base64)"
	echo 'from a file' >pw
	sync_to "$port" "user = \"me\"; password_file = \"$PWD/pw\";"
	run_mailq
	assert_equal "$(requests app 'h["authorization"]' | tail -n 1)" "Basic $(printf 'me:from a file' | base64)"
	sync_to "$port" 'user = "me"; password = "p"; token = "T0K";'
	run_mailq
	assert_equal "$(requests app 'h["authorization"]' | tail -n 1)" 'Bearer T0K'
	printf 'TFILE\r\nmore\n' >token
	sync_to "$port" "token_file = \"$PWD/token\";"
	run_mailq
	assert_equal "$(requests app 'h["authorization"]' | tail -n 1)" 'Bearer TFILE'
	sync_to "$port" "token_file = \"$PWD/none\";"
	add --id A
	run_mailq
	assert_match "$stderr" "sync.token_file: $PWD/none: No such file"
	exchange 'sync: { url = "http://me:p4ss@127.0.0.1/"; };'
	run -78 --separate-stderr mailq-run
	assert_match "$stderr" 'sync.url: expected a URL without user and password: they have settings of their own'
	[[ $stderr != *p4ss* ]]
	exchange 'fetch: { url = "ftp://127.0.0.1/"; };'
	run -78 --separate-stderr mailq-run
	assert_match "$stderr" 'fetch.url: expected a URL that begins with http'
}

@test "by TLS only to whom the certificate names" {
	make_certificates cert
	start_application app port 0 cert/server.pem cert/server.key
	start_application stranger strange 0 cert/stranger.pem cert/stranger.key
	add --id A
	exchange "sync: { url = \"https://localhost:$port/\"; };"
	run_mailq
	assert_match "$stderr" 'certificate'
	for there in "localhost:$strange" "127.0.0.1:$strange"; do
		exchange "sync: { url = \"https://$there/\"; ca_file = \"$PWD/cert/ca.pem\"; user = \"u\"; password = \"p\"; };"
		run_mailq --now
		assert_match "$stderr" 'certificate'
	done
	exchange "sync: { url = \"https://localhost:$port/\"; ca_file = \"$PWD/cert/none.pem\"; };"
	run_mailq --now
	assert_equal "$(requests app)$(requests stranger)" ''
	exchange "sync: { url = \"https://localhost:$port/\"; ca_file = \"$PWD/cert/ca.pem\"; };"
	run_mailq --now
	assert_equal "$(heard app)" 'A sent'
}

# ---- signatures ------------------------------------------------------------------------------------

# verified SECRET: the last request of app, as npm's standardwebhooks sees it
verified() {
	(cd app && NODE_PATH=$WEBHOOKS/node_modules node -e '
const fs = require("fs"), { Webhook } = require("standardwebhooks");
const last = fs.readFileSync("requests", "utf8").trim().split("\n").pop(), r = JSON.parse(last);
try {
	new Webhook(process.argv[1]).verify(r.body, r.headers);
	console.log("good");
} catch (e) {
	console.log(e.message);
}' "$1")
}

@test "signed requests are verified by npm's standardwebhooks" {
	WEBHOOKS=$MAILQ_BUILD/linters
	[ -d "$WEBHOOKS/node_modules/standardwebhooks" ] ||
		skip "standardwebhooks is not there: make deps-test installs it with npm"
	old=whsec_$(head -c 24 /dev/urandom | base64 -w 0)
	new=whsec_$(head -c 64 /dev/urandom | base64 -w 0)
	start_application app port
	sync_to "$port" "secret = \"$old\";"
	add --id 'Ünïcode "id"' --subject 'sign "this"'
	run_mailq
	assert_equal "$(verified "$old")" good
	assert_match "$(verified "$new")" 'No matching signature'
	# While one secret takes the place of the other, both are good.
	for setting in "secret = [ \"$new\", \"$old\" ];" "secret_file = \"$PWD/secrets\";"; do
		printf '%s\n%s\n' "$new" "$old" >secrets
		sync_to "$port" "$setting"
		run_mailq
		assert_equal "$(verified "$old") $(verified "$new")" 'good good'
	done
	# A body that was changed is not.
	sed -i '$ s/\\"reports\\"/\\"Reports\\"/' app/requests
	assert_match "$(verified "$new")" 'No matching signature'
	for bad in "secret = \"hello\";" "secret = \"whsec_aGVsbG8=\";" "secret = [ \"$new\", \"$old\", \"$old\" ];"; do
		sync_to "$port" "$bad"
		run -78 --separate-stderr mailq-run
		assert_match "$stderr" 'sync.secret: expected'
		[[ $stderr != *aGVsbG8* ]]
	done
}

@test "a request that is made again has the id it had; one with what was rejected has not" {
	start_application app port
	sync_to "$port" "secret = \"whsec_$(head -c 32 /dev/zero | base64 -w 0)\";"
	add --id A
	answers app sync 'deny 500 no' 'reject rejected A' ok
	run_mailq
	run_mailq --now
	run_mailq
	run_mailq
	run_mailq
	requests app 'h["webhook-id"]' >ids
	assert_equal "$(wc -l <ids)" 5
	assert_equal "$(sed -n 1p ids)" "$(sed -n 2p ids)"
	# The rejected one told again; two empty ones.
	assert_equal "$(sort -u ids | wc -l)" 4
}

# ---- fetching ------------------------------------------------------------------------------------

@test "messages are fetched, delivered and told of in one cycle; known ones are queued once" {
	start_application app port
	fetch_from "$port" 'user = "other"; password = "pw";'
	echo "{\"messages\":[$(message A),$(message B '"from":"app@example.com"'),$(message A)]}" >batch
	answers app fetch "file $PWD/batch"
	run_mailq
	summary 'sent 2, deferred 0, failed 0, reported 2, fetched 2'
	assert_equal "$stderr" ''
	run_mailq
	summary ''
	assert_equal "$(requests app 'r["path"]' | sort -u)" '/mail/fetch-messages
/sync'
	assert_equal "$(requests app '[r["method"], h.get("authorization", "none")]' | sort -u)" \
		"[\"GET\", \"Basic $(printf other:pw | base64)\"]
[\"POST\", \"none\"]"
	run_mailq --no-fetch
	assert_equal "$(requests app 'r["method"]' | tail -n 2 | tr '\n' ' ')" 'POST POST '
	# The record says where it came from.
	add_later=$(message later '"deferred_ts":4000000000')
	echo "{\"messages\":[$add_later]}" >batch
	run_mailq
	assert_match "$(mailq-status show later)" "fetch http://127.0.0.1:$port/mail"
}

@test "sync's credentials serve for fetching too; a query stays behind the path" {
	start_application app port
	exchange "sync: { url = \"http://127.0.0.1:$port/s\"; token = \"T\"; };
		fetch: { url = \"http://127.0.0.1:$port/a//?key=s3cret\"; };"
	echo "{\"messages\":[$(message later '"deferred_ts":4000000000')]}" >batch
	answers app fetch "file $PWD/batch"
	run_mailq
	assert_equal "$(requests app '[r["path"], h["authorization"]]')" '["/a/fetch-messages?key=s3cret", "Bearer T"]
["/s", "Bearer T"]'
	! grep -r s3cret "$MAILQ_SPOOL"
}

@test "a bad message that is handed out again and again is recorded once, until it was told" {
	start_application app port
	fetch_from "$port"
	echo '{"messages":[{"id":"noto","subject":"s","body":"b"}]}' >batch
	answers app fetch "file $PWD/batch"
	answers app sync 'status 500'
	for i in 1 2 3; do
		run_mailq
	done
	assert_equal "$(cat "$MAILQ_SPOOL"/log/*.log | grep -c '"event":"refused"')" 1
	run -0 mailq-status check
	answers app sync ok
	forget_failures
	run_mailq
	assert_equal "$(heard app)" 'noto error'
	# It has heard of it: handed out once more, it is refused once more.
	run_mailq
	assert_equal "$(heard app | tr '\n' ' ')" 'noto error noto error '
}

@test "a fetch whose messages are no list has failed, and check has nothing to say of that" {
	start_application app port
	fetch_from "$port"
	echo '{"messages":{"id":"x"}}' >batch
	answers app fetch "file $PWD/batch"
	run_mailq
	assert_match "$stderr" 'expected \{"messages": \[\.\.\.\]\}'
	[ -s "$MAILQ_SPOOL/reports/fetch" ]
	run -0 mailq-status check
}

@test "a bad message is told of as an error with its reason, the others are queued" {
	start_application app port
	fetch_from "$port"
	{
		printf '{"messages":[%s,' "$(message good)"
		printf '{"id":"noto","subject":"s","body":"b"},'
		printf '%s,' "$(message crlf '"headers":{"X-A":"a\r\nBcc: x@example.org"}')"
		printf '%s,' "$(message account '"account_id":"nobody"')"
		printf '{"id":17,"to":"x@example.org","subject":"s","body":"b"},'
		printf '{"to":"x@example.org","subject":"no id, no body"},'
		printf '"text",17,null,'
		printf '%s]}' "$(message last)"
	} >batch
	answers app fetch "file $PWD/batch"
	run_mailq
	summary 'sent 2, deferred 0, failed 0, reported 6, fetched 2, refused 4'
	assert_equal "$(heard app | sort)" '17 error
account error
crlf error
good sent
last sent
noto error'
	assert_match "$(report app 'r["id"] + ": " + r.get("error", "")')" 'noto: to: field required'
	assert_match "$(report app 'r["id"] + ": " + r.get("error", "")')" 'account: account_id: no account "nobody"'
	assert_match "$stderr" 'messages\[5\]: body: field required'
	assert_match "$stderr" 'messages\[6\]: '
	# It can be handed out again when it is good.
	echo "{\"messages\":[$(message noto)]}" >batch
	run_mailq
	summary 'sent 1, deferred 0, failed 0, reported 1, fetched 1'
}

@test "a message that was queued and has expired is not told of as bad" {
	start_application app port
	fetch_from "$port"
	echo "{\"messages\":[$(message A "\"expires_ts\":$(($(date +%s) + 2))")]}" >batch
	answers app fetch "file $PWD/batch"
	answers app sync 'deny 500 no'
	run_mailq
	summary 'sent 1, deferred 0, failed 0, fetched 1'
	expired() { [ "$(date +%s)" -ge "$1" ]; }
	wait_for expired $(($(date +%s) + 3))
	answers app sync ok
	run_mailq --now
	assert_equal "$(heard app)" 'A sent'
}

@test "a fetch that fails fails alone, is put off, and leaves what was whole" {
	start_application app port
	fetch_from "$port" 'max_size = "64 KiB";'
	cat >rows <<-'END'
		answer 500 no|answered 500
		answer 403 {"messages":[]}|answered 403
		answer 200 <html>|
		answer 200 {"ok":false,"error":"down"}|expected {"messages"
		redirect 302 http://127.0.0.1:PORT/elsewhere|redirection
		truncated|
		oversized|
		endless|
		close|
		hang|
		drip|
	END
	n=0
	while IFS='|' read -r word why; do
		n=$((n + 1))
		answers app fetch "${word//PORT/$port}"
		add --id "m$n" >/dev/null
		run_mailq
		summary 'sent 1, deferred 0, failed 0, reported 1' || fail "at: $word"
		assert_match "$stderr" "fetch http://127.0.0.1:$port/mail/: .*next call in" || fail "at: $word"
		[[ $(the_state fetch reason) == *"$why"* ]] || fail "at: $word: $(the_state fetch reason)"
		before=$(requests app 'r["method"]' | grep -c GET)
		run_mailq
		assert_equal "$stderr" ''
		assert_equal "$(requests app 'r["method"]' | grep -c GET)" "$before"
		forget_failures
	done <rows
	assert_equal "$(requests app 'r["path"]' | sort -u)" '/mail/fetch-messages
/sync'
	# Cut off in the second message, of a body that is whole for HTTP: the first is queued.
	printf '{"messages":[%s,{"id":"B","to":' "$(message A)" >batch
	answers app fetch "file $PWD/batch"
	run_mailq
	summary 'sent 1, deferred 0, failed 0, reported 1, fetched 1'
	printf '{"messages":[%s,%s]}' "$(message A)" "$(message B)" >batch
	run_mailq
	summary 'sent 1, deferred 0, failed 0, reported 1, fetched 1'
	for empty in '{"messages":[]}' '{"messages":null}' '[]' '{}' '{"ok":true}' '{"status":"ok","count":0}'; do
		empty="answer 200 $empty"
		answers app fetch "$empty"
		run_mailq
		assert_equal "$stderr" ''
	done
}

@test "what is fetched counts as what an account may send in one cycle" {
	start_application app port
	start_script server smtp
	exchange "sync: { url = \"http://127.0.0.1:$port/sync\"; };
		fetch: { url = \"http://127.0.0.1:$port/\"; };" "$(relay main "$smtp" 'batch_size = 3;')"
	echo "{\"messages\":[$(message A),$(message B),$(message C),$(message D)]}" >batch
	answers app fetch "file $PWD/batch"
	add_ids m 2
	run_mailq
	summary 'sent 3, deferred 0, failed 0, reported 3, fetched 4'
}

# ---- watching -------------------------------------------------------------------------------------

@test "a watch tells within a second, and asks no more often than its intervals say" {
	start_application app port
	exchange "sync: { url = \"http://127.0.0.1:$port/sync\"; interval = \"1h\"; };
		fetch: { url = \"http://127.0.0.1:$port/\"; interval = \"2s\"; };"
	start_server run mailq-run --watch
	wait_for file_lines app/requests 2
	for i in 1 2 3; do
		add --id "m$i"
		wait_for -t 20 file_lines app/heard "$i"
		told=$(report app 'r["sent_ts"]' | tail -n 1)
		at=$(requests app 'r["at"] if r["count"] else 0' | grep -v '^0$' | tail -n 1)
		[ $((${at%.*} - told)) -le 10 ] || fail "told after $((${at%.*} - told)) s"
	done
	fetches() { [ "$(requests app 'r["method"]' | grep -c GET)" -ge 3 ]; }
	wait_for fetches
	stop_server run
	# One empty list at the beginning, and none each second.
	assert_equal "$(requests app 'r["method"] == "POST" and r["count"] == 0' | grep -c true)" 1
	requests app 'r["at"] if r["method"] == "GET" else 0' | grep -v '^0$' |
		awk 'NR > 1 && $1 - last < 1.5 { exit 1 } { last = $1 }'
	assert_equal "$(wc -l <app/accepts)" 1
}

@test "a watch takes up settings that change, and ends in the midst of a call" {
	start_application app port
	start_application other port2
	start_server run mailq-run --watch
	add --id A
	delivered() { grep -q '"sent","id":"A"' "$MAILQ_SPOOL"/cur/*/journal; }
	wait_for delivered
	SYNC='timeout = "1m"; interval = "1s";'
	sync_to "$port"
	wait_for file_lines app/heard 1
	answers other sync hang
	sync_to "$port2"
	add --id B
	wait_for file_lines other/requests 1
	kill -TERM "$(server_pid run)"
	wait_gone "$(server_pid run)" 10
	assert_equal "$(heard app)" 'A sent'
}

@test "of several at once one tells" {
	start_application app port
	sync_to "$port"
	add_ids m 300
	for i in 1 2 3 4; do
		start_server "run$i" mailq-run
	done
	for i in 1 2 3 4; do
		wait_gone "$(server_pid "run$i")"
	done
	run_mailq
	heard app >told
	assert_equal "$(sort told | uniq | wc -l) $(wc -l <told)" '300 300'
}

@test "a watch whose spool could not be written to tells again when it can" {
	start_application app port
	SYNC='timeout = "2s"; interval = "1h";'
	sync_to "$port"
	start_server run mailq-run --watch
	wait_for file_lines app/requests 1
	# What is rejected is to be kept there.
	: >"$MAILQ_SPOOL/reports/again"
	answers app sync 'reject rejected A' ok
	add --id A
	wait_for file_has run.log 'cannot write to reports'
	# Until it tries again, another may tell.
	wait_for flock -n "$MAILQ_SPOOL/reports/lock" true
	rm "$MAILQ_SPOOL/reports/again"
	wait_for -t 30 file_lines app/heard 1
	stop_server run
	assert_equal "$(heard app)" 'A sent'
}

@test "a pause that was set while the clock was years ahead is over" {
	start_application app port
	fetch_from "$port"
	add --id A
	run_mailq --no-sync --no-fetch
	mkdir -m 700 -p "$MAILQ_SPOOL/reports"
	printf 'failures: 1\nuntil: %s.000000\n' $(($(date +%s) + 86400 * 365)) >"$MAILQ_SPOOL/reports/state"
	cp "$MAILQ_SPOOL/reports/state" "$MAILQ_SPOOL/reports/fetch"
	run_mailq
	assert_equal "$(heard app)" 'A sent'
	assert_equal "$(requests app 'r["method"]' | sort -u)" 'GET
POST'
}

@test "an id that was good a moment before, in the same answer, is not told of as an error" {
	start_application app port
	fetch_from "$port"
	printf '{"messages": [%s, {"id": "A", "to": 5}, {"id": "B", "to": 5}]}' "$(message A)" >answer
	answers app fetch "file $PWD/answer" 'answer 200 {"messages":[]}'
	run_mailq
	assert_equal "$(heard app | sort)" 'A sent
B error'
}

# ---- through thick and thin -------------------------------------------------------------------------

@test "an application that fails, rejects, hangs up and restarts ends with exactly the outcomes" {
	start_application app port
	mapfile -t rules < <(printf 'rcpt#%d=550 5.1.1 no\n' {3..300..3})
	start_script server smtp "${rules[@]}"
	SYNC='timeout = "1s"; max_attempts = 1000; batch_size = 20;'
	sync_to "$port" '' "$(relay main "$smtp")"
	answers app sync random
	add_ids m 300
	for round in 1 2 3 4 5 6; do
		mailq-run --now --limit 40 -q >/dev/null 2>&1
		if [ $((round % 2)) -eq 0 ]; then
			stop_server app KILL
			start_application app port "$port"
		fi
	done
	answers app sync ok
	run_mailq --now
	forget_failures
	run_mailq --now
	heard app | sort -u >told
	cat "$MAILQ_SPOOL"/log/*.log | /usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    e = json.loads(line)
    if e["event"] in ("sent", "failed"):
        print(e["id"], {"sent": "sent", "failed": "error"}[e["event"]])' | sort -u >happened
	assert_equal "$(wc -l <happened)" 300
	diff happened told
}

@test "killed while it tells, it loses no report" {
	start_application app port
	SYNC='timeout = "5s"; batch_size = 5;'
	sync_to "$port"
	add_ids m 200
	mailq-run --no-sync >/dev/null
	for ((round = 0; round < 12; round++)); do
		lines=$( ([ ! -e app/requests ] || wc -l <app/requests) | tail -n 1)
		start_server run mailq-run -q
		wait_for file_lines app/requests $((${lines:-0} + 1 + RANDOM % 3))
		stop_server run KILL
	done
	run_mailq
	heard app | sort -u >told
	for ((i = 1; i <= 200; i++)); do echo "m-$i sent"; done | sort | diff - told
	# What was told twice was under way when it was killed: no more than a batch each time.
	[ "$(heard app | wc -l)" -le $((200 + 12 * 5)) ]
}
