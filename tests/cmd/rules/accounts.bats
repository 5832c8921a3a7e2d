# Accounts of the spool: made, changed, tried, imported and removed by mailq-rules, and what the other
# programs make of them.
# runs long: some of them start a Postfix and a Dovecot.

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/certificates
load ../../helpers/postfix
load ../../helpers/dovecot

SECRET='S3cret=x "q" \y'

setup() {
	delivery_setup
	echo 'delivery: { hostname = "host.example"; from = "app@host.example"; };' >"$MAILQ_CONFIG"
}
teardown() {
	common_teardown
	rm -rf ${POSTFIX:+"$POSTFIX"} ${DOVECOT:+"$DOVECOT"} ${SHARED:+"$SHARED"}
}

rules() {
	mailq-rules accounts "$@"
}
file() {
	cat "$MAILQ_SPOOL/accounts/$1"
}
# shown ID KEY: of show --json
shown() {
	rules show "$1" --json | value "$2"
}
# ids: those that list shows, in order, defaults with their mark
ids() {
	rules list | sed -nE '2,$s/^([* ]) ([^ ]+).*/\1\2/p' | tr -d '\n'
}

# ---- made, shown, changed ----------------------------------------------------------------------

@test "with nothing configured there is the built-in account, and no directory" {
	run -0 --separate-stderr rules list
	assert_match "${lines[0]}" '^  ID +TRANSPORT +SERVER +USER +TLS +LIMITS +MESSAGES +PLACE$'
	assert_match "${lines[1]}" '^\* capture +capture +captured +- +- +- +0 +built in$'
	assert_equal "$stderr" ''
	[ ! -e "$MAILQ_SPOOL/accounts" ]
}

@test "an account is made, listed, shown and taken out again" {
	run -0 --separate-stderr rules add main host=smtp.example.com port=2525 limit_per_minute=30 \
		limit_per_day=500 limit_behavior=reject 'domains=Gmail.com per_minute=20 connections=2, web.de per_hour=9'
	assert_equal "$output$stderr" ''
	assert_equal "$(stat -c %a "$MAILQ_SPOOL/accounts" "$MAILQ_SPOOL/accounts/main" | xargs)" '700 600'
	run -0 rules list
	assert_match "${lines[1]}" \
		'^\* main +smtp +smtp.example.com:2525 +- +try +30/min 500/day reject 2 domains +0 +spool$'
	assert_equal "$(rules list --json | value protection)" try
	assert_match "$(rules show main --json)" '"domains":\{"gmail.com":\{"per_minute":20,"connections":2\},"web.de":\{"per_hour":9\}\}'
	run -0 rules show main
	assert_match "$output" $'\nhost = "smtp.example.com";\n'
	assert_match "$output" $'\n# ttl = "5m";\n'
	# What it shows is what a configuration takes.
	rules show main >shown
	{ echo 'accounts: ( { id = "main";' && cat shown && echo '} );'; } >taken.conf
	mailq-rules -c taken.conf -s taken accounts list --json | value limit_per_day | grep -qx 500
	run -0 --separate-stderr rules delete main
	assert_equal "$output$stderr" ''
	[ ! -e "$MAILQ_SPOOL/accounts/main" ]
	assert_equal "$(ids)" '*capture'
}

@test "one that is there is not added again, one that is not is not set" {
	rules add main host=a.example ttl=7s
	run -73 --separate-stderr rules add main host=b.example
	assert_equal "$stderr" 'mailq-rules: there is an account main already (--replace takes its place)'
	rules add main host=b.example --replace
	assert_equal "$(shown main host),$(shown main ttl)" b.example,300
	run -66 --separate-stderr rules set other host=b.example
	assert_equal "$stderr" 'mailq-rules: there is no account other in the spool'
	run -66 --separate-stderr rules show other
	run -66 --separate-stderr rules test other
	run -66 --separate-stderr rules delete other
	run -64 --separate-stderr rules add ../x host=h
	assert_match "$stderr" 'cannot be an account.s id'
	run -64 --separate-stderr rules frobnicate
	assert_match "$stderr" 'accounts: expected list, show, '
	[ ! -e "$MAILQ_SPOOL/x" ]
}

@test "what is wrong is named, and nothing is written" {
	local case

	for case in 'port=0|64|port: expected 1 to 65535, found 0' 'prot=25|64|prot: unknown setting' \
		'id=b|64|id: it is the account.s name' 'host=a b|78|account main: host: expected a name or address alone' \
		'fallback=none|78|account main: fallback: there is no account "none"' \
		'fallback=main|78|account main: fallback: expected another account' \
		'user=u|78|account main: user: expected password, password_file' \
		'domains=x.org per_day=1, X.ORG per_day=2|78|account main: domains: expected each domain once'; do
		IFS='|' read -r word code expected <<<"$case"
		run --separate-stderr rules add main host=h "$word"
		assert_equal "$status" "$code" "$word"
		assert_match "$stderr" "^mailq-rules: $expected"
	done
	run -78 --separate-stderr rules add main port=25
	assert_equal "$stderr" "mailq-rules: account main: host: expected the server's name or address"
	run -64 rules add main
	[ ! -e "$MAILQ_SPOOL/accounts/main" ]
}

