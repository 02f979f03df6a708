#!/usr/bin/env bash
# Compares the hits of sark_cache, S3-FIFO and the optimum by capacity, as build/hit_ratios prints
# them, with the reference results: to the unit, and every single answer.
#
# usage: tests/hit_ratios.sh HIT_RATIOS EXPECTED TRACES
#   HIT_RATIOS  the program
#   EXPECTED    table: trace,capacity,policy,requests,hits,fnv1a64
#   TRACES      folder with TRACE.txt.gz for each trace of the table

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
[ $# -eq 3 ] || { echo "usage: $0 HIT_RATIOS EXPECTED TRACES" >&2; exit 2; }
got=$(mktemp)
trap 'rm -f "$got"' EXIT

prints_it() { # ROW
    grep -qxF "$1" "$got" && return 0
    echo "expected $1"
    echo "got      $(grep "^${1%,*,*,*}," "$got")"
    return 1
}

"$1" "$3"/*.txt.gz >"$got" || exit 1
while IFS=, read -r trace capacity policy requests hits digest; do
    case $policy in
        LRU) policy=sark_cache ;;
        S3FIFO | OPT) ;;
        *) continue ;;
    esac
    check "hits of $policy on $trace, $capacity entries" \
        prints_it "$trace,$capacity,$policy,$requests,$hits,$digest"
done <"$2"
if [ $((passed + failed)) -eq 0 ]; then
    echo "$2 has no row of LRU, S3FIFO or OPT"
    failed=1
fi
summary
