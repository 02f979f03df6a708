#!/usr/bin/env bash
# The rules of writing that a machine can keep. Each rule is a check.
#
# usage: tests/lint.sh [SCRATCH [PART]]
#   SCRATCH  a folder for the outputs, default build/lint
#   PART     of names of checks: those alone; default all

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
. tests/warnings.sh
scratch=${1:-build/lint}
check_part=${2-}
mkdir -p "$scratch" && rm -f "$scratch"/*.o || exit 1
header=sark_cache.h
unit=tests/compile/implementation.c
posix=-D_POSIX_C_SOURCE=200809L

# Lengths of the header's functions, in lines. The last two only ever get smaller.
longest_function=70
median_function=12
ninth_tenth_function=40

# A call of the atomic vocabulary.
verbs='load|store|cas|add|sub|or|and|xor|xchg|raise'
vocabulary="sarki_($verbs)[0-9a-z]*_(relaxed|acquire|release|acq_rel|seq_cst)[(]"

# Sections of the header (>>tag) that may use the language's atomics, and that may have code for
# some targets only.
atomic_sections='atomics'
conditional_sections='base atomics platform hash'

code_files() {
    find . -path ./build -prune -o -type f \
        \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.sh' \) -print | sort
}

text_files() {
    code_files
    find Makefile README.md LICENSE .ci .clang-tidy .gitignore -type f
}

# ---- Text ---------------------------------------------------------------------------------------

columns_fit() {
    code_files | xargs awk 'length($0) > 100 { print FILENAME ":" FNR ": " length($0) " columns"
                                               bad = 1 } END { exit bad }'
}

no_tabs_or_trailing_blanks() {
    ! text_files | grep -v '^Makefile$' | xargs grep -nP '\t|[ \t]+$'
}

no_unfinished_work() {
    ! text_files | xargs grep -nE '\b(TO''DO|FIX''ME|XX''X)\b'
}

# The program in the manual and in the README, and the example without its first comment.
quick_start_is_the_example() {
    sed -n '/^   QUICK START/,/^   WHAT IT PROMISES/p' $header |
        sed -n '/#define SARK_CACHE_IMPLEMENTATION/,/^       }$/p' |
        sed 's/^       //' >"$scratch/manual.c"
    sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$scratch/readme.c"
    sed '1,/\*\/$/d' examples/01_hello.c | sed '/./,$!d' >"$scratch/example.c"
    [ -s "$scratch/example.c" ] && diff "$scratch/manual.c" "$scratch/example.c" &&
        diff "$scratch/readme.c" "$scratch/example.c"
}

# The tables of tests/README.md: each planted bug's line, and nothing else; each scenario's name.
readme_lists_planted_bugs() {
    tests/planted.sh --table >"$scratch/planted.md"
    awk '/^\| bug \| caught by \|$/ { on = 1 } on && !/^\|/ { exit } on' tests/README.md |
        diff "$scratch/planted.md" -
}

readme_names_scenarios() {
    sed -n 's/.*model_run.*("\(.*\)".*);.*/\1/p' tests/relacy/*.cpp >"$scratch/scenarios.txt"
    [ -s "$scratch/scenarios.txt" ] && while read -r name; do
        grep -qF "$name" tests/README.md || { echo "no scenario \"$name\""; return 1; }
    done <"$scratch/scenarios.txt"
}

# The table of edges: each of the header's, and no scenario that there is not.
readme_has_edges() {
    sed -n 's/^   \(E[0-9]*\) *|.*|.*|.*/\1/p' $header >"$scratch/edges.txt"
    sed -n 's/^| \(E[0-9]*\) |.*/\1/p' tests/README.md | diff "$scratch/edges.txt" - || return
    ! sed -n 's/^| E[0-9]* | \(.*\) |$/\1/p' tests/README.md | sed 's/; /\n/g' |
        grep -vxF -f "$scratch/scenarios.txt" -e 'argued in the header'
}

# ---- The header's structure ---------------------------------------------------------------------

# Prints "length line name" for each function of the header, shortest first.
function_lengths() {
    ctags --options=NONE --languages=C --langmap=C:.c.h --fields=+ne --c-kinds=f -o - \
        $header 2>/dev/null |
        awk -F '\t' '{ from = to = 0
                       for (i = 4; i <= NF; i++) {
                           if ($i ~ /^line:/) from = substr($i, 6)
                           if ($i ~ /^end:/) to = substr($i, 5)
                       }
                       if (from && to) print to - from + 1, from, $1 }' | sort -n
}

