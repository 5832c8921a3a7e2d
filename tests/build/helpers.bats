# The helpers and the runner themselves: what they promise, the other tests rely on.

load ../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

@test "two free ports differ, and a reserved one is not given again" {
	free_port a
	free_port b
	[ "$a" != "$b" ]
	! port_open "$a"
	! (exec 8>"${MAILQ_TEST_PORTS:-/tmp/mailq-test-ports.$UID}/$a" && flock -n 8)
}

@test "a server is waited for, reached, and stopped by its pid" {
	free_port port
	start_sink sink "$port"
	pid=$(server_pid sink)
	port_open "$port"
	stop_server sink
	not_running "$pid"
	! port_open "$port"
}

@test "a server that dies at once is told at once" {
	free_port port
	start_server bad sh -c 'echo no such luck; exit 3'
	run wait_port bad "$port"
	assert_status 1
	assert_match "$output" 'server bad died.*no such luck'
}

@test "wait_for gives up" {
	run wait_for -t 0 false
	assert_status 1
	assert_match "$output" 'gave up'
}

@test "lines of one journal keep their order, also within a microsecond and when a clock is set back" {
	MAILQ_BUILD=$MAILQ_BUILD run /usr/bin/python3 -B - "$MAILQ_TOP/tests/helpers" <<-'END'
		import os, sys
		sys.path.insert(0, sys.argv[1])
		import crash

		def write(token, *lines):
		    os.makedirs("spool/log", exist_ok=True)
		    with open(f"spool/log/{token}.log", "w") as log:
		        for time, event in lines:
		            log.write('{"t":"%s","event":"%s","id":"A"}\n' % (time, event))
		            log.write("torn\n")

		write("200.000000.a", ("T2", "deferred"), ("T3", "sent"))
		write("100.000000.b", ("T2", "uncertain"), ("T2", "failed"), ("T1", "bounced"), ("T3", "held"))
		spool = crash.Spool("spool", "/dev/null")
		events = spool.events()
		print(*(event["event"] for event in events["A"]))
		told = crash.Told()
		order = ("uncertain T2", "failed T2", "bounced T1", "deferred T2", "sent T3")
		told.add("".join(f"A {one}\n" for one in order) + "heard A\n")
		print(*told.complaints(events))
		late = crash.Told()
		late.add("".join(f"A {one}\n" for one in sorted(order)) + "heard A\n")
		print(len(late.complaints(events)))
	END
	assert_status 0
	assert_equal "$output" 'uncertain failed bounced deferred held sent

1'
}

@test "the runner sums up, shows what failed, and fails" {
	mkdir -p tree/tests/checks tree/build
	cp "$MAILQ_TOP/tests/run" tree/tests/
	printf '#!/bin/sh\necho ok a\necho ok b\n' >tree/tests/checks/fine
	printf '#!/bin/sh\necho ok c\necho not ok d: because\nexit 1\n' >tree/tests/checks/faulty
	printf '#!/bin/sh\necho ok e\nexit 3\n' >tree/tests/checks/dies
	printf '#!/bin/sh\n' >tree/tests/checks/empty
	chmod +x tree/tests/checks/*
	run env MAILQ_BUILD="$PWD/tree/build" tree/tests/run
	assert_status 1
	assert_equal "${lines[-1]}" '4 passed, 3 failed'
	assert_match "$output" 'not ok d: because'
	assert_match "$output" 'dies exited with 3'
	assert_match "$output" 'empty ran no test'
	run env MAILQ_BUILD="$PWD/tree/build" tree/tests/run tests/checks/fine
	assert_status 0
	assert_equal "${lines[-1]}" '2 passed, 0 failed'
	run env MAILQ_BUILD="$PWD/tree/build" tree/tests/run nonesuch
	assert_status 64
}

@test "with --quick, the runner leaves out what runs long" {
	mkdir -p tree/tests/checks tree/build
	cp "$MAILQ_TOP/tests/run" tree/tests/
	printf '#!/bin/sh\necho ok a\n' >tree/tests/checks/short
	printf '#!/bin/sh\n# runs long: for a reason\necho ok b\n' >tree/tests/checks/long
	chmod +x tree/tests/checks/*
	run env MAILQ_BUILD="$PWD/tree/build" tree/tests/run --quick
	assert_status 0
	assert_match "${lines[0]}" 'tests/checks/short .* 1 passed'
	assert_equal "${lines[-1]}" '1 passed, 0 failed'
	run env MAILQ_BUILD="$PWD/tree/build" tree/tests/run
	assert_equal "${lines[-1]}" '2 passed, 0 failed'
}

@test "a look at JSON gives what Python gives, and asks it where it must" {
	local text='{"ok":true,"n":null,"i":-5,"big":9007199254740993,"d":1.5,"s":"é \"q\"","e":[],"m":[{"id":"x","v":[1,{"a":"b"}]},{"id":"y","v":[]}]}'
	local option expression name

	printf '%s\n' "$text" >a.json
	printf '%s\n%s\n' "$text" "$text" >lines.json
	mkdir -p none/tests/tools
	for expression in 'a' 'a["ok"]' 'a["n"]' 'a["i"]' 'a["big"]' 'a["d"]' 'a["s"]' 'a["e"]' 'a["m"][-1]["id"]' 'a["m"][0]["v"][1]' \
		'len(a["m"])' 'a.get("q")' 'a.get("q", "")' 'a.get("s", "z")' '[a["ok"], a["s"], "t", 3]' "(a['i'], a[\"n\"])" '[]' '[[a["i"]]]' \
		'[m["id"] for m in a["m"]]' '[(m["id"], len(m["v"])) for m in a["m"]]' '[a[k] for k in ("ok", "i")]' '[x for x in a["e"]]' \
		'[[k, m["id"]] for m in a["m"]  for k in ("b",)]' 'sorted(m["id"] for m in a["m"])' '"ok" in a' 'a["i"] + 1' '[m["id"] for m in a["m"] if m["v"]]' \
		'a["m"][5]' 'a["none"]' 'a["s"]["x"]'; do
		for option in -p -s -ls ''; do
			name=a.json
			[ "$option" != -ls ] || name=lines.json
			run --separate-stderr json_look ${option:+"$option"} a "$expression" "$name"
			local got="$status $output"
			MAILQ_BUILD=none run --separate-stderr json_look ${option:+"$option"} a "$expression" "$name"
			case $option in *s*) output=$(sed 's/\\u00e9/é/g' <<<"$output") ;; esac
			assert_equal "$got" "$status $output" "$option $expression"
		done
	done
	assert_equal "$(value m.0.v.1.a <lines.json | paste -sd' ')" 'b b'
	assert_equal "$(value ok <a.json) $(value n <a.json) $(value i <a.json)" 'True None -5'
	# Its own form, without Python.
	"$MAILQ_BUILD/tests/tools/json_get" a '[m["id"] for m in a["m"]]' a.json
	run "$MAILQ_BUILD/tests/tools/json_get" a 'sorted(a)' a.json
	assert_status 2
}
