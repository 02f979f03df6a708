#!/usr/bin/env bash
# No number of the header wraps, and none is cut when it is converted, but where that is meant: runs
# some of the tests with clang's checks of all integers. tests/integer.txt lists the functions that
# wrap on purpose, and those that do so in the programs that begin before the wraps; each function
# of these must be seen to do it, which tells that those programs get there.
#
# usage: tests/integer.sh [SCRATCH]
#   SCRATCH  a folder for the outputs, default build/integer

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
scratch=${1:-build/integer}
list=tests/integer.txt
ordinary='unit_arena unit_wheel api_read api_write api_clock model_random model_bytes'
wrapping='model_wrapping unit_wrapping'
export SARK_TEST_SCALE=2 UBSAN_OPTIONS=print_stacktrace=0:halt_on_error=0

mkdir -p "$scratch" || exit 1
echo 'int main(void) { return 0; }' >"$scratch/probe.c"
if ! clang -fsanitize=integer,implicit-conversion "$scratch/probe.c" -o "$scratch/probe" \
    >/dev/null 2>&1; then
    echo 'not run: integer (clang is missing, or its checks of integers)'
    exit 77
fi

# Runs a program; its log has what the checks report.
runs() {
    clang -std=gnu11 -O1 -g1 -pthread -I. -Itests -fsanitize=integer,implicit-conversion \
        "tests/$1.c" -o "$scratch/$1" || return
    timeout 300 "$scratch/$1" >"$scratch/$1.log" 2>&1 || { tail -n 5 "$scratch/$1.log"; return 1; }
    grep -q '^[0-9]* passed, 0 failed$' "$scratch/$1.log"
}

# Functions of the header in which something was reported, by the lines told: reported KIND NAME...
# KIND is "wraps", or "else" for anything but an unsigned number or a shift that wraps.
reported() {
    local kind=$1 name
    shift
    for name in "$@"; do cat "$scratch/$name.log"; done |
        sed -n 's/.*sark_cache\.h:\([0-9]*\):[0-9]*: runtime error: /\1 /p' |
        awk -v kind="$kind" '
            NR == FNR {
                if (/^[A-Za-z].*\(/) { sub(/\(.*/, ""); sub(/.*[ *]/, ""); name = $0 }
                function_of[FNR] = name
                next
            }
            /^[0-9]+ (unsigned integer overflow|left shift of)/ == (kind == "wraps") {
                print function_of[$1] (kind == "wraps" ? "" : ": " $0)
            }' sark_cache.h - | sort -u
}

# The functions of a part of the list.
listed() {
    awk -v part="$1:" '/^[a-z]+:/ { on = $1 == part; next } on && NF { print $1 }' $list | sort -u
}

same() {
    diff "$1" "$2" | sed -n 's/^< /not listed: /p; s/^> /does not wrap: /p' | grep . && return 1
    [ -s "$1" ]
}

for program in $ordinary $wrapping; do check "$program runs" runs "$program"; done
# shellcheck disable=SC2086 # several words
{
    reported else $ordinary $wrapping >"$scratch/else"
    reported wraps $ordinary >"$scratch/ordinary"
    reported wraps $wrapping >"$scratch/wrapping"
}
listed always >"$scratch/always"
{ listed always; listed may; } | sort -u | comm -23 "$scratch/wrapping" - >"$scratch/only_wrapping"
listed near >"$scratch/near"
check "nothing but unsigned numbers wraps, and no conversion changes a value" \
    diff /dev/null "$scratch/else"
check "what wraps is listed, and nothing else" same "$scratch/ordinary" "$scratch/always"
check "what begins before its wrap gets there" same "$scratch/only_wrapping" "$scratch/near"
summary
