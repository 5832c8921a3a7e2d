#!/bin/bash
# power_cut.bash FS DIRECTORY: cuts the power of a spool on a file system of its own (ext4, xfs, btrfs) while four
# mailq-add hand in batches with ids of their own; mounts what the disk has as another boot would, and hands in
# everything again, as the application does after a crash.  Prints one line:
#
#	acknowledged N lost N missing N twice N faults N
#
# lost: acknowledged before the cut, and not there; missing: handed in again and not there; twice: there under two
# names.  Runs as root in a mount namespace of its own (unshare -m).  ext4 and XFS are shut down without a flush of
# their logs; of btrfs, which knows no such call, the disk is copied while everybody who writes is stopped.
set -eu

fs=$1 here=$2
disk=$here/disk mount=$here/mount
export MAILQ_SPOOL=$mount/spool MAILQ_CONFIG=$here/mailq.conf
mount --make-rprivate /
mkdir -p "$mount"
# Longer than any journal's commit interval: only what was synced is on the disk.
options=loop
[ "$fs" = xfs ] || options=loop,commit=300
truncate -s 400M "$disk"
"mkfs.$fs" -q "$disk"
mount -o "$options" "$disk" "$mount"
printf 'queue: { min_free_space = 0; min_free_inodes = 0; };\n' >"$MAILQ_CONFIG"
mailq-add --id first --from a@example.com --to b@example.org --subject S --body B >/dev/null
sync -f "$mount"

batch() { # ADDER NUMBER SIZE
	local i

	for ((i = 0; i < $3; i++)); do
		printf '{"id":"a%d.%d.%d","from":"a@example.com","to":"b@example.org","subject":"S","body":"B"}\n' "$1" "$2" "$i"
	done
}
adder() { # NUMBER SIZE
	local k

	for ((k = 0; k < 500; k++)); do
		batch "$1" "$k" "$2" >"$here/in.$1.$k"
		mailq-add --json "$here/in.$1.$k" >>"$here/acknowledged" 2>/dev/null || return 0
	done
}
: >"$here/acknowledged"
adders=
for number in 1 2 3 4; do
	adder "$number" $((number == 4 ? 50 : 5)) &
	adders="$adders $!"
done
for ((look = 0; look < 3000; look++)); do
	[ "$(wc -l <"$here/acknowledged")" -lt 300 ] || break
	read -r -t 0.02 <> <(:) || :
done

children() { for pid in $adders; do cat "/proc/$pid/task/$pid/children" 2>/dev/null; done; }
if [ "$fs" = btrfs ]; then
	kill -STOP $adders 2>/dev/null || :
	stopped=$(children)
	kill -STOP $stopped 2>/dev/null || :
	# A call that is under way ends first: the disk must not change while it is copied.
	for pid in $stopped; do
		while [ -e "/proc/$pid/stat" ] && grep -qE '^State:[[:space:]]+[RSD]' "/proc/$pid/status" 2>/dev/null; do :; done
	done
	cp --sparse=always "$disk" "$here/after"
	# What was acknowledged behind the copy does not count: nobody has run since.
	cp "$here/acknowledged" "$here/heard"
	kill -KILL $adders $stopped 2>/dev/null || :
else
	"$MAILQ_BUILD/tests/tools/fs_shutdown" "$mount"
fi
wait $adders 2>/dev/null || :
[ -e "$here/heard" ] || cp "$here/acknowledged" "$here/heard"
umount -l "$mount"
[ ! -e "$here/after" ] || mv "$here/after" "$disk"

# Another boot.
echo 00000000-0000-4000-8000-000000000000 >"$here/boot"
mount --bind "$here/boot" /proc/sys/kernel/random/boot_id
mkdir -p "$here/again"
mount -o loop "$disk" "$here/again"
MAILQ_SPOOL=$here/again/spool
there() { find "$MAILQ_SPOOL"/waiting "$MAILQ_SPOOL"/deferred -type f -printf '%f\n' | sed -E 's/^([0-9]+\.){5}//' | sort; }
lost=$(sort -u "$here/heard" | comm -23 - <(there) | wc -l)
faults=$(mailq-status check 2>/dev/null | tail -n 1 | sed -E 's/.*, ([0-9]+) faults?,.*/\1/') || :
cat "$here"/in.* | mailq-add --json >/dev/null 2>&1 || [ $? -eq 65 ]
missing=$(cat "$here"/in.* | sed -E 's/^\{"id":"([^"]*)".*/\1/' | sort -u | comm -23 - <(there) | wc -l)
twice=$(there | uniq -d | wc -l)
echo "acknowledged $(wc -l <"$here/heard") lost $lost missing $missing twice $twice faults ${faults:-?}"
umount "$here/again"
