#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# need.sh python|clang|program PROGRAM - make sure that a Python can make virtual
# environments and build extensions, that a clang can build fuzzers, or that a
# program is there, by the package of Debian that has it.  Debian splits these parts off;
# root gets the packages installed.
set -eu
what=$1
program=$2

missing_python() {
	"$program" - <<'EOF'
import importlib.util, os, sysconfig
if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
    print("python3-venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("python3-dev")
EOF
}

missing_clang() {
	scratch=$(mktemp -d)
	echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long n);
int LLVMFuzzerTestOneInput(const char *data, unsigned long n) { return data + n == 0; }' |
		"$program" -fsanitize=fuzzer,address,undefined -x c - -o "$scratch/fuzzer" \
			2>/dev/null || echo "clang"
	rm -r "$scratch"
}

missing_program() {
	command -v "$program" >/dev/null || case $program in
	chromedriver) echo "chromium-driver" ;;
	*) echo "$program" ;;
	esac
}

packages=$("missing_$what")
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -q
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -qy $packages
	packages=$("missing_$what")
	[ -n "$packages" ] || exit 0
fi
echo "$program lacks: $packages" >&2
echo "install them, for example: sudo apt-get install" $packages >&2
exit 1
