#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# workloads.sh NAME | list - what the recordings of the corpus contain; as root.
#
# Each removes what it makes; those that need it run in a network and a mount namespace of
# their own.  If this machine lacks what one needs, it says so and ends with status 77.

set -e

name=$1
here=$(cd "$(dirname "$0")" && pwd)

skip() { # REASON
	echo "$name: skipped, $1" >&2
	exit 77
}

need() { # PROGRAM...
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

isolate() { # run the rest of the workload in namespaces of its own
	if [ "$isolated" = no ]; then
		unshare --net --mount sh "$here/workloads.sh" "$name" yes
		settle
		exit
	fi
}

settle() { # the kernel frees in the background
	sleep 2
}

# counters of packets as XDP programs keep them, tables of flows, a buffer
bpf_maps() {
	need bpftool
	isolate
	mount -t bpf bpf "$work"
	mkdir "$work/maps"
	map() { # NAME TYPE VALUE ENTRIES
		bpftool map create "$work/maps/$1" name "$1" type "$2" key 4 value "$3" entries "$4"
	}
	for i in 1 2 3 4; do
		map "scratch$i" percpu_array $((i * 64)) 1
		map "verdicts$i" percpu_array 8 64
		map "interfaces$i" percpu_array 16 256
		map "flows$i" percpu_hash 16 256
		map "recent$i" lru_percpu_hash 48 256
	done
	map buffer percpu_array 32768 1
	settle
	rm "$work"/maps/*
	settle
	umount "$work"
}

# counts, sums and histograms are per-CPU maps
bpf_trace() {
	need bpftrace
	for program in \
		'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }' \
		'tracepoint:syscalls:sys_exit_read /args->ret > 0/ { @[comm] = sum(args->ret); }' \
		'tracepoint:sched:sched_switch { @[comm] = hist(nsecs); }'; do
		bpftrace -e "$program interval:ms:500 { exit(); }" >/dev/null 2>&1
	done
	settle
}

build() {
	need make cc
	make -C "$here/../.." -j2 build/corpus/libpercpu.a BUILD=build/corpus >/dev/null
	rm -r "$here/../../build/corpus"
}

cgroups() {
	"$here/../pinned_cgroups.sh" 8 >/dev/null
	"$here/../pinned_cgroups.sh" clean
	settle
}

containers() {
	need bwrap
	for i in $(seq 12); do
		bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp \
			sh -c 'ls / | wc -l; sleep 1' >/dev/null &
	done
	wait
	settle
}

# switches, their ports, and tunnels
devices() {
	need ip
	isolate
	ip link set lo up
	for i in $(seq 20); do
		cat <<-END
			link add br$i type bridge
			link add v$i type veth peer name w$i
			link set v$i master br$i
			link set br$i up
			link set v$i up
			link set w$i up
			address add 10.0.$i.1/24 dev br$i
			link add m$i link w$i type macvlan
			link add vx$i type vxlan id $i dstport 4789 dev br$i
			tuntap add tap$i mode tap
			link add vl$i link w$i type vlan id 7
			link add bond$i type bond
			link add wg$i type wireguard
			link add dummy$i type dummy
		END
	done >"$work/links"
	ip -force -batch "$work/links" 2>/dev/null || true # some kernels lack some types
	rm "$work/links"
	settle
}

# loop devices, device mapper on them, and RAID on that
disks() {
	need losetup dmsetup mdadm
	dmsetup version >/dev/null 2>&1 || skip 'this kernel has no device mapper'
	for i in 1 2 3 4 5 6 7 8; do
		truncate -s 16M "$work/disk$i"
		device=$(losetup --find --show "$work/disk$i")
		loops="$loops $device"
		dmsetup create "linear$i" --table "0 16384 linear $device 0"
	done
	for i in 1 3 5 7; do
		mdadm --create "/dev/md$i" --quiet --run --level=1 --raid-devices=2 --metadata=1.0 \
			"/dev/mapper/linear$i" "/dev/mapper/linear$((i + 1))"
	done
	settle
	mdadm --stop --quiet /dev/md1 /dev/md3 /dev/md5 /dev/md7
	dmsetup remove linear1 linear2 linear3 linear4 linear5 linear6 linear7 linear8
	# shellcheck disable=SC2086
	losetup -d $loops
	rm "$work"/disk*
	settle
}

filesystems() {
	need mkfs.ext4 mkfs.xfs mkfs.btrfs mksquashfs
	isolate
	for type in ext4 xfs btrfs; do
		truncate -s 400M "$work/$type"
		mkfs.$type -q "$work/$type" 2>/dev/null
	done
	mksquashfs "$here" "$work/squashfs" -quiet -no-progress >/dev/null
	mkdir "$work/mnt"
	for _ in 1 2; do
		for type in ext4 xfs btrfs squashfs; do
			mkdir -p "$work/mnt/$type"
			mount -o loop -t $type "$work/$type" "$work/mnt/$type"
			ls "$work/mnt/$type" >/dev/null
		done
		for i in $(seq 20); do
			mkdir -p "$work/mnt/$i"
			mount -t tmpfs none "$work/mnt/$i"
			mkdir "$work/mnt/$i/up" "$work/mnt/$i/work" "$work/mnt/$i/all"
			mount -t overlay none "$work/mnt/$i/all" -o \
				"lowerdir=$here,upperdir=$work/mnt/$i/up,workdir=$work/mnt/$i/work"
		done
		settle
		umount "$work"/mnt/*/all "$work"/mnt/*
	done
	rmdir "$work"/mnt/* "$work/mnt"
	rm "$work/ext4" "$work/xfs" "$work/btrfs" "$work/squashfs"
}

# each change replaces the whole table, with a counter for each rule
iptables() {
	need iptables-legacy iptables-legacy-restore
	isolate
	awk 'BEGIN {
		print "*filter"
		for (i = 1; i <= 400; i++)
			print "-A INPUT -p tcp --dport", i, "-j ACCEPT"
		print "COMMIT"
	}' | iptables-legacy-restore
	for i in $(seq 10); do
		iptables-legacy -A INPUT -p udp --dport "$i" -j ACCEPT
	done
	iptables-legacy -F
}

kvm() {
	need stress-ng
	[ -e /dev/kvm ] || skip 'there is no /dev/kvm'
	stress-ng --kvm 2 --kvm-ops 100 --quiet
	settle
}

netns() {
	need ip
	"$here/../netns_churn.sh" 10
	settle
}

# rules, and elements of sets, with counters
nftables() {
	need nft
	isolate
	awk 'BEGIN {
		print "table inet t {"
		print "set seen { type ipv4_addr; size 4096; flags dynamic; counter; }"
		print "set blocked { type ipv4_addr; counter;"
		for (i = 1; i <= 250; i++)
			elements = elements ", 10.1.0." i
		print "elements = {" substr(elements, 2) " }"
		print "}"
		for (i = 1; i <= 20; i++)
			print "counter named" i " { }"
		print "chain in { type filter hook input priority 0; policy accept;"
		print "counter ip saddr @blocked drop"
		print "update @seen { ip saddr }"
		for (i = 1; i <= 400; i++)
			print "tcp dport", i, "counter accept"
		print "}"
		print "}"
	}' | nft -f -
	settle
	nft delete table inet t
	settle
}

perf_events() {
	need perf
	perf stat -a -e 'sched:*,irq:*,cpu-clock,task-clock,faults' true 2>/dev/null
	perf record -q -a -g -o /dev/null true
	settle
}

processes() {
	"$here/../fork_storm.sh" 12
	settle
}

# a router: a route has a cache for each CPU
routes() {
	need ip
	isolate
	cat <<-END | ip -batch -
		link set lo up
		link add v type veth peer name w
		link set v up
		link set w up
		address add 10.0.0.1/24 dev v
		address add fd00::1/64 dev v nodad
	END
	for action in add del; do
		for i in $(seq 250); do
			echo "route $action 10.1.$i.0/24 via 10.0.0.2"
			echo "route $action fd01:$i::/48 via fd00::2"
		done | ip -batch -
		settle
	done
}

swap() {
	need mkswap
	[ -r /sys/class/zram-control/hot_add ] || skip 'this kernel has no zram'
	for i in 1 2 3 4; do
		device=$(cat /sys/class/zram-control/hot_add)
		echo 64M >"/sys/block/zram$device/disksize"
		mkswap "/dev/zram$device" >/dev/null
		swapon "/dev/zram$device"
		devices="$devices $device"
	done
	settle
	for device in $devices; do
		swapoff "/dev/zram$device"
		echo 1 >"/sys/block/zram$device/reset"
		echo "$device" >/sys/class/zram-control/hot_remove
	done
	settle
}

# classes of bandwidth, filters with actions
tc() {
	need tc ip
	isolate
	cat <<-END | ip -batch -
		link add v type veth peer name w
		link set v up
		link set w up
	END
	awk 'BEGIN {
		print "qdisc add dev v root handle 1: htb default 1"
		print "qdisc add dev v ingress"
		for (i = 1; i <= 200; i++) {
			n = sprintf("%x", i)
			print "class add dev v parent 1: classid 1:" n, "htb rate 1mbit"
			print "qdisc add dev v parent 1:" n, "pfifo"
			print "filter add dev v parent 1: protocol ip u32 match ip dst 10.0.0." i \
				" flowid 1:" n
			print "filter add dev v ingress protocol ip pref", i, "u32 match ip src 10.0.0." i \
				" action mirred egress redirect dev w"
		}
	}' | command tc -batch -
	settle
	command tc qdisc delete dev v root
	settle
}

names=$(sed -n 's/^\([a-z_]*\)() {$/\1/p' "$0")
if ! echo "$names" | grep -qx "$name"; then
	echo "$names"
	exit
fi
isolated=${2:-no}
work=$(mktemp -d)
trap 'rmdir "$work"' EXIT
$name
