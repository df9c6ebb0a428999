#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# root.sh - inside the root file system of tools/check-rootfs.sh, as root: let a user do
# what README.md says, then install the C library that the user built.
set -eu
mount -t proc proc /proc
useradd --create-home user
su - user -c 'sh /given/sources/tests/rootfs/user.sh'

cd ~user/sources
make install >/dev/null
ldconfig
cat >/tmp/version.c <<'C'
#include <percpu.h>
#include <stdio.h>
int main(void)
{
	return puts(pcpu_version()) < 0;
}
C
gcc /tmp/version.c -o /tmp/version -lpercpu
echo "  the C library, which gcc finds: $(/tmp/version)"
