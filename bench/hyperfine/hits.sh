#!/bin/sh
exec "$(dirname "$0")/compare.sh" hits hit-zipf 1 \
    sark_cache mutex-own mutex-own-64 mutex-stb mutex-stb-64 \
    liburcu libcuckoo first-version caffeine golang-lru ristretto tbb
