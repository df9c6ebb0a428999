# SPDX-License-Identifier: GPL-2.0-only
#
# corrected.gdb - let a kernel see the space that is freed inside a page: correct the end of the
# run that pcpu_block_update(md, start, end) learns for a chunk.  $update is its address.
#
# Where start is after end, start counts from the chunk, and end from the block.  Only one call
# does so.  It is found at its first mistake, since a stop at every call takes minutes.
set pagination off
hbreak *$update if $esi > $edx
continue
set $call = *(unsigned long *)$rsp - 5
set $rdx = $edx + ($esi & ~1023)
delete
hbreak *$call
commands
	silent
	set $rdx = $edx + ($esi & ~1023)
	continue
end
continue
