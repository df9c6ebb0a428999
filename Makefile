# SPDX-License-Identifier: GPL-2.0-only
#
# make help prints the lines that begin with ##: they describe the target after them.

PYTHON ?= python3
VENV ?= .venv
BUILD ?= build
Q := $(if $(V),,@)
TRACE ?= samples/netns_churn.ftrace.xz
OPERATIONS ?= 1000000
DEBIAN ?= bookworm

BIN := $(VENV)/bin
CSRC := $(sort $(wildcard csrc/*.c csrc/*/*.c))
HEADERS := $(sort $(wildcard csrc/*.h csrc/*/*.h))
PACKAGING := pyproject.toml setup.py build_ffi.py tools/amalgamate.py percpu_ffi/embed/builder.py \
	percpu_ffi/_version.py tools/index_page.py tools/reproducible.py
# completion and manual page are made from these
PACKAGING += tools/command_pages.py tools/manual-sections.txt percpu_ffi/cli/__init__.py \
	percpu_ffi/cli/arguments.py $(wildcard percpu_ffi/cli/options/*.py)

STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
	-Wwrite-strings -Wundef
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

# a worker takes over tests from slower ones; each needs a few seconds to start
ON_ALL_CPUS := -n auto --maxprocesses 8 --dist worksteal --durations 5
PYTEST := $(BIN)/python -m pytest $(ON_ALL_CPUS)

.PHONY: run help test check-quick check-c check-c-quick check-python check-upstream liars \
	bench pictures growth notebook lint strict layers coverage mutate mutate-python \
	docs dist wheels release-check check-package check-rootfs clean have-compiler have-python FORCE
.DELETE_ON_ERROR:

## build, then replay a kernel's recording; TRACE=FILE for your own
run: $(VENV)/.cli
	@$(BIN)/percpu-ffi replay $(TRACE)

## this list; with V=1 a target shows its commands
help:
	@awk '/^## / { text = text sprintf(text ? "\n%24s" : "", "") substr($$0, 4) } \
		/^[a-z-]+:/ && text { sub(/:.*/, ""); printf "%-24s%s\n", $$0, text; text = "" }' \
		$(MAKEFILE_LIST)

## all tests, C and Python, on all CPUs
test: have-compiler
	@$(PARALLEL) check-c check-lib check-amalgamation check-fuzz check-instructions $(VENV)/.test
	@$(MAKE) --no-print-directory check-python

# make, on all CPUs unless the user decided with -j
PARALLEL = $(MAKE) --no-print-directory --output-sync=target \
	$(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc))

# C programs and test files that take seconds each
LONG_C := counter threads
LONG := bench_command cli figures geometries liars lockstep make memory notebook notebook_page \
	properties replay report report_in_browser scale sizes testing threads

## a part of test, in under 30 s once it is built: the C tests without threads, and
## the fast files of the Python tests; no library checks, fuzzers or instruction counts
check-quick: check-c-quick $(VENV)/.test
	$(PYTEST) -q -r fE $(LONG:%=--ignore=tests/test_%.py)

## all tests in Python
check-python: $(VENV)/.test
	$(PYTEST)

## port and model against PERCPU_C=path/to/the/2009/percpu.c; OPERATIONS=10000000
## for the long campaign, which RESUME=FOLDER lets you interrupt
check-upstream: $(VENV)/.test
	@test -n '$(PERCPU_C)' || { echo 'name the file: make check-upstream' \
		'PERCPU_C=path/to/mm/percpu.c' >&2; exit 1; }
	PERCPU_C='$(PERCPU_C)' $(PYTEST) -q tests/upstream
	$(BIN)/python tests/upstream/check.py '$(PERCPU_C)' --operations $(OPERATIONS) \
		$(if $(RESUME),--resume $(RESUME))

## lies that the comparison of allocators has to find, as a matrix; next to the 2009 file
## with PERCPU_C
liars: $(VENV)/.test
	PERCPU_C='$(PERCPU_C)' $(BIN)/python tests/liar_matrix.py

## measure the port, the 2009 file (PERCPU_C=...), malloc and others;
## BENCH="churn --repeat 5" for a part, BENCH="--json all.json" to keep the figures
bench: $(VENV)/.test
	PERCPU_C='$(PERCPU_C)' $(BIN)/percpu-ffi bench $(BENCH)

