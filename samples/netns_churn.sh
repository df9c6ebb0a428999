#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The workload of netns_churn.trace: network namespaces with veth pairs, created and
# removed in two waves.  As root:  netns_churn.sh 30

set -e

for wave in a b; do
	for i in $(seq "${1:-30}"); do
		ip netns add "churn_$wave$i"
		ip link add "v$wave$i" type veth peer name eth0 netns "churn_$wave$i"
	done
	for i in $(seq "${1:-30}"); do
		ip netns del "churn_$wave$i"
	done
done
sleep 1 # the kernel removes them in the background