@test "set changes what it names; comments, order and unknown settings stay" {
	rules add main host=a.example
	cat >"$MAILQ_SPOOL/accounts/main" <<-'EOT'
		# The relay of the shop; ask Ann before you change it.
		created_at = "2026-01-02T03:04:05Z";
		host = "a.example", // was b.example until May
		/* frobnicate is of a later version */ frobnicate : { deep = [ 1, 2 ]; };
		timeouts: {
		    dot = "1m";   # slow
		};
		limit_per_minute = 5
	EOT
	rules set main host=c.example limit_per_minute= timeouts.connect=9s 'from=Ann "A" <a@b.example>'
	run -0 file main
	assert_equal "$output" '# The relay of the shop; ask Ann before you change it.
created_at = "2026-01-02T03:04:05Z";
host = "c.example", // was b.example until May
/* frobnicate is of a later version */ frobnicate : { deep = [ 1, 2 ]; };
timeouts: {
    dot = "1m";   # slow
	connect = "9s";
};
from = "Ann \"A\" <a@b.example>";'
	assert_equal "$(shown main timeouts.dot),$(shown main timeouts.connect)" 60,9
	rules add main --replace host=d.example
	assert_equal "$(file main | head -n 4 | tail -n 2)" 'host = "d.example", // was b.example until May
/* frobnicate is of a later version */ frobnicate : { deep = [ 1, 2 ]; };'
	assert_equal "$(shown main created_at)" 2026-01-02T03:04:05Z
	assert_equal "$(shown main timeouts.dot)" 600
}

@test "an account of JSON" {
	run -0 --separate-stderr rules add --json <<<'{"id":"main","host":"h.example","port":465,"user":"u",
		"password":"p","ttl":60,"limit_per_hour":7,"limit_behavior":"defer","use_tls":true,"batch_size":0,
		"min_interval_seconds":1.5,"from":"a@b.example","from_name":null,"unknown":[1],
		"domains":{"gmail.com":{"per_minute":20}},"timeouts":{"dot":"1h"}}'
	assert_equal "$output$stderr" ''
	run -0 rules list --json
	assert_equal "$(value protection <<<"$output")" tls
	assert_equal "$(value min_interval_seconds <<<"$output")" 1.5
	assert_equal "$(value has_password <<<"$output")" True
	assert_equal "$(value timeouts.dot <<<"$output")" 3600
	[[ $output != *'"password"'* && $output != *from_name* && $output != *batch_size* ]]
	# What it prints, it takes: all but the password.
	rules list --json >before.json
	rules set main user= password=
	rules list --json >again.json
	rules add --json --replace again.json
	diff <(sed 's/"user":"u",//; s/"has_password":true,//' before.json) <(rules list --json)
	run -65 --separate-stderr rules add --json <<<'{"id":"b","host":"h","port":"25"}'
	assert_equal "$stderr" 'mailq-rules: port: expected a whole number, found a string'
	run -65 --separate-stderr rules add --json <<<'{"host":"h"}'
	assert_equal "$stderr" 'mailq-rules: id: expected a string'
	run -65 --separate-stderr rules add --json <<<'{"id":"b",'
	assert_match "$stderr" 'standard input: line 2, byte 1'
	run -66 --separate-stderr rules add --json absent.json
}

# ---- secrets -----------------------------------------------------------------------------------

# Whatever comes of it.
try() {
	"$@" || :
}

# exposed DIR...: the secret, or a part that no quoting changes, stands in a file below
exposed() {
	grep -rlF S3cret "$@"
}

@test "a password on the command line is refused" {
	run -64 --separate-stderr rules add main host=h user=u "password=$SECRET"
	assert_match "$stderr" '^mailq-rules: password: .*expected password=-'
	[[ $stderr != *S3cret* ]]
	run -64 --separate-stderr rules add main host=h user=u S3cret
	[[ $stderr != *S3cret* ]]
	[ ! -e "$MAILQ_SPOOL/accounts/main" ]
	run -66 --separate-stderr rules add main host=h user=u password=- </dev/null
	assert_equal "$stderr" 'mailq-rules: password: expected a line on standard input'
}

@test "the secret is in the account's own file, and in nothing that anybody prints or keeps" {
	local out=$BATS_TEST_TMPDIR/out port bad command

	mkdir out
	start_keeper server port --login "app:$SECRET"
	free_port bad
	{
		# While it reads, its command line and environment can be read by others.
		mkfifo pipe
		rules add main host=127.0.0.1 port="$port" user=app password=- <pipe &
		exec 7>pipe
		wait_for pgrep -f "mailq-rules accounts add main"
		ps -efww | grep mailq-rules >"$out/ps"
		printf '%s\n' "$SECRET" >&7
		exec 7>&-
		wait $!
		try rules add wrong host=127.0.0.1 port="$port" user=app password=- <<<S3cret-too
		try rules add away host=127.0.0.1 port="$bad" user=app password=- <<<"$SECRET"
		try rules add cmd host=127.0.0.1 port="$bad" user=app 'password_command=echo S3cret; exit 3'
		for command in list show test; do
			try rules "$command" -vv $([ "$command" != show ] || echo main wrong away cmd)
			try rules "$command" -vv --json $([ "$command" != show ] || echo main wrong away cmd)
		done
		for account in main wrong away cmd; do
			try add --account "$account" --id "$account"
		done
		try mailq-run -vv
		try mailq-status -vv
		try mailq-status show main wrong away cmd
		try mailq-status log --full
		try mailq-status check
		try rules set main port=0
		try rules set main use_tls=true starttls=required
		try rules add main --json <<<'{"id":"main","host":"h","user":"u","password":["S3cret"]}'
		# Damaged where the password stands.
		cp "$MAILQ_SPOOL/accounts/main" kept
		for line in 'password = S3cret;' 'password = "S3cret' 'password = "S3cret\n";' 'host = "u:S3cret@h";'; do
			printf 'host = "h";\nuser = "u";\n%s\n' "$line" | sed "$([[ $line != host* ]] || echo 1d)" \
				>"$MAILQ_SPOOL/accounts/main"
			try mailq-status check
			try mailq-status
			try rules list
			try rules show main
			try rules test main
			try rules set main port=26
			try mailq-add --account main --to a@b.example --subject x --body y
			try mailq-run
		done
		cp kept "$MAILQ_SPOOL/accounts/main"
	} >"$out/stdout" 2>"$out/stderr"
	[ -s "$out/stdout" ]
	[ -s "$out/stderr" ]
	assert_equal "$(kept server)" 1
	grep -q 'accounts/main:3: syntax error' "$out/stderr"
	# (The keeper was given it, and the copy is ours.)
	run grep -rF S3cret out
	assert_equal "$output" '' 'the secret in what was printed'
	run -0 exposed "$MAILQ_SPOOL"
	assert_equal "$(sort <<<"$output" | sed 's|.*/spool/||' | xargs)" 'accounts/away accounts/cmd accounts/main accounts/wrong'
}

