# For every bats file:
#
#	load ../../helpers/common
#	setup() { common_setup; }
#	teardown() { common_teardown; }
#
# After common_setup the programs are first in PATH, MAILQ_SPOOL is a spool of the test's own below
# $BATS_TEST_TMPDIR (not made yet), HOME an empty directory, and nothing of the caller's settings
# is left.  common_teardown stops what start_server started.
#
# Nothing here sleeps for a time that was guessed: wait_for and its like look at the thing itself,
# many times a second, until it is so or far too much time has gone by (then the test fails).  What is
# too much is a matter of failing tests only, so it is ample: a machine may be slow, or busy.

MAILQ_TOP=${MAILQ_TOP:-$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)}
MAILQ_BUILD=${MAILQ_BUILD:-$MAILQ_TOP/build}
bats_require_minimum_version 1.5.0

common_setup() {
	local name

	for name in ${!MAILQ_*} ${!SMTP_*} ${!XDG_*} ${!GIT_*} API_TOKEN HOST PORT FETCH_URL TIMEZONE; do
		case $name in
		MAILQ_TOP | MAILQ_BUILD | MAILQ_TEST_PORTS) ;;
		*) unset "$name" ;;
		esac
	done
	# Debian's own programs first: another python3 lacks what is packaged for this one.
	PATH=$MAILQ_BUILD/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
	export LC_ALL=C.UTF-8 TZ=UTC HOME=$BATS_TEST_TMPDIR/home
	mkdir -p "$HOME"
	cd "$BATS_TEST_TMPDIR" || return 1
	export MAILQ_SPOOL=$BATS_TEST_TMPDIR/spool
}

common_teardown() {
	stop_servers
}

# Prints its arguments where bats shows them when the test fails, and fails.
fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# assert_equal GOT WANT [WHAT]
assert_equal() {
	[ "$1" = "$2" ] || fail "${3:-value}: got '$1', expected '$2'"
}

# assert_match TEXT EXPRESSION: bash's =~
assert_match() {
	[[ $1 =~ $2 ]] || fail "got '$1', expected it to match '$2'"
}

# assert_status WANT: after run
assert_status() {
	[ "$status" -eq "$1" ] || fail "exit status $status, expected $1; it printed: $output"
}

# ---- waiting -----------------------------------------------------------------------------------

# A moment between two looks, without a process.
pause() {
	if [ -z "${PAUSE_FD:-}" ]; then
		exec {PAUSE_FD}<> <(:)
	fi
	read -r -t "${1:-0.02}" -u "$PAUSE_FD" || :
}

# wait_for [-t SECONDS] COMMAND...: until COMMAND succeeds; fails after SECONDS (90).  What COMMAND says
# is looked up each time: a "$(...)" among its arguments would be looked up once, before the first.
wait_for() {
	local limit=90 end

	if [ "$1" = -t ]; then
		limit=$2
		shift 2
	fi
	end=$((SECONDS + limit))
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || { fail "gave up after $limit s waiting for: $*"; return 1; }
		pause
	done
}

# wait_gone PID [SECONDS]: until the process is gone (or a zombie, if it is not our child).
wait_gone() {
	wait_for -t "${2:-90}" not_running "$1"
}
not_running() {
	local state

	! kill -0 "$1" 2>/dev/null || { read -r _ _ state _ <"/proc/$1/stat" && [ "$state" = Z ]; }
}

# file_has FILE EXPRESSION, file_lines FILE N (N or more): for wait_for
file_has() {
	grep -qE -- "$2" "$1"
}
file_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# ---- servers -----------------------------------------------------------------------------------

# free_port VARIABLE: sets it to a port of 127.0.0.1 that nobody listens on and that no other test
# of this run is given.  Ports come from below the range that the kernel gives to clients, and each
# is reserved by a lock that this test's shell holds to its end.
free_port() {
	local _dir=${MAILQ_TEST_PORTS:-/tmp/mailq-test-ports.$UID} _port _fd

	mkdir -p "$_dir"
	while :; do
		_port=$((20000 + RANDOM % 12000))
		exec {_fd}>"$_dir/$_port"
		if flock -n "$_fd" && ! port_open "$_port"; then
			printf -v "$1" %s "$_port"
			return 0
		fi
		exec {_fd}>&-
	done
}

