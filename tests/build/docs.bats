# --help, man page and completions say the same of every program, and the pages are well-formed.

load ../helpers/common
setup() { common_setup; }
teardown() { common_teardown; }

programs() {
	local main

	for main in "$MAILQ_TOP"/cmd/mailq-*.c; do
		basename "$main" .c
	done
}

page() { # PROGRAM
	ls "$MAILQ_TOP"/man/"$1".[18]
}

# Each long option, or letter where there is only that, one a line.
help_options() { # PROGRAM
	"$1" --help | sed -nE 's/^  (-[A-Za-z0-9], |    )(--[a-z0-9-]+).*/\2/p; s/^  (-[A-Za-z0-9])( [^-].*|$)/\1/p' | sort -u
}
help_letters() { # PROGRAM
	"$1" --help | sed -nE 's/^  -([A-Za-z0-9])\b.*/\1/p' | sort -u
}
help_commands() { # PROGRAM
	"$1" --help | awk '/^[A-Za-z].*:$/ { on = /^Commands:$/ } on && /^  [a-z]/ { print $1 }' | sort -u
}

# The long options in the tags of the page's lists: ".It Fl s Ar dir , Fl -spool Ar dir".
page_tags() { # PROGRAM
	sed -nE '/^\.It Fl/p' "$(page "$1")" | tr ' ' '\n' | sed -nE 's/^-[a-z]/-&/p' | sort -u
}
# All that look like options in the page as it is read.
page_options() { # PROGRAM
	mandoc -T ascii "$(page "$1")" | sed "s|.$(printf "\\b")||g" | grep -oE '(^|[^A-Za-z0-9-])--?[A-Za-z0-9][A-Za-z0-9-]*' |
		sed -E 's/^[^-]//' | sort -u
}
page_commands() { # PROGRAM
	awk '/^\.Sh/ { on = /COMMANDS/ } on && /^\.It (Cm|Ic) / { print $3 }' "$(page "$1")" | sort -u
}

@test "each program has a page, help and a version" {
	for program in $(programs); do
		page "$program"
		run -0 --separate-stderr "$program" --help
		assert_equal "$stderr" ''
		assert_match "${lines[0]}" "^[Uu]sage: $program"
		run -0 --separate-stderr "$program" --version
		assert_equal "$stderr" ''
		assert_match "$output" "^$program .*$(sed -n 's/^AC_INIT(\[mailq\], \[\(.*\)\])/\1/p' "$MAILQ_TOP/configure.ac")"
	done
}

@test "misuse is one line, a hint and 64" {
	for program in $(programs); do
		run -64 --separate-stderr "$program" --no-such-option
		assert_equal "$output" ''
		assert_match "$stderr" "$program: .*no-such-option"
		assert_match "$stderr" "Try .*$program --help"
	done
}

@test "each option of the help is in the page" {
	for program in $(programs); do
		run comm -23 <(help_options "$program" | grep '^--') <(page_options "$program")
		assert_equal "$output" '' "$program: options that its page lacks"
		run comm -23 <(help_letters "$program") <(page_options "$program" | sed -nE 's/^-([^-]).*/\1/p' | sort -u)
		assert_equal "$output" '' "$program: letters that its page lacks"
	done
}

@test "each option that a page lists is in the help" {
	for program in $(programs); do
		run comm -13 <(help_options "$program") <(page_tags "$program")
		assert_equal "$output" '' "$program: options that its --help lacks"
		[ "$(page_tags "$program" | wc -l)" -gt 5 ]
	done
}

@test "the commands of help and page are the same" {
	for program in $(programs); do
		diff -u --label "$program --help" --label "$(page "$program")" \
			<(help_commands "$program") <(page_commands "$program")
	done
}

@test "the completions of all shells offer the options of the help" {
	for program in $(programs); do
		completions=$MAILQ_BUILD/completions
		help_options "$program" >want
		grep -q . want
		diff -u want <(sed -nE "s/.*compgen -W '(-[^']*)'.*/\1/p" "$completions/$program.bash" | tr ' ' '\n' | sort -u)
		grep '^--' want | diff -u - <(grep -oE "^	'\*--[a-z0-9-]+" "$completions/_$program" | cut -c4- | sort -u)
		grep '^--' want | diff -u - <(grep -oE ' -l [a-z0-9-]+' "$completions/$program.fish" | sed 's/ -l /--/' | sort -u)
		diff -u <(help_commands "$program") \
			<(sed -nE 's/.*__fish_use_subcommand -a ([a-z-]+) .*/\1/p' "$completions/$program.fish" | sort -u)
	done
}

