# mailq-rules: the rules, and how mailq-run obeys them.

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

# settings TEXT: the configuration is this
settings() {
	echo "$1" >"$MAILQ_CONFIG"
}

# waits: outside of rules, no cycle
waits() {
	settings 'scheduler: { timezone = "UTC"; outside_rules = "wait"; };'
}

# far_days: days of which none is today, nor near it, in any zone
far_days() {
	local today

	today=$(($(date +%u) - 1))
	echo "$(((today + 3) % 7)),$(((today + 4) % 7))"
}

# last_cycle SECONDS: as if the last one had begun so long ago
last_cycle() {
	echo "last: $(($(date +%s) - $1)).000000" >"$MAILQ_SPOOL/scheduler"
}

rules() { # the rest of the table, a line a rule, one space between columns
	mailq-rules list | sed 1d | tr -s ' '
}

# ---- mailq-rules -------------------------------------------------------------------------------

@test "rules are added, listed, changed, disabled and deleted" {
	waits
	run -0 --separate-stderr mailq-rules list
	assert_equal "$output" 'no rules: each call of mailq-run is a cycle'
	run -0 --separate-stderr mailq-rules add --days "$(far_days)" --from 9 --to 18 --every 5m --name 'office hours'
	assert_equal "$output$stderr" 1
	run -0 mailq-rules add --days "$(far_days)" --from 22 --to 6 --every 2h --disabled
	assert_equal "$output" 2
	run -0 mailq-rules add --days "$(far_days)" --from 09:00 --to 24 --every 90m --priority -3
	assert_equal "$output" 3
	run -0 mailq-rules add
	assert_equal "$output" 4
	run rules
	assert_match "${lines[0]}" '^ 3 on -3 [a-z,]+ 9-24 90 minutes$'
	assert_match "${lines[1]}" '^ 1 on 0 [a-z,]+ 9-18 5 minutes office hours$'
	assert_match "${lines[2]}" '^ 2 off 1 [a-z,]+ 22-6 \+1 2 hours$'
	assert_equal "${lines[3]}" '* 4 on 2 every day all day minute'
	mailq-rules set 4 --days mon-fri --from 0 --to 24 --name 'a "name"' --priority 1
	mailq-rules set 1 --to 17
	mailq-rules set 2 --all-day --every 1m --name ''
	mailq-rules set 3 --name night --from 20 --disabled
	run -0 mailq-rules list --json
	assert_equal "$(value name <<<"${lines[0]}") $(value start_hour <<<"${lines[0]}")" 'night 20'
	assert_equal "$(value end_hour <<<"${lines[0]}") $(value cross_midnight <<<"${lines[0]}")" '0 True'
	assert_equal "$(value enabled <<<"${lines[0]}")" False
	assert_equal "$(value end_hour <<<"${lines[1]}") $(value name <<<"${lines[1]}")" '17 office hours'
	assert_equal "${lines[2]#*\"days\":[[]*[]],}" '"cross_midnight":false,"interval_minutes":1}'
	assert_equal "${lines[3]}" '{"id":4,"name":"a \"name\"","enabled":true,"priority":1,"days":[0,1,2,3,4],"cross_midnight":false,"interval_minutes":1}'
	mailq-rules enable 2 3
	mailq-rules disable 4
	assert_equal "$(mailq-rules list --json | value enabled | paste -sd' ')" 'True True True False'
	mailq-rules delete 1 4
	assert_equal "$(mailq-rules list --json | value id | paste -sd' ')" '3 2'
	# An id is not given again.
	assert_equal "$(mailq-rules add --json)" '{"id":5}'
	mailq-rules delete 2 3 5
	assert_equal "$(mailq-rules add)" 6
}

@test "a rule that is not there: 66, and the others are changed" {
	run -66 --separate-stderr mailq-rules enable 1
	assert_equal "$stderr" 'mailq-rules: there is no rule "1"'
	mailq-rules add --disabled >/dev/null
	mailq-rules add --disabled >/dev/null
	run -66 --separate-stderr mailq-rules enable 7 1 x 2
	assert_equal "$stderr" $'mailq-rules: there is no rule "7"\nmailq-rules: there is no rule "x"'
	assert_equal "$(mailq-rules list --json | value enabled | paste -sd' ')" 'True True'
	run -66 mailq-rules set 3 --every 5m
	run -66 mailq-rules delete 0
	run -66 mailq-rules delete -- -1
}

