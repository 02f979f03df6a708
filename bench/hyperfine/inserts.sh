#!/bin/sh
exec "$(dirname "$0")/compare.sh" inserts insert 1 \
    sark_cache mutex-own mutex-own-64 mutex-stb mutex-stb-64 \
    caffeine golang-lru ristretto
