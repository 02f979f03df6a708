#!/bin/sh
# Entries expire on time where the clock that goes on in sleep is far ahead of the other one, as
# after a long sleep, and where it is behind: runs the program expiry_real in time namespaces.
#
#     tests/expiry_namespace.sh build/expiry_real
#
# Exit status: 0 passed, 1 failed, 77 cannot run here (one line says why).

set -u
program=${1:?usage: expiry_namespace.sh PROGRAM}

unshare=unshare
if ! $unshare -T true 2>/dev/null; then
    unshare="unshare -U -r" # as a user who may not do more
    if ! $unshare -T true 2>/dev/null; then
        echo "not run: expiry_namespace (no time namespace can be made here)"
        exit 77
    fi
fi

failed=0
# check NAME OFFSETS...
check() {
    name=$1
    shift
    if said=$($unshare -T "$@" "$program" 2>&1); then
        echo "ok   expiry_namespace $name"
    else
        echo "$said"
        echo "FAIL expiry_namespace $name"
        failed=1
    fi
}

check ten_days_asleep --boottime 864000
check boottime_behind --monotonic 864000
check both_ahead --boottime 864000 --monotonic 432000
exit $failed
