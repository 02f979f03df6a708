#!/usr/bin/env bash
# Weakens each order in the header, one at a time, and runs the model checker's scenarios that
# tests/README.md names for its edges, until one fails. What survives must be argued there or at its
# use; or its comment gives a reason for relaxed (R1 to R5), where the vocabulary has no such
# operation.
#
# usage: tests/mutate.sh [LINE...]
#   LINE    only the operations that stand there in sark_cache.h
#   BUILD   (environment) the folder with relacy/, which make has built; default build
#   JOBS    (environment) mutants that run at a time; default 2
#   RELACY_RANDOM (environment) executions of each scenario; default 50000
#
# Prints a line for each: where, what, its edges, and which scenario it fails. The last line has the
# counts. Exit status: 0 there are some, and none survived unexplained.

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build} RELACY_RANDOM=${RELACY_RANDOM:-50000}
jobs=${JOBS:-2}

# The operations of the lock-free core: FIRST LAST FUNCTION OPERATION EDGES. They end where their
# parentheses close; the edges stand in the comment, which may begin up to two lines above.
operations() {
    awk '
    /^\/\* ---- >>hash/ { on = 1 }
    /^[A-Za-z].*\(/ && !/;$/ { match($0, /[a-z_0-9]+\(/); name = substr($0, RSTART, RLENGTH - 1) }
    { text[NR] = $0; owner[NR] = name; code[NR] = $0; gsub(/\/\*[^*]*(\*\/|$)/, "", code[NR]) }
    on { last = NR; first = first ? first : NR }
    END { for (n = first; n <= last; n++) find(n) }

    function find(n,    rest, at, op) {
        rest = code[n]
        while (match(rest, /sarki_(load|store|cas|add|sub|or|and|xor)[a-z0-9]*_[a-z_]+\(/)) {
            op = substr(rest, RSTART + 6, RLENGTH - 7)
            at = length(code[n]) - length(rest) + RSTART
            rest = substr(rest, RSTART + RLENGTH)
            if (op !~ /_relaxed$/) print n, closes(n, at), owner[n], op, edges(n)
        }
    }
    function closes(n, at,    depth, i, c) {
        for (; n <= last; n++) {
            for (i = at; i <= length(code[n]); i++) {
                c = substr(code[n], i, 1)
                if (c == "(") depth++
                if (c == ")" && --depth == 0) return n
            }
            at = 1
        }
    }
    function edges(n,    i, said, found) {
        for (i = n; i >= n - 2 && said !~ /order:/; i--) said = text[i] " " said
        sub(/.*order:/, "", said)
        sub(/\*\/.*/, "", said)
        while (match(said, /[ER][0-9]+/)) {
            found = found (found ? "," : "") substr(said, RSTART, RLENGTH)
            said = substr(said, RSTART + RLENGTH)
        }
        return found ? found : "-"
    }' sark_cache.h
}

# The same of the numbers of two halves, in which C11's own operations stand: LINE LINE FUNCTION
# OPERATION halves.
operations_on_halves() {
    awk '
    /^#else .* no lock-free 64-bit atomics/ { on = 1 }
    on && /^#endif/ { exit }
    /^[A-Za-z].*\(/ && !/;$/ { match($0, /[a-z_0-9]+\(/); name = substr($0, RSTART, RLENGTH - 1) }
    match($0, /atomic_[a-z_]+_explicit/) { op = substr($0, RSTART + 7, RLENGTH - 16) }
    on && match($0, /memory_order_(seq_cst|acq_rel|acquire|release)/) {
        print NR, NR, name, op substr($0, RSTART + 12, RLENGTH - 12), "halves"
    }' sark_cache.h
}

order_of() {
    grep -oE '(seq_cst|acq_rel|acquire|release)$' <<<"$1"
}

# The next weaker orders of an operation.
weaker() {
    case $1 in
        load*_seq_cst) echo acquire ;;
        store*_seq_cst) echo release ;;
        *_seq_cst) echo acq_rel ;;
        *_acq_rel) echo acquire release ;;
        *) echo relaxed ;;
    esac
}

