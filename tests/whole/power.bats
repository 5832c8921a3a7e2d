# The power fails while mail is handed in: what was acknowledged is there, and what was not can be handed in again.
# On file systems of their own, by loop devices; make check on a machine that cannot mount one says so.

load ../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

# can_mount FS: skips the test if this machine cannot make and mount one
can_mount() {
	[ "$(id -u)" -eq 0 ] || skip 'needs root, to mount a file system'
	command -v "mkfs.$1" >/dev/null || skip "needs mkfs.$1"
	truncate -s 400M probe
	"mkfs.$1" -q probe >/dev/null 2>&1 || skip "mkfs.$1 cannot make a file system here"
	mkdir -p probe.d
	unshare -m mount -o loop probe probe.d 2>/dev/null || skip "this machine cannot mount $1 from a file"
	rm -f probe
}

survives() { # FS
	local line round

	can_mount "$1"
	for round in 1 2 3; do
		line=$(timeout 300 unshare -m bash "$MAILQ_TOP/tests/helpers/power_cut.bash" "$1" "$BATS_TEST_TMPDIR/$round" | tail -n 1)
		rm -rf "${BATS_TEST_TMPDIR:?}/$round"
		assert_match "$line" '^acknowledged [0-9]{2,} lost 0 missing 0 twice 0 faults 0$'
	done
}

@test "ext4 is shut down under load: nothing acknowledged is lost, nothing is there twice" { survives ext4; }
@test "XFS likewise, whose fsync of a directory succeeds after its log has failed" { survives xfs; }
@test "the power of btrfs is cut, which logs each inode by itself: no id is known without its message" { survives btrfs; }
