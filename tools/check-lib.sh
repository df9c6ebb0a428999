#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-lib.sh SHARED STATIC PERCPU.H - the libraries define the functions that
# percpu.h declares and no other global name; the shared one is small and needs
# the C library alone.
set -eu
shared=$1
static=$2
header=$3
most=102400 # bytes, stripped

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "$*" >&2
	exit 1
}

# names on standard input are those that percpu.h declares; x86-32 adds its own
same_names() {
	awk '!/^__x86\.get_pc_thunk\./ { print $1 }' | sort >"$scratch/defined"
	diff "$scratch/declared" "$scratch/defined" >"$scratch/diff" ||
		fail "$1 against $header (< declared alone, > defined alone):" \
			"$(grep '^[<>]' "$scratch/diff")"
}

# a prototype starts its line, and names the function there
sed -n '/^static/!s/^[a-z].*[ *]\(pcpu_[a-z0-9_]*\)(.*/\1/p' "$header" | sort >"$scratch/declared"
[ -s "$scratch/declared" ] || fail "$header declares nothing"

nm --format=posix --dynamic --defined-only "$shared" | same_names "$shared"
nm --format=posix --extern-only --defined-only "$static" | sed '/:$/d' | same_names "$static"

needed=$(readelf -d "$shared" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
case $needed in
libc.so.6 | libc.so | libc.musl-*.so.1) ;;
*) fail "$shared needs more than the C library: $needed" ;;
esac

version=$(awk '/define PCPU_VERSION_M(AJOR|INOR)[ \t]/ { printf ".%s", $3 }' "$header")
soname=$(readelf -d "$shared" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = "libpercpu.so$version" ] || fail "$shared calls itself '$soname'"

strip -o "$scratch/stripped" "$shared"
size=$(wc -c <"$scratch/stripped")
[ "$size" -lt $most ] || fail "$shared has $size bytes stripped, $most are too many"

echo "$soname: $(wc -l <"$scratch/declared") functions, $size bytes stripped, needs $needed"
