#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-rebuild.sh [PYTHON] - install the sdist that `make dist` built over older
# versions, as a copy and editable: the extension is linked to the new library, and a
# process that has loaded the old one keeps it.
. tools/common.sh
sdist=$(built '*.tar.gz')
new_environment "${1:-python3}"
build_requirements "$scratch/venv/bin/python" >"$scratch/requires"
cd "$scratch"
mkdir sources

# the packages that a build needs are installed once, not for each build
pip install --requirement requires
pip_install() {
	pip install --no-build-isolation "$@"
}

unpack() {
	tar xzf "$sdist" -C sources --strip-components=1
}

works() { # HOW it was installed
	venv/bin/python -I -c '
from percpu_ffi import Allocator, embed
Allocator(cpus=2).close()
open(embed.get_library()), open(embed.get_include() + "/percpu.h"), open(*embed.get_sources())' ||
		fail "$sdist: the package does not work $1"
}

# in place, where the new library replaces the one in use
unpack
pip_install --editable ./sources
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
pip_install --editable ./sources
exec 3>&-
wait $! || fail "$sdist: another editable install broke a running process"

# each kind of editable install over the other, and after an uninstall
for mode in strict lenient strict; do
	pip_install --editable ./sources --config-settings editable_mode=$mode
	works "as a $mode editable install"
done
pip uninstall --yes percpu_ffi
! venv/bin/python -I -c 'import percpu_ffi' 2>/dev/null || fail "$sdist: not uninstalled"
pip_install --editable ./sources --config-settings editable_mode=strict
works "as a strict editable install after an uninstall"

# as a copy, by way of build/, where an older version was built
sed -i '/^#define PCPU_VERSION_MINOR/s/[0-9]*$/999/' sources/csrc/percpu.h
pip_install ./sources
unpack
pip_install --force-reinstall --no-deps ./sources
works "built over an older version"
ok "$sdist: installed in place and as a copy, over older versions"
