# mailq-status: looking at the queue, and acting on messages in it.

load ../../helpers/common
setup() {
	common_setup
	export MAILQ_CONFIG=$BATS_TEST_TMPDIR/mailq.conf
	echo 'delivery: { hostname = "host.example"; };' >"$MAILQ_CONFIG"
}
teardown() { common_teardown; }

add() { # [OPTION...]
	mailq-add --from me@example.com --to you@example.org --subject Hello --body Hi "$@"
}

json() { # FILTER: of what the last command printed
	jq -r "$1" <<<"$output"
}

# Where a message stands: "waiting", "held" and so on, "cur", or nothing.
state() { # ID
	(cd "$MAILQ_SPOOL" && find waiting deferred held uncertain failed cur -type f -name "*.$1" | cut -d/ -f1)
}

# Claims a message as a mailq-run would that is at work: its journal is locked by this shell.
claim() { # ID
	mkdir -p "$MAILQ_SPOOL/cur/1732170240.000000.abcdefgh/default"
	exec 9>"$MAILQ_SPOOL/cur/1732170240.000000.abcdefgh/journal"
	flock 9
	mv "$MAILQ_SPOOL"/waiting/default/*/*."$1" "$MAILQ_SPOOL/cur/1732170240.000000.abcdefgh/default/"
}

# The delivery of a message is put off: an attempt, and due in an hour.
defer() { # ID
	local file name

	file=$(echo "$MAILQ_SPOOL"/waiting/default/*/*."$1")
	name=${file##*/}
	mkdir -p "$MAILQ_SPOOL/deferred/default/2.0"
	mv "$file" "$MAILQ_SPOOL/deferred/default/2.0/2.$(($(date +%s) + 3600)).000000.1.${name#*.*.*.*.}"
}

@test "a spool that is not there yet is made, and empty" {
	run -0 --separate-stderr mailq-status
	assert_equal "$stderr" ''
	assert_match "$output" '0 messages'
	[ -f "$MAILQ_SPOOL/mailq-spool" ]
	run -0 mailq-status list --json
	assert_equal "$output" ''
	run -0 mailq-status log
	assert_equal "$output" ''
	run -0 mailq-status check
	assert_equal "$output" '0 messages read, 0 faults, 0 repaired'
}

@test "the glance counts states, accounts and batches" {
	add --id a
	add --id b --batch spring
	add --id c --at +2h --batch spring
	add --id d
	mailq-status hold d
	run -0 mailq-status
	assert_match "$output" '4 messages'
	assert_match "$output" 'waiting +2  oldest due .*ago\)|waiting +2  oldest due .*now\)'
	assert_match "$output" 'deferred +1  next due .*\(in (2h|1h 5[0-9]m)\)'
	assert_match "$output" 'held +1'
	assert_match "$output" 'default +1 +1 +0 +0 +0 +0  spring'
	run -0 mailq-status --json
	assert_equal "${#lines[@]}" 1
	assert_equal "$(json '[.messages[]] | @csv')" '2,1,0,1,0,0'
	assert_equal "$(json '.accounts | length')" 2
	assert_equal "$(json '.accounts[1] | [.account, .batch, .waiting, .deferred] | @csv')" '"default","spring",1,1'
	assert_equal "$(json '.parked | length')" 0
	assert_equal "$(json .runners)" 0
	assert_equal "$(json .spool)" "$MAILQ_SPOOL"
}

@test "the glance says which account rests, and until when" {
	add
	{
		printf 'until: %s.000000\n' $(($(date +%s) + 7199))
		printf 'since: %s.000000\n' $(($(date +%s) - 60))
		printf 'faults: 3\nclass: auth\nreason: 535 5.7.8 no \033[31mred\n'
	} >"$MAILQ_SPOOL/parked/capture"
	printf 'until: 1.000000\nfaults: 1\nclass: tls\nreason: long ago\n' >"$MAILQ_SPOOL/parked/old"
	run -0 mailq-status
	assert_match "$output" 'Account capture is parked until .*\(in 1h 5[0-9]m\), 3 faults in a row'
	assert_match "$output" 'auth: 535 5\.7\.8 no \\x1b\[31mred'
	[[ $output != *'long ago'* ]]
	run -0 mailq-status --json
	assert_equal "$(json '.parked[] | [.account, .faults, .class] | @csv')" '"capture",3,"auth"'
	add --id waits
	run -0 mailq-status show waits
	assert_match "$output" 'waits for +account capture, which is parked until .*\(in 1h 5[0-9]m\) after 3 faults in a row: auth: 535'
	rm "$MAILQ_SPOOL/parked/capture"
	run -0 mailq-status
	[[ $output != *parked* ]]
}