functions_are_short() {
    function_lengths >"$scratch/functions.txt"
    awk -v longest=$longest_function -v median=$median_function -v ninth=$ninth_tenth_function '
        { length_of[NR] = $1 }
        $1 > longest { printf "'$header':%d: %s has %d lines\n", $2, $3, $1; bad = 1 }
        END {
            if (NR == 0) { print "no functions found"; exit 1 }
            middle = length_of[int((NR + 1) / 2)]
            tenth = length_of[int((NR * 9 + 9) / 10)]
            printf "%d functions: median %d lines (limit %d), 90 %% within %d (limit %d), " \
                "longest %d (limit %d)\n", NR, middle, median, tenth, ninth, length_of[NR], longest
            exit bad || middle > median || tenth > ninth
        }' "$scratch/functions.txt"
}

# Each use of the atomic vocabulary outside the section that defines it states its reason: a comment
# with "order:" on the same line, on the line of code above, or in a comment above that (a statement
# may take two lines), within the function.
orders_have_reasons() {
    awk -v allowed=" $atomic_sections " -v use="$vocabulary" '
        match($0, />>[a-z_]+/) { section = substr($0, RSTART + 2, RLENGTH - 2) }
        /^[{}]/ { near = 0 }
        { code = $0; sub(/\/\*.*/, "", code) }
        /^ *\/\*/ { comment = 1 }
        /order:/ { near = 2 }
        code ~ use {
            uses++
            if (near == 0 && !index(allowed, " " section " ")) {
                print FILENAME ":" FNR ": no order: comment: " $0
                bad = 1
            }
        }
        !comment && near > 0 { near-- }
        /\*\/ *$/ { comment = 0 }
        END { print uses + 0 " uses of the vocabulary"; exit bad || !uses }' $header
}

atomics_stay_in_their_section() {
    awk -v allowed=" $atomic_sections " '
        match($0, />>[a-z_]+/) { section = substr($0, RSTART + 2, RLENGTH - 2) }
        /memory_order_|(^|[^a-z_])atomic_|__atomic_|__sync_/ && !index(allowed, " " section " ") {
            print FILENAME ":" FNR ": " $0
            bad = 1
        }
        END { exit bad }' $header
}

# Conditional compilation: in the sections above, as a guard, and for a constant or a function that
# a test may replace (#ifndef SARKI_...).
conditionals_stay_in_their_sections() {
    awk -v allowed=" $conditional_sections " '
        match($0, />>[a-z_]+/) { section = substr($0, RSTART + 2, RLENGTH - 2) }
        !/^ *# *(if|ifdef|ifndef|elif)/ { next }
        /SARK_CACHE_H$|SARK_CACHE_API|__cplusplus$|SARK_CACHE_IMPLEMENTATION/ { next }
        /^#ifndef SARKI_[A-Z_]+$/ { next }
        !index(allowed, " " section " ") { print FILENAME ":" FNR ": " $0; bad = 1 }
        END { exit bad }' $header
}

# Each function whose name says that a lock is held says which one, for the analysis of locks.
locked_functions_name_their_lock() {
    awk '/^(static|SARKI_HOT|SARKI_COLD) .*_locked\(/ && before !~ /^SARKI_(REQUIRES|ACQUIRES)\(/ {
             print FILENAME ":" FNR ": " $0; bad = 1
         }
         { before = $0 }
         END { exit bad }' $header
}

# ---- Warnings -----------------------------------------------------------------------------------

# strict: the strict warning set, as the compiler at hand knows it.

# With how much is inlined, warnings change: compiles_strictly COMPILER LEVEL
compiles_strictly() {
    "$1" -std=c11 $posix "$2" $strict -pthread -fno-pie -I. -c $unit -o "$scratch/$1$2.o"
}

# The same with assertions, and all that a target may lack.
compiles_strictly_elsewhere() {
    "$1" -std=gnu11 -O2 $strict -pthread -fno-pie -I. -DSARKI_ASSERTIONS -DSARKI_NO_WIDE \
        -DSARKI_NO_COUNTER -U__SIZEOF_INT128__ -c $unit -o "$scratch/$1-elsewhere.o"
}

# With the standard only what is understood changes: reads_strictly COMPILER STANDARD
reads_strictly() {
    "$1" -std="$2" $posix $strict -pthread -I. -fsyntax-only $unit
}

