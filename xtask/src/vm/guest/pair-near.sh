#!/bin/sh
# Runs a command ($@) in the near one of two hosts, as soon as the far one can be reached, and tells that one how it ended.
set -u
/automdev/pair/up.sh near || exit
until ssh -o ConnectTimeout=5 far true; do
    sleep 1
done
"$@"
status=$?
ssh far "echo $status > /run/pair-status"
exit $status
