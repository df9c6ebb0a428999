#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# user.sh - inside the root file system of tools/check-rootfs.sh, as a user: install the
# wheel, then run the first commands and the examples of README.md in the sources.
set -eu
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/given/wheels PIP_DISABLE_PIP_VERSION_CHECK=1

cd
python3 -m venv new
new/bin/pip install --quiet /given/*.whl
echo "  the wheel: $(new/bin/percpu-ffi --version)"
new/bin/python -c 'import doctest
failed, run = doctest.testfile("/given/sources/README.md", module_relative=False)
assert run and not failed'
echo "  the wheel: the examples in Python"

cp -r /given/sources sources
cd sources
make run >../printed 2>../errors || { cat ../errors; exit 1; }
figures() { sed 's/^\(  speed\) *[0-9,]*/\1/'; } # that of the machine
sed -n '/^\$ make run$/,/^```$/p' README.md | sed '1d;$d' | figures >../wanted
tail -n "$(wc -l <../wanted)" ../printed | figures | diff ../wanted -
echo "  make run: as in README.md"
make lib >/dev/null
