# mailq-add --bounce: reports of delivery that mail servers send back.

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/postfix
setup() { delivery_setup; }
teardown() {
	common_teardown
	[ -z "${POSTFIX_DIR:-}" ] || rm -rf "$POSTFIX_DIR"
}

# sent ID [OPTION...]: a message that was sent (it is captured: no account is configured)
sent() {
	local id=$1

	shift
	add --id "$id" --header "Message-ID: <$id@app.example>" "$@" >/dev/null
	mailq-run --now >/dev/null
}

# report [FIELD...]: on standard output; fields of the recipient, or of the message when they stand before "--";
# the copy of the message has the Message-ID of $RETURNED, or there is none
report() {
	local field

	printf 'From: MAILER-DAEMON@mx.example.org\nMessage-ID: <%s>\n' "${REPORT:-1@mx.example.org}"
	printf 'Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n'
	printf -- '--b\n\nIt could not be delivered.\n'
	printf -- '--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n'
	for field in "$@"; do
		case $field in
		--) echo ;;
		*) printf '%s\n' "$field" ;;
		esac
	done
	[ -z "${RETURNED:-}" ] ||
		printf '\n--b\nContent-Type: message/rfc822\n\nSubject: test\nMessage-ID: <%s>\n' "$RETURNED"
	printf -- '\n--b--\n'
}

# failed ADDRESS: the fields of one who did not get it
failed() {
	printf 'Final-Recipient: rfc822; %s\nAction: failed\nStatus: 5.1.1\n' "$1"
	printf 'Diagnostic-Code: smtp; 550 5.1.1 <%s>: unknown' "$1"
}

# bounces FILTER: of each bounce on record, by jq
bounces() {
	mailq-status log --json | jq -r "select(.event == \"bounced\") | $1"
}

@test "a report is on record once, and is reported to the application" {
	sent MSG-1 --to you@example.org
	RETURNED=MSG-1@app.example report -- "$(failed you@example.org)" >report
	run -0 --separate-stderr mailq-add --bounce <report
	assert_equal "$output" MSG-1
	assert_equal "$stderr" ''
	assert_equal "$(bounces '[.id, .recipient, .class, .code, .enhanced, .reason, .reporter, .report_id] | @csv')" \
		'"MSG-1","you@example.org","hard",550,"5.1.1","550 5.1.1 <you@example.org>: unknown","mx.example.org","1@mx.example.org"'
	token=$(mailq-status log --full --json | jq -r 'select(.event == "begin" and .program == "mailq-add") | .token')
	[ -n "$(find "$MAILQ_SPOOL/reports" -name "$token,*")" ]
	run -0 --separate-stderr mailq-add --bounce <report
	assert_equal "$output" ''
	assert_match "$stderr" 'MSG-1: this bounce is recorded already'
	assert_equal "$(bounces .id)" MSG-1
	run -0 mailq-status show MSG-1
	assert_match "$output" 'bounced for you@example\.org by mx\.example\.org: hard: 550 5\.1\.1'
	run -0 mailq-status check
}

@test "the message is found by the ENVID, ours or the application's own" {
	sent MSG+1 --to you@example.org
	sent MSG-2 --to you@example.org
	printf 'From: a@b.example\nSubject: x\n\nx\n' | mailq-add -V own+name --id MSG-3 you@example.org >/dev/null
	mailq-run --now >/dev/null
	report 'Original-Envelope-Id: MSG-2' -- "$(failed you@example.org)" | mailq-add --bounce
	# Decoded, as it should be, and not
	report 'Original-Envelope-Id: MSG+1' -- "$(failed you@example.org)" | mailq-add --bounce
	report 'Original-Envelope-Id: own+2Bname' -- "$(failed you@example.org)" | mailq-add --bounce
	assert_equal "$(bounces .id | paste -sd' ')" 'MSG-2 MSG+1 MSG-3'
	report 'Original-Envelope-Id: MSG+2B1' -- "$(failed him@example.org)" >report
	run -0 --separate-stderr mailq-add --bounce <report
	assert_match "$stderr" 'MSG\+1: this bounce is recorded already'
}

