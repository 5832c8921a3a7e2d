# runs long: each test starts a server and a cycle.
#
# Delivery to real servers: what arrives, byte for byte, and what follows from each answer.

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

mails() { /usr/bin/python3 "$MAILQ_TOP/tests/helpers/mails.py" "$@"; }

# ---- whole and once ----------------------------------------------------------------------------

@test "500 JSON Lines arrive whole and once" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 5;')"
	mails lines 500 | mailq-add --json >ids
	assert_equal "$(wc -l <ids)" 500
	run_mailq
	summary 'sent 500, deferred 0, failed 0'
	mails check-lines 500 server
	assert_equal "$(history_of sent | wc -l)" 500
	assert_equal "$(in_state waiting)" 0
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_equal "$(kept server)" 500
}

@test "raw mail arrives byte for byte" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 3;')"
	mails raw raw
	for file in raw/*; do
		mailq-add -i -f from@example.com "${file#raw/}@example.org" <"$file"
	done >ids
	run_mailq
	summary "sent $(wc -l <ids), deferred 0, failed 0"
	mails check-raw raw server
}

@test "a corpus of other people's mail arrives byte for byte" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 3;')"
	mkdir corpus
	for file in /usr/lib/python3*/test/test_email/data/msg_*.txt; do
		name=$(basename "$file" .txt)
		cp "$file" "corpus/$name"
		mailq-add -i -f from@example.com "$name@example.org" <"$file"
	done >ids
	[ "$(wc -l <ids)" -ge 40 ]
	run_mailq
	summary "sent $(wc -l <ids), deferred 0, failed 0"
	mails check-raw corpus server
}

@test "an attachment of 5 MB arrives whole" {
	start_keeper server port
	accounts "$(relay main "$port")"
	head -c 5000000 /dev/urandom >Übersicht.bin
	add --attach Übersicht.bin --subject Anhang
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	/usr/bin/python3 - server/00001.eml Übersicht.bin <<-'EOT'
		import email, email.policy, sys
		message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
		part = next(message.iter_attachments())
		assert part.get_filename() == sys.argv[2], part.get_filename()
		assert part.get_payload(decode=True) == open(sys.argv[2], "rb").read()
	EOT
}

@test "the envelope: all recipients once, Bcc among them and nowhere else; the null sender" {
	start_keeper server port
	accounts "$(relay main "$port")"
	add --to a@example.org,b@example.org --cc 'C <c@example.org>' --bcc d@example.org --to A@example.org --to a@example.org
	printf 'To: x@example.org\nSubject: bounce\n\ntext\n' | mailq-add -i -f '<>' x@example.org
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	grep -l bounce server/*.eml >bounce
	other=$(grep -L bounce server/*.eml)
	assert_equal "$(value recipients <"${other%.eml}.json")" \
		"['a@example.org', 'b@example.org', 'A@example.org', 'c@example.org', 'd@example.org']"
	assert_equal "$(value sender <"${other%.eml}.json")" app@host.example
	run grep -ciE 'bcc|d@example' "$other"
	assert_equal "$output" 0
	# What aiosmtpd makes of MAIL FROM:<>
	assert_equal "$(sed 's/eml$/json/' bounce | xargs cat | value sender)" '<>'
}

@test "SIZE, BODY, RET, ENVID and NOTIFY are said where they are offered, and only there" {
	start_script modern port -e PIPELINING -e 'SIZE 1000000' -e 8BITMIME -e DSN
	start_script old old_port -e none
	accounts "$(relay modern "$port")" "$(relay old "$old_port" 'force_8bit = true;')"
	for account in modern old; do
		printf 'From: a@example.com\nDate: Sat, 21 Nov 2026 08:00:00 +0000\nMessage-ID: <1@a>\n\nü\n' |
			mailq-add -i --account $account --id "for-$account" -f s@example.com -N success,failure -R hdrs to@example.org
	done
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	# 84 bytes of header, the empty line, two of the umlaut and the line end
	assert_match "$(said modern)" 'MAIL FROM:<s@example\.com> SIZE=[0-9]+ BODY=8BITMIME RET=HDRS ENVID=for-modern'
	assert_equal "$(said modern | grep -oE 'SIZE=[0-9]+')" "SIZE=$(sed -nE 's/^message 1 ([0-9]+) .*/\1/p' modern.log)"
	assert_match "$(said modern)" 'RCPT TO:<to@example\.org> NOTIFY=SUCCESS,FAILURE'
	assert_match "$(said old)" $'MAIL FROM:<s@example\\.com>\nRCPT TO:<to@example\\.org>\nDATA'
}

