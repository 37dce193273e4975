#!/bin/sh
# Runs what the outside sent, its output streaming out; then tells its status and, where it failed, the logs.
ports=/dev/virtio-ports

systemctl is-system-running --wait > /dev/null
cd /root || exit
/bin/sh /automdev/command > "$ports/output" 2>&1 < /dev/null
status=$?

if [ "$status" != 0 ]; then
    mkdir -p /tmp/logs
    journalctl --boot --no-pager --output=short-monotonic > /tmp/logs/journal.txt
    dmesg > /tmp/logs/dmesg.txt
    cp -r /var/log/libvirt /tmp/logs/libvirt
    tar -C /tmp/logs -cf - . > "$ports/logs"
fi
echo "status $status" > "$ports/result"
poweroff -ff
