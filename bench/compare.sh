#!/bin/bash
# Runs the project's table of loads against Debian's mosquitto and against quorate, one after the
# other in the same run, and prints a table of broker CPU-microseconds per delivered message. See
# bench/README.md.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
bench=$root/build/bin/quorate-bench
quorate=$root/build/bin/quorate
mosquitto=/usr/sbin/mosquitto
runs=3
seconds=3
warmup=1
only=
keep=
settings=()

usage() {
    cat <<USAGE
usage: bench/compare.sh [--only CELL[,CELL...]] [--runs N] [--seconds S] [--warmup S]
                        [--quorate BIN] [--mosquitto BIN] [--bench BIN] [--set KEY=VALUE]...
                        [--keep DIR]
  --only   cells: pairs0 pairs1 pairs2 fanout0 fanout1 fanin0 fanin1 shared1 rate0 rate1
  --set    a further option for quorate
  --keep   leave every run's JSON report in DIR
Exit code: 0 all targets met, 1 some not, 2 wrong usage or a broker did not start.
USAGE
}

while [ $# -gt 0 ]; do
    case $1 in
        --only) only=$2; shift 2 ;;
        --runs) runs=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --warmup) warmup=$2; shift 2 ;;
        --quorate) quorate=$2; shift 2 ;;
        --mosquitto) mosquitto=$2; shift 2 ;;
        --bench) bench=$2; shift 2 ;;
        --set) settings+=(--set "$2"); shift 2 ;;
        --keep) keep=$2; shift 2 ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

for program in "$bench" "$quorate" "$mosquitto"; do
    if [ ! -x "$program" ]; then
        echo "compare.sh: $program is not there; build it or name it" >&2
        exit 2
    fi
done

# name, options of quorate-bench
cells='pairs0  pairs --clients 100 --qos 0 --window 100
pairs1  pairs --clients 100 --qos 1 --window 20 --e2e 80
pairs2  pairs --clients 100 --qos 2 --window 20 --e2e 80
fanout0 fanout --subs 1000 --qos 0 --window 100
fanout1 fanout --subs 200 --qos 1 --window 20 --e2e 80
fanin0  fanin --pubs 200 --qos 0 --window 4
fanin1  fanin --pubs 200 --qos 1 --window 4 --e2e 4
shared1 shared --pubs 100 --subs 10 --qos 1 --window 10 --e2e 10 --v 5
rate0   pairs --clients 100 --qos 0 --rate 10000
rate1   pairs --clients 100 --qos 1 --rate 10000'

chosen=()
while read -r name load; do
    if [ -z "$only" ] || [[ ",$only," == *",$name,"* ]]; then chosen+=("$name $load"); fi
done <<<"$cells"
for name in ${only//,/ }; do
    grep -q "^$name " <<<"$cells" || { echo "compare.sh: no cell is called '$name'" >&2; exit 2; }
done

work=$(mktemp -d)
results=${keep:-$work/results}
mkdir -p "$results"
pid=
stop_broker() {
    if [ -z "$pid" ]; then return; fi
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
}
trap 'stop_broker; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

free_ports() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import socket
import sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))
PYTHON
}

# Sets pid and port. Both brokers run with their defaults, anonymous and without a log; quorate's
# limit on connections of one address is off, as all clients here have the same.
start_broker() {
    local ports
    read -r -a ports <<<"$(free_ports 4)"
    port=${ports[0]}
    local home=$work/home
    rm -rf "$home"
    mkdir -p "$home"
    if [ "$1" = mosquitto ]; then
        printf 'listener %s 127.0.0.1\nallow_anonymous true\nlog_type none\n' "$port" >"$home/conf"
        "$mosquitto" -c "$home/conf" >"$home/out" 2>&1 &
    else
        "$quorate" --set node.data_dir="$home/data" \
            --set "listeners=[{url: \"tcp://127.0.0.1:$port\"}]" \
            --set metrics.listen="127.0.0.1:${ports[1]}" \
            --set admin.listen="127.0.0.1:${ports[2]}" \
            --set log.level=error \
            --set limits.connect_rate=off --set limits.connect_rate_per_address=off \
            "${settings[@]}" >"$home/out" 2>&1 &
    fi
    pid=$!
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "compare.sh: $1 does not answer:" >&2
    tail -n 20 "$home/out" >&2
    exit 2
}

# Tenths of a percent of the processors' time that the hypervisor took since the two figures of
# /proc/stat given: "all stolen".
processor_time() {
    awk '/^cpu /{all = 0; for (i = 2; i <= 9; ++i) all += $i; print all, $9}' /proc/stat
}
stolen_since() {
    local now
    read -r -a now <<<"$(processor_time)"
    echo $(((now[1] - $2) * 1000 / (now[0] - $1 + 1)))
}

# One run into $results/$1.json. A run during which a hypervisor took more than 1 % measures the
# other machines: it is made again, three times at most, and of what was made before only the
# findings count.
measure() {
    local report=$results/$2.$1.$3 try before
    for try in 1 2 3 4; do
        start_broker "$1"
        read -r -a before <<<"$(processor_time)"
        # shellcheck disable=SC2086  # the load is a list of options
        "$bench" $4 --host "127.0.0.1:$port" --pid "$pid" --seconds "$seconds" \
            --warmup "$warmup" --verify --json >"$report.json" 2>"$report.err" || true
        local stolen
        stolen=$(stolen_since "${before[@]}")
        stop_broker
        if [ "$stolen" -le 10 ] || [ "$try" -eq 4 ]; then return; fi
        mv "$report.json" "$report.disturbed-$try.json"
    done
}

for run in $(seq "$runs"); do
    for cell in "${chosen[@]}"; do
        read -r name load <<<"$cell"
        order="mosquitto quorate"
        if [ $((run % 2)) -eq 0 ]; then order="quorate mosquitto"; fi
        for broker in $order; do
            measure "$broker" "$name" "$run" "$load"
        done
        echo "run $run of $runs: $name done" >&2
    done
done

commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
peer=$("$mosquitto" -h 2>&1 | sed -n '1s/ version / /p') || true
/usr/bin/python3 "$root/bench/compare_table.py" "$results" --commit "$commit" --peer "$peer" \
    --note "$runs runs of $seconds s after $warmup s of warm-up"
