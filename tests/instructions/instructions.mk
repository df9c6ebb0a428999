# SPDX-License-Identifier: GPL-2.0-only
#
# instructions.mk - count the instructions of fixed workloads with callgrind.
#
# The port is built like the extension, as one translation unit with -O3.  All flags
# are fixed, also those that distributions set, since the counts depend on them.

COUNT_FLAGS := -std=c11 -D_GNU_SOURCE=1 -O3 -fPIE -fno-stack-protector -U_FORTIFY_SOURCE -pthread
COUNTED := $(BUILD)/instructions/workloads
COUNTED_LEAN := $(BUILD)/instructions/lean/workloads
COUNTING := $(PYTHON) tests/instructions/counting.py

.PHONY: instructions check-instructions

## compare the instructions of fixed workloads with those in counts.txt
check-instructions: $(COUNTED) | have-python
	@$(COUNTING) check $<

## record these instructions anew, after a change that justifies a higher cost
instructions: $(COUNTED) $(COUNTED_LEAN) | have-python
	@$(COUNTING) record $< --without $(COUNTED_LEAN)

# the same program without the port's work counters
$(COUNTED_LEAN): LEAN := -DPCPU_NO_WORK

$(COUNTED) $(COUNTED_LEAN): $(wildcard tests/instructions/*.c) $(CSRC) $(HEADERS) | have-compiler
	@mkdir -p $(@D)
	@echo '  CC $@'
	$(Q)printf '#include "%s"\n' $(CSRC) | \
		$(CC) $(COUNT_FLAGS) $(LEAN) -I. -x c - -c -o $(@D)/port.o
	$(Q)$(CC) $(COUNT_FLAGS) -Wall -Wextra -Werror -I csrc \
		$(filter tests/%,$^) $(@D)/port.o -o $@
