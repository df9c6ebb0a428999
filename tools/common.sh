# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# common.sh - what the check-*.sh scripts share.  They start in the project's folder;
# $scratch is a folder that is deleted at the end.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "$*" >&2
	exit 1
}

ok() {
	echo "  ok  $*"
}

built() { # PATTERN: the one file in dist/ with this name
	# shellcheck disable=SC2086 # a pattern
	set -- "$PWD"/dist/$1
	[ $# = 1 ] && [ -e "$1" ] || fail "dist/ does not hold one ${1##*/}: make dist"
	echo "$1"
}

build_requirements() { # PYTHON: what a build needs, a line for each
	"$1" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
}

new_environment() { # PYTHON: in $scratch/venv
	"$1" -m venv "$scratch/venv"
}

pip() {
	"$scratch/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}
