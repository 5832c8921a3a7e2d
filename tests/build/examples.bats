# Every example that README.md and the manual pages print is run, on a machine of its own: names, ports and files are
# those of the examples, in namespaces that end with the test.  What cannot be run stands in examples.list, with
# its reason.

load ../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

# examples TOP PAGE: runs the examples of a page; prints what is wrong
examples() {
	local top=$1 page=$2

	mkdir machine
	(
		cd machine || exit 1
		export MAILQ_BUILD
		timeout 500 unshare "${own[@]}" /usr/bin/python3 "$MAILQ_TOP/tests/helpers/examples.py" run \
			"$top" "$MAILQ_TOP/tests/build/examples.list" "$page"
	) 2>machine.log || { cat machine.log; return 1; }
}

# check_page PAGE: skips where the system gives no namespaces
check_page() {
	own=(--mount --net)
	[ "$(id -u)" -eq 0 ] || own+=(--user --map-root-user)
	unshare "${own[@]}" true 2>/dev/null || skip 'no namespaces of its own: unshare is not permitted here'
	run examples "$MAILQ_TOP" "$1"
	assert_equal "$output" '' "the examples of $1"
	assert_status 0
}

@test "the examples of README.md do what it says" {
	check_page README.md
}

@test "the examples of mailq(7) do what it says" {
	check_page mailq.7
}

@test "the examples of mailq-add(1) do what it says" {
	check_page mailq-add.1
}

@test "the examples of mailq-run(1) do what it says" {
	check_page mailq-run.1
}

@test "the examples of mailq-status(1) do what it says" {
	check_page mailq-status.1
}

@test "the examples of mailq-rules(1) do what it says" {
	check_page mailq-rules.1
}

@test "the examples of mailq-serve(1) do what it says" {
	check_page mailq-serve.1
}

@test "the examples of mailq.conf(5) are accepted" {
	check_page mailq.conf.5
}

@test "every page with examples is among these" {
	/usr/bin/python3 "$MAILQ_TOP/tests/helpers/examples.py" list "$MAILQ_TOP" | cut -f 1 | sort -u >want
	# The displays of mailq-spool(5) are formats of files, which the unit tests of spool/ hold.
	{ sed -n 's/^	check_page //p' "$BATS_TEST_FILENAME"; echo mailq-spool.5; } | sort >got
	diff -u want got
}

@test "what is said to be not runnable is printed still" {
	run -0 /usr/bin/python3 "$MAILQ_TOP/tests/helpers/examples.py" stale "$MAILQ_TOP" "$MAILQ_TOP/tests/build/examples.list"
	assert_equal "$output" ''
}

@test "an example that fails, or prints something else, is found" {
	mkdir -p top/man
	cp "$MAILQ_TOP/man/mailq.7" top/man
	cat >top/README.md <<-'END'
		```
		$ mailq-add --from a@example.com --to b@example.org --subject S --body B --id one
		two
		$ mailq-run
		sent 1, deferred 0, failed 1
		$ mailq-status hold|release one
		```
		```
		accounts: ( { id = "main"; hots = "smtp.example.com"; } );
		```
		```
		{"from":"a@example.com","subject":"S","body":"B"}
		```
	END
	own=(--mount --net)
	[ "$(id -u)" -eq 0 ] || own+=(--user --map-root-user)
	unshare "${own[@]}" true 2>/dev/null || skip 'no namespaces of its own: unshare is not permitted here'
	run -1 examples "$PWD/top" README.md
	assert_match "$output" 'README.md:2: .*one'
	assert_match "$output" 'sent 1, deferred 0, failed 0'
	assert_match "$output" 'hold\|release'
	assert_match "$output" 'hots: unknown setting'
	assert_match "$output" 'to: field required'
	run -1 /usr/bin/python3 "$MAILQ_TOP/tests/helpers/examples.py" stale "$PWD/top" "$MAILQ_TOP/tests/build/examples.list"
	assert_match "$output" 'README.md: prints no such example any more: make demo'
}
