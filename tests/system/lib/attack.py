"""Attacks beside a well-behaved pair of clients that must not notice them.

Each attack lasts ATTACK_SECONDS (environment QUORATE_ATTACK_SECONDS; 60 for the full test). The
latency and memory bounds hold for runs of 60 s on a machine of one's own; short runs among others
only show that the pair goes on, loses nothing and sees no long pause.
"""

import os
import threading
import time

from lib import mqtt_wire as wire
from lib.case import BrokerCase, quorate_only

ATTACK_SECONDS = float(os.environ.get("QUORATE_ATTACK_SECONDS", "2"))
FULL = ATTACK_SECONDS >= 60
PAUSE_BOUND = 0.05 if FULL else 1.0
MEMORY_SLACK = 32 * 1024 * 1024


class GoodPair(threading.Thread):
    """A publisher and a subscriber that exchange one QoS 1 message after the other."""

    def __init__(self, broker, name):
        super().__init__(daemon=True)
        self.writer, self.reader = broker.client(), broker.client()
        self.topic = f"good/{name}"
        for client, role in ((self.writer, "w"), (self.reader, "r")):
            if client.connect(f"good-{name}-{role}").code:
                raise AssertionError(f"the good pair is refused: {client.connack}")
        self.reader.subscribe(self.topic, qos=1)
        self.stopping, self.latencies, self.failure = threading.Event(), [], None

    def run(self):
        number = 0
        try:
            while not self.stopping.is_set():
                number += 1
                started = time.monotonic()
                self.writer.publish(self.topic, str(number), qos=1)
                packet = self.reader.message()
                if packet.payload != str(number).encode():
                    raise AssertionError(f"got {packet.payload!r}, sent {number}")
                self.latencies.append(time.monotonic() - started)
                self.stopping.wait(0.005)
            self.writer.ping()
            self.reader.ping()
        except Exception as error:  # told by finish(), on the test's thread
            self.failure = error

    def p99(self, since=0):
        ordered = sorted(self.latencies[since:])
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] if ordered else 0.0

    def finish(self):
        self.stopping.set()
        self.join(20)
        self.writer.close()
        self.reader.close()
        return self.failure


@quorate_only
class AttackCase(BrokerCase):
    def setUp(self):
        super().setUp()
        self.pair = GoodPair(self.broker, self.new_id())
        self.pair.start()
        self.wait_for(lambda: len(self.pair.latencies) >= 20 or self.pair.failure, "a first base")
        self.base_p99, self.base_count = self.pair.p99(), len(self.pair.latencies)
        self.base_memory = self.broker.resident_bytes()
        self.peak_memory = self.base_memory

    def tearDown(self):
        failure = self.pair.finish()
        super().tearDown()
        self.assertIsNone(failure, f"the good pair failed: {failure!r}\n{self.log_tail()}")
        self.assertLessEqual(self.pair.p99(self.base_count),
                             max(2 * self.base_p99, PAUSE_BOUND), "the good pair was slowed down")

    def attack(self, step, seconds=None):
        """Repeats `step(n)` for the attack's time; watches memory. Returns how often."""
        deadline, count = time.monotonic() + (seconds or ATTACK_SECONDS), 0
        while time.monotonic() < deadline:
            step(count)
            count += 1
            if count % 16 == 1:
                self.peak_memory = max(self.peak_memory, self.broker.resident_bytes())
        self.assertTrue(self.broker.is_running(), self.log_tail())
        return count

    def let_pair_go_on(self, rounds):
        """Until the pair, which pauses 5 ms after each, has exchanged so many more messages."""
        enough = len(self.pair.latencies) + rounds
        self.wait_for(lambda: len(self.pair.latencies) >= enough or self.pair.failure,
                      f"{rounds} more messages of the pair", 20)

    def assert_memory_bounded(self, extra=MEMORY_SLACK):
        """The peak stayed within the base plus `extra`; after a full run it is back at the base."""
        self.peak_memory = max(self.peak_memory, self.broker.resident_bytes())
        self.assertLess(self.peak_memory - self.base_memory, extra)
        if FULL:
            # The stores fill their buffers with whatever is written and keep them: three each.
            buffers = 6 * 4 * 1024 * 1024 if "storage.write_buffer" in self.options else 0
            self.wait_for(lambda: self.broker.resident_bytes() < 1.1 * self.base_memory + buffers
                          + MEMORY_SLACK / 4, "memory back at its base", 60)

    def throw(self, data, version=5):
        """A new connection that sends `data` and is closed by us."""
        client = self.broker.client(version)
        try:
            client.send(data)
        except OSError:
            pass
        return client

    def swallow(self, client, timeout=2.0):
        """Reads whatever comes until the server closes; True when it did in time."""
        deadline = time.monotonic() + timeout
        try:
            while client.stream.recv(deadline):
                pass
            return True
        except Exception as error:
            return type(error).__name__ != "Timeout"


__all__ = ["ATTACK_SECONDS", "FULL", "AttackCase", "GoodPair", "wire"]
