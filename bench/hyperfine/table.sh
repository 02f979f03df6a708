#!/usr/bin/env bash
# Runs all comparisons of this folder, and prints one table of them: how many times longer than
# with sark_cache a whole run takes, by the medians.
#
# usage: bench/hyperfine/table.sh
#
# environment: RUNS, of each subject and comparison; default 10

cd "$(dirname "$0")/../.." || exit 1
folder=build/bench/hyperfine
for name in hits hits_2_threads read_through inserts; do
    "bench/hyperfine/$name.sh" >&2 || exit
done

# A file begins with a heading: command,mean,stddev,median,user,system,min,max.
awk -F , '
    FNR == 1 { file++; next }
    $1 == "sark_cache" { base[file] = $4 }
    !($1 in seen) { seen[$1]; order[++subjects] = $1 }
    { median[$1, file] = $4 }
    END {
        print "| | hits | hits, 2 threads | get, set on a miss | inserts that evict |"
        print "| --- | --- | --- | --- | --- |"
        for (s = 1; s <= subjects; s++) {
            printf "| %s", order[s]
            for (f = 1; f <= file; f++)
                if ((order[s], f) in median) printf " | %.2f", median[order[s], f] / base[f]
                else printf " | -"
            print " |"
        }
    }' "$folder/"{hits,hits-2-threads,read-through,inserts}.csv
