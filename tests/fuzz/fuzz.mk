# SPDX-License-Identifier: GPL-2.0-only
#
# fuzz.mk - the fuzzers: with libFuzzer, and with any compiler on stored inputs.
# To make a crash a regression test, move its file to tests/fuzz/corpus/.

CLANG ?= clang
FUZZ_SECONDS ?= 60

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZERS := $(FUZZ_NAMES:%=$(BUILD)/fuzz/fuzz_%)
FUZZ_TESTS := $(FUZZ_NAMES:%=$(BUILD)/tests/fuzz_%)
FUZZ_HEADERS := $(wildcard tests/fuzz/*.h) tests/c/pick.h

.PHONY: fuzz check-fuzz

## fuzz operations and traces with clang, for FUZZ_SECONDS=60 each
fuzz: $(FUZZERS)
	@tests/fuzz/run.sh $(FUZZ_SECONDS) $^

$(FUZZERS): $(BUILD)/fuzz/%: tests/fuzz/%.c $(FUZZ_HEADERS) $(CSRC) $(HEADERS)
	@tools/need.sh fuzzer '$(CLANG)'
	@mkdir -p $(@D)
	@echo '  CC $< (libFuzzer)'
	$(Q)$(CLANG) -std=c11 -Wall -Wextra -Werror -O1 -g -fsanitize=fuzzer \
		$(SANITIZE) -pthread -I csrc $< $(CSRC) -o $@

# --- without libFuzzer: random and stored inputs

# random bytes are valid operations, but rarely valid text
RANDOM_INPUTS_ops := 400
RANDOM_INPUTS_trace := 10

$(FUZZ_TESTS): $(BUILD)/tests/%: tests/fuzz/%.c tests/fuzz/run_corpus.c \
		$(FUZZ_HEADERS) $(BUILD)/sanitized.a
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -O1 -g $(SANITIZE) -pthread -I csrc \
		$< tests/fuzz/run_corpus.c $(BUILD)/sanitized.a -o $@

## run the fuzzers on stored and random inputs
check-fuzz: $(FUZZ_NAMES:%=check-fuzz-%)

.PHONY: $(FUZZ_NAMES:%=check-fuzz-%)
$(FUZZ_NAMES:%=check-fuzz-%): check-fuzz-%: $(BUILD)/tests/fuzz_%
	$(call run_each,$<,$(RANDOM_INPUTS_$*) $(sort $(wildcard tests/fuzz/corpus/$*/*)))
