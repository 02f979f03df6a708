#!/usr/bin/env bash
# Compiles and runs each example by the command line that its own first comment gives, in a copy of
# the tree, and compares what it prints with what that comment promises. Its cc (and c++) is gcc and
# then clang, with warnings that are errors. A file *_part.c belongs to the example that names it.
#
# usage: tests/examples.sh [SCRATCH]
#   SCRATCH  a folder for the copy, default build/examples

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
. tests/told.sh
scratch=${1:-build/examples}
warnings='-Wall -Wextra -Wconversion -Werror'

runs_as_promised() {
    local command promised printed
    command=$(told "$1" 'Compile and run')
    promised=$(told "$1" 'Prints:')
    if [ -z "$command" ] || [ -z "$promised" ]; then
        echo "no command or no output in $1"
        return 1
    fi
    echo "$command"
    if ! printed=$(run_told "$scratch" "$2 $warnings" "$3 $warnings" "$command"); then
        printf 'it failed:\n%s\n' "$printed"
        return 1
    fi
    diff <(printf '%s\n' "$promised") <(printf '%s\n' "$printed")
}

is_short() {
    [ "$(wc -l <"$1")" -le 80 ]
}

rm -rf "$scratch"
mkdir -p "$scratch/examples" || exit 1
cp sark_cache.h "$scratch/"
cp examples/* "$scratch/examples/"
for example in examples/*; do
    check "$example has at most 80 lines" is_short "$example"
    [[ $example == *_part.c ]] && continue
    check "$example prints what it promises, gcc" runs_as_promised "$example" gcc g++
    check "$example prints what it promises, clang" runs_as_promised "$example" clang clang++
done
summary
