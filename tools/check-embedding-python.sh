#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-embedding-python.sh [PYTHON] - build the examples against the wheel that
# `make dist` made, as the users of an installed package do, and run them.
set -eu
python=${1:-python3}
wheel=$(echo "$PWD"/dist/*.whl)
[ -e "$wheel" ] || {
	echo "dist/ does not hold one wheel: make dist" >&2
	exit 1
}
examples=$PWD/examples

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
cp -r "$examples" "$scratch/examples"
cd "$scratch"

# without isolation: what the example builds against is the wheel, not a release
venv/bin/python -m pip install --quiet --disable-pip-version-check \
	"$wheel" "setuptools>=77" pytest
venv/bin/python -m pip install --quiet --disable-pip-version-check \
	--no-build-isolation examples/percpu_sums
# not beside the sources, which would be found first
mkdir tests
mv examples/percpu_sums/test_sums.py tests
venv/bin/python -m pytest -q tests
venv/bin/python examples/ctypes_view.py
echo "$wheel: the examples build on it and run"
