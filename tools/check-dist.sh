#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-dist.sh [PYTHON] - check what `make dist` built: the sdist holds what a build
# needs, the wheel is for CPython 3.11 and newer, and runs in an environment of its own.
. tools/common.sh
python=${1:-python3}
sdist=$(built '*.tar.gz')
wheel=$(built '*.whl')

listing=$(tar tzf "$sdist")
for part in csrc/percpu.h csrc/alloc.c csrc/kernel/kernel.h csrc/trace/reader.c \
	csrc/bench/measure.h csrc/lib.mk csrc/libpercpu.map csrc/percpu.pc.in \
	tools/amalgamate.py tools/command_pages.py tools/manual-sections.txt percpu_ffi/bench/upstream.c build_ffi.py setup.py noxfile.py \
	examples/first.cpp examples/percpu_sums/sums.c LICENSE tests/conftest.py Makefile; do
	echo "$listing" | grep -q "/$part\$" || fail "$sdist lacks $part"
done
case $wheel in
*-cp311-abi3-*) ;;
*-cp3??-cp3??t-*) ;;	# free-threaded, which has no stable ABI before 3.15
*) fail "$wheel is not for the stable ABI of 3.11" ;;
esac

listing=$("$python" -m zipfile -l "$wheel")
for part in bench/upstream.c reports/page/page.html reports/page/page.js reports/page/unpack.js embed/percpu.h embed/percpu.c embed/libpercpu.so.[0-9]; do
	echo "$listing" | grep -q "percpu_ffi/$part" || fail "$wheel lacks percpu_ffi/$part"
done
pages="bash-completion/completions/percpu-ffi zsh/site-functions/_percpu-ffi
	fish/vendor_completions.d/percpu-ffi.fish man/man1/percpu-ffi.1"
for page in $pages; do
	echo "$listing" | grep -q "\.data/data/share/$page" || fail "$wheel lacks share/$page"
done

new_environment "$python"
pip install "$wheel"
for page in $pages; do
	[ -s "$scratch/venv/share/$page" ] || fail "$wheel does not install share/$page"
done
trace=$PWD/samples/netns_churn.ftrace.xz
cd "$scratch"
venv/bin/percpu-ffi replay "$trace" --json >report.json
venv/bin/python -c 'import json; assert json.load(open("report.json"))["failures"] == 0'
venv/bin/percpu-ffi bench churn --trace "$trace" --objects 1000 --live 100 --repeat 2 >bench.txt
grep -q '^netns_churn: ' bench.txt
ok "$wheel: installed and run"
