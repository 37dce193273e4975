#!/bin/sh
# Runs outside, on a fresh root ($1): makes it a test host. /setup, which is removed again, holds modules.tar
# and the files of this folder.
set -eu

exec chroot "$1" sh -eu <<'IN_ROOT'
release=$(ls /usr/lib/modules)

# The sample drivers, built for this very kernel.
tar -C /usr/lib/modules -xf /setup/modules.tar "$release/extra"
depmod "$release"
cat > /etc/modules-load.d/automdev-vm.conf <<'END'
mtty
mdpy
mbochs
vfio_iommu_type1
END

# A small initramfs: only what it takes to mount the root file system.
mkdir -p /initramfs/bin /initramfs/lib /initramfs/proc /initramfs/sys /initramfs/dev /initramfs/root
cp /usr/bin/busybox /initramfs/bin/busybox
cp /setup/initramfs-init.sh /initramfs/init
chmod 0755 /initramfs/init
modprobe --set-version "$release" --show-depends --all virtio_pci virtio_blk ext4 crc32c_generic |
    while read -r word path _; do
        [ "$word" = insmod ] || continue
        name=$(basename "$path" | sed 's/\.ko.*//')
        grep -qx "$name" /initramfs/lib/order 2>/dev/null && continue
        case $path in
            *.xz) xz -dc "$path" ;;
            *) cat "$path" ;;
        esac > "/initramfs/lib/$name.ko"
        echo "$name" >> /initramfs/lib/order
    done
(cd /initramfs && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) > /boot/initramfs
rm -r /initramfs
mv /boot/vmlinuz-"$release" /boot/kernel

# Nothing that starts by itself may compete with a test for the two slow processors.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    logrotate.timer man-db.timer systemd-tmpfiles-clean.timer e2scrub_reap.service \
    getty@tty1.service systemd-networkd-wait-online.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service libvirt-guests.service
rm -f /etc/libvirt/qemu/networks/autostart/*

# Only hosts that have a network are logged in to, with keys that a run brings.
systemctl disable --quiet ssh.service
rm -f /etc/ssh/ssh_host_*

install -m 0755 /setup/run-command.sh /usr/lib/automdev-vm-run
install -m 0755 /setup/install-payload.sh /usr/lib/automdev-vm-payload
install -m 0644 /setup/automdev-vm-run.service /setup/automdev-vm-payload.service /etc/systemd/system/
systemctl enable --quiet automdev-vm-run.service automdev-vm-payload.service
mkdir -p /automdev /etc/systemd/system/serial-getty@ttyS0.service.d
cat > /etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf <<'END'
[Unit]
ConditionKernelCommandLine=automdev-vm.shell
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noissue --noclear --keep-baud 115200 - $TERM
END
cp /setup/profile.sh /root/.profile
touch /root/.hushlogin

# A host's journal ends with it; of the warm-up's nothing is to be left.
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf.d/automdev-vm.conf
rm -rf /var/log/journal

echo automdev-vm > /etc/hostname
echo '127.0.0.1 localhost automdev-vm' > /etc/hosts
echo '/dev/vda / ext4 rw,relatime 0 0' > /etc/fstab
systemd-machine-id-setup
passwd --delete root
rm -rf /setup /boot/initrd.img* /boot/System.map* /boot/config*
IN_ROOT
