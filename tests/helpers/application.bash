# For tests of the exchange with the application: one that misbehaves on command (application.py).

# start_application NAME VARIABLE [PORT [CERTIFICATE KEY]]: its port is put into VARIABLE; what it sees, and how
# it answers, is in the directory NAME.
start_application() {
	local _name=$1 _variable=$2

	shift 2
	mkdir -p "$BATS_TEST_TMPDIR/$_name"
	rm -f "$BATS_TEST_TMPDIR/$_name.log"
	start_server "$_name" /usr/bin/python3 "$MAILQ_TOP/tests/helpers/application.py" "$BATS_TEST_TMPDIR/$_name" "$@"
	wait_for file_has "$BATS_TEST_TMPDIR/$_name.log" '^port'
	printf -v "$_variable" %s "$(sed -n 's/^port //p' "$BATS_TEST_TMPDIR/$_name.log")"
}

# answers NAME sync|fetch WORD...: how it answers from now on
answers() {
	local name=$1 what=$2

	shift 2
	printf '%s\n' "$@" >"$BATS_TEST_TMPDIR/$name/$what.next"
	mv "$BATS_TEST_TMPDIR/$name/$what.next" "$BATS_TEST_TMPDIR/$name/$what"
}

# heard NAME: "ID STATUS" of what it has acknowledged, in order; held NAME: of what it has not
heard() {
	pairs "$BATS_TEST_TMPDIR/$1/heard"
}
held() {
	pairs "$BATS_TEST_TMPDIR/$1/held"
}
pairs() {
	[ ! -e "$1" ] || json_look -l r '[r["id"], r["status"]]' "$1" | sed 's/","/ /; s/^\["//; s/"\]$//'
}

# requests NAME [EXPRESSION]: of each request r (a dict) the value of a Python expression; without one, how
# many reports it held
requests() {
	local expression=${2:-r[\"count\"]}

	# h are the headers.
	expression=${expression//h\[/r[\"headers\"][}
	expression=${expression//h.get\(/r[\"headers\"].get(}
	[ ! -e "$BATS_TEST_TMPDIR/$1/requests" ] || json_look -ls r "$expression" "$BATS_TEST_TMPDIR/$1/requests"
}

# report NAME EXPRESSION: of each report r that was acknowledged, in order
report() {
	json_look -ls r "$2" "$BATS_TEST_TMPDIR/$1/heard"
}

# exchange SETTINGS [ACCOUNT...]: the configuration with these groups (sync, fetch)
exchange() {
	SETTINGS=$1
	shift
	accounts "$@"
}

# forget_failures: the next call is not put off
forget_failures() {
	rm -f "$MAILQ_SPOOL/reports/state" "$MAILQ_SPOOL/reports/fetch"
}

# sync_to PORT [SETTINGS [ACCOUNT...]]: reports go there
sync_to() {
	local port=$1 more=${2:-}

	shift
	[ $# -eq 0 ] || shift
	exchange "sync: { url = \"http://127.0.0.1:$port/sync\"; ${SYNC:-} $more };" "$@"
}

# fetch_from PORT [SETTINGS]: so do messages, from there
fetch_from() {
	exchange "sync: { url = \"http://127.0.0.1:$1/sync\"; ${SYNC:-} };
		fetch: { url = \"http://127.0.0.1:$1/mail/\"; timeout = \"2s\"; ${2:-} };"
}

# message ID [MEMBER...]: as the application hands it out
message() {
	local more

	printf '{"id":"%s","to":"to@example.org","subject":"%s","body":"B"' "$1" "$1"
	shift
	for more in "$@"; do
		printf ',%s' "$more"
	done
	printf '}'
}

# the_state FILE KEY: what reports/FILE says
the_state() {
	sed -n "s/^$2: //p" "$MAILQ_SPOOL/reports/$1" 2>/dev/null || :
}
