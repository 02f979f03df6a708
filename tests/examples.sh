#!/usr/bin/env bash
# Compiles and runs each example by the command line that its own first comment gives, in a copy of
# the tree, and compares what it prints with what that comment promises.
#
# usage: tests/examples.sh [SCRATCH]
#   SCRATCH  a folder for the copy, default build/examples

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
scratch=${1:-build/examples}

# The indented lines below a heading of an example's first comment: told FILE HEADING
told() {
    awk -v heading="$2" '
        index($0, "*/") { exit }
        found && /^       / { print substr($0, 8); next }
        found { found = 0 }
        index($0, "   " heading) == 1 { found = 1 }
    ' "$1"
}

runs_as_promised() {
    command=$(told "$1" 'Compile and run')
    promised=$(told "$1" 'Prints:')
    if [ -z "$command" ] || [ -z "$promised" ]; then
        echo "no command or no output in $1"
        return 1
    fi
    echo "$command"
    if ! printed=$(cd "$scratch" && timeout 60 sh -c "$command" 2>&1); then
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
cp examples/*.c "$scratch/examples/"
for example in examples/*.c; do
    check "$example prints what it promises" runs_as_promised "$example"
    check "$example has at most 80 lines" is_short "$example"
done
summary
