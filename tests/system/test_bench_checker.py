"""The checker of quorate-bench, tried against a broker made to misbehave.

A checker that reports nothing proves nothing until it has been seen to report. The fake broker
below speaks just enough MQTT 3.1.1 for the generator, and on order loses, repeats, reorders,
damages or misdirects one message, keeps back an acknowledgement, or closes a connection. Each must
be counted under its own name and end the run with 1; the honest broker must end with 0.
"""

import asyncio
import json
import os
import struct
import subprocess
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.environ.get("QUORATE_BENCH_BIN") or os.path.join(ROOT, "build", "bin", "quorate-bench")
# Which message is the victim: late enough for the load to be under way.
VICTIM = 15


def matches(pattern, topic):
    levels = topic.split("/")
    for i, part in enumerate(pattern.split("/")):
        if part == "#":
            return True
        if i >= len(levels) or part not in ("+", levels[i]):
            return False
    return len(pattern.split("/")) == len(levels)


def packet(first, body):
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


class Session:
    def __init__(self):
        self.filters, self.queue, self.writer, self.next_id = {}, [], None, 1


class FakeBroker:
    """`fault` names what is done to delivery number VICTIM; None is honest."""

    def __init__(self, fault=None):
        self.fault, self.port = fault, None
        self.sessions, self.retained, self.group_turn = {}, {}, 0
        self.deliveries, self.acks, self.held = 0, 0, None
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def serve(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self.on_client, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def on_client(self, reader, writer):
        identity = None
        try:
            while True:
                first = (await reader.readexactly(1))[0]
                size, shift, more = 0, 0, True
                while more:
                    digit = (await reader.readexactly(1))[0]
                    size, shift, more = size | (digit & 127) << shift, shift + 7, digit > 127
                body = await reader.readexactly(size)
                if first == 0x10:
                    identity = self.connect(body, writer)
                elif first >> 4 == 14:
                    break
                else:
                    self.on_packet(self.sessions[identity[0]], first, body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        writer.close()
        if identity and self.sessions.get(identity[0]) and \
                self.sessions[identity[0]].writer is writer:
            self.sessions[identity[0]].writer = None
            if identity[1]:
                del self.sessions[identity[0]]

    def connect(self, body, writer):
        clean = bool(body[7] & 2)
        size = struct.unpack_from(">H", body, 10)[0]
        client_id = body[12:12 + size].decode()
        forget = clean or self.fault == "forget"
        present = client_id in self.sessions and not forget
        if not present:
            self.sessions[client_id] = Session()
        session = self.sessions[client_id]
        session.writer = writer
        writer.write(bytes([0x20, 2, int(present), 0]))
        queue, session.queue = session.queue, []
        for message in queue:
            self.deliver(session, *message)
        return client_id, clean

    def on_packet(self, session, first, body):
        kind = first >> 4
        if kind == 3:
            self.publish(session, first, body)
        elif kind == 5:
            session.writer.write(b"\x62\x02" + body)
        elif kind == 6:
            self.acknowledge(session, b"\x70\x02" + body)
        elif kind == 8:
            self.subscribe(session, body)
        elif kind == 12:
            session.writer.write(b"\xd0\x00")

    def subscribe(self, session, body):
        at, granted, added = 2, b"", []
        while at < len(body):
            size = struct.unpack_from(">H", body, at)[0]
            name, qos = body[at + 2:at + 2 + size].decode(), body[at + 2 + size]
            session.filters[name] = qos
            added.append((name, qos))
            granted += bytes([qos])
            at += 3 + size
        session.writer.write(packet(0x90, body[:2] + granted))
        for name, qos in added:
            for topic, payload in self.retained.items():
                if matches(name, topic):
                    self.deliver(session, topic, payload, qos, 1)

    def publish(self, session, first, body):
        qos, size = first >> 1 & 3, struct.unpack_from(">H", body, 0)[0]
        topic, at = body[2:2 + size].decode(), 2 + size
        if qos:
            answer = b"\x40\x02" if qos == 1 else b"\x50\x02"
            self.acknowledge(session, answer + body[at:at + 2])
            at += 2
        payload = body[at:]
        if first & 1 and payload:
            self.retained[topic] = payload
        elif first & 1:
            self.retained.pop(topic, None)
        members = []
        for other in list(self.sessions.values()):
            for name, granted in other.filters.items():
                if name.startswith("$share/") and matches(name.split("/", 2)[2], topic):
                    members.append((other, granted))
                elif matches(name, topic):
                    self.deliver(other, topic, payload, min(qos, granted), 0)
        if members:
            self.group_turn += 1
            member, granted = members[self.group_turn % len(members)]
            self.deliver(member, topic, payload, min(qos, granted), 0)

    def acknowledge(self, session, answer):
        self.acks += 1
        if self.fault == "keep_ack" and self.acks == VICTIM:
            return
        session.writer.write(answer)
        if self.fault == "stray_ack" and self.acks == VICTIM:
            session.writer.write(answer)

    def deliver(self, session, topic, payload, qos, retain):
        if session.writer is None:
            session.queue.append((topic, payload, qos, retain))
            return
        self.deliveries += 1
        fault = self.fault if self.deliveries == VICTIM else None
        if fault == "lose":
            return
        if fault == "reorder":
            self.held = (session, topic, payload, qos, retain)
            return
        if fault == "corrupt":
            payload = payload[:40] + bytes([payload[40] ^ 1]) + payload[41:]
        elif fault == "shorten":
            payload = payload[:-1]
        elif fault == "wrong_topic":
            topic += "x"
        elif fault == "wrong_qos":
            qos = 0 if qos else 1
        elif fault == "wrong_retain":
            retain ^= 1
        elif fault == "malformed":
            session.writer.write(b"\x36\x02\x00\x00")  # a PUBLISH of QoS 3
        elif fault == "disconnect":
            session.writer.close()
            session.writer = None
            return
        for _ in range(2 if fault == "duplicate" else 1):
            self.send(session, topic, payload, qos, retain)
        if self.held and self.held[:2] == (session, topic) and self.held[2] != payload:
            held, self.held = self.held, None
            self.send(*held)

    def send(self, session, topic, payload, qos, retain):
        name = topic.encode()
        body = struct.pack(">H", len(name)) + name
        if qos:
            body += struct.pack(">H", session.next_id)
            session.next_id = session.next_id % 65535 + 1
        if session.writer:
            session.writer.write(packet(0x30 | qos << 1 | retain, body + payload))


PAIRS = ["pairs", "--clients", "2", "--window", "8", "--e2e", "8"]
FANIN = ["fanin", "--clients", "3"]
FANOUT = ["fanout", "--clients", "3", "--window", "8", "--e2e", "8"]
SHARED = ["shared", "--pubs", "1", "--subs", "1", "--v", "4"]
SESSIONS = ["sessions", "--clients", "3", "--messages", "20"]
RETAINED = ["retained", "--clients", "40"]


class Checker(unittest.TestCase):
    def run_bench(self, fault, arguments, verify=True):
        with FakeBroker(fault) as broker:
            command = [BENCH, *arguments, "--host", f"127.0.0.1:{broker.port}", "--seconds", "0.3",
                       "--warmup", "0", "--drain", "0.4", "--timeout", "2", "--json"]
            done = subprocess.run(command + (["--verify"] if verify else []), timeout=60,
                                  capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout), done.stderr

    def assert_found(self, fault, finding, arguments):
        with self.subTest(fault=fault, arguments=arguments):
            status, report, _ = self.run_bench(fault, arguments)
            self.assertEqual(status, 1, report)
            self.assertGreater(report["verify"][finding], 0, report)
            self.assertFalse(report["verify"]["ok"])
            self.assertGreater(len(report["notes"]), 0, "a finding is explained in words")

    def test_an_honest_broker_gives_no_finding(self):
        for arguments in (PAIRS, [*PAIRS, "--qos", "1"], [*PAIRS, "--qos", "2"], FANIN, FANOUT,
                          [*FANOUT, "--qos", "1"], SHARED, SESSIONS, RETAINED,
                          ["shared", "--pubs", "3", "--subs", "2", "--v", "4", "--qos", "2"],
                          [*PAIRS, "--qos", "1", "--persistent"]):
            with self.subTest(arguments=arguments):
                status, report, errors = self.run_bench(None, arguments)
                self.assertEqual((status, errors), (0, ""), report)
                self.assertTrue(report["verify"].pop("ok"))
                self.assertEqual(set(report["verify"].values()), {0})
                self.assertGreater(report["delivered"], 30)

    def test_a_lost_message_is_reported(self):
        for arguments in (PAIRS, [*PAIRS, "--qos", "1"], [*PAIRS, "--qos", "2"], FANIN, FANOUT,
                          SHARED, SESSIONS, RETAINED):
            self.assert_found("lose", "lost", arguments)

    def test_exactly_the_lost_messages_are_counted(self):
        _, report, _ = self.run_bench("lose", [*PAIRS, "--qos", "1"])
        self.assertEqual(report["verify"]["lost"], 1)
        self.assertEqual(report["verify"]["reordered"], 0)
        self.assertEqual(report["verify"]["duplicated"], 0)

    def test_loss_of_qos_0_can_be_allowed_and_of_qos_1_cannot(self):
        self.assertEqual(self.run_bench("lose", [*PAIRS, "--allow-loss"])[0], 0)
        self.assertEqual(self.run_bench("lose", [*PAIRS, "--qos", "1", "--allow-loss"])[0], 1)

    def test_without_verify_findings_are_shown_and_the_exit_code_is_0(self):
        status, report, _ = self.run_bench("lose", PAIRS, verify=False)
        self.assertEqual((status, report["verify"]["lost"]), (0, 1))

    def test_a_duplicate_is_reported(self):
        for arguments in (PAIRS, [*PAIRS, "--qos", "2"], FANIN, FANOUT, SHARED, SESSIONS, RETAINED):
            self.assert_found("duplicate", "duplicated", arguments)

    def test_disorder_is_reported(self):
        for arguments in (PAIRS, [*PAIRS, "--qos", "1"], FANIN, FANOUT, SHARED, SESSIONS):
            self.assert_found("reorder", "reordered", arguments)

    def test_damage_is_reported(self):
        for fault in ("corrupt", "shorten"):
            for arguments in (PAIRS, FANOUT, SESSIONS, RETAINED):
                self.assert_found(fault, "corrupted", arguments)

    def test_a_message_of_wrong_topic_qos_or_retain_is_reported(self):
        for fault in ("wrong_topic", "wrong_qos", "wrong_retain"):
            for arguments in (PAIRS, [*FANIN, "--qos", "1"], RETAINED):
                self.assert_found(fault, "misrouted", arguments)

    def test_a_closed_connection_is_reported(self):
        for arguments in (PAIRS, FANOUT, SHARED, RETAINED):
            self.assert_found("disconnect", "disconnected", arguments)

    def test_a_missing_acknowledgement_is_reported(self):
        self.assert_found("keep_ack", "unacknowledged", [*PAIRS, "--qos", "1"])
        self.assert_found("keep_ack", "unacknowledged", [*PAIRS, "--qos", "2"])

    def test_an_acknowledgement_of_nothing_is_reported(self):
        self.assert_found("stray_ack", "protocol_errors", [*PAIRS, "--qos", "1"])

    def test_a_malformed_packet_is_reported(self):
        self.assert_found("malformed", "protocol_errors", PAIRS)

    def test_a_forgotten_session_is_reported(self):
        self.assert_found("forget", "lost", SESSIONS)

    def test_an_absent_broker_is_a_failure_with_a_reason(self):
        done = subprocess.run([BENCH, "pairs", "--host", "127.0.0.1:1", "--timeout", "1"],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("connect", done.stderr)

    def test_wrong_usage_exits_with_2(self):
        for arguments in (["nothing"], ["pairs", "--qos", "3"], ["pairs", "--payload", "27"],
                          ["sessions", "--qos", "0"], ["fanin", "--threads", "2"],
                          ["pairs", "--host", "nowhere"], ["pairs", "--pid", "999999999"], []):
            done = subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=30,
                                  check=False)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))


if __name__ == "__main__":
    unittest.main()
