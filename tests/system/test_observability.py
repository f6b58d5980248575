"""What operators see: every metric of the list, clean text, log lines of a broker's life."""

import json
import os
import re
import shutil
import subprocess
import unittest

from lib import mqtt_wire as wire
from lib.broker import ROOT, Broker
from lib.case import BrokerCase, quorate_only
from lib.wait import wait_until

# What a small load must have moved. Others count what did not happen here.
MOVED = """
process_cpu_seconds_total process_max_fds process_open_fds process_resident_memory_bytes
process_start_time_seconds process_virtual_memory_bytes quorate_auth_total quorate_build_info
quorate_bytes_received_total quorate_bytes_sent_total quorate_config_reload_total
quorate_connect_duration_seconds_count quorate_connection_limit quorate_connections
quorate_connects_total quorate_disconnects_total quorate_disk_free_bytes quorate_disk_used_bytes
quorate_event_loop_busy_seconds_total quorate_event_loop_delay_seconds_count
quorate_http_requests_total quorate_inflight_messages quorate_log_messages_total
quorate_match_seconds_count quorate_memory_limit_bytes quorate_packets_received_total
quorate_packets_sent_total quorate_protocol_errors_total quorate_publish_ack_seconds_count
quorate_publish_delivered_total quorate_publish_dropped_total quorate_publish_received_total
quorate_publish_unmatched_total quorate_queued_bytes quorate_queued_messages
quorate_raft_apply_seconds_count quorate_raft_commands_total quorate_raft_commit_seconds_count
quorate_raft_elections_total quorate_raft_fsync_seconds_count quorate_raft_groups
quorate_raft_leader_changes_total quorate_raft_log_bytes quorate_raft_proposals_total
quorate_ready quorate_redeliveries_total quorate_retained_bytes quorate_retained_lookups_total
quorate_retained_messages quorate_routes quorate_routing_fanout_count
quorate_session_takeovers_total quorate_sessions quorate_sessions_created_total
quorate_shared_groups quorate_socket_reads_total quorate_socket_writes_total quorate_sockets
quorate_start_time_seconds quorate_subscriptions quorate_tls_handshake_failures_total
quorate_tls_handshake_seconds_count quorate_wal_batch_entries_count quorate_wills_pending
quorate_wills_published_total
""".split()


def listed():
    """Name and kind of every row of metric_list.h."""
    with open(os.path.join(ROOT, "proto", "base", "metric_list.h"), encoding="utf-8") as source:
        return re.findall(r'METRIC\(\w+, (\w+), \w+, "(\w+)"', source.read())


class Family:
    def __init__(self, name):
        self.name, self.kind, self.samples = name, None, []


