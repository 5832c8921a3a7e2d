# Each call of an add, a delivery and a recovery that changes the spool fails in turn, or is the
# last of its process; then a mailq-run without faults must find nothing lost, sent twice unawares,
# blocked or left behind.
# runs long
#
# FAULTS_STRIDE=1 tries every case; the longer scenarios take a part of them otherwise.

load ../helpers/common

setup() {
	common_setup
	export MAILQ_BUILD
}

teardown() {
	[ ! -d small ] || ! mountpoint -q small || umount small || umount -l small
	common_teardown
}

faults() {
	run /usr/bin/python3 -B "$MAILQ_TOP/tests/helpers/faults.py" "$@"
	echo "$output" | cut -c 1-2000
	assert_status 0
}

@test "the preloaded object sees every call that changes the spool" {
	strace -qq -o /dev/null true 2>/dev/null || skip "strace may not trace here"
	faults complete add-first add-raw add-hundred add-files deliver-files deliver-mixed deliver-captured recover-uncertain \
		recover-draft
}

@test "adding one message" {
	faults add-one
}

@test "adding the first message, which makes the spool" {
	faults add-first
}

@test "adding a message for later" {
	faults add-later
}

@test "adding a raw message of several pieces" {
	faults add-raw
}

@test "adding a batch" {
	faults add-batch
}

@test "adding a batch of which something is known already" {
	faults add-batch-known
}

@test "adding a hundred messages" {
	faults add-hundred
}

@test "adding a message with attachments" {
	faults add-file
}

@test "adding messages with attachments of which one is stored already" {
	faults add-files
}

@test "delivering messages that share attachments" {
	faults deliver-files
}

@test "taking back messages with attachments" {
	faults recover-draft-files
}

@test "delivering into a Maildir" {
	faults deliver-captured
}

@test "delivering to a server, power cuts included" {
	faults deliver-smtp
}

@test "delivering with every kind of outcome" {
	faults deliver-mixed
}

@test "delivering under the limits of an account and of a domain" {
	faults deliver-limited
}

@test "nothing is damaged because a read failed once: delivering, checking, listing, recovering, adding" {
	faults unread unread-smtp unread-check unread-list unread-recover unread-add
}

@test "telling an application, which rejects some" {
	faults tell
}

@test "recovering outcomes that were on record" {
	faults recover-settling
}

@test "recovering messages whose outcome is not known" {
	faults recover-uncertain
}

@test "recovering such messages where the account says fail" {
	faults recover-failing
}

@test "recovering such messages where the account says hold" {
	faults recover-holding
}

@test "taking back a batch of which nothing was published" {
	faults recover-draft
}

@test "taking back the rest of a batch that was published in part" {
	faults recover-draft-half
}

@test "taking back nothing of a batch that was published" {
	faults recover-draft-done
}

# ---- a file system without space ---------------------------------------------------------------

# A file system of 16 MiB at ./small, with the spool on it.
mount_small() {
	[ "$(id -u)" -eq 0 ] || skip "only root can mount a small file system"
	mkdir small
	if ! { truncate -s 16M image && mkfs.ext4 -q -F -m 0 image &&
		mount -o loop image small; } 2>/dev/null; then
		mount -t tmpfs -o size=16m,mode=700 mailq-small small 2>/dev/null ||
			skip "neither a loop device nor a tmpfs can be mounted here"
	fi
	export MAILQ_SPOOL=$PWD/small/spool
	export MAILQ_CONFIG=$PWD/mailq.conf
}

# configure FLOOR: mail goes to a Maildir on another file system
configure() {
	cat >"$MAILQ_CONFIG" <<-END
		queue: { min_free_space = "$1"; min_free_inodes = 20; };
		delivery: { hostname = "host.example"; };
		accounts: ( { id = "main"; transport = "capture"; maildir = "$PWD/delivered"; } );
	END
}

# Adds raw messages of 700 kB until one is refused; their ids are in the file accepted.
add_until_refused() {
	local number

	head -c 500000 /dev/urandom | base64 >noise
	for number in {1..100}; do
		run mailq-add a@example.org < <(printf 'Subject: %s\n\n' "$number" && cat noise)
		[ "$status" -eq 0 ] || return 0
		echo "$output" >>accepted
	done
	fail "a hundred messages of 700 kB fit into 16 MiB"
}

delivered() {
	find delivered/new -type f 2>/dev/null | wc -l
}

@test "below the floor adders refuse with 75, and deliveries go on" {
	mount_small
	configure "4 MiB"
	add_until_refused
	assert_status 75
	assert_match "$output" 'free on its file system'
	run mailq-add --json <<<'{"from":"a@example.com","to":"b@example.org","subject":"","body":"x"}'
	assert_status 75
	run mailq-add --from a@example.com --to b@example.org --subject x --body x
	assert_status 75
	[ -z "$(ls -A small/spool/tmp)" ]
	[ "$(df --output=avail -B1 small | tail -1)" -ge 3000000 ]
	mailq-run
	assert_equal "$(delivered)" "$(wc -l <accepted)" "delivered"
	mailq-add --from a@example.com --to b@example.org --subject x --body x
}

@test "without any space an add is refused with 75 and leaves nothing, and no mail is lost" {
	mount_small
	configure 0
	add_until_refused
	assert_status 75
	[ -z "$(ls -A small/spool/tmp)" ]
	head -c 32M /dev/zero >small/filler 2>/dev/null || :
	run mailq-add a@example.org <noise
	assert_status 75
	[ -z "$(ls -A small/spool/tmp)" ]
	assert_equal "$(find small/spool/waiting -type f | wc -l)" "$(wc -l <accepted)" "waiting"
	# A runner that cannot write its journal delivers nothing rather than lose its record.
	run mailq-run
	[ "$status" -eq 0 ] || assert_status 75
	rm small/filler
	mailq-run --now
	mailq-run --now
	[ -z "$(ls -A small/spool/tmp small/spool/cur | grep -v :)" ]
	assert_equal "$(find small/spool/waiting -type f | wc -l)" 0 "waiting"
	if ! grep -q '"event":"uncertain"' small/spool/log/*.log; then
		assert_equal "$(delivered)" "$(wc -l <accepted)" "delivered"
	fi
	[ "$(delivered)" -ge "$(wc -l <accepted)" ]
}
