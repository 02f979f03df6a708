#!/usr/bin/env bash
# Builds the tests that measure no time for another target, static, and runs them: under qemu where
# this machine cannot run them itself. The last line has the counts of their cases.
#
# usage: tests/targets.sh list               the targets
#        tests/targets.sh TARGET [SCRATCH]
#   SCRATCH  a folder for the outputs, default build/targets
#   SCALE    (environment) percent of the usual lengths, default 100; a twentieth of it is run, and
#            no less than 5 %
#
# Exit status: 0 passed, 1 failed, 77 cannot run here (one line says why).

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
. tests/warnings.sh
flags='-std=gnu11 -O2 -pthread -I. -Itests'

# Name, compiler, and what runs its programs where the machine does not.
list() {
    cat <<'END'
musl    musl-gcc
i686    i686-linux-gnu-gcc
armhf   arm-linux-gnueabihf-gcc  qemu-arm
armel   arm-linux-gnueabi-gcc    qemu-arm
aarch64 aarch64-linux-gnu-gcc    qemu-aarch64
mips    mips-linux-gnu-gcc       qemu-mips
riscv64 riscv64-linux-gnu-gcc    qemu-riscv64
s390x   s390x-linux-gnu-gcc      qemu-s390x
END
}

not_run() {
    printf 'not run: %s (%s)\n' "$target" "$1"
    exit 77
}

# Whether a program can be built and started here.
starts_here() {
    local command why
    for command in $compiler $launcher; do
        command -v "$command" >/dev/null || not_run "$command is missing"
    done
    echo 'int main(void) { return 0; }' >"$scratch/probe.c"
    # shellcheck disable=SC2086 # no word where there is no launcher
    why=$($compiler -static "$scratch/probe.c" -o "$scratch/probe" 2>&1) &&
        why=$($launcher "$scratch/probe" 2>&1) && return
    not_run "its programs do not start here: $(head -n 1 <<<"$why")"
}

# An object with the implementation, for tests that only call it: implementation NAME FLAG...
implementation() {
    local object=$scratch/$1.o
    shift
    # shellcheck disable=SC2086 # several words
    $compiler $flags "$@" -c tests/compile/implementation.c -o "$object"
}

# No target may need another library. Read-modify-writes may call libgcc, by names with __sync_.
calls_no_atomics_library() {
    local nm
    nm=$($compiler -print-prog-name=nm)
    $nm "$scratch/implementation.o" | grep -q ' T sark_cache_create$' || return 1
    ! $nm --undefined-only "$scratch/implementation.o" | grep __atomic_
}

# The whole library, compiled for size: on a small 32-bit processor at most 48 KiB of text.
is_small() {
    local size text
    implementation small -Os || return
    size=$($compiler -print-prog-name=size)
    text=$($size -A "$scratch/small.o" | awk '$1 ~ /^\.text/ { sum += $2 } END { print sum + 0 }')
    printf '%s bytes of text\n' "$text"
    [ "$text" -gt 0 ] && [ "$text" -le 49152 ]
}

# What a test is linked with: the implementation, unless it looks inside or replaces a part.
parts_of() {
    case $1 in
        api_system) ;;
        api_*) echo "-DSARK_CACHE_IMPLEMENTED $scratch/implementation.o" ;;
        model_bytes | model_exhaustive | model_random)
            echo "-DSARK_CACHE_IMPLEMENTED $scratch/asserting.o" ;;
    esac
}

builds() {
    # shellcheck disable=SC2046,SC2086 # several words
    $compiler $flags -static -DTEST_STATIC -I"$scratch/include" "tests/$1.c" $(parts_of "$1") \
        -o "$scratch/$1"
}

# Runs a test and adds its counts; one that gives none has failed.
run() {
    local log=$scratch/$1.log limit=$((60 * SARK_TEST_SCALE)) status result
    local cases_passed=0 cases_failed=0
    # shellcheck disable=SC2086 # no word where there is no launcher
    timeout --kill-after=10 $limit $launcher "$scratch/$1" >"$log" 2>&1 </dev/null
    status=$?
    result=$(tail -n 1 "$log")
    if [[ $result =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        cases_passed=${BASH_REMATCH[1]} cases_failed=${BASH_REMATCH[2]}
    elif [ $status -eq 77 ] && grep -q '^not run: ' "$log"; then
        sed -n "s/^not run: /&$target, /p" "$log"
        return
    fi
    [ $status -eq 0 ] || [ "$cases_failed" -gt 0 ] || cases_failed=1
    passed=$((passed + cases_passed)) failed=$((failed + cases_failed))
    if [ "$cases_failed" -eq 0 ]; then
        printf 'ok   %s: %s\n' "$1" "$result"
    else
        printf 'FAIL %s: %s, exit status %d\n' "$1" "$result" $status
        grep -av '^ok ' "$log" | sed 's/^/     /' | head -n 60
    fi
}

# The programs. Left out: *_narrow, since some of the targets are narrow themselves, and
# model_collide, which repeats model_random with a hash that no target changes.
programs() {
    local source
    for source in tests/unit_*.c tests/api_*.c tests/model_*.c tests/bound_*.c; do
        case $source in *_narrow.c | *_collide.c) ;; *) basename "$source" .c ;; esac
    done
}

[ "${1-}" != list ] || { list | awk '{ print $1 }'; exit; }
read -r target compiler launcher < <(list | grep "^${1:-none} ") ||
    { echo "usage: $0 list | TARGET [SCRATCH]" >&2; exit 2; }
scratch=${2:-build/targets}/$target
export SARK_TEST_SCALE=$((${SCALE:-100} * 5 / 100))
[ "$SARK_TEST_SCALE" -ge 5 ] || SARK_TEST_SCALE=5

rm -rf "$scratch"
mkdir -p "$scratch/include" || exit 1
ln -s /usr/include/stb "$scratch/include/stb" # alone: the rest there is for this machine
starts_here
strict=$(strict_for "$compiler" c)
# shellcheck disable=SC2086 # several words
check "$target: no warning" implementation implementation $strict
check "$target: it calls no atomics library" calls_no_atomics_library
check "$target: it compiles with assertions" implementation asserting -DSARKI_ASSERTIONS
[ "$target" != armhf ] || check "$target: at most 48 KiB of text with -Os" is_small
for program in $(programs); do
    if builds "$program" >"$check_log" 2>&1; then
        run "$program"
    else
        check "$target: $program builds" builds "$program"
    fi
done
summary
