#!/usr/bin/env bats
# runs long: sixty tests, each of which starts dozens of programs.
#
# mailq-add: its three forms, what it refuses, and what it leaves in the spool.

load ../../helpers/common
load ../../helpers/add

setup() {
	add_setup
	# A message is often piped into add, whose id is then asked for here.
	shopt -s lastpipe
}
teardown() { common_teardown; }

# One id as the only output.
one_id() {
	[ "${#lines[@]}" -eq 1 ] || fail "expected one id, got: $output"
	id=${lines[0]}
}

# add ARG...: mailq-add with a message's text on standard input; its id in id
add() {
	run --separate-stderr mailq-add "$@"
	assert_status 0
	assert_equal "$stderr" "" "standard error"
	one_id
}

# refuse STATUS EXPRESSION ARG...: standard input is the message's text; nothing may be queued
refuse() {
	local want=$1 expression=$2

	shift 2
	run --separate-stderr mailq-add "$@"
	assert_status "$want"
	assert_equal "$output" "" "standard output"
	assert_match "$stderr" "$expression"
	assert_equal "$(queued)" 0 "messages in the queue"
	nothing_open || fail "left in tmp: $(ls -A "$MAILQ_SPOOL/tmp")"
}

small() {
	printf 'From: a@example.com\nTo: b@example.org\nSubject: Hello\n\nBody\n'
}

# ---- from flags --------------------------------------------------------------------------------

@test "flags: a whole message, its record and its text" {
	add --from 'App <app@example.com>' --to 'A <a@example.org>, b@example.org' --cc c@example.org \
		--bcc d@example.org --subject 'Your invoice' --body 'Hello' --header 'X-Tag: 7' \
		--id MSG-1 --batch spring --priority high
	assert_equal "$id" MSG-1
	assert_equal "$(field MSG-1 sender)" app@example.com
	assert_equal "$(recipients MSG-1)" "a@example.org b@example.org c@example.org d@example.org"
	assert_equal "$(field MSG-1 account)" default
	assert_equal "$(field MSG-1 batch)" spring
	assert_equal "$(field MSG-1 priority)" 1
	assert_equal "$(field MSG-1 subject)" "Your invoice"
	assert_equal "$(field MSG-1 from)" app@example.com
	assert_equal "$(field MSG-1 source)" "mailq-add uid=$(id -u)"
	assert_equal "$(header MSG-1 Subject)" "Your invoice"
	assert_equal "$(header MSG-1 X-Tag)" 7
	assert_equal "$(header MSG-1 Cc)" c@example.org
	assert_match "$(header MSG-1 To)" 'a@example.org.*b@example.org'
	assert_match "$(header MSG-1 Message-ID)" '^<.+@host\.example>$'
	assert_equal "<$(field MSG-1 message-id)>" "$(header MSG-1 Message-ID)"
	assert_match "$(header MSG-1 Date)" '^[A-Z][a-z]{2}, '
	assert_equal "$(text MSG-1 | tail -n 1 | tr -d '\r')" Hello
	nothing_open
}

@test "flags: every line of the text ends with CRLF" {
	printf 'one\ntwo\r\nthree' | add --from a@b.example --to c@d.example --subject S --id X
	[ "$(text X | wc -l)" -eq "$(text X | grep -c $'\r$')" ]
	text X | tail -n 3 | cmp - <(printf 'one\r\ntwo\r\nthree\r\n')
}

@test "flags: Bcc is in the envelope and nowhere in the text" {
	add --from a@example.com --to b@example.org --bcc secret@example.net --bcc 'Mr X <x@example.net>' \
		--subject S --body B --id X
	assert_equal "$(recipients X)" "b@example.org secret@example.net x@example.net"
	! text X | grep -iqE 'secret|example\.net|bcc|Mr X' || fail "shown: $(text X)"
}

@test "flags: a recipient named twice gets one copy" {
	add --from a@example.com --to b@example.org --cc 'B <b@EXAMPLE.org>' --bcc b@example.org \
		--subject S --body B --id X
	assert_equal "$(recipients X)" b@example.org
}

@test "flags: the body from standard input, a file, and as HTML" {
	echo 'from input' | add --to b@example.org --subject S --id in
	assert_equal "$(text in | tail -n 1 | tr -d '\r')" 'from input'
	echo 'from a file' >body
	add --to b@example.org --subject S --id file --body-file body
	assert_equal "$(text file | tail -n 1 | tr -d '\r')" 'from a file'
	echo 'dash' | add --to b@example.org --subject S --id dash --body-file -
	assert_equal "$(text dash | tail -n 1 | tr -d '\r')" dash
	add --to b@example.org --subject S --id html --html --body '<p>Hi</p>'
	assert_match "$(header html Content-Type)" '^text/html'
}

@test "flags: no body where standard input is a terminal" {
	run script -qec 'mailq-add --to b@example.org --subject S' /dev/null
	assert_status 64
	assert_match "$output" 'mailq-add: no body; expected --body, --body-file or a text on standard input'
}

@test "flags: attachments are typed, named and whole" {
	printf '%%PDF-1.4\n' >'Überblick 1.pdf'
	head -c 300000 /dev/urandom >noise.bin
	add --to b@example.org --subject S --body B --attach 'Überblick 1.pdf' --attach noise.bin --id X
	text X >mail
	/usr/bin/python3 - <<-'END'
	import email, email.policy
	mail = email.message_from_binary_file(open("mail", "rb"), policy=email.policy.default)
	parts = list(mail.iter_attachments())
	assert "UTF-8''%C3%9Cberblick%201.pdf" in parts[0].as_string(), parts[0]
	assert parts[1].get_filename() == "noise.bin"
	assert parts[0].get_content_type() == "application/pdf"
	assert parts[0].get_content() == open("Überblick 1.pdf", "rb").read()
	assert parts[1].get_content() == open("noise.bin", "rb").read()
	assert mail.get_body().get_content().strip() == "B"
	END
}

