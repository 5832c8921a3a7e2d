# Root works on another user's spool as that user, for good: whatever the spool's owner wrote there is done with
# the owner's power and no more.

load ../helpers/common
load ../helpers/postfix
load ../helpers/serve

# Two users that each Debian has.
OWNER=games
OTHER=nobody

setup() {
	common_setup
	[ "$(id -u)" -eq 0 ] || skip 'needs root, to be several users'
	here=$(service_directory)
	chmod 711 "$here"
	install -d -o "$OWNER" -g root -m 700 "$here/spool" "$here/told"
	export MAILQ_SPOOL=$here/spool MAILQ_CONFIG=$here/mailq.conf
	printf 'delivery: { hostname = "host.example"; };\n' >"$MAILQ_CONFIG"
	chmod 644 "$MAILQ_CONFIG"
}
teardown() {
	common_teardown
	[ -z "${here:-}" ] || rm -rf "$here"
}

as() { # USER COMMAND...
	local user=$1

	shift
	setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
}

# An account of the owner's, whose password_command says whom it runs as, in $here/told/id.
telling_account() {
	local to=$here/told

	free_port closed
	as "$OWNER" mailq-rules accounts add evil host=127.0.0.1 "port=$closed" user=u starttls=never \
		"password_command={ id -u; id -ru; id -g; id -G; grep ^Cap[PE] /proc/self/status | sort -u; } >$to/id 2>&1; \
env >$to/env; (: </dev/tty) 2>$to/tty; echo x"
	as "$OWNER" mailq-add --from a@b.example --to c@d.example --subject s --body b >/dev/null
}

told_of_owner() {
	local user=${1:-$OWNER}

	assert_equal "$(cat "$here/told/id")" "$(id -u "$user")
$(id -u "$user")
$(id -g "$user")
$(id -G "$user")
CapEff:	0000000000000000
CapPrm:	0000000000000000"
}