@test "the list, and its filters" {
	add --id a
	add --id b --batch spring --priority 0
	add --id c --at +2h
	add --id e/é
	run -0 mailq-status list
	assert_equal "${#lines[@]}" 5
	assert_match "${lines[1]}" '^waiting +2 +0 .* default +a$'
	run -0 mailq-status list --json
	assert_equal "$(json .id | paste -sd,)" 'a,e/é,b,c'
	assert_equal "$(json 'select(.id == "b") | [.state, .account, .batch, .priority, .attempts] | @csv')" \
		'"waiting","default","spring",0,0'
	run -0 mailq-status list --json --state deferred
	assert_equal "$(json .id)" c
	run -0 mailq-status list --json --batch spring
	assert_equal "$(json .id)" b
	run -0 mailq-status list --json --account other
	assert_equal "$output" ''
	run -0 mailq-status list --json --limit 2
	assert_equal "$(json .id | paste -sd,)" 'a,e/é'
	run -0 mailq-status list -l --json --state deferred
	assert_equal "$(json '[.sender, .subject, .recipients[0]] | @csv')" '"me@example.com","Hello","you@example.org"'
	run -0 mailq-status list -l --state deferred
	assert_match "$output" 'me@example.com -> you@example.org: Hello'
	run -64 mailq-status list --state lost
	assert_match "$output" 'expected waiting, deferred'
}

@test "an empty list prints nothing; on a terminal, so much" {
	run -0 --separate-stderr mailq-status list
	assert_equal "$output$stderr" ''
	run -0 script -qec 'mailq-status list' /dev/null
	assert_equal "$output" $'no messages\r'
	run -0 script -qec 'mailq-status list --json' /dev/null
	assert_equal "$output" ''
}

@test "a long list is cut to the terminal's width, between characters" {
	long=$(printf '%.0sé漢x' {1..200})
	add --subject "$long" --id a
	for columns in 60 61 62 63; do
		run -0 script -qec "stty cols $columns; mailq-status list -l" /dev/null
		line=${lines[2]%$'\r'}
		assert_match "$line" '^ {10}me@example\.com -> you@example\.org: é.*\.\.\.$'
		width=$(/usr/bin/python3 -c 'import sys, unicodedata
print(sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in sys.argv[1]))' "$line")
		[ "$width" -le "$columns" ] && [ "$width" -ge $((columns - 3)) ] || fail "$width of $columns columns"
	done
	run -0 mailq-status list -l
	assert_match "$output" "$long"
	run -0 script -qec 'stty cols 500; mailq-status list -l' /dev/null
	[[ $output != *$long* ]]
	add --subject short --id b
	run -0 script -qec 'stty cols 60; mailq-status list -l' /dev/null
	assert_match "$output" $'org: short\r'
}

@test "a spool that is made is named: always if -s named it, else on a terminal" {
	run -0 --separate-stderr mailq-status -s nowhere
	assert_equal "$stderr" "mailq-status: $PWD/nowhere: there was no spool; made an empty one"
	[ -f nowhere/mailq-spool ]
	run -0 --separate-stderr mailq-status -s nowhere
	assert_equal "$stderr" ''
	run -0 --separate-stderr mailq-status -q -s quiet
	assert_equal "$stderr" ''
	MAILQ_SPOOL=$PWD/terminal run -0 script -qec mailq-status /dev/null
	assert_match "$output" 'mailq-status: .*terminal: there was no spool; made an empty one'
	MAILQ_SPOOL=$PWD/another run -0 --separate-stderr mailq-status -v
	assert_equal "$stderr" "mailq-status: $PWD/another: made an empty spool"
	MAILQ_SPOOL=$PWD/silent run -0 --separate-stderr mailq-status
	assert_equal "$stderr" ''
}

@test "a list goes by account, priority and time" {
	for i in 1 2 3; do
		add --id "low$i" --priority 3
		add --id "high$i" --priority 1
	done
	run -0 mailq-status list --json
	assert_equal "$(json .id | paste -sd,)" high1,high2,high3,low1,low2,low3
}