@test "a terminal shows nothing of a password that is typed, and is as before in the end" {
	run -0 /usr/bin/python3 - <<-'EOT'
		import os, pty, select, sys, termios
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp("mailq-rules", "mailq-rules accounts add main host=h user=u password=-".split())
		shown = b""
		while b"Password of account main: " not in shown:
		    shown += os.read(fd, 1000)
		def echoes():
		    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)
		end = 500
		while echoes() and end > 0:
		    select.select([], [], [], 0.02)
		    end -= 1
		assert end > 0
		os.write(fd, b"typed S3cret\n")
		try:
		    while True:
		        more = os.read(fd, 1000)
		        if not more:
		            break
		        shown += more
		except OSError:
		    pass
		assert os.waitpid(pid, 0)[1] == 0, shown
		assert b"S3cret" not in shown, shown
	EOT
	file main | grep -qx 'password = "typed S3cret";'
}

@test "a password from elsewhere takes the place of the one before" {
	rules add main host=h user=u password=- <<<one
	rules set main password_file=/etc/secret
	[[ $(file main) != *'"one"'* ]]
	assert_equal "$(shown main password_file)" /etc/secret
	rules set main password=- <<<two
	[[ $(file main) != *password_file* ]]
	rules set main user= password=
	[[ $(file main) != *password* ]]
}

# ---- defaults ----------------------------------------------------------------------------------

@test "the first one made is the default, unless one is called so or the configuration says otherwise" {
	rules add second host=b.example
	rules add first host=a.example
	assert_equal "$(ids)" '*second first'
	sed -i 's/^created_at.*/created_at = "2001-01-01T00:00:00Z";/' "$MAILQ_SPOOL/accounts/first"
	assert_equal "$(ids)" '*first second'
	rules set first fallback=second
	assert_equal "$(ids)" '*first*second'
	rules add default host=c.example
	assert_equal "$(ids)" ' first second*default'
	echo 'delivery: { default_accounts = [ "second" ]; };' >"$MAILQ_CONFIG"
	assert_equal "$(ids)" ' first*second default'
	run -78 --separate-stderr rules delete second
	assert_match "$stderr" "account second is named by delivery.default_accounts: .* in $MAILQ_CONFIG"
	: >"$MAILQ_CONFIG"
	run -78 --separate-stderr rules delete second
	assert_match "$stderr" 'account second is the fallback of account first'
	rules set first fallback=
	rules delete second
}

@test "an account in the spool takes no mail from those of the configuration" {
	echo 'accounts: ( { id = "main"; transport = "capture"; from = "main@a.example"; maildir = "'"$PWD/main"'"; } );' \
		>"$MAILQ_CONFIG"
	mailq-add --id before --to a@b.example --subject s --body x
	run -0 --separate-stderr rules add default transport=capture from=evil@a.example "maildir=$PWD/evil"
	assert_match "$stderr" 'account default: messages that name none still leave by account main \('
	rules add evil transport=capture "maildir=$PWD/evil"
	assert_equal "$(ids)" '*main default evil'
	run -78 --separate-stderr rules add main host=x --replace
	mailq-add --id unnamed --to a@b.example --subject s --body x
	mailq-add --id named --account default --to a@b.example --subject s --body x
	# Neither do those who delete it, and have what is not its own moved.
	run -78 --separate-stderr rules delete evil --move-to default
	assert_match "$stderr" 'nothing is moved to account default: it is not the default'
	run -0 --separate-stderr rules delete default --move-to evil
	assert_equal "$output" ''
	rules add default transport=capture "maildir=$PWD/evil"
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	assert_equal "$(ls main/new | wc -l)" 3
	[ ! -e evil/new ] || assert_equal "$(ls evil/new)" ''
	assert_equal "$(grep -h '^From: ' main/new/* | sort -u)" 'From: main@a.example'
	# Without any in the configuration it is the default.
	: >"$MAILQ_CONFIG"
	assert_equal "$(ids)" ' evil*default'
}

@test "an account that the configuration names already is made without a word" {
	echo 'delivery: { default_accounts = [ "main", "second" ]; };
		accounts: ( { id = "fixed"; host = "h"; fallback = "spare"; } );' >"$MAILQ_CONFIG"
	run -0 --separate-stderr rules add spare transport=capture
	[[ $stderr != *spare* ]]
	run -0 --separate-stderr rules add main transport=capture
	assert_match "$stderr" 'delivery.default_accounts: there is no account "second" yet'
	assert_equal "$(wc -l <<<"$stderr")" 1
	run -0 --separate-stderr rules add second transport=capture
	assert_equal "$stderr" ''
	rm "$MAILQ_SPOOL/accounts/spare"
	run -0 --separate-stderr rules list
	assert_match "$stderr" 'accounts.fallback: there is no account "spare"'
	run -0 --separate-stderr rules set main from=a@b.example
	assert_match "$stderr" 'accounts.fallback: there is no account "spare" yet'
}

