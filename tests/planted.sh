#!/usr/bin/env bash
# The test of the tests: each patch in tests/planted/ breaks one thing in the header, or in a source
# of bench/, and the program that it names must fail then.
#
# usage: tests/planted.sh [PATCH...]
#        tests/planted.sh --table       the table of them, as tests/README.md has it
#   PATCH  parts of names of patches; default all
#   BUILD  (environment) a folder for all output, default build
#   JOBS   (environment) how many are tried at a time, default 2
#
# A patch begins with two lines, "What: ..." and "Caught by: PROGRAM [ARGUMENT...]"; the program is
# one of the tests, of the model checker's as relacy/NAME, of the tests with delays at random as
# perturbed/NAME, a fuzzer as fuzz/NAME, whose kept inputs must fail, or new ones in 30 s, or a
# script as NAME.sh. Prints a line for each patch; the last line has the counts. Exit status: 0
# there are some, and all were caught.

cd "$(dirname "$0")/.." || exit 1

table() {
    printf '| bug | caught by |\n| --- | --- |\n'
    for patch in tests/planted/*.patch; do
        sed -n '1s/^What: \(.*\)/| \1 /p; 2s/^Caught by: \(.*\)/| `\1` |/p' "$patch" |
            paste -s -d ''
    done
}
[ "${1-}" != --table ] || { table; exit; }

export PLANTED=${BUILD:-build}/planted SARK_TEST_SCALE=40 SARK_TEST_SEED=1000
# Nothing is weakened, but so the model checker ends with the first failure (relacy/scenario.h).
export RELACY_WEAKEN="none 1 1 relaxed" RELACY_COMPLETE=1 RELACY_RANDOM=50000
export BUILD=build FUZZ_SECONDS=30
limit_s=120
export limit_s

# Makes a tree that has the bug, and the program in it. Prints the program's path.
built() {
    local tree=$PLANTED/$1 program=$2 name sanitizer=
    rm -rf "$tree"
    mkdir -p "$tree/bench" || return
    for name in Makefile tests; do ln -s "$PWD/$name" "$tree/$name"; done
    cp sark_cache.h "$tree"
    cp bench/*.[ch] "$tree/bench"
    patch -s -p1 -d "$tree" <"tests/planted/$1.patch" || return
    case $program in
        *.sh) echo "$tree/tests/$program"; return ;;
        relacy/* | fuzz/*) program=build/$program ;;
        perturbed/*) program=build/gcc-$program sanitizer=perturbed ;;
        *) program=build/gcc-plain/$program ;;
    esac
    make -s -C "$tree" CC=gcc SAN=$sanitizer BUILD=build "$program" >/dev/null || return
    case $program in build/fuzz/*) program=tests/fuzz.sh ;; esac
    echo "$tree/$program"
}

# Whether a bug is caught.
try() {
    local patch=$1 by program path status begun=$SECONDS
    by=$(sed -n 's/^Caught by: //p' "tests/planted/$patch.patch")
    program=${by%% *}
    if ! path=$(built "$patch" "$program" 2>"$PLANTED/$patch.log"); then
        echo "FAIL $patch: it cannot be built ($PLANTED/$patch.log)"
        return
    fi
    # shellcheck disable=SC2086 # arguments, or none
    case $by in
        fuzz/*) set -- "${by#fuzz/}" ;;
        *\ *) set -- ${by#* } ;;
        *) set -- ;;
    esac
    timeout $limit_s "$path" "$@" >"$PLANTED/$patch.log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        echo "FAIL $patch: $by does not catch it"
    elif [[ $status -eq 124 && $by == */* ]]; then # others hang only where they are broken
        echo "FAIL $patch: $by runs out of time"
    else
        echo "ok   $patch: $by, $((SECONDS - begun)) s"
    fi
    rm -rf "${PLANTED:?}/$patch"
}
export -f built try

mkdir -p "$PLANTED" || exit 1
found=$(mktemp)
trap 'rm -f "$found"' EXIT
for patch in tests/planted/*.patch; do
    name=$(basename "$patch" .patch)
    [ $# -eq 0 ] && echo "$name"
    for part in "$@"; do case $name in *"$part"*) echo "$name" ;; esac done
done | xargs -P "${JOBS:-2}" -I {} bash -c 'try "$1"' try {} 2>/dev/null | tee "$found"
failed=$(grep -c '^FAIL' "$found")
passed=$(grep -c '^ok' "$found")
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
