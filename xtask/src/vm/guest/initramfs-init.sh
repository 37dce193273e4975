#!/bin/busybox sh
# The initramfs: loads the few modules that the root file system needs, in their order, and goes there.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r name; do
    insmod "/lib/$name.ko"
done < /lib/order
tries=0
until [ -b /dev/vda ] || [ "$tries" = 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
mount -t ext4 -o rw /dev/vda /root || {
    echo "no root file system"
    poweroff -f
}
mount --move /dev /root/dev
umount /sys /proc
exec switch_root /root /sbin/init
