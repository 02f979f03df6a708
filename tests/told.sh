# Sourced by the scripts that hold programs to what a text says of them.

# The indented lines below a heading of an example's first comment: told FILE HEADING
told() {
    awk -v heading="$2" '
        index($0, "*/") { exit }
        found && /^       / { print substr($0, 8); next }
        found { found = 0 }
        index($0, "   " heading) == 1 { found = 1 }
    ' "$1"
}

# Runs a command line in a folder, its "cc" being a compiler with options, and "c++" another; what
# it prints and says goes to stdout: run_told FOLDER CC CXX COMMAND_LINE
run_told() (
    cd "$1" || exit
    timeout 60 bash -c "
        function cc { $2 \"\$@\"; }
        function c++ { $3 \"\$@\"; }
        $4" 2>&1
)
