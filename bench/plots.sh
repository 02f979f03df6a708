#!/usr/bin/env bash
# Draws what was measured as PNG files: throughput by threads of each workload, latency
# percentiles, bytes an entry; hits by capacity of each trace.
#
# usage: bench/plots.sh SPEED.CSV HIT_RATIOS.CSV FOLDER

[ $# -eq 3 ] || { echo "usage: $0 SPEED.CSV HIT_RATIOS.CSV FOLDER" >&2; exit 2; }
csv=$1 ratios=$2 folder=$3
command -v gnuplot >/dev/null || { echo "not run: plots (needs Debian's gnuplot-nox)"; exit 77; }
mkdir -p "$folder"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Medians over the rounds of an awk expression of a line's fields, as lines "KEY MEDIAN" in the
# order in which the keys appear: medians CONDITION KEY EXPRESSION
medians() {
    awk -F , "NR > 1 && ($1) { print $2, $3 }" "$csv" | awk '
        !($1 in count) { order[++keys] = $1 }
        { value[$1, count[$1]++] = $2 }
        END {
            for (k = 1; k <= keys; k++) {
                n = count[order[k]]
                for (i = 0; i < n; i++) at[i] = value[order[k], i]
                for (i = 1; i < n; i++)
                    for (j = i; j > 0 && at[j - 1] > at[j]; j--) {
                        kept = at[j]; at[j] = at[j - 1]; at[j - 1] = kept
                    }
                print order[k], n % 2 ? at[(n - 1) / 2] : (at[n / 2 - 1] + at[n / 2]) / 2
            }
        }'
}

workloads() {
    awk -F , -v is_latency="$1" '
        NR > 1 && (/^[0-9]+,(latency|burst|beside)/ ? 1 : 0) == is_latency && !seen[$2]++ {
            print $2
        }' "$csv"
}

subjects_of() {
    awk -F , -v workload="$1" '$2 == workload && !seen[$4]++ { print $4 }' "$csv"
}

draw() {
    gnuplot -e "set terminal pngcairo size 1000,600 noenhanced; set output '$1'; set grid;
        set key outside right; $2"
}

# A line of a plot: curve FILE TITLE
curve() {
    local style=''
    [ "$2" != sark_cache ] || style="linewidth 3 linecolor 'black'"
    echo "'$scratch/$1' with linespoints $style title '$2', "
}

# Millions of calls a second of all threads, one line a subject.
plot_throughput() {
    local workload=$1 subject curves=''
    for subject in $(subjects_of "$workload"); do
        medians "\$2 == \"$workload\" && \$4 == \"$subject\"" '$3' '$3 * $5 / $6 * 1000' \
            >"$scratch/$workload.$subject"
        curves+=$(curve "$workload.$subject" "$subject")
    done
    draw "$folder/throughput-$workload.png" "set title '$workload'; set xlabel 'threads';
        set ylabel 'millions of calls a second, all threads'; set logscale y; set xtics 1;
        set xrange [0.5:*];
        plot ${curves%, }"
}

# ns by percentile, one line a subject: of sets where the workload has no gets.
plot_latency() {
    local workload=$1 subject curves='' first=12
    case $workload in latency-set | burst) first=16 ;; esac
    for subject in $(subjects_of "$workload"); do
        for i in 0 1 2 3; do
            medians "\$2 == \"$workload\" && \$4 == \"$subject\"" "$i" "\$$((first + i))"
        done >"$scratch/$workload.$subject"
        curves+=$(curve "$workload.$subject" "$subject")
    done
    draw "$folder/$workload.png" "set title '$workload'; set ylabel 'ns'; set logscale y;
        set xtics ('p50' 0, 'p99' 1, 'p99.9' 2, 'largest' 3); plot ${curves%, }"
}

plot_memory() {
    medians '$2 == "latency-set"' '$4' '$11 / 1000000' >"$scratch/memory"
    [ -s "$scratch/memory" ] || return 0
    draw "$folder/memory.png" "set title '1,000,000 entries of 65 + 120 bytes'; unset key;
        set ylabel 'bytes an entry'; set yrange [0:*]; set xtics rotate by -45;
        set style fill solid; set boxwidth 0.7;
        plot '$scratch/memory' using 0:2:xtic(1) with boxes"
}

# Hits in percent by capacity, one line a policy.
plot_hits() {
    local trace=$1 policy curves=''
    for policy in sark_cache S3FIFO caffeine OPT; do
        awk -F , -v trace="$trace" -v policy="$policy" \
            '$1 == trace && $3 == policy { print $2, 100 * $5 / $4 }' "$ratios" \
            >"$scratch/$trace.$policy"
        [ -s "$scratch/$trace.$policy" ] &&
            curves+=$(curve "$trace.$policy" "$policy")
    done
    draw "$folder/hits-$trace.png" "set title '$trace'; set xlabel 'entries'; set logscale x;
        set ylabel 'hits, percent'; plot ${curves%, }"
}

for trace in $(awk -F , 'NR > 1 && !seen[$1]++ { print $1 }' "$ratios"); do
    plot_hits "$trace"
done
if [ ! -s "$csv" ]; then
    echo "there is no $csv: make bench makes it, for the other plots"
    exit 0
fi
for workload in $(workloads 0); do plot_throughput "$workload"; done
for workload in $(workloads 1); do plot_latency "$workload"; done
plot_memory
ls "$folder"/*.png
