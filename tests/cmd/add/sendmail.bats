#!/usr/bin/env bats
# mailq-add in the place of sendmail, called by those who call sendmail.

load ../../helpers/common
load ../../helpers/add

setup() {
	add_setup
	mkdir bin
	# A link, as "make install-sendmail" makes one.
	ln -s "$(command -v mailq-add)" bin/sendmail
	sendmail=$PWD/bin/sendmail
}
teardown() { common_teardown; }

# The ids of all that is queued, in order.
ids() {
	find "$MAILQ_SPOOL/waiting" -type f -printf '%f\n' | sort -t. -k1,1n -k2,2n -k3,3n -k5,5n | cut -d. -f6
}

# Takes the only message: its id in id, its text in the file mail.
only_message() {
	assert_equal "$(queued)" 1 "messages in the queue"
	id=$(ids)
	text "$id" >mail
}

# Runs Python with the message in the file mail as "mail".
check_mail() {
	/usr/bin/python3 -c 'import email, email.policy, sys
mail = email.message_from_binary_file(open("mail", "rb"), policy=email.policy.default)
exec(sys.stdin.read())'
}

@test "cron: as Debian's calls it" {
	printf '%s\n' 'From: root (Cron Daemon)' 'To: root' 'Subject: Cron <root@host> backup' \
		'MIME-Version: 1.0' 'Content-Type: text/plain; charset=UTF-8' \
		'Content-Transfer-Encoding: 8bit' 'X-Cron-Env: <SHELL=/bin/sh>' '' 'tar: café: gone' '.' 'end' |
		"$sendmail" -i -FCronDaemon -B8BITMIME -oem root
	only_message
	assert_equal "$(recipients "$id")" root@host.example
	assert_equal "$(field "$id" sender)" "$(id -un)@host.example"
	assert_equal "$(header "$id" Subject)" 'Cron <root@host> backup'
	[[ $(message "$id" | head -n 1) == *' 8'* ]]
	tail -n 3 mail | cmp - <(printf 'tar: café: gone\r\n.\r\nend\r\n')
}

