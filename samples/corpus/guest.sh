#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# guest.sh [WORKLOAD...] - in a kernel that is recorded under QEMU: send what was recorded
# since the boot, and then each workload, through the second serial port.
# The first process of busybox's initramfs, or a service of Debian.

if [ $$ = 1 ]; then
	PATH=/bin
	export PATH
	/bin/busybox --install -s /bin 2>/dev/null
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs devtmpfs /dev
fi
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
cd /sys/kernel/tracing || exit
exec 3>/dev/ttyS1
stty raw <&3

send() { # NAME: the buffers, which are emptied
	echo 0 >tracing_on
	for part in meta trace; do
		echo "begin ${1}_$part"
		case $part in
		meta) cat per_cpu/cpu*/stats ;;
		trace) cat trace ;;
		esac | gzip | base64
		echo "end ${1}_$part"
	done >&3
	echo >trace
	echo 1 >tracing_on
}

case $$ in
1) send boot ;;
*) send debian ;;
esac
for workload; do
	echo "$workload" >/dev/console
	/samples/corpus/workloads.sh "$workload" >/dev/console 2>&1 || break
	send "$workload"
done
reboot -f