@test "an internationalised address goes to a server with SMTPUTF8, and fails clearly at another" {
	start_keeper new new_port --smtputf8
	start_keeper old old_port
	accounts "$(relay new "$new_port")" "$(relay old "$old_port")"
	add --account new --to 'grüße@bücher.example'
	add --account old --id local --to 'grüße@bücher.example'
	add --account old --id domain --to 'post@bücher.example'
	run_mailq
	summary 'sent 2, deferred 0, failed 1'
	assert_equal "$(value recipients.0 <new/00001.json)" 'grüße@xn--bcher-kva.example'
	assert_match "$(value mail_options <new/00001.json)" SMTPUTF8
	assert_equal "$(value recipients.0 <old/00001.json)" 'post@xn--bcher-kva.example'
	assert_equal "$(state local)" failed
	assert_match "$(history_of failed local | value reason)" SMTPUTF8
}

@test "a recipient who needs SMTPUTF8 fails alone, unless the header needs it too" {
	start_keeper old port
	accounts "$(relay old "$port")"
	add --id hidden --to good@example.org --bcc 'юзер@example.org' --cc 'two@bücher.example'
	add --id shown --to good@example.org --to 'юзер@example.org'
	printf 'From: a@example.com\nTo: Bücher <post@bücher.example>\n\nB\n' >mail
	mailq-add -i --id raw -f a@example.com good@example.org 'юзер@example.org' <mail
	run_mailq
	assert_equal "$(state hidden)$(state raw)" failedfailed
	assert_equal "$(state shown)" failed
	# Two were sent to those who can have it.
	assert_equal "$(cat old/*.json | tr -d ' \n' | grep -o '"recipients":[^]]*]' | LC_ALL=C sort |
		paste -sd' ')" \
		'"recipients":["good@example.org","two@xn--bcher-kva.example"] "recipients":["good@example.org"]'
	grep -q $'^To: B\xc3\xbccher <post@xn--bcher-kva.example>\r$' old/*.eml
	run history_of failed hidden
	assert_match "$(value reason <<<"$output")" 'юзер@example.org: the address needs SMTPUTF8'
	run history_of failed shown
	assert_match "$(value reason <<<"$output")" 'an address in the header is not ASCII'
}

@test "8-bit text fails clearly at a server without 8BITMIME, unless it is told to go" {
	start_keeper seven port --7bit
	accounts "$(relay strict "$port")" "$(relay force "$port" 'force_8bit = true;')"
	text=$'From: a@example.com\n\nGr\xc3\xbc\xc3\x9fe\n'
	mailq-add -i --account strict --id strict -f a@example.com to@example.org <<<"$text"
	mailq-add -i --account force --id force -f a@example.com to@example.org <<<"$text"
	run_mailq
	summary 'sent 0, deferred 0, failed 2'
	assert_match "$(history_of failed strict | value reason)" 8BITMIME
	assert_match "$(history_of failed force | value reason)" '554 5.6.1 eight-bit text'
	# What is composed here is 7-bit, whatever its text.
	add --account strict --body 'Grüße, 日本語' --subject 日本
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

# ---- answers -----------------------------------------------------------------------------------

@test "a 4xx at any step defers, a 5xx fails, with the server's words" {
	for step in mail rcpt data dot; do
		launch_script "soft-$step" "$step=451 4.3.2 later at $step"
		launch_script "hard-$step" "$step=550 5.7.1 never at $step"
	done
	configured=()
	for name in {soft,hard}-{mail,rcpt,data,dot}; do
		script_port "$name" port
		configured+=("$(relay "$name" "$port")")
	done
	accounts "${configured[@]}"
	for step in mail rcpt data dot; do
		add --account "soft-$step" --id "soft-$step"
		add --account "hard-$step" --id "hard-$step"
	done
	run_mailq
	summary 'sent 0, deferred 4, failed 4'
	for step in mail rcpt data dot; do
		assert_equal "$(state "soft-$step")" deferred
		assert_equal "$(attempts "soft-$step")" 1
		assert_equal "$(history_of deferred "soft-$step" | value reason)" "451 4.3.2 later at $step"
		assert_equal "$(history_of deferred "soft-$step" | value recipients.0.code)" 451
		assert_equal "$(state "hard-$step")" failed
		assert_equal "$(history_of failed "hard-$step" | value reason)" "550 5.7.1 never at $step"
	done
	run ls "$MAILQ_SPOOL/parked"
	assert_equal "$output" ''
}

@test "smtp-sink's faults: soft, hard and lost at each command" {
	configured=() want=()
	sink() { # NAME WANT OPTION...
		local port name=$1
		free_port port
		want+=("$name=$2")
		shift 2
		start_sink "$name" "$port" "$@"
		configured+=("$(relay "$name" "$port" 'timeouts: { dot = "10s"; };')")
	}
	for step in MAIL RCPT DATA .; do
		sink "r${step/./dot}" deferred -r "$step"
		sink "f${step/./dot}" failed -f "$step"
	done
	for step in MAIL RCPT DATA; do
		sink "q$step" deferred -q "$step"
		sink "Q$step" deferred -Q "$step"
	done
	sink qdot deferred -q .
	sink slow '' -w 1
	sink fine ''
	accounts "${configured[@]}"
	for one in "${want[@]}"; do
		add --account "${one%%=*}" --id "${one%%=*}"
	done
	run_mailq
	for one in "${want[@]}"; do
		assert_equal "$(state "${one%%=*}")" "${one#*=}" "${one%%=*}"
	done
	assert_match "$output" '^sent 2, deferred .*, failed 4, uncertain 1$'
	assert_equal "$(history_of uncertain | value id)" qdot
}

@test "one refused recipient fails alone; only the deferred one is tried again" {
	start_keeper server port --refuse 'bad@example.org=550 5.1.1 no such user' \
		--refuse-once 'busy@example.org=450 4.2.1 mailbox busy'
	accounts "$(relay main "$port")"
	add --id M --to good@example.org,bad@example.org,busy@example.org
	run_mailq
	summary 'sent 0, deferred 1, failed 0'
	assert_equal "$(value recipients <server/00001.json)" "['good@example.org']"
	due_now M
	run_mailq
	summary 'sent 0, deferred 0, failed 1'
	assert_equal "$(kept server)" 2
	assert_equal "$(value recipients <server/00002.json)" "['busy@example.org']"
	assert_equal "$(state M)" failed
	assert_equal "$(history_of failed M | value reason)" 'bad@example.org: 550 in an earlier attempt (sent to 2 others)'
	assert_match "$(history_of deferred M | value reason)" 'busy@example.org: 450 4.2.1 mailbox busy'
}

@test "all but one recipient sent, the last deferred: sent in the end" {
	start_keeper server port --refuse-once 'busy@example.org=450 4.2.1 mailbox busy'
	accounts "$(relay main "$port")"
	add --id M --to a@example.org,busy@example.org,b@example.org
	run_mailq
	due_now M
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(value recipients <server/00001.json)" "['a@example.org', 'b@example.org']"
	assert_equal "$(value recipients <server/00002.json)" "['busy@example.org']"
	assert_equal "$(state M)" ''
	assert_equal "$(ls "$MAILQ_SPOOL/partial")" ''
}

@test "all recipients refused: failed, and nothing is sent" {
	start_script server port 'rcpt=550 5.1.1 no'
	accounts "$(relay main "$port")"
	add --to a@example.org,b@example.org
	run_mailq
	summary 'sent 0, deferred 0, failed 1'
	assert_saw server '^message' 0
}

# ---- connections -------------------------------------------------------------------------------

@test "a connection is used again, up to messages_per_connection" {
	start_script server port
	accounts "$(relay main "$port" 'connections = 1; messages_per_connection = 4;')"
	add_ids M 10
	run_mailq
	summary 'sent 10, deferred 0, failed 0'
	assert_saw server '^connect' 3
	assert_saw server '> QUIT' 3
	assert_saw server '> EHLO host.example' 3
}

@test "never more connections than the account, or --jobs, allows" {
	start_script server port
	accounts "$(relay main "$port" 'connections = 3;')"
	add_ids M 60
	run_mailq --limit 30
	[ "$(saw server '^connect')" -le 3 ]
	all_ended() { [ "$(saw server '^end')" -eq "$(saw server '^connect')" ]; }
	wait_for all_ended
	before=$(saw server '^connect')
	run_mailq --jobs 1
	summary 'sent 30, deferred 0, failed 0'
	assert_equal $(($(saw server '^connect') - before)) 1
}

@test "--jobs bounds all accounts together, and each gets one connection" {
	start_script server port
	accounts "$(relay a "$port")" "$(relay b "$port")" "$(relay c "$port")"
	for account in a b c; do
		add_ids $account 30 --account $account
	done
	run_mailq --jobs 1
	summary 'sent 90, deferred 0, failed 0'
	assert_saw server '^end' 3
	assert_saw server '^connect' 3
}

# The server answers no message before all connections have one, so a cycle that used fewer would not end
# (and after a minute the server says "alone").
@test "all connections of an account are used, each all the time" {
	for n in 1 2 5 10; do
		launch_script "wave$n" "dot=meet $n,250 2.0.0 ok"
	done
	for n in 1 2 5 10; do
		script_port "wave$n" port
		accounts "$(relay main "$port" "connections = $n; messages_per_connection = 1000;")"
		# As many as there are connections, and several times as many.
		for messages in "$n" $((4 * n)); do
			add_ids "M$messages" "$messages"
			run_mailq
			summary "sent $messages, deferred 0, failed 0"
		done
		assert_saw "wave$n" '^alone' 0
		assert_saw "wave$n" '^message' $((5 * n))
		assert_saw "wave$n" '^connect' $((2 * n))
	done
}

@test "all connections of two accounts at once, and as many as --jobs allows" {
	start_script first first_port 'dot=meet 4,250 2.0.0 ok'
	start_script second second_port 'dot=meet 6,250 2.0.0 ok'
	accounts "$(relay first "$first_port" 'connections = 4; pipeline_messages = true;')" \
		"$(relay second "$second_port" 'connections = 6;')"
	add_ids F 16 --account first
	add_ids S 24 --account second --priority high
	run_mailq
	summary 'sent 40, deferred 0, failed 0'
	assert_saw first '^alone' 0
	assert_saw second '^alone' 0
	accounts "$(relay first "$first_port" 'connections = 10;')"
	add_ids J 16 --account first
	run_mailq --jobs 4
	summary 'sent 16, deferred 0, failed 0'
	assert_saw first '^alone' 0
	assert_saw first '^connect' 8
}

@test "--watch: what comes in while others are on their way has the connections that are left" {
	start_script server port 'dot=meet 4,250 2.0.0 ok'
	accounts "$(relay main "$port" 'connections = 4;')"
	start_server watch mailq-run --watch
	for wave in 1 2 3; do
		add_ids "A$wave" 1
		offered() { [ "$(saw server '> DATA')" -eq $((4 * wave - 3)) ]; }
		wait_for offered
		add_ids "B$wave" 3
		answered() { [ "$(saw server '^message')" -eq $((4 * wave)) ]; }
		wait_for answered
	done
	stop_server watch
	assert_saw server '^alone' 0
}

@test "a server that is silent at the dot holds up no other account" {
	start_script slow slow_port "dot=gate $PWD/gate,250 2.0.0 at last"
	start_keeper quick quick_port
	accounts "$(relay slow "$slow_port")" "$(relay quick "$quick_port" 'connections = 2;')"
	add_ids S 5 --account slow
	add_ids Q 100 --account quick
	start_server run mailq-run
	# The slow server answers only after all of the quick one's are there.
	wait_for saw_message_lines slow 1
	wait_for quick_has_all
	touch gate
	wait_gone "$(server_pid run)"
	assert_equal "$(cat run.log)" 'sent 105, deferred 0, failed 0'
}
saw_message_lines() { [ "$(saw "$1" '> DATA')" -ge "$2" ]; }
quick_has_all() { [ "$(kept quick)" -eq 100 ]; }

@test "lost after the dot: uncertain, and retried, held or failed as the account says" {
	configured=()
	for policy in retry hold fail; do
		start_script $policy port 'dot#1=cut'
		configured+=("$(relay $policy "$port" "uncertain = \"$policy\";")")
	done
	accounts "${configured[@]}"
	for policy in retry hold fail; do
		add --account $policy --id $policy
	done
	run_mailq
	summary 'sent 0, deferred 0, failed 0, uncertain 3'
	assert_equal "$(state retry)" deferred
	assert_equal "$(state hold)" uncertain
	assert_equal "$(state fail)" failed
	assert_equal "$(history_of uncertain | sort -t: -k7 | value then | sort | paste -sd' ')" 'fail hold retry'
	due_now retry
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	# The same Message-ID both times: said once by the first journal, once by the second.
	assert_equal "$(history_of uncertain retry | value message_id)" "$(history_of sent retry | value message_id)"
	assert_saw hold '^message' 0
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
}

@test "lost before the dot: sent at once on a fresh connection, and once" {
	for step in mail rcpt data body; do
		launch_script "$step" -e PIPELINING -e SIZE "$step#1=cut"
		launch_script "rst-$step" -e none "$step#1=rst"
	done
	configured=()
	for name in {,rst-}{mail,rcpt,data,body}; do
		script_port "$name" port
		configured+=("$(relay "$name" "$port")")
	done
	accounts "${configured[@]}"
	# More than sockets hold: its end is not under way yet when its beginning is there.
	head -c 16M /dev/zero >big
	for step in mail rcpt data body; do
		add --account "$step" --id "$step" --attach big
		add --account "rst-$step" --id "rst-$step" --attach big
	done
	run_mailq
	summary 'sent 8, deferred 0, failed 0'
	for step in mail rcpt data body; do
		assert_saw "$step" '^message' 1
		assert_saw "rst-$step" '^message' 1
	done
}

@test "an idle connection that the server has closed costs nothing" {
	start_script server port 'idle=cut'
	accounts "$(relay main "$port" 'connections = 1;')"
	add_ids M 5
	run_mailq
	summary 'sent 5, deferred 0, failed 0'
	assert_saw server '^message' 5
}

@test "421 ends a connection, not the account" {
	start_script server port 'mail#3=421 4.3.2 that was enough,cut' 'dot#7=421 4.3.2 no more,cut'
	accounts "$(relay main "$port" 'connections = 1; retry = [ "1h" ];')"
	add_ids M 10
	run_mailq
	assert_saw server '^message' 9
	summary 'sent 9, deferred 1, failed 0'
	! resting main
}

@test "a server that closes after a number of messages gets all of them" {
	start_script server port 'mail#4=421 4.7.0 too many messages,cut' 'mail#8=421 4.7.0 too many,cut' 'mail#12=cut'
	accounts "$(relay main "$port" 'connections = 1;')"
	add_ids M 15
	run_mailq
	summary 'sent 15, deferred 0, failed 0'
	assert_saw server '^message' 15
}

@test "a server that takes fewer connections than we would open still gets all" {
	start_script server port 'connect#3-=421 4.7.0 too many connections,cut'
	accounts "$(relay main "$port" 'connections = 8;')"
	add_ids M 40
	run_mailq
	summary 'sent 40, deferred 0, failed 0'
	! resting main
}

@test "time-outs: a server that falls silent" {
	start_script command command_port 'mail#1=hang' 'mail#2=hang'
	start_script dot dot_port 'dot=hang'
	# Long enough for the EHLO of a server that is merely slow.
	accounts "$(relay command "$command_port" 'timeouts: { command = "5s"; };')" \
		"$(relay dot "$dot_port" 'timeouts: { dot = "1s"; };')"
	add --account command --id command
	add --account dot --id dot
	run_mailq
	summary 'sent 0, deferred 1, failed 0, uncertain 1'
	assert_match "$(history_of deferred command | value reason)" 'timed out'
	assert_match "$(history_of uncertain dot | value reason)" 'timed out'
}

# ---- faults of an account ----------------------------------------------------------------------

@test "a greeting of 554 parks the account; its messages wait, and no attempt is counted" {
	start_script server port 'connect=554 5.7.1 you are not welcome'
	accounts "$(relay main "$port")"
	add_ids M 3
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_match "$stderr" 'main.*554 5\.7\.1 you are not welcome'
	resting main
	assert_match "$(cat "$MAILQ_SPOOL/parked/main")" 'class: greeting'
	assert_equal "$(in_state waiting)" 3
	assert_equal "$(attempts M-1)" 0
	assert_saw server '^connect' 1
	# It rests: the next cycle leaves it alone, unless it is told to try.
	run_mailq
	assert_saw server '^connect' 1
	run_mailq --now
	assert_saw server '^connect' 2
	assert_match "$(cat "$MAILQ_SPOOL/parked/main")" 'faults: 2'
}

@test "a server that is not there parks the account; the first success ends the rest" {
	free_port port
	accounts "$(relay main "$port")"
	add --id M
	run_mailq -v
	summary 'sent 0, deferred 0, failed 0'
	assert_match "$(cat "$MAILQ_SPOOL/parked/main")" 'class: connect'
	start_keeper server port
	accounts "$(relay main "$port")"
	run_mailq --now
	summary 'sent 1, deferred 0, failed 0'
	! resting main
}

# doubles MINUTES...: after each fault the account rests so long
doubles() {
	local minutes before after until

	for minutes; do
		before=$(date +%s)
		run_mailq --now
		after=$(date +%s)
		until=$(sed -nE 's/^until: ([0-9]+)\..*/\1/p' "$MAILQ_SPOOL/parked/main")
		[ "$until" -ge $((before + minutes * 60)) ] && [ "$until" -le $((after + minutes * 60)) ] ||
			fail "rests for $((until - before)) s, expected $minutes min"
	done
}

