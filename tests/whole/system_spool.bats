# The system's spool, as it is installed: the units, the cron line, root's tools and each user's sendmail mean the
# same one.  Each command sees an /etc and a /var/spool of the test's own.

load ../helpers/common
load ../helpers/postfix

setup() {
	common_setup
	[ "$(id -u)" -eq 0 ] || skip 'needs root, to be several users'
	unshare -m true 2>/dev/null || skip 'needs a mount namespace (CAP_SYS_ADMIN)'
	settings=$(built_with sysconfdir)
	default=$(built_with spooldir)
	[ -d "$settings" ] || skip "there is no $settings to put a mailq.conf into"
	[ "$default" = /var/spool/mailq ] || skip "it was built for another spool, $default"
	here=$(service_directory)
	mkdir -m 755 "$here/spool" "$here/home" "$here/settings"
	cp -a /etc "$here/etc"
	rm -f "$here/etc/mailq.conf"
	conf=$here/settings/mailq.conf
	[ "$settings" != /etc ] || conf=$here/etc/mailq.conf
	sed -i '/^mailq:/d' "$here/etc/passwd" "$here/etc/group"
	# What reads the list of users from elsewhere is not asked.
	sed -i 's/^\(passwd\|group\|initgroups\):.*/\1: files/' "$here/etc/nsswitch.conf"
	unset MAILQ_SPOOL MAILQ_CONFIG
	install -m 755 "$MAILQ_BUILD/bin/mailq-add" "$here/sendmail"
	mail=$'From: a@b.example\nTo: c@d.example\nSubject: s\n\nb\n'
}
teardown() {
	common_teardown
	[ -z "${here:-}" ] || rm -rf "$here"
}

# built_with VARIABLE: of the build's configuration, as make has it
built_with() {
	printf 'include config.mk\nprint:\n\t@echo $(%s)\n' "$1" | make -s -C "${MAILQ_BUILD%/*}" -f - print
}

# with_mailq: the user of the installed sysusers file is there
with_mailq() {
	echo 'mailq:x:9871:9871:Mail queue:/var/spool/mailq:/usr/sbin/nologin' >>"$here/etc/passwd"
	echo 'mailq:x:9871:' >>"$here/etc/group"
}

