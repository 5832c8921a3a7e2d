# For tests of mailq-run: accounts, servers that keep what they take, and a look at what became of
# each message that needs no other program of ours.

delivery_setup() {
	common_setup
	export MAILQ_CONFIG=$BATS_TEST_TMPDIR/mailq.conf
	accounts
}

# relay ID PORT [SETTINGS]: an account, as it stands in the configuration
relay() {
	echo "{ id = \"$1\"; host = \"127.0.0.1\"; port = $2; ${3:-} }"
}

# accounts [ACCOUNT...]: the configuration has these from now on, and what is in $SETTINGS
accounts() {
	{
		echo 'delivery: { hostname = "host.example"; from = "app@host.example";' \
			"${DELIVERY:-} };"
		echo "${SETTINGS:-}"
		printf 'accounts: ('
		local IFS=,
		echo "$*);"
	} >"$MAILQ_CONFIG"
}

# add [OPTION...]: a small message; prints its id.  The subject is that of --subject, else "test".
add() {
	local subject=(--subject test)

	case " $* " in *' --subject '*) subject=() ;; esac
	case " $* " in *' --to '*) ;; *) set -- --to to@example.org "$@" ;; esac
	mailq-add --body 'a body' "${subject[@]}" "$@"
}

# add_ids PREFIX COUNT [OPTION...]: small messages PREFIX-1, PREFIX-2, ... in one batch
add_ids() {
	local prefix=$1 count=$2 i

	shift 2
	for ((i = 1; i <= count; i++)); do
		printf '{"id":"%s-%d","to":"to@example.org","subject":"%s-%d","body":"a body"}\n' \
			"$prefix" "$i" "$prefix" "$i"
	done | mailq-add --json "$@" >/dev/null
}

# start_keeper NAME VARIABLE [OPTION...]: an aiosmtpd that keeps its messages in the directory NAME;
# its port is put into VARIABLE.
start_keeper() {
	local _name=$1 _its_port _host=${HOST_OF_KEEPER:-127.0.0.1}

	free_port _its_port
	printf -v "$2" %s "$_its_port"
	shift 2
	start_server "$_name" /usr/bin/python3 "$MAILQ_TOP/tests/helpers/aiosmtpd_server.py" \
		"$BATS_TEST_TMPDIR/$_name" "$_host" "$_its_port" "$@"
	wait_for file_has "$BATS_TEST_TMPDIR/$_name.log" '^ready'
}

# start_script NAME VARIABLE [ARGUMENT...]: a scripted server (smtp_script.py), likewise; what it
# sees is in NAME.log.  Where many are wanted, launch them all first, then ask for their ports.
start_script() {
	local _name=$1 _variable=$2

	shift 2
	launch_script "$_name" "$@"
	script_port "$_name" "$_variable"
}
launch_script() { # NAME [ARGUMENT...]
	local name=$1

	shift
	start_server "$name" /usr/bin/python3 "$MAILQ_TOP/tests/helpers/smtp_script.py" "$@"
}
script_port() { # NAME VARIABLE
	wait_for file_has "$BATS_TEST_TMPDIR/$1.log" '^port' || return 1
	printf -v "$2" %s "$(sed -n 's/^port //p' "$BATS_TEST_TMPDIR/$1.log")"
}

# said NAME: what a scripted server was told, and took, without what tells connections apart
said() {
	sed -nE 's/^[0-9]+> //p; /^message/p' "$BATS_TEST_TMPDIR/$1.log"
}
# saw NAME EXPRESSION: how often a scripted server wrote a line like this
saw() {
	grep -cE -- "$2" "$BATS_TEST_TMPDIR/$1.log" || :
}

# assert_saw NAME EXPRESSION COUNT: the server may write a line a moment after it has answered
assert_saw() {
	local end=$((SECONDS + 60))

	until [ "$(saw "$1" "$2")" -ge "$3" ] || [ "$SECONDS" -ge "$end" ]; do
		pause
	done
	assert_equal "$(saw "$1" "$2")" "$3" "lines of $1 like $2"
}

# kept NAME: how many messages a keeper has
kept() {
	find "$BATS_TEST_TMPDIR/$1" -name '*.json' 2>/dev/null | wc -l
}

# run_mailq [OPTION...]: mailq-run, which must exit with 0; what it says is in $output and $stderr.  It
# must come to its end before the shortest of the time-outs of RFC 5321, two minutes, would end it.
run_mailq() {
	run -0 --separate-stderr timeout 110 mailq-run "$@"
}

# summary TEXT: the last run printed this
summary() {
	assert_equal "$output" "$1" summary || fail "it said: ${stderr:-}"
}

# state ID: the state a message stands in, or nothing.  A runner's directory is "claimed".
state() {
	local state path

	for state in waiting deferred held uncertain failed corrupt cur; do
		[ -d "$MAILQ_SPOOL/$state" ] || continue
		path=$(find "$MAILQ_SPOOL/$state" -type f -name "*.$1" -print -quit)
		[ -z "$path" ] || echo "${state/cur/claimed}"
	done
}
# attempts ID, due ID (seconds): from its name
attempts() {
	name_of "$1" | cut -d. -f4
}
due() {
	name_of "$1" | cut -d. -f2
}
name_of() {
	find "$MAILQ_SPOOL" -type f -name "*.*.*.*.*.$1" -printf '%f\n' -quit
}

# How many messages stand in a state.
in_state() {
	find "$MAILQ_SPOOL/$1" -type f 2>/dev/null | wc -l
}

# history [EVENT [ID]]: the lines of all journals, in the order of their time
history_of() {
	cat "$MAILQ_SPOOL"/log/*.log "$MAILQ_SPOOL"/cur/*/journal 2>/dev/null | sort |
		grep -F "\"event\":\"${1:-}" | grep -F "\"id\":\"${2:-}" || :
}

# resting ACCOUNT: it is parked
resting() {
	[ -e "$MAILQ_SPOOL/parked/$1" ]
}

# forget_rest: parked accounts are tried again at once
forget_rest() {
	rm -f "$MAILQ_SPOOL"/parked/*
}

# due_now ID...: what was deferred is due at once (as if its time had come): the rename that a
# person would make
due_now() {
	local id path name bucket now

	now=$(date +%s)
	for id; do
		path=$(find "$MAILQ_SPOOL/deferred" -type f -name "*.$id" -print -quit)
		[ -n "$path" ] || { fail "$id is not deferred"; return 1; }
		name=$(basename "$path")
		bucket=$(dirname "$(dirname "$path")")/${name%%.*}.$((now - now % 256))
		mkdir -p "$bucket"
		mv "$path" "$bucket/${name%%.*}.$now.000000.$(cut -d. -f4- <<<"$name")"
	done
}
