#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# record.sh [NAME...] - record the corpus into this folder, as root: workloads on this machine,
# then kernels of Debian under QEMU.  With names, only those workloads.  What a recording
# contains is the whole machine's: leave it alone meanwhile.
#
# PERCPU_FFI is the command that records, PYTHON one that has the package.

set -e

here=$(cd "$(dirname "$0")" && pwd)
version=$(uname -r | cut -d. -f1,2)

# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- all $("$here/workloads.sh" list)
first=$1
[ "$first" != all ] || shift
for name; do
	file=$here/$name-$version.trace
	new=$file.new
	status=0
	${PERCPU_FFI:-percpu-ffi} record --stacks --force -o "$new" -- \
		"$here/workloads.sh" "$name" || status=$?
	if [ $status -eq 0 ]; then
		mv "$new" "$file"
	else
		rm -f "$new"
		[ $status -eq 77 ] || exit $status
	fi
done
[ "$first" = all ] || exit 0

cd "$here/../.."
kernel() {
	PYTHONPATH=tests ${PYTHON:-python3} -m kernel.corpus "$@"
}
kernel 6.1 6.12
kernel 6.1 --system netns cgroups processes nftables
kernel 6.12 --system netns cgroups processes nftables devices disks filesystems
