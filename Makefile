# "make help" lists what there is: it is read from the lines with two number signs.

srcdir = .

## V=1: shows the commands
## WERROR=1: makes warnings errors
## SANITIZE=1: builds in build-sanitize, with the address and undefined-behaviour sanitizers
## CC=clang: another compiler; CFLAGS=...: other flags

# These need no configuration: a fresh clone may ask for them before anything is installed.
unconfigured = help deps deps-test deps-bench deps-fuzz deps-docs check check-quick fuzz demo start stop bench \
	clean distclean
ifneq ($(filter-out $(unconfigured),$(or $(MAKECMDGOALS),all))$(wildcard config.mk),)
include config.mk
endif

out := $(if $(SANITIZE),build-sanitize,build)

std_flags = -std=c11 -D_GNU_SOURCE -I$(srcdir)/lib -I$(srcdir)
warnings = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2 $(if $(WERROR),-Werror)
# The same bits from every directory.
reproducible = -ffile-prefix-map=$(CURDIR)=. $(if $(filter-out .,$(srcdir)),-ffile-prefix-map=$(srcdir)=.) \
	-gno-record-gcc-switches
optimised = $(filter -O1 -O2 -O3 -Os,$(CFLAGS))
hardening = -fPIE -fstack-protector-strong $(if $(optimised),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
sanitizers = -fsanitize=address,undefined$(if $(FUZZ),$(comma)fuzzer-no-link) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
comma = ,
paths = -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(sysconfdir)"' -DSPOOLDIR='"$(spooldir)"' \
	-DBINDIR='"$(bindir)"' -DDATADIR='"$(datadir)"'

compile = $(CC) $(std_flags) $(paths) $(CPPFLAGS) $(warnings) $(reproducible) \
	-ffunction-sections -fdata-sections $(if $(SANITIZE),$(sanitizers),$(hardening)) $(CFLAGS)
link = $(CC) $(if $(SANITIZE),$(sanitizers) $(CFLAGS),$(CFLAGS) -pie -Wl,-z,relro,-z,now) \
	-Wl,--as-needed,--gc-sections $(LDFLAGS)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) '$(@:$(out)/%=%)';)
banned = -include $(srcdir)/lib/base/banned.h

# ---- what is there -----------------------------------------------------------------------------

find = $(sort $(patsubst $(srcdir)/%,%,$(wildcard $(addprefix $(srcdir)/,$(1)))))

