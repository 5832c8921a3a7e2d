# A Postfix of the test's own: its configuration, queue and log below a directory that is made here,
# on free ports of 127.0.0.1, relaying all it takes to another server.  It logs in nobody by itself:
# its AUTH is Dovecot's (see dovecot.bash), whose socket it expects in its queue.
#
#	POSTFIX_DIR=$(service_directory)
#	postfix_setup $POSTFIX_DIR CERTIFICATES RELAY_PORT
#	postfix_listen $POSTFIX_DIR PORT [-o SETTING=VALUE]...		as often as wanted
#	start_server postfix $(postfix_command $POSTFIX_DIR)
#
# Only root can start a Postfix.

# A directory that the servers' users can reach (bats' own are their owner's alone).
service_directory() {
	local dir

	dir=$(mktemp -d /tmp/mailq-service.XXXXXX) && chmod 711 "$dir" && echo "$dir"
}

postfix_setup() { # DIR CERTIFICATES RELAY_PORT
	local dir=$1 certificates=$2 name

	mkdir -p "$dir/etc" "$dir/data" "$dir/queue"
	for name in active bounce corrupt defer deferred flush hold incoming private saved trace; do
		install -d -o postfix -m 700 "$dir/queue/$name"
	done
	install -d -o postfix -g postdrop -m 730 "$dir/queue/maildrop"
	install -d -o postfix -g postdrop -m 710 "$dir/queue/public"
	install -d -m 755 "$dir/queue/pid"
	chown postfix "$dir/data"
	cat >"$dir/etc/main.cf" <<-EOT
		compatibility_level = 3.6
		queue_directory = $dir/queue
		data_directory = $dir/data
		daemon_directory = $(postconf -d -h daemon_directory)
		command_directory = $(postconf -d -h command_directory)
		maillog_file_prefixes = /tmp
		maillog_file = $dir/maillog
		mail_owner = postfix
		setgid_group = postdrop
		myhostname = postfix.example
		mydestination =
		alias_maps =
		alias_database =
		local_transport = error:no local mail
		inet_interfaces = 127.0.0.1
		inet_protocols = ipv4
		mynetworks =
		relayhost = [127.0.0.1]:$3
		smtp_tls_security_level = none
		smtp_discard_ehlo_keywords = chunking
		smtpd_relay_restrictions = permit_sasl_authenticated, permit_tls_all_clientcerts, reject
		smtpd_peername_lookup = no
		smtpd_client_connection_count_limit = 0
		smtpd_tls_cert_file = $certificates/server.pem
		smtpd_tls_key_file = $certificates/server.key
		smtpd_tls_CAfile = $certificates/ca.pem
		smtpd_tls_received_header = yes
		smtpd_tls_loglevel = 1
		smtpd_sasl_authenticated_header = yes
		smtpd_sasl_type = dovecot
		smtpd_sasl_path = private/auth
		smtpd_sasl_security_options = noanonymous
		smtputf8_enable = yes
		message_size_limit = 33554432
	EOT
	cat >"$dir/etc/master.cf" <<-EOT
		pickup     unix       n - n 60 1 pickup
		cleanup    unix       n - n -  0 cleanup
		qmgr       unix       n - n 300 1 qmgr
		tlsmgr     unix       - - n 1000? 1 tlsmgr
		rewrite    unix       - - n -  - trivial-rewrite
		bounce     unix       - - n -  0 bounce
		defer      unix       - - n -  0 bounce
		trace      unix       - - n -  0 bounce
		verify     unix       - - n -  1 verify
		flush      unix       n - n 1000? 0 flush
		proxymap   unix       - - n -  - proxymap
		smtp       unix       - - n -  - smtp
		relay      unix       - - n -  - smtp
		showq      unix       n - n -  - showq
		error      unix       - - n -  - error
		retry      unix       - - n -  - error
		anvil      unix       - - n -  1 anvil
		scache     unix       - - n -  1 scache
		postlog    unix-dgram n - n -  1 postlogd
	EOT
}

postfix_listen() { # DIR PORT [-o SETTING=VALUE]...
	local dir=$1 port=$2

	shift 2
	echo "127.0.0.1:$port inet n - n - - smtpd $*" >>"$dir/etc/master.cf"
}

postfix_command() { # DIR
	echo "$(postconf -d -h daemon_directory)/master" -c "$1/etc"
}
