# Something else in the place of a file of the spool: a FIFO, a socket, a directory, a link, a device, or a
# file of somebody else.  It hangs nobody, stops neither a submission nor a cycle that can do without the file,
# is named by check, and mended by check --repair.

# runs long

load ../helpers/common
load ../helpers/delivery
setup() {
	delivery_setup
	free_port PORT
	start_sink sink "$PORT"
	accounts "$(relay main "$PORT" 'starttls = "never"; limit_per_day = 1000;')"
}
teardown() { common_teardown; }

# put KIND PATH: in the spool
put() {
	local path=$MAILQ_SPOOL/$2

	rm -rf "$path"
	(umask 077 && mkdir -p "${path%/*}")
	case $1 in
	fifo) mkfifo -m 600 "$path" ;;
	directory) mkdir -m 700 "$path" && touch "$path/within" ;;
	link) ln -s mailq-spool "$path" ;;
	socket) /usr/bin/python3 -c 'import os, socket, sys
os.umask(0o077); os.chdir(os.path.dirname(sys.argv[1])); socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))' "$path" ;;
	device) mknod -m 600 "$path" c 1 3 ;;
	foreign) touch "$path" && chmod 600 "$path" && chown 12345 "$path" ;;
	esac
}

kinds() {
	echo fifo socket directory link
	[ "$(id -u)" != 0 ] || echo device foreign
}

# Two of them, others each time: all are tried over all files.
some_kinds() {
	local all=($(kinds))

	echo "fifo ${all[${turn:=1}]}"
}

# quick COMMAND...: it does not hang
quick() {
	timeout -k 5 60 "$@"
}

waits() { find "$MAILQ_SPOOL/waiting" -type f; }

# strange MODE PATH...: with each kind in place of each, check names and mends them; and, if MODE is go, mail
# is taken and sent before that.
strange() {
	local mode=$1 path kind

	shift
	add
	quick mailq-run -q
	for path; do
		turn=$((${turn:-0} % ($(kinds | wc -w) - 1) + 1))
		for kind in $(some_kinds); do
			put "$kind" "$path"
			run -65 quick mailq-status check
			assert_match "$output" "(^|"$'\n'")$path: (is (a|of|an)|belongs to)"
			if [ "$mode" = go ]; then
				quick mailq-add --to to@example.org --subject x --body x
				quick mailq-run -q
				assert_equal "$(waits)" '' "with a $kind as $path, waiting"
				put "$kind" "$path"
			fi
			run quick mailq-status check --repair
			assert_status 0
			assert_match "$output" "$path: .*; moved to corrupt/"
			run quick mailq-status check
			assert_status 0
			quick mailq-add --to to@example.org --subject x --body x
			quick mailq-run -q
			assert_equal "$(waits)" '' "mended: a $kind as $path, waiting"
		done
	done
}

@test "files of the root" {
	strange go wake count totals lock pins
}

@test "the scheduler's file, with rules" {
	mailq-rules add --name any
	strange go scheduler
}

@test "limits, parked accounts, histories" {
	strange go limits/main parked/main log/1732170240.000000.abcdefgh.log cur/1732170240.000000.abcdefgh/journal
}

# A cycle must not guess what the operator's rules were; --now does without.
@test "rules: mail waits, and goes with --now" {
	local kind

	mailq-rules add --name any
	for kind in $(kinds); do
		put "$kind" rules
		add
		run quick mailq-run -q
		[ "$status" -ne 0 ]
		assert_match "$output" 'rules'
		quick mailq-run -q --now
		assert_equal "$(waits)" '' "with a $kind as rules, waiting"
		run quick mailq-status check --repair
		assert_status 0
		assert_match "$output" 'rules: .*; moved to corrupt/'
		mailq-rules add --name any
	done
	strange no rules
}

@test "what an operator does is done" {
	local kind

	add
	for kind in $(kinds); do
		put "$kind" suspended/all
		quick mailq-rules suspend
		quick mailq-rules activate
		put "$kind" rules
		run quick mailq-rules add --name any
		put "$kind" .rules.tmp
		quick mailq-status check --repair
		quick mailq-rules add --name any
		put "$kind" accounts/other
		run quick mailq-rules accounts list
		assert_status 0
		quick mailq-status check --repair
		quick mailq-run -q --now
		assert_equal "$(waits)" ''
		add
	done
}

@test "the marker is mended when the spool is opened" {
	local kind

	add
	for kind in $(kinds); do
		put "$kind" mailq-spool
		run quick mailq-run
		assert_status 0
		assert_match "$output" 'mailq-spool .* moved to corrupt/'
		assert_equal "$(waits)" ''
		assert_equal "$(cat "$MAILQ_SPOOL/mailq-spool")" 'mailq-spool 1'
		add
	done
}

@test "answers, reports, contents: named and mended" {
	strange go "answers/$(printf 'a%.0s' {1..64})" reports/lock reports/state reports/again/1732170240.000000.abcdefgh,1 \
		fetched/.tidied
}

@test "with mailq-serve: an answer's place costs one request, and no more" {
	local kind key file

	free_port PORT
	start_server serve mailq-serve --listen "127.0.0.1:$PORT"
	wait_port serve "$PORT"
	post() { curl -sS -m 60 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' "$@" "http://127.0.0.1:$PORT/commands/add-messages" \
		-d '{"messages":[{"from":"a@example.org","to":["b@example.org"],"subject":"s","body":"x"}]}'; }
	assert_equal "$(post -H 'Idempotency-Key: 1')" 200
	file=$(basename "$MAILQ_SPOOL"/answers/*)
	for kind in $(kinds); do
		put "$kind" wake
		assert_equal "$(post)" 200 "with a $kind as wake"
		put "$kind" "answers/$file"
		assert_match "$(post -H 'Idempotency-Key: 1')" '^5'
		assert_equal "$(post -H 'Idempotency-Key: 2')" 200 "with a $kind as an answer"
		run quick mailq-status check --repair
		assert_status 0
		assert_equal "$(post -H 'Idempotency-Key: 1')" 200
		put "$kind" wake
	done
	stop_server serve
	assert_match "$(cat serve.log)" 'wake is a FIFO'
}

@test "check names an id that has neither message, draft nor history" {
	local entry

	mailq-add --id A --to to@example.org --subject x --body x
	mailq-add --id B --to to@example.org --subject x --body x --account main
	mailq-status hold B
	mailq-run -q --now
	mailq-add --id C --to to@example.org --subject x --body x
	run mailq-status check
	assert_status 0
	entry=$(find "$MAILQ_SPOOL/id" -name C)
	rm "$(find "$MAILQ_SPOOL/waiting" -name '*.C')"
	run mailq-status check
	assert_status 65
	assert_match "$output" "${entry#"$MAILQ_SPOOL/"}: is known, and has neither a message, a draft nor history"
	[[ ! $output =~ id/./[AB]: ]]
	# A cleaned queue is one where it can be added again.
	rm "$entry"
	mailq-add --id C --to to@example.org --subject x --body x
	run mailq-status check
	assert_status 0
}
