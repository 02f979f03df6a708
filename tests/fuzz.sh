#!/usr/bin/env bash
# Fuzzing: each program of tests/fuzz/ runs over its kept inputs, and then over new ones, which grow
# from a copy of those: the tree stays as it is. Each prints two lines; the last line of all has the
# counts.
#
# usage: tests/fuzz.sh [--keep] [NAME...]
#   NAME          a program, default all
#   --keep        what was found joins the kept inputs, and of all as few stay as reach the same, at
#                 most 150: commit what changed in tests/fuzz/corpus/NAME then
#   FUZZ_SECONDS  (environment) how long each runs over new inputs, default 60
#   BUILD         (environment) a folder for all output, default build
#
# An input that fails is printed in base64, and kept: build/fuzz/NAME FILE runs it again.

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
build=${BUILD:-build} seconds=${FUZZ_SECONDS:-60}
options="-max_len=512 -len_control=0 -timeout=60 -rss_limit_mb=1024 -print_final_stats=1"
export ASAN_OPTIONS=quarantine_size_mb=16:$ASAN_OPTIONS
keep=
if [ "$1" = --keep ]; then
    keep=1
    shift
fi

# What the log of a fuzzer says beside its progress, and the input that failed.
complain() {
    grep -av '^#[0-9]' "$1" | head -n 60 | sed 's/^/     /'
    for input in "$2"*; do
        [ -s "$input" ] || continue
        printf '     run it again: %s %s\n' "$program" "$input"
        printf '     its bytes in base64: '
        base64 -w 0 "$input"
        echo
    done
}

# The number behind a word in the log of a fuzzer, the last one: told FILE WORD
told() {
    grep -ao "$2 *[0-9]*" "$1" | tail -n 1 | grep -o '[0-9]*$'
}

# Runs a fuzzer; what fails is shown: runs LOG ARGUMENTS...
runs() {
    log=$1
    shift
    rm -f "$build/fuzz/$name-failed-"*
    # shellcheck disable=SC2086 # several options
    "$program" $options -artifact_prefix="$build/fuzz/$name-failed-" "$@" >"$log" 2>&1 </dev/null
    status=$?
}

# Of the kept inputs and what was found a few that reach as much. They are written in this order:
# who reaches most of what none before it does.
keep_inputs() {
    local merged=$build/fuzz/$name.merged
    rm -rf "$merged"
    mkdir -p "$merged"
    runs "$build/fuzz/$name.merge.log" -set_cover_merge=1 "$merged" "$kept" "$found"
    outcome $status "$name: inputs to keep are chosen"
    [ $status -eq 0 ] || return
    find "$merged" -type f -printf '%T@ %p\n' | sort -n | tail -n +151 | cut -d ' ' -f 2- |
        xargs -r rm
    rm -rf "$kept"
    mv "$merged" "$kept"
}

fuzz() {
    name=$1
    program=$build/fuzz/$name kept=tests/fuzz/corpus/$name found=$build/fuzz/$name.found
    if ! make -s BUILD="$build" "$program"; then
        outcome 1 "$name: it cannot be built"
        return
    fi
    count=$(find "$kept" -type f | wc -l)
    log=$build/fuzz/$name.kept.log
    runs "$log" -runs=0 "$kept"
    [ "$count" -gt 0 ] || status=1
    outcome $status "$name: $count kept inputs, coverage $(told "$log" cov:)"
    if [ $status -ne 0 ]; then
        complain "$log" "$build/fuzz/$name-failed-"
        return
    fi

    rm -rf "$found"
    cp -r "$kept" "$found"
    log=$build/fuzz/$name.log
    runs "$log" -max_total_time="$seconds" "$found"
    outcome $status "$name: $(told "$log" executed_units:) runs in $seconds s, $(
        told "$log" per_sec:) a second, coverage $(told "$log" cov:)"
    if [ $status -ne 0 ]; then
        complain "$log" "$build/fuzz/$name-failed-"
    elif [ -n "$keep" ]; then
        keep_inputs
    fi
}

if [ $# -eq 0 ]; then
    for source in tests/fuzz/*.c; do set -- "$@" "$(basename "$source" .c)"; done
fi
for program_name in "$@"; do fuzz "$program_name"; done
summary
