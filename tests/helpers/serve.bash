# For tests of mailq-serve.

load "${BASH_SOURCE[0]%/*}/add"

serve_setup() {
	add_setup
	unset URL
}

# start_serve NAME PORTVAR [OPTION...]: on 127.0.0.1, at a port that PORTVAR holds or gets; ready when this
# returns.  What it says is in NAME.log.  URL is then its address.
start_serve() {
	local name=$1 variable=$2

	shift 2
	[ -n "${!variable:-}" ] || free_port "$variable"
	start_server "$name" mailq-serve --listen "127.0.0.1:${!variable}" "$@"
	wait_port "$name" "${!variable}"
	URL=http://127.0.0.1:${!variable}
}

# api METHOD PATH [CURL OPTION...]: the answer's status in code, its body in body, its head in head
api() {
	local method=$1 path=$2

	shift 2
	code=$(curl -sS -X "$method" -D head.txt -o body.txt -w '%{http_code}' "$@" "$URL$path") || return 1
	body=$(cat body.txt)
	head=$(tr -d '\r' <head.txt)
}

# post PATH JSON [CURL OPTION...]
post() {
	local path=$1 json=$2

	shift 2
	api POST "$path" -H 'Content-Type: application/json' --data-binary "$json" "$@"
}

# answer CODE [EXPRESSION]: what the last answer was
answer() {
	[ "$code" = "$1" ] || fail "got $code, expected $1: $body"
	[ $# -lt 2 ] || assert_match "$body" "$2"
}

# json EXPRESSION: of the last answer, as a Python expression over a; strings as they are, else JSON
json() {
	json_look a "$1" body.txt
}

# one_message [MEMBER...]: a message as JSON, with further members
one_message() {
	local more

	printf '{"from":"app@example.com","to":["a@example.org"],"subject":"S","body":"B"'
	for more in "$@"; do
		printf ',%s' "$more"
	done
	printf '}'
}

# add_one [MEMBER...]: a body for add-messages
add_one() {
	printf '{"messages":[%s]}' "$(one_message "$@")"
}
