#!/bin/sh
# Runs outside, on a throw-away root ($1) that has a generation's kernel headers and sources:
# builds the kernel's sample mdev drivers and leaves them in /modules.tar, below their kernel's release. One of them is
# built twice, the second time under the name otty: a parent and types of other names, whose devices are the same inside.
set -eu

exec chroot "$1" sh -eu <<'IN_ROOT'
headers=$(ls -d /usr/src/linux-headers-*-amd64)
release=${headers##*/linux-headers-}

mkdir /samples
cd /samples
tar -xf /usr/src/linux-source-*.tar.xz --strip-components=3 --wildcards '*/samples/vfio-mdev'

sed 's/"mtty"/"otty"/' mtty.c > otty.c
# The samples' own Makefile asks for the kernel's configuration, in which Debian leaves them off.
rm Makefile
echo 'obj-m := mtty.o otty.o mdpy.o mbochs.o' > Kbuild
make -C "$headers" M="$PWD" -j"$(nproc)" modules
strip --strip-debug ./*.ko

mkdir -p "/out/$release/extra"
mv ./*.ko "/out/$release/extra/"
tar -C /out -cf /modules.tar "$release"
IN_ROOT