@test "each further fault doubles the rest, up to delivery.longest_park, which is 5 minutes" {
	free_port port
	accounts "$(relay main "$port")"
	add
	doubles 1 2 4 5 5
	# A longer one that was written before the setting counts no more.
	DELIVERY='longest_park = "1h";' accounts "$(relay main "$port")"
	doubles 32 60 60
	start_keeper server port
	DELIVERY='longest_park = "2m";' accounts "$(relay main "$port")"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "the next of the default accounts takes over in the same cycle" {
	start_script first first_port 'connect=554 5.3.2 closed'
	start_keeper second second_port
	DELIVERY='default_accounts = [ "first", "second" ];' \
		accounts "$(relay first "$first_port")" "$(relay second "$second_port")"
	add_ids M 20
	add_ids F 2 --account first
	run_mailq
	summary 'sent 20, deferred 0, failed 0'
	assert_equal "$(kept second)" 20
	resting first
	# Those that name the account wait for it.
	assert_equal "$(in_state waiting)" 2
	# While it rests, the second one serves.
	add_ids N 3
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	assert_saw first '^connect' 1
}

@test "messages in hand when the account fails go over to the next one, and once" {
	start_script first first_port 'mail#5-=530 5.7.0 authentication required'
	start_keeper second second_port
	DELIVERY='default_accounts = [ "first", "second" ];' \
		accounts "$(relay first "$first_port" 'connections = 1;')" "$(relay second "$second_port")"
	add_ids M 30
	run_mailq
	summary 'sent 30, deferred 0, failed 0'
	assert_equal "$(($(saw first '^message') + $(kept second)))" 30
	resting first
	assert_match "$(cat "$MAILQ_SPOOL/parked/first")" '530 5.7.0 authentication required'
}

@test "messages of an account that is not configured fail, with that reason" {
	start_keeper server port
	accounts "$(relay main "$port")" "$(relay gone "$port")"
	add --account gone --id G
	add --account main
	accounts "$(relay main "$port")"
	run_mailq
	summary 'sent 1, deferred 0, failed 1'
	assert_match "$stderr" 'there is no account "gone"'
	assert_equal "$(state G)" failed
	assert_equal "$(history_of failed G | value reason)" 'there is no account "gone"'
	assert_equal "$(history_of failed G | value class)" account
	assert_equal "$(history_of failed G | value account)" gone
}

# ---- addresses ---------------------------------------------------------------------------------

@test "IPv6" {
	HOST_OF_KEEPER=::1 start_keeper server port
	accounts "{ id = \"main\"; host = \"::1\"; port = $port; }"
	add
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(history_of sent | value server)" "[::1]:$port"
	assert_equal "$(value peer <server/00001.json)" ::1
}

@test "a name with an IPv6 and an IPv4 address works where only one of them answers" {
	start_keeper four four_port
	HOST_OF_KEEPER=::1 start_keeper six six_port
	accounts "{ id = \"four\"; host = \"both.example\"; port = $four_port; }" \
		"{ id = \"six\"; host = \"both.example\"; port = $six_port; }"
	printf '%s both.example\n' ::1 127.0.0.1 >hosts
	# One after the other: nss_wrapper is not made for two threads that resolve at once.
	for account in four six; do
		add --account $account
		NSS_WRAPPER_HOSTS=$PWD/hosts LD_PRELOAD=libnss_wrapper.so run_mailq
		summary 'sent 1, deferred 0, failed 0'
	done
	assert_equal "$(kept four) $(kept six)" '1 1'
}

@test "a host that cannot be resolved is a fault of the account" {
	accounts '{ id = "main"; host = "no-such-host.invalid"; port = 25; timeouts: { connect = "5s"; }; }'
	add
	run_mailq
	assert_match "$(cat "$MAILQ_SPOOL/parked/main")" 'no-such-host.invalid|resolve'
	assert_equal "$(in_state waiting)" 1
}