@test "git send-email: a series of patches" {
	git init -q repo
	git -C repo config user.name 'Zoë Author'
	git -C repo config user.email zoe@example.com
	local i

	for i in 1 2 3; do
		printf '%s\n' "line $i" '.' 'From here on' >"repo/file$i"
		git -C repo add .
		git -C repo commit -qm "add file $i: größer"
	done
	git -C repo format-patch -q --root -o ../patches
	cd repo
	run git send-email --quiet --confirm=never --suppress-cc=all --smtp-server="$sendmail" \
		--envelope-sender=auto --from='Zoë Author <zoe@example.com>' --to='List <list@example.org>' \
		--cc=dev@example.org --bcc=secret@example.net ../patches/*.patch
	assert_status 0
	cd ..
	assert_equal "$(queued)" 3 "messages in the queue"
	i=0
	for id in $(ids); do
		i=$((i + 1))
		assert_equal "$(field "$id" sender)" zoe@example.com
		assert_equal "$(recipients "$id" | tr ' ' '\n' | sort | paste -sd' ')" \
			"dev@example.org list@example.org secret@example.net"
		assert_match "$(field "$id" subject)" "^\[PATCH $i/3\] add file $i: größer$"
		text "$id" >mail
		! grep -qi secret mail || fail "Bcc is shown"
		check_mail <<-END
		import subprocess
		body = mail.get_payload(decode=True).decode()
		assert "+line $i" in body and "\n+.\n" in body and "+From here on" in body, body
		assert mail["From"].addresses[0].display_name == "Zoë Author"
		END
	done
	# What arrives can be applied again.
	git init -q other
	git -C other config user.name Other
	git -C other config user.email other@example.com
	for id in $(ids); do
		text "$id" >mail
		git -C other am -q --no-keep-cr ../mail 2>am.log || git -C other am -q --keep-non-patch ../mail
	done
	cmp repo/file3 other/file3
}

@test "s-nail: a mail with an attachment" {
	printf 'a,b\r\n1,2\r\n' >table.csv
	printf 'Grüße\n.\nEnde\n' | s-nail -n -S v15-compat -S "mta=$sendmail" -S ttycharset=utf-8 \
		-r 'Zoë <zoe@example.com>' -s 'Größe der Tabelle' -c c@example.org -b secret@example.net \
		-a table.csv b@example.org
	wait_for eval '[ "$(queued)" -eq 1 ]'
	only_message
	assert_equal "$(field "$id" sender)" zoe@example.com
	assert_equal "$(recipients "$id" | tr ' ' '\n' | sort | paste -sd' ')" \
		"b@example.org c@example.org secret@example.net"
	! grep -qi secret mail || fail "Bcc is shown"
	check_mail <<-'END'
	assert mail["Subject"] == "Größe der Tabelle"
	parts = list(mail.iter_parts())
	assert parts[0].get_content() == "Grüße\n.\nEnde\n", parts[0].get_content()
	assert parts[1].get_filename() == "table.csv"
	assert parts[1].get_content().split() == ["a,b", "1,2"]
	END
}

@test "mutt: a mail with an attachment" {
	head -c 5000 /dev/urandom >noise.bin
	echo 'set copy=no' >muttrc
	printf 'Grüße\n.\nEnde\n' | mutt -n -F muttrc -e "set sendmail='$sendmail -oem -oi'" \
		-e 'set from="Zoë <zoe@example.com>"' -e 'set use_envelope_from=yes' -e 'set charset=utf-8' \
		-s 'Größe' -c c@example.org -b secret@example.net -a noise.bin -- b@example.org
	only_message
	assert_equal "$(field "$id" sender)" zoe@example.com
	assert_equal "$(recipients "$id" | tr ' ' '\n' | sort | paste -sd' ')" \
		"b@example.org c@example.org secret@example.net"
	! grep -qi secret mail || fail "Bcc is shown"
	check_mail <<-'END'
	assert mail["Subject"] == "Größe"
	parts = list(mail.iter_parts())
	assert parts[0].get_content() == "Grüße\n.\nEnde\n", parts[0].get_content()
	assert parts[1].get_payload(decode=True) == open("noise.bin", "rb").read()
	END
}

@test "PHP's mail()" {
	run php -n -d "sendmail_path=$sendmail -t -i" -r '
		$ok = mail("B <b@example.org>, c@example.org", "=?UTF-8?B?" . base64_encode("Größe") . "?=",
		    "Grüße\n.\nEnde\n", ["From" => "shop@example.com", "Bcc" => "secret@example.net",
		    "Content-Type" => "text/plain; charset=utf-8"], "-fbounces@example.com");
		exit($ok ? 0 : 1);'
	assert_status 0
	assert_equal "$output" ""
	only_message
	assert_equal "$(field "$id" sender)" bounces@example.com
	assert_equal "$(field "$id" subject)" 'Größe'
	assert_equal "$(recipients "$id")" "b@example.org c@example.org secret@example.net"
	! grep -qi secret mail || fail "Bcc is shown"
	# PHP's own line ends are a mixture; here they are all CRLF.
	assert_equal "$(grep -c '' mail)" "$(grep -c $'\r$' mail)"
	tail -n 4 mail | cmp - <(printf 'Grüße\r\n.\r\nEnde\r\n\r\n')
}

@test "PHP hears of a message that is refused" {
	run php -n -d "sendmail_path=$sendmail -t -i" -d display_errors=stderr \
		-r 'exit(mail("a@@b", "S", "B") ? 0 : 1);'
	assert_status 1
	[ "$(queued)" -eq 0 ]
}

@test "Python and Perl scripts that pipe into sendmail" {
	/usr/bin/python3 - "$sendmail" <<-'END'
	import email.message, subprocess, sys
	m = email.message.EmailMessage()
	m["From"], m["To"], m["Subject"] = "a@example.com", "b@example.org", "Größe"
	m.set_content("Grüße\n")
	subprocess.run([sys.argv[1], "-t", "-oi"], input=m.as_bytes(), check=True)
	END
	perl -e 'open(my $mail, "|-", $ARGV[0], "-oi", "-t", "-odq") or die;
		print $mail "From: a\@example.com\nTo: b\@example.org\nSubject: perl\n\nBody\n";
		close($mail) or die' "$sendmail"
	assert_equal "$(for id in $(ids); do field "$id" subject; done | paste -sd' ')" "Größe perl"
}
