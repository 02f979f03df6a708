#!/usr/bin/env bash
# The replay program's input: a bad trace is named with file, line and what is wrong, exit status 2;
# a good one gives the same answer from a file, compressed or not, and from standard input.
#
# usage: tests/replay.sh REPLAY

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
replay=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$check_log" "$scratch"' EXIT

# Ends with status 2 and one message that names the place and the fault:
# refuses PLACE FAULT ARGUMENT...
refuses() {
    place=$1 fault=$2
    shift 2
    "$replay" "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    cat "$scratch/out" "$scratch/err"
    [ $status -eq 2 ] && [ ! -s "$scratch/out" ] &&
        head -n 1 "$scratch/err" | grep -F -e "$place" | grep -qF -e "$fault"
}

# A trace whose third line is bad: bad_line LINE MESSAGE
bad_line() {
    printf '0 a 1 1 get\n0 b - - -\n%b\n9 c - - get\n' "$1" >"$scratch/bad.txt"
    check "bad line: $2" refuses "$scratch/bad.txt:3: " "$2" --capacity 10 "$scratch/bad.txt"
}

last_line_is() {
    wanted=$1
    shift
    "$replay" "$@" >"$scratch/out" || return 1
    cat "$scratch/out"
    # shellcheck disable=SC2053 # a pattern
    [[ $(tail -n 1 "$scratch/out") == $wanted ]]
}

from_standard_input() {
    last_line_is "$good" --capacity 2 - <"$1"
}

bad_line '1 c - -' '4 fields'
bad_line '1 c - - get more' '6 fields'
bad_line '1  c - - get' 'empty'
bad_line '' 'empty line'
bad_line 'x c - - get' 'ts "x"'
bad_line '-1 c - - get' 'ts'
bad_line '1 c x - get' 'size "x"'
bad_line '1 c 99999999999999999999 - get' 'too large'
bad_line '1 c - 0 get' 'ttl 0'
bad_line '1 c - 1.5 get' 'ttl "1.5"'
bad_line '1 c - - put' 'op "put"'
bad_line "1 $(printf '%070000d' 0) - - get" 'a key of 70000 bytes'
printf '5 a - - get\n4 b - - get\n' >"$scratch/back.txt"
check "time that goes back" refuses "$scratch/back.txt:2: " 'less than 5' \
    --capacity 10 "$scratch/back.txt"
check "no such file" refuses "$scratch/none.txt" 'No such file' --capacity 10 "$scratch/none.txt"
gzip -c bench/traces/expected.csv | head -c 100 >"$scratch/cut.txt.gz"
check "a compressed file that ends too early" refuses '' '' --capacity 10 "$scratch/cut.txt.gz"
check "no number where one is wanted" refuses --capacity 'not "x"' \
    --capacity x "$scratch/back.txt"
check "an unknown option" refuses '' '' --nothing "$scratch/back.txt"
check "no file" refuses '' '' --capacity 10

# Room for two of three keys: a b a hit, c evicts b, b misses and evicts a, a misses.
printf -- '- %s - - -\n' a b a c b a >"$scratch/good.txt"
gzip -k "$scratch/good.txt"
good='requests=6 hits=1 misses=5 hit_ratio=0.166667 digest=????????????????'
check "a plain file" last_line_is "$good" --capacity 2 "$scratch/good.txt"
check "a compressed file" last_line_is "$good" --capacity 2 "$scratch/good.txt.gz"
check "standard input" from_standard_input "$scratch/good.txt"
check "standard input, compressed" from_standard_input "$scratch/good.txt.gz"
check "several threads: no digest" last_line_is 'requests=6 * digest=-' \
    --capacity 2 --threads 2 "$scratch/good.txt"
check "a limit in bytes" last_line_is 'requests=6 hits=3 misses=3 hit_ratio=0.500000 digest=*' \
    --bytes 1000000 "$scratch/good.txt"
summary
