#!/usr/bin/env bash
# Has parsers that others wrote read what a scraper would be given: promtool of Prometheus, and the
# OpenMetrics parser of the Prometheus client for Python.
#
# usage: tests/exposed.sh API_EXPOSED
#   API_EXPOSED  the program built of tests/api_exposed.c

cd "$(dirname "$0")/.." || exit 1
. tests/count.sh
program=${1:?usage: exposed.sh API_EXPOSED}

promtool_takes_it() {
    local said
    said=$("$program" 0 | promtool check metrics 2>&1) || { echo "$said"; return 1; }
    [ -z "$said" ] || { echo "$said"; return 1; }
}

# That it takes the text says something only where it would not take any.
promtool_finds_faults() {
    ! "$program" 0 | sed 's/_total{/{/' | promtool check metrics >/dev/null 2>&1
}

# Debian's Python, which has Debian's packages.
openmetrics_reads() { # the text on standard input
    /usr/bin/python3 - "$@" <<'PYTHON'
import subprocess
import sys
from prometheus_client.openmetrics import parser

text = subprocess.run(sys.argv[1:], capture_output=True, check=True, text=True).stdout
families = list(parser.text_string_to_metric_families(text))
samples = {(s.name, tuple(sorted(s.labels.items()))): s.value
           for f in families for s in f.samples}
one = ("cache", 'one "and\\only"\n')


def value(name, *labels):
    return samples[("sark_cache_" + name, tuple(sorted(labels)))]


assert value("hits_total", one) == 100, "hits"
assert value("misses_total", ("cache", "two")) == 3, "misses"
assert value("writes_total", one, ("call", "set")) == 100, "sets"
assert value("evictions_total", one, ("for", "entries")) == 50, "evictions"
assert value("entries", one) == 50, "entries"
assert value("latency_seconds_count", one, ("call", "set")) == 50, "latencies"
assert value("latency_seconds_bucket", one, ("call", "set"), ("le", "+Inf")) == 50, "buckets"
assert value("latency_seconds_sum", one, ("call", "set")) > 0, "sum"
PYTHON
}

openmetrics_finds_faults() {
    ! openmetrics_reads sh -c '"$0" 1 | sed \$d' "$program" >/dev/null 2>&1
}

check "promtool takes the text format" promtool_takes_it
check "promtool finds a counter without its suffix" promtool_finds_faults
check "an OpenMetrics parser reads the values" openmetrics_reads "$program" 1
check "an OpenMetrics parser misses the mark at the end" openmetrics_finds_faults
summary