# The scenarios that tests/README.md has for some edges: one a line.
scenarios() {
    awk -F ' *[|] *' -v edges="$1" '
    BEGIN { split(edges, edge, ","); for (i in edge) wanted[edge[i]] = 1 }
    /^\| E[0-9]+ \|/ && $2 in wanted { print $3 }' tests/README.md | sed 's/; /\n/g'
}

# Runs some scenarios, until one fails, with RELACY_WEAKEN set. Prints which one that was. Status:
# 0 one failed, 1 none did, 2 the weakened operation was never met.
scenario_that_fails() {
    local source program said status=2
    export RELACY_ONLY=${1//$'\n'/;}
    for source in $(grep -lF "$(sed 's/.*/"&"/' <<<"$1")" tests/relacy/*.cpp); do
        program=$(basename "$source" .cpp)
        said=$(timeout 600 "$BUILD/relacy/$program" 2>&1)
        said=$(grep -m 1 '^FAIL \|ran 0 times' <<<"$said")
        case $said in
            FAIL*)
                sed "s/^FAIL \(.*\): [^:]*: [^:]*$/\1 ($program)/" <<<"$said"
                return 0
                ;;
            *"ran 0 times"*) ;;
            *) status=1 ;;
        esac
    done
    return $status
}

# The same for a number of two halves, of which the checker's program has the code inside: it is
# built with the order weakened in a header of its own.
halves_fail() {
    local line=$1 from=$2 to=$3 tree said
    tree=$(mktemp -d)
    ln -s "$PWD/Makefile" "$PWD/tests" "$tree"
    sed "${line}s/memory_order_$from/memory_order_$to/" sark_cache.h >"$tree/sark_cache.h"
    make -s -C "$tree" BUILD=build build/relacy/halves &&
        said=$(timeout 600 "$tree/build/relacy/halves" | grep -m 1 '^FAIL ')
    rm -rf "$tree"
    [ -n "$said" ] && sed 's/^FAIL \(.*\): [^:]*$/\1 (halves)/' <<<"$said"
}

# One mutant: the scenarios of its edges at random; if it survives that, longer, and completely,
# but for the long ones.
mutant() {
    local first=$1 last=$2 function=$3 operation=$4 edges=$5 order=$6 names killed='' met=2 result
    export RELACY_WEAKEN="$operation $first $last $order"
    names=$(scenarios "$edges")
    if [ "$edges" = halves ]; then
        killed=$(halves_fail "$first" "$(order_of "$operation")" "$order")
        met=$?
    elif [[ -n $names && $names != argued* ]]; then
        killed=$(scenario_that_fails "$names") ||
            killed=$(RELACY_COMPLETE=1 RELACY_RANDOM=200000 scenario_that_fails "$names")
        met=$?
    fi
    if [ -n "$killed" ]; then
        result="dies in $killed"
    elif [[ $edges == R* || $names == argued* ]] ||
        sed -n "$((first - 2)),${last}p" sark_cache.h | grep -q 'order:.*argued'; then
        result=argued
    elif [ $met -eq 2 ]; then
        result='SURVIVES: no scenario runs it'
    else
        result=SURVIVES
    fi
    printf '%s %s %s -> %s %s: %s\n' "$first" "$function" "$operation" "$order" "$edges" "$result"
}
export -f mutant scenarios scenario_that_fails halves_fail order_of

found=$(mktemp)
trap 'rm -f "$found"' EXIT
{ operations_on_halves; operations; } | while read -r first last function operation edges; do
    [ $# -eq 0 ] || [[ " $* " == *" $first "* ]] || continue
    for order in $(weaker "$operation"); do
        echo "$first $last $function $operation $edges $order"
    done
done | xargs -P "$jobs" -d '\n' -I {} bash -c 'mutant $1' mutant {} | tee "$found"
survive=$(grep -c SURVIVES "$found")
total=$(wc -l <"$found")
printf '%d passed, %d failed\n' $((total - survive)) "$survive"
[ "$survive" -eq 0 ] && [ "$total" -gt 0 ]
