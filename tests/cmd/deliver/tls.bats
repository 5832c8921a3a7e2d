# runs long: a Postfix and a Dovecot are started.
#
# TLS and logins, with a real Postfix and a real Dovecot.  What Postfix says in its Received field is
# the proof of how a message came to it; a fault is one of the account, so messages wait untouched.

load ../../helpers/common
load ../../helpers/delivery
load ../../helpers/certificates
load ../../helpers/postfix
load ../../helpers/dovecot

setup_file() {
	[ "$(id -u)" -eq 0 ] || return 0
	local BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	export CERTS=$BATS_FILE_TMPDIR/certificates RELAYED=$BATS_FILE_TMPDIR/relayed
	export POSTFIX DOVECOT STARTTLS SMTPS PLAIN LOGIN_ONLY XOAUTH2_ONLY STRANGER CLIENT_CERT SUBMISSION
	local relay

	make_certificates "$CERTS"
	start_keeper relayed relay --smtputf8
	POSTFIX=$(service_directory)
	DOVECOT=$(service_directory)
	for name in STARTTLS SMTPS PLAIN LOGIN_ONLY XOAUTH2_ONLY STRANGER CLIENT_CERT SUBMISSION; do
		free_port "$name"
	done
	postfix_setup "$POSTFIX" "$CERTS" "$relay"
	tls='-o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes'
	postfix_listen "$POSTFIX" "$STARTTLS" $tls
	postfix_listen "$POSTFIX" "$SMTPS" $tls -o smtpd_tls_wrappermode=yes
	postfix_listen "$POSTFIX" "$PLAIN" -o smtpd_sasl_auth_enable=yes -o mynetworks=127.0.0.1 \
		-o smtpd_relay_restrictions=permit_mynetworks,reject
	postfix_listen "$POSTFIX" "$LOGIN_ONLY" $tls -o smtpd_sasl_mechanism_filter=login
	postfix_listen "$POSTFIX" "$XOAUTH2_ONLY" $tls -o smtpd_sasl_mechanism_filter=xoauth2
	postfix_listen "$POSTFIX" "$STRANGER" $tls -o "smtpd_tls_cert_file=$CERTS/stranger.pem" \
		-o "smtpd_tls_key_file=$CERTS/stranger.key"
	postfix_listen "$POSTFIX" "$CLIENT_CERT" -o smtpd_tls_security_level=encrypt -o smtpd_tls_req_ccert=yes \
		-o smtpd_relay_restrictions=permit_tls_all_clientcerts,reject
	dovecot_setup "$DOVECOT" "$CERTS" "$POSTFIX/queue" "$SUBMISSION" "$relay"
	start_server dovecot dovecot -F -c "$DOVECOT/dovecot.conf"
	start_server postfix $(postfix_command "$POSTFIX")
	wait_port dovecot "$SUBMISSION"
	wait_port postfix "$STARTTLS"
}
teardown_file() {
	[ "$(id -u)" -eq 0 ] || return 0
	local BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR

	stop_servers
	rm -rf "$POSTFIX" "$DOVECOT"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'only root can start a Postfix'
	delivery_setup
	umask 077
	printf '%s\n' "$DOVECOT_PASSWORD" >password
}
teardown() { common_teardown; }

# server ID PORT [SETTINGS]: an account at "localhost" that trusts our authority
server() {
	echo "{ id = \"$1\"; host = \"localhost\"; port = $2; ca_file = \"$CERTS/ca.pem\"; ${3:-} }"
}
login() {
	echo "user = \"app\"; password_file = \"$PWD/password\";"
}