@test "an id that is named twice is meant once" {
	mailq-rules add --disabled >/dev/null
	mailq-rules add --disabled >/dev/null
	run -0 --separate-stderr mailq-rules delete 1 1 01
	assert_equal "$stderr" ''
	assert_equal "$(mailq-rules list --json | value id)" 2
	run -66 --separate-stderr mailq-rules delete 2 x 2 x
	assert_equal "$stderr" 'mailq-rules: there is no rule "x"'
	assert_equal "$(mailq-rules list --json)" ''
}

@test "misuse is 64 and changes nothing" {
	mailq-rules add --name first >/dev/null
	cp "$MAILQ_SPOOL/rules" before
	while read -r arguments; do
		eval "run -64 --separate-stderr mailq-rules $arguments"
		assert_equal "$output" ''
		assert_match "$stderr" '^mailq-rules: '
		diff before "$MAILQ_SPOOL/rules"
	done <<-'EOF_ROWS'

		list 1
		next 1
		add 1
		set
		set 1 2
		enable
		add --from 9
		add --to 9
		add --from 24 --to 6
		add --from 9 --to 25
		add --from 9 --to 9
		add --from 9:30 --to 18
		add --from -1 --to 18
		add --from '' --to 18
		add --from 9 --to 18 --all-day
		set 1 --from 9
		add --every 30s
		add --every 90s
		add --every 0
		add --every 366d
		add --every often
		add --days mon-
		add --days 7
		add --days ''
		add --priority x
		add --priority 1000000001
		add --name $'a\nb'
		add --name "$(printf '%0201d' 7)"
		list --days mon
		enable 1 --every 5m
		list --reason x
	EOF_ROWS
}

@test "rules that are added at once all get there, each with an id of its own" {
	for n in 1 2 3 4 5 6 7 8; do
		mailq-rules add --name "n$n" >"id.$n" 3>&- &
	done
	wait
	assert_equal "$(sort -n id.* | paste -sd' ')" '1 2 3 4 5 6 7 8'
	assert_equal "$(mailq-rules list --json | value name | sort | paste -sd' ')" 'n1 n2 n3 n4 n5 n6 n7 n8'
}

@test "1000 rules, and no more" {
	mailq-rules add >/dev/null
	{
		echo '{"last_id":1000}'
		for ((i = 1; i < 1000; i++)); do
			echo "{\"id\":$i,\"enabled\":false}"
		done
	} >"$MAILQ_SPOOL/rules"
	assert_equal "$(mailq-rules add)" 1001
	run -69 --separate-stderr mailq-rules add
	assert_match "$stderr" '1000 rules'
	assert_equal "$(mailq-rules list | wc -l)" 1001
}

@test "what only looks works on a spool that cannot be written" {
	waits
	mailq-rules add --days "$(far_days)" --every 5m >/dev/null
	chmod -R a-w "$MAILQ_SPOOL"
	for command in list next; do
		if [ "$(id -u)" -eq 0 ]; then
			run -0 unshare --mount sh -c 'mount --bind "$MAILQ_SPOOL" "$MAILQ_SPOOL" &&
				mount -o remount,ro,bind "$MAILQ_SPOOL" && exec mailq-rules "$0"' $command
		else
			run -0 mailq-rules $command
		fi
		assert_match "$output" '5 minutes|wait'
	done
	chmod -R u+w "$MAILQ_SPOOL"
}

@test "next: when, and why" {
	waits
	run -0 mailq-rules next
	assert_equal "$output" $'now\nno rules: each call of mailq-run is a cycle'
	mailq-rules add --days "$(far_days)" --from 9 --to 18 --every 5m --name office >/dev/null
	run -0 mailq-rules next
	day=$(date -d "+$((($(far_days | cut -d, -f1) - $(date +%u) + 8) % 7)) days" +%F)
	assert_match "${lines[0]}" "^$day 09:00 UTC \(in [0-9]d( [0-9]+h)?\)$"
	assert_match "${lines[1]}" "^no rule matches now, and outside of rules cycles wait; next ... $day 09:00 UTC \(UTC\) by rule 1 \"office\" \([a-z,]+ 9-18\)$"
	run -0 mailq-rules next --json
	assert_equal "$(value next <<<"$output")" "${day}T09:00:00.000000Z"
	assert_equal "$(value active <<<"$output") $(value due <<<"$output")" 'True False'
	mailq-rules add --every 7m >/dev/null
	run -0 mailq-rules next --json
	assert_equal "$(value rule <<<"$output") $(value interval_minutes <<<"$output") $(value due <<<"$output")" '2 7 True'
	mailq-rules disable 1 2
	run -0 mailq-rules next
	assert_equal "${lines[0]}" never
	run -0 mailq-rules next --json
	[[ $output != *'"next"'* ]]
}

