#!/usr/bin/env bash
# Installs the Debian packages Quorate needs, on Debian 12 or 13 or Ubuntu 24.04.
#
#   deploy/install-deps.sh            what a build and a first try need
#   deploy/install-deps.sh --tests    also what tests/run.sh needs
#
# Does nothing, and needs neither root nor network, where everything is installed already. Messages
# go to standard error. Exit codes: 0 all is there, 1 something is missing and cannot be installed.
set -euo pipefail

say() { printf 'install-deps: %s\n' "$*" >&2; }

# One requirement a word: a package, or alternatives "a|b" of which the first that exists is
# installed, or "cmd:NAME=PACKAGE" for a command that may come from elsewhere.
build_requirements=(
    cmd:g++=g++ cmd:cmake=cmake cmd:ninja=ninja-build 'pkg-config|pkgconf' ccache
    libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
    librocksdb-dev libuv1-dev libssl-dev libspdlog-dev libfmt-dev libyaml-cpp-dev
    nlohmann-json3-dev libcli11-dev libxxhash-dev libjemalloc-dev libwslay-dev libboost-dev
    prometheus-cpp-dev mosquitto-clients
)
test_requirements=(
    catch2 cmd:python3=python3 cmd:openssl=openssl mosquitto python3-paho-mqtt libpaho-mqtt-dev
    'clang-16|clang-19|clang-18|clang' 'clang-format-16|clang-format-14|clang-format'
    'libclang-rt-16-dev|libclang-rt-19-dev|libclang-rt-18-dev|libclang-rt-dev'
)
# What a test is skipped without: a large browser, a bare root.
optional_requirements=(cmd:node=nodejs cmd:npm=npm cmd:chromium=chromium debootstrap)

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Prints the package to install for a requirement, nothing if it is met.
missing_package() {
    local requirement=$1 alternative
    if [[ $requirement == cmd:* ]]; then
        local pair=${requirement#cmd:}
        command -v "${pair%%=*}" >/dev/null || printf '%s\n' "${pair#*=}"
        return
    fi
    local alternatives
    IFS='|' read -ra alternatives <<<"$requirement"
    for alternative in "${alternatives[@]}"; do
        if installed "$alternative"; then return; fi
    done
    for alternative in "${alternatives[@]}"; do
        if apt-cache show "$alternative" >/dev/null 2>&1; then
            printf '%s\n' "$alternative"
            return
        fi
    done
    printf '%s\n' "${alternatives[-1]}"
}

missing_packages() {
    local requirement
    for requirement in "$@"; do missing_package "$requirement"; done
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi

apt_install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" >&2
}

case "${1:-}" in
    '') required=("${build_requirements[@]}") optional=() ;;
    --tests)
        required=("${build_requirements[@]}" "${test_requirements[@]}")
        optional=("${optional_requirements[@]}")
        ;;
    *) say "expected no argument or --tests, got $1"; exit 2 ;;
esac

command -v dpkg-query >/dev/null || { say "expected a Debian or Ubuntu system"; exit 1; }
mapfile -t missing < <(missing_packages "${required[@]}")
mapfile -t wanted < <(missing_packages ${optional[@]+"${optional[@]}"})
if [ ${#missing[@]} -eq 0 ] && [ ${#wanted[@]} -eq 0 ]; then exit 0; fi
if [ ${#as_root[@]} -ne 0 ] && ! command -v sudo >/dev/null; then
    say "missing: ${missing[*]} ${wanted[*]}; run this as root or install sudo"
    [ ${#missing[@]} -eq 0 ] && exit 0 || exit 1
fi

say "installing: ${missing[*]} ${wanted[*]}"
if ! "${as_root[@]}" apt-get update -q >&2; then say "apt-get update failed; using old lists"; fi
# With fresh lists an alternative may have turned up.
mapfile -t missing < <(missing_packages "${required[@]}")
if [ ${#missing[@]} -gt 0 ] && ! apt_install "${missing[@]}"; then
    say "could not install: ${missing[*]}"
    exit 1
fi
for package in ${wanted[@]+"${wanted[@]}"}; do
    apt_install "$package" || say "could not install $package; tests that need it are skipped"
done
