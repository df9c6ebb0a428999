# SPDX-License-Identifier: GPL-2.0-only
#
# kernel.mk - real kernels as witnesses of the policy; not a part of make test.

KERNEL ?= 6.1 6.12
STEPS ?= 300
KERNEL_PROGRAMS := $(addprefix $(BUILD)/kernel/,bpf_maps hidden_space)
KERNEL_RUN = PYTHONPATH=tests $(BIN)/python -m kernel.$(1) --programs $(BUILD)/kernel \
	--steps $(STEPS) $(if $(SEED),--seed $(SEED))

.PHONY: check-kernel check-running-kernel

## record Debian kernels from their boot on, under QEMU, compare what they chose with the
## policy, and measure the hidden space, in a minute; KERNEL=6.1, STEPS=900, SEED=7, CPUS=2 or
## CPUS=1,maxcpus=16; CORRECTED=1 measures once more, with the defect corrected by gdb
check-kernel: $(VENV)/.cli $(KERNEL_PROGRAMS)
	@$(call KERNEL_RUN,boot) --cache $(BUILD)/kernel $(if $(CPUS),--cpus $(CPUS)) \
		$(if $(CORRECTED),--corrected) $(KERNEL)

## as root: the same with the kernel of this machine, while it runs
check-running-kernel: $(VENV)/.cli $(KERNEL_PROGRAMS)
	@$(call KERNEL_RUN,running) --folder $(BUILD)/kernel

# static, since the recorded kernels have no libraries
$(BUILD)/kernel/bpf_maps: tests/kernel/bpf_maps.c
$(BUILD)/kernel/hidden_space: examples/hidden_space.c
$(KERNEL_PROGRAMS): | have-compiler
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) $(STRICT) -D_GNU_SOURCE -O2 -static $< -o $@
