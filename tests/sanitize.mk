# SPDX-License-Identifier: GPL-2.0-only
#
# sanitize.mk - all tests under sanitizers: the C tests as in check-c, threads under
# ThreadSanitizer, the Python tests on a sanitized extension.

SANITIZED_TREE := $(BUILD)/sanitize/tree
SANITIZED_BIN := $(abspath $(BUILD)/sanitize/venv/bin)
# files that the tests need; they are copied, so that the extension in use is not replaced
SUITE := csrc percpu_ffi tests tools samples docs examples Makefile README.md CONTRIBUTING.md SECURITY.md \
	LICENSE $(PACKAGING)

.PHONY: sanitize check-threads check-python-sanitized

## all tests under sanitizers
sanitize: check-c check-fuzz check-threads check-python-sanitized

TSAN_TESTS := $(addprefix $(BUILD)/tests/tsan_,threads counter lock)

## threads under ThreadSanitizer
check-threads: $(TSAN_TESTS)
	$(call run_each,$^)

$(TSAN_TESTS): $(BUILD)/tests/tsan_%: tests/c/test_%.c $(TEST_HEADERS) $(CSRC) $(HEADERS) \
		| have-compiler
	@mkdir -p $(@D)
	@echo '  CC $< (ThreadSanitizer)'
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -O1 -g -fsanitize=thread -pthread -I csrc \
		$< $(CSRC) -o $@

# detect_leaks=0: the interpreter does not free all its memory.
# handle_segv=0: a test makes a child process fault and checks its signal.
# libstdc++: must be loaded first, since ASan intercepts the exceptions of C++ libraries.
# PYTHONMALLOC: small buffers come from malloc() too, so that ASan knows their bounds.
## the Python tests on a sanitized extension
check-python-sanitized: $(BUILD)/sanitize/.built
	cd $(SANITIZED_TREE) && \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0:handle_segv=0:abort_on_error=1 \
		UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
		$(SANITIZED_BIN)/python -m pytest $(ON_ALL_CPUS)

$(BUILD)/sanitize/venv/.made: FORCE
	@tools/environment.sh $(@D) '$(PYTHON)' $(SANITIZED_TREE)

$(BUILD)/sanitize/.built: $(BUILD)/sanitize/venv/.made $(CSRC) $(HEADERS) $(PACKAGING) $(wildcard percpu_ffi/*.py \
		percpu_ffi/*/*.py tests/*.py docs/*.md) README.md CONTRIBUTING.md
	@rm -rf $(SANITIZED_TREE)
	@mkdir -p $(SANITIZED_TREE)
	tar cf - --exclude='*.so*' --exclude=_core.c --exclude=__pycache__ $(SUITE) | \
		tar xf - -C $(SANITIZED_TREE)
	cd $(SANITIZED_TREE) && CC="$(CC)" CFLAGS="-g $(SANITIZE)" LDFLAGS="$(SANITIZE)" \
		$(SANITIZED_BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[test]'
	touch $@