@test "flags: anything but ASCII" {
	add --from 'Zoë <zoe@example.com>' --to 'b@bücher.example' --subject 'Привет, мир' --body 'Grüße' \
		--id X
	assert_equal "$(recipients X)" b@xn--bcher-kva.example
	assert_equal "$(field X subject)" 'Привет, мир'
	! text X | grep -qP '[^\x00-\x7f]' || fail "not 7-bit"
	text X >mail
	/usr/bin/python3 - <<-'END'
	import email, email.policy
	mail = email.message_from_binary_file(open("mail", "rb"), policy=email.policy.default)
	assert mail["Subject"] == "Привет, мир"
	assert mail["From"].addresses[0].display_name == "Zoë"
	assert mail.get_content() == "Grüße\n"
	END
}

@test "flags: -f is the envelope's sender, and <> the null sender" {
	add -f bounces@example.com --from a@example.com --to b@example.org --subject S --body B --id X
	assert_equal "$(field X sender)" bounces@example.com
	assert_match "$(header X From)" a@example.com
	add -f '<>' --from a@example.com --to b@example.org --subject S --body B --id Y
	assert_equal "$(field Y sender)" ""
}

@test "flags: --at keeps it back, in the queue for later" {
	add --to b@example.org --subject S --body B --at +2h --id X
	[[ $(message_file X) == */deferred/* ]]
	assert_match "$(field X due)" '^[0-9]+\.[0-9]{6}$'
	[ "$(field X due | cut -d. -f1)" -gt "$(($(date +%s) + 7000))" ]
	add --to b@example.org --subject S --body B --at 2001-01-01T00:00Z --id Y
	[[ $(message_file Y) == */waiting/* ]]
}

@test "flags: misuse is 64, with one line and where to look" {
	refuse 64 '^mailq-add: no --subject \(it may be empty\).*mailq-add --help' --to b@example.org --body B
	refuse 64 'no recipient; expected --to, --cc or --bcc' --subject S --body B
	refuse 64 '"x@example.org": recipients as arguments need a whole message' --subject S --body B \
		--to b@example.org x@example.org
	refuse 64 '-t reads a whole message; it cannot be combined with --to' -t --to b@example.org --subject S
	refuse 64 '--body and --body-file exclude each other' --to b@example.org --subject S --body B \
		--body-file /dev/null
	refuse 64 '--priority: "urgent" is not immediate, high, medium, low or 0 to 3' --to b@example.org \
		--subject S --body B --priority urgent
	refuse 64 '--at: "teatime" is not a time' --to b@example.org --subject S --body B --at teatime
	refuse 64 'unknown option --nonsense' --nonsense
}

@test "flags: what is missing or not readable is 66" {
	refuse 66 'mailq-add: nowhere.txt: No such file' --to b@example.org --subject S --body-file nowhere.txt
	refuse 66 'nowhere.pdf: No such file' --to b@example.org --subject S --body B --attach nowhere.pdf
	refuse 66 'Is a directory' --to b@example.org --subject S --body-file .
}

@test "flags: bad data is 65 and names its field" {
	refuse 65 '^mailq-add: --to: ' --to 'not an address' --subject S --body B
	refuse 65 '^mailq-add: --cc: ' --to b@example.org --cc 'a@@b' --subject S --body B
	refuse 65 '^mailq-add: --from: ' --from 'a b@c' --to b@example.org --subject S --body B
	refuse 65 '^mailq-add: --id: ' --to b@example.org --subject S --body B --id ''
	refuse 65 '^mailq-add: --id: ' --to b@example.org --subject S --body B --id "$(printf '%0300d' 0)"
	refuse 65 '^mailq-add: --header: expected' --to b@example.org --subject S --body B --header 'no colon'
	refuse 65 '^mailq-add: --header Bcc: ' --to b@example.org --subject S --body B --header 'Bcc: x@example.org'
	refuse 65 '^mailq-add: --header Content-Type: ' --to b@example.org --subject S --body B \
		--header 'Content-Type: text/evil'
	printf 'caf\xe9\n' >latin1
	refuse 65 '^mailq-add: body: ' --to b@example.org --subject S --body-file latin1
}

@test "flags: no field injects a header, an SMTP command or a line of the record" {
	local evil=$'x\r\nBcc: evil@example.net' field

	for field in $'x\nRCPT TO:<evil@example.net>' "$evil" $'x\rBcc: evil@example.net' $'x\x7fy' $'x\x01y'; do
		refuse 65 subject --to b@example.org --body B --subject "$field"
		refuse 65 from --to b@example.org --body B --subject S --from "$field <a@example.com>"
		refuse 65 from --to b@example.org --body B --subject S --from "a@example.com$field"
		refuse 65 to --to "b@example.org$field" --body B --subject S
		refuse 65 cc --to b@example.org --cc "$field <c@example.org>" --body B --subject S
		refuse 65 bcc --to b@example.org --bcc "c@example.org$field" --body B --subject S
		refuse 65 header --to b@example.org --body B --subject S --header "X-Tag: $field"
		refuse 65 header --to b@example.org --body B --subject S --header "X-$field: 1"
		refuse 65 '--id' --to b@example.org --body B --subject S --id "$field"
		refuse 65 '--batch' --to b@example.org --body B --subject S --batch "$field"
		refuse 65 '--account' --to b@example.org --body B --subject S --account "$field"
		refuse 65 '^mailq-add: -f: ' --to b@example.org --body B --subject S -f "a@example.com$field"
		refuse 65 '^mailq-add: -F: ' --to b@example.org --body B --subject S -F "$field"
	done
	# Nor a line on standard error.
	run --separate-stderr mailq-add --to $'a@b\nmailq-add: all is well' --subject S --body B
	assert_equal "${#stderr_lines[@]}" 1 "lines on standard error"
}

@test "flags: an attachment's name may hold anything and breaks nothing" {
	local name=$'a"b\\c;\r\nX-Evil: 1.txt'

	echo data >"$name"
	run --separate-stderr mailq-add --to b@example.org --subject S --body B --attach "$name" --id X
	if [ "$status" -eq 0 ]; then
		! text X | grep -q '^X-Evil' || fail "injected: $(text X)"
	else
		assert_status 65
	fi
}

# ---- whole messages ----------------------------------------------------------------------------

@test "raw: recipients as arguments; the text byte for byte" {
	small | add b@example.org 'C <c@example.org>, d@example.org'
	assert_equal "$(recipients "$id")" "b@example.org c@example.org d@example.org"
	assert_equal "$(field "$id" subject)" Hello
	assert_equal "$(field "$id" from)" a@example.com
	assert_equal "$(header "$id" To)" b@example.org
	assert_match "$(header "$id" Message-ID)" '@host\.example>$'
	assert_match "$(header "$id" Date)" '20'
	assert_equal "$(text "$id" | tail -n 1)" $'Body\r'
}

@test "raw: -t takes To, Cc and Bcc, adds the arguments, and hides Bcc" {
	printf 'From: a@example.com\nTo: b@example.org,\n c@example.org\nCc: D <d@example.org>\nBcc: secret@example.net,\n other@example.net\nSubject: S\n\nB\n' |
		add -t -- e@example.org b@example.org
	assert_equal "$(recipients "$id" | tr ' ' '\n' | sort | paste -sd' ')" \
		"b@example.org c@example.org d@example.org e@example.org other@example.net secret@example.net"
	! text "$id" | grep -iqE 'bcc|example\.net' || fail "shown: $(text "$id")"
}

@test "raw: a line with a dot ends the message, unless -i or -oi" {
	printf 'Subject: S\n\none\n.\ntwo\n' >dotted
	add b@example.org <dotted
	! text "$id" | grep -q two || fail "read behind the dot"
	for flag in -i -oi -ti; do
		printf 'To: b@example.org\n' | cat - dotted | add "$flag" b@example.org
		text "$id" | tail -n 3 | cmp - <(printf 'one\r\n.\r\ntwo\r\n')
	done
}

@test "raw: flags in one word, and their arguments" {
	printf 'To: b@example.org\nSubject: S\n\n.\nend\n' >mail
	add -tioi <mail
	assert_equal "$(recipients "$id")" b@example.org
	add -ti -fuser@example.com <mail
	assert_equal "$(field "$id" sender)" user@example.com
	add -t -i -f user@example.com -oem -odb -om -bm -B8BITMIME -B 7BIT -Vsomething <mail
	assert_equal "$(field "$id" sender)" user@example.com
	add -i -r 'User <user@example.com>' b@example.org <mail
	assert_equal "$(field "$id" sender)" user@example.com
	add -ti -f '<>' <mail
	assert_equal "$(field "$id" sender)" ""
	add -ti -f '' <mail
	assert_equal "$(field "$id" sender)" ""
	add -ti -N success,Delay -R hdrs <mail
	assert_equal "$(field "$id" dsn-notify)" SUCCESS,DELAY
	assert_equal "$(field "$id" dsn-ret)" HDRS
	[ "$(queued)" -eq 7 ]
}

@test "raw: names without a domain get the host's, or the configured" {
	small | add root
	assert_equal "$(recipients "$id")" root@host.example
	configure 'qualify_domain = "example.net";'
	small | add -f me root
	assert_equal "$(recipients "$id")" root@example.net
	assert_equal "$(field "$id" sender)" me@example.net
}

@test "raw: the sender is -f, else configured, else the user; never the message's From" {
	small | add b@example.org
	assert_equal "$(field "$id" sender)" "$(id -un)@host.example"
	configure 'from = "App <app@example.com>";'
	small | add b@example.org
	assert_equal "$(field "$id" sender)" app@example.com
	configure 'from = "App <app@example.com>";' \
		'accounts: ( { id = "main"; host = "smtp.example.com"; from = "main@example.com"; from_name = "Main"; } );'
	small | add b@example.org
	assert_equal "$(field "$id" sender)" main@example.com
	small | add -f x@example.com b@example.org
	assert_equal "$(field "$id" sender)" x@example.com
	printf 'Subject: no author\n\nB\n' | add --account main b@example.org
	assert_equal "$(header "$id" From)" "Main <main@example.com>"
	printf 'Subject: no author\n\nB\n' | add -FCronDaemon -f cron@example.com b@example.org
	assert_equal "$(header "$id" From)" "CronDaemon <cron@example.com>"
}

@test "raw: eight bits are kept, and said" {
	printf 'Subject: S\n\ncaf\xe9 \x00 end\n' | add b@example.org
	text "$id" | tail -n 1 | cmp - <(printf 'caf\xe9 \x00 end\r\n')
	[[ $(message "$id" | head -n 1) == *' 8'* ]]
	small | add b@example.org
	[[ $(message "$id" | head -n 1) == *' -'* ]]
	# An envelope alone needs no SMTPUTF8 for all its recipients; an address in the header does.
	small | add 'bjørn@example.org'
	assert_match "$(message "$id" | head -n 1)" ' ---$'
	printf 'To: bjørn@example.org\nSubject: S\n\nB\n' | add -t
	assert_match "$(message "$id" | head -n 1)" ' .u.$'
}

@test "raw: a message with nothing in it is one" {
	add b@example.org </dev/null
	assert_match "$(header "$id" From)" "$(id -un)@host.example"
	printf 'just text\n' | add b@example.org
	assert_equal "$(text "$id" | tail -n 1)" $'just text\r'
}

@test "raw: 20 MB stream through a small process" {
	mkfifo in out
	mailq-add -i b@example.org <in >out 3>&- &
	local pid=$!

	exec 8>in 9<out
	printf 'Subject: S\n\n' >&8
	head -c 15000000 /dev/urandom | base64 >big
	cat big >&8
	local peak

	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
	exec 8>&-
	read -r id <&9
	wait "$pid"
	[ "$peak" -lt 16384 ] || fail "$peak kB"
	text "$id" | tail -n "$(wc -l <big)" | tr -d '\r' | cmp - big
}

@test "raw: misuse is 64" {
	refuse 64 'mailq-add: no recipient; expected recipients as arguments, or -t' </dev/null
	refuse 64 '-b: SMTP on standard input is not supported' -bs </dev/null
	refuse 64 '-b: mailq-add is no daemon' -bd </dev/null
	refuse 64 '-N: "sometimes" is neither' -N sometimes b@example.org </dev/null
	refuse 64 '-R: "all" is neither' -R all b@example.org </dev/null
	refuse 64 'expected an argument' -f </dev/null
}

@test "raw: bad data is 65" {
	refuse 65 'recipient "a@@b": ' a@@b < <(small)
	refuse 65 'recipient "a@b\\x0aRCPT' $'a@b\nRCPT TO:<x@y>' < <(small)
	refuse 65 '^mailq-add: -f: ' -f 'a@b c' b@example.org < <(small)
	refuse 65 '^mailq-add: -F: ' -F $'x\nBcc: evil@example.net' b@example.org < <(printf 'To: x\n\nB\n')
	refuse 65 'no recipient: the headers To, Cc and Bcc name no recipient' -t < <(printf 'Subject: S\n\nB\n')
	refuse 65 '[Tt]o: ' -t < <(printf 'To: a@@b\n\nB\n')
	refuse 65 'header' -i b@example.org < <(printf 'X: '; head -c 2000000 /dev/zero | tr '\0' 'x'; printf '\n\nB\n')
}

@test "too large is 65, in every form, and leaves nothing" {
	configure '' 'queue: { max_message_size = "64 KiB"; };'
	head -c 70000 /dev/zero | tr '\0' 'x' | fold -w 70 >big
	refuse 65 'the message is larger than 64.* KiB \(queue.max_message_size\)' b@example.org <big
	refuse 65 'larger than 64.* KiB \(queue.max_message_size\)' --to b@example.org --subject S --body-file big
	refuse 65 'larger than 64.* KiB \(queue.max_message_size\)' --to b@example.org --subject S --body B --attach big
	refuse 65 'line 1: messages\[0\]: the message is larger than 64.* KiB' --json \
		< <(printf '{"from":"a@b.example","to":"c@d.example","subject":"S","body":"%s"}' "$(tr '\n' ' ' <big)")
}

# ---- called as sendmail ------------------------------------------------------------------------

@test "sendmail: silent, unless -v" {
	ln -s "$(command -v mailq-add)" sendmail
	run --separate-stderr ./sendmail -t -i < <(small)
	assert_status 0
	assert_equal "$output$stderr" ""
	[ "$(queued)" -eq 1 ]
	run --separate-stderr ./sendmail -v -t -i < <(small)
	assert_status 0
	one_id
	assert_equal "$(field "$id" source)" "sendmail uid=$(id -u)"
}

@test "sendmail: behind the first recipient nothing is an option" {
	ln -s "$(command -v mailq-add)" sendmail
	printf 'To: other@example.net\n\nB\n' >mail
	local behind before=$(queued)

	# Neither obeyed nor mailed to: whoever called so hears of it.
	for behind in '-fevil@example.net' '-f evil@example.net' '-t' '-s Subject' '-' '--help' '-Xtrace c@example.org' \
		'c@example.org -t -- d@example.org' ' -t'; do
		run --separate-stderr ./sendmail -v -i b@example.org $behind <mail
		assert_status 64
		assert_match "$stderr" '"-.*" follows a recipient: .* after "--"'
	done
	run --separate-stderr ./sendmail -v -i - <mail
	assert_status 64
	run --separate-stderr ./sendmail -v -F -- b@example.org -t <mail
	assert_status 64
	run --separate-stderr mailq-add -i - <mail
	assert_status 64
	assert_equal "$(queued)" "$before"
	[ ! -e trace ]
}

@test "sendmail: behind -- all are recipients" {
	ln -s "$(command -v mailq-add)" sendmail
	run --separate-stderr ./sendmail -v -i -- -fevil@example.net - -t <<<B
	assert_status 0
	one_id
	assert_equal "$(field "$id" sender)" "$(id -un)@host.example"
	assert_equal "$(recipients "$id")" "-fevil@example.net -@host.example -t@host.example"
	run --separate-stderr ./sendmail -v -i b@example.org -- -c@example.net <<<B
	assert_status 0
	one_id
	assert_equal "$(recipients "$id")" "b@example.org -c@example.net"
	run --separate-stderr mailq-add -i b@example.org -f me@example.org -- -c@example.net <<<B
	assert_status 0
	one_id
	assert_equal "$(field "$id" sender)" me@example.org
	assert_equal "$(recipients "$id")" "b@example.org -c@example.net"
}

@test "what begins with a dash is an option in the wrong place, and no address" {
	ln -s "$(command -v mailq-add)" sendmail
	# "sendmail -f $sender -i root", and there is none
	run --separate-stderr ./sendmail -f -i root <<<B
	assert_status 64
	assert_equal "$stderr" \
		'sendmail: -f: "-i" begins with "-": an option, and no address (Try '"'sendmail --help')"
	run ./sendmail -r -fme@example.org root <<<B
	assert_status 64
	local option

	for option in --to --cc --bcc --from; do
		run --separate-stderr mailq-add --from a@b.example --to c@d.example --subject S --body B \
			"$option" -fevil@example.net
		assert_status 64
		assert_match "$stderr" "^mailq-add: $option: \"-fevil@example.net\" begins with"
	done
	# In a header or in JSON it may be one, but no name of a user's that wants a domain.
	run --separate-stderr ./sendmail -v -t <<<$'To: b@example.org, -f\n\nB'
	assert_status 65
	assert_match "$stderr" 'To: "-f": "-f" begins with "-" and has no domain'
	run --separate-stderr mailq-add --json <<<'{"from":"a@b.example","to":["-t"],"subject":"S","body":"B"}'
	assert_status 65
	assert_match "$stderr" '"-t" begins with "-" and has no domain'
	assert_equal "$(queued)" 0
	run --separate-stderr ./sendmail -v -t <<<$'To: -b@example.org, "-c"@example.org\n\nB'
	assert_status 0
	one_id
	assert_equal "$(recipients "$id")" "-b@example.org -c@example.org"
	run --separate-stderr mailq-add --json \
		<<<'{"from":"-a@b.example","to":["-b@example.org"],"subject":"S","body":"B"}'
	assert_status 0
	one_id
	assert_equal "$(field "$id" sender)" -a@b.example
	assert_equal "$(recipients "$id")" -b@example.org
	mailq-add --from '-- Team -- <a@b.example>' --to c@d.example --subject S --body B
}

@test "sendmail: other flags of other sendmails" {
	ln -s "$(command -v mailq-add)" sendmail
	run --separate-stderr ./sendmail -v -G -Am -C/etc/mail/sendmail.cf -d0.1 -h 3 -L tag -m -n -O Foo=bar \
		-ooption -p smtp -U -Xtrace -x b@example.org < <(small)
	[ "$status" -eq 64 ]
	run --separate-stderr ./sendmail -v -G -Am -C/etc/mail/sendmail.cf -d0.1 -h 3 -L tag -m -n -O Foo=bar \
		-ooption -p smtp -U -Xtrace b@example.org < <(small)
	assert_status 0
	[ ! -e trace ]
	run ./sendmail -bi
	assert_status 0
	run ./sendmail -I
	assert_status 0
	run ./sendmail -bs </dev/null
	assert_status 64
	run ./sendmail -q30m
	assert_status 64
	run ./sendmail --help
	assert_status 0
	assert_match "$output" 'Usage: sendmail'
}

@test "sendmail: -bp and -q become the programs beside it" {
	local real

	real=$(command -v mailq-add)
	mkdir bin
	cp "$real" bin/sendmail
	printf '#!/bin/sh\necho status "$@"\n' >bin/mailq-status
	printf '#!/bin/sh\necho run "$@"\n' >bin/mailq-run
	chmod +x bin/*
	run bin/sendmail -bp
	assert_equal "$output" 'status list'
	run bin/sendmail -q
	assert_equal "$output" 'run --now'
	rm bin/mailq-run
	run bin/sendmail -q
	assert_status 69
	assert_match "$output" '^sendmail: .*/bin/mailq-run: No such file'
}

# ---- JSON --------------------------------------------------------------------------------------

msg() { # ID [MORE]
	printf '{"id":"%s","from":"a@example.com","to":["b@example.org"],"subject":"S %s","body":"B"%s}' \
		"$1" "$1" "${2:-}"
}

@test "json: an object, an array, messages in an object, lines" {
	add --json < <(msg one)
	assert_equal "$(header one Subject)" "S one"
	run --separate-stderr mailq-add --json - < <(printf '[%s,\n %s]' "$(msg two)" "$(msg three)")
	assert_equal "$output" $'two\nthree'
	printf '{"messages":[%s,%s],"default_priority":1}' "$(msg four)" "$(msg five)" >file.json
	run --separate-stderr mailq-add --json file.json
	assert_equal "$output" $'four\nfive'
	run --separate-stderr mailq-add --json=file.json
	assert_status 0
	assert_equal "$output" ""
	{ msg six; echo; echo; msg seven; echo; } >lines.jsonl
	{ msg eight; } >more.jsonl
	run --separate-stderr mailq-add --json lines.jsonl more.jsonl
	assert_status 0
	assert_equal "$output" $'six\nseven\neight'
	[ "$(queued)" -eq 8 ]
}

@test "json: every field of a message" {
	configure '' 'accounts: ( { id = "main"; host = "smtp.example.com"; } );'
	cat >m.json <<-'END'
	{ "id": "n/1", "account_id": "main", "from": "Zoë <z@example.com>", "to": "b@example.org, c@example.org",
	  "cc": ["d@example.org"], "bcc": "secret@example.net", "reply_to": "r@example.com",
	  "return_path": "bounces@example.com", "message_id": "<fixed@example.com>",
	  "subject": "Привет", "body": "<p>ü</p>", "content_type": "html",
	  "headers": { "X-Tag": "7", "X-None": null },
	  "attachments": [ { "filename": "a.txt", "content": "aGVsbG8K" } ],
	  "priority": "immediate", "deferred_ts": 4102444800, "batch_code": "spring" }
	END
	add --json m.json
	assert_equal "$id" n/1
	id=n%2F1
	assert_equal "$(field $id id)" n/1
	assert_equal "$(field $id account)" main
	assert_equal "$(field $id batch)" spring
	assert_equal "$(field $id priority)" 0
	assert_equal "$(field $id due)" 4102444800.000000
	assert_equal "$(field $id sender)" bounces@example.com
	assert_equal "$(recipients $id)" "b@example.org c@example.org d@example.org secret@example.net"
	assert_equal "$(field $id message-id)" fixed@example.com
	assert_equal "$(header $id Reply-To)" r@example.com
	assert_equal "$(header $id X-Tag)" 7
	! text $id | grep -qE 'X-None|secret' || fail "$(text $id)"
	[[ $(message_file $id) == */deferred/main,spring/* ]]
}

@test "json: what the options say holds where a message does not" {
	configure '' 'accounts: ( { id = "main"; host = "a.example"; }, { id = "backup"; host = "b.example"; } );'
	{ msg one; echo; msg two ',"account_id":"main","priority":3,"batch_code":"own"'; } >in
	run --separate-stderr mailq-add --json in --account backup --priority 1 --batch all -N never
	assert_status 0
	assert_equal "$(field one account) $(field one priority) $(field one batch) $(field one dsn-notify)" \
		"backup 1 all NEVER"
	assert_equal "$(field two account) $(field two priority) $(field two batch)" "main 3 own"
}

@test "json: from may be left to the configuration" {
	printf '{"id":"x","to":"b@example.org","subject":"S","body":"B"}' >in
	refuse 65 'line 1: messages\[0\]\.from: field required' --json in
	configure 'from = "App <app@example.com>";'
	add --json in
	assert_equal "$(header x From)" "App <app@example.com>"
	sed -i s/'"x"'/'"y"'/ in
	add --json in --from 'Other <other@example.com>'
	assert_equal "$(header y From)" "Other <other@example.com>"
}

@test "json: the bad are named with line and reason, the good are queued" {
	{
		msg one
		echo
		echo '{"id":"two","from":"a@example.com","to":["b@example.org"],"body":"B"}'
		echo '{"id":"three","from":"a@example.com",'
		msg four
		echo
		echo '{"id":"five","from":"a@example.com","to":[],"subject":7,"body":"B"}'
		msg six ',"account_id":"nobody"'
		echo
		msg seven ',"priority":"soon"'
		echo
		echo '[]'
		echo 'nonsense'
		msg eight
		echo
	} >in
	run --separate-stderr mailq-add --json in
	assert_status 65
	assert_equal "$output" $'one\nfour\neight'
	assert_match "$stderr" 'mailq-add: in: line 2: messages\[1\]\.subject: field required'
	assert_match "$stderr" 'mailq-add: in: line 3'
	assert_match "$stderr" 'mailq-add: in: line 5: messages\[4\]\.to: '
	assert_match "$stderr" 'mailq-add: in: line 5: messages\[4\]\.subject: '
	assert_match "$stderr" 'mailq-add: in: line 6: messages\[5\]\.account_id: no account "nobody" \(known: .*capture'
	assert_match "$stderr" 'mailq-add: in: line 7: messages\[6\]\.priority: '
	assert_match "$stderr" 'mailq-add: in: line 9'
	[ "$(queued)" -eq 3 ]
	nothing_open
}

@test "json: a field that is not known is told once" {
	{ msg one ',"subjct":1'; echo; msg two ',"subjct":1'; } >in
	run --separate-stderr mailq-add --json in
	assert_status 0
	assert_equal "$output" $'one\ntwo'
	assert_equal "${#stderr_lines[@]}" 1 "warnings"
	assert_match "$stderr" 'line 1: unknown field "subjct" ignored'
	{ msg three ',"subjct":1'; } >in
	run --separate-stderr mailq-add -q --json in
	assert_equal "$stderr" ""
}

@test "json: an input that is cut off loses its last message only" {
	{ msg one; echo; msg two; echo; msg three | head -c 40; } >in
	run --separate-stderr mailq-add --json in
	assert_status 65
	assert_equal "$output" $'one\ntwo'
	assert_match "$stderr" '^mailq-add: in: line 3: '
	{ printf '{"messages":['; msg four; printf ','; msg five | head -c 20; } >in
	run --separate-stderr mailq-add --json in
	assert_status 65
	assert_equal "$output" four
}

@test "json: of many faults of the syntax a hundred are told, and how many more" {
	{ yes '{"from":}' | head -n 150; msg good; echo; yes '{x}' | head -n 50; } >in
	run --separate-stderr mailq-add --json in
	assert_status 65
	assert_equal "$output" good
	assert_equal "${#stderr_lines[@]}" 101
	assert_match "${stderr_lines[99]}" '^mailq-add: in: line 100, byte 9: '
	assert_match "${stderr_lines[100]}" '^mailq-add: in: and 100 more that cannot be read$'
	# What is JSON and no message is told of each time, with its place.
	yes '{}' | head -n 150 >in
	run --separate-stderr mailq-add --json in
	assert_equal "$(grep -c 'messages\[[0-9]*\]\.subject: field required' <<<"$stderr")" 150
}

@test "json: no message at all is none, and no fault" {
	run --separate-stderr mailq-add --json </dev/null
	assert_status 0
	assert_equal "$output$stderr" ""
	run --separate-stderr mailq-add --json < <(echo '{"messages":[]}')
	assert_status 0
	assert_equal "$output$stderr" ""
}

@test "json: no field injects" {
	local field

	for field in from to cc bcc reply_to return_path message_id subject id account_id batch_code; do
		/usr/bin/python3 - "$field" >in <<-'END'
		import json, sys
		for evil in "x\r\nBcc: evil@example.net", "x\nDATA", "x\ry", "a@b.example\n", "\u2028\x07", "\u0085\x85":
		    m = {"from": "a@example.com", "to": "b@example.org", "subject": "S", "body": "B"}
		    m[sys.argv[1]] = evil
		    print(json.dumps(m))
		for evil in "x\r\nBcc: evil@example.net", "X\n", "X:", "X Y", "":
		    print(json.dumps({**m, sys.argv[1]: "", "headers": {evil: "1"}}))
		    print(json.dumps({"from": "a@example.com", "to": "b@example.org", "subject": "S", "body": "B",
		        "headers": {evil: "1"}}))
		print(json.dumps({"from": "a@example.com", "to": "b@example.org", "subject": "S", "body": "B",
		    "headers": {"X": "1\r\nBcc: evil@example.net"}}))
		END
		run --separate-stderr mailq-add --json in
		assert_status 65
		assert_equal "$output" "" "ids printed for $field"
		assert_match "$stderr" "messages\[0\]\.$field"
		assert_match "$stderr" "messages\[6\]"
		! grep -qP '[\x00-\x09\x0b-\x1f]' <<<"$stderr" || fail "raw control characters on standard error"
	done
	nothing_queued
}

@test "json: files only from below the configured directories" {
	mkdir -p allowed/sub other
	echo inside >allowed/sub/a.txt
	echo outside >other/b.txt
	ln -s ../other/b.txt allowed/link
	ln -s sub/a.txt allowed/good-link
	mkfifo allowed/pipe
	attach() {
		printf '{"from":"a@example.com","to":"b@example.org","subject":"S","body":"B","attachments":[{"path":"%s"}]}' \
			"$1" >in
	}
	attach "$PWD/allowed/sub/a.txt"
	refuse 65 'attachments\[0\].*expected a file that can be read below a directory of attachments.paths' --json in
	configure '' "attachments: { paths = [ \"$PWD/allowed\" ]; };"
	local path

	for path in "$PWD/other/b.txt" "$PWD/allowed/../other/b.txt" "$PWD/allowed/link" "$PWD/allowed" \
		"$PWD/allowed/good-link" "$PWD/allowed/sub/../sub/a.txt" \
		allowed/sub/a.txt /etc/passwd "$PWD/allowed/pipe" "$PWD/allowed/nowhere" "$PWD/allowedx"; do
		attach "$path"
		refuse 65 'attachments\[0\]' --json in
	done
	attach "$PWD/allowed/sub/a.txt"
	add --json in
	text "$id" | grep -q "$(base64 <<<inside)"
}

@test "json: misuse is 64" {
	refuse 64 '--subject cannot be combined with --json' --json --subject S
	refuse 64 '--id cannot be combined with --json' --json --id X
	refuse 64 '-t cannot be combined with --json' --json -t
	refuse 66 'nowhere.json: No such file' --json nowhere.json
	refuse 65 '^mailq-add: --account: no account "nobody" \(known: ' --json --account nobody </dev/null
}

@test "json: 100,000 lines in a small process, each once and in order" {
	mkfifo in
	mailq-add --json <in >ids 3>&- &
	local pid=$!

	exec 8>in
	awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"id\":\"m%06d\",\"from\":\"a@example.com\",\"to\":[\"u%d@example.org\"],\"subject\":\"S %d\",\"body\":\"Hello %d\"}\n", i, i, i, i }' >&8
	wait_for -t 600 file_lines ids 100000
	local peak

	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
	exec 8>&-
	wait "$pid"
	[ "$peak" -lt 16384 ] || fail "$peak kB"
	cmp ids <(seq -f 'm%06.0f' 0 99999)
	[ "$(queued)" -eq 100000 ]
	# First in, first out, by the names alone.
	find "$MAILQ_SPOOL/waiting" -type f -printf '%f\n' | sort -t. -k1,1n -k2,2n -k3,3n -k5,5n |
		cut -d. -f6 | cmp - ids
}

@test "json: one fault in each of many lines; memory stays" {
	mkfifo in
	mailq-add --json <in >ids 2>faults 3>&- &
	local pid=$!

	exec 8>in
	yes '{"from":"a@example.com","to":["x"],"body":[[[]]],"unknown":{"a":1}}' | head -n 20000 >&8
	wait_for -t 600 eval '[ "$(grep -c "subject: field required" faults)" -eq 20000 ]'
	local peak

	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
	exec 8>&-
	wait "$pid" && status=0 || status=$?
	assert_status 65
	[ ! -s ids ]
	[ "$peak" -lt 16384 ] || fail "$peak kB"
	nothing_queued
}

# ---- duplicates, accounts, configuration -------------------------------------------------------

@test "a known id is not queued twice, is named, and is no failure" {
	small | add --id X b@example.org
	run --separate-stderr mailq-add --id X c@example.org < <(small)
	assert_status 0
	assert_equal "$output" ""
	assert_equal "$stderr" 'mailq-add: duplicate id "X"; not queued'
	assert_equal "$(recipients X)" b@example.org
	{ msg Y; echo; msg X; echo; msg Y; echo; msg Z; } >in
	run --separate-stderr mailq-add --json in
	assert_status 0
	assert_equal "$output" $'Y\nZ'
	assert_equal "${#stderr_lines[@]}" 2
	[ "$(queued)" -eq 3 ]
}

@test "of many adders of one id, one has it" {
	local i pids=()

	for i in 1 2 3 4 5 6 7 8; do
		small | mailq-add --id X b@example.org >"out.$i" 2>"err.$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	assert_equal "$(cat out.*)" X
	assert_equal "$(cat err.* | wc -l)" 7
	[ "$(queued)" -eq 1 ]
}

@test "an account that there is not is refused at the door" {
	configure '' 'accounts: ( { id = "main"; host = "a.example"; }, { id = "backup"; host = "b.example"; } );'
	refuse 65 '^mailq-add: --account: no account "x" \(known: main, backup' --account x b@example.org < <(small)
	refuse 65 'no account "x"' --account x --to b@example.org --subject S --body B
	small | add --account backup b@example.org
	assert_equal "$(field "$id" account)" backup
}

@test "a configured sender that is no address is told of at once, whoever writes" {
	configure 'from = "not an address";'
	refuse 78 '^mailq-add: delivery\.from: ' --from a@example.com --to b@example.org --subject S --body B
	configure '' "$(printf 'accounts: (\n{ id = "main"; host = "a.example"; from = "x x"; } );')"
	refuse 78 'mailq\.conf:3: accounts: from: ' --from a@example.com --to b@example.org --subject S --body B
}

@test "a configuration with a fault is 78 and names file and line" {
	printf '\n\nnonsense = 1;\n' >"$MAILQ_CONFIG"
	refuse 78 'mailq.conf:3: .*nonsense' b@example.org < <(small)
	rm "$MAILQ_CONFIG"
	refuse 66 'mailq.conf' b@example.org < <(small)
}

@test "a spool that cannot be made, written or read has its own status" {
	run --separate-stderr mailq-add -s /proc/nowhere/spool b@example.org < <(small)
	assert_status 73
	mkdir notours
	chmod 777 notours
	run --separate-stderr mailq-add -s "$PWD/notours" b@example.org < <(small)
	assert_status 74
	assert_match "$stderr" 'open to all; expected 0700'
	mkdir -m 700 mine
	touch mine/notes.txt
	run --separate-stderr mailq-add -s "$PWD/mine" b@example.org < <(small)
	assert_status 78
	assert_match "$stderr" 'it is not a spool .*, and not empty$'
	assert_equal "$(ls mine)" notes.txt
	mkdir -m 700 other
	echo 'mailq-spool 99' >other/mailq-spool
	run --separate-stderr mailq-add -s "$PWD/other" b@example.org < <(small)
	assert_status 78
}

@test "too little space is 75" {
	configure '' 'queue: { min_free_space = "1000 TiB"; };'
	refuse 75 'free on its file system' b@example.org < <(small)
	refuse 75 'free on its file system' --to b@example.org --subject S --body B
	refuse 75 'free on its file system' --json < <(msg one)
}

@test "where the ids cannot be told, it says so and stops" {
	run --separate-stderr bash -c 'mailq-add --json < <(for i in 1 2 3; do echo "$1"; done) >/dev/full' - "$(
		printf '{"from":"a@example.com","to":"b@example.org","subject":"S","body":"B"}')"
	assert_status 74
	assert_match "$stderr" 'standard output: No space left on device'
	[ "$(queued)" -eq 3 ]
	nothing_open
}

@test "nobody reads the ids any more: what it says is not queued is not" {
	mkfifo pipe
	for count in 30 3000; do
		rm -rf "$MAILQ_SPOOL"
		seq -f '{"id":"m%04.0f","from":"a@example.com","to":"b@example.org","subject":"S","body":"B"}' 1 $count >in
		exec 8<>pipe 9>pipe 8<&-
		run -74 --separate-stderr bash -c 'mailq-add --json in >&9'
		exec 9>&-
		assert_equal "${#stderr_lines[@]}" 2
		assert_match "${stderr_lines[0]}" 'the ids of queued messages cannot be printed: standard output: Broken pipe'
		if [ "$count" -eq 30 ]; then
			assert_equal "${stderr_lines[1]}" 'mailq-add: in: what begins behind line 30 is not queued'
			assert_equal "$(queued)" 30
		else
			assert_match "${stderr_lines[1]}" 'in: what begins at line [0-9]+ or later is not queued'
			assert_equal "what begins at line $(($(queued) + 1)) or" "$(grep -o 'what begins.* or' <<<"${stderr_lines[1]}")"
		fi
	done
	nothing_open
}

@test "a spool that cannot take it all: what was told is queued, and it says from where on" {
	awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"id\":\"m%04d\",\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"subject\":\"S\",\"body\":\"%0*d\"}\n", i, i < 1000 ? 10 : 900, i }' >in
	local told

	# Drafts of small messages stay below the limit of a file's size, those of the large do not.
	run --separate-stderr bash -c "trap '' XFSZ; ulimit -f 300; mailq-add --json in"
	assert_status 74
	told=${#lines[@]}
	[ "$told" -gt 0 ] && [ "$told" -le 1000 ]
	assert_equal "$output" "$(seq -f 'm%04.0f' 0 "$((told - 1))")"
	assert_match "$stderr" 'mailq-add: spool .*: cannot write a message: File too large'
	assert_match "$stderr" "mailq-add: in: what begins at line $((told + 1)) or later is not queued"
	assert_equal "$(queued)" "$told" "messages in the queue"
	nothing_open
	# Said again, all are there once.
	run --separate-stderr mailq-add -q --json in
	assert_status 0
	[ "$(queued)" -eq 3000 ]
}

# ---- ended in the middle -----------------------------------------------------------------------

# Starts an adder that has told of two messages and has half of a third; its pid in pid.
start_halfway() {
	mkfifo in out
	mailq-add --json <in >out 3>&- &
	pid=$!
	exec 8>in 9<out
	{ msg one; echo; msg two; echo; msg three | head -c 60; } >&8
	read -r -t 90 first <&9
	read -r -t 90 second <&9
	assert_equal "$first $second" "one two"
}

@test "ended by a signal: what was told is queued, and nothing else" {
	local signal want

	for signal in TERM INT HUP KILL; do
		rm -rf in out "$MAILQ_SPOOL"
		# In a group of its own, as bash ignores INT for what runs in the background.
		set -m
		start_halfway
		set +m
		kill -s "$signal" "$pid"
		wait "$pid" 2>/dev/null && status=0 || status=$?
		[ "$status" -gt 128 ] || fail "status $status after $signal"
		exec 8>&- 9<&-
		assert_equal "$(queued)" 2 "queued after $signal"
		assert_equal "$(header one Subject),$(header two Subject)" "S one,S two"
	done
}

@test "the reader of the ids goes: what was told is queued, and nothing is half done" {
	start_halfway
	exec 9<&-
	msg three | tail -c +61 >&8
	exec 8>&-
	wait "$pid" && status=0 || status=$?
	assert_status 74
	# The third was committed before it could not be told.
	[ "$(queued)" -eq 3 ]
	nothing_open
}

@test "a slow writer's messages do not wait for more" {
	start_halfway
	[ "$(queued)" -eq 2 ]
	msg three | tail -c +61 >&8
	echo >&8
	read -r -t 90 third <&9
	assert_equal "$third" three
	exec 8>&-
	wait "$pid"
	exec 9<&-
}
