"""Attacks before and at CONNECT: no CONNECT, slow CONNECT, floods, takeovers, exhaustion."""

import random
import time
import unittest

from lib import mqtt_wire as wire
from lib.attack import ATTACK_SECONDS, AttackCase
from lib.broker import Broker
from lib.case import BrokerCase, quorate_only
from lib.client import Closed
from lib.file_broker import FileBroker
from lib.properties import encode_one
from lib.transport import Timeout
from lib.wait import wait_until


class BeforeConnect(AttackCase):
    # Some of the damaged packets are good ones: their sessions end soon, and what the stores keep
    # of them by their own options is not counted.
    options = {"limits.connect_timeout": "2s", "mqtt.session_expiry_max": "1s",
               "storage.write_buffer": "4MiB", "storage.flush_log_bytes": "8MiB"}

    def test_garbage_and_other_first_packets(self):
        rng = random.Random(7)

        def step(n):
            data = (bytes(rng.getrandbits(8) for _ in range(rng.randint(1, 200))) if n % 2
                    else wire.publish("a", b"x" * 100))
            client = self.throw(data)
            client.stream.finish_sending()
            self.assertTrue(self.swallow(client, 5))
            client.close()
        self.attack(step)
        self.assert_memory_bounded()

    def test_a_huge_declared_length_costs_nothing(self):
        clients = []

        def step(n):
            if n < 500:
                clients.append(self.throw(b"\x10\xff\xff\xff\x7f\0\4MQTT\5"))
            else:
                self.let_pair_go_on(1)
        self.attack(step, min(ATTACK_SECONDS, 5))
        self.assert_memory_bounded()
        for client in clients:
            self.assertTrue(self.swallow(client, 6), "not closed")
            client.close()

    def test_a_connect_above_64_kib_is_refused(self):
        client = self.throw(wire.connect("x", props={"user_property": [("k", "v" * 65000)] * 2}))
        self.assertTrue(self.swallow(client, 5))

    def test_connections_that_drip_or_say_nothing_are_closed_in_time(self):
        silent = [self.throw(b"") for _ in range(50)]
        drip = [self.throw(b"\x10") for _ in range(50)]
        data, started = wire.connect("y" * 40), time.monotonic()
        for n in range(1, 6):
            for client in drip:
                try:
                    client.send(data[n:n + 1])
                except OSError:
                    pass
            self.let_pass(0.3)
        for client in silent + drip:
            self.assertTrue(self.swallow(client, 5), "not closed")
            client.close()
        self.assertLess(time.monotonic() - started, 8)

    def test_malformed_connects_of_every_kind(self):
        rng, good = random.Random(11), wire.connect(
            "victim", will={"topic": "w", "payload": b"p", "qos": 1,
                            "props": {"will_delay": 3, "user_property": [("a", "b")]}},
            username="u", password=b"p", props={"session_expiry": 10, "receive_maximum": 3})

        def step(_):
            data = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(2, len(data))] = rng.getrandbits(8)
            client = self.throw(bytes(data))
            client.stream.finish_sending()
            self.swallow(client, 5)
            client.close()
        self.attack(step)
        self.assert_memory_bounded()


@quorate_only
class Flood(AttackCase):
    options = {"limits.connect_rate_per_address": "50/s"}

    def test_a_connect_flood_is_limited_per_address(self):
        accepted, refused = 0, 0

        def step(_):
            nonlocal accepted, refused
            try:
                client = self.throw(wire.connect(""))
            except ConnectionError:  # refused before connect() returned
                refused += 1
                return
            try:
                packet = client.read_packet(1)
                accepted, refused = (accepted + 1, refused) if packet.code == 0 else \
                    (accepted, refused + 1)
                if packet.code:
                    self.assertEqual(packet.code, 0x9F)
            except (Closed, Timeout):
                refused += 1
            client.close()
        started = time.monotonic()
        self.attack(step, min(ATTACK_SECONDS, 10))
        seconds = time.monotonic() - started
        self.assertGreater(refused, 0)
        self.assertLessEqual(accepted, 50 * (seconds + 1) * 2 + 10)
        self.assertGreater(self.broker.metric("quorate_throttled_total",
                                              limit="connect_rate_per_address"), 0)


class Takeovers(AttackCase):
    options = {"limits.takeover_rate": "10/min"}

    def test_client_id_ping_pong_is_obeyed_then_slowed(self):
        client_id, held, taken = self.new_id(), [], 0

        def step(_):
            nonlocal taken
            client = self.throw(wire.connect(client_id))
            try:
                taken += client.read_packet(0.5).code == 0
            except (Closed, Timeout):
                pass
            held.append(client)
            if len(held) > 20:
                held.pop(0).close()
        self.attack(step, min(ATTACK_SECONDS, 10))
        for client in held:
            client.close()
        self.assertGreaterEqual(taken, 5)
        self.assertLess(taken, 60)


