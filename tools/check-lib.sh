#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-lib.sh SHARED STATIC PERCPU.H - the libraries define the functions that
# percpu.h declares and no other global name; the shared one is small and needs
# the C library alone.
. tools/common.sh
shared=$1
static=$2
header=$3
most=131072 # bytes, stripped

# are the names on standard input those that percpu.h declares?  x86-32 adds its own
same_names() {
	awk '!/^__x86\.get_pc_thunk\./ { print $1 }' | sort >"$scratch/defined"
	diff "$scratch/declared" "$scratch/defined" >"$scratch/diff" ||
		fail "$1 against $header (< only declared, > only defined):" \
			"$(grep '^[<>]' "$scratch/diff")"
}

# a prototype names the function on its first line
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
[ "$soname" = "libpercpu.so$version" ] || fail "$shared has the SONAME '$soname'"

strip -o "$scratch/stripped" "$shared"
size=$(wc -c <"$scratch/stripped")
[ "$size" -lt $most ] || fail "$shared has $size bytes stripped; the limit is $most"

echo "$soname: $(wc -l <"$scratch/declared") functions, $size bytes stripped, needs $needed"
