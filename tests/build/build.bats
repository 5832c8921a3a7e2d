# runs long: the tree is built several times.
#
# From a copy of the source, as from a fresh clone: building, configuring elsewhere, installing.

load ../helpers/common

setup_file() {
	export A=$BATS_FILE_TMPDIR/a B=$BATS_FILE_TMPDIR/some/where/else/b
	mkdir -p "$A" "$B"
	# What a clone would hold: no build, nothing that configure made.
	tar -C "$MAILQ_TOP" -c --exclude=./.git --exclude=./build --exclude=./build-sanitize \
		--exclude=./config.mk --exclude=./config.status --exclude=./config.log \
		--exclude=./configure --exclude=./autom4te.cache . | tar -C "$A" -x
	make -C "$A" -j2 WERROR=1 >"$BATS_FILE_TMPDIR/a.log" 2>&1
	export A_STATUS=$?
}
setup() { common_setup; }
teardown() { common_teardown; }

needed() { # PROGRAM: the libraries it loads
	readelf -d "$A/build/bin/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

@test "make alone configures and builds a fresh clone, without a warning" {
	[ "$A_STATUS" -eq 0 ] || fail "$(tail -n 40 "$BATS_FILE_TMPDIR/a.log")"
	for main in "$MAILQ_TOP"/cmd/mailq-*.c; do
		[ -x "$A/build/bin/$(basename "$main" .c)" ]
	done
}

@test "a second make has nothing to do" {
	run make -C "$A" --no-print-directory WERROR=1
	assert_status 0
	assert_equal "$output" ''
}

@test "in another directory, make install alone builds first, and the bits are the same" {
	cd "$B"
	../../../../a/configure -q
	run make -j2 install DESTDIR="$BATS_TEST_TMPDIR/dest"
	assert_status 0
	for program in "$A"/build/bin/*; do
		name=$(basename "$program")
		cmp "$program" "build/bin/$name"
		cmp "$program" "$BATS_TEST_TMPDIR/dest/usr/local/bin/$name"
	done
	cmp "$A/build/libmailq.a" build/libmailq.a
	[ ! -e "$B/lib" ]
}

@test "make install puts each thing in its place, and uninstall takes it away again" {
	mkdir -p "$A/build/share/mailq/redoc"
	echo x >"$A/build/share/mailq/redoc/redoc.standalone.js"
	make -C "$A" WERROR=1 install DESTDIR="$PWD/dest"
	for program in "$A"/build/bin/*; do
		name=$(basename "$program")
		[ -x "dest/usr/local/bin/$name" ]
		ls dest/usr/local/share/man/man[18]/"$name".[18]
		[ -s "dest/usr/local/share/bash-completion/completions/$name" ]
		[ -s "dest/usr/local/share/zsh/site-functions/_$name" ]
		[ -s "dest/usr/local/share/fish/vendor_completions.d/$name.fish" ]
	done
	[ -s dest/usr/local/share/doc/mailq/mailq.cron ]
	[ -s dest/usr/local/share/mailq/openapi.json ]
	[ -s dest/usr/local/share/mailq/redoc/redoc.standalone.js ]
	rm -r "$A/build/share/mailq/redoc"
	[ ! -e dest/usr/local/bin/mailq ]
	[ ! -e dest/usr/local/sbin/sendmail ]
	run grep -rnE '@(bindir|sysconfdir|spooldir|docdir|datadir|VERSION)@' dest
	assert_status 1
	make -C "$A" WERROR=1 install-sendmail DESTDIR="$PWD/dest"
	[ "$(readlink -f dest/usr/local/sbin/sendmail)" = "$PWD/dest/usr/local/bin/mailq-add" ]
	rm dest/usr/local/sbin/sendmail
	make -C "$A" WERROR=1 uninstall DESTDIR="$PWD/dest"
	run find dest ! -type d
	assert_equal "$output" ''
}

@test "another prefix is built in, also where objects were built for the first" {
	object=$PWD/out/$(cd "$A" && grep -l SYSCONFDIR lib/*/*.c | head -n 1 | sed 's/c$/o/')
	make -C "$A" out="$PWD/out" "$object"
	grep -q /usr/local/etc "$object"
	make -C "$A" out="$PWD/out" prefix=/opt/elsewhere "$object"
	grep -q /opt/elsewhere/etc "$object"
}

@test "clang builds it without a warning" {
	run make -C "$A" -j2 CC=clang WERROR=1 out="$PWD/clang" test-programs
	assert_status 0
}

@test "mailq-add and mailq-status load neither curl nor microhttpd nor magic nor idn2" {
	for program in mailq-add mailq-status; do
		run needed "$program"
		assert_match "$output" 'libc\.so'
		[[ ! $output =~ curl|microhttpd|magic|idn2|ssl|crypto ]] || fail "$program loads $output"
	done
	run needed mailq-run
	assert_match "$output" 'libcurl'
	[[ ! $output =~ microhttpd|magic|idn2 ]]
}

@test "programs are position-independent, with read-only relocations and no writable code" {
	for program in "$A"/build/bin/*; do
		readelf -h "$program" | grep -q 'Type:.*DYN'
		readelf -lW "$program" | grep -q GNU_RELRO
		readelf -dW "$program" | grep -q NOW
		readelf -lW "$program" | grep GNU_STACK | grep -qv E
	done
}

@test "no program says where or when it was built" {
	for program in "$A"/build/bin/*; do
		run grep -c "$BATS_FILE_TMPDIR" "$program"
		assert_equal "$output" 0
	done
}

@test "a library that is missing is named, with what helps" {
	mkdir lacking
	cd lacking
	run "$A/configure" ac_cv_header_libconfig_h=no ac_cv_lib_config_config_read_string=no
	[ "$status" -ne 0 ]
	assert_match "$output" 'not found: libconfig\.h libconfig \("make deps"'
}

@test "make deps is silent where all is there, and names the line to run where it cannot" {
	# What comes from npm was fetched for these tests, where it could be.
	mkdir -p "$A/build/share/mailq"
	cp -r "$MAILQ_BUILD"/share/mailq/*/ "$A/build/share/mailq/" || :
	cp -r "$MAILQ_BUILD/linters" "$A/build/" || :
	run make -C "$A" --no-print-directory deps deps-test deps-bench
	assert_status 0
	assert_equal "$(grep -vE '^(docs|linters): npm is not installed' <<<"$output")" ''
	# A machine on which nothing is installed, and a user who may not install.
	mkdir bin
	printf '#!/bin/sh\necho "installed make"\n' >bin/dpkg-query
	printf '#!/bin/sh\necho 1000\n' >bin/id
	printf '#!/bin/sh\nexit 1\n' >bin/sudo
	chmod +x bin/*
	PATH=$PWD/bin:$PATH run "$A/scripts/deps" build
	assert_status 1
	assert_match "$output" 'as root, run: apt-get install .* autoconf gcc .*libcurl4-openssl-dev .*libmicrohttpd-dev( |$)'
	[[ ! $output =~ ' make ' ]]
}
