#!/usr/bin/env bash
# Replays traces and compares hits, and the digest over every single answer, with the reference
# results: LRU at every capacity, and LRU_TTL_EAGER where the trace has TTLs, at several numbers of
# shards. To the unit, or it fails.
#
# usage: tests/exact.sh REPLAY EXPECTED TRACES
#   REPLAY    the replay program
#   EXPECTED  table: trace,capacity,policy,requests,hits,fnv1a64
#   TRACES    folder with TRACE.txt.gz or TRACE.txt for each trace of the table
#   SHARDS    (environment) numbers of shards to try, default "1 4 64"

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
[ $# -eq 3 ] || { echo "usage: $0 REPLAY EXPECTED TRACES" >&2; exit 2; }
replay=$1 expected=$2 traces=$3
[ -r "$expected" ] || { echo "$0: no table $expected" >&2; exit 2; }

# One replay against one row of the table:
# replays_to TRACE CAPACITY POLICY REQUESTS HITS DIGEST SHARDS
replays_to() {
    file=$traces/$1.txt.gz
    [ -r "$file" ] || file=$traces/$1.txt
    ttl=
    [ "$3" = LRU ] || ttl=--ttl-from-trace
    line=$(timeout 300 "$replay" --capacity "$2" --shards "$7" $ttl "$file" | tail -n 1)
    case "$line" in
        "requests=$4 hits=$5 misses=$(($4 - $5)) hit_ratio="*" digest=$6") return 0 ;;
    esac
    echo "expected requests=$4 hits=$5 digest=$6"
    echo "got      $line"
    return 1
}

while IFS=, read -r trace capacity policy requests hits digest; do
    case $policy in LRU | LRU_TTL_EAGER) ;; *) continue ;; esac
    for shards in ${SHARDS:-1 4 64}; do
        check "$trace $policy, $capacity entries, $shards shards" \
            replays_to "$trace" "$capacity" "$policy" "$requests" "$hits" "$digest" "$shards"
    done
done < <(tr -d '\r' <"$expected")
if [ $((passed + failed)) -eq 0 ]; then
    echo "$expected has no row of LRU"
    failed=1
fi
summary
