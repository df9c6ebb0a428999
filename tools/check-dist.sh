#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Check what `make dist` made: the sdist holds all that a build needs, the wheel
# is for every CPython from 3.10 on, and runs in an environment of its own.
set -eu
python=${1:-python3}
sdist=$(ls dist/*.tar.gz)
wheel=$(ls dist/*.whl)

listing=$(tar tzf "$sdist")
for part in csrc/percpu.h csrc/alloc.c csrc/kernel/kernel.h csrc/trace/reader.c \
	csrc/bench/measure.h csrc/lib.mk csrc/libpercpu.map csrc/percpu.pc.in \
	tools/amalgamate.py percpu_ffi/bench/upstream.c build_ffi.py setup.py noxfile.py \
	examples/first.cpp examples/percpu_sums/sums.c LICENSE tests/conftest.py Makefile; do
	echo "$listing" | grep -q "/$part\$" || {
		echo "$sdist lacks $part" >&2
		exit 1
	}
done
case $wheel in
*-cp310-abi3-*) ;;
*-cp3??-cp3??t-*) ;;	# free-threaded, which has no stable ABI before 3.15
*)
	echo "$wheel is not for the stable ABI of 3.10" >&2
	exit 1
	;;
esac

listing=$("$python" -m zipfile -l "$wheel")
for part in bench/upstream.c reports/page/page.html reports/page/page.js reports/page/unpack.js embed/percpu.h embed/percpu.c embed/libpercpu.so.[0-9]; do
	echo "$listing" | grep -q "percpu_ffi/$part" || {
		echo "$wheel lacks percpu_ffi/$part" >&2
		exit 1
	}
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
trace=$PWD/samples/netns_churn.ftrace.xz
cd "$scratch"
venv/bin/percpu-ffi replay "$trace" --json >report.json
venv/bin/python -c 'import json; assert json.load(open("report.json"))["failures"] == 0'
venv/bin/percpu-ffi bench churn --trace "$trace" --objects 1000 --live 100 --repeat 2 >bench.txt
grep -q '^netns_churn: ' bench.txt
echo "$wheel: installed and ran"
