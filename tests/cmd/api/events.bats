# What happened, for who pulls it: mailq-status log --after, GET /events; and when the application had heard.
# runs long

load ../../helpers/common
load ../../helpers/serve
load ../../helpers/delivery
setup() { serve_setup; }
teardown() { common_teardown; }

# pull CURSOR: the lines behind it, in $lines
pull() {
	run -0 --separate-stderr mailq-status log --json --after "$1"
	assert_equal "$stderr" ''
}
# of_lines FILTER: of those lines, by jq, on one line
of_lines() {
	printf '%s\n' "${lines[@]}" | jq -r "$1" | paste -sd' '
}

@test "the cursor of a line goes on behind it" {
	add_ids A 3 --from a@app.example
	mailq-run
	pull ''
	assert_equal "$(of_lines '.event + " " + .id')" 'sent A-1 sent A-2 sent A-3'
	second=$(jq -r .cursor <<<"${lines[1]}")
	third=$(jq -r .cursor <<<"${lines[2]}")
	# Without the cursor, each is a line of log.
	assert_equal "$(printf '%s\n' "${lines[@]}" | jq -c 'del(.cursor)')" "$(mailq-status log --json)"
	pull "$second"
	assert_equal "$(of_lines .id)" A-3
	pull "$third"
	assert_equal "${#lines[@]}" 1
	assert_equal "$(of_lines 'keys | join(",")')" cursor
	third=$(of_lines .cursor)
	mailq-status log >/dev/null
	add --id B-1 --from a@app.example >/dev/null
	mailq-status hold B-1
	pull "$third"
	assert_equal "$(of_lines '.event + " " + .id')" 'held B-1'
}

@test "now is the end: only what comes is given" {
	pull now
	assert_equal "${#lines[@]}" 1
	cursor=$(of_lines .cursor)
	add_ids A 2 --from a@app.example
	mailq-run
	pull "$cursor"
	assert_equal "$(of_lines .id)" 'A-1 A-2'
	pull now
	cursor=$(of_lines .cursor)
	pull "$cursor"
	assert_equal "$(of_lines .id)" null
}

@test "what is no cursor is refused, and --after goes with --json alone" {
	local cursor

	for cursor in x 12 1~ '1.000000~x' "$(printf 'x%.0s' {1..5000})"; do
		run -64 mailq-status log --json --after "$cursor"
		assert_match "$output" '--after'
	done
	run -64 mailq-status log --after now
	run -64 mailq-status log --json --after now --since 1h
	run -64 mailq-status log --json --after now --full
	run -64 mailq-status log --json --after now A-1
	run -64 mailq-status list --after now
}

@test "who only may read the spool can pull" {
	[ "$(id -u)" -eq 0 ] || skip 'needs a file system mounted read-only'
	add_ids A 1 --from a@app.example
	mailq-run
	run -0 unshare -m sh -c "mount --bind '$MAILQ_SPOOL' '$MAILQ_SPOOL' &&
		mount -o remount,bind,ro '$MAILQ_SPOOL' && mailq-status log --json --after ''"
	assert_equal "$(jq -r .id <<<"$output")" A-1
}

@test "the API gives the same events, with the same cursors" {
	local after=

	add_ids A 5 --from a@app.example
	mailq-run
	start_serve s port
	api GET /events
	answer 200
	assert_equal "$(json '[e["id"] for e in a["events"]]')" '["A-1","A-2","A-3","A-4","A-5"]'
	assert_equal "$(jq -c '.events[]' body.txt)" "$(mailq-status log --json)"
	next=$(json 'a["next"]')
	api GET "/events?after=$next"
	assert_equal "$(json 'a["events"]')" '[]'
	pull "$next"
	assert_equal "${#lines[@]}" 1
	# Two at a time, the cursors of one given to the other
	api GET '/events?limit=2'
	assert_equal "$(json '[e["id"] for e in a["events"]]')" '["A-1","A-2"]'
	pull "$(json 'a["next"]')"
	assert_equal "$(of_lines .id)" 'A-3 A-4 A-5'
	api GET "/events?limit=1&after=$(jq -r .cursor <<<"${lines[0]}")"
	assert_equal "$(json '[e["id"] for e in a["events"]]')" '["A-4"]'
	api GET '/events?after=now'
	assert_equal "$(json 'a["events"]')" '[]'
	assert_match "$(json 'a["next"]')" '^[0-9]'
	for after in nonsense 12 '1.000000~x' %00 '%0a'; do
		api GET "/events?after=$after"
		assert_match "$code" '^(422|400)$'
	done
	api GET '/events?after=nonsense'
	answer 422 '"loc":\["query","after"\]'
	for limit in 0 x -1; do
		api GET "/events?limit=$limit"
		answer 422 '"loc":\["query","limit"\]'
	done
}