@test "next also says that everything is suspended" {
	mailq-rules suspend --reason 'the relay is moving' >/dev/null
	run -0 mailq-rules next
	assert_equal "${lines[2]}" 'everything is suspended: the relay is moving: a cycle sends nothing'
	run -0 mailq-rules next --json
	assert_equal "$(value active <<<"$output")" False
	mailq-rules activate >/dev/null
	run -0 mailq-rules next
	assert_equal "${#lines[@]}" 2
}

# ---- time zones --------------------------------------------------------------------------------

@test "a time zone that is none is 78 with its place, for every program" {
	settings $'scheduler: {\n  timezone = "europe/rome"; };'
	for program in 'mailq-run' 'mailq-rules list' 'mailq-status' 'mailq-add --from a@example.org --to a@example.org --subject s --body x'; do
		run -78 --separate-stderr $program
		assert_match "$stderr" "mailq\.conf:2: scheduler\.timezone: there is no time zone \"europe/rome\"; meant is \"Europe/Rome\"\?"
	done
	for name in ../../etc/passwd /etc/localtime Europe Nowhere; do
		settings "scheduler: { timezone = \"$name\"; };"
		run -78 mailq-run
	done
	settings ''
	TIMEZONE=Nowhere run -78 --separate-stderr mailq-run
	assert_match "$stderr" 'environment variable TIMEZONE'
}

@test "hours are those of the zone" {
	# Twelve hours around the present one in one zone, and none of them in the opposite one.
	for zone in Etc/GMT+0:match Etc/GMT+12:not Etc/GMT-12:not Etc/UTC:match; do
		settings "scheduler: { timezone = \"${zone%:*}\"; outside_rules = \"wait\"; };"
		rm -rf "$MAILQ_SPOOL"
		hour=$((10#$(date -u +%H)))
		mailq-rules add --from $(((hour + 19) % 24)) --to $(((hour + 6) % 24)) --every 5m >/dev/null
		run -0 mailq-rules next --json
		case $zone in
		*:match) assert_equal "$(value due <<<"$output")" True "$zone" ;;
		*) assert_equal "$(value due <<<"$output")" False "$zone" ;;
		esac
		[[ $output == *"(${zone%:*})"* ]]
	done
}

