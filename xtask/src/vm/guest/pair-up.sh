#!/bin/sh
# Runs in one of two hosts, $1, near (10.0.0.1) or far (10.0.0.2): brings up the network that they share, and lets each log
# in to both with the key that came along.
set -eu
name=$1
case $name in
    near) number=1 ;;
    far) number=2 ;;
esac

hostname "$name"
cat > /etc/hosts <<'END'
127.0.0.1 localhost
10.0.0.1 near
10.0.0.2 far
END
# udev gives the card another name, soon after it is there.
until ls -d /sys/class/net/e* > /dev/null 2>&1; do sleep 0.2; done
udevadm settle
link=$(ls -d /sys/class/net/e*)
link=${link##*/}
ip address add "10.0.0.$number/24" dev "$link"
ip link set "$link" up

keys=/automdev/pair
mkdir -p /root/.ssh /run/sshd
chmod 0700 /root/.ssh
install -m 0600 "$keys/key" /root/.ssh/id_ed25519
install -m 0600 "$keys/key.pub" /root/.ssh/authorized_keys
install -m 0600 "$keys/key" /etc/ssh/ssh_host_ed25519_key
echo "near,far $(cat "$keys/key.pub")" > /root/.ssh/known_hosts
systemctl start ssh.service

# Neither has one of its own to tell, and libvirt does not migrate to the host that it comes from.
echo "host_uuid = \"d1e2f3a4-0000-4000-8000-00000000000$number\"" >> /etc/libvirt/libvirtd.conf
systemctl restart libvirtd.service

# A parent that has another name and types of other names, for domains that move from one to the other.
modprobe otty
