#!/bin/sh
# Before each run, untimed: the store that is wanted ($1) has mdevctl's name, and the ledger ($3, else the usual one)
# automdev's, udev is done with what was, and so is libvirt's daemon with its node device ($2), where it runs.
swap() { # WHAT PLACE WANTED
    now=/run/automdev-bench/$1
    was=$(cat "$now")
    [ "$was" = "$3" ] && return
    mv -T "$2" "$2.$was" && mv -T "$2.$3" "$2" && echo "$3" > "$now"
}
swap store /etc/mdevctl.d "$1" && swap ledger /run/automdev "${3:-usual}" || exit
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
