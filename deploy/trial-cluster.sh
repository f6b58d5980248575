#!/usr/bin/env bash
# Several nodes of one cluster on loopback, for trials: one script in the place of a Procfile.
#
#   deploy/trial-cluster.sh [N]            N nodes (3) in the foreground; Ctrl-C stops all of them
#   deploy/trial-cluster.sh [N] --detach   leaves them running; prints their pids, one a line
#
# Node k has MQTT on 1882+k, WebSocket on 8082+k, metrics on 9640+k, links on 7399+k, and its data
# in DIR/nk. A second run goes on with the data of the first. Needs a built server.
# Environment: QUICKSTART_MQTT_PORT QUICKSTART_WS_PORT QUICKSTART_METRICS_PORT QUICKSTART_LINK_PORT
# (each that of the first node), QUICKSTART_DATA_DIR (./quorate-cluster), QUICKSTART_BINARY
# (build/bin/quorate).
# Exit codes: 0 after a signal; otherwise that of the first node that ended by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

nodes=3
detach=false
mqtt_port=${QUICKSTART_MQTT_PORT:-1883}
ws_port=${QUICKSTART_WS_PORT:-8083}
metrics_port=${QUICKSTART_METRICS_PORT:-9641}
link_port=${QUICKSTART_LINK_PORT:-7400}
data_dir=${QUICKSTART_DATA_DIR:-$PWD/quorate-cluster}
binary=${QUICKSTART_BINARY:-build/bin/quorate}
ready_seconds=60

say() { printf '%s\n' "$*" >&2; }

while [ $# -gt 0 ]; do
    case "$1" in
        [1-9]) nodes=$1 ;;
        --detach) detach=true ;;
        -h | --help)
            sed -n '2,14s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *)
            say "trial-cluster: expected a number of nodes from 1 to 9, or --detach, got $1"
            exit 2
            ;;
    esac
    shift
done

seeds=
for ((k = 0; k < nodes; ++k)); do seeds+="${seeds:+, }\"127.0.0.1:$((link_port + k))\""; done

pids=()
logs=()
interrupted=false
stop_all() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
}
trap 'interrupted=true; stop_all' INT TERM HUP

for ((k = 0; k < nodes; ++k)); do
    home=$data_dir/n$((k + 1))
    mkdir -p "$home"
    chmod 700 "$data_dir" "$home"
    log=$home/quorate.log
    [ ! -e "$log" ] || mv "$log" "$log.1"
    : >"$log"
    tcp="{url: \"tcp://127.0.0.1:$((mqtt_port + k))\"}"
    ws="{url: \"ws://127.0.0.1:$((ws_port + k))/mqtt\"}"
    # A session of its own: Ctrl-C reaches this script alone, which passes on one signal for each.
    setsid "$binary" \
        --set "node.name=n$((k + 1))" --set "node.data_dir=$home" \
        --set "listeners=[$tcp, $ws]" \
        --set "metrics.listen=127.0.0.1:$((metrics_port + k))" \
        --set "cluster.listen=127.0.0.1:$((link_port + k))" \
        --set "cluster.seeds=[$seeds]" --set "cluster.bootstrap_expect=$nodes" \
        </dev/null >>"$log" 2>&1 &
    pids+=($!)
    logs+=("$log")
done

# Ends the script when a node has ended by itself.
check_nodes() {
    local k status
    for ((k = 0; k < nodes; ++k)); do
        if kill -0 "${pids[k]}" 2>/dev/null; then continue; fi
        status=0
        wait "${pids[k]}" || status=$?
        if $interrupted; then continue; fi
        say "node $((k + 1)) stopped with exit code $status:"
        tail -n 20 "${logs[k]}" >&2
        stop_all
        [ "$status" -ne 0 ] || status=1
        exit "$status"
    done
}
serves() { # PORT of its metrics
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
        IFS= read -r -t 2 answer <&3 && [[ $answer == *" 200 "* ]]
    ) 2>/dev/null
}

deadline=$((SECONDS + ready_seconds))
for ((k = 0; k < nodes; ++k)); do
    until serves $((metrics_port + k)); do
        check_nodes
        if $interrupted; then break 2; fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "node $((k + 1)) was not ready after $ready_seconds s; see ${logs[k]}"
            stop_all
            exit 1
        fi
        sleep 0.1
    done
done

if ! $interrupted; then
    say "
quorate is ready: $nodes nodes of one cluster (pids ${pids[*]})"
    for ((k = 0; k < nodes; ++k)); do
        say "  n$((k + 1))  MQTT 127.0.0.1:$((mqtt_port + k))" \
            " WebSocket ws://127.0.0.1:$((ws_port + k))/mqtt" \
            " metrics http://127.0.0.1:$((metrics_port + k))/metrics  log ${logs[k]}"
    done
    say "
Try it: a subscriber on one node, a publisher on another, and the death of a third:
  mosquitto_sub -h 127.0.0.1 -p $mqtt_port -i me -c -q 2 -t 'hello/#' -v
  mosquitto_pub -h 127.0.0.1 -p $((mqtt_port + 1)) -q 2 -t hello/world -m 'first message'
  kill -9 ${pids[nodes - 1]}
"
fi
if $detach && ! $interrupted; then
    disown -a
    printf '%s\n' "${pids[@]}"
    exit 0
fi

# A node that dies here is left to the others: that is what they are for.
tails=()
for ((k = 0; k < nodes; ++k)); do
    (tail -n +1 -f --pid="${pids[k]}" "${logs[k]}" | sed -u "s/^/n$((k + 1)) | /") &
    tails+=($!)
done
status=0
for pid in "${pids[@]}"; do
    while true; do
        code=0
        wait "$pid" || code=$?
        # A signal interrupts `wait` while the node is still stopping.
        kill -0 "$pid" 2>/dev/null || break
    done
    if ! $interrupted && [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then status=$code; fi
done
wait "${tails[@]}" 2>/dev/null || true
exit "$status"
