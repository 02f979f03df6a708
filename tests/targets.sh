#!/usr/bin/env bash
# Builds the tests that measure no time for another target, static, and runs them: under qemu where
# this machine cannot run them itself. The last line has the counts of their cases.
#
# usage: tests/targets.sh list               the targets
#        tests/targets.sh TARGET [SCRATCH]
#   SCRATCH  a folder for the outputs, default build/targets
#   SCALE    (environment) percent of the usual lengths, default 100; a twentieth of it is run, and
#            no less than 5 %. Above 100 there are more targets, and each runs all programs,
#            compiled as users do.
#
# Exit status: 0 passed, 1 failed, 77 cannot run here (one line says why).

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
. tests/warnings.sh
flags='-std=gnu11 -pthread -I. -Itests'
inside_level=-O1 # of programs that have the implementation inside: most of the time goes into these
[ "${SCALE:-100}" -le 100 ] || inside_level=-O2

# Name, programs, compiler, and what runs the result where the machine does not.
#   all    all programs
#   calls  those that call the library from outside; above a scale of 100 all
#   long   all, above a scale of 100 only
#   musl   the same; the name has Debian's word for the architecture, whose C library is fetched
list() {
    cat <<'END'
musl       all   musl-gcc
i686       all   i686-linux-gnu-gcc        qemu-i386
mips       all   mips-linux-gnu-gcc        qemu-mips
s390x      calls s390x-linux-gnu-gcc       qemu-s390x
armel      calls arm-linux-gnueabi-gcc     qemu-arm
armhf      calls arm-linux-gnueabihf-gcc   qemu-arm
aarch64    calls aarch64-linux-gnu-gcc     qemu-aarch64
riscv64    calls riscv64-linux-gnu-gcc     qemu-riscv64
mipsel     long  mipsel-linux-gnu-gcc      qemu-mipsel
mips64el   long  mips64el-linux-gnuabi64-gcc qemu-mips64el
powerpc    long  powerpc-linux-gnu-gcc     qemu-ppc
ppc64      long  powerpc64-linux-gnu-gcc   qemu-ppc64
ppc64le    calls powerpc64le-linux-gnu-gcc qemu-ppc64le
musl-i386  musl  i686-linux-gnu-gcc        qemu-i386
musl-armhf musl  arm-linux-gnueabihf-gcc   qemu-arm
musl-arm64 musl  aarch64-linux-gnu-gcc     qemu-aarch64
musl-mipsel musl mipsel-linux-gnu-gcc      qemu-mipsel
musl-s390x musl  s390x-linux-gnu-gcc       qemu-s390x
END
}

not_run() {
    printf 'not run: %s (%s)\n' "$target" "$1"
    exit 77
}

# Fetches musl for an architecture into a folder: fetch_musl ARCHITECTURE FOLDER
fetch_musl() {
    local options=(-q -o "APT::Architecture=$1" -o "APT::Architectures=$1"
        -o "Dir::State::lists=$2/lists" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$2/cache")
    mkdir -p "$2/lists/partial" "$2/cache/archives/partial" || return
    (cd "$2" && apt-get "${options[@]}" update && apt-get "${options[@]}" download musl-dev &&
        dpkg -x musl-dev_*.deb part && mv part root) >"$2/log" 2>&1 </dev/null
}

# Makes the compiler take a C library that was fetched, as musl-gcc takes that of this machine.
use_musl() {
    local architecture=${target#musl-} folder library
    local specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs
    folder=$(realpath "$scratch/..")/fetched/$architecture
    [ -e "$specs" ] || not_run "$specs is missing"
    [ -d "$folder/root" ] || fetch_musl "$architecture" "$folder" ||
        not_run "musl cannot be fetched: $(grep -m 1 -E '^[EW]:|not found' "$folder/log")"
    library=$(basename "$folder"/root/usr/lib/*-linux-musl*)
    sed -e "s#/usr/\(lib\|include\)/x86_64-linux-musl#$folder/root/usr/\1/$library#g" \
        -e 's/-dynamic-linker [^ ]*//' $specs >"$scratch/specs"
    compiler="$compiler -specs $scratch/specs"
}

# Whether a program can be built and started here: without a launcher, if that goes.
starts_here() {
    local why
    command -v "${compiler%% *}" >/dev/null || not_run "${compiler%% *} is missing"
    [ "$programs" != musl ] || use_musl
    echo 'int main(void) { return 0; }' >"$scratch/probe.c"
    # shellcheck disable=SC2086 # no word where there is no launcher
    why=$($compiler -static "$scratch/probe.c" -o "$scratch/probe" 2>&1) ||
        not_run "its programs are not built here: $(head -n 1 <<<"$why")"
    ! "$scratch/probe" 2>/dev/null || { launcher=; return; }
    why=$($launcher "$scratch/probe" 2>&1) && return
    not_run "its programs do not start here: $(head -n 1 <<<"$why")"
}

# An object with the implementation, for tests that only call it: implementation NAME FLAG...
implementation() {
    local object=$scratch/$1.o
    shift
    # shellcheck disable=SC2086 # several words
    $compiler $flags -O2 "$@" -c tests/compile/implementation.c -o "$object"
}

# No target may need another library. Read-modify-writes may call libgcc, by names with __sync_.
calls_no_atomics_library() {
    local nm
    nm=$($compiler -print-prog-name=nm)
    # D: a descriptor of the function, where the ABI has those
    $nm "$scratch/implementation.o" | grep -q ' [TD] sark_cache_create$' || return 1
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

# How a test is built: with the implementation's object, unless it looks inside or replaces a part.
# What is inside is static, so that nothing is compiled that the test does not call.
parts_of() {
    case $1 in
        api_system) ;;
        api_*) echo "-O2 -DSARK_CACHE_IMPLEMENTED $scratch/implementation.o"; return ;;
        model_bytes | model_exhaustive | model_random)
            echo "-O2 -DSARK_CACHE_IMPLEMENTED $scratch/asserting.o"; return ;;
    esac
    echo "$inside_level -DSARK_CACHE_STATIC"
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

# The programs of this target. Left out: *_narrow and *_portable, since the targets are that
# themselves, and model_collide, which repeats model_random with a hash that no target changes.
programs() {
    local source name
    for source in tests/unit_*.c tests/api_*.c tests/model_*.c tests/bound_*.c; do
        name=$(basename "$source" .c)
        case $name in *_narrow | *_portable | *_collide) continue ;; esac
        [ "$programs $inside_level" != 'calls -O1' ] ||
            [[ $(parts_of "$name") == *IMPLEMENTED* ]] || continue
        echo "$name"
    done
}

if [ "${1-}" = list ]; then
    list | awk -v inside=$inside_level '$2 !~ /^(long|musl)$/ || inside == "-O2" { print $1 }'
    exit
fi
read -r target programs compiler launcher < <(list | grep "^${1:-none} ") ||
    { echo "usage: $0 list | TARGET [SCRATCH]" >&2; exit 2; }
scratch=${2:-build/targets}/$target
export SARK_TEST_SCALE=$((${SCALE:-100} * 5 / 100))
[ "$SARK_TEST_SCALE" -ge 5 ] || SARK_TEST_SCALE=5

rm -rf "$scratch"
mkdir -p "$scratch/include" || exit 1
ln -s /usr/include/stb "$scratch/include/stb" # alone: the rest there is for this machine
starts_here
strict=$(strict_for "${compiler%% *}" c)
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
