#!/bin/sh
# Shows the main job on a host with the kernel's sample mdev drivers. Every step is checked: what is printed is so.
set -eu

uuid=c2177883-f1bb-47f0-914d-32a22e3a8804
device=/sys/bus/mdev/devices/$uuid
start=$(cut -d ' ' -f 1 /proc/uptime)

say() {
    now=$(cut -d ' ' -f 1 /proc/uptime)
    echo "$start $now" | awk '{ printf "%6.1f s  ", $2 - $1 }'
    echo "$*"
}
show() {
    printf '          $ %s\n' "$*"
    status=0
    sh -c "$*" > output 2>&1 || status=$?
    sed '/^$/d; s/^/            /' output
    [ "$status" = 0 ] || fail "the last command failed with status $status"
}
fail() {
    say "this should not be so: $*"
    exit 1
}

cat > demo.xml <<END
<domain type='qemu'>
  <name>demo</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci' autocreate='yes'>
      <source><address uuid='$uuid'/></source>
    </hostdev>
  </devices>
</domain>
END

say 'The host gets the hook, once:'
show 'automdev install-hook --reload'
say 'and a definition: what the device of this UUID is on this host.'
show "mdevctl define --uuid $uuid --parent mtty --type mtty-2"
say 'The domain asks for the device; rewrite puts that where libvirt keeps it.'
show "grep -A 2 autocreate demo.xml"
show 'automdev rewrite demo.xml | virsh define --validate /dev/stdin'
show 'virsh dumpxml demo | automdev plan'

[ ! -e "$device" ] || fail 'the device is there before the start'
say 'The device does not exist.'
show "ls /sys/bus/mdev/devices"
show 'virsh start demo'
[ -e "$device" ] || fail 'the device is not there while the domain runs'
say 'The device exists, and QEMU has it open.'
show "ls /sys/bus/mdev/devices; readlink $device/mdev_type"
node=/dev/vfio/$(basename "$(readlink "$device/iommu_group")")
pid=$(cat /run/libvirt/qemu/demo.pid)
find "/proc/$pid/fd" -lname "$node" | grep -q . || fail 'QEMU does not have it open'
show "find /proc/$pid/fd -lname $node -printf '%p -> %l\\n'"

show 'virsh destroy demo'
[ ! -e "$device" ] || fail 'the device is there after the stop'
say 'The device is gone.'
show "ls /sys/bus/mdev/devices"

say 'A refusal: somebody made the device as something else meanwhile. automdev removes nothing that is not its own.'
show "echo $uuid > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create"
if virsh start demo > refused 2>&1; then
    fail 'the start was not refused'
fi
show 'cat refused'
[ -e "$device" ] || fail 'the device of somebody else is gone'
say 'The journal:'
show 'journalctl -t automdev -o cat'
