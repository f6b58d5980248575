#!/usr/bin/env bash
# The two commands of the README from nothing: in a bare Debian 12 root with only git, a clone of
# this repository runs deploy/quickstart.sh --detach; then a message is published and received
# inside, the broker is stopped, and a second quickstart has nothing left to install. Then
# tests/run.sh style unit installs what tests need, builds, and passes.
#
# Run it by `tests/run.sh clean-root`. Needs root, debootstrap and a Debian mirror (the one of this
# machine's apt sources, or CLEAN_ROOT_MIRROR), about 8 GB in CLEAN_ROOT_DIR (default /var/tmp) and
# up to an hour and a half on two processors. CLEAN_ROOT_CCACHE names a compiler cache to lend the
# root, CLEAN_ROOT_TESTS other suites to run in it. Exit codes: 0 proven, 1 not, 77 cannot run here.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
suite=${CLEAN_ROOT_SUITE:-bookworm}
read -r -a tests <<<"${CLEAN_ROOT_TESTS:-style unit}"
cache=${CLEAN_ROOT_CCACHE:-}

skip() { printf 'skipped: %s\n' "$*"; exit 77; }
say() { printf '%s %s\n' "$(date +%T)" "$*"; }

[ "$(id -u)" -eq 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "needs debootstrap"
git -C "$project" rev-parse HEAD >/dev/null || skip "needs a git repository"

mirror_of_apt() {
    grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d \
        2>/dev/null | head -n 1 | tr -d ' '
}
mirror=${CLEAN_ROOT_MIRROR:-$(mirror_of_apt || true)}
mirror=${mirror:-http://deb.debian.org/debian}

root=$(mktemp -d "${CLEAN_ROOT_DIR:-/var/tmp}/quorate-clean-root.XXXXXX")
broker_pid=
cleanup() {
    if [ -n "$broker_pid" ]; then kill -KILL "$broker_pid" 2>/dev/null || true; fi
    umount "$root/proc" 2>/dev/null || true
    umount "$root/var/cache/lent" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap cleanup EXIT

say "debootstrap $suite from $mirror"
debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root" "$mirror" \
    >"$root.log" 2>&1 || { tail -n 5 "$root.log"; rm -f "$root.log"; skip "debootstrap failed"; }
rm -f "$root.log"
mount -t proc proc "$root/proc" || skip "cannot mount /proc in a new root"
lent=()
if [ -n "$cache" ]; then
    mkdir -p "$root/var/cache/lent"
    mount --bind "$cache" "$root/var/cache/lent"
    lent=(CCACHE_DIR=/var/cache/lent CCACHE_BASEDIR=/srv/quorate CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=time_macros)
fi

say "clone of $(git -C "$project" rev-parse --short HEAD)"
git clone --quiet --no-hardlinks "file://$project" "$root/srv/quorate"

free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    return 1
}
mqtt_port=$(free_port)
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        QUICKSTART_MQTT_PORT="$mqtt_port" QUICKSTART_WS_PORT="$(free_port)" \
        QUICKSTART_METRICS_PORT="$(free_port)" ${lent[@]+"${lent[@]}"} \
        bash -c 'cd /srv/quorate && "$@"' inside "$@"
}

say "quickstart in the bare root"
broker_pid=$(inside ./deploy/quickstart.sh --detach | tail -n 1)
[[ $broker_pid =~ ^[0-9]+$ ]] || { say "expected a pid, got '$broker_pid'"; exit 1; }

say "publish and receive"
inside mosquitto_pub -h 127.0.0.1 -p "$mqtt_port" -q 1 -r -t clean/root -m "from nothing"
received=$(inside mosquitto_sub -h 127.0.0.1 -p "$mqtt_port" -q 1 -C 1 -W 20 -t 'clean/#')
[ "$received" = "from nothing" ] || { say "expected 'from nothing', got '$received'"; exit 1; }

# A dead process nobody reaps is not running.
running() {
    [ -r "/proc/$broker_pid/status" ] && ! grep -q '^State:.*zombie' "/proc/$broker_pid/status"
}

say "stop"
kill -TERM "$broker_pid"
for _ in $(seq 300); do
    running || break
    sleep 0.1
done
if running; then say "the broker did not stop in 30 s"; exit 1; fi
broker_pid=

say "second run: nothing to install, the retained message is still there"
second=$(inside ./deploy/install-deps.sh 2>&1)
[ -z "$second" ] || { say "expected nothing to install, got '$second'"; exit 1; }
broker_pid=$(inside ./deploy/quickstart.sh --detach | tail -n 1)
received=$(inside mosquitto_sub -h 127.0.0.1 -p "$mqtt_port" -q 1 -C 1 -W 20 -t 'clean/#')
kill -TERM "$broker_pid"
[ "$received" = "from nothing" ] || { say "after a restart got '$received'"; exit 1; }

say "tests/run.sh ${tests[*]} in the bare root"
if ! inside ./tests/run.sh "${tests[@]}" >"$root/tests.log" 2>&1; then
    tail -n 40 "$root/tests.log"
    for part in "${tests[@]}"; do tail -n 60 "$root/srv/quorate/build/test-logs/$part.log"; done
    say "the tests do not pass"
    exit 1
fi
tail -n $((${#tests[@]} + 1)) "$root/tests.log"
say "proven"
