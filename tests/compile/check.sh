#!/usr/bin/env bash
# Compiles the consumers of this folder: every language version, compiler and way of including the
# header that a user may have. Each compilation, and each run of what it made, is a check.
#
# usage: tests/compile/check.sh [SCRATCH]
#   SCRATCH  a folder for the outputs, default build/compile

cd "$(dirname "$0")/../.." || exit 1
. tests/count.sh
. tests/warnings.sh
scratch=${1:-build/compile}
mkdir -p "$scratch" || exit 1
here=tests/compile
posix=-D_POSIX_C_SOURCE=200809L

# Without POSIX the implementation stops with one sentence that says what to do; -pthread alone
# makes glibc declare an old one.
stops_without_posix() {
    local threads
    for threads in "" -pthread; do
        # shellcheck disable=SC2086 # no word where there is no option
        "$1" -std=c11 $threads -I. -fsyntax-only $here/implementation.c 2>"$scratch/bare.txt" &&
            return 1
        cat "$scratch/bare.txt"
        [ "$(grep -c ' error: ' "$scratch/bare.txt")" -eq 1 ] || return 1
        grep ' error: ' "$scratch/bare.txt" | grep -q '_POSIX_C_SOURCE=200809L' || return 1
    done
}

# Nothing private is left in the preprocessor but the guard against a second implementation, and no
# feature-test macro is set.
leaves_no_macro() {
    "$1" -std=c11 $posix -I. -E -dM $here/implementation.c |
        grep -E '^#define (SARKI|sarki)' | grep -v '_IMPLEMENTED ' && return 1
    "$1" -std=c11 -I. -E -dM $here/declarations.c |
        grep -E '^#define (_GNU_SOURCE|_POSIX_C_SOURCE|_DEFAULT_SOURCE|_XOPEN_SOURCE) ' \
            >"$scratch/after.txt"
    "$1" -std=c11 -E -dM -include stdbool.h -include stddef.h -include stdint.h -x c /dev/null |
        grep -E '^#define (_GNU_SOURCE|_POSIX_C_SOURCE|_DEFAULT_SOURCE|_XOPEN_SOURCE) ' \
            >"$scratch/before.txt"
    diff "$scratch/before.txt" "$scratch/after.txt"
}

in_c() {
    compiler=$1
    strict=$(strict_for "$compiler" c)
    for standard in c11 c17 gnu11 gnu17; do
        check "$compiler $standard: declarations alone" "$compiler" -std=$standard $strict -I. \
            -I$here -fsyntax-only $here/declarations.c
        for unit in declared_then_implemented implemented_then_declared implemented_twice \
            hostile leftovers; do
            check "$compiler $standard: $unit" "$compiler" -std=$standard $posix $strict -O0 \
                -pthread -I. -c $here/$unit.c -o "$scratch/$unit.o"
        done
    done
    check "$compiler: two units, one cache" "$compiler" -std=c11 $posix $strict -O1 -pthread -I. \
        $here/implementation.c $here/consumer.c -o "$scratch/consumer"
    check "$compiler: two units run" "$scratch/consumer"
    check "$compiler: public functions with an attribute" "$compiler" -std=c11 $posix $strict -O1 \
        -pthread -I. '-DSARK_CACHE_API=extern __attribute__((visibility("hidden")))' \
        $here/implementation.c $here/consumer.c -o "$scratch/consumer_hidden"
    check "$compiler: the other unit of private copies" "$compiler" -std=c11 $posix $strict -O1 \
        -pthread -I. -Dmain=other_main -Wno-missing-prototypes -c $here/consumer.c \
        -o "$scratch/other.o"
    check "$compiler: private copies link" "$compiler" -std=c11 $posix $strict -O1 -pthread -I. \
        $here/private.c $here/implementation.c "$scratch/other.o" -o "$scratch/private"
    check "$compiler: private copies run" "$scratch/private"
    check "$compiler: bare C11 stops with one clear sentence" stops_without_posix "$compiler"
    check "$compiler: no macro is left behind" leaves_no_macro "$compiler"
}

# The C++ consumer is linked with the implementation of the C compiler beside it.
in_cpp() {
    compiler=$1
    strict=$(strict_for "$compiler" c++)
    check "$2: implementation for the C++ consumer" "$2" -std=c11 $posix -O1 -pthread -I. \
        -c $here/implementation.c -o "$scratch/implementation.o"
    for standard in c++11 c++14 c++17 c++20; do
        check "$compiler $standard: declarations alone" "$compiler" -std=$standard $strict -I. \
            -I$here -fsyntax-only $here/declarations.cpp
        check "$compiler $standard: consumer" "$compiler" -std=$standard $strict -O1 -pthread -I. \
            $here/consumer.cpp "$scratch/implementation.o" -o "$scratch/consumer_cpp"
        check "$compiler $standard: consumer runs" "$scratch/consumer_cpp"
    done
}

in_c gcc
in_c clang
in_cpp g++ gcc
in_cpp clang++ clang
summary
