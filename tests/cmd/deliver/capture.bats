# The capture transport: mail goes into a Maildir that any mail reader opens.

load ../../helpers/common
load ../../helpers/delivery
setup() {
	delivery_setup
	unset MAILQ_CONFIG
}
teardown() { common_teardown; }

captured() {
	find "${1:-$MAILQ_SPOOL/captured}/new" -type f | wc -l
}

@test "with nothing configured, mail is captured in the spool" {
	printf 'From: a@example.com\nTo: b@example.org\nSubject: raw\n\n.dot\nFrom here\n\nend\n' |
		mailq-add -i -f bounce@example.com b@example.org c@example.org
	add --from a@example.com --subject 'Grüße' --attach /etc/passwd
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_equal "$(captured)" 2
	assert_equal "$(ls "$MAILQ_SPOOL/captured" | paste -sd' ')" 'cur new tmp'
	assert_equal "$(ls "$MAILQ_SPOOL/captured/tmp")" ''
	assert_equal "$(stat -c %a "$MAILQ_SPOOL/captured")" 700
	file=$(grep -l 'Subject: raw' "$MAILQ_SPOOL"/captured/new/*)
	assert_equal "$(stat -c %a "$file")" 600
	assert_equal "$(sed 3q "$file")" $'Return-Path: <bounce@example.com>\nDelivered-To: b@example.org\nDelivered-To: c@example.org'
	assert_equal "$(sed '1,/^$/d' "$file")" $'.dot\nFrom here\n\nend'
	run grep -c $'\r' "$file"
	assert_equal "$output" 0
	assert_equal "$(history_of sent | value server | sort -u)" "$MAILQ_SPOOL/captured"
}

@test "Python's mailbox, mutt and s-nail read it" {
	for n in 1 2 3; do
		add --from a@example.com --subject "Nachricht $n: Grüße" --body "body $n"
	done
	run_mailq
	box=$MAILQ_SPOOL/captured
	run -0 /usr/bin/python3 -c '
import mailbox, sys, email.header
for message in mailbox.Maildir(sys.argv[1], create=False):
	print(email.header.make_header(email.header.decode_header(message["Subject"])))' "$box"
	assert_equal "$(sort <<<"$output")" $'Nachricht 1: Grüße\nNachricht 2: Grüße\nNachricht 3: Grüße'
	run s-nail -n -H -S folder-resolved -f "$box"
	assert_equal "$(grep -c 'Nachricht [123]' <<<"$output")" 3
	# Without a terminal mutt can still be told to copy what it sees to another folder.
	TERM=xterm run timeout 90 script -qec "mutt -n -F /dev/null -f '$box' \
		-e 'set folder=$PWD sort=date confirmappend=no confirmcreate=no' \
		-e 'push \"<tag-entry><tag-entry><tag-entry><tag-prefix><copy-message>$PWD/copy<enter><exit>\"'" /dev/null
	assert_equal "$(grep -c '^Subject: ' copy)" 3
}

@test "a Maildir of the account's own; the null sender" {
	export MAILQ_CONFIG=$PWD/mailq.conf
	accounts "{ id = \"box\"; transport = \"capture\"; maildir = \"$PWD/a box\"; }" \
		'{ id = "other"; transport = "capture"; }'
	printf 'Subject: x\n\nx\n' | mailq-add -f '<>' --account box to@example.org
	add --account other
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_equal "$(captured 'a box')" 1
	assert_equal "$(captured)" 1
	assert_equal "$(head -n 1 'a box'/new/*)" 'Return-Path: <>'
}

@test "1,000 messages under 1,000 names, those of two runners too" {
	add_ids M 1000 --from a@example.com
	start_server one mailq-run -v
	start_server two mailq-run -v
	wait_gone "$(server_pid one)"
	wait_gone "$(server_pid two)"
	assert_equal "$(captured)" 1000
	assert_equal "$(cat "$MAILQ_SPOOL"/captured/new/* | grep -oE '^Subject: M-[0-9]+' | sort -u | wc -l)" 1000
	assert_equal "$(cat one.log two.log | grep -oE 'sent [0-9]+' | awk '{ n += $2 } END { print n }')" 1000
}

@test "recipients that were settled before are not delivered to again" {
	free_port port
	export MAILQ_CONFIG=$PWD/mailq.conf
	start_keeper server port --refuse-once 'late@example.org=450 4.2.1 busy'
	accounts "$(relay main "$port")"
	add --id M --to early@example.org,late@example.org
	run_mailq
	due_now M
	# The account of this name captures from now on.
	accounts '{ id = "main"; transport = "capture"; }'
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(grep '^Delivered-To' "$MAILQ_SPOOL"/captured/new/*)" 'Delivered-To: late@example.org'
}

@test "a Maildir that cannot be made or written to is a fault of the account" {
	export MAILQ_CONFIG=$PWD/mailq.conf
	echo 'not a directory' >file
	accounts "{ id = \"box\"; transport = \"capture\"; maildir = \"$PWD/file/box\"; }"
	add --id M
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_match "$stderr" "account box: .*$PWD/file"
	assert_match "$(cat "$MAILQ_SPOOL/parked/box")" 'class: maildir'
	assert_equal "$(state M)" waiting
	rm file
	run_mailq --now
	summary 'sent 1, deferred 0, failed 0'
}
