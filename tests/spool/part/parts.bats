# Attachments that are stored once: in the spool, on their way out, and gone with the last message.

load ../../helpers/common
load ../../helpers/delivery
setup() { delivery_setup; }
teardown() { common_teardown; }

parts() { /usr/bin/python3 -B "$MAILQ_TOP/tests/helpers/parts.py" "$@"; }

noise() { head -c "$1" /dev/urandom >"$2"; } # SIZE FILE

kept_parts() { find "$MAILQ_SPOOL/blobs" "$MAILQ_SPOOL/parts" -mindepth 1 -type f | wc -l; }

nothing_is_kept() {
	assert_equal "$(find "$MAILQ_SPOOL/blobs" "$MAILQ_SPOOL/parts" "$MAILQ_SPOOL/tmp" -mindepth 1)" ''
}

blob() { find "$MAILQ_SPOOL/blobs" -type f; }

@test "the same attachments to forty addresses are stored once and arrive whole" {
	start_keeper server port
	accounts "$(relay main "$port" 'connections = 4;')"
	noise 300000 photo.jpg
	noise 20000 other.bin
	noise 100 small.bin
	parts lines 40 photo.jpg other.bin small.bin >lines
	mailq-add --json lines >ids
	assert_equal "$(wc -l <ids)" 40
	assert_equal "$(blob | wc -l)" 2
	(($(du -sk "$MAILQ_SPOOL" | cut -f 1) < 1500))
	for hash in $(blob); do
		assert_equal "$(base64 -d -i "$hash" | b2sum -l 256 | cut -d ' ' -f 1)" "${hash##*/}"
	done
	mailq-status check
	run_mailq
	summary 'sent 40, deferred 0, failed 0'
	parts check server 40 photo.jpg other.bin small.bin
	nothing_is_kept
}

@test "what was added one by one shares an attachment too" {
	accounts
	noise 100000 a.bin
	for number in 1 2 3; do
		mailq-add --to "u$number@example.org" --subject s --body b --attach a.bin
	done
	assert_equal "$(blob | wc -l)" 1
	assert_equal "$(stat -c %h "$(blob)")" 4
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	parts check "$MAILQ_SPOOL/captured" 3 a.bin
	nothing_is_kept
}

@test "cat shows a message with its attachments, and its size counts them" {
	accounts
	noise 50000 a.bin
	id=$(add --attach a.bin --attach a.bin)
	mailq-status cat "$id" >one.eml
	mkdir shown && mv one.eml shown
	parts check shown 1 a.bin
	size=$(mailq-status show --json "$id" | jq .size)
	assert_equal "$size" "$(stat -c %s shown/one.eml)"
}

@test "a message that is deleted frees what it alone needs" {
	accounts
	noise 50000 a.bin
	noise 60000 b.bin
	first=$(add --attach a.bin --attach b.bin)
	second=$(add --attach a.bin)
	mailq-status hold "$first"
	mailq-status retry "$first" # as held: nothing is lost by moves
	mailq-status delete "$first"
	assert_equal "$(blob | wc -l)" 1
	mailq-status cat "$second" >/dev/null
	mailq-status delete "$second"
	nothing_is_kept
}

@test "a message that is deferred keeps its attachments for the next attempt" {
	start_keeper server port --refuse-once 'to@example.org=451 4.3.0 later'
	accounts "$(relay main "$port")"
	noise 50000 a.bin
	id=$(add --attach a.bin)
	run_mailq
	summary 'sent 0, deferred 1, failed 0'
	assert_equal "$(kept_parts)" 3
	run_mailq --id "$id"
	summary 'sent 1, deferred 0, failed 0'
	parts check server 1 a.bin
	nothing_is_kept
}

@test "a message whose attachment is damaged is named and set aside, not sent" {
	start_keeper server port
	accounts "$(relay main "$port")"
	noise 50000 a.bin
	id=$(add --attach a.bin)
	printf '!' | dd of="$(blob)" bs=1 seek=1000 conv=notrunc status=none
	run mailq-status check
	assert_status 65
	assert_match "$output" "an attachment of it, parts/.* is damaged"
	assert_match "$output" "blobs/.*: its content is not that of its name"
	run_mailq
	assert_equal "$(state "$id")" corrupt
	assert_equal "$(kept server)" 0
}

@test "a large one that is damaged is never ended at the server" {
	start_keeper server port
	accounts "$(relay main "$port")"
	noise 9000000 a.bin
	id=$(add --attach a.bin)
	printf '!' | dd of="$(blob)" bs=1 seek=9000000 conv=notrunc status=none
	run_mailq
	assert_equal "$(state "$id")" corrupt
	assert_equal "$(kept server)" 0
}

@test "a message whose attachment is missing is named and set aside, with the other delivered" {
	accounts
	noise 50000 a.bin
	noise 60000 b.bin
	first=$(add --attach a.bin)
	find "$MAILQ_SPOOL/parts" -type f ! -name 'file.*' -delete
	add --attach b.bin
	run mailq-status check
	assert_status 65
	assert_match "$output" 'an attachment of it, parts/.* is missing'
	run_mailq
	assert_equal "$(state "$first")" corrupt
	parts check "$MAILQ_SPOOL/captured" 1 b.bin
}

@test "a repair moves a damaged blob to corrupt/, and the content can be added again" {
	accounts
	noise 50000 a.bin
	id=$(add --attach a.bin)
	printf '!' | dd of="$(blob)" bs=1 seek=1000 conv=notrunc status=none
	mailq-status check --repair || true
	assert_equal "$(blob)" ''
	assert_equal "$(state "$id")" corrupt
	add --attach a.bin
	run_mailq
	parts check "$MAILQ_SPOOL/captured" 1 a.bin
}

@test "what was left of messages removed by hand is told, and tidied up" {
	accounts
	noise 50000 a.bin
	add --attach a.bin
	rm "$MAILQ_SPOOL"/waiting/*/*/*
	run mailq-status check
	assert_status 0
	assert_match "$output" 'parts/.*: are attachments of messages that are gone'
	run_mailq
	nothing_is_kept
}

is_sanitized() { ldd "$MAILQ_BUILD/bin/mailq-add" | grep -q asan; }

@test "an attachment costs no memory, however large" {
	SETTINGS='attachments: { max_size = "1 GiB"; max_total = "1 GiB"; };
		queue: { max_message_size = "1 GiB"; };' accounts
	noise 60000000 a.bin
	used=$(parts peak mailq-add --to to@example.org --subject s --body b --attach a.bin)
	((used < 32768)) || is_sanitized || fail "mailq-add: $used KiB"
	used=$(parts peak mailq-add --to to@example.org --subject s --body b --attach /dev/stdin < <(cat a.bin))
	((used < 32768)) || is_sanitized || fail "mailq-add from a pipe: $used KiB"
	used=$(parts peak mailq-run --now)
	((used < 32768)) || is_sanitized || fail "mailq-run: $used KiB"
	assert_equal "$(find "$MAILQ_SPOOL/captured/new" -type f | wc -l)" 2
	nothing_is_kept
}

@test "an attachment that is too large leaves nothing" {
	SETTINGS='attachments: { max_size = "64 KiB"; };' accounts
	noise 100000 a.bin
	run mailq-add --to to@example.org --subject s --body b --attach a.bin
	assert_status 65
	run mailq-add --to to@example.org --subject s --body b --attach /dev/stdin < <(cat a.bin)
	assert_status 65
	assert_match "$output" 'stdin is larger than 65536 bytes'
	[ ! -d "$MAILQ_SPOOL/blobs" ] || nothing_is_kept
}