declares_strictly() {
    "$1" -std="$2" $strict -I. -fsyntax-only tests/compile/consumer.cpp
}

# Which locks are held where, as the header tells clang.
locks_are_held() {
    "$1" -std=gnu11 -Werror -Wthread-safety -pthread -I. -fsyntax-only $unit
}

# ---- The object ---------------------------------------------------------------------------------

# What a library must not have: other names than its own, state, or calls of an atomics library.
object_is_clean() {
    object=$scratch/$1$2.o
    {
        nm --defined-only --extern-only "$object" |
            awk '$3 !~ /^sark_cache_/ { print "exported: " $0 }'
        nm --defined-only "$object" | awk '$2 ~ /^[DdBbGgSsCVvu]$/ { print "writable: " $0 }'
        nm --undefined-only "$object" | awk '/__atomic_|__sync_/ { print "library call: " $0 }'
        size -A "$object" | awk '$1 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $2 > 0 {
            print "writable section: " $0 }'
    } >"$object.txt"
    cat "$object.txt"
    [ ! -s "$object.txt" ] && nm --defined-only "$object" | grep -q ' T sark_cache_create$'
}

# ---- Analysers ----------------------------------------------------------------------------------

analyser_of_gcc() {
    gcc -std=gnu11 -O0 -fanalyzer -Werror -pthread -I. -c $unit -o "$scratch/analysed.o"
}

cppcheck_is_silent() {
    cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability \
        --error-exitcode=1 --inline-suppr -D__linux__ -D__x86_64__ -D__GNUC__=12 \
        -D_POSIX_C_SOURCE=200809L -DO_CLOEXEC=02000000 -DCLOCK_MONOTONIC=1 \
        -DCLOCK_MONOTONIC_COARSE=6 -DATOMIC_LLONG_LOCK_FREE=2 -I. $unit
}

# As .clang-tidy says.
clang_tidy_is_silent() {
    clang-tidy-19 --quiet $unit -- -std=gnu11 -pthread -I.
}

# The scripts: at least warnings, as notes are mostly about words that are split on purpose.
shellcheck_is_silent() {
    find . -path ./build -prune -o -type f -name '*.sh' -exec \
        shellcheck --shell=bash --severity=warning --external-sources .ci/run {} +
}

check "at most 100 columns" columns_fit
check "no tabs, no blanks at the end of a line" no_tabs_or_trailing_blanks
check "nothing left for later" no_unfinished_work
check "the quick start of manual and README is examples/01_hello.c" quick_start_is_the_example
check "tests/README.md lists the planted bugs" readme_lists_planted_bugs
check "tests/README.md names the model checker's scenarios" readme_names_scenarios
check "tests/README.md has the header's edges, and scenarios for them" readme_has_edges
check "functions are short" functions_are_short
[ -n "$check_part" ] || tail -n 1 "$check_log"
check "each atomic operation gives a reason for its order" orders_have_reasons
check "atomics stay in their section" atomics_stay_in_their_section
check "conditional compilation stays in its sections" conditionals_stay_in_their_sections
check "functions ..._locked name their lock" locked_functions_name_their_lock
for compiler in gcc clang clang-19; do
    strict=$(strict_for $compiler c)
    for level in -O0 -O2 -O3 -Os; do
        check "$compiler $level: no warning" compiles_strictly $compiler $level
        check "$compiler $level: only sark_cache_* exported, no state" \
            object_is_clean $compiler $level
    done
    check "$compiler: no warning as elsewhere" compiles_strictly_elsewhere $compiler
    check "$compiler: only sark_cache_* exported, no state, as elsewhere" \
        object_is_clean $compiler -elsewhere
    for standard in c11 c17 gnu11 gnu17; do
        check "$compiler -std=$standard: no warning" reads_strictly $compiler $standard
    done
done
for compiler in g++ clang++ clang++-19; do
    strict=$(strict_for $compiler c++)
    for standard in c++11 c++14 c++17 c++20; do
        check "$compiler -std=$standard: no warning" declares_strictly $compiler $standard
    done
done
for compiler in clang clang-19; do
    check "$compiler: locks are held where they are needed" locks_are_held $compiler
done
check "cppcheck" cppcheck_is_silent
check "gcc -fanalyzer" analyser_of_gcc
check "clang-tidy" clang_tidy_is_silent
check "shellcheck" shellcheck_is_silent
summary
