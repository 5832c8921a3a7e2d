# The units, as they are installed.

load ../helpers/common

setup_file() {
	# Below a prefix of its own, so that the programs which the units name are really there.
	export PREFIX=$BATS_FILE_TMPDIR/usr
	mkdir -p "$PREFIX/bin"
	cp "$MAILQ_BUILD"/bin/* "$PREFIX/bin/"
	make -C "${MAILQ_BUILD%/*}" install-systemd prefix="$PREFIX" >/dev/null
	export UNITS=$PREFIX/lib/systemd/system
	# Units whose program is still to come are held to the same, with a stand-in for it.
	for unit in "$MAILQ_TOP"/systemd/*.{service,socket,timer,path}.in; do
		name=$(basename "$unit" .in)
		[ -e "$UNITS/$name" ] && continue
		mkdir -p "$BATS_FILE_TMPDIR/stand-in"
		install -m 755 /bin/true "$BATS_FILE_TMPDIR/stand-in/${name%.*}"
		sed -e "s|@bindir@|$BATS_FILE_TMPDIR/stand-in|g; s|@spooldir@|/var/spool/mailq|g" "$unit" \
			>"$UNITS/$name"
	done
}
setup() { common_setup; }
teardown() { common_teardown; }

@test "systemd-analyze verify has nothing to say" {
	run systemd-analyze verify --man=no "$UNITS"/mailq-*
	assert_status 0
	assert_equal "$output" ''
}

@test "verify finds a fault where there is one" {
	mkdir faulty
	sed 's|^ExecStart=.*|ExecStart=/nowhere/mailq-run|' "$UNITS/mailq-run.service" >faulty/mailq-run.service
	run systemd-analyze verify --man=no faulty/mailq-run.service
	[ "$status" -ne 0 ]
}

@test "the services are shut in: an exposure of 2.0 at the most" {
	for service in "$UNITS"/mailq-*.service; do
		run systemd-analyze security --offline=true --threshold=20 "$service"
		assert_status 0
	done
}

@test "only units whose program is installed are installed" {
	make -C "${MAILQ_BUILD%/*}" install-systemd prefix=/usr DESTDIR="$PWD/dest" \
		programs=build/bin/mailq-run >/dev/null
	ls dest/usr/lib/systemd/system | diff - <(printf '%s\n' mailq-run.path mailq-run.service mailq-run.timer)
	grep -qx 'ExecStart=/usr/bin/mailq-run' dest/usr/lib/systemd/system/mailq-run.service
	grep -qx 'PathChanged=/var/spool/mailq/wake' dest/usr/lib/systemd/system/mailq-run.path
	run grep -rn '@[a-zA-Z]*@' dest
	assert_status 1
}

@test "the spool's user and directory can be made from what is installed" {
	make -C "${MAILQ_BUILD%/*}" install-systemd prefix=/usr DESTDIR="$PWD/root" >/dev/null
	mkdir -p root/etc
	systemd-sysusers --root="$PWD/root" 2>/dev/null
	grep -q '^mailq:' root/etc/passwd
	[ "$(id -u)" -eq 0 ] || skip 'only root may give a directory to another user'
	systemd-tmpfiles --root="$PWD/root" --create mailq.conf
	assert_equal "$(stat -c %a root/var/spool/mailq)" 700
	# A group may be let in, and stays so.
	chmod 2770 root/var/spool/mailq
	systemd-tmpfiles --root="$PWD/root" --create mailq.conf
	assert_equal "$(stat -c %a root/var/spool/mailq)" 2770
}

@test "the cron line does what the timer does" {
	run grep -v '^#' "$MAILQ_TOP/systemd/mailq.cron.in"
	assert_equal "$output" '* * * * * mailq @bindir@/mailq-run -q'
	run systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$UNITS/mailq-run.timer")"
	assert_match "$output" 'Normalized form: \*-\*-\* \*:\*:00'
}