def parse(text):
    """The families of an exposition text (format 0.0.4); AssertionError where it is not clean."""
    families, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in families, f"{name} twice"
            assert len(line.split(" ", 3)[3]) > 3, f"{name} without help"
            current = families[name] = Family(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert current and current.name == name and current.kind is None, line
            current.kind = kind
        else:
            match = re.fullmatch(
                r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)', line)
            assert match and current and current.kind, line
            name, labels, value = match.groups()
            suffixes = ("_bucket", "_sum", "_count") if current.kind == "histogram" else ("",)
            assert name in [current.name + suffix for suffix in suffixes], line
            current.samples.append((name, labels or "", float(value)))
    return families


def without_le(labels):
    return re.sub(r',?le="[^"]*"', "", labels)


@quorate_only
class Metrics(BrokerCase):
    options = {"cluster.shards": 4, "mqtt.max_queued_messages": 5}
    transports = ("tcp", "tls")

    def load(self):
        """A little of everything that is counted."""
        base = self.topic()
        reader, writer = self.client(), self.client(transport_name="tls")
        reader.subscribe(base + "/#", qos=2)
        reader.subscribe("$share/g/" + base + "/shared", qos=1)
        for n in range(200):
            writer.publish(f"{base}/{n % 7}", b"x", qos=n % 3)
        reader.messages(200)
        writer.publish(base + "/kept", b"y", qos=1, retain=True)
        writer.publish(self.topic("nobody"), b"y", qos=1)
        self.client().subscribe(base + "/kept", qos=1)
        away = self.durable()
        away.subscribe(base + "/away", qos=1)
        writer.publish(base + "/away", b"z", qos=1)
        self.assertEqual(away.next_publish().payload, b"z")  # and not acknowledged
        away.abort()
        self.assertTrue(self.durable(client_id=away.client_id).next_publish().dup)
        for _ in range(10):
            writer.publish(base + "/away", b"z", qos=1)  # more than its queue holds
        stays = self.durable()
        stays.subscribe(base + "/away", qos=1)
        stays.disconnect()
        writer.publish(base + "/away", b"z", qos=1)
        name = self.new_id()
        self.client(client_id=name)
        self.client(client_id=name)
        will = {"topic": base + "/will", "payload": b"w"}
        self.client(will=will).abort()
        self.durable(will={**will, "props": {"will_delay": 600}}).abort()
        self.client().offer(b"\xf0\x00\x00\x00")
        self.raw().offer(b"\x00\x00")
        stream = self.broker.stream
        with self.assertRaises(OSError):
            import ssl
            context = ssl.create_default_context()
            stream("tls", context=context)
        self.broker.process.send_signal(1)

    def test_every_metric_of_the_list_is_there_and_what_must_move_has_moved(self):
        self.load()

        def still():
            moved = {sample.split("{")[0] for sample, value in self.broker.metrics().items()
                     if value > 0}
            return [name for name in MOVED if name not in moved]
        try:
            self.wait_for(lambda: not still(), "metrics that move", 15)
        except AssertionError:
            self.assertEqual(still(), [])
        families = parse(self.broker.http("/metrics")[1])
        for kind, name in listed():
            self.assertIn(name, families)
            expected = kind.removesuffix("Set").lower()
            self.assertEqual(families[name].kind, expected, name)

    def test_the_text_is_clean(self):
        text = self.broker.http("/metrics")[1]
        self.assertTrue(text.endswith("\n"))
        for family in parse(text).values():
            with self.subTest(metric=family.name):
                self.assertEqual(family.kind == "counter", family.name.endswith("_total"))
                self.assertEqual(len({s[:2] for s in family.samples}), len(family.samples))
                self.assertTrue(all(value >= 0 for _, _, value in family.samples))
                if family.kind == "histogram":
                    self.check_histogram(family)
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     check=False)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""))

    def check_histogram(self, family):
        for labels in {without_le(labels) for _, labels, _ in family.samples}:
            mine = [s for s in family.samples if without_le(s[1]) == labels]
            buckets = [value for name, _, value in mine if name.endswith("_bucket")]
            counts = [value for name, _, value in mine if name.endswith("_count")]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(counts, buckets[-1:])
            self.assertTrue(any('le="+Inf"' in s[1] for s in mine))

    def test_the_build_is_named(self):
        line = next(each for each in self.broker.http("/metrics")[1].splitlines()
                    if each.startswith("quorate_build_info{"))
        for label in ("version", "revision", "compiler"):
            self.assertRegex(line, label + r'="[^"]+"')


@quorate_only
class LogOfALife(unittest.TestCase):
    def lines(self, log_format):
        broker = Broker({"cluster.shards": 4, "log.format": log_format,
                         "limits.memory_high_water": "8GiB"}, ("tcp", "ws"))
        self.addCleanup(broker.stop)
        broker.start()
        client = broker.client()
        self.addCleanup(client.close)
        client.connect("c")
        broker.process.send_signal(1)
        wait_until(lambda: any("reloaded" in line for line in broker.lines),
                   lambda: f"the reload, running {broker.is_running()}: {broker.lines}")
        self.assertEqual(broker.terminate(), 0)
        return broker, [line for line in broker.lines if not line.startswith("quorate ready")]

    EXPECTED = ["starting", "listening", "listening", "listening", "ready",
                "configuration reloaded", "draining", "stopped"]

    def test_json(self):
        broker, lines = self.lines("json")
        entries = [json.loads(line) for line in lines]
        self.assertEqual([e["message"] for e in entries if e["message"] in self.EXPECTED],
                         self.EXPECTED)
        by_message = {e["message"]: e for e in entries}
        starting = by_message["starting"]
        self.assertEqual(starting["pid"], broker.process.pid)
        self.assertEqual(starting["data_dir"], broker.data_dir)
        for key in ("version", "revision", "config_file", "config_sets"):
            self.assertIn(key, starting)
        urls = {e["url"] for e in entries if e["message"] == "listening"}
        for name in ("tcp", "ws"):
            self.assertTrue(any(f"{name}://127.0.0.1:{broker.ports[name]}" in u for u in urls))
        self.assertEqual(by_message["draining"]["clients"], 1)
        for entry in entries:
            self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(entry["level"], "info")

    def test_text(self):
        broker, lines = self.lines("text")
        pattern = re.compile(r"\S+Z info  broker: (starting|listening|ready|configuration "
                             r"reloaded|draining|stopped)( \w+=.*)?$")
        seen = [m.group(1) for m in map(pattern.match, lines) if m]
        self.assertEqual(seen, self.EXPECTED)
        self.assertIn(f"pid={broker.process.pid}", lines[0])


if __name__ == "__main__":
    unittest.main()
