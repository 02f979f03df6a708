# Sourced by the check scripts: the strict warning set, as far as a compiler knows it.

strict_flags="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual
    -Wcast-align=strict -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla
    -Wdouble-promotion -Wformat=2 -Werror"

# Those of the strict flags that a compiler takes for a language: strict_for COMPILER c|c++
strict_for() {
    for flag in $strict_flags; do
        if echo 'typedef int known;' | "$1" -Werror "$flag" -x "$2" -fsyntax-only - 2>/dev/null
        then
            printf '%s ' "$flag"
        elif [ "$flag" = -Wcast-align=strict ]; then
            printf '%s ' -Wcast-align # as clang has it
        fi
    done
}