## draw the pictures of README.md and docs/ again, with chromium
pictures: $(VENV)/.test
	tools/need.sh program chromium
	$(BIN)/python tools/pictures.py docs/pictures

## draw how cost grows with the live areas, in minutes; with PERCPU_C=... next to the 2009 file, in an hour
growth: $(VENV)/.test
	$(BIN)/python tools/growth.py docs/pictures/growth.png $(BUILD)/growth.json

## execute docs/notebook.ipynb again, and keep its outputs
notebook: $(VENV)/.test
	$(BIN)/python tools/notebook.py docs/notebook.ipynb

## format, types and imports of Python; strict and layers for C; the workflows of CI
lint: $(VENV)/.lint layers
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python tools/imports.py
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows \
		.github/workflows/*.yml

STRICT_OBJECTS := $(CSRC:%.c=$(BUILD)/strict/%.o)

## compile each C file by itself, with warnings as errors
strict: $(STRICT_OBJECTS)

## check that C files depend on files of lower layers only: csrc/layers.txt
layers: strict
	@$(PYTHON) tools/check_layers.py $(BUILD)/strict

# --- what a target needs from the machine

have-compiler:
	@tools/need.sh compiler '$(CC)'

have-python:
	@tools/need.sh python '$(PYTHON)'

# The virtual environment, and stamps for the package with the extra of that name.
# Only .made's time counts, which changes if the package has to be installed again.
$(VENV)/.made: FORCE
	@tools/environment.sh $(VENV) '$(PYTHON)'

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# pip installs no data files for --editable
$(VENV)/.cli: $(VENV)/.made $(CSRC) $(HEADERS) $(PACKAGING)
	$(PIP_INSTALL) --editable '.[cli]'
	cp -R build/share $(VENV)
	touch $@

# what the installed package lacks for an extra; it is not built again
$(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.mutation $(VENV)/.release: $(VENV)/.%: $(VENV)/.cli
	$(PIP_INSTALL) 'percpu_ffi[$*]'
	touch $@

$(VENV)/.dist: $(VENV)/.made
	$(PIP_INSTALL) build
	touch $@

$(VENV)/.wheels: $(VENV)/.made
	$(PIP_INSTALL) 'cibuildwheel>=4.3'
	touch $@

# --- C: each test_*.c is a program

TEST_HEADERS := $(wildcard tests/c/*.h)

# $(call objects,FOLDER,FLAGS,PREREQUISITES)
define objects
$(BUILD)/$(1)/%.o: %.c $$(HEADERS) $(3) | have-compiler
	@mkdir -p $$(@D)
	@echo '  CC $$< ($(1))'
	$$(Q)$$(CC) $(2) -pthread -c $$< -o $$@
endef
$(eval $(call objects,strict,$(STRICT) -O3))
$(eval $(call objects,sanitized,$(STRICT) -O1 -g $(SANITIZE)))
$(eval $(call objects,coverage,-std=c11 -O0 --coverage -I csrc,$(TEST_HEADERS)))

# $(call run_each,PROGRAMS,ARGUMENTS): each prints one line; RUN may be an emulator
run_each = @for test in $(1); do line=$$($(RUN) $$test $(2)) || exit 1; echo "$$test: $$line"; done

C_TESTS := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/c/test_*.c)))

$(BUILD)/sanitized.a: $(CSRC:%.c=$(BUILD)/sanitized/%.o)
	$(Q)$(AR) rcs $@ $^

# calls to the host that tests/c/host_faults.h replaces
HOST_CALLS := malloc calloc realloc mmap munmap mprotect madvise syscall
%/test_guard %/test_host %/test_host_calls %/test_lives %/test_reader_calls: WRAP := $(HOST_CALLS:%=-Wl,--wrap=%)
%/test_host_limit: WRAP := -Wl,--wrap=open,--wrap=read,--wrap=close,--wrap=clock_gettime
%/test_pairs: WRAP := -Wl,--wrap=aligned_alloc,--wrap=pthread_create,--wrap=sched_getaffinity
%/test_this_cpu: WRAP := -Wl,--wrap=sched_getcpu
%/test_bitmap_twins: WRAP := -Wl,--wrap=pcpu_end_walk

# the compiler is fastest without; percpu_counter.h has assembly between optimised code
OPTIMISED := -O0
%/test_counter: OPTIMISED := -O1

$(C_TESTS): $(BUILD)/tests/%: tests/c/%.c $(TEST_HEADERS) $(BUILD)/sanitized.a
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror $(OPTIMISED) -g $(SANITIZE) -pthread -I csrc \
		$< $(BUILD)/sanitized.a $(WRAP) -o $@

## the C tests, under sanitizers
check-c: $(C_TESTS)
	$(call run_each,$^)

check-c-quick: $(filter-out $(addprefix %/test_,$(LONG_C)),$(C_TESTS))
	$(call run_each,$^)

include tests/fuzz/fuzz.mk
include csrc/lib.mk
include tests/sanitize.mk
include tests/instructions/instructions.mk
include tests/upstream/billion/billion.mk
include tests/kernel/kernel.mk
include tests/hosts/hosts.mk

# --- what the C tests detect: branches that they take, mutants that they kill

COVERED := $(CSRC:%.c=$(BUILD)/coverage/%.o)
COVERING := $(C_TESTS:$(BUILD)/%=$(BUILD)/coverage/%)
COVERING_O := $(COVERING:$(BUILD)/coverage/tests/%=$(BUILD)/coverage/tests/c/%.o)

$(COVERING): $(BUILD)/coverage/tests/%: $(BUILD)/coverage/tests/c/%.o $(COVERED)
	@mkdir -p $(@D)
	@echo '  LD $@'
	$(Q)$(CC) --coverage -pthread $^ $(WRAP) -o $@

## branches of csrc/ that no C test takes
coverage: $(COVERING) | have-python
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@for test in $^; do $$test >/dev/null || exit 1; done
	@$(PYTHON) tools/coverage.py $(COVERED) $(COVERING_O)

## changes of csrc/ that no C test notices; SAMPLE=1500 SEED=7 for some of them,
## MUTATE="--file csrc/chunk.c" for a file
mutate: | have-python have-compiler
	@PYTHONPATH=tools $(PYTHON) -m mutate $(MUTATE) \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

## changes of percpu_ffi/ that no Python test notices: SAMPLE=600 of them, another sample
## with SEED=7; MUTATE="percpu_ffi/model" for a part, MUTATE=--all for all
mutate-python: $(VENV)/.mutation
	@$(BIN)/python tools/mutate_python.py $(SEED:%=--seed %) $(SAMPLE:%=--sample %) $(MUTATE)

# --- the documentation site

## the documentation site, in build/site; warnings are errors, and no network is used
docs: $(VENV)/.docs
	@rm -rf $(BUILD)/site
	@$(BIN)/python -m sphinx -q -n -W --keep-going -E -d $(BUILD)/doctrees -c docs . $(BUILD)/site
	@$(BIN)/python tools/check_site.py $(BUILD)/site

# --- packages

## sdist and wheel, in dist/
dist: $(VENV)/.dist
	rm -rf dist
	$(BIN)/python -m build

## wheels for all versions of Python and both C libraries, for this processor, in dist/; each is
## built and tested in a container: that needs docker, and hours
wheels: $(VENV)/.wheels
	$(BIN)/cibuildwheel --platform linux --output-dir dist

## what README.md says, in a new Debian: the wheel of make dist, the C library, make run;
## for root, DEBIAN=trixie for another release
check-rootfs: $(VENV)/.made
	@tools/check-rootfs.sh $(BIN)/python $(DEBIAN)

# The last commit is built again elsewhere, and compared with dist/.
CHECK_RELEASE = PYTHONPATH=tools $(BIN)/python -m release

## what has to be true before a release: packages, changelog and tag
release-check: dist $(VENV)/.release
	@$(CHECK_RELEASE)

## the part of it that needs no release: what is in the packages of make dist
check-package: $(VENV)/.release
	@$(CHECK_RELEASE) --package

## delete what was built, except for the virtual environment
clean:
	rm -rf $(BUILD) dist *.egg-info percpu_ffi/*.so percpu_ffi/_core.c \
		percpu_ffi/embed/percpu.[ch] percpu_ffi/embed/*.so.*
