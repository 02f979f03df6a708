#!/bin/sh
exec "$(dirname "$0")/compare.sh" hits-2-threads hit-zipf 2 \
    sark_cache mutex-own mutex-own-64 mutex-stb mutex-stb-64 \
    liburcu libcuckoo first-version caffeine golang-lru ristretto tbb
