#!/usr/bin/python3
"""Prints the table of bench/compare.sh from the reports of its runs.

Reads RESULTS/CELL.BROKER.RUN.json as quorate-bench wrote them, and ….disturbed-N.json of runs that
were made again: of those only the findings count. Exit code 0 if quorate met every
target, 1 if not (a run that is missing or failed is a target not met).
"""

import argparse
import json
import os
import platform
import statistics
import sys

# Cell: text, highest allowed fraction of the peer's CPU per message, whether latency counts.
CELLS = {
    "pairs0": ("100 pairs, QoS 0", 0.10, False),
    "pairs1": ("100 pairs, QoS 1", 0.125, False),
    "pairs2": ("100 pairs, QoS 2", 0.12, False),
    "fanout0": ("fan-out 1 to 1000, QoS 0", 0.10, False),
    "fanout1": ("fan-out 1 to 200, QoS 1", 0.18, False),
    "fanin0": ("fan-in 200 to 1, QoS 0", 0.30, False),
    "fanin1": ("fan-in 200 to 1, QoS 1", 0.22, False),
    "shared1": ("shared 100 to 10, QoS 1, v5", 0.22, False),
    "rate0": ("10,000/s over 100 pairs, QoS 0", 0.85, True),
    "rate1": ("10,000/s over 100 pairs, QoS 1", 0.85, True),
}
FINDINGS = (("lost", "lost"), ("duplicated", "dup"), ("reordered", "order"),
            ("disconnected", "disc"), ("corrupted", "corrupt"), ("misrouted", "misrouted"),
            ("refused", "refused"), ("unacknowledged", "unacked"), ("protocol_errors", "protocol"))


def load(folder, disturbed):
    """{(cell, broker): [report, ...]}; a report that cannot be read is a failed run."""
    reports = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".json") or (".disturbed-" in name) != disturbed:
            continue
        cell, broker = name.split(".")[:2]
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as source:
                report = json.load(source)
        except ValueError:
            report = {"failure": "no report"}
        reports.setdefault((cell, broker), []).append(report)
    return reports


def values(reports, *path):
    found = []
    for report in reports:
        for key in path:
            report = report.get(key, {})
        if isinstance(report, (int, float)):
            found.append(report)
    return found


def middle(reports, *path):
    found = values(reports, *path)
    return statistics.median(found) if found else None


def spread(reports, *path, digits=2):
    found = values(reports, *path)
    if not found:
        return "failed"
    text = f"{statistics.median(found):.{digits}f}"
    if len(found) > 1:
        text += f" ({min(found):.{digits}f}–{max(found):.{digits}f})"
    return text


def findings(reports):
    """What all runs together found, in words; an empty run or a failure is told too."""
    parts = []
    for key, text in FINDINGS:
        total = sum(values(reports, "verify", key))
        if total:
            parts.append(f"{text} {total}")
    parts += sorted({f"failed: {report['failure']}" for report in reports if "failure" in report})
    return ", ".join(parts) or "none"


def ratio(cell, reports):
    ours = middle(reports.get((cell, "quorate"), []), "broker", "cpu_us_per_delivered")
    peer = middle(reports.get((cell, "mosquitto"), []), "broker", "cpu_us_per_delivered")
    return ours / peer if ours and peer else None


def latency_ok(cell, reports):
    """p50 and p99, end to end and of the acknowledgement, no worse than the peer's."""
    for kind in ("end_to_end", "ack"):
        for quantile in ("p50", "p99"):
            ours = middle(reports.get((cell, "quorate"), []), "latency_us", kind, quantile)
            peer = middle(reports.get((cell, "mosquitto"), []), "latency_us", kind, quantile)
            if ours is None or peer is None or ours > peer:
                return False
    return True


def passed(cell, reports, disturbed):
    ours = (cell, "quorate")
    share = ratio(cell, reports)
    _, target, with_latency = CELLS[cell]
    return (share is not None and share <= target
            and findings(reports.get(ours, []) + disturbed.get(ours, [])) == "none"
            and (not with_latency or latency_ok(cell, reports)))


def print_costs(cells, reports, disturbed):
    print("| load | mosquitto CPU-us | quorate CPU-us | ratio | target | "
          "| mosquitto per s | quorate per s | mosquitto found | quorate found |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for cell in cells:
        text, target, _ = CELLS[cell]
        peer, ours = reports.get((cell, "mosquitto"), []), reports.get((cell, "quorate"), [])
        again = [disturbed.get((cell, broker), []) for broker in ("mosquitto", "quorate")]
        share = ratio(cell, reports)
        print("| " + " | ".join([
            text, spread(peer, "broker", "cpu_us_per_delivered"),
            spread(ours, "broker", "cpu_us_per_delivered"), f"{share:.3f}" if share else "–",
            f"{target:g}", "pass" if passed(cell, reports, disturbed) else "FAIL",
            spread(peer, "delivered_per_s", digits=0), spread(ours, "delivered_per_s", digits=0),
            findings(peer + again[0]), findings(ours + again[1])]) + " |")


def print_latencies(cells, reports):
    print("\n| latency, us | broker | e2e p50 | e2e p99 | e2e p99.9 | ack p50 | ack p99 |")
    print("|---|---|---|---|---|---|---|")
    for cell in cells:
        for broker in ("mosquitto", "quorate"):
            row = [CELLS[cell][0], broker]
            for kind, quantile in (("end_to_end", "p50"), ("end_to_end", "p99"),
                                   ("end_to_end", "p999"), ("ack", "p50"), ("ack", "p99")):
                of_kind = [report for report in reports.get((cell, broker), [])
                           if report.get("latency_us", {}).get(kind, {}).get("count")]
                figure = ("latency_us", kind, quantile)
                row.append(spread(of_kind, *figure, digits=0) if of_kind else "")
            print("| " + " | ".join(row) + " |")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as source:
        for line in source:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results")
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--peer", default="mosquitto")
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    reports = load(arguments.results, False)
    disturbed = load(arguments.results, True)
    cells = [cell for cell in CELLS if any(name == cell for name, _ in reports)]
    load_average = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"quorate {arguments.commit} beside {arguments.peer}; {arguments.note}. {processor()}, "
          f"{os.cpu_count()} processors, Linux {platform.release()}, "
          f"load average {load_average}; "
          f"{sum(map(len, disturbed.values()))} runs made again because a hypervisor took more "
          f"than 1 % of the processors' time.\n")
    print_costs(cells, reports, disturbed)
    timed = [cell for cell in cells if CELLS[cell][2]]
    if timed:
        print_latencies(timed, reports)
    sys.exit(0 if cells and all(passed(cell, reports, disturbed) for cell in cells) else 1)


if __name__ == "__main__":
    main()
