#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-rebuild.sh [PYTHON] - unpack the sdist that `make dist` made over an older
# version that was built there, and install it again: the extension is linked to the
# new library, and a process that has loaded the old one goes on with that.
set -eu
python=${1:-python3}
sdist=$(echo "$PWD"/dist/*.tar.gz)
[ -e "$sdist" ] || {
	echo "dist/ does not hold one sdist: make dist" >&2
	exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
cd "$scratch"
mkdir sources

unpack() {
	tar xzf "$sdist" -C sources --strip-components=1
}
install() {
	venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ./sources
}

# in place, where the new library lies on top of the one that is in use ...
unpack
install --editable
mkfifo go
venv/bin/python -c '
from percpu_ffi import Allocator
allocator = Allocator(cpus=2)
open("go").read()  # until it is closed
for geometry in ("4k", "embed", "remap"):
    with Allocator(cpus=2, first_chunk=geometry) as another:
        another.free(another.alloc(64))
allocator.free(allocator.alloc(64))
' &
exec 3>go
echo '__asm__(".text; .skip 65536");' >>sources/csrc/strerror.c	# all moves
install --editable
exec 3>&-
wait $! || {
	echo "$sdist: another editable install broke a process that was running" >&2
	exit 1
}

# ... and as a copy, by way of build/
sed -i '/^#define PCPU_VERSION_MINOR/s/[0-9]*$/999/' sources/csrc/percpu.h
install
unpack
install --force-reinstall --no-deps
venv/bin/python -I -c 'from percpu_ffi import Allocator; Allocator(cpus=2).close()' || {
	echo "$sdist: built over an older version it cannot be imported" >&2
	exit 1
}
echo "$sdist: built again, and over an older version"