@test "mailq-add knows the accounts of the spool, each and the first" {
	rules add main transport=capture from=main@a.example 'from_name=Main'
	rules add other transport=capture from=other@a.example
	for args in '' '--account other' '--account main' '--account default'; do
		mailq-add $args --to a@b.example --subject "[$args]" --body x
	done
	run_mailq
	summary 'sent 4, deferred 0, failed 0'
	run -0 bash -c "grep -h -A99 '^From: ' '$MAILQ_SPOOL'/captured/new/* | grep -E '^(From|Subject)' | paste - - | sort"
	assert_equal "$output" 'From: Main <main@a.example>	Subject: [--account default]
From: Main <main@a.example>	Subject: [--account main]
From: Main <main@a.example>	Subject: []
From: other@a.example	Subject: [--account other]'
	run -65 --separate-stderr mailq-add --account none --to a@b.example --subject x --body y
	assert_match "$stderr" 'no account "none" \(known: (main, other|other, main)\)'
}

@test "the configuration's accounts are read-only, and hold where the spool has the same id" {
	rules add main host=spool.example
	rules add other host=other.example
	printf 'accounts: (\n{ id = "main"; host = "conf.example"; } );' >"$MAILQ_CONFIG"
	for command in 'set main port=26' 'add main --replace host=x' 'delete main --force'; do
		run -78 --separate-stderr rules $command
		assert_match "$stderr" "account main is not in the spool: (change|remove) it at $MAILQ_CONFIG:2"
	done
	run -0 --separate-stderr rules list --json
	assert_match "$stderr" "accounts/main: ignored: an account of this id is at $MAILQ_CONFIG:2"
	assert_equal "$(grep -c '"id":"main"' <<<"$output")" 1
	assert_equal "$(head -n1 <<<"$output" | value host)" conf.example
	assert_equal "$(head -n1 <<<"$output" | value read_only)" True
	run -65 --separate-stderr mailq-status check
	assert_match "$output" "accounts/main: ignored: an account of this id is at $MAILQ_CONFIG:2"
	# What the environment makes is not to be changed, either.
	: >"$MAILQ_CONFIG"
	SMTP_HOST=env.example run -78 --separate-stderr rules add default host=x
	assert_match "$stderr" 'account default is not in the spool: change it at environment variables SMTP_'
}

# ---- damage ------------------------------------------------------------------------------------

