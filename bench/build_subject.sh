#!/usr/bin/env bash
# Builds one subject of the benchmark, or writes down why it cannot be built.
#
# usage: bench/build_subject.sh NAME FOLDER      FOLDER/NAME, or FOLDER/NAME.missing
#
# CC, CFLAGS, CXXFLAGS: as the Makefile has them.

set -u
CC=${CC:-cc}
name=$1 folder=$2
out=$folder/$name
mkdir -p "$folder"
rm -f "$out" "$out.missing"

give_up() {
    echo "$1" >"$out.missing"
    exit 0
}

needs_file() { # PACKAGE, FILE OR COMMAND OF IT
    [ -e "$2" ] || command -v "$2" >/dev/null || give_up "needs Debian's $1"
}

needs_header() { # PACKAGE, HEADER OF IT
    echo "#include <$2>" | "$CC" -E -x c++ - >/dev/null 2>&1 || give_up "needs Debian's $1"
}

version_of() {
    dpkg-query -W -f '${Version}' "$1" 2>/dev/null | sed 's/^.*://; s/[-+].*//' || echo -
}

# Words of flags are meant to be split.
# shellcheck disable=SC2086
c() { # SOURCE MORE...
    "$CC" $CFLAGS -I. "$@" bench/subject_main.c -o "$out" -lm || give_up "does not compile"
}

# shellcheck disable=SC2086
cpp() {
    "$CC" $CFLAGS -I. -c bench/subject_main.c -o "$out.o" &&
        "${CXX:-g++}" $CXXFLAGS -I. "$@" -o "$out" || give_up "does not compile"
}

server() { # redis, memcached
    local unix=0 batch=0
    case $name in *-unix*) unix=1 ;; esac
    case $name in *-64) batch=64 ;; esac
    c -DSUBJECT_NAME="\"$name\"" -DSUBJECT_UNIX=$unix -DSUBJECT_BATCH=$batch \
        "bench/subject_$1.c" bench/server.c "-l$2"
}

golang() { # PACKAGE FILE OF IT SOURCE
    needs_file golang-go go
    needs_file "$1" "/usr/share/gocode/src/github.com/$2"
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$(realpath "$folder")/go-cache GOFLAGS='' \
        CGO_ENABLED=0 go build -ldflags "-X main.version=$(version_of "$1")" -o "$out" \
        bench/golang/protocol.go "bench/golang/$3" || give_up "does not compile"
}

# The heap is made at the start, so that no call pays for it; of Java's collectors the one with
# which it is fastest here.
java() {
    needs_file default-jdk-headless javac
    needs_file libcaffeine-java /usr/share/java/caffeine.jar
    mkdir -p "$out-classes"
    javac -cp /usr/share/java/caffeine.jar -d "$out-classes" bench/CaffeineSubject.java ||
        give_up "does not compile"
    cat >"$out" <<'SCRIPT'
#!/bin/sh
exec java -Xms2g -Xmx2g -XX:+UseParallelGC -XX:+AlwaysPreTouch -XX:-UsePerfData \
    -XX:+DisplayVMOutputToStderr -cp "$0-classes:/usr/share/java/caffeine.jar" CaffeineSubject
SCRIPT
    chmod +x "$out"
}

# Cargo writes beside the manifest, so it is given a copy.
rust() {
    local target=$folder/first-version-target
    needs_file cargo /usr/bin/cargo
    needs_file rustc /usr/bin/rustc
    needs_file librust-dashmap-dev /usr/share/cargo/registry/dashmap-*
    mkdir -p "$target/source"
    cp bench/first_version/* "$target/source"
    CARGO_HOME=$(realpath "$target")/home RUSTC=/usr/bin/rustc /usr/bin/cargo build --release \
        --offline --quiet --manifest-path "$target/source/Cargo.toml" --target-dir "$target" \
        --config 'source.crates-io.replace-with="debian"' \
        --config 'source.debian.directory="/usr/share/cargo/registry"' &&
        cp "$target/release/first-version" "$out" || give_up "does not compile"
}

case $name in
sark_cache) c bench/subject_sark.c ;;
sark_cache-16) c -DSUBJECT_BATCH=16 bench/subject_sark.c ;;
floor) c bench/subject_floor.c ;;
mutex-own) c bench/subject_mutex_own.c ;;
mutex-own-64) c -DSHARDS=64 bench/subject_mutex_own.c ;;
mutex-stb | mutex-stb-64)
    needs_header libstb-dev stb/stb_ds.h
    shards=1
    case $name in *-64) shards=64 ;; esac
    c -DSHARDS=$shards bench/subject_mutex_stb.c
    ;;
liburcu)
    needs_header liburcu-dev urcu/rculfhash.h
    c -DVERSION="\"$(version_of liburcu-dev)\"" bench/subject_liburcu.c -lurcu-cds -lurcu
    ;;
libcuckoo)
    needs_header libcuckoo-dev libcuckoo/cuckoohash_map.hh
    cpp -DVERSION="\"$(version_of libcuckoo-dev)\"" bench/subject_libcuckoo.cpp "$out.o"
    ;;
tbb)
    needs_header libtbb-dev tbb/tbb.h
    cpp -DVERSION="\"$(version_of libtbb-dev)\"" bench/subject_tbb.cpp "$out.o" -ltbb
    ;;
first-version) rust ;;
caffeine) java ;;
golang-lru)
    golang golang-github-hashicorp-golang-lru-dev hashicorp/golang-lru lru.go
    ;;
ristretto)
    golang golang-github-dgraph-io-ristretto-dev dgraph-io/ristretto ristretto.go
    ;;
redis*)
    needs_header libhiredis-dev hiredis/hiredis.h
    needs_file redis-server redis-server
    server redis hiredis
    ;;
memcached*)
    needs_header libmemcached-dev libmemcached/memcached.h
    needs_file memcached memcached
    server memcached memcached
    ;;
*) give_up "is not known" ;;
esac