@test "the shells accept the completions" {
	for program in $(programs); do
		bash -n "$MAILQ_BUILD/completions/$program.bash"
		zsh -n "$MAILQ_BUILD/completions/_$program"
		fish -n "$MAILQ_BUILD/completions/$program.fish"
	done
}

@test "bash completes an option, a command and a directory" {
	mkdir here-is-one
	source "$MAILQ_BUILD/completions/mailq-status.bash"
	COMP_WORDS=(mailq-status --spo) COMP_CWORD=1
	_mailq_status
	assert_equal "${COMPREPLY[*]}" --spool
	COMP_WORDS=(mailq-status rele) COMP_CWORD=1
	_mailq_status
	assert_equal "${COMPREPLY[*]}" release
	COMP_WORDS=(mailq-status --spool here) COMP_CWORD=2
	_mailq_status
	assert_equal "${COMPREPLY[*]}" here-is-one
}

@test "fish completes a command" {
	run fish -c "source '$MAILQ_BUILD/completions/mailq-status.fish'; complete -C 'mailq-status rele'"
	assert_match "$output" '^release'
}

@test "the pages are well-formed" {
	for page in mailq.7 mailq.conf.5 mailq-spool.5; do
		[ -s "$MAILQ_TOP/man/$page" ]
	done
	run mandoc -T lint -W warning "$MAILQ_TOP"/man/*.[1-8]
	assert_equal "$output" ''
	assert_status 0
}

@test "mailq-serve(1) lists each route with its scope, and no other" {
	"$MAILQ_BUILD/tests/tools/routes" | awk '{ print $1, $2, $4 }' | sort >want
	[ "$(wc -l <want)" -gt 50 ]
	sed -nE 's/^\.It Li ([A-Z]+) Ta Pa ([^ ]+) Ta ([a-z]+) Ta .+/\1 \2 \3/p' "$(page mailq-serve)" | sort >got
	diff -u want got
}

@test "a page that another or a unit refers to is there" {
	for reference in $({
		sed -nE 's/^\.Xr (mailq[a-z.-]*) ([0-9]).*/\1.\2/p' "$MAILQ_TOP"/man/*.[1-8]
		grep -ohE 'man:mailq[a-z-]*\([0-9]\)' "$MAILQ_TOP"/systemd/* | sed -E 's/man:(.*)\((.)\)/\1.\2/'
	} | sort -u); do
		# Programs of the command line that are still to come may be named before their page.
		case $reference in
		mailq-rules.* | mailq-serve.*) [ -e "$MAILQ_TOP/cmd/${reference%.*}.c" ] || continue ;;
		esac
		[ -e "$MAILQ_TOP/man/$reference" ] || fail "no page $reference"
	done
}

# Of the lines of .PHONY, those above the line that says what the others are for.
targets_for_people() {
	sed -n '/^# For other targets/q; s/^\.PHONY: //p' "$MAILQ_TOP/Makefile" | tr ' ' '\n' | sort
}

@test "make help names each target for people, before anything is configured, and the pages name no other" {
	mkdir fresh
	cp "$MAILQ_TOP/Makefile" fresh/
	run -0 --separate-stderr make -C fresh --no-print-directory help
	assert_equal "$stderr" ''
	assert_equal "$(ls fresh)" Makefile
	local helped=$(sed '/^$/q' <<<"$output" | awk '{ print $1 }')
	assert_equal "$(sort <<<"$helped")" "$(targets_for_people)" 'targets of make help'
	# A name, then what it does, in one column.
	assert_equal "$(grep -vE '^(  [^ ].{15} [^ ].*|With any of them:|)$' <<<"$output")" ''
	assert_equal "$(grep -ohE '(`|^    *)make [a-z][a-z-]*' "$MAILQ_TOP"/{HACKING,README}.md | sed 's/.*make //' | sort -u |
		grep -vxF "$helped")" '' 'targets that are named and are not there'
}
