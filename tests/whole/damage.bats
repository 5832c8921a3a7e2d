# Damage and faults of the disk: what is damaged is named and set aside, what only cannot be read waits, and
# nothing is sent twice unawares.

load ../helpers/common
load ../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# ---- the journal of a dead mailq-run ---------------------------------------------------------------

# Leaves a message on the wire, by a mailq-run that is killed; its journal is $journal.
die_on_the_wire() {
	start_script server port "dot#1=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay main "$port" "connections = 1; uncertain = \"$1\";")"
	add --id M-1
	start_server run mailq-run
	on_the_wire() { grep -q '"event":"dot"' "$MAILQ_SPOOL"/cur/*/journal; }
	wait_for file_has server.log '> DATA'
	wait_for on_the_wire
	stop_server run KILL
	journal=$(echo "$MAILQ_SPOOL"/cur/*/journal)
}

damage_journal() { # HOW
	case $1 in
	cut) truncate -s -1 "$journal" ;;
	changed) sed -i '$s/"dot"/"dou"/' "$journal" ;;
	emptied) : >"$journal" ;;
	gone) rm "$journal" "$MAILQ_SPOOL"/reports/*,* ;;
	moved) rm "$journal" ;;
	esac
}

@test "a dead mailq-run's journal that is damaged: what it had claimed is uncertain, and check says so" {
	local how

	die_on_the_wire hold
	cp -a "$MAILQ_SPOOL" saved
	for how in cut changed emptied gone moved; do
		rm -rf "$MAILQ_SPOOL"
		cp -a saved "$MAILQ_SPOOL"
		damage_journal $how
		echo "# $how"
		run -65 mailq-status check
		assert_match "$output" "journal: is (damaged|missing).*uncertain"
		run_mailq
		assert_equal "$(state M-1)" uncertain
		[ $how = moved ] || assert_match "$stderr" 'journal of 1 of them was damaged'
		assert_match "$(mailq-status show M-1)" 'mailq-run died'
		# Reported as what it is, once.
		assert_equal "$(history_of uncertain | value id | grep -c M-1)" 1
		assert_equal "$("$MAILQ_BUILD/tests/tools/reporter" "$MAILQ_SPOOL" 10 </dev/null | grep -c '^M-1 uncertain')" 1
		run -0 mailq-status check
	done
	assert_equal "$(saw server '^message')" 0
}

# ---- one name in two buckets -----------------------------------------------------------------------

# Adds a batch of 70 and copies its bucket beside it, as a restore into a living spool does.  HOW is of cp:
# -a makes files of their own, -al links.
copy_bucket() { # HOW [STATE]
	local lane=$MAILQ_SPOOL/waiting/main bucket

	start_script server port
	accounts "$(relay main "$port")"
	for i in {1..70}; do
		echo "{\"id\":\"b$i\",\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"subject\":\"$i\",\"body\":\"x\"}"
	done >batch.jsonl
	mailq-add --json --account main <batch.jsonl >/dev/null # from a file, so that it is one draft
	add --id single >/dev/null
	bucket=$(basename "$(echo "$lane"/*.*.*.*)")
	mkdir -p "$MAILQ_SPOOL/${2:-waiting}/main"
	cp "$1" "$lane/$bucket" "$MAILQ_SPOOL/${2:-waiting}/main/$(cut -d. -f1-2 <<<"$bucket").7"
}

@test "a name in two buckets is sent once; a link is unlinked, a copy set aside, and no cycle stops" {
	local how state

	for how in -a -al; do
		for state in waiting deferred; do
			copy_bucket $how $state
			run_mailq
			assert_equal "$status" 0
			assert_match "$output" '^sent 71, deferred 0, failed 0$'
			assert_match "$stderr" 'stood in two buckets'
			run_mailq
			assert_equal "$(saw server '^message')" 71
			assert_equal "$(find "$MAILQ_SPOOL/corrupt" -type f | wc -l)" "$([ $how = -al ] && echo 0 || echo 70)"
			run -0 mailq-status check
			stop_server server
			rm -rf "$MAILQ_SPOOL" server*
		done
	done
}

@test "a single copied message is noticed; by its id, too" {
	local lane=$MAILQ_SPOOL/waiting/default file

	start_script server port
	accounts "$(relay main "$port")"
	add_ids M 4
	for i in 2 3; do
		file=$(find "$lane" -name "*.M-$i")
		mkdir "$lane/$(basename "$(dirname "$file")").$i"
		cp -a "$file" "$lane/$(basename "$(dirname "$file")").$i"
	done
	run_mailq --id M-2
	assert_match "$output" '^sent 1,'
	run_mailq
	assert_match "$output" '^sent 3,'
	run_mailq
	assert_equal "$(saw server '^message')" 4
	assert_equal "$(ls "$MAILQ_SPOOL/corrupt" | wc -l)" 2
}

@test "check names what stands in two buckets, and repairs it; a release replaces nothing" {
	copy_bucket -a
	run -65 mailq-status check
	assert_equal "$(grep -c 'stands in another bucket' <<<"$output")" 70
	run -0 mailq-status check --repair
	assert_match "$output" '70 faults, 70 repaired'
	run -0 mailq-status check
	run_mailq
	assert_match "$output" '^sent 71,'
	stop_server server
	rm -rf "$MAILQ_SPOOL" server*
	copy_bucket -a held
	run -65 mailq-status check
	mailq-status release --all
	run -0 mailq-status check --repair
	run_mailq
	assert_match "$output" '^sent 71,'
	assert_equal "$(saw server '^message')" 71
}

# ---- back out of corrupt/ --------------------------------------------------------------------------

@test "release takes a sound message back out of corrupt/, and nothing that is damaged or was sent" {
	local file

	start_script server port
	accounts "$(relay main "$port")"
	add --id M-1 --account main >/dev/null
	file=$(find "$MAILQ_SPOOL/waiting" -name '*.M-1')
	cp "$file" sound
	sed -i 's/a body/A body/' "$file"
	run_mailq
	assert_match "$output" 'damaged 1'
	run -65 --separate-stderr mailq-status release M-1
	assert_match "$stderr" 'stays in corrupt/.*checksum'
	file=$(echo "$MAILQ_SPOOL"/corrupt/*.M-1)
	cat sound >"$file"
	run -0 mailq-status release --reason 'the disk was mended' M-1
	assert_match "$output" '^1 message released$'
	assert_equal "$(state M-1)" waiting
	assert_match "$(mailq-status log M-1)" 'the disk was mended'
	run_mailq
	assert_match "$output" '^sent 1,'
	# A copy of what was sent.
	cp sound "$file~3"
	run -69 --separate-stderr mailq-status release M-1
	assert_match "$stderr" 'was sent'
	run -66 mailq-status release M-2
	assert_equal "$(saw server '^message')" 1
}
