#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# init.sh - the first process of a kernel that is recorded from its boot: run random
# steps, end the recording, and send it through the second serial port; then
# measure the hidden space, and send the result.
# STEPS and SEED come from the kernel's command line.
PATH=/bin
export PATH
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in memory pids cpu io; do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
cd /sys/kernel/tracing || exit

# of all work only the allocator's is needed; the second form is for older kernels
address=$(sed -n 's/ t pcpu_balance_workfn$//p' /proc/kallsyms)
for event in events/workqueue/workqueue_execute_start events/workqueue/workqueue_execute_end; do
	echo 'function.function == pcpu_balance_workfn' >$event/filter ||
		echo "function == 0x$address" >$event/filter
done 2>/dev/null

churn "$STEPS" "$SEED" /bin/bpf_maps

# events/enable would change code, at which two emulated CPUs may hang
echo 0 >tracing_on
exec 3>/dev/ttyS1
stty raw <&3

send() { # NAME, its text on standard input
	echo "begin $1"
	gzip | base64
	echo "end $1"
} >&3

{
	uname -r
	cat /proc/cmdline
	cat /sys/kernel/debug/percpu_stats || echo 'no percpu_stats'
	cat per_cpu/cpu*/stats
	dmesg | grep -e percpu -e pcpu-alloc
	grep ' pcpu_block_update$' /proc/kallsyms
} 2>/dev/null | send meta
grep -e '^#' -e ': percpu_' -e pcpu_balance_workfn trace | send trace

# into a file, since processes that start take areas too
hidden_space >/tmp/hidden_space 2>&1
send hidden_space </tmp/hidden_space

reboot -f