mains := $(call find,cmd/mailq-*.c)
library := $(call find,lib/*/*.c spool/*/*.c cmd/*/*.c)
# As the rooms that they test: tests/lib/base, tests/cmd/add.
units := $(call find,tests/*/*/test_*.c)
tools := $(call find,tests/tools/*.c bench/*.c)
fuzzers := $(call find,tests/fuzz/*.c)
preloads := $(call find,tests/preload/*.c)

archive := $(out)/libmailq.a
programs := $(mains:cmd/%.c=$(out)/bin/%)
unit_programs := $(units:%.c=$(out)/%)
tool_programs := $(tools:%.c=$(out)/%)
fuzz_programs := $(fuzzers:%.c=$(out)/%)
preload_objects := $(preloads:%.c=$(out)/%.so)
objects := $(patsubst %.c,$(out)/%.o,$(mains) $(library) $(units) $(tools) $(fuzzers))
names := $(notdir $(programs))
completions := $(foreach n,$(names),$(out)/completions/$(n).bash $(out)/completions/_$(n) \
	$(out)/completions/$(n).fish)

# What mailq-serve finds beside itself: share/mailq next to the programs' folder.
shared := $(out)/share/mailq
pages_of = $(wildcard $(shared)/swagger-ui/* $(shared)/redoc/*)

.PHONY: help all check check-quick check-layers check-headers check-format format fuzz demo start stop bench
.PHONY: deps deps-test deps-bench deps-fuzz deps-docs install install-sendmail uninstall clean distclean
# For other targets and for programs:
.PHONY: programs completions test-programs bench-programs fuzz-programs check-built
.PHONY: install-programs install-man install-completions install-systemd install-share FORCE
.DELETE_ON_ERROR:
.SUFFIXES:

all: programs completions $(shared)/openapi.json ## the programs, in build/bin; "make" alone does the same
programs: $(archive) $(programs)
completions: $(completions)
test-programs: all $(unit_programs) $(filter $(out)/tests/%,$(tool_programs)) $(fuzz_programs) $(preload_objects)
bench-programs: all $(filter $(out)/bench/%,$(tool_programs))
fuzz-programs: $(fuzz_programs)

help: ## what there is to make
	@awk 'match($$0, /^[a-z-]+:.* ## /) { \
			printf "  %-16s %s\n", substr($$0, 1, index($$0, ":") - 1), substr($$0, RLENGTH + 1) \
		} \
		/^## / { variables = variables sprintf("  %-16s %s\n", substr($$0, 4, index($$0, ": ") - 4), \
			substr($$0, index($$0, ": ") + 2)) } \
		END { printf "\nWith any of them:\n%s", variables }' $(srcdir)/Makefile

# ---- configuring itself ------------------------------------------------------------------------

$(srcdir)/configure: $(srcdir)/configure.ac
	@command -v autoconf >/dev/null || { \
		echo 'autoconf is not installed: run "make deps" first' >&2; exit 1; }
	cd $(srcdir) && autoconf

config.mk: $(srcdir)/configure $(srcdir)/config.mk.in
	@if test -x config.status; then \
		echo './config.status --recheck'; \
		./config.status -q --recheck && ./config.status -q; \
	else \
		echo '$(srcdir)/configure'; \
		$(srcdir)/configure -q; \
	fi
	@touch $@

# ---- compiling ---------------------------------------------------------------------------------

# Objects depend on how they are compiled: another prefix or flag builds them again.
$(out)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(compile) | $(link) | $(LIBS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(patsubst %.c,$(out)/%.o,$(mains) $(library)): private compile += $(banned)
$(patsubst %.c,$(out)/%.o,$(mains) $(library)): $(srcdir)/lib/base/banned.h
$(units:%.c=$(out)/%.o): private compile += -I$(srcdir)/tests/helpers
$(patsubst %.c,$(out)/%.o,$(filter spool/% cmd/%,$(mains) $(library))): private compile += -DBANNED_IN_SPOOL

$(objects): $(out)/%.o: $(srcdir)/%.c $(out)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(compile) -MMD -MP -c -o $@ $(srcdir)/$*.c

# Made anew each time, so that it never keeps an object whose source is gone.  Appended to (q), as files of
# several rooms have the same name.
$(archive): $(library:%.c=$(out)/%.o) $(out)/library
	@rm -f $@
	$(call say,AR)$(AR) qcsD $@ $(filter %.o,$^)

$(out)/library: FORCE
	@mkdir -p $(@D)
	@echo '$(library)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(programs): $(out)/bin/%: $(out)/cmd/%.o $(archive)
	@mkdir -p $(@D)
	$(call say,LD)$(link) -o $@ $< $(archive) $(LIBS)

# With libFuzzer; without it, fuzz.h brings a main() of its own.
ifdef FUZZ
$(fuzzers:%.c=$(out)/%.o): private compile += -DFUZZ_ENGINE
$(fuzz_programs): private link += -fsanitize=fuzzer
endif

$(unit_programs) $(tool_programs) $(fuzz_programs): $(out)/%: $(out)/%.o $(archive)
	$(call say,LD)$(link) -o $@ $< $(archive) $(LIBS)

$(preload_objects): $(out)/%.so: $(srcdir)/%.c $(out)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(std_flags) $(warnings) $(CFLAGS) -MMD -MP -fPIC -shared -o $@ $<

# The completions say what --help says.
$(completions): $(srcdir)/completions/generate
$(out)/completions/%.bash: $(out)/bin/%
	@mkdir -p $(@D)
	$(call say,GEN)$(srcdir)/completions/generate bash $< >$@
$(out)/completions/_%: $(out)/bin/%
	@mkdir -p $(@D)
	$(call say,GEN)$(srcdir)/completions/generate zsh $< >$@
$(out)/completions/%.fish: $(out)/bin/%
	@mkdir -p $(@D)
	$(call say,GEN)$(srcdir)/completions/generate fish $< >$@

$(shared)/openapi.json: $(srcdir)/share/openapi.json config.mk
	@mkdir -p $(@D)
	$(call say,GEN)sed 's|@VERSION@|$(VERSION)|g' $< >$@

-include $(objects:.o=.d) $(preload_objects:.so=.d)

# ---- needs -------------------------------------------------------------------------------------

deps: deps-docs ## installs from Debian what building needs
	@$(srcdir)/scripts/deps build
deps-test: deps-docs ## what the tests need, too
	@$(srcdir)/scripts/deps build test
	@$(srcdir)/scripts/linters $(out)/linters
deps-bench: ## what the benchmarks need
	@$(srcdir)/scripts/deps build bench

deps-fuzz: ## what fuzzing needs
	@$(srcdir)/scripts/deps build fuzz
deps-docs: ## fetches what /docs and /redoc are drawn with, as deps does
	@$(srcdir)/scripts/docs $(shared)

# ---- checking ----------------------------------------------------------------------------------

check: deps-test ## tests everything; TESTS="add test_fs ..." runs a choice
	@$(MAKE) --no-print-directory check-built
check-quick: deps-test ## all but the tests that run long: for every change
	@$(MAKE) --no-print-directory check-built TESTS=--quick
check-built: test-programs
	@MAILQ_BUILD=$(CURDIR)/$(out) CC='$(CC)' $(srcdir)/tests/run $(TESTS)
check-layers: ## who may include whom
	@$(srcdir)/tests/checks/layers
check-headers: ## each header compiles alone
	@$(srcdir)/tests/checks/headers

sources = $(addprefix $(srcdir)/,$(call find,lib/*/*.[ch] spool/*/*.[ch] cmd/*.c cmd/*/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch] bench/*.[ch]))
check-format: ## the format is that of clang-format
	@clang-format --dry-run --Werror $(sources)
format: ## formats all sources
	@clang-format -i $(sources)

fuzz: deps-fuzz ## feeds damaged input to the parsers, TIME seconds (10) each; ONLY="json zone": some of them
	@$(MAKE) --no-print-directory SANITIZE=1 FUZZ=1 CC=clang out=build/fuzz fuzz-programs
	@$(srcdir)/scripts/fuzz build/fuzz '$(or $(TIME),10)' $(ONLY)

demo: deps ## a tour, in a spool of its own
	@$(MAKE) --no-print-directory all
	@PATH="$(CURDIR)/$(out)/bin:$$PATH" $(srcdir)/scripts/demo
start: deps ## the API and delivery in the background, on a spool in .mailq
	@$(MAKE) --no-print-directory all
	@PATH="$(CURDIR)/$(out)/bin:$$PATH" $(srcdir)/scripts/service start .mailq
stop: ## ends what start began
	@$(srcdir)/scripts/service stop .mailq
bench: deps-bench ## the figures, side by side with others
	@$(MAKE) --no-print-directory bench-programs
	@MAILQ_BUILD=$(CURDIR)/$(out) $(srcdir)/bench/run

# ---- installing --------------------------------------------------------------------------------

unitdir = $(prefix)/lib/systemd/system
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
bashcompdir = $(datarootdir)/bash-completion/completions
zshcompdir = $(datarootdir)/zsh/site-functions
fishcompdir = $(datarootdir)/fish/vendor_completions.d

pages := $(call find,man/*.[1-8])
# A program that is not built yet brings no unit: mailq-run.* and mailq-serve.* follow theirs.
unit_files := $(foreach n,$(names),$(call find,systemd/$(n).*.in))
substitute = sed -e 's|@bindir@|$(bindir)|g' -e 's|@sysconfdir@|$(sysconfdir)|g' \
	-e 's|@spooldir@|$(spooldir)|g' -e 's|@docdir@|$(docdir)|g' \
	-e 's|@datadir@|$(datadir)|g' -e 's|@VERSION@|$(VERSION)|g'
# $(call put,FILE,DIRECTORY,NAME): FILE with its paths filled in.
put = install -d '$(DESTDIR)$(2)' && $(substitute) $(srcdir)/$(1) >'$(DESTDIR)$(2)/$(3)' && \
	chmod 644 '$(DESTDIR)$(2)/$(3)'

install: install-programs install-man install-completions install-systemd install-share ## the programs, pages, units and completions; prefix=... DESTDIR=...
install-programs: $(archive) $(programs)
	install -d '$(DESTDIR)$(bindir)'
	install $(programs) '$(DESTDIR)$(bindir)'
install-man:
	@$(foreach p,$(pages),$(call put,$(p),$(mandir)/man$(subst .,,$(suffix $(p))),$(notdir $(p))) &&) :
install-completions: $(completions)
	install -d '$(DESTDIR)$(bashcompdir)' '$(DESTDIR)$(zshcompdir)' '$(DESTDIR)$(fishcompdir)'
	$(foreach n,$(names),install -m 644 $(out)/completions/$(n).bash '$(DESTDIR)$(bashcompdir)/$(n)' &&) :
	$(foreach n,$(names),install -m 644 $(out)/completions/_$(n) '$(DESTDIR)$(zshcompdir)' &&) :
	$(foreach n,$(names),install -m 644 $(out)/completions/$(n).fish '$(DESTDIR)$(fishcompdir)' &&) :
# The description of the API, and what its pages are drawn with where that was fetched.
install-share: $(shared)/openapi.json
	install -d '$(DESTDIR)$(datadir)/mailq'
	install -m 644 $(shared)/openapi.json '$(DESTDIR)$(datadir)/mailq'
	$(foreach p,$(pages_of),install -D -m 644 $(p) '$(DESTDIR)$(datadir)/mailq/$(p:$(shared)/%=%)' &&) :
install-systemd:
	@$(foreach u,$(unit_files),$(call put,$(u),$(unitdir),$(notdir $(u:.in=))) &&) :
	@$(call put,systemd/mailq.sysusers.in,$(sysusersdir),mailq.conf)
	@$(call put,systemd/mailq.tmpfiles.in,$(tmpfilesdir),mailq.conf)
	@$(call put,systemd/mailq.cron.in,$(docdir),mailq.cron)

# Only where it is asked for: the name belongs to the machine's MTA.
install-sendmail: install-programs ## the name sendmail, for mailq-add
	install -d '$(DESTDIR)$(sbindir)'
	ln -sfr '$(DESTDIR)$(bindir)/mailq-add' '$(DESTDIR)$(sbindir)/sendmail'

# Takes away what install put there, and nothing else: no configuration and no spool.
uninstall: ## takes away what install put there
	$(foreach n,$(names),rm -f '$(DESTDIR)$(bindir)/$(n)' '$(DESTDIR)$(bashcompdir)/$(n)' \
		'$(DESTDIR)$(zshcompdir)/_$(n)' '$(DESTDIR)$(fishcompdir)/$(n).fish' &&) :
	$(foreach p,$(pages),rm -f '$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(p)))/$(notdir $(p))' &&) :
	$(foreach u,$(unit_files),rm -f '$(DESTDIR)$(unitdir)/$(notdir $(u:.in=))' &&) :
	rm -f '$(DESTDIR)$(datadir)/mailq/openapi.json'
	rm -rf '$(DESTDIR)$(datadir)/mailq/swagger-ui' '$(DESTDIR)$(datadir)/mailq/redoc'
	rmdir '$(DESTDIR)$(datadir)/mailq' 2>/dev/null || :
	rm -f '$(DESTDIR)$(sysusersdir)/mailq.conf' '$(DESTDIR)$(tmpfilesdir)/mailq.conf' \
		'$(DESTDIR)$(docdir)/mailq.cron'

clean: ## takes away what was built
	rm -rf build build-sanitize
distclean: clean ## and what configure made
	rm -rf config.mk config.log config.status autom4te.cache configure