# inside COMMAND...: with the test's /etc and /var/spool
inside() {
	unshare -m sh -c '
		mount --bind "$0/etc" /etc && mount --bind "$0/spool" /var/spool || exit
		[ "$1" = /etc ] || mount --bind "$0/settings" "$1" || exit
		shift
		exec "$@"' "$here" "$settings" "$@"
}
# as USER COMMAND...: the same as this user, in an environment as a service has it
as() {
	local user=$1 home

	shift
	home=$(awk -F: -v u="$user" '$1 == u { print $6 }' "$here/etc/passwd")
	inside env -i PATH="$PATH" HOME="${home:-/}" ${EXTRA:-} setpriv --reuid="$user" --regid="$user" \
		--init-groups "$@"
}
# The user's group that is named otherwise than the user.
as_nobody() {
	inside env -i PATH="$PATH" ${EXTRA:-} setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

# the command line of an installed unit or of the cron line
exec_start() {
	sed -n 's/^ExecStart=//p' "$here/installed/usr/lib/systemd/system/$1"
}

install_it() {
	make -C "${MAILQ_BUILD%/*}" install-systemd prefix=/usr DESTDIR="$here/installed" >/dev/null
}

@test "root's sendmail and the installed units and cron line mean one spool" {
	with_mailq
	install_it
	inside "$here/sendmail" -t <<<"$mail"
	assert_equal "$(stat -c '%u %g %a' "$here/spool/mailq")" '9871 9871 700'
	assert_equal "$(find "$here/spool/mailq" ! -uid 9871)" ''
	# As the unit is run by systemd: its user, its home, nothing else.
	command=$(exec_start mailq-run.service)
	assert_match "$command" '/mailq-run( |$)'
	run as mailq "$MAILQ_BUILD/bin/mailq-run" ${command#*/mailq-run}
	assert_status 0
	assert_equal "$(find "$here/spool/mailq/captured/new" -type f | wc -l)" 1
	# As cron runs the line.
	inside "$here/sendmail" -t <<<"$mail"
	line=$(grep -v '^#' "$here/installed/usr/share/doc/mailq/mailq.cron")
	assert_match "$line" '^\* \* \* \* \* mailq /usr/bin/mailq-run'
	run as mailq sh -c "$MAILQ_BUILD/bin/mailq-run ${line##*/mailq-run}"
	assert_status 0
	assert_equal "$(find "$here/spool/mailq/captured/new" -type f | wc -l)" 2
	assert_equal "$(find "$here/spool/mailq" ! -uid 9871)" ''
	# And each of the tools, of root and of that user.
	assert_equal "$(inside mailq-status log | grep -c ' sent ')" 2
	assert_equal "$(as mailq mailq-status log | grep -c ' sent ')" 2
	as mailq mailq-rules list
	[ ! -e "$here/spool/mailq/.local" ]
	grep -qx "PathChanged=$default/wake" "$here/installed/usr/lib/systemd/system/mailq-run.path"
	grep -qx "ReadWritePaths=$default" "$here/installed/usr/lib/systemd/system/mailq-run.service"
}

@test "they obey the spool of mailq.conf" {
	with_mailq
	echo 'spool = "/var/spool/elsewhere";' >"$conf"
	inside "$here/sendmail" -t <<<"$mail"
	[ ! -e "$here/spool/mailq" ]
	assert_equal "$(stat -c %u "$here/spool/elsewhere")" 9871
	run as mailq mailq-run
	assert_status 0
	assert_equal "$(find "$here/spool/elsewhere/captured/new" -type f | wc -l)" 1
	# A user's own settings do not lead a sendmail of root's elsewhere.
	mkdir -p "$HOME/.config/mailq"
	echo 'delivery: { from = "r@b.example"; };' >"$HOME/.config/mailq/mailq.conf"
	inside "$here/sendmail" -t <<<"$mail"
	inside mailq-add --to c@d.example --subject s --body b
	assert_equal "$(find "$here/spool/elsewhere/waiting" -type f | wc -l)" 2
}

@test "a user who cannot reach the system's spool hears 75 from sendmail, and nothing is kept at home" {
	with_mailq
	inside "$here/sendmail" -t <<<"$mail"
	export HOME=$here/home
	chown nobody "$HOME"
	for EXTRA in "HOME=$HOME" '' HOME=/nonexistent "HOME=$HOME XDG_STATE_HOME=$HOME"; do
		for command in 'sendmail -t' 'sendmail c@d.example' 'sendmail -i -oi -t' 'mailq-add -t' \
			'mailq-add c@d.example' 'mailq-add --priority high -t'; do
			run as_nobody ${command/#sendmail/$here/sendmail} <<<"$mail"
			assert_status 75
			assert_match "$output" "nobody cannot hand in mail to the system's spool"
			assert_match "$output" "spool $default: .*(belongs to user|Permission denied)"
		done
	done
	assert_equal "$(find "$HOME" -mindepth 1)" ''
	# A user without a name, as a service with DynamicUser= may be, and one for whom there is no spool yet.
	run inside env -i PATH="$PATH" setpriv --reuid=61234 --regid=61234 --clear-groups "$here/sendmail" -t <<<"$mail"
	assert_status 75
	assert_match "$output" 'user 61234 cannot hand in mail'
	rm -rf "$here/spool/mailq"
	EXTRA=
	run as_nobody "$here/sendmail" -t <<<"$mail"
	assert_status 75
	assert_match "$output" 'cannot be made'
	# One who may not read the system's settings does not know what they name.
	install -m 600 /dev/null "$conf"
	run as_nobody "$here/sendmail" -t <<<"$mail"
	assert_status 75
	assert_match "$output" 'mailq.conf: Permission denied'
}

@test "a spool of a user's own is for who names it" {
	with_mailq
	home=$here/home
	chown nobody "$home"
	EXTRA="HOME=$home MAILQ_SPOOL=$home/q" as_nobody "$here/sendmail" -t <<<"$mail"
	assert_equal "$(find "$home/q/waiting" -type f | wc -l)" 1
	EXTRA="HOME=$home" as_nobody mailq-add -s "$home/q" -t <<<"$mail"
	assert_equal "$(find "$home/q/waiting" -type f | wc -l)" 2
	install -d -o nobody "$home/.config" "$home/.config/mailq"
	echo "spool = \"$home/q\";" >"$home/.config/mailq/mailq.conf"
	EXTRA="HOME=$home" as_nobody mailq-add -t <<<"$mail"
	assert_equal "$(find "$home/q/waiting" -type f | wc -l)" 3
	# A configuration that names none does not make a spool at home for what a sendmail takes.
	echo 'delivery: { from = "a@b.example"; };' >"$home/.config/mailq/mailq.conf"
	EXTRA="HOME=$home" run as_nobody "$here/sendmail" -t <<<"$mail"
	assert_status 75
	[ ! -e "$home/.local" ]
	# The other forms are for people, and their queue is theirs.
	EXTRA="HOME=$home" as_nobody mailq-add --to c@d.example --subject s --body b
	assert_equal "$(find "$home/.local/state/mailq/waiting" -type f | wc -l)" 1
	EXTRA="HOME=$home" run as_nobody mailq-run
	assert_equal "$(find "$home/.local/state/mailq/captured/new" -type f | wc -l)" 1
}

@test "sendmail -bp shows, and -q delivers, what a sendmail has queued" {
	with_mailq
	inside "$here/sendmail" -t <<<"$mail"
	for name in mailq-status mailq-run; do
		install -m 755 "$MAILQ_BUILD/bin/$name" "$here/$name"
	done
	assert_match "$(inside "$here/sendmail" -bp)" 'waiting'
	EXTRA="HOME=$here/home" run as_nobody "$here/sendmail" -bp
	[ "$status" -ne 0 ]
	assert_match "$output" "spool $default"
	inside "$here/sendmail" -q
	assert_equal "$(find "$here/spool/mailq/captured/new" -type f | wc -l)" 1
}

@test "a spool that root made before there was a user mailq is named with what mends it" {
	inside "$here/sendmail" -t <<<"$mail"
	assert_equal "$(stat -c %u "$here/spool/mailq")" 0
	with_mailq
	for command in "$here/sendmail -t" mailq-run 'mailq-add --to c@d.example --subject s --body b'; do
		run -75 inside $command <<<"$mail"
		assert_match "$output" 'it belongs to root, and is served by user mailq: as root, run "chown -hR mailq: /var/spool/mailq"'
	done
	run -75 as mailq mailq-run
	assert_match "$output" 'as root, run "chown -hR mailq: /var/spool/mailq"'
	# It can be looked at as before.
	run inside mailq-status
	assert_status 0
	# As tmpfiles.d leaves it: the directory alone has another owner.
	chown 9871:9871 "$here/spool/mailq"
	for command in "$here/sendmail -t" mailq-run; do
		run -75 inside $command <<<"$mail"
		assert_match "$output" 'belongs to user 0; expected 9871, .* run "chown -hR mailq: /var/spool/mailq"'
	done
	# The command that is named mends it.
	inside sh -c "$(grep -o 'chown -hR [^"]*' <<<"$output")"
	inside "$here/sendmail" -t <<<"$mail"
	run as mailq mailq-run
	assert_match "$output" 'sent 2, deferred 0, failed 0'
}

@test "an empty directory of root's becomes the service user's spool" {
	with_mailq
	mkdir -m 700 "$here/spool/mailq"
	inside "$here/sendmail" -t <<<"$mail"
	assert_equal "$(find "$here/spool/mailq" ! -uid 9871)" ''
	run as mailq mailq-run
	assert_status 0
	# Another spool that root makes stays root's.
	inside mailq-add -s "$here/own" --to c@d.example --subject s --body b
	assert_equal "$(find "$here/own" ! -uid 0)" ''
}

@test "whoever owns the system's spool serves it, whatever the name" {
	install -d -o nobody -g nogroup -m 700 "$here/spool/mailq"
	inside "$here/sendmail" -t <<<"$mail"
	EXTRA='HOME=/nonexistent' run as_nobody mailq-run
	assert_status 0
	assert_equal "$(find "$here/spool/mailq/captured/new" -type f | wc -l)" 1
}
