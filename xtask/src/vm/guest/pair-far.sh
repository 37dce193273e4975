#!/bin/sh
# Runs in the far one of two hosts: is there until the near one tells how all has ended, and ends like that.
set -u
/automdev/pair/up.sh far || exit
until [ -s /run/pair-status ]; do
    sleep 1
done
exit "$(cat /run/pair-status)"
