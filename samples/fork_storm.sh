#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The workload of fork_storm.trace: bursts of short pipelines; memory cgroups and tmpfs
# mounts, created and removed.  As root:  fork_storm.sh 40

set -e

top=/sys/fs/cgroup
place=$(mktemp -d)
for burst in $(seq "${1:-40}"); do
	for i in 1 2 3 4 5 6 7 8; do
		echo "$i" | cat | cat | wc -c >/dev/null &
	done
	mkdir "$top/storm_$burst"
	mount -t tmpfs none "$place"
	wait
	umount "$place"
	rmdir "$top/storm_$burst"
done
rmdir "$place"
sleep 1 # the kernel ends the groups in the background
