# mailq.conf: its manual page and what the programs take, and what they say of a faulty one.

load ../../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

table() {
	"$MAILQ_BUILD/tests/tools/settings_table" "$@"
}
page() {
	echo "$MAILQ_TOP/man/mailq.conf.5"
}

# "delivery.jobs: Number, 1 to 1000; default 10." for each setting of the page; those of an account
# stand there without the name of the group.
page_settings() {
	awk '
		/^\.Sh/ { prefix = "" }
		/^In each account:/ { prefix = "accounts." }
		/^In each token:/ { prefix = "server.tokens." }
		name != "" { print name ": " $0; name = "" }
		/^\.It Va/ { name = prefix $3 }
	' "$(page)" | sed -E 's/^([a-z0-9_.]+: [^;]*;[^.]*(\.[0-9][^.]*)*("[^"]*")?[^.]*\.)( .*)?$/\1/'
}

# The examples of the page, numbered files.
page_examples() {
	awk '/^\.Bd -literal/ { n++; on = 1; next } /^\.Ed/ { on = 0 }
		on { print > ("example" n ".conf") } END { print n }' "$(page)"
}

# conf LINE...: the file's content from now on.
conf() {
	printf '%s\n' "$@" >mailq.conf
	export MAILQ_CONFIG=$BATS_TEST_TMPDIR/mailq.conf
}

@test "the page and the programs know the same settings, bounds and defaults" {
	table | sort >want
	[ "$(wc -l <want)" -gt 60 ]
	diff -u want <(page_settings | sort)
}

@test "the examples of the page are accepted" {
	count=$(page_examples)
	[ "$count" -ge 4 ]
	for ((i = 1; i <= count; i++)); do
		run table "example$i.conf"
		assert_equal "$output" '' "example $i"
		assert_status 0
	done
}

@test "a fault names program, file, line, setting and what was expected" {
	conf 'spool = "/nonexistent";' 'delivery: {' '  jbos = 3;' '};'
	run -78 --separate-stderr mailq-status
	assert_equal "$stderr" "mailq-status: $MAILQ_CONFIG:3: delivery.jbos: unknown setting"
	conf 'delivery: { jobs = "many"; };'
	run -78 --separate-stderr mailq-add --to a@b.example --subject x --body y
	assert_equal "$stderr" \
		"mailq-add: $MAILQ_CONFIG:1: delivery.jobs: expected a whole number, found a string"
	conf 'accounts: ( { id = "a"; host = "h"; user = "u"; password = "secret"; starttls = "try"; } );'
	run -78 --separate-stderr mailq-run
	assert_match "$stderr" "^mailq-run: $MAILQ_CONFIG:1: accounts: starttls: .* in clear"
	[[ $stderr != *secret* ]]
}

@test "a fault in an included file names that file" {
	mkdir conf.d
	printf 'accounts: (\n{ id = "a"; } );\n' >conf.d/accounts.conf
	conf '@include "conf.d/accounts.conf"'
	run -78 --separate-stderr mailq-status
	assert_equal "$stderr" "mailq-status: $BATS_TEST_TMPDIR/conf.d/accounts.conf:2: accounts: host: expected the server's name or address"
}

@test "a file that is named must be there" {
	run -66 --separate-stderr mailq-status -c absent.conf
	assert_equal "$stderr" 'mailq-status: absent.conf: No such file or directory'
	MAILQ_CONFIG=$PWD run -66 --separate-stderr mailq-status
	assert_equal "$stderr" "mailq-status: $BATS_TEST_TMPDIR: Is a directory"
}

@test "an option goes before the environment, and that before the user's own file" {
	unset MAILQ_SPOOL
	mkdir -p "$HOME/.config/mailq"
	for name in own environment option; do
		printf 'spool = "%s/%s";\n' "$BATS_TEST_TMPDIR" "$name" >"$name.conf"
	done
	cp own.conf "$HOME/.config/mailq/mailq.conf"
	mailq-add --from a@b.example --to a@b.example --subject x --body y
	[ -d own ]
	[ ! -e environment ]
	export MAILQ_CONFIG=environment.conf
	mailq-add --from a@b.example --to a@b.example --subject x --body y
	[ -d environment ]
	[ ! -e option ]
	mailq-add -c option.conf --from a@b.example --to a@b.example --subject x --body y
	[ -d option ]
	MAILQ_SPOOL=$BATS_TEST_TMPDIR/variable mailq-add --from a@b.example --to a@b.example --subject x --body y
	[ -d variable ]
}

@test "the environment of the first service makes the default account" {
	export SMTP_HOST=smtp.example.com SMTP_PORT=none
	run -78 --separate-stderr mailq-run
	assert_equal "$stderr" \
		'mailq-run: environment variable SMTP_PORT: expected a whole number, found a string'
	export SMTP_PORT=587 SMTP_PASSWORD=secret
	run -78 --separate-stderr mailq-run
	assert_match "$stderr" 'environment variables SMTP_.: user: expected, because there is a password'
	[[ $stderr != *secret* ]]
}