@quorate_only
class Sessions(AttackCase):
    options = {"limits.max_sessions": 40}

    def test_a_flood_of_durable_sessions_is_refused_with_0x97(self):
        codes, prefix = [], self.new_id()
        for n in range(60):
            client = self.throw(wire.connect(f"{prefix}-{n}", clean=False,
                                             props={"session_expiry": 8}))
            codes.append(client.read_packet().code)
            client.close()
        self.assertIn(0x97, codes)
        self.assertEqual(set(codes), {0, 0x97})
        self.assertLessEqual(codes.count(0), 40)

        def retry():
            client = self.throw(wire.connect(f"{prefix}-again", clean=False,
                                             props={"session_expiry": 1}))
            code = client.read_packet().code
            client.close()
            return code == 0
        self.wait_for(retry, "room again after the sessions expired", 30)


class Wills(AttackCase):
    def test_bad_will_properties_and_topics_are_refused_at_connect(self):
        for will, code in (({"topic": "$SYS/x", "payload": b""}, (0x87, 0x90)),
                           ({"topic": "a/#", "payload": b""}, (0x81, 0x82, 0x90)),
                           ({"topic": "", "payload": b""}, (0x81, 0x82, 0x90)),
                           ({"topic": "w", "payload": b"", "props": encode_one("topic_alias", 1)},
                            (0x81, 0x82)),
                           ({"topic": "w" * 5000, "payload": b""}, (0x90, 0x95))):
            with self.subTest(will=str(will)[:40]):
                self.assert_connect_refused(wire.connect(self.new_id(), will=will), code)

    def test_a_bomb_of_delayed_wills_goes_off_without_harm(self):
        topic = self.topic()
        reader = self.client()
        reader.subscribe(topic, qos=1)
        for _ in range(200):
            client = self.throw(wire.connect("", will={
                "topic": topic, "payload": b"b" * 1000, "qos": 1,
                "props": {"will_delay": 1}}, props={"session_expiry": 5}))
            client.read_packet()
            client.abort()
        self.assertEqual(len(reader.messages(200, 15)), 200)
        self.assert_memory_bounded()


class TooManyFiles(unittest.TestCase):
    @quorate_only
    def test_descriptor_exhaustion_pauses_accepting_and_harms_nobody(self):
        broker = Broker({"cluster.shards": 4, "limits.fd_reserve": 64}, file_limit=400)
        self.addCleanup(broker.stop)
        broker.start()
        first = broker.client()
        self.assertEqual(first.connect("first").code, 0)
        crowd = []
        for n in range(500):
            client = broker.client()
            client.send(wire.connect(f"crowd{n}"))
            crowd.append(client)
        first.ping()
        self.assertLess(broker.open_files(), 400)
        self.assertEqual(broker.http("/healthz")[0], 200)
        for client in crowd:
            client.close()
        late = broker.client()
        late.deadline = 20
        self.assertEqual(late.connect("late").code, 0)
        first.ping()
        first.close()
        late.close()


@quorate_only
class MemoryPressure(unittest.TestCase):
    def test_under_memory_pressure_connects_are_refused_with_0x89(self):
        broker = FileBroker()
        self.addCleanup(broker.stop)
        broker.start()
        broker.reload(limits__memory_high_water=int(broker.resident_bytes() * 1.1))

        def refused():
            client = broker.client()
            try:
                return client.connect("c").code == 0x89
            finally:
                client.close()
        wait_until(refused, "a CONNECT is refused", 15)
        self.assertEqual(broker.http("/healthz")[0], 200)


@quorate_only
class Logs(BrokerCase):
    def test_client_text_is_escaped_and_repeated_lines_are_limited(self):
        evil = "evil\n2026-01-01 forged line\x1b[31m"
        before = len(self.broker.lines)
        for n in range(600):
            client = self.broker.client(4)
            client.send(wire.connect(evil + str(n % 3), version=4) + b"\xf0\x00")
            try:
                client.wait_closed(2)
            except (Timeout, OSError):
                pass
            client.close()
        lines = self.broker.lines[before:]
        self.assertFalse([line for line in lines if line.startswith("2026-01-01 forged")])
        self.assertFalse([line for line in lines if "\x1b" in line])
        self.assertLess(len(lines), 2000)


if __name__ == "__main__":
    unittest.main()
