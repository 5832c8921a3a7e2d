# Damage and faults of the disk: what is damaged is named and set aside, what only cannot be read waits, and
# nothing is sent twice unawares.

load helpers/common
load helpers/delivery
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
