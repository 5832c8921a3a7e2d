# make_certificates DIR: an authority of our own, and what it signed, all below DIR:
#
#	ca.pem			the authority
#	other-ca.pem		another one, that signed nothing here
#	server.pem server.key	for localhost, 127.0.0.1 and ::1
#	stranger.pem .key	for elsewhere.example
#	client.pem client.key	for a client, "mailq client"
make_certificates() {
	local dir=$1

	mkdir -p "$dir"
	(
		cd "$dir" || exit 1
		set -e
		authority ca 'Test Authority'
		authority other-ca 'Another Authority'
		signed server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
		signed stranger elsewhere.example 'subjectAltName=DNS:elsewhere.example'
		signed client 'mailq client' 'extendedKeyUsage=clientAuth'
	) >"$dir/openssl.log" 2>&1 || { cat "$dir/openssl.log" >&2; return 1; }
}

authority() { # NAME SUBJECT
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj "/CN=$2" -keyout "$1.key" -out "$1.pem"
}

signed() { # NAME SUBJECT EXTENSION
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
		-keyout "$1.key" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
		-extfile <(echo "$3") -out "$1.pem"
}