@test "show tells where, why and what happened" {
	add --id MSG-1
	run -0 mailq-status show MSG-1
	assert_equal "${lines[0]}" 'MSG-1: waiting'
	assert_match "$output" 'waits for +the next mailq-run'
	assert_match "$output" 'recipient +you@example.org'
	assert_match "$output" 'file +waiting/default/2\.'
	[ -f "$MAILQ_SPOOL/$(sed -n 's/^  file *//p' <<<"$output")" ]
	mailq-run
	run -0 mailq-status show MSG-1
	assert_equal "${lines[0]}" 'MSG-1: sent'
	assert_match "$output" 'subject +Hello'
	assert_match "$output" 'sent by account capture at .*, attempt 1'
	assert_match "$output" 'you@example.org: sent'
	run -0 mailq-status show MSG-1 --json
	assert_equal "$(json '[.id, .state, (.history | length), .history[0].event] | @csv')" '"MSG-1","sent",1,"sent"'
	run -0 mailq-status show MSG-1 --json --full
	assert_equal "$(json '[.history[].event] | @csv')" '"offered","dot","sent"'
}

@test "show of each state says what it waits for" {
	add --id w
	add --id d --at +1h
	add --id r
	add --id h
	add --id c
	add --id f
	add --id u
	mailq-status hold h
	defer r
	mkdir -p "$MAILQ_SPOOL"/{failed,uncertain}/default/2.0
	mv "$MAILQ_SPOOL"/waiting/default/*/*.f "$MAILQ_SPOOL/failed/default/2.0/"
	mv "$MAILQ_SPOOL"/waiting/default/*/*.u "$MAILQ_SPOOL/uncertain/default/2.0/"
	claim c
	for row in w:waiting:nothing d:deferred:not_before r:deferred:backoff h:held:held c:claimed:sending \
		f:failed:failed u:uncertain:uncertain; do
		IFS=: read -r id state why <<<"$row"
		run -0 mailq-status show "$id" --json
		assert_equal "$(json .state)" "$state"
		assert_equal "$(json .why.code)" "$why"
		[ -n "$(json .why.text)" ]
	done
	exec 9>&-
	run -0 mailq-status show c --json
	assert_match "$(json .why.text)" 'is dead'
}

@test "what is not there is 66, and the others are shown" {
	add --id a
	run -66 --separate-stderr mailq-status show nope a
	assert_equal "$stderr" 'mailq-status: no message "nope"'
	assert_match "$output" 'a: waiting'
	run -66 mailq-status cat nope
	run -66 mailq-status show ''
	run -66 mailq-status show ../../etc/passwd
	run -66 --separate-stderr mailq-status log nope
	assert_equal "$output" ''
	assert_equal "$stderr" 'mailq-status: no message "nope" in the queue or the log'
	run -0 mailq-status log a
}

@test "cat gives the text byte for byte" {
	printf 'From: me@example.com\r\nTo: you@example.org\r\nSubject: raw\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\nMessage-ID: <x@y>\r\n\r\n.dots\r\n..\r\n\xe9\x01 end\r\n' >want
	tr -d '\r' <want | mailq-add -i -f me@example.com you@example.org >id
	mailq-status cat "$(cat id)" >got
	cmp want got
	# One of several in a file.
	for i in 1 2 3; do
		echo "{\"id\":\"m$i\",\"from\":\"me@example.com\",\"to\":\"you@example.org\",\"subject\":\"s$i\",\"body\":\"body $i\"}"
	done | mailq-add --json
	for number in 1 2 3; do
		run -0 mailq-status cat "m$number"
		assert_match "$output" "Subject: s$number"
		assert_match "$output" "body $number"
	done
}

