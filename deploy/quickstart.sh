#!/usr/bin/env bash
# From a fresh machine to a running broker: installs what is missing, builds, starts one broker with
# MQTT on 127.0.0.1:1883 and WebSocket on 127.0.0.1:8083, waits until it is ready, prints what to
# try next.
#
#   deploy/quickstart.sh             stays in the foreground; Ctrl-C stops the broker
#   deploy/quickstart.sh --detach    leaves it running; prints its pid on standard output
#   deploy/quickstart.sh --cluster 3 three nodes of one cluster instead, MQTT on 1883 to 1885;
#                                    see trial-cluster.sh. With --detach it prints three pids.
#
# A second run skips what is done. For tests and for machines where a port is taken:
#   QUICKSTART_MQTT_PORT QUICKSTART_WS_PORT QUICKSTART_METRICS_PORT QUICKSTART_DATA_DIR
#   QUICKSTART_LINK_PORT QUICKSTART_BUILD_DIR
# Exit codes: those of the broker; 1 when something cannot be installed or built.
set -euo pipefail
cd "$(dirname "$0")/.."

mqtt_port=${QUICKSTART_MQTT_PORT:-1883}
ws_port=${QUICKSTART_WS_PORT:-8083}
metrics_port=${QUICKSTART_METRICS_PORT:-9641}
data_dir=${QUICKSTART_DATA_DIR:-$PWD/quorate-data}
build_dir=${QUICKSTART_BUILD_DIR:-build}
ready_seconds=60
detach=false
nodes=1

say() { printf '%s\n' "$*" >&2; }

while [ $# -gt 0 ]; do
    case "$1" in
        --detach) detach=true ;;
        --cluster)
            nodes=${2:-}
            if ! [[ $nodes =~ ^[1-9]$ ]]; then
                say "quickstart: expected --cluster and a number of nodes from 1 to 9, got '$nodes'"
                exit 2
            fi
            shift
            ;;
        -h | --help)
            sed -n '2,15s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *)
            say "quickstart: expected --detach or --cluster N, got $1"
            exit 2
            ;;
    esac
    shift
done

deploy/install-deps.sh

# A build directory that exists keeps its settings, so that tests and this script can share it.
if [ ! -f "$build_dir/CMakeCache.txt" ]; then
    say "configuring in $build_dir"
    cmake -S . -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release -DQUORATE_TESTS=OFF >&2
fi
say "building (the first time takes some minutes)"
cmake --build "$build_dir" --target quorate >&2

if [ "$nodes" -gt 1 ]; then
    export QUICKSTART_DATA_DIR=${QUICKSTART_DATA_DIR:-$PWD/quorate-cluster}
    export QUICKSTART_BINARY=$build_dir/bin/quorate
    arguments=("$nodes")
    if $detach; then arguments+=(--detach); fi
    exec deploy/trial-cluster.sh "${arguments[@]}"
fi

mkdir -p "$data_dir"
chmod 700 "$data_dir"
log=$data_dir/quorate.log
[ ! -e "$log" ] || mv "$log" "$log.1"
: >"$log"
tcp="{url: \"tcp://127.0.0.1:$mqtt_port\"}"
ws="{url: \"ws://127.0.0.1:$ws_port/mqtt\"}"
command=("$build_dir/bin/quorate"
    --set "node.data_dir=$data_dir"
    --set "listeners=[$tcp, $ws]"
    --set "metrics.listen=127.0.0.1:$metrics_port")
# A session of its own: Ctrl-C reaches this script alone, which passes on one signal for each it
# gets, so that the first means "drain" and the second "at once" also with a detached broker.
setsid "${command[@]}" </dev/null >>"$log" 2>&1 &
pid=$!
interrupted=false
trap 'interrupted=true; kill -TERM "$pid" 2>/dev/null || true' INT TERM HUP

deadline=$((SECONDS + ready_seconds))
until grep -q 'quorate ready' "$log"; do
    if ! kill -0 "$pid" 2>/dev/null; then
        status=0
        wait "$pid" || status=$?
        if $interrupted; then exit "$status"; fi
        say "the broker stopped with exit code $status:"
        tail -n 20 "$log" >&2
        [ "$status" -ne 0 ] || status=1
        exit "$status"
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
        say "the broker was not ready after $ready_seconds s; see $log"
        kill -TERM "$pid"
        exit 1
    fi
    sleep 0.1
done

say "
quorate is ready (pid $pid)
  MQTT       127.0.0.1:$mqtt_port
  WebSocket  ws://127.0.0.1:$ws_port/mqtt
  metrics    http://127.0.0.1:$metrics_port/metrics (also /healthz and /readyz)
  log        $log

Try it, in two other terminals:
  mosquitto_sub -h 127.0.0.1 -p $mqtt_port -t 'hello/#' -v
  mosquitto_pub -h 127.0.0.1 -p $mqtt_port -t hello/world -m 'first message'
A session that survives a restart of the broker:
  mosquitto_sub -h 127.0.0.1 -p $mqtt_port -i me -c -q 2 -t 'hello/#' -v
"
if $detach; then
    disown "$pid"
    printf '%s\n' "$pid"
    exit 0
fi
tail -n +1 -f --pid="$pid" "$log" &
tail_pid=$!
# A signal interrupts `wait` while the broker is still stopping: then wait again.
while true; do
    interrupted=false
    status=0
    wait "$pid" || status=$?
    $interrupted || break
done
wait "$tail_pid" 2>/dev/null || true
exit "$status"
