#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# churn.sh STEPS SEED BPF_MAPS - random steps that take and return per-CPU areas: network
# namespaces, memory cgroups, tmpfs mounts, pipelines, and the maps of program BPF_MAPS if it
# is there.  Runs as root; its mounts are for a mount namespace of its own.  A step that this
# kernel refuses is left out.
steps=$1
random=$2
maps=$3
work=$(mktemp -d)

# the hierarchy with the memory controller: that of version 2, or of version 1
cgroups=$(awk '$3 == "cgroup2" { two = $2 } $3 == "cgroup" && $4 ~ /memory/ { one = $2 }
	END { print one ? one : two }' /proc/mounts)/percpu-churn-$$
mkdir "$cgroups"
for controller in memory pids cpu io; do
	echo "+$controller" >"$cgroups/cgroup.subtree_control" # version 2 only
done 2>/dev/null

clean_up() {
	umount "$work"/*
	rmdir "$work"/* "$work" "$cgroups"/* "$cgroups"
}
trap 'clean_up 2>/dev/null' EXIT
trap 'exit 1' INT TERM

pick() { # N: set $picked to a random number below N; ANSI C's generator, its upper bits
	random=$(((random * 1103515245 + 12345) % 2147483648))
	picked=$((random / 65536 % $1))
}

namespace='ip link set lo up
	ip link add percpu0 type veth peer name percpu1'

step=0
while [ $step -lt "$steps" ]; do
	pick 8
	what=$picked
	pick 12
	some=$picked
	case $what in
	0) unshare -n sh -c "$namespace" ;;
	1) unshare -n sh -c "$namespace
		sleep 0.$some" & ;;
	2) mkdir "$cgroups/$some" ;;
	3) rmdir "$cgroups/$some" ;;
	4) mkdir "$work/$some" && mount -t tmpfs none "$work/$some" ;;
	5) umount "$work/$some" && rmdir "$work/$some" ;;
	6) echo $step | cat | cat | wc -c ;;
	7) [ ! -x "$maps" ] || "$maps" $((8 * some)) "$random" ;;
	esac
	step=$((step + 1))
done >/dev/null 2>&1
wait
