#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-rootfs.sh PYTHON SUITE - do what README.md says in a new Debian: a root file
# system from debootstrap with python3, gcc and make.  It has no network: pip takes
# what it needs from the host, so PYTHON has to be of the same version as in SUITE.
. tools/common.sh
python=$1
suite=$2
sdist=$(built '*.tar.gz')
wheel=$(built '*.whl')
root=$scratch/root
given=$root/given

[ "$(id -u)" = 0 ] || fail "only root makes a root file system: sudo make check-rootfs"
tools/need.sh program debootstrap
# what README.md asks for, and what Debian needs for virtual environments and extensions
debootstrap --variant=minbase --include=python3,python3-venv,python3-dev,gcc,libc6-dev,make \
	"$suite" "$root" >"$scratch/log" 2>&1 || fail "debootstrap: $(tail -n 5 "$scratch/log")"

version() { # PROGRAM...
	"$@" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])'
}
theirs=$(version chroot "$root" python3)
[ "$(version "$python")" = "$theirs" ] ||
	fail "$suite has $theirs, $python is $(version "$python"): name another PYTHON or DEBIAN"

mkdir -p "$given/sources" "$given/wheels"
cp "$wheel" "$given"
tar xzf "$sdist" -C "$given/sources" --strip-components=1 --no-same-owner
build_requirements "$python" >"$scratch/requires"
"$python" -m pip wheel --quiet --disable-pip-version-check --wheel-dir "$given/wheels" \
	"$wheel[cli]" --requirement "$scratch/requires"

# the mounts vanish with their namespace
unshare --mount --pid --fork chroot "$root" sh /given/sources/tests/rootfs/root.sh
ok "$suite: the wheel, the C library and the first screen of README.md"