# port_open PORT: something accepts connections there
port_open() {
	(exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_server NAME COMMAND...: runs it in the background with its output in NAME.log below
# $BATS_TEST_TMPDIR; its pid is then $(server_pid NAME).
start_server() {
	local name=$1

	shift
	"$@" >"$BATS_TEST_TMPDIR/$name.log" 2>&1 </dev/null 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/$name.server"
}

server_pid() {
	cat "$BATS_TEST_TMPDIR/$1.server"
}

# wait_port NAME PORT: until server NAME accepts connections; fails at once when it has died.
wait_port() {
	local pid end=$((SECONDS + 90))

	pid=$(server_pid "$1")
	until port_open "$2"; do
		if not_running "$pid"; then
			fail "server $1 died; it said: $(tail -n 20 "$BATS_TEST_TMPDIR/$1.log")"
			return 1
		fi
		[ "$SECONDS" -lt "$end" ] || { fail "server $1 does not listen on $2"; return 1; }
		pause
	done
}

# stop_server NAME [SIGNAL]: sends it (TERM), then KILL after 10 s, and waits until it is gone.
stop_server() {
	local pid file=$BATS_TEST_TMPDIR/$1.server

	[ -e "$file" ] || return 0
	pid=$(cat "$file")
	rm -f "$file"
	kill -s "${2:-TERM}" "$pid" 2>/dev/null || :
	if ! wait_gone "$pid" 10 2>/dev/null; then
		kill -s KILL "$pid" 2>/dev/null || :
		wait_gone "$pid" 10
	fi
	wait "$pid" 2>/dev/null || :
}

stop_servers() {
	local file

	for file in "$BATS_TEST_TMPDIR"/*.server; do
		[ -e "$file" ] || continue
		stop_server "$(basename "$file" .server)"
	done
}

# start_sink NAME PORT [OPTION...]: Postfix's smtp-sink, one that accepts everything unless its
# options say otherwise, with up to 500 connections; ready when this returns.
start_sink() {
	local name=$1 port=$2

	shift 2
	if [ "$(id -u)" -eq 0 ]; then
		set -- -u nobody "$@"
	fi
	start_server "$name" smtp-sink "$@" "127.0.0.1:$port" 500
	wait_port "$name" "$port"
}

# ---- JSON --------------------------------------------------------------------------------------

# json_look [-lps] NAME EXPRESSION FILE: the value of a Python expression, in which NAME is the JSON of FILE; see
# tests/tools/json_get.c for the options.  What that program does not understand is given to Python, which takes
# twenty times as long to start.
json_look() {
	local status=0 flags=-

	"$MAILQ_BUILD/tests/tools/json_get" "$@" || status=$?
	[ "$status" -gt 1 ] || return "$status"
	case $1 in -*) flags=$1 && shift ;; esac
	/usr/bin/python3 -c '
import json, sys
flags, name, expression, path = sys.argv[1:]
source = open(path)
for text in (source if "l" in flags else [source.read()]):
    v = eval("(" + expression + ")", {name: json.loads(text)})
    if isinstance(v, str) or "p" in flags:
        print(v)
    elif "s" in flags:
        print(json.dumps(v))
    else:
        print(json.dumps(v, ensure_ascii=False, separators=(",", ":")))' "$flags" "$@"
}

# value KEY: of the JSON lines on standard input, as Python prints it; KEY is recipients.0.code or the like
value() {
	local key expression=r lines

	lines=$(</dev/stdin)
	[ -n "$lines" ] || return 0
	for key in ${1//./ }; do
		case $key in
		*[!0-9]*) expression+="[\"$key\"]" ;;
		*) expression+="[$key]" ;;
		esac
	done
	printf '%s\n' "$lines" >"$BATS_TEST_TMPDIR/value.$BASHPID.json"
	json_look -lp r "$expression" "$BATS_TEST_TMPDIR/value.$BASHPID.json"
}
