#!/bin/sh
# Runs a command ($@) in the near one of two hosts, as soon as the far one can be reached, and tells that one how it ended.
set -u
/automdev/pair/up.sh near || exit
tries=0
until ssh -o ConnectTimeout=5 far true; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || exit 1
    sleep 2
done
"$@"
status=$?
ssh far "echo $status > /run/pair-status"
exit $status
