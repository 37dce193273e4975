#!/bin/sh
# Before each run, untimed: the store that is wanted ($1) has mdevctl's name, udev is done with what was, and so is
# libvirt's daemon with its node device ($2), where it runs.
now=/run/automdev-bench/store
was=$(cat "$now")
if [ "$was" != "$1" ]; then
    mv -T /etc/mdevctl.d "/etc/mdevctl.d.$was" &&
        mv -T "/etc/mdevctl.d.$1" /etc/mdevctl.d &&
        echo "$1" > "$now" || exit
fi
udevadm settle
[ -n "$2" ] || exit 0
# It hears of the device a little later than udev.
tries=0
sleep 2
until virsh --quiet --connect qemu:///system nodedev-info "$2" | grep -q '^Active: *no'; do
    tries=$((tries + 1))
    if [ "$tries" = 60 ]; then
        echo "libvirt does not see $2 go" >&2
        exit 1
    fi
    sleep 1
done
