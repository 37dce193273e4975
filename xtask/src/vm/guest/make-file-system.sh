#!/bin/sh
# Runs outside, as root of its own user namespace at least: makes of a root ($1, a tar file) an image, in the folder
# $2, with a root file system of the size $3.
set -eu
root=$2.root
mkdir "$root"
trap 'rm -rf "$root"' EXIT
# Devices cannot be made without being really root, and are not needed: the kernel brings its own.
tar --numeric-owner --exclude './dev/*' -C "$root" -xf "$1"
mv "$root/boot/kernel" "$root/boot/initramfs" "$2/"
# Nothing on it outlives a run: no journal.
mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -d "$root" "$2/root.ext4" "$3"