@test "events are for who may read" {
	configure '' 'server: { tokens = ( { name = "r"; token = "r"; scopes = ( "read" ); },
		{ name = "s"; token = "s"; scopes = ( "send" ); } ); };'
	start_serve s port
	api GET /events
	answer 401
	api GET /events -H 'X-API-Token: s'
	answer 403
	api GET /events -H 'X-API-Token: r'
	answer 200
}

@test "an answer ends before it is too large, and the next goes on" {
	local got=0

	# Lines of some 300 kB
	/usr/bin/python3 - <<-'EOT' | mailq-add --json >/dev/null
		import json
		for i in range(20):
		    print(json.dumps({"id": f"L-{i}", "from": "a@app.example", "subject": "S", "body": "B",
		        "to": [f"recipient-with-a-long-name-{i}-{n}@some-domain.example.org" for n in range(3000)]}))
	EOT
	mailq-run
	start_serve s port
	api GET '/events'
	[ "$(json 'len(a["events"])')" -lt 20 ]
	[ "$(stat -c %s body.txt)" -lt 6000000 ]
	got=$(json 'len(a["events"])')
	api GET "/events?after=$(json 'a["next"]')"
	assert_equal $((got + $(json 'len(a["events"])'))) 20
}

@test "three writers, runs, rotation and a puller that is killed: each event once" {
	local i writers=()

	start_serve s port
	start_server puller /usr/bin/python3 "$MAILQ_TOP/tests/helpers/puller.py" "$URL" pulled
	for i in 1 2 3; do
		(
			for ((n = 1; n <= 15; n++)); do
				add_ids "W$i-$n" 5 --from a@app.example
				mailq-run -q || exit 1
				[ $((n % 5)) -ne 0 ] || mailq-add --id "H$i-$n" --at +1h --from a@app.example \
					--to b@c.example --subject S --body B >/dev/null
				[ $((n % 5)) -ne 0 ] || mailq-status hold "H$i-$n"
			done
		) 3>&- &
		writers+=($!)
	done
	for i in 1 2 3 4 5; do
		wait_for file_lines pulled/events $((i * 20))
		stop_server puller KILL
		start_server puller /usr/bin/python3 "$MAILQ_TOP/tests/helpers/puller.py" "$URL" pulled
	done
	for i in "${writers[@]}"; do
		wait "$i"
	done
	mailq-run -q
	mailq-status log --json | jq -cS . | sort >all
	[ "$(grep -c '"event":"sent"' all)" -eq 225 ]
	[ "$(grep -c '"event":"held"' all)" -eq 9 ]
	wait_for file_lines pulled/events "$(wc -l <all)"
	stop_server puller
	jq -cS . pulled/events | sort >got
	diff all got
}

@test "events of the same microsecond keep the order of their journal, and journals that of their begin" {
	mailq-run -q
	/usr/bin/python3 - "$MAILQ_SPOOL" >want <<-'EOT'
		import json, os, sys
		spool, number = sys.argv[1], 0
		t = "2026-11-21T07:38:00.000000Z"
		umask = os.umask(0o007)
		for k in range(9):
		    token = f"1795246{600 + k}.{(k * 370000) % 1000000:06d}.x{9 - k}"
		    with open(f"{spool}/log/{token}.log", "x") as out:
		        for event in ("uncertain", "failed", "retried", "uncertain", "deferred", "sent", "bounced")[k % 3:]:
		            number += 1
		            out.write(json.dumps({"t": t, "event": event, "id": f"M-{number}"}, separators=(",", ":")) + "\n")
		            print(f"M-{number}")
	EOT
	mailq-status log --json | jq -r .id | diff want -
	mailq-status log --json --after '' | jq -r .id | diff want -
	start_serve s port
	api GET '/events?limit=1000'
	json '[e["id"] for e in a["events"]]' | jq -r '.[]' | diff want -
}

