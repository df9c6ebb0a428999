#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh SECONDS FUZZER... - run fuzzers in parallel and print a summary of each.
#
# New inputs are kept next to the fuzzers, in corpus/, for the next run.  An
# input that makes a fuzzer fail is saved in crashes/, and its path is printed.
set -eu
here=$(dirname "$0")
seconds=$1
shift
build=$(dirname "$1")
mkdir -p "$build/crashes"

jobs=
for fuzzer; do
	name=${fuzzer##*/}
	stored=$here/corpus/${name#fuzz_}
	words=$here/${name#fuzz_}.dict
	mkdir -p "$build/corpus/$name"
	set -- "$build/corpus/$name"
	[ ! -d "$stored" ] || set -- "$@" "$stored"
	[ ! -f "$words" ] || set -- "$@" "-dict=$words"
	"$fuzzer" -max_total_time="$seconds" -max_len=2048 -timeout=25 \
		-artifact_prefix="$build/crashes/$name-" \
		-print_final_stats=1 "$@" >"$build/$name.log" 2>&1 &
	jobs="$jobs $!:$name"
done

failed=0
for job in $jobs; do
	name=${job#*:}
	log=$build/$name.log
	if wait "${job%%:*}"; then
		echo "$name:$(grep '	DONE ' "$log" | tr '\t' ' ')"
		continue
	fi
	failed=1
	grep -v '^#[0-9]*	\|^DICT\|^INFO' "$log" | head -n 60 >&2
	echo "$name: FAILED, see $log" >&2
	grep 'Test unit written to' "$log" >&2 || true
done
exit $failed