@test "the message is found by its Message-ID, and of several the latest to that recipient" {
	local i

	for i in 1 2 3; do
		add --id "MSG-$i" --header 'Message-ID: <same@app.example>' --to "u$i@example.org,all@example.org" >/dev/null
		mailq-run --now >/dev/null
	done
	RETURNED=same@app.example report -- "$(failed u2@example.org)" | mailq-add --bounce
	RETURNED=same@app.example report -- "$(failed ALL@Example.org)" | mailq-add --bounce
	assert_equal "$(bounces '.id + " " + .recipient' | paste -sd,)" 'MSG-2 u2@example.org,MSG-3 all@example.org'
}

@test "a report without any name of the message is about the latest to its recipient before it" {
	local before after

	sent MSG-1 --to you@example.org
	before=$(date -R -d '2 hours ago')
	after=$(date -R)
	report "Arrival-Date: $before" -- "$(failed you@example.org)" >early
	run -65 --separate-stderr mailq-add --bounce <early
	assert_match "$stderr" 'names no message, and nothing was sent to you@example\.org'
	report "Arrival-Date: $after" -- "$(failed YOU@example.org)" | mailq-add --bounce
	assert_equal "$(bounces '.id + " " + .recipient')" 'MSG-1 you@example.org'
	report -- "$(failed other@example.org)" >other
	run -65 mailq-add --bounce <other
}

@test "who is reported: one of several, each of them, or the only one behind whose alias others are" {
	sent MSG-1 --to a@example.org,b@example.org,c@example.org
	sent MSG-2 --to list@example.org
	RETURNED=MSG-1@app.example report -- "$(failed b@example.org)" '' "$(failed c@example.org)" '' \
		'Final-Recipient: rfc822; a@example.org' 'Action: relayed' 'Status: 2.0.0' | mailq-add --bounce
	assert_equal "$(bounces '.recipient' | paste -sd' ')" 'b@example.org c@example.org'
	RETURNED=MSG-2@app.example report -- "$(failed member@example.net)" | mailq-add --bounce
	assert_equal "$(bounces 'select(.id == "MSG-2") | .recipient')" list@example.org
	RETURNED=MSG-1@app.example report -- 'Original-Recipient: rfc822; a@example.org' \
		"$(failed x@example.net)" | mailq-add --bounce
	assert_equal "$(bounces '.recipient' | tail -n 1)" a@example.org
}

@test "a partial delivery: recipients of all attempts are known" {
	start_script relay port 'rcpt#2=451 4.2.0 wait'
	accounts "$(relay relay "$port")"
	add --id MSG-1 --to first@example.org,later@example.org
	mailq-run --now
	assert_equal "$(state MSG-1)" deferred
	report 'Original-Envelope-Id: MSG-1' -- "$(failed first@example.org)" | mailq-add --bounce
	assert_equal "$(bounces .recipient)" first@example.org
}

@test "delayed is soft and failed is hard; what went well is nothing to tell" {
	sent MSG-1 --to you@example.org
	report 'Original-Envelope-Id: MSG-1' -- 'Final-Recipient: rfc822; you@example.org' 'Action: delivered' \
		'Status: 2.0.0' >report
	run -0 --separate-stderr mailq-add --bounce <report
	assert_equal "$output" ''
	assert_match "$stderr" 'was delivered; nothing is recorded'
	assert_equal "$(bounces .class)" ''
	report 'Original-Envelope-Id: MSG-1' -- 'Final-Recipient: rfc822; you@example.org' 'Action: delayed' \
		'Status: 4.4.1' >report
	mailq-add --bounce <report
	sed 's/^Message-ID: .*/Message-ID: <another@mx.example.org>/' report | mailq-add --bounce
	report 'Original-Envelope-Id: MSG-1' -- 'Final-Recipient: rfc822; you@example.org' 'Action: failed' \
		'Status: 4.4.7' | mailq-add --bounce
	report 'Original-Envelope-Id: MSG-1' -- "$(failed you@example.org)" | mailq-add --bounce
	assert_equal "$(bounces '.class + " " + .enhanced' | paste -sd,)" 'soft 4.4.1,soft 4.4.7,hard 5.1.1'
}

