#!/usr/bin/env bash
# Sees to it that Debian packages are installed: installs what is missing where this user may, and
# otherwise names it and stops.
#
# usage: tests/packages.sh PACKAGE...

[ $# -gt 0 ] || exit 0

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: whether these packages, or their likes, are here cannot be told: $*"
    echo "When they are, say so with an empty list: make test PACKAGES="
    exit 1
fi

missing=()
for package in "$@"; do
    is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "These packages are missing: ${missing[*]}"
        echo "Install them with: sudo apt-get install --no-install-recommends ${missing[*]}"
        exit 1
    fi
    as_root=(sudo -n)
fi

echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >>"$log" 2>&1 </dev/null
}
if ! { apt_get update; apt_get install --no-install-recommends "${missing[@]}"; }; then
    cat "$log"
    echo "These packages are missing and could not be installed: ${missing[*]}"
    exit 1
fi