# ---- when the application had heard ------------------------------------------------------------------

# told ID...: as mailq-run writes it down when the application has acknowledged
told() {
	/usr/bin/python3 - "$MAILQ_SPOOL" "$@" <<-'EOT'
		import datetime, json, os, sys, time
		spool, ids = sys.argv[1], sys.argv[2:]
		now = time.time()
		t = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
		token = f"{now:.6f}.reported"
		with open(f"{spool}/log/{token}.log", "x", opener=lambda p, f: os.open(p, f, 0o660)) as out:
		    out.write(json.dumps({"t": t, "event": "begin", "token": token, "boot": "x", "program": "mailq-run",
		        "pid": 1}, separators=(",", ":")) + "\n")
		    out.write(json.dumps({"t": t, "event": "reported", "ids": ids}, separators=(",", ":")) + "\n")
	EOT
}

@test "a message shows when the application had heard of it" {
	add_ids A 3 --from a@app.example
	mailq-run
	start_serve s port
	api GET /messages/A-1
	assert_equal "$(json '"reported_ts" in a')" false
	told A-1 A-3
	api GET /messages/A-1
	assert_equal "$(json 'abs(a["reported_ts"] - a["sent_ts"]) < 60')" true
	assert_equal "$(json 'a["state"]')" sent
	assert_equal "$(json '[h["event"] for h in a["history"]]')" '["sent","reported"]'
	run -0 mailq-status show A-1
	assert_match "$output" '^A-1: sent'
	assert_match "$output" $'\n  [0-9: -]* \\([^)]*\\)  reported'
	run -0 mailq-status show --json A-1
	assert_match "$(jq -r .reported <<<"$output")" '^20.*Z$'
	assert_equal "$(jq -r .state <<<"$output")" sent
	run -0 mailq-status show --json A-2
	assert_equal "$(jq -r .reported <<<"$output")" null
	run -0 mailq-status log A-3
	assert_match "$output" 'reported: A-1, A-3'
	run -0 mailq-status log
	assert_equal "${#lines[@]}" 4
}

@test "a message that came back is shown as sent, and why it came back" {
	add_ids A 1 --from a@app.example
	mailq-run
	printf '%s\n' 'Content-Type: message/delivery-status' '' 'Original-Envelope-Id: A-1' '' \
		'Final-Recipient: rfc822; to@example.org' 'Action: failed' 'Status: 5.1.1' | mailq-add --bounce
	start_serve s port
	api GET /messages/A-1
	assert_equal "$(json 'a["state"]')" sent
	assert_equal "$(json '[a["history"][-1][k] for k in ("event", "class", "recipient", "enhanced")]')" \
		'["bounced","hard","to@example.org","5.1.1"]'
	api GET '/messages?state=sent'
	assert_equal "$(json '[m["id"] for m in a["messages"]]')" '["A-1"]'
	run -0 mailq-status show A-1
	assert_match "$output" '^A-1: sent'
	assert_match "$output" 'bounced for to@example\.org: hard'
}

@test "lists show it too, where it was of that outcome and soon" {
	add_ids A 3 --from a@app.example
	mailq-run
	start_serve s port
	told A-1 A-2
	echo "told: $(date +%s.%6N)" >"$MAILQ_SPOOL/reports/state"
	api GET '/messages?state=sent'
	assert_equal "$(json 'sorted(m["id"] for m in a["messages"] if "reported_ts" in m)')" '["A-1","A-2"]'
	# What was told before is not of this outcome.
	told B-1
	add --id B-1 --from a@app.example >/dev/null
	mailq-run
	echo "told: $(date +%s.%6N)" >"$MAILQ_SPOOL/reports/state"
	api GET '/messages?state=sent'
	assert_equal "$(json 'sorted(m["id"] for m in a["messages"] if "reported_ts" in m)')" '["A-1","A-2"]'
	api GET /messages/B-1
	assert_equal "$(json '"reported_ts" in a')" false
}
