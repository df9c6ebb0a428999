#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# need.sh WHAT PROGRAM... - stop with one sentence, which names the packages of
# Debian to install, unless each PROGRAM is usable as WHAT:
#	program		it is on the PATH
#	compiler	it compiles and links C
#	fuzzer		it does so for libFuzzer
#	python		it is a Python that is new enough
#	venv		it also makes virtual environments and builds extensions
# Run by root on Debian, it installs the packages itself.  REMOVE names the virtual
# environment that has to go if its Python is too old.
set -eu
what=$1
shift

# Each missing_* function prints the packages that PROGRAM lacks.

missing_program() {
	command -v "$1" >/dev/null || case $1 in
	chromedriver) echo chromium-driver ;;
	musl-gcc) echo musl-tools ;;
	aarch64-linux-gnu-gcc) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
	s390x-linux-gnu-gcc) echo gcc-s390x-linux-gnu libc6-dev-s390x-cross ;;
	qemu-*-static) echo qemu-user-static ;;
	*) echo "$1" ;;
	esac
}

compiles() { # COMPILER FLAGS, a program on standard input
	scratch=$(mktemp -d)
	# shellcheck disable=SC2086 # "ccache gcc" is two words
	$1 $2 -x c - -o "$scratch/program" 2>/dev/null && status=0 || status=1
	rm -r "$scratch"
	return $status
}

missing_compiler() {
	echo '#include <stdio.h>
int main(void) { return puts("") < 0; }' | compiles "$1" '' || case $1 in
	*clang*) echo clang libc6-dev ;;
	*) echo gcc libc6-dev ;;
	esac
}

missing_fuzzer() {
	echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long n);
int LLVMFuzzerTestOneInput(const char *data, unsigned long n) { return data + n == 0; }' |
		compiles "$1" -fsanitize=fuzzer,address,undefined || echo clang
}

missing_python() {
	"$1" -c '' >/dev/null 2>&1 || { # none, or a link that leads nowhere
		echo "${1##*/}"
		return
	}
	oldest=$(sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
	"$1" - "$1" "$oldest" "${REMOVE:+remove $REMOVE, }" <<'EOF'
import sys
program, oldest, remove = sys.argv[1:]
if sys.version_info < tuple(map(int, oldest.split("."))):
    sys.exit("%s is Python %d.%d: %sinstall Python %s or newer, and name it: make PYTHON=python%s"
             % ((program,) + sys.version_info[:2] + (remove, oldest, oldest)))
EOF
}

missing_venv() {
	missing=$(missing_python "$1") || return 1
	[ -z "$missing" ] || {
		echo "$missing $missing-venv $missing-dev gcc libc6-dev"
		return
	}
	"$1" - <<'EOF'
import importlib.util, os, sys, sysconfig
package = "python%d.%d-" % sys.version_info[:2]
if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
    print(package + "venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(package + "dev")
EOF
	missing_compiler "${CC:-$("$1" -c 'import sysconfig; print(sysconfig.get_config_var("CC"))')}"
}

find_missing() {
	lacking=
	packages=
	for program in "$@"; do
		more=$("missing_$what" "$program")
		[ -z "$more" ] || {
			lacking="$lacking $program"
			packages="$packages $more"
		}
	done
}

find_missing "$@"
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	# shellcheck disable=SC2086 # a list of words
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy $packages || :
	find_missing "$@"
fi
[ -n "$packages" ] || exit 0
echo "missing or incomplete:$lacking; to install it, for example: sudo apt-get install$packages" >&2
exit 1
