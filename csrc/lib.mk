# SPDX-License-Identifier: GPL-2.0-only
#
# lib.mk - what embedders use: percpu.c and percpu.h, which hold the whole library,
# and the shared and the static library built from them.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share

VERSION := $(shell awk '/define PCPU_VERSION_(MAJOR|MINOR|PATCH)[ \t]/ \
	{ printf "%s%s", dot, $$3; dot = "." }' csrc/percpu.h)
# in 0.x another minor version may have another ABI
SONAME := libpercpu.so.$(basename $(VERSION))
SHARED := libpercpu.so.$(VERSION)

AMALGAMATION := $(BUILD)/amalgamation
# these call or replace functions that are static in percpu.c, or not in it
LIB_TESTS := $(filter-out %/test_measure %/test_library %/test_pairs %/test_host_calls %/test_host_limit \
	%/test_bitmap_twins %/test_lives %/test_columns,$(C_TESTS))

.PHONY: lib amalgamation install uninstall check-lib check-amalgamation check-embedding $(BUILD)/percpu.pc

## the C library alone, shared and static
lib: $(BUILD)/libpercpu.so $(BUILD)/libpercpu.a

# --- the library in one file, so that the compiler can inline through its layers

## the C library as two files, build/amalgamation/percpu.c and percpu.h
amalgamation: $(AMALGAMATION)/percpu.c $(AMALGAMATION)/percpu.h

$(AMALGAMATION)/percpu.c: tools/amalgamate.py $(filter-out csrc/bench/% csrc/analysis/%,$(CSRC) $(HEADERS)) | have-python
	@echo '  GEN $@'
	$(Q)$(PYTHON) tools/amalgamate.py $(@D)

$(AMALGAMATION)/percpu.h: $(AMALGAMATION)/percpu.c ;

$(BUILD)/percpu.o: $(AMALGAMATION)/percpu.c $(AMALGAMATION)/percpu.h | have-compiler
	@echo '  CC $<'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Wpedantic -O3 -fPIC \
		-fno-semantic-interposition -pthread $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/libpercpu.a: $(BUILD)/percpu.o
	@echo '  AR $@'
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/$(SHARED): $(BUILD)/percpu.o csrc/libpercpu.map
	@echo '  LD $@'
	$(Q)$(CC) -shared -pthread -Wl,-soname,$(SONAME) \
		-Wl,--version-script=csrc/libpercpu.map $(LDFLAGS) $< -o $@

$(BUILD)/libpercpu.so: $(BUILD)/$(SHARED)
	$(Q)ln -sf $(SHARED) $(BUILD)/$(SONAME)
	$(Q)ln -sf $(SONAME) $@

# --- installed; percpu.pc is always generated, since the folders may have changed

$(BUILD)/percpu.pc: csrc/percpu.pc.in
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' $< >$@

# completion and manual page of percpu-ffi, which come into VENV with it
PAGES := bash-completion/completions/percpu-ffi zsh/site-functions/_percpu-ffi \
	fish/vendor_completions.d/percpu-ffi.fish man/man1/percpu-ffi.1

## install the C library, with percpu.h and for pkg-config, below PREFIX=/usr/local; after
## make run also the completion and the manual page of percpu-ffi
install: lib $(BUILD)/percpu.pc
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)'
	install -m 644 $(AMALGAMATION)/percpu.h '$(DESTDIR)$(INCLUDEDIR)'
	install -m 644 $(BUILD)/percpu.pc '$(DESTDIR)$(LIBDIR)/pkgconfig'
	install -m 644 $(BUILD)/libpercpu.a '$(DESTDIR)$(LIBDIR)'
	install -m 755 $(BUILD)/$(SHARED) '$(DESTDIR)$(LIBDIR)'
	ln -sf $(SHARED) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libpercpu.so'
	@for page in $(wildcard $(PAGES:%=$(VENV)/share/%)); do \
		to='$(DESTDIR)$(DATADIR)'/$${page#$(VENV)/share/}; \
		install -d "$${to%/*}" && install -m 644 $$page "$$to" || exit 1; done
	@[ -e $(VENV)/share/$(lastword $(PAGES)) ] || echo 'without completion and manual page of' \
		'percpu-ffi: make run makes them, then make install again'

## delete what install installs
uninstall:
	for file in $(SHARED) $(SONAME) libpercpu.so libpercpu.a pkgconfig/percpu.pc; do \
		rm -f '$(DESTDIR)$(LIBDIR)'/$$file || exit 1; done
	rm -f '$(DESTDIR)$(INCLUDEDIR)/percpu.h' $(PAGES:%='$(DESTDIR)$(DATADIR)/%')

# --- programs of embedders, with percpu.h and one of the two libraries

## the names and the size of the C library, and programs that use it
check-lib: $(BUILD)/embedded-so $(BUILD)/embedded-a $(BUILD)/lifetimes
	@tools/check-lib.sh $(BUILD)/libpercpu.so $(BUILD)/libpercpu.a $(AMALGAMATION)/percpu.h
	@for program in $^; do $$program || { echo "$$program failed" >&2; exit 1; }; done

$(BUILD)/embedded-%: tests/c/embedder.c $(BUILD)/libpercpu.%
	@echo '  CC $@'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -fvisibility=hidden -pthread \
		-I $(AMALGAMATION) $^ -Wl,-rpath,$(abspath $(BUILD)) -o $@

$(BUILD)/lifetimes: tests/c/lifetimes.c $(BUILD)/libpercpu.a
	@echo '  CC $@'
	$(Q)$(CC) -std=c11 -O2 -Wall -Wextra -Werror -pthread -I $(AMALGAMATION) $^ -o $@

## examples/ against an installed library and the wheel of make dist; percpu.c by itself
check-embedding: lib
	$(Q)PYTHON='$(PYTHON)' BUILD='$(BUILD)' tools/check-embedding.sh

# --- the C tests on percpu.c: it is one unit with the test, which sees what is static.
# A test that replaces calls to the host is linked instead: within a unit, the
# compiler assumes what malloc() does.  check-c uses CC, so this is with another
# compiler if there is one.

AMALGAMATED := $(LIB_TESTS:$(BUILD)/tests/%=$(BUILD)/amalgamated/%)
AMALGAMATED_CC := $(if $(shell command -v $(CLANG)),$(CLANG),$(CC))

## the C tests on percpu.c, as one unit with each, with clang if it is installed
check-amalgamation: $(AMALGAMATED)
	$(call run_each,$^)

$(AMALGAMATED): $(BUILD)/amalgamated/%: tests/c/%.c $(TEST_HEADERS) $(BUILD)/percpu.o
	@mkdir -p $(@D)
	@echo '  CC $< (amalgamation)'
	$(Q)$(AMALGAMATED_CC) -std=c11 -Wall -Wextra -Werror -O0 -pthread -I csrc \
		$(if $(WRAP),$(WRAP) $(BUILD)/percpu.o,-include $(AMALGAMATION)/percpu.c) $< -o $@
