#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-embedding.sh - do what an embedder does, in a scratch folder: compile percpu.c
# by itself, build and run the examples against an installed library, shared and
# static, and those in Python against the wheel.  Called by make check-embedding.
. tools/common.sh
unset MAKEFLAGS MAKELEVEL # of the make that called us
python=${PYTHON:-python3}
warnings='-Wall -Wextra -Wpedantic -Werror'
strict="$warnings -Wshadow -Wconversion"

tools/need.sh program pkg-config g++
prefix=$scratch/prefix

# --- percpu.c and percpu.h, with each compiler that is installed

amalgamation=$scratch/amalgamation
"$python" tools/amalgamate.py "$amalgamation"
"$python" tools/amalgamate.py "$scratch/again"
diff -r "$amalgamation" "$scratch/again"
echo '#include "percpu.h"' >"$amalgamation/header.c"
cp "$amalgamation/header.c" "$amalgamation/header.cpp"

by_itself() {
	cc=$1
	cxx=$2
	if ! command -v "$cc" >/dev/null || ! command -v "$cxx" >/dev/null; then
		echo "  skipped: no $cc"
		return
	fi
	(
		cd "$amalgamation"
		"$cc" -c percpu.c
		for standard in c11 c17 gnu11 gnu17; do
			for optimised in -O0 -O3; do
				# shellcheck disable=SC2086 # a list of flags
				"$cc" -std=$standard $optimised $strict -c percpu.c
			done
			# shellcheck disable=SC2086
			"$cc" -std=$standard $strict -c header.c
		done
		for standard in c++11 c++20; do
			# shellcheck disable=SC2086
			"$cxx" -std=$standard $warnings -c header.cpp
		done
	)
	ok "percpu.c and percpu.h by themselves ($cc, $cxx)"
}
by_itself gcc g++
by_itself clang clang++

# --- an installed library, which only pkg-config finds

make_here() {
	make --no-print-directory "$1" PREFIX="$prefix" BUILD="${BUILD:-build}"
}
make_here install >"$scratch/install.txt"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
shared=$(pkg-config --cflags --libs percpu)
static="$(pkg-config --cflags percpu) $(pkg-config --variable=libdir percpu)/libpercpu.a
	$(pkg-config --static --libs-only-other percpu)"

example() { # COMPILER SOURCE: both programs print the same, except for measured figures
	compiler=$1
	file=$2
	# shellcheck disable=SC2086
	{
		$compiler $warnings "$file" $shared -o "$scratch/shared"
		$compiler $warnings "$file" $static -o "$scratch/static"
	}
	readelf -d "$scratch/shared" | grep -q 'NEEDED.*libpercpu' ||
		fail "$file: not linked to the shared library"
	! readelf -d "$scratch/static" | grep -q 'NEEDED.*libpercpu' ||
		fail "$file: not linked to the static library"
	LD_LIBRARY_PATH=$prefix/lib "$scratch/shared" >"$scratch/shared.txt"
	"$scratch/static" >"$scratch/static.txt"
	[ -s "$scratch/shared.txt" ] || fail "$file printed nothing"
	diff "$scratch/shared.txt" "$scratch/static.txt" >"$scratch/diff" ||
		[ "$(tr -d 0-9. <"$scratch/shared.txt")" = "$(tr -d 0-9. <"$scratch/static.txt")" ] ||
		fail "$file: $(cat "$scratch/diff")"
	ok "$file: $(head -n 1 "$scratch/shared.txt")"
}
for file in $(grep -l "<percpu.h>" examples/*.c); do # not hidden_space.c, which is for a kernel
	example "${CC:-cc} -std=c11" "$file"
done
for file in examples/*.cpp; do
	example "${CXX:-g++} -std=c++11" "$file"
done

make_here uninstall >"$scratch/install.txt"
left=$(find "$prefix" ! -type d)
[ -z "$left" ] || fail "make uninstall left $left"
ok "installed and uninstalled"

# --- Python: ctypes, and a package that is built against the wheel

wheel=$(built '*.whl')
new_environment "$python"
cp -r examples "$scratch/examples"
cd "$scratch"
# without isolation: the example is built against this wheel, not against a release
pip install "$wheel" "setuptools>=77" pytest
pip install --no-build-isolation examples/percpu_sums
# away from its sources, which would be found first
mkdir tests
mv examples/percpu_sums/test_sums.py tests
venv/bin/python -m pytest -q tests
venv/bin/python examples/ctypes_view.py
ok "the examples in Python, on $wheel"
