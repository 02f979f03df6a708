#!/usr/bin/env bash
# The searches that take hours: each job has a share of the time and fills it with rounds, each with
# seeds of its own. What a round that fails said is kept.
#
# usage: tests/soak.sh TIME [JOB...]
#   TIME   for all jobs together, such as 8h, 90m or 600s
#   JOB    names of jobs, each then takes its share of TIME; default all of them
#   BUILD  (environment) a folder for all output, default build; the log is soak/log there
#   JOBS   (environment) how many run at a time, default 2
#
# Prints a line for each job: its rounds, and how many of them failed. Exit status: 0 none did.
# A job that is one long search ("once") counts one round, and none if its time was over before.

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
slots=${JOBS:-2}
logs=$BUILD/soak
first_seed=$(date +%s)
export first_seed logs
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export TSAN_OPTIONS=halt_on_error=1:exitcode=66:second_deadlock_stack=1
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# NAME SHARE HOW ARGUMENTS: a share is a part of their sum, at T=8h some eight minutes; HOW is one
# of the functions below.
jobs() {
    cat <<'END_OF_JOBS'
schedules          9 rounds gcc plain schedules
linearizability    8 rounds gcc plain lin_*
model              4 rounds gcc plain model_*
stress             4 rounds gcc plain stress_*
perturbed          5 rounds gcc perturbed stress_* lin_*
perturbed-address  3 rounds gcc perturbed-address stress_* lin_*
perturbed-thread   5 rounds gcc perturbed-thread stress_* lin_*
thread-gcc         4 rounds gcc thread stress_* lin_* unit_lease
thread-clang       4 rounds clang thread stress_* lin_* unit_lease
address-gcc        2 rounds gcc address api_* bound_* lin_* model_* stress_* unit_*
address-clang      2 rounds clang address api_* bound_* lin_* model_* stress_* unit_*
fuzz-operations    8 fuzz operations
fuzz-arena         8 fuzz arena
fuzz-orders        8 fuzz orders
fuzz-trace         8 fuzz trace
fuzz-config        8 fuzz config
relacy            18 once env SCALE=1000 tests/run.sh relacy
mutate             2 once make mutate
planted            6 once make planted
coverage           1 once make coverage
targets            7 once env SCALE=1000 tests/run.sh targets
END_OF_JOBS
}

# ---- How a job fills its time -------------------------------------------------------------------

# One round; what it says is kept if it fails: round NAME NUMBER COMMAND...
round() {
    local log=$logs/$1-$2.log status
    shift 2
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    [ $status -ne 0 ] && [ $status -ne 77 ] && return $status
    rm -f "$log"
}

# Programs of a variant in turns, each at its usual length: rounds NAME SECONDS CC SAN PATTERN...
rounds() {
    local name=$1 end=$((SECONDS + $2)) variant=$3-$4 cc=$3 san=${4#plain}
    local pattern source programs=() done=0 failed=0
    shift 4
    for pattern in "$@"; do
        for source in tests/$pattern.c; do programs+=("$(basename "$source" .c)"); done
    done
    while [ "$SECONDS" -lt "$end" ]; do
        SARK_TEST_SEED=$((first_seed + done * 1000000)) \
            round "$name" $done build_and_run "$cc" "$san" \
            "$BUILD/$variant/${programs[done % ${#programs[@]}]}" || failed=$((failed + 1))
        done=$((done + 1))
    done
    echo "$done rounds, $failed failed"
}

build_and_run() {
    make -s BUILD="$BUILD" CC="$1" SAN="$2" "$3" && timeout --kill-after=10 3600 "$3"
}

# One fuzzer for all the time: fuzz NAME SECONDS FUZZER
fuzz() {
    FUZZ_SECONDS=$2 round "$1" 0 tests/fuzz.sh "$3" && echo "1 round, 0 failed" ||
        echo "1 round, 1 failed"
}

# A command, to its end or until the time is over: once NAME SECONDS COMMAND...
once() {
    local name=$1 limit=$2
    shift 2
    LOGS=$logs/$name round "$name" 0 timeout --kill-after=10 "$limit" "$@"
    case $? in
        0) echo "1 round, 0 failed" ;;
        124) echo "0 rounds, 0 failed (its time was over; $logs/$name-0.log)" ;;
        *) echo "1 round, 1 failed" ;;
    esac
}

# ---- Running them -------------------------------------------------------------------------------

# job SECONDS NAME SHARE HOW ARGUMENTS...
job() {
    local seconds=$1 name=$2 how=$4 begun=$SECONDS result
    shift 4
    result=$($how "$name" "$seconds" "$@")
    printf '%-18s %s, %d s\n' "$name" "$result" $((SECONDS - begun))
}
export -f job rounds build_and_run fuzz once round

in_seconds() {
    case $1 in
        *h) echo $((${1%h} * 3600)) ;;
        *m) echo $((${1%m} * 60)) ;;
        *) echo $((${1%s})) ;;
    esac
}

chosen() {
    jobs | while read -r name rest; do
        [[ $# -eq 0 || " $* " == *" $name "* ]] && echo "$name $rest"
    done
}

[[ ${1-} =~ ^[0-9]+[hms]?$ ]] || { echo "usage: $0 TIME [JOB...]" >&2; exit 2; }
time=$(in_seconds "$1")
shift
rm -rf "$logs"
mkdir -p "$logs" || exit 1
sum=$(chosen "$@" | awk '{ sum += $2 } END { print sum + 0 }')
[ "$sum" -gt 0 ] || { echo "$0: no such job: $*" >&2; exit 2; }
[ "$slots" -le "$(chosen "$@" | wc -l)" ] || slots=$(chosen "$@" | wc -l)
chosen "$@" | awk -v time="$((time * slots))" -v sum="$sum" '
    { printf "%d %s\n", time * $2 / sum, $0 }' |
    xargs -P "$slots" -d '\n' -I {} bash -c 'read -ra words <<<"$1"; job "${words[@]}"' job {} |
    tee "$logs/log"
! grep -v ' 0 failed' "$logs/log"