# arrived ID: the file in which the server behind them keeps what was sent with this id as subject.  It
# is whole when its envelope stands beside it.
arrived() {
	local file found

	for file in $(grep -lE "^Subject: $1"$'\r' "$RELAYED"/*.eml); do
		[ ! -e "${file%.eml}.json" ] || { echo "$file" && found=yes; }
	done
	[ -n "${found:-}" ]
}

# logged EXPRESSION [TIMES]: so many lines of Postfix's log (1) are like this, or will be: it is written
# by a process of its own, behind the replies.
logged() {
	logged_times=$(grep -cE -- "$1" "$POSTFIX/maillog" || :)
	[ "$logged_times" -ge "${2:-1}" ]
}
received() { # ID: its first Received field, unfolded
	local file

	wait_for arrived "$1"
	file=$(arrived "$1")
	assert_equal "$(wc -w <<<"$file")" 1 copies
	tr -d '\r' <"$file" | sed -n '/^$/q; /^Received/,/^[^ \t]/{/^Received/p;/^[ \t]/p}' | tr -s '\n\t ' ' '
}

# sent ID: it was the one message of the last run, and arrived
sent_as() { # ID EXPRESSION
	summary 'sent 1, deferred 0, failed 0'
	assert_match "$(received "$1")" "$2"
}

# waits ACCOUNT ID CLASS EXPRESSION: after a run that could not use the account
waits() {
	assert_equal "$status" 0
	resting "$1" || fail "$1 is not parked; $stderr"
	assert_match "$(cat "$MAILQ_SPOOL/parked/$1")" "class: $3"
	assert_match "$(cat "$MAILQ_SPOOL/parked/$1")" "$4"
	assert_match "$stderr" "account $1: "
	assert_equal "$(state "$2")" waiting
	assert_equal "$(attempts "$2")" 0
	assert_equal "$(history_of deferred)$(history_of failed)$(history_of sent)" ''
}

# no_secret TEXT: it stands in nothing that mailq wrote or printed
no_secret() {
	local encoded secret output=$output stderr=$stderr status

	encoded=$(printf '\0app\0%s' "$1" | base64 -w0)
	for secret in "$1" "$encoded" "$(printf %s "$1" | base64 -w0)"; do
		[[ "$output$stderr" != *"$secret"* ]] || fail "printed: $secret"
		run grep -rlF -e "$secret" "$MAILQ_SPOOL"
		assert_equal "$output" ''
	done
}

@test "STARTTLS, a checked certificate and AUTH PLAIN" {
	accounts "$(server main "$STARTTLS" "starttls = \"required\"; auth = \"plain\"; $(login)")"
	add --id m1 --subject starttls-plain
	run_mailq -vv
	no_secret "$DOVECOT_PASSWORD"
	sent_as starttls-plain 'using TLSv1\.3 .*\(Authenticated sender: app\).* with ESMTPSA'
	wait_for logged 'sasl_method=PLAIN, sasl_username=app'
}

@test "TLS from the first byte" {
	accounts "$(server main "$SMTPS" "use_tls = true; $(login)")"
	add --subject implicit
	run_mailq
	sent_as implicit 'using TLS.*\(Authenticated sender: app\)'
}

@test "an IP address as host is checked against the certificate too" {
	accounts "$(relay main "$SMTPS" "use_tls = true; ca_file = \"$CERTS/ca.pem\"; $(login)")"
	add --subject address
	run_mailq
	sent_as address 'using TLS'
}

@test "AUTH LOGIN where the server has nothing else, and where it is asked for" {
	accounts "$(server only "$LOGIN_ONLY" "$(login)")"
	add --subject login-only
	run_mailq
	sent_as login-only 'Authenticated sender: app'
	accounts "$(server chosen "$STARTTLS" "auth = \"login\"; $(login)")"
	add --subject login-chosen
	run_mailq
	sent_as login-chosen 'Authenticated sender: app'
	wait_for logged 'sasl_method=LOGIN, sasl_username=app' 2
	assert_equal "$logged_times" 2
}

@test "Dovecot's submission server" {
	accounts "$(server main "$SUBMISSION" "starttls = \"required\"; $(login)")"
	add_ids D 30
	run_mailq
	summary 'sent 30, deferred 0, failed 0'
	assert_match "$(received D-7)" 'by dovecot\.example with ESMTPSA'
}

@test "many messages over several TLS connections at once, whole" {
	accounts "$(server main "$STARTTLS" "connections = 4; $(login)")"
	head -c 300000 /dev/urandom >attachment
	for ((i = 0; i < 20; i++)); do
		add --subject "many-$i" --attach attachment
	done
	run_mailq
	summary 'sent 20, deferred 0, failed 0'
	for ((i = 0; i < 20; i++)); do
		wait_for arrived "many-$i"
		sed '1,/^Content-Transfer-Encoding: base64/d;1,/^\r$/d' "$(arrived "many-$i")" |
			sed '/^--/q' | sed '$d' | base64 -di | cmp - attachment
	done
}

@test "a password comes from a file, a command or the configuration" {
	accounts "$(server file "$STARTTLS" "$(login)")" \
		"$(server command "$STARTTLS" "user = \"app\"; password_command = \"cat '$PWD/password'\";")" \
		"$(server setting "$STARTTLS" "user = \"app\"; password = \"$(sed 's/["\\]/\\&/g' password)\";")"
	for account in file command setting; do
		add --account $account --subject "from-$account"
	done
	run_mailq
	summary 'sent 3, deferred 0, failed 0'
	no_secret "$DOVECOT_PASSWORD"
	for account in file command setting; do
		assert_match "$(received "from-$account")" 'Authenticated sender: app'
	done
}

@test "a password_command that fails, or takes a file that is not there, parks the account" {
	accounts "$(server command "$STARTTLS" 'user = "app"; password_command = "echo oops >&2; exit 3";')" \
		"$(server file "$STARTTLS" "user = \"app\"; password_file = \"$PWD/nothing\";")"
	add --account command --id C
	add --account file --id F
	run_mailq
	waits command C auth 'exit status 3'
	waits file F auth 'nothing'
}

@test "tokens: XOAUTH2 and OAUTHBEARER" {
	dovecot_token >token
	token="user = \"app\"; password_file = \"$PWD/token\";"
	accounts "$(server x "$XOAUTH2_ONLY" "auth = \"xoauth2\"; $token")" \
		"$(server o "$STARTTLS" "auth = \"oauthbearer\"; $token")"
	add --account x --subject xoauth2
	add --account o --subject oauthbearer
	run_mailq -vv
	summary 'sent 2, deferred 0, failed 0'
	no_secret "$(cat token)"
	assert_match "$(received xoauth2)" 'Authenticated sender: app'
	assert_match "$(received oauthbearer)" 'Authenticated sender: app'
	wait_for logged 'sasl_method=XOAUTH2, sasl_username=app'
	wait_for logged 'sasl_method=OAUTHBEARER, sasl_username=app'
}

@test "a token that is refused parks the account" {
	echo not.a.token >token
	configured=()
	for method in xoauth2 oauthbearer; do
		configured+=("$(server $method "$STARTTLS" "auth = \"$method\"; user = \"app\"; password_file = \"$PWD/token\";")")
	done
	accounts "${configured[@]}"
	for method in xoauth2 oauthbearer; do
		add --account $method --id $method
	done
	run_mailq
	for method in xoauth2 oauthbearer; do
		waits $method $method auth .
	done
}

@test "a wrong password: parked with the server's reply, the message untouched, the password nowhere" {
	secret='wrong-Pa55word!-that-nobody-has'
	accounts "$(server main "$STARTTLS" "user = \"app\"; password = \"$secret\"; connections = 10;")"
	add_ids M 20
	logged 'SASL PLAIN authentication failed' 0
	before=$logged_times
	start_server run strace -f -o cmdlines -e trace=execve -s 1000 mailq-run -vv
	wait_gone "$(server_pid run)"
	stderr=$(cat run.log) output='' status=0
	waits main M-1 auth '535 5\.7\.8'
	no_secret "$secret"
	run grep -F "$secret" run.log cmdlines
	assert_equal "$output" ''
	# Ten connections were allowed; the password was tried once.
	wait_for logged 'SASL PLAIN authentication failed' $((before + 1))
	assert_equal $((logged_times - before)) 1
	assert_equal "$(in_state waiting)" 20
	# It was corrected.
	accounts "$(server main "$STARTTLS" "$(login)")"
	run_mailq --now
	summary 'sent 20, deferred 0, failed 0'
	! resting main
	logged 'SASL PLAIN authentication failed' 0
	assert_equal $((logged_times - before)) 1
}

@test "while it runs, no secret is on its command line or in its environment" {
	start_script slow port -e 'AUTH PLAIN' "dot=gate $PWD/gate,250 2.0.0 ok"
	accounts "$(relay main "$port" "$(login)")"
	add
	start_server run mailq-run
	wait_for file_has slow.log '> DATA'
	pid=$(server_pid run)
	run grep -aF "$DOVECOT_PASSWORD" "/proc/$pid/cmdline" "/proc/$pid/environ"
	assert_status 1
	touch gate
	wait_gone "$pid"
	assert_equal "$(cat run.log)" 'sent 1, deferred 0, failed 0'
}

@test "an authority that we do not know: refused" {
	accounts "{ id = \"main\"; host = \"localhost\"; port = $STARTTLS; ca_file = \"$CERTS/other-ca.pem\"; $(login) }" \
		"{ id = \"system\"; host = \"localhost\"; port = $SMTPS; use_tls = true; $(login) }"
	add --account main --id M
	add --account system --id S
	run_mailq
	waits main M tls certificate
	waits system S tls certificate
}

@test "a certificate for another host: refused, unless it is told not to look" {
	accounts "$(server main "$STRANGER" "$(login)")"
	add --id M --subject stranger
	run_mailq
	waits main M tls 'certificate|host'
	accounts "$(server main "$STRANGER" "tls_verify = false; $(login)")"
	run_mailq --now
	sent_as stranger 'using TLS'
}

@test "a directory of authorities" {
	mkdir authorities
	cp "$CERTS/ca.pem" authorities
	openssl rehash authorities
	accounts "{ id = \"main\"; host = \"localhost\"; port = $STARTTLS; ca_dir = \"$PWD/authorities\"; $(login) }"
	add --subject directory
	run_mailq
	sent_as directory 'using TLS'
}

@test "starttls = required: nothing is said to a server without it" {
	start_script plain port -e 'AUTH PLAIN LOGIN'
	accounts "$(relay main "$port" "starttls = \"required\"; $(login)")"
	add --id M
	run_mailq
	waits main M tls 'STARTTLS'
	run said plain
	[[ ! $output =~ (AUTH|MAIL) ]]
}

@test "starttls = try uses it where it is offered, and goes without where not" {
	accounts "$(server with "$STARTTLS" "starttls = \"try\"; $(login)")" \
		"$(server without "$PLAIN" "starttls = \"try\"; $(login)")"
	add --account with --subject try-with
	add --account without --subject try-without
	run_mailq
	summary 'sent 2, deferred 0, failed 0'
	assert_match "$(received try-with)" 'using TLS'
	assert_match "$(received try-without)" 'with ESMTPA '
}

@test "starttls = try does not go on in clear after a handshake that failed" {
	accounts "{ id = \"main\"; host = \"localhost\"; port = $STARTTLS; ca_file = \"$CERTS/other-ca.pem\"; starttls = \"try\"; $(login) }"
	add --id M
	run_mailq
	waits main M tls certificate
}

@test "starttls = never: not even where it is offered; a server that demands it is a fault" {
	accounts "$(server main "$STARTTLS" 'starttls = "never";')"
	add --id M
	run_mailq
	waits main M . '530 5\.7\.0'
	cat "$CERTS/server.pem" "$CERTS/server.key" >both.pem
	start_script offers port -t both.pem
	accounts "$(relay main "$port" 'starttls = "never";')"
	run_mailq --now
	summary 'sent 1, deferred 0, failed 0'
	assert_equal "$(saw offers '> STARTTLS')" 0
}

@test "what a server said before TLS is forgotten; what is injected behind STARTTLS is not obeyed" {
	cat "$CERTS/server.pem" "$CERTS/server.key" >both.pem
	start_script inject port -t both.pem 'starttls=220 go ahead|250-injected|250 AUTH PLAIN'
	accounts "$(server main "$port" "starttls = \"required\"; $(login)")"
	add --id M
	run_mailq
	assert_equal "$(state M)" waiting
	run said inject
	[[ ! $output =~ (AUTH|MAIL) ]]
}

@test "a client's certificate" {
	accounts "$(server main "$CLIENT_CERT" "starttls = \"required\"; client_cert = \"$CERTS/client.pem\"; client_key = \"$CERTS/client.key\";")"
	add --subject client-certificate
	run_mailq
	sent_as client-certificate 'Client CN "mailq client", Issuer "Test Authority" \(verified OK\)'
	accounts "$(server bare "$CLIENT_CERT" 'starttls = "required";')"
	add --account bare --id B
	run_mailq
	assert_equal "$(state B)" waiting
	assert_equal "$(attempts B)" 0
	resting bare
}

@test "AUTH that is not offered is a fault: no message goes without the login" {
	start_script none port
	accounts "$(relay main "$port" "$(login)")"
	add --id M
	run_mailq
	waits main M auth AUTH
	assert_equal "$(saw none '> MAIL')" 0
}

@test "credentials would cross a network in clear: a fault of the configuration" {
	for tls in 'starttls = "never";' 'starttls = "try";' 'use_tls = false; starttls = "never";'; do
		accounts "{ id = \"main\"; host = \"smtp.example.com\"; port = 25; $tls $(login) }"
		run -78 --separate-stderr mailq-run
		assert_match "$stderr" 'mailq.conf:[0-9]+: .*allow_plaintext_auth'
	done
}
