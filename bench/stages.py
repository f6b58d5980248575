#!/usr/bin/python3
"""Where the broker's time goes, by stage of a message's life.

    perf record -g -F 2000 -p "$(pidof quorate)" -o perf.data sleep 3
    perf script -i perf.data | bench/stages.py

A sample belongs to the stage of the innermost of our functions on its stack that a rule names, so
that a system call counts for who made it; else to the stage of its thread.
"""

import collections
import re
import sys

# First match wins, from the innermost frame outwards.
RULES = [
    ("log", r"RocksLogStore|LogWriter|LogTable|quorate::raft::|WalTail"),
    ("apply", r"StateStore::|ShardState|WildcardState|MetaState|Sessions?State|TopicsState|"
              r"quorate::cluster::(Outbox|Queue|Retained|Lanes)|ApplyContext"),
    ("deliver", r"SessionFeed|DeliveryBatch|on_deliveries|Channel::(offer|deliver|write|on_puback|"
                r"on_pubrec|on_pubcomp|pump)|OutgoingWindow|PendingQueue|Connection::flush|"
                r"Connection::write_wire|offer_local|SharedLeader|SharedDelivery|encode_publish|"
                r"write_publish|ConnectionSet::flush"),
    ("commands", r"LaneClient|CommandParcel|encode_command|decode_command|Group::|GroupRunner|"
                 r"CommandBatch|ShardRunner|GroupHost"),
    ("route", r"PublishDesk|RouteCache|quorate::cluster::Owner|DirectoryTable|Directory::|"
              r"FilterTree|FilterTrie|LocalSubscriptions|NodeLoopPort|WorkerRouter|Exchange|"
              r"Outbound|FrontEnd::publish|PublishBatch|GroupBatch|Mailbox"),
    ("parse", r"Connection::(read_socket|deliver|on_events|receive)|Channel::|mqtt::decode|"
              r"scan_frame|AnswerQueue"),
]
PATTERNS = [(stage, re.compile(pattern)) for stage, pattern in RULES]
THREADS = [("log", "log-writer"), ("apply", "rocksdb:"), ("waiting and waking", "loop-"),
           ("waiting and waking", "worker-")]
STAGES = ["parse", "route", "commands", "log", "apply", "deliver", "waiting and waking", "other"]


def stage_of(thread, frames):
    for frame in frames:
        for stage, pattern in PATTERNS:
            if pattern.search(frame):
                return stage
    for stage, prefix in THREADS:
        if thread.startswith(prefix):
            return stage
    return "other"


def samples(lines):
    """Yields (thread, frames) of each sample of `perf script`, the innermost frame first."""
    thread, frames = None, []
    for line in lines:
        if not line.strip():
            if thread is not None:
                yield thread, frames
            thread, frames = None, []
        elif line[0].isspace() and thread is not None:
            parts = line.split(None, 1)
            frames.append(parts[1].strip() if len(parts) > 1 else "")
        else:
            thread, frames = line.split()[0], []
    if thread is not None:
        yield thread, frames


def main():
    counts = collections.Counter(stage_of(*sample) for sample in samples(sys.stdin))
    total = sum(counts.values())
    if total == 0:
        print("no samples on standard input", file=sys.stderr)
        return 1
    print("| stage | share of CPU |")
    print("|---|---|")
    for stage in STAGES:
        print(f"| {stage} | {100 * counts[stage] / total:.1f} % |")
    print(f"{total} samples", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
