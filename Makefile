# SPDX-License-Identifier: GPL-2.0-only
#
# make run    replay a real kernel's trace          make test   all tests
# make check-upstream PERCPU_C=path/to/mm/percpu.c
#             the same, held against the kernel's own file of 2009
# make coverage  branches of csrc/ not taken        make mutate    changes not noticed
# make sanitize  all tests under sanitizers         make fuzz      FUZZ_SECONDS=60
# make instructions  counts those of fixed workloads anew, for make test to compare
# make bench  the port beside the 2009 file (PERCPU_C=...), malloc and others
# make lint   format, types, strict C               make dist   sdist and wheel
# make lib    the C library alone; make install PREFIX=/usr/local, make uninstall
# make amalgamation  the same as two files: build/amalgamation/percpu.c and .h
# make pictures  those of README.md and docs/, from the samples (with chromium)
# make check-embedding  examples/ against an installed library, percpu.c by itself
#                                                   V=1 shows the commands

PYTHON ?= python3
VENV ?= .venv
BUILD ?= build
Q := $(if $(V),,@)
TRACE ?= samples/netns_churn.ftrace.xz
OPERATIONS ?= 1000000

BIN := $(VENV)/bin
CSRC := $(sort $(wildcard csrc/*.c csrc/*/*.c))
HEADERS := $(sort $(wildcard csrc/*.h csrc/*/*.h))
PACKAGING := pyproject.toml setup.py build_ffi.py tools/amalgamate.py percpu_ffi/embed/builder.py

STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
	-Wwrite-strings -Wundef
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: run test check-c check-python check-upstream coverage mutate bench lint strict layers dist \
	pictures clean
.DELETE_ON_ERROR:

run: $(VENV)/.cli
	@$(BIN)/percpu-ffi replay $(TRACE)

test: check-c check-lib check-amalgamation check-fuzz check-instructions check-python

check-python: $(VENV)/.test
	$(BIN)/python -m pytest

# OPERATIONS=10000000 for the long campaign; with RESUME=folder it can be stopped
check-upstream: $(VENV)/.test
	@test -n '$(PERCPU_C)' || { echo 'name the file: make check-upstream' \
		'PERCPU_C=path/to/mm/percpu.c' >&2; exit 1; }
	PERCPU_C='$(PERCPU_C)' $(BIN)/python -m pytest -q tests/upstream
	$(BIN)/python tests/upstream/check.py '$(PERCPU_C)' --operations $(OPERATIONS) \
		$(if $(RESUME),--resume $(RESUME))

# BENCH="churn --repeat 5" for some of it, BENCH="--json all.json" to keep the figures
bench: $(VENV)/.test
	PERCPU_C='$(PERCPU_C)' $(BIN)/percpu-ffi bench $(BENCH)

pictures: $(VENV)/.test
	tools/need.sh program chromium
	$(BIN)/python tools/pictures.py docs/pictures

lint: $(VENV)/.lint strict layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# each C file by itself
STRICT_OBJECTS := $(CSRC:%.c=$(BUILD)/strict/%.o)

strict: $(STRICT_OBJECTS)

layers: $(STRICT_OBJECTS) csrc/layers.txt
	@$(PYTHON) tools/check_layers.py $(BUILD)/strict

$(STRICT_OBJECTS): $(BUILD)/strict/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@echo '  CC $< (strict)'
	$(Q)$(CC) $(STRICT) -O3 -pthread -c $< -o $@

# --- the virtual environment, with the package and what a target needs beside it

$(BIN)/python:
	tools/need.sh python $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.cli $(VENV)/.test $(VENV)/.lint: $(VENV)/.%: $(BIN)/python $(CSRC) $(HEADERS) $(PACKAGING)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

# --- C tests: each test_*.c is a program, under sanitizers

C_TESTS := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/c/test_*.c)))
SANITIZED := $(CSRC:%.c=$(BUILD)/sanitized/%.o)

$(SANITIZED): $(BUILD)/sanitized/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@echo '  CC $< (sanitized)'
	$(Q)$(CC) $(STRICT) -O1 -g $(SANITIZE) -pthread -c $< -o $@

$(BUILD)/sanitized.a: $(SANITIZED)
	$(Q)$(AR) rcs $@ $^

# calls to the host that tests/c/host_faults.h answers
HOST_CALLS := malloc calloc realloc mmap munmap mprotect madvise
%/test_host: WRAP := $(HOST_CALLS:%=-Wl,--wrap=%)
%/test_this_cpu: WRAP := -Wl,--wrap=sched_getcpu

$(C_TESTS): $(BUILD)/tests/%: tests/c/%.c $(wildcard tests/c/*.h) $(BUILD)/sanitized.a
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -O1 -g $(SANITIZE) -pthread -I csrc \
		$< $(BUILD)/sanitized.a $(WRAP) -o $@

check-c: $(C_TESTS)
	@for test in $(C_TESTS); do said=$$($$test) || exit 1; echo "$$test: $$said"; done

include tests/fuzz/fuzz.mk
include csrc/lib.mk
include tests/sanitize.mk
include tests/instructions/instructions.mk

# --- what the C tests see: branches that they take, mutants that they kill

COVERED := $(CSRC:%.c=$(BUILD)/coverage/%.o)
COVERING := $(C_TESTS:$(BUILD)/%=$(BUILD)/coverage/%)
COVERING_O := $(patsubst %.c,$(BUILD)/coverage/%.o,$(wildcard tests/c/test_*.c))

$(BUILD)/coverage/%.o: %.c $(HEADERS) $(wildcard tests/c/*.h)
	@mkdir -p $(@D)
	@echo '  CC $< (coverage)'
	$(Q)$(CC) -std=c11 -O0 --coverage -pthread -I csrc -c $< -o $@

$(COVERING): $(BUILD)/coverage/tests/%: $(BUILD)/coverage/tests/c/%.o $(COVERED)
	@echo '  LD $@'
	$(Q)$(CC) --coverage -pthread $^ $(WRAP) -o $@

coverage: $(COVERING)
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@for test in $^; do $$test >/dev/null || exit 1; done
	@$(PYTHON) tools/coverage.py $(COVERED) $(COVERING_O)

mutate:
	@$(PYTHON) tools/mutate.py $(MUTATE)

# --- packages

dist: $(VENV)/.dist
	rm -rf dist
	$(BIN)/python -m build

$(VENV)/.dist: $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	touch $@

clean:
	rm -rf $(BUILD) dist *.egg-info percpu_ffi/*.so percpu_ffi/_core.c \
		percpu_ffi/embed/percpu.[ch] percpu_ffi/embed/*.so.*
