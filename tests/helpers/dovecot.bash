# A Dovecot of the test's own: the one user "app" with the password "$DOVECOT_PASSWORD", logging in
# by PLAIN, LOGIN, or with a token (XOAUTH2, OAUTHBEARER) that dovecot_token signs; for its own
# submission service, and for a Postfix whose queue is given.
#
#	DOVECOT_DIR=$(service_directory)
#	dovecot_setup $DOVECOT_DIR CERTIFICATES POSTFIX_QUEUE SUBMISSION_PORT RELAY_PORT
#	start_server dovecot dovecot -F -c $DOVECOT_DIR/dovecot.conf
#
# Only root can start one that has users.

DOVECOT_PASSWORD='s3cret-Pass phrase="1\'
DOVECOT_KEY=a-key-that-signs-tokens-for-the-tests

dovecot_setup() {
	local dir=$1 certificates=$2 queue=$3 port=$4 relay=$5

	install -d -m 755 "$dir/run" "$dir/keys" "$dir/keys/default" "$dir/keys/default/HS256"
	install -d -o nobody -m 700 "$dir/mail"
	printf %s "$DOVECOT_KEY" | base64 -w0 >"$dir/keys/default/HS256/default"
	# The password holds what PLAIN, LOGIN and files make trouble with, but no colon.
	printf 'app:{SHA256}%s:65534:65534::%s/mail\n' \
		"$(printf %s "$DOVECOT_PASSWORD" | openssl dgst -sha256 -binary | base64)" "$dir" \
		>"$dir/passwd"
	chmod 644 "$dir/passwd"
	cat >"$dir/oauth2.conf" <<-EOT
		introspection_mode = local
		local_validation_key_dict = fs:posix:prefix=$dir/keys/
		username_attribute = sub
	EOT
	cat >"$dir/dovecot.conf" <<-EOT
		base_dir = $dir/run
		state_dir = $dir/run
		log_path = $dir/log
		auth_verbose = yes
		protocols = submission
		listen = 127.0.0.1
		default_vsz_limit = 0
		mail_location = maildir:$dir/mail/box
		first_valid_uid = 1
		ssl = required
		ssl_cert = <$certificates/server.pem
		ssl_key = <$certificates/server.key
		auth_mechanisms = plain login xoauth2 oauthbearer
		passdb {
		  driver = oauth2
		  mechanisms = xoauth2 oauthbearer
		  args = $dir/oauth2.conf
		}
		passdb {
		  driver = passwd-file
		  mechanisms = plain login
		  args = $dir/passwd
		}
		userdb {
		  driver = passwd-file
		  args = $dir/passwd
		}
		# A wrong password is refused at once, and those after it too.
		auth_failure_delay = 0
		service anvil {
		  unix_listener anvil-auth-penalty {
		    mode = 0
		  }
		}
		service auth {
		  unix_listener $queue/private/auth {
		    mode = 0660
		    user = postfix
		    group = postfix
		  }
		}
		service submission-login {
		  inet_listener submission {
		    port = $port
		  }
		}
		submission_relay_host = 127.0.0.1
		submission_relay_port = $relay
		submission_relay_trusted = no
		hostname = dovecot.example
	EOT
}

# A bearer token of user "app", good for an hour.
dovecot_token() {
	local now head body

	now=$(date +%s)
	head=$(base64url <<<'{"alg":"HS256","typ":"JWT"}')
	body=$(printf '{"sub":"app","iat":%d,"exp":%d}' "$now" $((now + 3600)) | base64url)
	printf '%s.%s.%s' "$head" "$body" "$(printf %s "$head.$body" |
		openssl dgst -sha256 -hmac "$DOVECOT_KEY" -binary | base64url)"
}
base64url() {
	base64 -w0 | tr +/ -_ | tr -d =
}
