# SPDX-License-Identifier: GPL-2.0-only
"""Real kernels as witnesses of the policy: record one, and check what it chose.

``boot`` records a kernel of Debian under QEMU from its first event on, ``running`` the kernel of
this machine.  Both run ``churn.sh`` with ``bpf_maps.c``, and pass their recording to ``judge``.

``packages`` downloads and unpacks, ``qemu`` boots, ``cpio`` and ``initramfs`` make what it boots,
with ``init.sh`` as its first process, and ``serial`` reads what that process sends.  ``hidden``
checks what ``examples/hidden_space.c`` measured in either kernel; ``debugger`` boots one whose
defect gdb corrects, with ``corrected.gdb``.
"""
