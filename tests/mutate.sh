#!/usr/bin/env bash
# Weakens each order in the header, one at a time, and runs the model checker's scenarios until one
# fails. What survives must be argued in the header: its comment gives a reason for relaxed (R1 to
# R5), where the vocabulary has no such operation, or the row of its edge says "argued".
#
# usage: tests/mutate.sh [LINE...]
#   LINE    only the operations that stand there in sark_cache.h
#   BUILD   (environment) the folder with relacy/, which make has built; default build
#   JOBS    (environment) mutants that run at a time; default 2
#   LIMIT_S (environment) seconds for each program; default 60
#
# Prints a line for each: where, what, its edges, and which scenario it fails. The last line has the
# counts. Exit status: 0 none survived unexplained.

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build} LIMIT_S=${LIMIT_S:-60}
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

# The model checker's programs, that one first which is about an edge.
programs() {
    local about=lease source
    case $1 in
        E12* | E13*) about=resident ;;
        E[6-9]* | E11* | E14*) about=edges ;;
    esac
    echo "$BUILD/relacy/$about"
    for source in tests/relacy/*.cpp; do
        source=$(basename "$source" .cpp)
        [ "$source" = $about ] || echo "$BUILD/relacy/$source"
    done
}

# One mutant: runs the programs until one fails.
mutant() {
    local first=$1 last=$2 function=$3 operation=$4 edges=$5 order=$6 program said uses=0 killed=
    export RELACY_WEAKEN="$operation $first $last $order"
    for program in $(programs "$edges"); do
        said=$(timeout "$LIMIT_S" "$program" 2>&1)
        killed=$(sed -n 's/^FAIL \([^:]*\):.*/\1/p' <<<"$said" | head -n 1)
        [ -z "$killed" ] || break
        case $said in *"ran 0 times"*) ;; *) uses=1 ;; esac
    done
    if [ -n "$killed" ]; then
        result="dies in \"$killed\" ($(basename "$program"))"
    elif [[ $edges == R* ]] || grep -q "^   ${edges%%,*} .*argued" sark_cache.h; then
        result=argued
    elif [ $uses -eq 0 ]; then
        result='SURVIVES: no scenario runs it'
    else
        result=SURVIVES
    fi
    printf '%s %s %s -> %s %s: %s\n' "$first" "$function" "$operation" "$order" "$edges" "$result"
}
export -f mutant programs

found=$(mktemp)
trap 'rm -f "$found"' EXIT
operations | while read -r first last function operation edges; do
    [ $# -eq 0 ] || [[ " $* " == *" $first "* ]] || continue
    for order in $(weaker "$operation"); do
        echo "$first $last $function $operation $edges $order"
    done
done | xargs -P "$jobs" -d '\n' -I {} bash -c 'mutant $1' mutant {} | tee "$found"
survive=$(grep -c SURVIVES "$found")
total=$(wc -l <"$found")
printf '%d passed, %d failed\n' $((total - survive)) "$survive"
[ "$survive" -eq 0 ]
