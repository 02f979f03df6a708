#!/usr/bin/env bash
# Which branches of sark_cache.h the tests take, and which conditions they show to decide alone
# (MC/DC): what they do not must be in tests/coverage_gaps.txt, with the reason.
#
# usage: tests/coverage.sh [SCRATCH]
#   SCRATCH  a folder for all output, default build/coverage; what was counted stays there
#   JOBS     (environment) programs at a time, default 1
#
# Each program is compiled with its own copy of the header, some with other macros: code that
# only narrow targets have is counted in theirs. What no program compiles (another processor's
# counter) is not counted at all. Copies of a function that are the same count together. Left out
# are programs that measure time, and those that add nothing to what these do.
#
# Exit status: 0 no gap without a reason, 1 some, 77 cannot run here (one line says why).

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
export SCRATCH=${1:-build/coverage} SARK_TEST_SCALE=2 SARK_TEST_SEED=1
# Counters that threads share must be exact: a branch not taken is a difference of two.
export FLAGS='-std=gnu11 -O0 -fprofile-instr-generate -fprofile-update=atomic -fcoverage-mapping
    -fcoverage-mcdc -w -pthread -I. -Itests'
export CHILDREN='tests/coverage_part.c -Wl,--wrap=fork,--wrap=_exit'

for tool in clang-19 llvm-profdata-19 llvm-cov-19 jq; do
    command -v $tool >/dev/null && continue
    echo "not run: coverage ($tool is missing)"
    exit 77
done

programs() {
    local source
    for source in tests/unit_*.c tests/api_*.c tests/fault_*.c tests/model_bytes.c \
        tests/model_moving.c tests/model_narrow.c tests/schedules.c tests/stress_fork.c \
        tests/stress_life.c; do
        [ ! -e "$source" ] || basename "$source" .c
    done
}

# Builds a program and runs it. It is compiled from stdin, so that the names of static functions do
# not tell the programs apart. The children of a fork add to the program's profile (%m).
run() {
    local at=$SCRATCH/$1
    # shellcheck disable=SC2086 # several words
    clang-19 $FLAGS -x c - -x none $CHILDREN -o "$at" <"tests/$1.c" >"$at.log" 2>&1 &&
        LLVM_PROFILE_FILE=$at.%m.profraw timeout 300 "$at" >"$at.log" 2>&1 </dev/null
}
export -f run

# What a program that fails has counted cannot be relied on.
ran() {
    [ -e "$SCRATCH/$1.failed" ] || return 0
    tail -n 20 "$SCRATCH/$1.log"
    return 1
}

# What all programs counted, as it shows in the code of one: lines of coverage.jq, and
#     line NUMBER COUNT
counts() {
    local export="llvm-cov-19 export $SCRATCH/$1 -instr-profile $SCRATCH/all.profdata"
    $export -format=text -sources sark_cache.h 2>"$SCRATCH/$1.log" |
        jq -r -f tests/coverage.jq || return
    $export -format=lcov -sources sark_cache.h 2>>"$SCRATCH/$1.log" | awk -F '[:,]' -v OFS='\t' '
        $1 == "SF" { is_header = /\/sark_cache.h$/ }
        $1 == "DA" && is_header { print "line", $2, $3 }'
}

merge() {
    llvm-profdata-19 merge "$SCRATCH"/*.profraw -o "$SCRATCH/all.profdata" || return
    for program in $(programs); do counts "$program" || return; done >"$SCRATCH/counts"
}

# The lines of a kind in the comparison; none is right.
none() {
    ! grep "^$1: " "$SCRATCH/compared"
}

rm -rf "$SCRATCH"
mkdir -p "$SCRATCH" || exit 1
programs | xargs -P "${JOBS:-1}" -I {} bash -c 'run {} || touch "$SCRATCH/{}.failed"'
for program in $(programs); do check "$program" ran "$program"; done
check "the counts of all programs are merged" merge
awk -f tests/coverage.awk sark_cache.h tests/coverage_gaps.txt "$SCRATCH/counts" \
    >"$SCRATCH/compared"
check "the counts are compared with the gaps" grep -q '^MC/DC' "$SCRATCH/compared"
check "what is not reached has its reason in tests/coverage_gaps.txt" none unreached
check "each reason there is for something that is not reached" none stale
grep -v '^unreached: \|^stale: ' "$SCRATCH/compared"
summary