@test "a damaged file is named with its line, its messages wait, and nothing else does" {
	rules add good transport=capture
	rules add bad transport=capture
	sed -i '$a port = ;' "$MAILQ_SPOOL/accounts/bad"
	run -0 --separate-stderr mailq-add --account bad --id b --to a@b.example --subject x --body y
	assert_match "$stderr" 'accounts/bad:3: syntax error; what is to leave through account bad waits'
	add --account good --id g
	add --id d
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_equal "$(grep -c 'accounts/bad:3: syntax error' <<<"$stderr")" 1
	assert_equal "$(state b)" waiting
	run -65 --separate-stderr mailq-status check
	assert_match "$output" 'accounts/bad: line 3: syntax error'
	run -0 rules list
	assert_match "$output" ' bad .* spool, its file cannot be used'
	run -78 --separate-stderr rules show bad
	run -78 --separate-stderr rules set bad port=25
	assert_match "$stderr" 'accounts/bad:3: syntax error'
	rules add bad --replace transport=capture
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "where the damaged one is the default, no other takes what is its" {
	rules add main transport=capture
	rules add other transport=capture
	sed -i '$a port = ;' "$MAILQ_SPOOL/accounts/main"
	run -0 --separate-stderr mailq-add --id d --to a@b.example --subject x --body y
	add --account other --id o
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(state d)" waiting
	rm "$MAILQ_SPOOL/accounts/other"
	run_mailq
	assert_equal "$(state d)" waiting
	[ "$(ls "$MAILQ_SPOOL/captured/new" | wc -l)" -eq 1 ]
}

@test "a file that others may read is told; one that they may write does not count" {
	rules add main host=a.example
	rules add other host=b.example
	chmod 640 "$MAILQ_SPOOL/accounts/main"
	run -65 mailq-status check
	assert_match "$output" 'accounts/main: its mode is 0640; expected 0600'
	assert_equal "$(ids)" '*main other'
	chmod 660 "$MAILQ_SPOOL/accounts/main"
	run -0 --separate-stderr rules list
	assert_match "$stderr" 'accounts/main: its mode is 0660; expected 0600, because other users may write it'
	assert_match "$output" ' main .* cannot be used'
	rm "$MAILQ_SPOOL/accounts/main"
	ln -s /etc/passwd "$MAILQ_SPOOL/accounts/main"
	touch "$MAILQ_SPOOL/accounts/b%2Fad"
	run -65 mailq-status check
	assert_match "$output" 'accounts/main: is a symbolic link; expected a regular file'
	assert_match "$output" 'accounts/b%2Fad'
	run -78 rules show main
}

@test "a password that others can read is warned of once; without one there is nothing to say" {
	start_keeper server port --login u:S3cret
	printf S3cret | rules add main host=127.0.0.1 port="$port" user=u password=- starttls=never
	rules add other transport=capture
	chmod 644 "$MAILQ_SPOOL"/accounts/*
	add --id x
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$stderr" "mailq-run: $MAILQ_SPOOL/accounts/main: others can read the password in it: expected mode 0600"
	chmod 600 "$MAILQ_SPOOL/accounts/main"
	run_mailq
	assert_equal "$stderr" ''
}

@test "in a group's spool an account that a member put there does not count" {
	[ "$(id -u)" -eq 0 ] || skip 'needs another user'
	mkdir "$MAILQ_SPOOL"
	chmod 2770 "$MAILQ_SPOOL"
	rules add main transport=capture
	assert_equal "$(stat -c %a "$MAILQ_SPOOL/accounts")" 2750
	printf 'host = "h"; user = "u"; password_command = "touch %s/run";\n' "$PWD" >"$MAILQ_SPOOL/accounts/evil"
	chmod 600 "$MAILQ_SPOOL/accounts/evil"
	chown nobody "$MAILQ_SPOOL/accounts/evil"
	add --account evil --id e
	run_mailq
	assert_match "$stderr" "accounts/evil: belongs to user $(id -u nobody); expected 0, the spool's owner"
	[ ! -e run ]
	assert_equal "$(state e)" waiting
	run -65 mailq-status check
	assert_match "$output" "accounts/evil: belongs to user $(id -u nobody)"
}

@test "a member of the group uses the owner's accounts, and neither reads nor changes them" {
	[ "$(id -u)" -eq 0 ] || skip 'needs another user'
	SHARED=$(service_directory)
	install -m 644 "$MAILQ_CONFIG" "$SHARED/mailq.conf"
	install -d -o games -g mail -m 2770 "$SHARED/spool"
	export MAILQ_CONFIG=$SHARED/mailq.conf MAILQ_SPOOL=$SHARED/spool
	rules add main transport=capture
	cd "$SHARED"
	member() {
		setpriv --reuid=nobody --regid=mail --clear-groups "$@"
	}
	run -0 --separate-stderr member mailq-add --account main --id m --from a@b.example --to a@b.example \
		--subject x --body y
	assert_equal "$stderr" ''
	run -65 member mailq-add --account none --from a@b.example --to a@b.example --subject x --body y
	run -77 --separate-stderr member mailq-rules accounts add other transport=capture
	assert_match "$stderr" 'accounts are made and changed by its owner, user [0-9]+, or by root'
	run -77 member mailq-rules accounts set main ttl=5s
	run -77 member mailq-rules accounts delete main --force
	member mailq-run
	assert_equal "$(state m)" waiting
	setpriv --reuid=games --regid=mail --clear-groups mailq-run
	assert_equal "$(state m)" ''
	# As root it would act for user games alone, who is not in the group whose members' files are here.
	run -0 setpriv --reuid=games --regid=mail --clear-groups mailq-status check
}

# ---- at work -----------------------------------------------------------------------------------

@test "two that change at once lose nothing" {
	rules add main host=h
	sed -i '1i # keep this' "$MAILQ_SPOOL/accounts/main"
	change() {
		local i

		for ((i = 1; i <= 25; i++)); do
			rules set main "$1=$i" || return 1
			assert_equal "$(shown main "$1")" "$i" || return 1
		done
	}
	change limit_per_minute 2>one.log &
	one=$!
	change limit_per_day 2>two.log &
	two=$!
	wait "$one" || fail "$(cat one.log)"
	wait "$two" || fail "$(cat two.log)"
	assert_equal "$(shown main limit_per_minute),$(shown main limit_per_day)" 25,25
	assert_equal "$(file main | head -n1)" '# keep this'
}

# at N ACT COMMAND...: something happens at the Nth change below accounts/
at() {
	local n=$1 act=$2

	shift 2
	ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$MAILQ_BUILD/tests/preload/faults.so FAULTS_UNDER=$MAILQ_SPOOL/accounts FAULTS_AT=$n \
		FAULTS_ACT=$act "$@"
}

@test "killed at any moment of a change, the file is the old or the new one" {
	local n=0 act done=

	rules add main host=old password=- user=u <<<S3cret
	file main >old
	until [ -n "$done" ]; do
		n=$((n + 1))
		[ "$n" -lt 30 ]
		for act in before after torn; do
			cp old "$MAILQ_SPOOL/accounts/main"
			chmod 600 "$MAILQ_SPOOL/accounts/main"
			if at "$n" "$act" mailq-rules accounts set main host=new 2>/dev/null; then
				done=yes
			fi
			assert_match "$(file main | sed -n 2p)" '^host = "(old|new)";$'
			assert_equal "$(file main | wc -l)" "$(wc -l <old)"
			assert_match "$(mailq-status check)" ' 0 faults'
			# The next change leaves nothing of it.
			rules set main host=newer
			assert_equal "$(ls -A "$MAILQ_SPOOL/accounts")" main "after $act $n"
		done
	done
	[ "$n" -gt 4 ]
}

@test "a full or failing disk: told, and nothing has changed" {
	local n act

	rules add main host=old
	file main >old
	for act in enospc eio; do
		for n in 1 2 3 4; do
			run --separate-stderr at "$n" "$act" mailq-rules accounts set main host=new
			assert_equal "$status" "$([ "$act" = enospc ] && echo 75 || echo 74)" "$act $n"
			assert_match "$stderr" 'cannot write accounts/main'
			diff old "$MAILQ_SPOOL/accounts/main"
		done
	done
	rules set main host=new
	assert_equal "$(ls -A "$MAILQ_SPOOL/accounts")" main
}

# ---- delete ------------------------------------------------------------------------------------

@test "one with messages is deleted by force, or after they were moved" {
	rules add main transport=capture
	rules add other transport=capture
	rules add unused transport=capture
	add_ids m 11 --account main
	add --account main --id late --at +1h
	run -65 --separate-stderr rules delete main
	assert_equal "$stderr" 'mailq-rules: account main has 12 messages: --force deletes it all the same (they end with an error), --move-to ACCOUNT moves them'
	run -64 rules delete main --force --move-to other
	run -64 --separate-stderr rules delete main --move-to none
	assert_match "$stderr" 'there is no account "none"'
	run -64 rules delete main --move-to main
	rules delete unused
	run -0 --separate-stderr rules delete main --move-to other
	assert_equal "$output" '12 messages moved to account other'
	assert_equal "$(rules list --json | value id)" other
	assert_equal "$(rules list --json | value messages)" 12
	assert_match "$(mailq-status log)" 'moved.*12 messages to account other, by user'
	run -0 mailq-status check
	assert_match "$output" 'its record names the account "main"'
	run_mailq
	summary 'sent 11, deferred 0, failed 0'
	assert_equal "$(state late)" deferred
	run -65 rules delete other
	run -0 rules delete other --force
}

@test "the last account is not deleted while messages that name none would be captured for it" {
	rules add main host=127.0.0.1
	add --id x
	run -65 --separate-stderr rules delete main
	assert_match "$stderr" 'account main has 1 message: '
	rules add other host=127.0.0.1
	rules delete main
	assert_equal "$(state x)" waiting
}

@test "moved messages meet others: whole lanes, batches, single ones, in every state" {
	local id

	rules add a transport=capture
	rules add b transport=capture
	for id in a b; do
		add --account $id --id "w-$id"
		add --account $id --id "c-$id" --batch spring
		add --account $id --id "l-$id" --at +1h
		add --account $id --id "h-$id"
		mailq-status hold "h-$id"
		add_ids "n-$id" 70 --account $id
	done
	add --account a --id alone --batch autumn
	run -0 rules delete a --move-to b
	assert_equal "$output" '75 messages moved to account b'
	assert_equal "$(mailq-status list --account b --json | wc -l)" 149
	assert_equal "$(mailq-status list --account a --json | wc -l)" 0
	assert_equal "$(mailq-status list --batch spring --json | wc -l)" 2
	assert_equal "$(mailq-status list --state held --json | wc -l)" 2
	assert_equal "$(find "$MAILQ_SPOOL" -name 'a' -o -name 'a,*' | wc -l)" 0
	run_mailq
	summary 'sent 145, deferred 0, failed 0'
	run -0 mailq-status check
	assert_match "$output" ' 0 faults'
}

@test "while some are being sent the account stays" {
	local port

	start_script slow port "dot=gate $PWD/go,250 2.0.0 ok"
	rules add main host=127.0.0.1 port="$port" starttls=never connections=1
	rules add other transport=capture
	add --account main --id first
	mailq-run >run.log 2>&1 &
	runner=$!
	wait_for file_has slow.log 'DATA'
	add --account main --id second --at +1h
	run -75 --separate-stderr rules delete main --move-to other
	assert_equal "$output" '1 message moved to account other'
	assert_match "$stderr" 'account main stays: 1 message is being sent at this moment'
	touch go
	wait "$runner"
	run -0 rules delete main --move-to other
	assert_equal "$output" ''
	assert_equal "$(mailq-status list --account other --json | value id)" second
	assert_equal "$(history_of sent first | value account)" main
}

@test "a million messages are one rename" {
	local begin

	rules add main transport=capture
	rules add other transport=capture
	add_ids m 2000 --account main
	begin=$(find "$MAILQ_SPOOL/waiting/main" -type f -printf '%i %f\n' | sort)
	run -0 strace -f -c -e trace=rename,renameat,renameat2 -o calls mailq-rules accounts delete main --move-to other
	assert_equal "$output" '2000 messages moved to account other'
	assert_equal "$(find "$MAILQ_SPOOL/waiting/other" -type f -printf '%i %f\n' | sort)" "$begin"
	[ "$(awk '/rename/ { n += $4 } END { print n }' calls)" -lt 20 ]
}

# ---- test --------------------------------------------------------------------------------------

@test "test: a Postfix with TLS and a login, and what may be wrong" {
	[ "$(id -u)" -eq 0 ] || skip 'only root can start a Postfix'
	local relay starttls smtps submission closed

	make_certificates "$PWD/certificates"
	start_keeper relayed relay
	POSTFIX=$(service_directory)
	DOVECOT=$(service_directory)
	for name in starttls smtps submission closed; do
		free_port "$name"
	done
	postfix_setup "$POSTFIX" "$PWD/certificates" "$relay"
	tls='-o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes'
	postfix_listen "$POSTFIX" "$starttls" $tls
	postfix_listen "$POSTFIX" "$smtps" $tls -o smtpd_tls_wrappermode=yes
	dovecot_setup "$DOVECOT" "$PWD/certificates" "$POSTFIX/queue" "$submission" "$relay"
	start_server dovecot dovecot -F -c "$DOVECOT/dovecot.conf"
	start_server postfix $(postfix_command "$POSTFIX")
	wait_port dovecot "$submission"
	wait_port postfix "$starttls"

	rules add main host=localhost port="$starttls" ca_file="$PWD/certificates/ca.pem" user=app password=- \
		<<<"$DOVECOT_PASSWORD"
	run -0 --separate-stderr rules test main
	assert_equal "${lines[0]}" "main: localhost:$starttls (127.0.0.1:$starttls), TLS, logged in as app"
	printf '%s\n' "${lines[@]:1}" | grep -qx '    PIPELINING'
	printf '%s\n' "${lines[@]:1}" | grep -qxE '    AUTH .*PLAIN.*'
	assert_equal "$stderr" ''
	run -0 rules test main --json
	assert_equal "$(value tls <<<"$output"),$(value user <<<"$output")" True,app

	rules set main port="$smtps" use_tls=true
	run -0 rules test
	assert_match "${lines[0]}" 'TLS, logged in as app'
	rules set main password=- <<<wrong
	run -77 --separate-stderr rules test main
	assert_match "$stderr" '^mailq-rules: account main: .*535'
	rules set main ca_file="$PWD/certificates/other-ca.pem"
	run --separate-stderr rules test main
	[ "$status" -eq 78 ] || [ "$status" -eq 69 ]
	assert_match "$stderr" '^mailq-rules: account main: .*certificate'
	rules set main port="$closed"
	run -69 --separate-stderr rules test main
	assert_match "$stderr" '^mailq-rules: account main: connect'
	run -69 rules test main --json
	assert_equal "$(value ok <<<"$output"),$(value code <<<"$output")" False,69
	assert_equal "$(kept relayed)" 0
	[ ! -e "$MAILQ_SPOOL/parked/main" ]
}

@test "test: without TLS, a Maildir, a secret that cannot be had" {
	local port

	start_script plain port
	rules add main host=127.0.0.1 port="$port" starttls=never
	run -0 rules test main
	assert_equal "$output" "main: 127.0.0.1:$port (127.0.0.1:$port), no TLS, no login
    PIPELINING
    SIZE 100000000
    8BITMIME"
	assert_equal "$(saw plain 'MAIL')" 0
	rules add box transport=capture maildir="$PWD/box"
	run -0 rules test box
	assert_equal "$output" "box: $PWD/box: can be written"
	rules set box maildir=/proc/none
	run --separate-stderr rules test box
	[ "$status" -ne 0 ]
	assert_match "$stderr" '/proc/none'
	rules set main user=u password_file="$PWD/absent"
	run -78 --separate-stderr rules test main
	assert_match "$stderr" "account main: password_file: $PWD/absent"
}

# ---- import ------------------------------------------------------------------------------------

sample() {
	cat <<-EOT
		[{"MAIL_USERNAME":"u","MAIL_PASSWORD":"S3cret","MAIL_FROM":"from@example.com","MAIL_PORT":25,
		  "MAIL_SERVER":"smtp4dev","MAIL_FROM_NAME":"Your Name1","MAIL_STARTTLS":false,"MAIL_SSL_TLS":false},
		 {"MAIL_USERNAME":"u2","MAIL_PASSWORD":"S3cret","MAIL_FROM":"from@example.com","MAIL_PORT":587,
		  "MAIL_SERVER":"smtp4dev","MAIL_FROM_NAME":"${1:-Your Name2}","MAIL_STARTTLS":true,"MAIL_SSL_TLS":false},
		 {"MAIL_USERNAME":"u3","MAIL_PASSWORD":"S3cret","MAIL_FROM":"from@example.com","MAIL_PORT":465,
		  "MAIL_SERVER":"Mail.Example.com","MAIL_FROM_NAME":"","MAIL_STARTTLS":false,"MAIL_SSL_TLS":true,
		  "VALIDATE_CERTS":false,"TIMEOUT":20}]
	EOT
}

@test "import: the servers of the second service, in their order" {
	sample >servers.json
	run -0 --separate-stderr rules import servers.json
	assert_equal "$output" 'smtp4dev: made
smtp4dev-2: made
mail.example.com: made'
	assert_match "$stderr" '^mailq-rules: account smtp4dev: the file says that its password goes to smtp4dev without TLS'
	assert_equal "$(wc -l <<<"$stderr")" 1
	[[ $stderr != *S3cret* ]]
	assert_equal "$(ids)" '*smtp4dev*smtp4dev-2*mail.example.com'
	assert_equal "$(rules list --json | value protection | xargs)" 'none starttls tls'
	assert_equal "$(shown smtp4dev from),$(shown smtp4dev from_name)" 'from@example.com,Your Name1'
	assert_equal "$(shown mail.example.com tls_verify),$(shown mail.example.com timeouts.connect)" False,20
	file smtp4dev-2 | grep -qx 'password = "S3cret";'

	# Again: nothing; what was added by hand stays.
	rules set smtp4dev limit_per_minute=5
	cp -r "$MAILQ_SPOOL/accounts" before
	run -0 --separate-stderr rules import - <servers.json
	assert_match "$output" '^smtp4dev: is there already'
	diff -r before "$MAILQ_SPOOL/accounts"

	# Changed: not without a word.
	run -73 --separate-stderr rules import - < <(sample 'Another Name')
	assert_match "$stderr" 'account smtp4dev-2 was made of server 2 before, and differs: --replace'
	diff -r before "$MAILQ_SPOOL/accounts"
	run -0 --separate-stderr rules import --replace - < <(sample 'Another Name')
	assert_equal "${lines[1]}" 'smtp4dev-2: changed'
	assert_equal "$(shown smtp4dev-2 from_name)" 'Another Name'
	assert_equal "$(shown smtp4dev limit_per_minute)" 5
}

@test "import: one that only seems to send takes nothing that is to be sent" {
	local closed port

	free_port closed
	start_keeper server port
	rules import - 2>warnings <<-EOT
		[{"MAIL_SERVER":"127.0.0.1","MAIL_PORT":25,"SUPPRESS_SEND":1},
		 {"MAIL_SERVER":"127.0.0.1","MAIL_PORT":$closed,"MAIL_FROM":"one@example.com"},
		 {"MAIL_SERVER":"localhost","MAIL_PORT":25,"SUPPRESS_SEND":1},
		 {"MAIL_SERVER":"127.0.0.1","MAIL_PORT":$port}]
	EOT
	assert_equal "$(grep -c 'SUPPRESS_SEND: it captures mail and sends nothing; it is no fallback of another account, and not the default' warnings)" 2
	assert_equal "$(rules list --json | value id | xargs)" '127.0.0.1-2 127.0.0.1-3 127.0.0.1 localhost'
	assert_equal "$(shown 127.0.0.1-2 fallback)" 127.0.0.1-3
	for id in 127.0.0.1 localhost 127.0.0.1-3; do
		! file "$id" | grep -q fallback
	done
	add --id x
	run_mailq
	assert_equal "$(history_of sent x | value account)" 127.0.0.1-3
	# All are down: it waits.
	stop_server server
	add --id y
	run_mailq
	[ -n "$(state y)" ]
	[ ! -e "$MAILQ_SPOOL/captured" ]
	# Again is no change.
	run -0 --separate-stderr rules list
	rm -rf "$MAILQ_SPOOL/accounts"
	run -0 --separate-stderr rules import - <<<'[{"MAIL_SERVER":"only","SUPPRESS_SEND":1}]'
	assert_match "$stderr" "no fallback of another account\$"
}

@test "import: names that others have are passed over" {
	rules add smtp4dev host=elsewhere.example
	echo 'accounts: ( { id = "smtp4dev-2"; host = "h"; } );' >"$MAILQ_CONFIG"
	run -0 --separate-stderr rules import - < <(sample)
	assert_equal "$output" 'smtp4dev-3: made
smtp4dev-4: made
mail.example.com: made'
	assert_equal "$(shown smtp4dev host)" elsewhere.example
}

@test "import: all or nothing" {
	local case

	for case in '{}' '[]' '5' '[{"MAIL_SERVER":"a"},{"MAIL_PORT":25}]' '[{"MAIL_SERVER":"a"},{"MAIL_SERVER":"b","MAIL_PORT":0}]' \
		'[{"MAIL_SERVER":"a"},{"MAIL_SERVER":"b","MAIL_FROM":"no address"}]' \
		'[{"MAIL_SERVER":"a"},{"MAIL_SERVER":"b","MAIL_STARTTLS":true,"MAIL_SSL_TLS":true}]' \
		'[{"MAIL_SERVER":"a"},{"MAIL_SERVER":"b/c"}]' '[{"MAIL_SERVER":"a"},{"MAIL_SERVER":"b","MAIL_USERNAME":"u"}]'; do
		run --separate-stderr rules import - <<<"$case"
		[ "$status" -eq 65 ] || [ "$status" -eq 78 ] || [ "$status" -eq 64 ] || fail "$case: $status"
		[ -n "$stderr" ]
		assert_equal "$(ls "$MAILQ_SPOOL/accounts" 2>/dev/null | wc -l)" 0 "$case"
	done
	# The disk fills up at the second one.
	mkdir -m 700 "$MAILQ_SPOOL/accounts"
	run -75 --separate-stderr at 6 full mailq-rules accounts import - < <(sample)
	assert_equal "$(find "$MAILQ_SPOOL/accounts" -type f -not -name '.*' | wc -l)" 0
	run -0 rules import - < <(sample)
	assert_equal "$(ls -A "$MAILQ_SPOOL/accounts" | wc -l)" 3
}

@test "import: mail goes by the next where a server is not there or refuses the login" {
	local closed refusing port

	free_port closed
	start_script refusing refusing -e 'AUTH PLAIN' 'auth=535 5.7.8 no'
	start_keeper server port --login u:S3cret
	rules import - <<-EOT
		[{"MAIL_SERVER":"127.0.0.1","MAIL_PORT":$closed,"MAIL_FROM":"one@example.com"},
		 {"MAIL_SERVER":"127.0.0.1","MAIL_PORT":$refusing,"MAIL_USERNAME":"u","MAIL_PASSWORD":"S3cret"},
		 {"MAIL_SERVER":"127.0.0.1","MAIL_PORT":$port,"MAIL_USERNAME":"u","MAIL_PASSWORD":"S3cret"}]
	EOT
	add --id x
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(kept server)" 1
	assert_equal "$(history_of sent x | value account)" 127.0.0.1-3
	grep -q '^From: one@example.com' server/*.eml
}

# ---- a run that lasts --------------------------------------------------------------------------

@test "a watching mailq-run takes up an account that was made, changed or removed meanwhile" {
	local first second

	start_keeper one first
	start_keeper two second
	start_server watch mailq-run --watch
	rules add relay host=127.0.0.1 "port=$first"
	add --account relay --id M-1
	wait_for kept_are one 1
	rules set relay "port=$second"
	add --account relay --id M-2
	wait_for kept_are two 1
	rules add other host=127.0.0.1 "port=$first"
	add --account other --id M-3
	wait_for kept_are one 2
	rules delete relay
	stop_server watch
	assert_equal "$(history_of failed)" ''
}
kept_are() { # NAME COUNT
	[ "$(kept "$1")" -eq "$2" ]
}

@test "a cycle under way takes up an account that was made after it began" {
	local port

	# It pauses after each message, so that it lasts.
	start_keeper one port
	rules add slow host=127.0.0.1 "port=$port" min_interval_seconds=300ms
	add_ids S 100 --account slow
	start_server long mailq-run
	wait_for kept_are_some one
	rules add late host=127.0.0.1 "port=$port"
	add --account late --id L-1
	sent() { [ "$(history_of sent L-1 | wc -l)" -eq 1 ]; }
	wait_for sent
	not_running "$(server_pid long)" && fail 'it has ended'
	stop_server long
	assert_equal "$(history_of failed)" ''
}

@test "a cycle under way obeys a limit that was set after it began" {
	local port sent

	start_keeper one port
	rules add a host=127.0.0.1 "port=$port" min_interval_seconds=100ms
	add_ids S 300 --account a
	start_server long mailq-run
	wait_for kept_are_some one
	rules set a limit_per_minute=1
	wait_gone "$(server_pid long)"
	sent=$(kept one)
	[ "$sent" -lt 300 ] || fail 'it has sent all'
	mailq-run
	assert_equal "$(kept one)" "$sent"
	assert_equal "$(in_state waiting)" $((300 - sent))
}

@test "a cycle that was cut short for new settings goes on, though the rules have none due" {
	local port

	start_keeper one port
	mailq-rules add --every 2h
	rules add a host=127.0.0.1 "port=$port" min_interval_seconds=100ms
	add_ids S 40 --account a
	start_server watch mailq-run --watch -v
	wait_for kept_are_some one
	rules set a min_interval_seconds=50ms
	wait_for kept_are one 40
	stop_server watch
	assert_equal "$(grep -c 'is read again' watch.log)" 1
}

@test "a broken configuration leaves that in force which was, in a cycle and in a watch" {
	local port

	start_keeper one port
	rules add a host=127.0.0.1 "port=$port" min_interval_seconds=100ms
	add_ids S 60 --account a
	start_server watch mailq-run --watch
	wait_for kept_are_some one
	echo 'nonsense' >>"$MAILQ_CONFIG"
	wait_for file_has watch.log 'still using the previous'
	wait_for kept_are one 60
	stop_server watch
	assert_equal "$(grep -c 'still using the previous' watch.log)" 1
}
kept_are_some() {
	[ "$(kept "$1")" -gt 0 ]
}
