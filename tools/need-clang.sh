#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Make sure that a clang can build fuzzers.  Debian has it and its runtime in
# packages of their own; root gets them installed.
set -eu
clang=${1:-clang}

missing() {
	scratch=$(mktemp -d)
	echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long n);
int LLVMFuzzerTestOneInput(const char *data, unsigned long n) { return data + n == 0; }' |
		"$clang" -fsanitize=fuzzer,address,undefined -x c - -o "$scratch/fuzzer" \
			2>/dev/null || echo "clang"
	rm -r "$scratch"
}

packages=$(missing)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -q
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -qy $packages
	packages=$(missing)
	[ -n "$packages" ] || exit 0
fi
echo "$clang cannot build a fuzzer" >&2
echo "install it, for example: sudo apt-get install" $packages >&2
exit 1
