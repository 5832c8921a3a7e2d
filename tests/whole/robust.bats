# What one strange thing in the spool must not do to all the rest, and what many of a kind must not.

load ../helpers/common
load ../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# as UID GID COMMAND...: a user who can reach the test's directory
as() {
	local uid=$1 gid=$2

	shift 2
	setpriv --reuid "$uid" --regid "$gid" --clear-groups "$@"
}

needs_root() {
	local dir=${TMPDIR:-/tmp}

	[ "$(id -u)" = 0 ] || skip "needs root, to be several users"
	chmod 711 "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
	# The directory that the runner of the tests gave us is its own, too.
	while [[ $dir == */mailq-tests.* ]]; do
		chmod o+x "$dir"
		dir=${dir%/*}
	done
	chmod 644 "$MAILQ_CONFIG"
}

# A spool from the outside: users' own directories up to it, and its owner and mode.
spool_of() { # UID GID MODE
	MAILQ_SPOOL=$(mktemp -d "${TMPDIR:-/tmp}/mailq-robust.XXXXXX")
	chown "$1:$2" "$MAILQ_SPOOL"
	chmod "$3" "$MAILQ_SPOOL"
	rm -rf "$BATS_TEST_TMPDIR/spool"
	ln -s "$MAILQ_SPOOL" "$BATS_TEST_TMPDIR/spool"
	cp "$MAILQ_CONFIG" "$MAILQ_SPOOL.conf"
	export MAILQ_SPOOL MAILQ_CONFIG=$MAILQ_SPOOL.conf
	chmod 644 "$MAILQ_CONFIG"
}

spool_gone() {
	case $MAILQ_SPOOL in */mailq-robust.*) rm -rf "$MAILQ_SPOOL" "$MAILQ_SPOOL.conf" ;; esac
}

batches() { # COUNT: one message for each batch, as JSON Lines
	local i

	for ((i = 1; i <= $1; i++)); do
		echo "{\"to\":\"to@example.org\",\"subject\":\"$i\",\"body\":\"x\",\"batch_code\":\"B$i\"}"
	done
}

file_of() { find "$MAILQ_SPOOL/waiting" -type f; }

@test "a pipe in tmp/ keeps nobody waiting" {
	add
	mkfifo "$MAILQ_SPOOL/tmp/pipe"
	timeout 90 mailq-run -q
	assert_equal "$(file_of)" ''
}

@test "an entry in id/ whose text is no token removes nothing" {
	add --id A
	ln -snf ../mailq-spool "$(find "$MAILQ_SPOOL/id" -name A)"
	run add --id A
	assert_status 0
	[ -f "$MAILQ_SPOOL/mailq-spool" ]
}

@test "more batches than descriptors are taken and delivered" {
	(
		ulimit -n 400
		batches 380 | mailq-add --json >ids
		mailq-run -q
	)
	assert_equal "$(wc -l <ids)" 380
	assert_equal "$(file_of)" ''
	assert_equal "$(find "$MAILQ_SPOOL/captured/new" -type f | wc -l)" 380
}

@test "the lane of a batch that is done goes, an account's stays" {
	batches 3 | mailq-add --json >ids
	add
	mailq-run -q
	find "$MAILQ_SPOOL/waiting" -mindepth 2 -type d -exec rmdir {} +
	touch -d '1 hour ago' "$MAILQ_SPOOL"/waiting/*
	mailq-run -q
	assert_equal "$(ls "$MAILQ_SPOOL/waiting")" default
	batches 3 | mailq-add --json >ids
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
}

@test "a bucket that cannot be listed keeps the others from nothing" {
	needs_root
	spool_of 65534 65534 700
	as 65534 65534 mailq-add --to to@example.org --subject s --body b --priority high
	as 65534 65534 mailq-add --to to@example.org --subject s --body b
	chmod 0 "$MAILQ_SPOOL"/waiting/default/1.*
	run as 65534 65534 mailq-run
	left=$(file_of | wc -l)
	spool_gone
	assert_status 74
	assert_match "$output" 'cannot list waiting/default/1\.'
	assert_match "$output" 'sent 1, deferred 0, failed 0'
	assert_equal "$left" 1
}

@test "what root adds to another's spool is its owner's" {
	needs_root
	spool_of 65534 65534 700
	as 65534 65534 mailq-add --to to@example.org --subject s --body b
	add --priority high --id A
	batches 70 | mailq-add --json >/dev/null
	mailq-status hold A
	mailq-status release A
	strange=$(find "$MAILQ_SPOOL" ! -uid 65534)
	run as 65534 65534 mailq-run
	spool_gone
	assert_equal "$strange" ''
	assert_match "$output" 'sent 72, deferred 0, failed 0'
}

@test "a group shares a spool" {
	needs_root
	spool_of 65534 65533 2770
	as 65534 65533 mailq-add --to to@example.org --subject s --body b --id A
	as 65532 65533 mailq-add --to to@example.org --subject s --body b --id B
	as 65532 65533 mailq-run -q
	as 65532 65533 mailq-add --to to@example.org --subject s --body b --id C
	run as 65534 65533 mailq-run
	open=$(find "$MAILQ_SPOOL" ! -type l -perm /7)
	spool_gone
	assert_match "$output" 'sent 1, deferred 0, failed 0'
	assert_equal "$open" ''
}

# A message in cur/TOKEN; $name is its name there.
claimed_by() { # TOKEN
	local file

	add --id A
	file=$(file_of)
	name=${file##*/}
	mkdir -p -m 700 "$MAILQ_SPOOL/cur/$1/default"
	mv "$file" "$MAILQ_SPOOL/cur/$1/default/$name"
}

