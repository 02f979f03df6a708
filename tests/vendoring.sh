#!/usr/bin/env bash
# The header alone is enough: in an empty folder, beside nothing but sark_cache.h, the program that
# the README prints is compiled and run by the line that the README gives, and prints what the
# example promises. The same with -std=c11, and with each compiler.
#
# usage: tests/vendoring.sh

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
. tests/told.sh

program=$(awk '/^```$/ { exit } found { print } /^```c$/ { found = 1 }' README.md)
command=$(awk '/^## A first program$/ { found = 1 }
    found && /^    cc / { print substr($0, 5); exit }' README.md)
posix_command=${command/-std=gnu11/-std=c11 -D_POSIX_C_SOURCE=200809L}

readme_has_both() {
    printf '%s\n%s\n' "$program" "$command"
    [ -n "$program" ] && [ -n "$command" ] && [ "$command" != "$posix_command" ]
}

# runs_alone COMPILER COMMAND_LINE
runs_alone() {
    local folder printed status
    folder=$(mktemp -d) || return 1
    cp sark_cache.h "$folder/" && printf '%s\n' "$program" >"$folder/hello.c"
    printed=$(run_told "$folder" "$1" false "$2")
    status=$?
    rm -rf "$folder"
    printf '%s\nexit status %d; promised and printed:\n' "$2" $status
    diff <(told examples/01_hello.c 'Prints:') <(printf '%s\n' "$printed") && [ $status -eq 0 ]
}

check "the README has a program and a line that compiles it" readme_has_both
for compiler in gcc clang musl-gcc; do
    if [ $compiler = musl-gcc ] && ! command -v musl-gcc >/dev/null; then
        echo "not run: vendoring with musl-gcc (no musl-gcc)"
        continue
    fi
    check "$compiler: the README's line" runs_alone $compiler "$command"
    check "$compiler: with -std=c11" runs_alone $compiler "$posix_command"
done
summary