@test "what is no report of delivery, or about none of ours, is refused, or dropped, and changes nothing" {
	local one before

	sent MSG-1 --to you@example.org
	printf 'Subject: away\nAuto-Submitted: auto-replied\n\nI am away.\n' >away
	printf 'Subject: confirm\n\nClick to have your mail delivered.\n' >challenge
	RETURNED=other@elsewhere report -- "$(failed you@example.org)" >foreign
	report 'Original-Envelope-Id: other' -- "$(failed you@example.org)" >unknown
	: >empty
	head -c 100000 /dev/urandom >random
	before=$(find "$MAILQ_SPOOL" -type f -printf '%p %T@\n' | sort)
	for one in away challenge foreign unknown empty random; do
		run -65 --separate-stderr mailq-add --bounce <"$one"
		assert_equal "$output" ''
		assert_equal "${#stderr_lines[@]}" 1
		run -0 --separate-stderr mailq-add --bounce=drop <"$one"
		assert_equal "$output" ''
		assert_equal "${#stderr_lines[@]}" 1
	done
	assert_equal "$(find "$MAILQ_SPOOL" -type f -printf '%p %T@\n' | sort)" "$before"
	run -65 mailq-add --bounce <away
	assert_match "$output" 'expected a report of delivery .* automatic reply'
	run -65 mailq-add --bounce <foreign
	assert_match "$output" 'Message-ID <other@elsewhere>'
	run -65 mailq-add --bounce <unknown
	assert_match "$output" 'ENVID "other"'
}

@test "a fault that is not the report's is temporary: the server keeps it" {
	sent MSG-1 --to you@example.org
	report 'Original-Envelope-Id: MSG-1' -- "$(failed you@example.org)" >report
	echo 'nonsense = 1;' >bad.conf
	run -75 mailq-add --bounce --config bad.conf <report
	assert_match "$output" 'bad\.conf'
	echo >file
	run -75 mailq-add --bounce --spool file <report
	run -75 mailq-add --bounce=drop --spool file <report
	run -0 mailq-add --bounce <report
}

@test "it goes with no option that makes a message" {
	local option

	for option in '--to a@b' '--json' '--id x' '-t' '-f a@b' '--at now' '--priority 1' '-V x'; do
		# shellcheck disable=SC2086 # an option and its argument
		run -64 mailq-add --bounce $option </dev/null
		assert_match "$output" 'cannot be combined with --bounce'
	done
	run -64 mailq-add --bounce a@example.org </dev/null
	run -64 mailq-add --bounce=keep </dev/null
	assert_match "$output" '"keep" is not "drop"'
}

@test "a hostile report forges no line, and its texts are cut" {
	local long

	sent MSG-1 --to you@example.org
	long=$(head -c 100000 /dev/zero | tr '\0' x)
	report 'Original-Envelope-Id: MSG-1' -- 'Final-Recipient: rfc822; you@example.org' 'Action: failed' \
		$'Diagnostic-Code: smtp; 550 a\r{"t":"2026-01-01T00:00:00.000000Z","event":"sent"}\x1b[31m\xff'"$long" |
		mailq-add --bounce
	run -0 mailq-status log --json
	assert_equal "$(jq -r .event <<<"$output" | paste -sd' ')" 'sent bounced'
	[ "$(jq -r '.reason | length' <<<"${lines[1]}")" -le 1000 ]
	run grep -cP '[\x00-\x08\x0e-\x1f]' <<<"$output"
	assert_equal "$output" 0
	run -0 mailq-status show MSG-1
	assert_equal "$(grep -c $'\033' <<<"$output")" 0
}

@test "strangers' addresses are believed up to a bound" {
	local i

	sent MSG-1 --to a@example.org,b@example.org
	{
		report 'Original-Envelope-Id: MSG-1' | sed '/^--b--$/,$d'
		for ((i = 0; i < 300; i++)); do
			failed "s$i@example.net"
			printf '\n\n'
		done
	} | mailq-add --bounce
	assert_equal "$(bounces .id | wc -l)" 100
}

