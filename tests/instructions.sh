#!/usr/bin/env bash
# Instructions of a hit, a miss, a set and an insert that evicts, counted by callgrind, so that they
# do not depend on how fast or busy a machine is: at most 5 % more than in tests/instructions.txt.
#
#     tests/instructions.sh build/instructions

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
program=${1:?usage: instructions.sh build/instructions}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" "$check_log"' EXIT

# Of libc's copies and comparisons those that any x86-64 has, so that the counts are the same.
plain=-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load,-MOVBE,-BMI2,-ERMS,-FSRM
export GLIBC_TUNABLES=glibc.cpu.hwcaps=$plain,-SSSE3,-SSE4_1,-SSE4_2

# Instructions of the whole program that makes so many calls: count KIND CALLS
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" \
        >"$scratch/said" 2>&1 || { cat "$scratch/said"; return 1; }
    awk '/Collected/ { print $NF }' "$scratch/said"
}

# at_most KIND CEILING
at_most() {
    local fewer more calls=5000 each
    fewer=$(count "$1" $calls) && more=$(count "$1" $((3 * calls))) || return 1
    each=$(((more - fewer) / (2 * calls)))
    echo "$1: $each instructions, at most $2" | tee -a "$scratch/counts"
    [ "$each" -gt 0 ] && [ "$each" -le "$2" ]
}

while read -r kind today; do
    check "instructions of $kind" at_most "$kind" $((today * 105 / 100))
done < <(grep -v '^#' tests/instructions.txt)
cat "$scratch/counts"
summary