@test "cat of a damaged message is 65" {
	add --id a
	file=$(echo "$MAILQ_SPOOL"/waiting/default/*/*.a)
	printf X | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 4)) conv=notrunc 2>/dev/null
	run -65 --separate-stderr mailq-status cat a
	assert_match "$stderr" 'checksum'
}

@test "held messages stay, released ones go" {
	add --id a
	add --id b
	run -0 mailq-status hold a
	assert_equal "$output" '1 message held'
	mailq-run
	assert_equal "$(state a)" held
	assert_equal "$(state b)" ''
	run -69 --separate-stderr mailq-status hold a
	assert_equal "$stderr" 'mailq-status: message "a" is held already'
	run -0 mailq-status release a
	assert_equal "$(state a)" waiting
	mailq-run
	assert_equal "$(state a)" ''
	run -0 mailq-status log a --json
	assert_equal "$(json .event | paste -sd,)" held,released,sent
	run -66 mailq-status release a
}

@test "release of what was to wait lets it wait" {
	add --id a --at +1h
	mailq-status hold a
	mailq-status release a
	assert_equal "$(state a)" deferred
	run -0 mailq-status show a --json
	assert_equal "$(json .why.code)" not_before
}

@test "retry makes due now what waits" {
	add --id a
	defer a
	mailq-run
	assert_equal "$(state a)" deferred
	run -0 mailq-status retry a
	assert_equal "$(state a)" waiting
	run -0 mailq-status list --json
	assert_equal "$(json .attempts)" 1
	mailq-run
	assert_equal "$(state a)" ''
	run -69 mailq-status retry "$(add)"
}

@test "what is deleted is gone, and its id free again" {
	add --id a
	run -0 mailq-status delete a
	assert_equal "$output" '1 message deleted'
	assert_equal "$(state a)" ''
	run -66 mailq-status cat a
	run -0 mailq-status show a
	assert_equal "${lines[0]}" 'a: deleted'
	run -0 add --id a
	assert_equal "$output" a
	assert_equal "$(state a)" waiting
	run -0 mailq-status check
}

@test "acts on all, with filters" {
	add --id a
	add --id b --batch spring
	add --id c --batch spring --at +1h
	run -0 mailq-status hold --all --batch spring
	assert_equal "$output" '2 messages held'
	assert_equal "$(state a) $(state b) $(state c)" 'waiting held held'
	run -0 mailq-status delete --all --state held --json
	assert_equal "$output" '{"done":2,"claimed":0,"unfit":0,"missing":[]}'
	run -0 mailq-status list --json
	assert_equal "$(json .id)" a
	run -0 mailq-status retry --all
	assert_equal "$output" '0 messages to be sent at once'
}

@test "a message that is being delivered is not touched: 75" {
	add --id a
	add --id b
	claim a
	for act in hold release retry delete; do
		run -75 --separate-stderr mailq-status "$act" a
		assert_match "$stderr" 'just being delivered'
		assert_equal "$(state a)" cur
	done
	run -75 mailq-status delete --all
	assert_equal "$(state b)" ''
	assert_equal "$(state a)" cur
	run -0 mailq-status
	assert_match "$output" 'claimed +1  by 1 running mailq-run'
}

@test "who says nothing acts on nothing" {
	add --id a
	run -64 mailq-status delete
	assert_match "$output" 'expected ids, or --all'
	run -64 mailq-status delete a --all
	run -64 mailq-status delete a --state waiting
	run -64 mailq-status delete --state waiting
	run -64 mailq-status cat
	run -64 mailq-status cat a b
	run -64 mailq-status show
	run -64 mailq-status list a
	run -64 mailq-status log a b
	run -64 mailq-status burn a
	run -64 mailq-status --all
	run -64 mailq-status list --watch
	assert_equal "$(state a)" waiting
}

@test "the log tells what happened, from when on one likes" {
	add --id a
	add --id b
	mailq-run
	run -0 mailq-status log
	assert_equal "${#lines[@]}" 2
	assert_match "${lines[0]}" '^20..-..-.. ..:..:..  a  sent by account capture'
	run -0 mailq-status log b
	assert_equal "${#lines[@]}" 1
	run -0 mailq-status log --full --json
	assert_equal "$(json .event | sort | uniq -c | awk '{print $2 $1}' | paste -sd,)" begin1,dot2,offered2,sent2
	run -0 mailq-status log --since 1h --json
	assert_equal "${#lines[@]}" 2
	run -0 mailq-status log --since +1h
	assert_equal "$output" ''
	run -0 mailq-status log --since 2020-01-01T00:00 --json
	assert_equal "${#lines[@]}" 2
	run -64 mailq-status log --since yesterday
	assert_match "$output" 'expected a time'
}

@test "a history over many logs is in the order of its times" {
	for i in 1 2 3 4 5; do
		add --id "m$i"
		mailq-run
		add --id "h$i"
		mailq-status hold "h$i"
	done
	run -0 mailq-status log --json
	assert_equal "$(json .t)" "$(json .t | sort)"
	assert_equal "$(json .id | paste -sd,)" m1,h1,m2,h2,m3,h3,m4,h4,m5,h5
}

@test "no control character reaches the terminal" {
	printf 'From: me@example.com\nTo: you@example.org\nSubject: =?utf-8?Q?=1B[31mred=C2=9B?=\n\nx\n' |
		mailq-add -i -f me@example.com you@example.org >id
	add --id bell
	file=$(echo "$MAILQ_SPOOL"/waiting/default/*/*.bell)
	mv "$file" "$file%07%1B"
	for command in "show $(cat id)" 'list -l' 'list' 'log' 'show '$'bell\a\e'; do
		run mailq-status $command
		[ -n "$output" ] || [ "$command" = log ]
		! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' <<<"$output"
		! LC_ALL=C grep -q $'\xc2\x9b' <<<"$output"
	done
	mailq-run
	run -0 mailq-status log
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' <<<"$output"
	run -0 mailq-status log --json
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' <<<"$output"
	jq -e . <<<"$output" >/dev/null
}

