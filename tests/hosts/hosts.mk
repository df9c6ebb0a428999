# SPDX-License-Identifier: GPL-2.0-only
#
# hosts.mk - the C tests and the fuzzers' inputs, compiled for other hosts than this
# one: another C library, another processor, another order of bytes.

HOSTS := musl aarch64 s390x
HOST ?= $(HOSTS)

CC_musl := musl-gcc
CC_aarch64 := aarch64-linux-gnu-gcc
QEMU_aarch64 := qemu-aarch64-static
CC_s390x := s390x-linux-gnu-gcc
QEMU_s390x := qemu-s390x-static

# QEMU keeps a record of each page, also of those that an allocator only reserves: 16 GiB
# are enough.  It reports each fault that a test expects.
RUN = $(QEMU_$*:%=QEMU_LD_PREFIX=/usr/$*-linux-gnu QEMU_RESERVED_VA=0x400000000 %)

.PHONY: check-hosts $(HOSTS:%=check-host-%)

## the C tests for other hosts, by cross compilers and QEMU, in a few minutes; HOST=musl,
## aarch64 or s390x (big-endian) for one
check-hosts: $(HOST:%=check-host-%)

# without sanitizers, which these compilers lack or which QEMU cannot run
$(HOSTS:%=check-host-%): check-host-%:
	@tools/need.sh program $(CC_$*) $(QEMU_$*)
	@$(MAKE) --no-print-directory check-c check-fuzz BUILD=$(BUILD)/hosts/$* CC=$(CC_$*) \
		RUN='$(RUN)' SANITIZE=
