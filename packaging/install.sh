#!/bin/sh
# Installs automdev from its archive, or takes it away again.
set -eu

usage() {
    cat <<'END'
Usage: install.sh [--prefix DIR] [--destdir DIR] [--no-hook] [--no-units]
       install.sh --uninstall [--prefix DIR] [--destdir DIR]

  --prefix DIR    where it goes: /usr if nothing is said. libvirt's hook can only be /usr/bin/automdev; with another
                  prefix none is put in place, and automdev plan, run and the rest work. systemd looks for units
                  below /usr and /usr/local only; with another prefix they are left out
  --destdir DIR   puts every file below DIR, for an image or a package, and does nothing to this host
  --no-hook       does not put libvirt's hook in place
  --no-units      leaves the systemd units out that give back what ended domains left
  --uninstall     takes away what this script installed; settings, definitions and devices stay
END
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

prefix=/usr destdir='' hook=yes units=yes uninstall=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix=*) prefix=${1#*=} ;;
        --destdir=*) destdir=${1#*=} ;;
        --prefix | --destdir)
            [ $# -gt 1 ] || fail "$1 wants a folder"
            case $1 in --prefix) prefix=$2 ;; *) destdir=$2 ;; esac
            shift
            ;;
        --no-hook) hook=no ;;
        --no-units) units=no ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done
prefix=${prefix%/} destdir=${destdir%/}
case $prefix in
    /*) ;;
    *) fail "--prefix wants a path that begins with /" ;;
esac
case $prefix$destdir in
    *[!A-Za-z0-9/._+-]*) fail "a folder's name has characters in it that this script does not take" ;;
esac
case $prefix in
    /usr) ;;
    /usr/local) hook=no ;;
    *) hook=no units=no ;;
esac
[ -z "$destdir" ] || hook=no
cd "$(dirname "$0")"
umask 022

# The files, as they lie below the prefix.
files() {
    (cd usr && find . -type f -o -type l) | sed 's,^\./,,' | if [ "$units" = yes ]; then cat; else grep -v '^lib/systemd/'; fi
}

# Of those, the sample hosts: many small ones, and links.
hosts=share/doc/automdev/samples/hosts

# A command for each device that a domain has and that nobody removes any more.
left_by_domains() {
    for record in /run/automdev/devices/*; do
        uuid=${record##*/}
        if ls "/run/automdev/claims/$uuid" 2> /dev/null | grep -q ^domain-; then
            echo "echo 1 > /sys/bus/mdev/devices/$uuid/remove"
        fi
    done
}

# What belongs to a package is that package's.
owner() {
    if dpkg-query -S "$1" > /dev/null 2>&1; then
        echo "the package $(dpkg-query -S "$1" | cut -d: -f1)"
    elif rpm -qf "$1" > /dev/null 2>&1; then
        echo "the package $(rpm -qf "$1")"
    fi
}

if [ -z "$destdir" ]; then
    owned=$(owner "$prefix/bin/automdev")
    [ -z "$owned" ] || fail "$prefix/bin/automdev belongs to $owned; remove that first"
fi
# Whether this host is told about its new units.
running=no
if [ -z "$destdir" ] && [ "$units" = yes ] && [ -d /run/systemd/system ]; then
    running=yes
fi

if [ "$uninstall" = yes ]; then
    if [ "$running" = yes ]; then
        systemctl disable --quiet --now automdev-reconcile.timer automdev-reconcile.service 2> /dev/null || true
    fi
    # It warns of domains that have devices. Without a program there is no hook either that could fail.
    if [ "$hook" = yes ] && [ -x "$prefix/bin/automdev" ]; then
        "$prefix/bin/automdev" uninstall-hook --reload || true
        left=$(left_by_domains)
        if [ -n "$left" ]; then
            echo "domains go on running; install automdev again before they stop, or remove what they leave by hand:"
            echo "$left"
        fi
        rmdir /etc/libvirt/hooks/qemu.d 2> /dev/null || true
    fi
    files | sed "s,^,$destdir$prefix/," | xargs rm -f
    # The folders that are of nobody else.
    find "$destdir$prefix/share/doc/automdev" -depth -type d -empty -delete 2> /dev/null || true
    # What stands there of devices that are still in use is for whoever installs it again.
    if [ -z "$destdir$(find /run/automdev -path /run/automdev/locks -prune -o -type f -print 2> /dev/null)" ]; then
        rm -rf /run/automdev
    fi
    if [ "$running" = yes ]; then
        systemctl daemon-reload
    fi
    echo "automdev is removed from $destdir$prefix"
    exit 0
fi

# Who has switched a unit off finds it off after an upgrade.
new=yes
[ ! -e "$destdir$prefix/lib/systemd/system/automdev-reconcile.timer" ] || new=no
files | grep -v "^$hosts/" | while read -r file; do
    to=$destdir$prefix/$file
    mkdir -p "$(dirname "$to")"
    # In one step: the program may be called at any time.
    cp "usr/$file" "$to.new"
    case $file in
        bin/*) chmod 0755 "$to.new" ;;
        *) chmod 0644 "$to.new" ;;
    esac
    case $file in
        *.service) sed "s,^ExecStart=/usr/bin/,ExecStart=$prefix/bin/," "usr/$file" > "$to.new" ;;
    esac
    mv -f "$to.new" "$to"
done
rm -rf "$destdir$prefix/$hosts"
cp -RP "usr/$hosts" "$destdir$prefix/$hosts"
chmod -R u=rwX,go=rX "$destdir$prefix/$hosts"
if [ "$running" = yes ]; then
    systemctl daemon-reload
    if [ "$new" = yes ]; then
        systemctl enable --quiet automdev-reconcile.service
        systemctl enable --quiet --now automdev-reconcile.timer
    fi
fi
echo "automdev is installed in $destdir$prefix"
if [ "$hook" = yes ]; then
    if [ -d /etc/libvirt ]; then
        "$prefix/bin/automdev" install-hook --reload
    else
        echo "there is no libvirt yet; once there is: automdev install-hook --reload"
    fi
elif [ -z "$destdir" ]; then
    echo "libvirt's hook is not put in place"
fi