@test "check names each fault, and repairs what can be" {
	add --id good
	add --id bad
	file=$(echo "$MAILQ_SPOOL"/waiting/default/*/*.bad)
	printf X | dd of="$file" bs=1 seek=100 conv=notrunc 2>/dev/null
	touch "$MAILQ_SPOOL/waiting/default/stray"
	run -65 mailq-status check
	assert_match "$output" 'waiting/default/2\.[0-9]*/2\.[0-9.]*\.bad: '
	assert_match "$output" 'waiting/default/stray: is not a directory'
	assert_match "$output" '2 messages read, 2 faults, 0 repaired'
	assert_equal "$(state bad)" waiting
	run -65 mailq-status check --repair --json
	assert_equal "$(jq -rs '.[-1] | [.messages, .faults, .repaired] | @csv' <<<"$output")" 2,2,1
	assert_equal "$(state bad)" ''
	[ -f "$MAILQ_SPOOL"/corrupt/*.bad ]
	cmp "$MAILQ_SPOOL"/corrupt/*.bad <(cat "$MAILQ_SPOOL"/corrupt/*.bad)
	rm "$MAILQ_SPOOL/waiting/default/stray"
	run -0 mailq-status check
	assert_match "$output" 'corrupt/.*bad: is a damaged message'
	run -0 mailq-status show bad
	assert_equal "${lines[0]}" 'bad: corrupt'
	run -0 mailq-run
	assert_match "$output" 'sent 1'
}

@test "a damaged message stops no other: list, glance, acts" {
	add --id a
	add --id b
	add --id c
	file=$(echo "$MAILQ_SPOOL"/waiting/default/*/*.b)
	: >"$file"
	run -0 mailq-status list --json
	assert_equal "$(json .id | paste -sd,)" a,b,c
	run -65 --separate-stderr mailq-status list -l
	assert_match "$stderr" '\.b: '
	assert_match "$output" ' c$|c'
	run -0 mailq-status show b
	assert_match "$output" 'it cannot be read'
	run -0 mailq-status hold b
	assert_equal "$(state b)" held
	run -0 mailq-status delete b
	run -0 mailq-status check
}

@test "on a read-only mount all can be looked at" {
	add --id a
	mailq-status >/dev/null
	unshare -m true 2>/dev/null || skip 'mounts cannot be made here'
	unshare -m bash -c '
		mount --bind "$MAILQ_SPOOL" "$MAILQ_SPOOL" && mount -o remount,ro,bind "$MAILQ_SPOOL" || exit 99
		set -e
		mailq-status | grep -q "1 message;"
		mailq-status list --json | grep -q "\"id\":\"a\""
		mailq-status show a | grep -q "a: waiting"
		mailq-status cat a | grep -q "^Subject: Hello"
		mailq-status log
		mailq-status check
		mailq-status hold a 2>err && exit 1
		grep -qi "read-only" err
		mailq-status show a | grep -q "a: waiting"'
}

@test "the glance says that the disk is full" {
	unshare -m true 2>/dev/null || skip 'mounts cannot be made here'
	mkdir -p "$MAILQ_SPOOL"
	echo 'queue: { min_free_space = "0"; min_free_inodes = 0; };' >"$MAILQ_CONFIG"
	unshare -m bash -c '
		mount -t tmpfs -o size=1m,mode=700 none "$MAILQ_SPOOL" || exit 99
		set -e
		mailq-add --from a@b.example --to a@b.example --subject x --body y >/dev/null
		mailq-status >before
		dd if=/dev/zero of="$MAILQ_SPOOL/captured" bs=4096 2>/dev/null && exit 1
		mailq-status >full'
	assert_equal "$(grep -c 'The file system of the spool is full: ' before)" 0
	assert_equal "$(grep -c 'The file system of the spool is full: ' full)" 1
}

@test "check tells of owners and modes of all files; rules that strangers may write are not followed" {
	add --id a
	mailq-rules add >/dev/null
	mailq-run --now >/dev/null
	mailq-rules suspend --batch b
	mailq-status metrics >/dev/null
	run -0 mailq-status check
	for file in rules scheduler lock suspended/batch,b; do
		chmod 644 "$MAILQ_SPOOL/$file"
		run -65 mailq-status check
		assert_match "$output" "^$file: its mode is 0644, open to all"
		chmod 600 "$MAILQ_SPOOL/$file"
	done
	run -0 mailq-rules list
	chmod 666 "$MAILQ_SPOOL/rules"
	for program in 'mailq-rules list' 'mailq-rules next' mailq-run; do
		# shellcheck disable=SC2086
		run -65 $program
		assert_match "$output" 'rules: its mode is 0666; expected 0600, because other users may write it'
	done
	# The members of a group make rules.
	chmod 660 "$MAILQ_SPOOL/rules"
	run -65 mailq-rules list
	chmod 2770 "$MAILQ_SPOOL"
	run -0 mailq-rules list
	chmod 662 "$MAILQ_SPOOL/rules"
	run -65 mailq-rules list
	chmod 700 "$MAILQ_SPOOL"
	chmod 600 "$MAILQ_SPOOL/rules"
	[ "$(id -u)" -eq 0 ] || skip 'needs another user'
	for file in rules scheduler lock suspended/batch,b; do
		chown nobody "$MAILQ_SPOOL/$file"
		run -65 mailq-status check
		assert_match "$output" "^$file: belongs to user $(id -u nobody); expected 0, the spool's owner"
		[ "$file" != rules ] || run -65 mailq-rules list
		chown root "$MAILQ_SPOOL/$file"
	done
	# Of a group's spool, members are trusted with them.
	chmod 2770 "$MAILQ_SPOOL"
	chown nobody "$MAILQ_SPOOL/rules"
	run -0 mailq-rules list
}

@test "looking changes nothing but the cache of numbers" {
	add --id a
	find "$MAILQ_SPOOL" ! -name count ! -path "$MAILQ_SPOOL" ! -path "$MAILQ_SPOOL/tmp" -printf '%p %C@ %s\n' | sort >before
	mailq-status
	mailq-status list -l
	mailq-status show a
	mailq-status cat a
	mailq-status log
	mailq-status check
	find "$MAILQ_SPOOL" ! -name count ! -path "$MAILQ_SPOOL" ! -path "$MAILQ_SPOOL/tmp" -printf '%p %C@ %s\n' | sort >after
	diff before after
}

@test "the numbers are right when the cache is not" {
	add --id a
	add --id b
	find "$MAILQ_SPOOL/waiting" -mindepth 2 -type d -exec touch -d '-1 minute' '{}' +
	mailq-status --json >/dev/null
	# Both are in the cache, be it in two buckets, where the clock went from one to the next.
	assert_equal "$(awk '/^waiting/ { n += $4 } END { print n }' "$MAILQ_SPOOL/count")" 2
	run -0 mailq-status --json
	assert_equal "$(json .messages.waiting)" 2
	mailq-status delete a
	run -0 mailq-status --json
	assert_equal "$(json .messages.waiting)" 1
	echo garbage >"$MAILQ_SPOOL/count"
	run -0 mailq-status --json
	assert_equal "$(json .messages.waiting)" 1
	rm "$MAILQ_SPOOL/count"
	run -0 mailq-status --json
	assert_equal "$(json .messages.waiting)" 1
}

@test "--watch shows again each second, until nobody looks" {
	add --id a
	mailq-status --watch --json >seen &
	pid=$!
	wait_for eval '[ "$(wc -l <seen)" -ge 2 ]'
	kill "$pid"
	wait "$pid" || true
	assert_equal "$(jq -r .messages.waiting seen | sort -u)" 1
	# A reader that goes away ends it.
	mailq-status --watch | head -1 | grep -q '1 message'
}

@test "output that cannot be written is told: 74" {
	add
	run -74 bash -c 'mailq-status >/dev/full'
	run -74 bash -c 'mailq-status list >/dev/full'
}

@test "it loads neither libcurl nor libmagic nor libmicrohttpd" {
	run ldd "$MAILQ_BUILD/bin/mailq-status"
	[[ $output != *curl* && $output != *magic* && $output != *microhttpd* ]]
}
