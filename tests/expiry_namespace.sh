#!/usr/bin/env bash
# Entries expire on time where the clock that goes on in sleep is far ahead of the other one, as
# after a long sleep, and where it is behind: runs the program expiry_real in time namespaces. And
# where the clocks pass 31 and 32 bits of milliseconds and of seconds: runs expiry_marks there, also
# built for 32 bits, with 64 bits of time and without.
#
#     tests/expiry_namespace.sh build/expiry_real build/expiry_marks
#
# Exit status: 0 passed, 1 failed, 77 cannot run here (one line says why).

real=${1:?usage: expiry_namespace.sh EXPIRY_REAL EXPIRY_MARKS}
marks=${2:?usage: expiry_namespace.sh EXPIRY_REAL EXPIRY_MARKS}
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unshare=unshare
if ! $unshare -T true 2>/dev/null; then
    unshare="unshare -U -r" # as a user who may not do more
    if ! $unshare -T true 2>/dev/null; then
        echo "not run: expiry_namespace (no time namespace can be made here)"
        exit 77
    fi
fi

failed=0
# What a command in a time namespace comes to: check NAME UNSHARE_OPTION... -- COMMAND...
check() {
    local name=$1 said
    shift
    if said=$($unshare -T "$@" 2>&1); then
        echo "ok   expiry_namespace $name"
    else
        echo "$said"
        echo "FAIL expiry_namespace $name"
        failed=1
    fi
}

# Both clocks reach a mark, in seconds, five seconds from now: check_mark NAME MARK_S COMMAND...
check_mark() {
    local name=$1 mark_s=$2 up_s offset
    shift 2
    read -r up_s _ </proc/uptime
    offset=$((${mark_s%.*} - ${up_s%.*} - 5))
    check "$name" --monotonic $offset --boottime $offset -- "$@" \
        "$(awk -v mark="$mark_s" 'BEGIN { printf "%.0f", mark * 1000 }')"
}

# The same with a program for 32 bits: check_narrow TARGET COMPILER LAUNCHER FLAG...
check_narrow() {
    local name=$1 compiler=$2 launcher=$3 program=$scratch/marks why
    shift 3
    if ! why=$($compiler -std=gnu11 -O2 -pthread -I. -Itests -static "$@" tests/expiry_marks.c \
        -o "$program" 2>&1); then
        echo "not run: expiry_namespace $name (it cannot be built: $(head -n 1 <<<"$why"))"
        return
    fi
    "$program" >/dev/null 2>&1 && launcher= # this machine runs it by itself
    if [ -n "$launcher" ] && ! command -v "$launcher" >/dev/null; then
        echo "not run: expiry_namespace $name ($launcher is missing)"
        return
    fi
    # shellcheck disable=SC2086 # no word where there is no launcher
    check_mark "$name" 2147483648 $launcher "$program"
}

check ten_days_asleep --boottime 864000 -- "$real"
check boottime_behind --monotonic 864000 -- "$real"
check both_ahead --boottime 864000 --monotonic 432000 -- "$real"
check_mark 31_bits_of_ms 2147483.648 "$marks"
check_mark 32_bits_of_ms 4294967.296 "$marks"
check_mark 31_bits_of_s 2147483648 "$marks"
check_mark 32_bits_of_s 4294967296 "$marks"
wide_time=(-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64)
check_narrow i686_32_bits_of_time i686-linux-gnu-gcc qemu-i386
check_narrow i686_64_bits_of_time i686-linux-gnu-gcc qemu-i386 "${wide_time[@]}"
check_narrow armhf_32_bits_of_time arm-linux-gnueabihf-gcc qemu-arm
check_narrow armhf_64_bits_of_time arm-linux-gnueabihf-gcc qemu-arm "${wide_time[@]}"
exit $failed
