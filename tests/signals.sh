#!/usr/bin/env bash
# Every test passes as well where each of its threads is interrupted 1,000 times a second: runs the
# programs of a variant with tests/signals/interrupt.c loaded before them.
#
# usage: tests/signals.sh FOLDER [PROGRAM...]
#   FOLDER   where the programs lie, such as build/gcc-plain
#   PROGRAM  names; default: those with a black box, the models, and those with many threads
#   SARK_TEST_SCALE  (environment) percent of the usual lengths; a twentieth of it is run

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
folder=${1:?usage: signals.sh FOLDER [PROGRAM...]}
shift
export SARK_TEST_SCALE=$((${SARK_TEST_SCALE:-100} / 20))
[ "$SARK_TEST_SCALE" -ge 1 ] || SARK_TEST_SCALE=1
scratch=$folder/signals
object=$PWD/$scratch/interrupt.so
export SARK_SIGNALS=$PWD/$scratch/count

# Left out: programs that measure time, and models that differ in the cache's sizes only.
programs() {
    local source
    for source in tests/api_*.c tests/fault_*.c tests/model_{bytes,collide,exhaustive}.c \
        tests/stress_*.c; do
        basename "$source" .c
    done
}

# Whether a program passes, and was interrupted.
passes() {
    local status
    rm -f "$SARK_SIGNALS"
    LD_PRELOAD=$object timeout 300 "$folder/$1"
    status=$?
    [ $status -eq 0 ] || return $status
    awk '{ sum += $1 } END { print sum + 0 " signals"; exit sum == 0 }' "$SARK_SIGNALS"
}

mkdir -p "$scratch" || exit 1
check "the object that interrupts is built" gcc -std=gnu11 -Wall -Wextra -O2 -pthread -shared \
    -fPIC tests/signals/interrupt.c -o "$object" -ldl
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(programs)
total=0
for program in "$@"; do
    if ! make -s BUILD="${folder%/*}" CC=gcc SAN= "$folder/$program"; then
        outcome 1 "$program is built"
        continue
    fi
    check "$program" passes "$program"
    signals=$(sed -n 's/ signals$//p' "$check_log")
    total=$((total + ${signals:-0}))
done
check "more than 10 signals for each" [ "$total" -gt $((10 * $#)) ]
printf '  %d signals\n' "$total"
summary
