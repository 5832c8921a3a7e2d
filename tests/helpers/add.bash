# For tests of mailq-add: a spool and a configuration of their own, and a look into the spool that
# needs no other program of ours.

add_setup() {
	common_setup
	export MAILQ_CONFIG=$BATS_TEST_TMPDIR/mailq.conf
	configure
}

# configure [DELIVERY [REST]]: what the configuration says from now on, in the group "delivery"
# (beside the host's name) and outside of it.
configure() {
	printf 'delivery: { hostname = "host.example"; %s };\n%s\n' "${1:-}" "${2:-}" >"$MAILQ_CONFIG"
}

# The file that holds a message in one of the queue's states; nothing where there is none.
message_file() { # ID
	local state

	for state in waiting deferred held; do
		[ ! -d "$MAILQ_SPOOL/$state" ] ||
			find "$MAILQ_SPOOL/$state" -type f -name "*.$1" -print -quit
	done
}

# All of one message, from its record's first line to the end of its text.
message() { # ID
	local file name offset first

	file=$(message_file "$1")
	[ -n "$file" ] || { echo "no message $1" >&2; return 1; }
	name=${file##*/}
	offset=$(cut -d. -f5 <<<"$name")
	first=$(tail -c "+$((offset + 1))" "$file" | head -c 55)
	[[ $first =~ ^mailq\ 1\ ([0-9]{8})\ ([0-9]{16})\  ]] || { echo "no record: $first" >&2; return 1; }
	tail -c "+$((offset + 1))" "$file" |
		head -c "$((10#${BASH_REMATCH[1]} + 10#${BASH_REMATCH[2]}))"
}

record() { # ID: its record's fields
	message "$1" | sed '/^$/q' | sed '1d;$d'
}

text() { # ID: its text, with the parts that are stored apart
	if record "$1" | grep -q '^part: '; then
		mailq-status cat "$1"
	else
		message "$1" | sed '1,/^$/d'
	fi
}

header() { # ID NAME: one header of its text, unfolded, without the line end
	text "$1" | tr -d '\r' | sed -n '/^$/q;p' | sed -e ':a' -e '$!N;s/\n[ \t]/ /;ta' -e 'P;D' |
		sed -n "s/^$2: //Ip"
}

field() { # ID NAME: one field of its record, each value on a line
	record "$1" | sed -n "s/^$2: //p"
}

recipients() { # ID: on one line
	field "$1" recipient | paste -sd' '
}

# How many messages the queue holds.
queued() {
	find "$MAILQ_SPOOL"/waiting "$MAILQ_SPOOL"/deferred -type f 2>/dev/null | wc -l
}

# Nothing is left of what was not committed, and nothing of it is in the queue.
nothing_queued() {
	[ "$(queued)" -eq 0 ] && nothing_open
}
nothing_open() {
	[ -z "$(ls -A "$MAILQ_SPOOL/tmp" 2>/dev/null)" ]
}
