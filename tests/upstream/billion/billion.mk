# SPDX-License-Identifier: GPL-2.0-only
#
# billion.mk - port and 2009 file in one process, compared for a billion operations.
#
# The port is linked as `make strict` compiles it, with -O3 as in the extension.  The
# witness becomes one object whose only symbols are those of its interface, since
# the port has functions of the same names.

BILLION := $(BUILD)/billion/billion
BILLION_WITNESS_C := billion/witness_side.c fakes.c faults.c rbtree.c
BILLION_C := $(filter-out %/witness_side.c,$(sort $(wildcard tests/upstream/billion/*.c)))
BILLION_H := $(sort $(wildcard tests/upstream/*.h tests/upstream/include/*/*.h \
	tests/upstream/billion/*.h))
BILLION_O := $(BILLION_C:tests/upstream/%.c=$(BUILD)/%.o)
BLOB = $(shell sed -n 's/^BLOB = "\(.*\)"/\1/p' percpu_ffi/bench/percpu_c.py)

.PHONY: billion

## a billion operations against PERCPU_C=..., in an hour or two; RESUME=FILE lets you
## interrupt them, OPERATIONS=, SEED= and JOBS= choose others
billion: $(BILLION)
	$< $(if $(filter-out file,$(origin OPERATIONS)),--operations $(OPERATIONS)) \
		$(SEED:%=--seed %) $(JOBS:%=--jobs %) $(if $(RESUME),--resume '$(RESUME)')

$(BILLION): $(BILLION_O) $(STRICT_OBJECTS) $(BUILD)/billion/witness.o
	@echo '  LD $@'
	$(Q)$(CC) -pthread $^ -o $@

$(BILLION_O): $(BUILD)/%.o: tests/upstream/%.c $(BILLION_H) $(HEADERS) | have-compiler
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) $(STRICT) -O2 -I csrc -I tests/upstream -pthread -c $< -o $@

# the kernel's build has the last two flags, and its code relies on them
$(BUILD)/billion/witness.o: $(BILLION_WITNESS_C:%=tests/upstream/%) tests/upstream/witness.c \
		$(BILLION_H) $(PERCPU_C) | have-compiler
	@test -n '$(PERCPU_C)' || { echo 'name the file: make billion' \
		'PERCPU_C=path/to/mm/percpu.c' >&2; exit 1; }
	@{ printf 'blob %s\000' $$(wc -c <'$(PERCPU_C)') && cat '$(PERCPU_C)'; } | sha1sum | \
		grep -q '^$(BLOB) ' || { echo '$(PERCPU_C) is not the 2009 file: git blob' \
		'$(BLOB) is needed' >&2; exit 1; }
	@mkdir -p $(@D)
	@echo '  CC $@'
	$(Q)for source in $(basename $(notdir $(BILLION_WITNESS_C))); do \
		$(CC) -std=gnu11 -O2 -Wall -Wextra -Wno-clobbered -fvisibility=hidden \
			-fno-strict-aliasing -fno-delete-null-pointer-checks \
			-D'WITNESS_PERCPU_C="$(abspath $(PERCPU_C))"' \
			-I tests/upstream -I tests/upstream/include \
			-c $$(ls tests/upstream/$$source.c tests/upstream/billion/$$source.c \
				2>/dev/null) -o $(@D)/$$source.part.o || exit 1; done
	$(Q)$(CC) -r -nostdlib $(@D)/*.part.o -o $@
	$(Q)objcopy --localize-hidden $@