@test "a report of 100 MB costs little memory, and is read to its end" {
	sent MSG-1 --to you@example.org
	{
		RETURNED=MSG-1@app.example report -- "$(failed you@example.org)" | sed '/^--b--$/d'
		head -c 100000000 /dev/zero | tr '\0' 'y'
		printf '\n--b--\n'
		echo end >&2
	} 2>whole | (ulimit -v 150000 && mailq-add --bounce)
	assert_equal "$(cat whole)" end
	assert_equal "$(bounces .id)" MSG-1
}

@test "the same report, handed in by several at once, is on record once" {
	local i pids=()

	sent MSG-1 --to you@example.org
	report 'Original-Envelope-Id: MSG-1' -- "$(failed you@example.org)" >report
	for i in 1 2 3 4 5 6; do
		mailq-add -q --bounce <report >"out.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	assert_equal "$(cat out.*)" MSG-1
	assert_equal "$(bounces .id)" MSG-1
}

@test "messages that were sent long ago are found in old logs" {
	sent MSG-1 --to you@example.org
	# Two months older, file and lines
	for log in "$MAILQ_SPOOL"/log/*.log; do
		sed -i "s/\"t\":\"20[0-9-]*T/\"t\":\"$(date -u -d '60 days ago' +%F)T/g" "$log"
		token=$(basename "$log" .log)
		mv "$log" "$MAILQ_SPOOL/log/$(($(date +%s) - 61 * 86400)).${token#*.}.log"
	done
	sent MSG-2 --to you@example.org
	RETURNED=MSG-1@app.example report -- "$(failed you@example.org)" | mailq-add --bounce
	assert_equal "$(bounces .id)" MSG-1
}

@test "servers that send reports are told our id, unless none are wanted" {
	start_script modern port -e DSN
	accounts "$(relay modern "$port")"
	add --id plain-1
	printf 'From: a@b.example\n\nx\n' | mailq-add -N never --id never-1 to@example.org
	mailq-run --now
	assert_equal "$(said modern | grep -c 'ENVID=plain-1$')" 1
	assert_equal "$(said modern | grep -c 'NOTIFY=NEVER')" 1
	assert_equal "$(said modern | grep -c 'ENVID')" 1
}

@test "Postfix accepts a message and sends a report back" {
	[ "$(id -u)" -eq 0 ] || skip 'only root can start a Postfix'
	start_script next next_port 'rcpt=550 5.1.1 no such user'
	POSTFIX_DIR=$(service_directory)
	postfix_setup "$POSTFIX_DIR" "$BATS_TEST_TMPDIR" "$next_port"
	free_port port
	postfix_listen "$POSTFIX_DIR" "$port" -o mynetworks=127.0.0.1 \
		-o smtpd_relay_restrictions=permit_mynetworks,reject -o smtpd_sasl_auth_enable=no
	install -d -o nobody -m 700 "$POSTFIX_DIR/back"
	echo "host.example back:" >"$POSTFIX_DIR/etc/transport"
	echo "transport_maps = texthash:$POSTFIX_DIR/etc/transport" >>"$POSTFIX_DIR/etc/main.cf"
	cat >>"$POSTFIX_DIR/etc/master.cf" <<-EOT
		back unix - n n - - pipe user=nobody flags=F
		  argv=/bin/sh -c {cat >$POSTFIX_DIR/back/new && mv $POSTFIX_DIR/back/new $POSTFIX_DIR/back/report}
	EOT
	# shellcheck disable=SC2046 # a command and its arguments
	start_server postfix $(postfix_command "$POSTFIX_DIR")
	wait_port postfix "$port"
	accounts "$(relay postfix "$port" 'starttls = "never";')"
	add --id MSG-1 --to bad@example.org
	run_mailq --now
	summary 'sent 1, deferred 0, failed 0'
	wait_for test -e "$POSTFIX_DIR/back/report" || fail "$(cat "$POSTFIX_DIR/maillog")"
	assert_match "$(head -n 1 "$POSTFIX_DIR/back/report")" '^From '
	assert_equal "$(grep -c 'Original-Envelope-Id: MSG-1' "$POSTFIX_DIR/back/report")" 1
	mailq-add --bounce <"$POSTFIX_DIR/back/report"
	assert_equal "$(bounces '[.id, .recipient, .class, .code, .enhanced] | @csv')" \
		'"MSG-1","bad@example.org","hard",550,"5.1.1"'
}
