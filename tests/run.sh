#!/usr/bin/env bash
# Builds and runs the tests, prints one line for each program (name, result, seconds by the clock
# and of processor time) and what those that fail say beside "ok"; the logs are kept in build/logs.
# Called by make.
#
# usage: tests/run.sh all                everything: checks, all variants, the model checker
#        tests/run.sh variant CC SAN     the programs with one compiler and sanitizer (or "plain")
#        tests/run.sh relacy | targets   the model checker's programs; the other targets
#
# environment: BUILD  the folder for all output
#              SCALE  percent of the usual lengths
#              JOBS   how many programs run at a time; those that measure time run alone anyway
#              LOGS   the folder for the logs, made anew; default logs in BUILD
#
# A program passes its cases on as its last line, "N passed, N failed". One that crashes, runs out
# of time, ends without that line, or fails with no failed case counts as one failed. What cannot
# run here says so in a line "not run: NAME (why)"; these lines are repeated before the last one,
# and are in neither count.

cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build} scale=${SCALE:-100} slots=${JOBS:-2}
logs=${LOGS:-$build/logs}
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export TSAN_OPTIONS=halt_on_error=1:exitcode=66:second_deadlock_stack=1
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# ---- The list of jobs ---------------------------------------------------------------------------

job_group=() job_name=() job_limit=() job_command=()
shared=() alone=() # indices of the above
not_run=()

