#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The workload of pinned_cgroups.trace: create memory cgroups, remove ten of each eleven.
#
#   pinned_cgroups.sh 40       creates 440 groups and removes 400, as root
#   pinned_cgroups.sh clean    removes the others
#
# Every step prints the per-CPU memory of the kernel.

set -e

top=/sys/fs/cgroup
if [ -d $top/memory ]; then
	top=$top/memory
else
	echo +memory > $top/cgroup.subtree_control
fi
top=$top/pinned

percpu() {
	echo "$1 $(grep Percpu: /proc/meminfo)"
}

case $1 in
clean)
	rmdir $top/*/ $top
	exit
	;;
'' | *[!0-9]*)
	echo "usage: $0 NUMBER | clean" >&2
	exit 2
	;;
esac

mkdir $top
if [ -e $top/cgroup.subtree_control ]; then
	echo +memory > $top/cgroup.subtree_control
fi
percpu 'before:    '
for i in $(seq "$1"); do
	mkdir "$top/stays_$i"
	for j in $(seq 10); do
		mkdir "$top/goes_${i}_$j"
	done
done
percpu 'all there: '
rmdir $top/goes_*
sleep 3 # the kernel ends a group in the background
percpu 'most gone: '