@test "without scheduler.timezone the hours are the system's" {
	settings 'scheduler: { outside_rules = "wait"; };'
	hour=$((10#$(date -u +%H)))
	mailq-rules add --from $(((hour + 19) % 24)) --to $(((hour + 6) % 24)) --every 5m >/dev/null
	assert_equal "$(TZ=UTC mailq-rules next --json | value due)" True
	assert_equal "$(TZ=XXX-12 mailq-rules next --json | value due)" False
	assert_equal "$(TZ=:Etc/GMT+12 mailq-rules next --json | value due)" False
	TZ=Nowhere/City run -78 --separate-stderr mailq-rules next
	assert_match "$stderr" 'environment variable TZ: there is no time zone "Nowhere/City"'
}

# ---- mailq-run ---------------------------------------------------------------------------------

@test "no rules: each call is a cycle, and nothing is written" {
	settings ''
	for n in 1 2; do
		add >/dev/null
		run_mailq
		summary 'sent 1, deferred 0, failed 0'
	done
	[ ! -e "$MAILQ_SPOOL/scheduler" ]
	[ ! -e "$MAILQ_SPOOL/rules" ]
}

@test "a call that is not due does nothing, and says so only where it is asked" {
	settings 'scheduler: { timezone = "UTC"; };'
	mailq-rules add --every 1h --name slow >/dev/null
	add --id one
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	add --id two
	find "$MAILQ_SPOOL/waiting" -name '*.two' | grep -q .
	cp "$MAILQ_SPOOL/scheduler" before
	run_mailq
	assert_equal "$output$stderr" ''
	run_mailq -q --json
	assert_equal "$output$stderr" ''
	assert_equal "$(state two)" waiting
	run_mailq -v
	assert_match "$output" '^no cycle is due for (59m [0-9]+s|1h|59m|58m [0-9]+s): rule 1 "slow" \(every day all day\): every hour; last cycle .* UTC; next .* UTC \(UTC\)$'
	run_mailq --json
	for pair in sent=0 deferred=0 failed=0 uncertain=0 damaged=0 recovered=0 skipped=True; do
		assert_equal "$(value "${pair%=*}" <<<"$output")" "${pair#*=}" "${pair%=*}"
	done
	next=$(date -d "$(value next <<<"$output")" +%s)
	[ "$next" -gt $(($(date +%s) + 3400)) ] && [ "$next" -le $(($(date +%s) + 3600)) ]
	diff before "$MAILQ_SPOOL/scheduler"
	# An hour later: at the minute, not at the second.
	last_cycle 3601
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(state two)" ''
}

@test "a last cycle that lies ahead counts for nothing" {
	mailq-rules add --every 1h >/dev/null
	last_cycle -86400
	add >/dev/null
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	run_mailq
	assert_equal "$output" ''
}

@test "--now, --id and --dry-run: whatever the rules say" {
	waits
	mailq-rules add --days "$(far_days)" >/dev/null
	for id in a b c; do
		add --id $id
	done
	run_mailq --dry-run
	assert_equal "${#lines[@]}" 3
	run_mailq --id b
	summary 'sent 1, deferred 0, failed 0'
	[ ! -e "$MAILQ_SPOOL/scheduler" ]
	run_mailq
	assert_equal "$(state a)" waiting
	run_mailq --now
	summary 'sent 2, deferred 0, failed 0'
	# It was a cycle like others.
	mailq-rules add --every 1h >/dev/null
	add --id d
	run_mailq
	assert_equal "$(state d)" waiting
}

@test "outside of rules: a cycle a minute, or none" {
	settings 'scheduler: { timezone = "UTC"; };'
	mailq-rules add --days "$(far_days)" --every 1h >/dev/null
	add --id one
	last_cycle 61
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
	waits
	last_cycle 86400
	add --id two
	run_mailq -v
	assert_match "$output" 'outside of rules cycles wait; .*by rule 1'
	assert_equal "$(state two)" waiting
	# A rule that is disabled is a rule that does not match.
	mailq-rules disable 1
	run_mailq -v
	assert_match "$output" 'no cycle is due, and there will be no further cycle: no rule matches now'
	mailq-rules delete 1
	run_mailq
	summary 'sent 1, deferred 0, failed 0'
}

@test "of many that are started at once one has the cycle" {
	mailq-rules add --every 1h >/dev/null
	for n in 1 2 3 4 5 6; do
		mailq-run --json >"run.$n" 3>&- &
	done
	wait
	assert_equal "$(cat run.? | wc -l)" 6
	assert_equal "$(cat run.? | grep -c '"skipped":true')" 5
}

@test "a cycle ends when no rule allows it any more: what is on the wire is finished, the rest put back" {
	start_script server port "dot=gate $PWD/open,250 2.0.0 ok"
	SETTINGS='scheduler: { timezone = "UTC"; outside_rules = "wait"; };' accounts "$(relay main "$port" 'connections = 1; pipeline_messages = false;')"
	mailq-rules add >/dev/null
	add_ids M 30
	start_server run mailq-run -v
	wait_for saw_data
	mailq-rules set 1 --days "$(far_days)"
	wait_for file_has run.log 'the cycle ends early: no rule matches now'
	touch open
	wait_gone "$(server_pid run)"
	file_has run.log '^sent 1, deferred 0, failed 0$'
	assert_equal "$(in_state waiting)" 29
	assert_equal "$(find "$MAILQ_SPOOL/cur" -type f | wc -l)" 0
	assert_saw server '^message' 1
}
saw_data() {
	[ "$(saw server '> DATA')" -ge 1 ]
}

@test "--now goes on when the rules end" {
	start_script server port "dot#1=gate $PWD/open,250 2.0.0 ok"
	SETTINGS='scheduler: { timezone = "UTC"; outside_rules = "wait"; };' accounts "$(relay main "$port" 'connections = 1;')"
	mailq-rules add --days "$(far_days)" >/dev/null
	add_ids M 5
	start_server run mailq-run --now
	wait_for saw_data
	# Longer than it takes to look at the rules.
	pause 1.5
	touch open
	wait_gone "$(server_pid run)"
	file_has run.log '^sent 5, deferred 0, failed 0$'
}

@test "--watch obeys, and a change of the rules counts at once" {
	settings 'scheduler: { timezone = "UTC"; outside_rules = "wait"; };'
	mailq-rules add --every 1h >/dev/null
	gone() { [ -z "$(state "$1")" ]; }
	add --id one
	start_server watch mailq-run --watch
	wait_for gone one
	# It has looked again since, and the next cycle is an hour away.
	add --id two
	wait_for idle_again "$(server_pid watch)"
	assert_equal "$(state two)" waiting
	mailq-rules set 1 --days "$(far_days)"
	mailq-rules add --disabled >/dev/null
	wait_for idle_again "$(server_pid watch)"
	assert_equal "$(state two)" waiting
	mailq-rules delete 1 2
	wait_for gone two
	add --id three
	wait_for gone three
	stop_server watch
	assert_equal "$(cat watch.log)" 'sent 3, deferred 0, failed 0'
}
# It has been woken, or a second is over, some times since this was asked first.
idle_again() {
	local file=$BATS_TEST_TMPDIR/switches now

	now=$(sed -n 's/^voluntary_ctxt_switches:\t//p' "/proc/$1/status")
	[ -e "$file" ] || echo "$now" >"$file"
	[ "$now" -ge $(($(cat "$file") + 3)) ] && rm "$file"
}

@test "--watch does not wake itself" {
	mailq-rules add --every 1m >/dev/null
	start_server watch strace -D -o watch.trace -e trace=openat,epoll_wait mailq-run --watch
	looks() { [ "$(grep -c '"rules"' watch.trace)" -ge "$1" ]; }
	# The first cycle writes, and so is looked after once more.
	wait_for looks 8
	began=$(date +%s)
	wait_for looks $(($(grep -c '"rules"' watch.trace) + 4))
	[ $(($(date +%s) - began)) -ge 2 ]
	stop_server watch
}

@test "rules that are damaged are named, and nothing is guessed" {
	mailq-rules add >/dev/null
	printf '{"last_id":1}\n{"id":1,"days":[9]}\n' >"$MAILQ_SPOOL/rules"
	add --id one
	for program in 'mailq-run' 'mailq-rules list' 'mailq-rules add' 'mailq-rules delete 1'; do
		run -65 --separate-stderr $program
		assert_match "$stderr" 'spool .*: rules: line 2: days: expected a whole number from 0 to 6, found 9'
	done
	assert_equal "$(state one)" waiting
	run -65 mailq-status check
	assert_match "$output" 'rules: line 2: days'
	run_mailq --now
	summary 'sent 1, deferred 0, failed 0'
	assert_match "$stderr" 'rules: line 2'
	# A watch goes on with what it has read.
	printf '{"last_id":1}\n{"id":1,"interval_minutes":60}\n' >"$MAILQ_SPOOL/rules"
	rm -f "$MAILQ_SPOOL/scheduler"
	run -0 mailq-status check
	start_server watch mailq-run --watch
	wait_for test -e "$MAILQ_SPOOL/scheduler"
	echo rubbish >"$MAILQ_SPOOL/rules"
	wait_for file_has watch.log 'still using the previous configuration'
	stop_server watch
	assert_equal "$(grep -c 'still using the previous' watch.log)" 1
}

@test "what a person wrote into the scheduler's file does no harm" {
	mailq-rules add --every 1h >/dev/null
	for text in '' 'last: x' 'last: 99999999999999999999.000000' 'rubbish' $'last: 1.000000\nlast: 2'; do
		printf '%s\n' "$text" >"$MAILQ_SPOOL/scheduler"
		run_mailq --json
		[[ $output != *skipped* ]] || fail "with '$text' there was no cycle"
		assert_match "$(cat "$MAILQ_SPOOL/scheduler")" '^last: [0-9]{10}\.[0-9]{6}$'
	done
}