# add shared|alone GROUP NAME LIMIT_S COMMAND
add() {
    local -n list=$1
    list+=(${#job_name[@]})
    job_group+=("$2") job_name+=("$3") job_limit+=("$4") job_command+=("$5")
}

# Whether a sanitizer's programs start here, and how: sets launcher to what must stand before them.
# ThreadSanitizer does not start where the kernel places mappings too randomly.
starts_here() {
    local probe=$build/probe why
    launcher=
    mkdir -p "$build"
    echo 'int main(void) { return 0; }' >"$probe.c"
    why=$("$1" -fsanitize="$2" "$probe.c" -o "$probe" 2>&1) && why=$("./$probe" 2>&1) && return
    launcher='setarch -R '
    [ -x "$probe" ] && setarch -R "./$probe" >/dev/null 2>&1 && return
    if [ "$2" = address ] && ASAN_OPTIONS=detect_leaks=0 "./$probe" >/dev/null 2>&1; then
        launcher='env ASAN_OPTIONS=detect_leaks=0 '
        not_run+=("not run: leaks, $1-$2 (the leak checker does not start here)")
        return
    fi
    not_run+=("not run: $1-$2 (its programs do not start here: $(head -n 1 <<<"$why"))")
    return 1
}

# The programs of a variant: all, with a sanitizer the forks in one form; with ThreadSanitizer those
# that start threads; with delays at random (tests/perturb.h) of these neither what measures time,
# nor another form of a program, nor stress_fork, most of whose time the system takes to fork.
programs_of() {
    local sources
    mapfile -t sources < <(printf '%s\n' tests/*.c | grep -v _part)
    case $1 in
        address) mapfile -t sources < <(printf '%s\n' "${sources[@]}" | grep -v fork_narrow) ;;
        thread) mapfile -t sources < <(with_threads "${sources[@]}" | grep -v fork_narrow) ;;
        perturbed*) mapfile -t sources < <(with_threads tests/{api,lin,stress,unit}_*.c |
            grep -vE 'stress_fork|_portable|_narrow') ;;
    esac
    basename -a -s .c "${sources[@]}"
}

with_threads() {
    grep -lE -e 'test_run_threads|pthread_create\(&|cleanup_interval_ms = [1-9]' \
        -e 'include "(stress|unit_atomics).*\.c"' "$@"
}

# The programs of a variant: add_variant CC SAN PERCENT, the last as a share of the scale
add_variant() {
    local variant percent=$(($3 * scale / 100)) limit name program how launcher='' programs
    variant=$(basename "$1")-$2
    mapfile -t programs < <(programs_of "$2")
    [ "$percent" -gt 0 ] || percent=1
    limit=$((900 * (percent > 100 ? percent : 100) / 100))
    case $2 in
        plain | perturbed) ;;
        *) starts_here "$1" "${2#perturbed-}" || return ;;
    esac
    for name in "${programs[@]}"; do
        program=$build/$variant/$name
        case $name in
            steps_* | expiry_* | lockfree_*) how=alone ;;
            *) how=shared ;;
        esac
        add $how "$variant" "$name" $limit "
            make -s BUILD=$build CC=$1 SAN=${2#plain} $program || exit
            export SARK_TEST_SCALE=$percent
            $launcher$program"
    done
    printf 'building %s\n' "$variant"
    # What fails to build does so again as a job, with its messages.
    make -s -k -j "$slots" BUILD="$build" CC="$1" SAN="${2#plain}" \
        "${programs[@]/#/$build/$variant/}" >/dev/null 2>&1 </dev/null
}

add_checks() {
    local limit=1800
    add shared checks lint $limit "tests/lint.sh $build/lint"
    add shared checks consumers $limit "tests/compile/check.sh $build/compile"
    add shared checks examples $limit "tests/examples.sh $build/examples"
    add shared checks vendoring $limit tests/vendoring.sh
    add shared checks integer $limit "tests/integer.sh $build/integer"
    add shared checks instructions $limit "make -s BUILD=$build CC=gcc $build/instructions || exit
        tests/instructions.sh $build/instructions"
    add shared checks exposed 600 "make -s BUILD=$build CC=gcc $build/gcc-plain/api_exposed || exit
        tests/exposed.sh $build/gcc-plain/api_exposed"
    add shared checks hit_ratios 600 "make -s BUILD=$build $build/hit_ratios || exit
        tests/hit_ratios.sh $build/hit_ratios bench/traces/expected.csv bench/traces"
    add_replay '' $build '' "1 4 64"
    add_replay _without_zlib $build/without-zlib zlib= 1
}

# The replay program, its input and the two committed traces:
# add_replay SUFFIX BUILD MAKE_ARGUMENT SHARDS
add_replay() {
    local make="make -s BUILD=$2 $3 $2/replay"
    $make >/dev/null 2>&1 </dev/null # not in both jobs at once
    add shared checks "replay$1" 600 "$make && tests/replay.sh $2/replay"
    add shared checks "exact$1" 1800 "$make || exit
        export SHARDS='$4'
        tests/exact.sh $2/replay bench/traces/expected.csv bench/traces"
}

# The programs that measure no time, built for other targets.
add_targets() {
    local target
    for target in $(tests/targets.sh list); do
        add shared targets "$target" $((1800 * (scale > 100 ? scale : 100) / 100)) "
            export SCALE=$scale
            tests/targets.sh $target $build/targets"
    done
}

# The model checker. Its programs take longest, so they come first.
add_relacy() {
    local source name
    for source in tests/relacy/*.cpp; do
        [ -e "$source" ] || continue
        name=$(basename "$source" .cpp)
        add shared relacy "$name" $((2400 * (scale > 100 ? scale : 100) / 100)) "
            make -s BUILD=$build $build/relacy/$name || exit
            export RELACY_RANDOM=$((10000 * scale)) # executions of each scenario
            $build/relacy/$name"
    done
}

# The fuzzers: their kept inputs, then new ones for 60 s.
add_fuzz() {
    local source name seconds=$((60 * scale / 100)) launcher=
    starts_here clang address || return
    for source in tests/fuzz/*.c; do
        name=$(basename "$source" .c)
        add shared fuzz "$name" $((900 + 2 * seconds)) "
            export BUILD=$build FUZZ_SECONDS=$seconds
            ${launcher}tests/fuzz.sh $name"
    done
}

# Scripts that run test programs in a setting of their own: add_script NAME PROGRAM...
add_script() {
    local name=$1
    shift
    local programs=("${@/#/$build/gcc-plain/}")
    add alone gcc-plain "$name" 900 "make -s BUILD=$build CC=gcc SAN= ${programs[*]} || exit
        export SARK_TEST_SCALE=$scale
        tests/$name.sh ${programs[*]}"
}

# The programs of a variant again, each of its threads interrupted all the time.
add_signals() {
    add shared gcc-plain signals 900 "export SARK_TEST_SCALE=$scale
        exec tests/signals.sh $build/gcc-plain"
}

# ---- Running them -------------------------------------------------------------------------------

passed=0 failed=0
declare -A index_of_process started tenths_of_group

log_of() {
    printf '%s/%s/%s.log' "$logs" "${job_group[$1]}" "${job_name[$1]}"
}

start() {
    local log
    log=$(log_of "$1")
    mkdir -p "${log%/*}"
    started[$1]=${EPOCHREALTIME/[.,]/}
    timeout --kill-after=10 "${job_limit[$1]}" bash -c "trap 'times >$log.times' EXIT
        ${job_command[$1]}" >"$log" 2>&1 </dev/null &
    index_of_process[$!]=$1
}

# Tenths of a second of processor time that a job's children took, from what bash's times wrote.
processor_tenths() {
    awk 'NR == 2 { gsub(/[ms]/, " "); printf "%d", ($1 * 60 + $2 + $3 * 60 + $4) * 10 }' \
        "$1.times" 2>/dev/null || echo 0
}

in_seconds() {
    printf '%4d.%d s' $(($1 / 10)) $(($1 % 10))
}

# Counts what a job said: finish INDEX STATUS
finish() {
    local log result cases_passed=0 cases_failed=0 tenths busy line
    log=$(log_of "$1")
    tenths=$(((${EPOCHREALTIME/[.,]/} - ${started[$1]}) / 100000))
    busy=$(processor_tenths "$log")
    tenths_of_group[${job_group[$1]}]=$((${tenths_of_group[${job_group[$1]}]:-0} + busy))
    while IFS= read -r line; do not_run+=("$line"); done < <(grep '^not run: ' "$log")
    result=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    if [[ $result =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        cases_passed=${BASH_REMATCH[1]} cases_failed=${BASH_REMATCH[2]}
    elif [ "$2" -ne 77 ] && [[ ${job_command[$1]} == *tests/*.sh* ]]; then
        cases_passed=$(grep -c '^ok ' "$log") cases_failed=$(grep -c '^FAIL ' "$log")
        result="$cases_passed passed, $cases_failed failed"
    elif [ "$2" -eq 77 ] && grep -q '^not run: ' "$log"; then
        result='not run'
    else
        result='no result'
    fi
    if [ "$result" != 'not run' ] && [ "$cases_failed" -eq 0 ] &&
        { [ "$2" -ne 0 ] || [ "$cases_passed" -eq 0 ]; }; then
        cases_failed=1
        case $2 in
            124 | 137) result="$result, stopped after ${job_limit[$1]} s" ;;
            *) result="$result, exit status $2" ;;
        esac
    fi
    passed=$((passed + cases_passed)) failed=$((failed + cases_failed))
    printf '%-14s %-24s %-34s %s %s\n' "${job_group[$1]}" "${job_name[$1]}" "$result" \
        "$(in_seconds $tenths)" "$(in_seconds "$busy")"
    [ "$cases_failed" -eq 0 ] || complaint "$log"
}

# What a log says beside "ok"; of a long one the beginning, the end and each FAIL.
complaint() {
    grep -av '^ok  ' "$1" | awk -v log_name="$1" '
        { line[NR] = $0 }
        END {
            for (i = 1; i <= NR; i++) {
                if (NR <= 100 || i <= 50 || i > NR - 50 || line[i] ~ /^FAIL/) print "    " line[i]
                if (NR > 100 && i == 50) print "    ... (all of it: " log_name ")"
            }
        }'
}

# Runs jobs, so many at a time: run_jobs SLOTS INDEX...
run_jobs() {
    local free=$1 process status
    shift
    while [ $# -gt 0 ] || [ ${#index_of_process[@]} -gt 0 ]; do
        if [ $# -gt 0 ] && [ "$free" -gt 0 ]; then
            start "$1"
            shift
            free=$((free - 1))
            continue
        fi
        wait -n -p process "${!index_of_process[@]}" 2>/dev/null # else bash remarks on crashes
        status=$?
        finish "${index_of_process[$process]}" $status
        unset "index_of_process[$process]"
        free=$((free + 1))
    done
}

stop_all() {
    [ ${#index_of_process[@]} -eq 0 ] || kill "${!index_of_process[@]}" 2>/dev/null
    exit 130
}
trap stop_all INT TERM

rm -rf "$logs"
mkdir -p "$logs" || exit 1
case ${1-} in
    all)
        add_relacy
        add_checks
        add_targets
        add_fuzz
        add_variant gcc plain 100
        add_variant clang plain 15
        add_variant gcc address 10
        add_variant gcc thread 10
        add_variant gcc perturbed 10
        add_variant gcc perturbed-address 5
        add_signals
        add_script lockfree_strace lockfree_hits
        add_script expiry_namespace expiry_real expiry_marks
        ;;
    variant)
        case ${3-} in
            plain) add_variant "$2" "$3" 100 ;;
            address) add_variant "$2" "$3" 20 ;;
            thread) add_variant "$2" "$3" 10 ;;
            perturbed) add_variant "$2" "$3" 10 ;;
            perturbed-address) add_variant "$2" "$3" 5 ;;
            perturbed-thread) add_variant "$2" "$3" 3 ;;
            *) echo "$0: no sanitizer ${3-}" >&2; exit 2 ;;
        esac
        ;;
    relacy) add_relacy ;;
    targets) add_targets ;;
    *) echo "usage: $0 all | variant CC SAN | relacy | targets" >&2; exit 2 ;;
esac

run_jobs "$slots" "${shared[@]}"
run_jobs 1 "${alone[@]}"

for group in "${!tenths_of_group[@]}"; do
    printf 'processor time of %-14s %s\n' "$group" "$(in_seconds ${tenths_of_group[$group]})"
done | sort
printf '%d s in all\n' "$SECONDS"
[ ${#not_run[@]} -eq 0 ] || printf '%s\n' "${not_run[@]}" | sort -u
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