@test "a claimed message whose runner's journal is in log/ already is settled by it" {
	local token=1795251111.000001.abcdefgh

	claimed_by $token
	{
		echo '{"t":"2026-11-21T07:38:00.123456Z","event":"begin","token":"x","boot":"another"}'
		echo '{"t":"2026-11-21T07:38:00.123457Z","event":"offered","name":"'"$name"'","lane":"default"}'
	} >"$MAILQ_SPOOL/log/$token.log"
	chmod 600 "$MAILQ_SPOOL/log/$token.log"
	run_mailq
	summary 'sent 1, deferred 0, failed 0, uncertain 1, recovered 1'
	assert_equal "$(history_of uncertain | wc -l)" 1
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
	[ -f "$MAILQ_SPOOL/log/$token.log" ]
}

@test "a claimed message whose runner's journal is lost may have been sent: it is uncertain" {
	claimed_by 1795251111.000001.abcdefgh
	run_mailq
	summary 'sent 1, deferred 0, failed 0, uncertain 1, recovered 1'
	assert_equal "$(ls "$MAILQ_SPOOL/cur")" ''
}

@test "a dead runner that cannot be recovered is told, and keeps the others from nothing" {
	claimed_by 1795251111.000001.abcdefgh
	mkfifo "$MAILQ_SPOOL/cur/1795251111.000001.abcdefgh/journal"
	# Where it could be moved to is none, either.
	rmdir "$MAILQ_SPOOL/corrupt"
	mkfifo "$MAILQ_SPOOL/corrupt"
	add
	run mailq-run
	assert_status 74
	assert_match "$output" 'sent 1, deferred 0, failed 0'
	assert_match "$output" 'cur/1795251111.000001.abcdefgh/journal'
}

@test "what is waiting goes out though the clock was put back" {
	add --id A
	file=$(file_of)
	mkdir "$MAILQ_SPOOL/waiting/default/2.4000000000"
	mv "$file" "$MAILQ_SPOOL/waiting/default/2.4000000000/2.4000000001.000000.0.0.A"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "a message waits where it cannot be read who has it" {
	add --id A
	file=$(file_of)
	mv "$file" "${file%.0.0.A}.1.0.A"
	mkdir "$MAILQ_SPOOL/partial/A"
	run mailq-run
	assert_status 74
	assert_match "$output" 'partial/A: .*: the message waits'
	assert_equal "$(find "$MAILQ_SPOOL/captured" -type f)" ''
	rmdir "$MAILQ_SPOOL/partial/A"
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "a duplicate of what came a moment ago is synced before it is acknowledged" {
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || skip "needs strace"
	add --id A
	strace -f -o trace -e trace=syncfs,write mailq-add --to to@example.org --subject s --body b --id A >out 2>&1
	grep -q 'duplicate id' out
	assert_match "$(grep -E 'syncfs|write\(1,' trace | head -1)" 'syncfs\([0-9]+\) *= 0'
}

@test "a watch tells of an account that is not configured once" {
	accounts '{ id = "gone"; transport = "capture"; }'
	add --account gone
	accounts '{ id = "main"; transport = "capture"; }'
	mailq-run --watch 2>told &
	watcher=$!
	wait_for file_has told 'there is no account "gone"'
	for i in 1 2; do
		add --account main --id "M$i"
		wait_for is_gone "M$i"
	done
	kill -TERM "$watcher"
	wait "$watcher"
	assert_equal "$(grep -c 'there is no account' told)" 1
}

is_gone() { # ID: delivered, in a cycle of its own
	[ -z "$(find "$MAILQ_SPOOL/waiting" "$MAILQ_SPOOL/cur" -name "*.$1" 2>/dev/null)" ]
}

@test "--watch and --id do not go together" {
	run mailq-run --watch --id A
	assert_status 64
	assert_match "$output" '--watch cannot be combined with --id'
}
