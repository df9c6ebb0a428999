#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Make sure that a Python can make virtual environments and build extensions.
# Debian splits both from its python3; root gets the packages installed.
set -eu
python=${1:-python3}

missing() {
	"$python" - <<'EOF'
import importlib.util, os, sysconfig
if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
    print("python3-venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("python3-dev")
EOF
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
echo "$python lacks: $packages" >&2
echo "install them, for example: sudo apt-get install" $packages >&2
exit 1
