# Sourced by the check scripts: each check prints one line, the last line has the counts.

passed=0 failed=0
check_log=$(mktemp)
trap 'rm -f "$check_log"' EXIT

# Notes the outcome of a check: outcome STATUS NAME
outcome() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok   %s\n' "$2"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n' "$2"
    fi
}

# Runs a command as a check; what it says is shown where it fails: check NAME COMMAND... Where
# check_part is set, only names with that in them are checked.
check() {
    check_name=$1
    shift
    case $check_name in *"${check_part-}"*) ;; *) return ;; esac
    "$@" >"$check_log" 2>&1 </dev/null
    check_status=$?
    outcome "$check_status" "$check_name"
    [ "$check_status" -eq 0 ] || sed 's/^/     /' "$check_log" | head -n 60
}

# As the last command: prints the counts, fails where a check failed.
summary() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
