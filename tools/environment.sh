#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# environment.sh VENV PYTHON [FOLDER] - make VENV a virtual environment for the
# package in FOLDER, by PYTHON if there is none.  VENV/.made gets a new time, so that
# the package is installed again, where the environment is new, VENV or FOLDER was
# moved, or a compiled file was deleted.
set -eu
venv=$1
python=$2
folder=${3:-.}
made=$venv/.made
need=$(dirname "$0")/need.sh

identity() {
	"$venv/bin/python" -c 'import os, sys
print(os.path.realpath(sys.prefix), sys.version_info[:2], sys.abiflags)' 2>/dev/null || :
}

is=$(identity)
if [ -z "$is" ] || { [ -e "$made" ] && [ "$is" != "$(head -n 1 "$made")" ]; }; then
	"$need" venv "$python"
	clear=
	[ ! -e "$made" ] || clear=--clear # its programs name the old place
	"$python" -m venv $clear "$venv"
	is=$(identity)
elif [ ! -e "$made" ]; then # the user made it
	REMOVE=$venv "$need" venv "$venv/bin/python"
	"$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
		"$venv/bin/python" -m ensurepip >/dev/null
fi

is="$is
$(readlink -f "$folder")"
package=$folder/percpu_ffi
[ "$(cat "$made" 2>/dev/null)" = "$is" ] || echo "$is" >"$made"
for file in "$package"/_core*.so "$package"/embed/libpercpu.so.* "$package/embed/percpu.c" \
	"$package/embed/percpu.h" "$venv/bin/percpu-ffi"; do
	[ -e "$file" ] || touch "$made"
done