# is_owner PID: the process is the owner's, in each of its threads
is_owner() {
	local status uid gid

	uid=$(id -u "$OWNER") gid=$(id -g "$OWNER")
	for status in /proc/"$1"/task/*/status; do
		grep -qE "^Uid:	$uid	$uid	$uid	$uid$" "$status" &&
			grep -qE "^Gid:	$gid	$gid	$gid	$gid$" "$status" &&
			grep -qE '^CapEff:	0+$' "$status" && grep -qE '^CapPrm:	0+$' "$status" || return 1
	done
}

@test "root's mailq-run starts an account's command as the spool's owner" {
	telling_account
	export SECRET_OF_ROOT=1 SMTP_TIMEOUT_OF_NOBODY=1 XDG_CONFIG_HOME=/root/.config SSH_AUTH_SOCK=/root/agent
	run mailq-run
	assert_status 0
	told_of_owner
	assert_match "$(cat "$here/told/env")" "HOME=$(getent passwd "$OWNER" | cut -d: -f6)"
	assert_match "$(cat "$here/told/env")" "USER=$OWNER"
	run grep -E 'SECRET_OF_ROOT|SSH_AUTH|XDG_|/root' "$here/told/env"
	assert_equal "$output" ''
	assert_equal "$(find "$MAILQ_SPOOL" ! -user "$OWNER")" ''
}

@test "a command cannot type into the terminal of the root that called mailq-run" {
	telling_account
	script -qec "sh -c 'mailq-run -q; :'" /dev/null >/dev/null </dev/null
	assert_match "$(cat "$here/told/tty")" 'No such device or address'
}

@test "root's mailq-rules accounts test starts it as the spool's owner" {
	telling_account
	run mailq-rules accounts test evil
	told_of_owner
}

@test "what root's mailq-serve starts is the spool's owner's" {
	telling_account
	start_serve serve port
	pid=$(server_pid serve)
	is_owner "$pid"
	post /commands/send-message "$(one_message)"
	told_of_owner
	assert_equal "$(find "$MAILQ_SPOOL" ! -user "$OWNER")" ''
}

@test "a watching mailq-run is the owner in each thread" {
	mailq-run --watch 2>watch.log &
	pid=$!
	wait_for is_owner "$pid"
	as "$OWNER" mailq-add --from a@b.example --to c@d.example --subject s --body b >/dev/null
	wait_for eval '[ -n "$(find "$MAILQ_SPOOL/captured" -type f 2>/dev/null)" ]'
	is_owner "$pid"
	kill -TERM "$pid"
	wait "$pid"
	assert_equal "$(find "$MAILQ_SPOOL" ! -user "$OWNER")" ''
}

@test "a group of the owner's is the group, one of others never" {
	telling_account
	chgrp "$(id -g "$OWNER")" "$MAILQ_SPOOL"
	mailq-run -q
	told_of_owner
	# Of a spool that a group shares, of which its owner is no member.
	chgrp "$(id -g "$OTHER")" "$MAILQ_SPOOL"
	chmod 2770 "$MAILQ_SPOOL"
	rm "$here/told/id"
	mailq-run -q --now
	told_of_owner
}

@test "an owner without a name is told by number, and gets no group of root's" {
	telling_account
	chown -hR 54321:0 "$MAILQ_SPOOL" "$here/told"
	mailq-run -q
	assert_equal "$(head -n 4 "$here/told/id" | paste -sd' ')" '54321 54321 65534 65534'
}

@test "where root cannot become the owner, nothing is done" {
	telling_account
	for program in mailq-run mailq-status 'mailq-rules accounts test evil' mailq-serve \
		'mailq-add --from a@b.example --to c@d.example --subject s --body b' 'mailq-status hold --all'; do
		# shellcheck disable=SC2086
		run -77 setpriv --bounding-set=-setuid,-setgid $program
		assert_match "$output" "cannot become $OWNER, the spool's owner: Operation not permitted"
		# shellcheck disable=SC2086
		run -71 setpriv --securebits=+no_setuid_fixup $program
		assert_match "$output" "cannot become $OWNER, the spool's owner: rights of root are left"
	done
	[ ! -e "$here/told/id" ]
}

@test "what root does is still told as root's" {
	mailq-add --id a --to c@d.example --subject s --body b
	assert_match "$(mailq-status show a)" 'root@host\.example'
	assert_match "$(mailq-status show a)" 'uid=0'
	mailq-status hold a --reason 'look at it'
	assert_match "$(mailq-status log a)" 'by user 0: look at it'
	mailq-rules suspend
	assert_match "$(mailq-status)" 'root'
	assert_equal "$(find "$MAILQ_SPOOL" ! -user "$OWNER")" ''
}

@test "root's mailq-run does with a mailq.conf that only root may read" {
	echo 'accounts: ( { id = "main"; transport = "capture"; } );' >"$MAILQ_CONFIG"
	chmod 600 "$MAILQ_CONFIG"
	mailq-add --from a@b.example --to c@d.example --subject s --body b >/dev/null
	run mailq-run
	assert_status 0
	assert_equal "$output" 'sent 1, deferred 0, failed 0'
	# What reads it again says what it needs.
	mailq-run --watch 2>watch.log &
	pid=$!
	wait_for file_has watch.log "mailq.conf: $OWNER, who owns the spool, cannot read it, .* 0640"
	kill -TERM "$pid"
	wait "$pid"
	run -77 mailq-serve --listen 127.0.0.1:1
	assert_match "$output" "mailq.conf: $OWNER, who owns the spool, cannot read it, .* 0640"
}

@test "the file that is read again is root's, wherever the owner's home is" {
	unset MAILQ_CONFIG
	mkdir -p "$HOME/.config/mailq"
	chmod 711 "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR" "$HOME" "$HOME/.config" "$HOME/.config/mailq"
	dir=${TMPDIR:-/tmp}
	while [[ $dir == */mailq-tests.* ]]; do
		chmod o+x "$dir"
		dir=${dir%/*}
	done
	conf=$HOME/.config/mailq/mailq.conf
	echo 'accounts: ( { id = "one"; transport = "capture"; } );' >"$conf"
	chmod 644 "$conf"
	mailq-run --watch 2>watch.log &
	pid=$!
	wait_for is_owner "$pid"
	echo 'accounts: ( { id = "two"; transport = "capture"; } );' >"$conf"
	mailq-add --account two --from a@b.example --to c@d.example --subject s --body b >/dev/null
	wait_for eval '[ -n "$(find "$MAILQ_SPOOL/captured" -type f 2>/dev/null)" ]'
	kill -TERM "$pid"
	wait "$pid"
}

# low_port VARIABLE: one that only root may listen on, and nobody does
low_port() {
	local _port

	for _port in $(shuf -i 600-1000); do
		if ! port_open "$_port"; then
			printf -v "$1" %s "$_port"
			return
		fi
	done
}

@test "root's mailq-serve opens ports and keys as root, sockets as the owner" {
	low_port port
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 \
		-keyout "$here/key.pem" -out "$here/cert.pem" 2>/dev/null
	chmod 600 "$here/key.pem"
	install -d -o "$OWNER" "$here/run"
	printf 'token-of-root-0123456789\n' >"$here/token"
	chmod 600 "$here/token"
	printf 'server: { tls_certificate = "%s"; tls_key = "%s"; api_token_file = "%s"; };\n' \
		"$here/cert.pem" "$here/key.pem" "$here/token" >"$MAILQ_CONFIG"
	start_server serve mailq-serve --listen "127.0.0.1:$port" --listen "$here/run/socket"
	wait_port serve "$port"
	wait_for test -S "$here/run/socket"
	is_owner "$(server_pid serve)"
	assert_equal "$(stat -c %U "$here/run/socket")" "$OWNER"
	curl -sSk -H 'X-API-Token: token-of-root-0123456789' "https://127.0.0.1:$port/status" >status
	grep -q '"ok": *true' status
	# What it may not read any more is told, and what there was goes on.
	kill -HUP "$(server_pid serve)"
	wait_for file_has serve.log 'token: Permission denied; still using the previous configuration'
	chmod 644 "$here/token"
	kill -HUP "$(server_pid serve)"
	wait_for file_has serve.log 'key.pem: Permission denied; still using the previous certificate'
	curl -sSk -H 'X-API-Token: token-of-root-0123456789' "https://127.0.0.1:$port/status" >status
	grep -q '"ok": *true' status
	stop_server serve
	[ ! -e "$here/run/socket" ]
}
