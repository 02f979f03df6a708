#!/bin/sh
# Hits make no system call: runs the program lockfree_hits under strace and asserts that between
# each thread's two marks (calls of getppid) there is nothing, above all no futex.
#
#     tests/lockfree_strace.sh build/lockfree_hits
#
# Exit status: 0 passed, 1 failed, 77 cannot run here (one line says why).

set -u
program=${1:?usage: lockfree_strace.sh PROGRAM}
marks=16 # 8 threads, two each

if ! command -v strace >/dev/null 2>&1; then
    echo "not run: lockfree_strace (strace is missing)"
    exit 77
fi
if ! strace -o /dev/null true >/dev/null 2>&1; then
    echo "not run: lockfree_strace (tracing is forbidden here)"
    exit 77
fi

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# Lines are "PID call(arguments) = result". An interrupted call is printed in two parts.
check() {
    if ! strace -f -o "$log" "$program" "$1" >/dev/null; then
        echo "FAIL lockfree_strace $1: the program failed"
        return 1
    fi
    awk -v mode="$1" -v want="$marks" '
        $2 ~ /^(---|\+\+\+)/ { next }
        / getppid\(/ { marks++; inside[$1] = !inside[$1]; next }
        / <\.\.\. getppid resumed/ { next }
        inside[$1] { calls++; if (calls <= 10) print "  " $0 }
        END {
            if (marks == want && calls == 0) { print "ok   lockfree_strace " mode; exit 0 }
            print "FAIL lockfree_strace " mode ": " marks + 0 " of " want " marks, " calls + 0 \
                " system calls between them"
            exit 1
        }' "$log"
}

failed=0
check hits || failed=1
check hits-ttl || failed=1
exit $failed
