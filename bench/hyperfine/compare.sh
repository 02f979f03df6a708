#!/usr/bin/env bash
# Compares whole runs of subjects with hyperfine: each is started, creates and fills its cache,
# makes the calls of one workload (bench/plans.c), and ends. What comes of it is kept as
# build/bench/hyperfine/NAME.md, NAME.json and NAME.csv.
#
# usage: bench/hyperfine/compare.sh NAME WORKLOAD THREADS SUBJECT...
#
# environment: RUNS, of each subject; default 10

cd "$(dirname "$0")/../.." || exit 1
[ $# -ge 4 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
name=$1 workload=$2 threads=$3
shift 3
folder=build/bench/hyperfine
mkdir -p "$folder"

command -v hyperfine >/dev/null || { echo "not run: $name (needs Debian's hyperfine)"; exit 77; }
make -s build/speed || exit
build/speed --print-plans --workloads "$workload" --threads "$threads" >"$folder/$name.plan" || exit

commands=()
for subject in "$@"; do
    make -s "build/bench/$subject.built" || exit
    if [ -x "build/bench/$subject" ]; then
        commands+=(--command-name "$subject" "build/bench/$subject <$folder/$name.plan")
    else
        echo "not run: $subject ($(cat "build/bench/$subject.missing"))"
    fi
done
[ ${#commands[@]} -gt 0 ] || exit 77
hyperfine --warmup 1 --runs "${RUNS:-10}" \
    --export-json "$folder/$name.json" --export-markdown "$folder/$name.md" \
    --export-csv "$folder/$name.csv" "${commands[@]}"
