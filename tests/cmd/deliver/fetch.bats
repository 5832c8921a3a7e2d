# runs long: servers that are slow or fail.
#
# Attachments that are fetched at the first attempt: from URLs and from S3.

load ../../helpers/common
setup() {
	common_setup
	for name in ${!AWS_*}; do
		unset "$name"
	done
}
teardown() { common_teardown; }

# start_web [OPTION...]: tests/helpers/http_play.py, at $web; what it is asked stands in web.log.
start_web() {
	start_server web /usr/bin/python3 "$MAILQ_TOP/tests/helpers/http_play.py" --stay "$@"
	wait_for grep -q '^port ' web.log
	web=http://127.0.0.1:$(sed -n 's/^port //p' web.log)
}
# settings [LINE...]: mailq.conf, with attachments as the lines say.
settings() {
	printf 'attachments: { allow = [ "127.0.0.1" ]; %s };\n' "$*" >mailq.conf
	export MAILQ_CONFIG=$PWD/mailq.conf
}
# add ID ATTACHMENT...: each a JSON object.
add() {
	local id=$1 IFS=,
	shift
	printf '{"id":"%s","from":"a@example.com","to":"b@example.com","subject":"s","body":"b","attachments":[%s]}\n' \
		"$id" "$*" | mailq-add --json >/dev/null
}
url() { # PATH [MEMBER...]: an attachment
	local path=$1 IFS=,
	shift
	printf '{"url":"%s%s"%s}' "$web" "$path" "${1:+,$*}"
}
state() {
	mailq-status show --json "$1" | value state
}
is_state() {
	[ "$(state "$1")" = "$2" ]
}
why() { # ID: the last reason of its history
	mailq-status log --json "$1" | tail -n 1 >last.json
	json_look -p r 'r.get("reason")' last.json
}
# attached: "NAME TYPE SHA256" of each attachment of the one message that was captured.
attached() {
	/usr/bin/python3 - "$MAILQ_SPOOL"/captured/new/* <<-'EOF'
	import email, email.policy, hashlib, sys
	message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
	for part in message.iter_attachments():
	    content = part.get_payload(decode=True)
	    print(part.get_filename(), part.get_content_type(), hashlib.sha256(content).hexdigest()[:16])
	EOF
}
sum_of() { # SIZE [KEY]: the same of what the server gives
	/usr/bin/python3 -c '
import hashlib, sys
size, key = int(sys.argv[1]), sys.argv[2]
block = (f"{key}:{size}:" * 4096)[:65536].encode()
print(hashlib.sha256((block * (size // len(block) + 1))[:size]).hexdigest()[:16])' "$1" "${2:-}"
}
asked() { # EXPRESSION: how often
	grep -cE -- "$1" web.log || :
}

@test "content, name and type arrive" {
	start_web
	settings
	add one "$(url '/file/300000/a%20b.pdf?x=1')" "$(url '/file/50/none?name=%C3%BC.csv')" \
		"$(url '/file/9/x?type=image/png')" "$(url '/file/20000/y.pdf?chunked' '"filename":"ours.txt"')" \
		"$(url '/file/70/')"
	run mailq-run
	assert_equal "$output" 'sent 1, deferred 0, failed 0'
	run attached
	assert_equal "${lines[0]}" "a b.pdf application/pdf $(sum_of 300000)"
	assert_equal "${lines[1]}" "ü.csv text/csv $(sum_of 50)"
	assert_equal "${lines[2]}" "x image/png $(sum_of 9)"
	assert_equal "${lines[3]}" "ours.txt text/plain $(sum_of 20000)"
	assert_match "${lines[4]}" "^attachment .* $(sum_of 70)"
	mailq-status check
}

@test "what can never be had fails the message, and says why" {
	start_web
	settings 'max_size = "10 KiB";'
	local IFS=' ' case id
	for case in 404 410 403 401 400 302; do
		add "s$case" "$(url "/status/$case?secret" '"filename":"a.pdf"')"
	done
	add large "$(url /file/20000)"
	add lies "$(url '/file/20000?chunked')"
	add loop "$(url /loop)"
	add garbage "$(url /garbage)"
	add file "$(url '/to/302?url=file:///etc/passwd')"
	add empty "$(url /file/0)"
	mailq-run
	for id in s404 s410 s403 s401 s400 s302 large lies loop garbage file empty; do
		assert_equal "$(state $id)" failed "$id"
	done
	assert_equal "$(why s404)" "attachment a.pdf: $web/status/404: 404 Not Found"
	assert_match "$(why large)" "^attachment $web/file/20000: too large: expected at most 10"
	assert_match "$(why lies)" 'too large'
	assert_match "$(why loop)" 'redirected more than 5 times'
	assert_match "$(why garbage)" 'not HTTP'
	assert_match "$(why file)" 'expected http or https'
	assert_match "$(why empty)" 'empty'
	assert_equal "$(mailq-status log --json s404 | grep -o '"class":"[a-z]*"')" '"class":"attachment"'
	[ -z "$(ls "$MAILQ_SPOOL/captured/new" 2>/dev/null)" ]
	mailq-status check
}

@test "a name that does not exist fails it" {
	settings
	web=http://nowhere.invalid
	add gone "$(url /x)"
	mailq-run
	# Without a name server nobody can say so.
	if [[ $(why gone) == *'cannot be looked up'* ]]; then
		assert_equal "$(state gone)" deferred
		skip 'there is no name server'
	fi
	assert_equal "$(state gone)" failed
	assert_match "$(why gone)" 'there is no host nowhere.invalid'
}

@test "what may be had later defers it, and what came is kept" {
	start_web
	settings 'fetch_timeout = "1s"; cache_size = "0";'
	add busy "$(url '/file/20000?type=application/pdf')" "$(url '/status/503?retry=7200' '"filename":"b.pdf"')"
	add limited "$(url /status/429)"
	add silent "$(url /silent)"
	add slow "$(url '/drip?wait=0.05')"
	add cut "$(url /claims/20000/10)"
	add nobody '{"url":"http://127.0.0.1:1/"}'
	run mailq-run
	assert_equal "$output" 'sent 0, deferred 6, failed 0'
	assert_match "$(why busy)" "^attachment b.pdf: $web/status/503: 503 Service Unavailable"
	assert_match "$(why limited)" '429 Too Many Requests'
	assert_match "$(why silent)" 'no answer within 1s'
	assert_match "$(why slow)" 'timed out after 1s'
	assert_match "$(why cut)" 'cut off'
	assert_match "$(why nobody)" '127.0.0.1:1'
	# As the server asked; the others as the account's retries say.
	assert_match "$(mailq-status list | grep busy)" 'in (2h|1h 59m)'
	assert_match "$(mailq-status list | grep limited)" 'in (1m|5[0-9]s)'
	mailq-run --id busy
	assert_equal "$(asked 'GET /file/20000')" 1
	assert_equal "$(asked 'GET /status/503')" 2
	mailq-status check
}

@test "send_without leaves it out, and says so" {
	start_web
	settings 'on_error = "send_without";'
	add one "$(url '/file/3000/a.txt')" "$(url /status/404 '"filename":"gone.pdf"')"
	add later "$(url /status/500)"
	run mailq-run
	assert_match "$output" 'one: sent without attachment gone.pdf: .*404 Not Found'
	assert_match "$output" 'sent 1, deferred 1, failed 0'
	assert_equal "$(why one)" 'sent without attachment gone.pdf'
	assert_equal "$(attached)" "a.txt text/plain $(sum_of 3000)"
}

@test "one fetch serves many messages, and others do not wait for a slow one" {
	start_web
	settings 'fetch_timeout = "60s";'
	/usr/bin/python3 - "$(url '/file/40000/a.pdf?wait=0.5')" <<-'EOF' >many.json
	import sys
	for i in range(300):
	    print('{"id":"m%d","from":"a@example.com","to":"b@example.com","subject":"s","body":"b","attachments":[%s]}'
	        % (i, sys.argv[1]))
	EOF
	mailq-add --json many.json >/dev/null
	add stuck "$(url /silent)"
	add plain
	mailq-run &
	run=$!
	wait_for is_state plain sent
	wait_for is_state m299 sent
	assert_equal "$(asked 'GET /file/40000')" 1
	assert_equal "$(state stuck)" claimed
	# Asked to stop, it does not wait, and the message is as it was.
	kill -TERM $run
	wait $run
	assert_equal "$(state stuck)" waiting
	mailq-status delete stuck >/dev/null
	[ "$(ls "$MAILQ_SPOOL/captured/new" | wc -l)" -eq 301 ]
	mailq-status check
}

@test "what waited for its attachment obeys the limits like all others" {
	start_web
	settings
	echo 'accounts: ( { id = "c"; transport = "capture"; limit_per_minute = 3; } );' >>mailq.conf
	for i in 1 2 3 4 5 6; do
		add "m$i" "$(url "/file/20000/a.txt?key=$i")"
	done
	run mailq-run
	assert_equal "$output" 'sent 3, deferred 0, failed 0'
	run mailq-run
	assert_equal "$(ls "$MAILQ_SPOOL/captured/new" | wc -l)" 3
	# What was fetched meanwhile is kept.
	assert_equal "$(asked 'GET /file/20000')" 6
	mailq-status check
}

@test "what is killed amid a fetch leaves nothing wrong" {
	start_web
	settings 'fetch_timeout = "60s";'
	add one "$(url /drip)"
	mailq-run &
	run=$!
	wait_for grep -q 'GET /drip' web.log
	kill -KILL $run
	wait $run || :
	assert_equal "$(state one)" claimed
	mailq-status delete one 2>/dev/null || :
	settings 'fetch_timeout = "1s";'
	mailq-run
	assert_equal "$(state one)" deferred
	mailq-status check
	[ -z "$(ls "$MAILQ_SPOOL/tmp")" ]
}

@test "addresses that are nobody else's are refused, however they are named" {
	start_web
	settings
	sed -i 's/allow = \[.*\];/allow = [ ];/' mailq.conf
	local port=${web##*:} place i=0
	for place in "127.0.0.1:$port" "localhost:$port" "[::1]:$port" "[::ffff:127.0.0.1]:$port" "0.0.0.0:$port" \
		'169.254.169.254' '10.0.0.1' '192.168.1.1' '172.16.0.1' '100.64.0.1' '[fd00::1]' '[fe80::1]' \
		'[64:ff9b::7f00:1]' '[2002:7f00:1::]' "127.1:$port" "2130706433:$port" "0x7f000001:$port"; do
		add "a$i" "{\"url\":\"http://$place/file/10\"}"
		i=$((i + 1))
	done
	mailq-run
	while [ $((i -= 1)) -ge 0 ]; do
		assert_equal "$(state a$i)" failed "a$i: $(why a$i)"
		assert_match "$(why a$i)" 'is not allowed$'
	done
	assert_equal "$(asked GET)" 0
}

@test "a redirect is asked for again, and allow opens what it names" {
	start_web
	local port=${web##*:}
	settings
	sed -i "s/allow = \[.*\];/allow = [ \"127.0.0.1:$port\" ];/" mailq.conf
	add away "$(url '/to/302?url=http://127.0.0.2:1/')"
	add home "$(url '/to/302?url=/file/10/a.txt')"
	mailq-run
	assert_match "$(why away)" 'connecting to 127.0.0.2 is not allowed'
	assert_equal "$(state home)" sent
	sed -i 's/allow = \[[^]]*\]/allow = [ "local host" ]/' mailq.conf
	run mailq-run
	assert_status 78
	assert_match "$output" 'mailq.conf:1: attachments.allow: expected a host such as'
}

md5_of() { # SIZE: of what the server gives
	/usr/bin/python3 -c '
import hashlib, sys
size = int(sys.argv[1])
print(hashlib.md5(((f":{size}:" * 4096)[:65536])[:size].encode()).hexdigest())' "$1"
}

@test "what came before is asked for again by its tag, and found by its MD5" {
	start_web
	settings
	add one "$(url '/file/5000/a.txt?etag=v1')"
	mailq-run -q
	add two "$(url '/file/5000/a.txt?etag=v1')"
	mailq-run -q
	assert_equal "$(asked 'GET /file/5000')" 2
	assert_equal "$(ls "$MAILQ_SPOOL"/captured/new | wc -l)" 2
	for mail in "$MAILQ_SPOOL"/captured/new/*; do
		grep -c 'filename=.*a.txt' "$mail"
	done
	rm "$MAILQ_SPOOL"/captured/new/*
	add three "$(url '/file/5000/a.txt?etag=v1' "\"filename\":\"report_{MD5:$(md5_of 5000)}.csv\"")"
	mailq-run -q
	assert_equal "$(asked 'GET /file/5000')" 2
	assert_equal "$(attached)" "report.csv text/csv $(sum_of 5000)"
	mailq-status check
	# What it says is not what is there any more: a damaged content is fetched again.
	add four "$(url '/file/5000/a.txt?etag=v1')"
	blob=$(ls -d "$MAILQ_SPOOL"/blobs/*)
	cp "$blob" copy
	printf x | dd of="$blob" conv=notrunc bs=1 seek=100 2>/dev/null
	rm "$MAILQ_SPOOL"/captured/new/*
	mailq-run -q
	assert_equal "$(attached)" "a.txt text/plain $(sum_of 5000)"
}

@test "an MD5 gives nobody what came from another source" {
	start_web
	settings
	sum=$(md5_of 5000)
	# Once with a tag and once without: both are kept.
	add one "$(url '/file/5000/secret.txt?etag=v1')"
	add two "$(url /file/5000/no-tag.txt)"
	mailq-run -q
	asked_before=$(asked GET)
	rm "$MAILQ_SPOOL"/captured/new/*
	# By the field and by the name, of a place that has something else, that has nothing, that is not allowed.
	add other "$(url /file/70/b.txt "\"content_md5\":\"$sum\"")"
	add nothing "$(url /status/404 "\"filename\":\"report_{MD5:$sum}.csv\"")"
	add refused '{"url":"http://10.0.0.1/never","content_md5":"'"${sum^^}"'"}'
	add query "$(url '/status/404?etag=v1' "\"content_md5\":\"$sum\"")"
	mailq-run -q
	assert_equal "$(state nothing) $(state refused) $(state query)" 'failed failed failed'
	assert_match "$(why refused)" 'is not allowed$'
	assert_equal "$(attached)" "b.txt text/plain $(sum_of 70)"
	assert_equal "$(($(asked GET) - asked_before))" 3
	# The same source is not asked again, tag or not.
	rm "$MAILQ_SPOOL"/captured/new/*
	add same "$(url /file/5000/no-tag.txt "\"content_md5\":\"$sum\"")"
	mailq-run -q
	assert_equal "$(attached)" "no-tag.txt text/plain $(sum_of 5000)"
	assert_equal "$(($(asked GET) - asked_before))" 3
	# Another MD5 than that of what is there: the source is asked.
	rm "$MAILQ_SPOOL"/captured/new/*
	add newer "$(url /file/5000/no-tag.txt "\"content_md5\":\"$(md5_of 70)\"")"
	mailq-run -q
	assert_equal "$(($(asked GET) - asked_before))" 4
}

@test "what was fetched from a place that is closed now is not handed out" {
	start_web
	settings
	add one "$(url /file/5000/a.txt)"
	mailq-run -q
	printf 'attachments: { allow = [ ]; };\n' >mailq.conf
	add two "$(url /file/5000/a.txt "\"content_md5\":\"$(md5_of 5000)\"")"
	mailq-run -q
	assert_equal "$(state two)" failed
	assert_match "$(why two)" 'is not allowed$'
}

@test "names by MD5 that an older version made are never read, and removed" {
	start_web
	settings
	add one "$(url '/file/5000/a.txt?etag=v1')"
	mailq-run -q
	sum=$(md5_of 5000)
	mv "$MAILQ_SPOOL"/fetched/*.source "$MAILQ_SPOOL/fetched/$sum.md5"
	add two "$(url /status/404 "\"content_md5\":\"$sum\"")"
	mailq-run -q
	assert_equal "$(state two)" failed
	touch -d '2 hours ago' "$MAILQ_SPOOL/fetched/$sum.md5"
	rm "$MAILQ_SPOOL/fetched/.tidied"
	mailq-run -q
	assert_equal "$(ls "$MAILQ_SPOOL/fetched" "$MAILQ_SPOOL/blobs" | grep -c ^..)" 2
	mailq-status check
}

@test "what is not used any more is forgotten" {
	start_web
	settings 'cache_size = "20 KiB";'
	add one "$(url '/file/10000/a?etag=1')"
	mailq-run -q
	add two "$(url '/file/11000/b?etag=1')"
	rm "$MAILQ_SPOOL/fetched/.tidied"
	mailq-run -q
	add three "$(url '/file/30000/c?etag=1')"
	rm "$MAILQ_SPOOL/fetched/.tidied"
	mailq-run -q
	# The oldest went; what is larger than all was never kept.
	assert_equal "$(ls "$MAILQ_SPOOL/blobs" | wc -l)" 1
	assert_equal "$(ls "$MAILQ_SPOOL/fetched" | grep -c source)" 1
	settings 'cache_age = "0";'
	rm "$MAILQ_SPOOL/fetched/.tidied"
	find "$MAILQ_SPOOL/fetched" -type f -exec touch -d '1 hour ago' {} +
	rm -f "$MAILQ_SPOOL/fetched/.tidied"
	mailq-run -q
	assert_equal "$(ls "$MAILQ_SPOOL/blobs" "$MAILQ_SPOOL/fetched" | grep -c ^..)" 2
	mailq-status check
}

@test "200 MB in constant memory" {
	start_web
	settings 'max_size = "300 MiB"; max_total = "300 MiB"; cache_size = "0";'
	add big "$(url '/file/209715200/big.bin')"
	/usr/bin/python3 - <<-'EOF'
	import os, resource, subprocess
	subprocess.run(["mailq-run", "-q"], check=True)
	peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
	assert peak < 32 * 1024, f"{peak} KiB"
	EOF
	assert_match "$(attached)" "^big.bin .* $(sum_of 209715200)"
}

# ---- S3 ------------------------------------------------------------------------------------------

# start_s3 [OPTION...]: a server with the buckets "invoices" and "dots.in.it", and what checks signatures before it.
start_s3() {
	local s3rver=$MAILQ_BUILD/linters/node_modules/.bin/s3rver key up

	[ -x "$s3rver" ] || skip "s3rver is not installed: make deps-test installs it with npm"
	free_port up
	start_server s3rver "$s3rver" -d "$PWD/s3" -a 127.0.0.1 -p "$up" --configure-bucket invoices \
		--configure-bucket dots.in.it --no-vhost-buckets
	wait_port s3rver "$up"
	for key in 'a.pdf' 'sub/b c+d&e=f%41.pdf' 'ünï/ŝ~(1).csv'; do
		/usr/bin/python3 - "$up" "$key" <<-'EOF'
		import sys, urllib.parse, urllib.request
		for bucket in "invoices", "dots.in.it":
		    url = f"http://127.0.0.1:{sys.argv[1]}/{bucket}/{urllib.parse.quote(sys.argv[2])}"
		    request = urllib.request.Request(url, (f"content of {sys.argv[2]} " * 1000).encode(), method="PUT")
		    urllib.request.urlopen(request).read()
		EOF
	done
	start_server s3 /usr/bin/python3 "$MAILQ_TOP/tests/helpers/s3_front.py" --upstream "127.0.0.1:$up" \
		--key AKIDTEST --secret 'sec/ret+key' "$@"
	wait_for grep -q '^port ' s3.log
	s3=$(sed -n 's/^port //p' s3.log)
}
s3() { # KEY [BUCKET]
	printf '{"s3":{"bucket":"%s","key":"%s"}}' "${2:-invoices}" "$1"
}
sum_of_key() {
	/usr/bin/python3 -c '
import hashlib, sys
print(hashlib.sha256((f"content of {sys.argv[1]} " * 1000).encode()).hexdigest()[:16])' "$1"
}

@test "S3: the checker agrees with the published examples" {
	assert_equal "$(/usr/bin/python3 "$MAILQ_TOP/tests/helpers/s3_front.py" --examples)" ok
}

@test "S3: objects are fetched with good signatures" {
	start_s3
	settings "s3: { endpoint = \"http://127.0.0.1:$s3\"; access_key = \"AKIDTEST\"; secret_key = \"sec/ret+key\"; };"
	sed -i 's/allow = \[.*\]; s3/allow = [ ]; s3/' mailq.conf
	add one "$(s3 a.pdf)" "$(s3 'sub/b c+d&e=f%41.pdf')" "$(s3 'ünï/ŝ~(1).csv')" "$(s3 a.pdf dots.in.it)"
	run mailq-run
	assert_equal "$output" 'sent 1, deferred 0, failed 0' "$(cat s3.log; mailq-status log)"
	run attached
	assert_match "${lines[0]}" "^a.pdf .* $(sum_of_key a.pdf)"
	assert_match "${lines[1]}" "^b c\+d&e=f%41.pdf .* $(sum_of_key 'sub/b c+d&e=f%41.pdf')"
	assert_match "${lines[2]}" "^ŝ~\(1\).csv .* $(sum_of_key 'ünï/ŝ~(1).csv')"
	assert_match "${lines[3]}" "^a.pdf .* $(sum_of_key a.pdf)"
	# Once more, by its tag.
	add two "$(s3 a.pdf)"
	mailq-run -q
	assert_equal "$(state two)" sent
	assert_match "$(tail -n 1 s3.log)" '^304 GET /invoices/a.pdf host;if-none-match;x-amz-content-sha256;x-amz-date'
}

@test "S3: a session token is signed; all by the environment" {
	start_s3 --token 'FwoGZXIvYXdz//EXAMPLE==' --region eu-central-1
	settings
	export AWS_ACCESS_KEY_ID=AKIDTEST AWS_SECRET_ACCESS_KEY=sec/ret+key AWS_REGION=eu-central-1
	export AWS_SESSION_TOKEN=FwoGZXIvYXdz//EXAMPLE== AWS_ENDPOINT_URL=http://127.0.0.1:$s3
	add one "$(s3 a.pdf)"
	run mailq-run
	assert_equal "$output" 'sent 1, deferred 0, failed 0' "$(cat s3.log; mailq-status log)"
	assert_match "$(tail -n 1 s3.log)" ' host;x-amz-content-sha256;x-amz-date;x-amz-security-token$'
}

@test "S3: the bucket in the host's name, and the secret in a file" {
	start_s3 --host-style localhost
	printf 'sec/ret+key\n' >secret
	settings "s3: { endpoint = \"http://localhost:$s3/\"; access_key = \"AKIDTEST\"; path_style = false; secret_key_file = \"$PWD/secret\"; };"
	sed -i 's/allow = \[.*\]; s3/allow = [ ]; s3/' mailq.conf
	add one "$(s3 a.pdf)"
	run mailq-run
	assert_equal "$output" 'sent 1, deferred 0, failed 0' "$(cat s3.log; mailq-status log)"
	assert_match "$(tail -n 1 s3.log)" '^200 GET /a.pdf '
}

@test "S3: its errors by their names" {
	start_s3
	settings "s3: { endpoint = \"http://127.0.0.1:$s3\"; access_key = \"AKIDTEST\"; secret_key = \"sec/ret+key\"; };"
	add gone "$(s3 nothing.pdf)"
	add bucket "$(s3 a.pdf nobucket)"
	add denied "$(s3 fault/403/AccessDenied)"
	add busy "$(s3 fault/503/SlowDown)"
	add clock "$(s3 fault/403/RequestTimeTooSkewed)"
	mailq-run -q
	assert_equal "$(state gone)" failed
	assert_equal "$(why gone)" 'attachment s3:invoices/nothing.pdf: 404 NoSuchKey'
	assert_equal "$(why bucket)" 'attachment s3:nobucket/a.pdf: 404 NoSuchBucket'
	assert_equal "$(state denied)" failed
	assert_equal "$(why denied)" 'attachment s3:invoices/fault/403/AccessDenied: 403 AccessDenied'
	assert_equal "$(state busy)" deferred
	assert_equal "$(state clock)" deferred
	# A wrong secret is no fault of the message.
	sed -i 's/sec.ret/another/' mailq.conf
	add wrong "$(s3 a.pdf)"
	mailq-run -q
	assert_equal "$(state wrong)" deferred
	assert_match "$(why wrong)" '403 SignatureDoesNotMatch'
	! grep -rq 'sec/ret\|another' "$MAILQ_SPOOL"
}
