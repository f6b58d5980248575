"""Attacks by load: slow readers, subscription bombs, retained floods, queues, message rate."""

import time
import unittest

from lib import mqtt_wire as wire
from lib.attack import ATTACK_SECONDS, AttackCase
from lib.transport import Timeout


class SlowReaders(AttackCase):
    options = {"limits.slow_reader_timeout": "1s", "limits.output_buffer": "128KiB",
               "mqtt.max_queued_bytes": "8MiB"}

    def slow_reader(self, topic, qos):
        client = self.raw(receive_buffer=4096)
        client.connect(self.new_id())
        client.subscribe(topic, qos=qos)
        return client

    def test_a_reader_that_stops_is_closed(self):
        topic = self.topic()
        slow, fast, writer = self.slow_reader(topic, 0), self.client(), self.client()
        fast.subscribe(topic)
        before = self.broker.metric("quorate_disconnects_total", reason="slow_reader")

        def step(_):
            writer.publish(topic, b"s" * 20000)
            fast.message()
        self.attack(step, max(2.5, min(ATTACK_SECONDS, 5)))
        self.wait_for(lambda: self.broker.metric(
            "quorate_disconnects_total", reason="slow_reader") > before, "closed")
        slow.close()
        self.assert_memory_bounded()

    def test_a_reader_that_stops_holds_a_bounded_queue_at_qos_1(self):
        topic = self.topic()
        slow, fast, writer = self.slow_reader(topic, 1), self.client(), self.client()
        fast.subscribe(topic, qos=1)

        def step(_):
            writer.publish(topic, b"s" * 20000, qos=1)
            fast.message()
        self.attack(step)
        slow.close()
        self.assert_memory_bounded()

    def test_qos_0_messages_to_a_slow_reader_are_dropped_and_counted(self):
        topic = self.topic()
        slow, writer = self.slow_reader(topic, 0), self.client()
        before = self.broker.metric("quorate_publish_dropped_total")
        for _ in range(300):
            writer.send(wire.publish(topic, b"s" * 20000))
        writer.ping()
        self.wait_for(lambda: self.broker.metric("quorate_publish_dropped_total") > before,
                      "drops are counted")
        slow.close()
        self.assert_memory_bounded()


class SlowDurableReaders(AttackCase):
    options = {"limits.output_buffer": "128KiB", "mqtt.max_queued_bytes": "1GiB",
               "storage.write_buffer": "4MiB", "storage.block_cache": "8MiB", "cluster.shards": 1}

    def fill(self, topic, count):
        """`count` messages of 100 kB, a hundred at a time."""
        writer = self.client()
        for _ in range(0, count, 100):
            writer.send(b"".join(wire.publish(topic, b"s" * 100_000, qos=1, packet_id=n + 1)
                                 for n in range(100)))
            for _ in range(100):
                self.assertEqual(writer.expect(wire.PUBACK, 20).code, 0)
        writer.disconnect()

    def test_a_durable_session_that_stops_reading_holds_a_bounded_output(self):
        """Its window admits a thousand messages, its output 128 KiB: the rest stays on disk."""
        topic = self.topic()
        away = self.durable()
        away.subscribe(topic, qos=1)
        away.abort()
        self.fill(topic, 800)  # what the store takes for itself
        slow = self.raw(receive_buffer=4096)
        slow.connect(self.new_id(), clean=False, props={"session_expiry": 60})
        slow.subscribe(topic + "/slow", qos=1)
        self.base_memory = self.peak_memory = self.broker.resident_bytes()
        self.fill(topic + "/slow", 800)
        self.assert_memory_bounded()
        slow.close()

    def test_a_durable_session_that_reads_again_gets_everything_in_order(self):
        topic, count = self.topic(), 300
        slow, writer = self.raw(receive_buffer=4096), self.client()
        slow.connect(self.new_id(), clean=False, props={"session_expiry": 60})
        slow.subscribe(topic, qos=1)
        for n in range(count):
            writer.publish(topic, b"%05d" % n + b"s" * 20000, qos=1)
        for n in range(count):
            self.assertEqual(int(slow.message().payload[:5]), n)


class Subscriptions(AttackCase):
    options = {"mqtt.max_subscriptions": 1000, "mqtt.max_shared_groups": 20}

    def test_more_subscriptions_than_allowed_get_0x97(self):
        for version, code in ((5, 0x97), (4, 0x80)):
            client, base = self.client(version), self.topic(str(version))
            codes = []
            for block in range(11):
                codes += client.subscribe(*[f"{base}/{block}/{n}" for n in range(100)]).codes
            self.assertEqual(codes, [0] * 1000 + [code] * 100)
            self.assertEqual(client.subscribe(f"{base}/0/0").codes, [0], "replacing is allowed")
            client.unsubscribe(f"{base}/0/0")
            self.assertEqual(client.subscribe(f"{base}/new").codes, [0])
            client.disconnect()

    def test_a_subscription_bomb_in_one_packet_is_bounded(self):
        client = self.client()
        filters = [(f"{n}", 0) for n in range(60000)]
        client.offer(wire.subscribe(1, filters))
        packet = client.read_packet()
        if packet.kind == wire.SUBACK:
            self.assertEqual(packet.codes.count(0), 1000)
        else:
            self.assertIn(packet.code, (0x97, 0x95))
        self.assert_memory_bounded()

    def test_filters_with_many_matches_do_not_stop_the_others(self):
        clients = [self.client() for _ in range(10)]
        for number, client in enumerate(clients):
            for block in range(0, 900, 100):
                filters = []
                for n in range(block, block + 100):
                    bits = [("+" if n >> b & 1 else "a") for b in range(10)]
                    filters.append("/".join([f"h{number}"] + bits) + "/#")
                client.subscribe(*filters)
        writer = self.client()

        def step(n):
            writer.publish(f"h{n % 10}/" + "/".join("a" * 10) + "/x", b"m", qos=1)
        self.attack(step, min(ATTACK_SECONDS, 5))
        for client in clients:
            client.close()

    def test_topics_of_many_levels_against_deep_wildcards(self):
        client = self.client()
        for depth in range(1, 63):
            client.subscribe("/".join(["+"] * depth) + "/#")
        writer = self.client()

        def step(_):
            writer.publish("/".join("x" * 63), b"m", qos=1)
            client.message()
        self.attack(step, min(ATTACK_SECONDS, 5))
        client.disconnect()

    def test_a_shared_group_bomb_gets_0x97(self):
        client, base = self.client(), self.topic()
        codes = client.subscribe(*[f"$share/g{n}/{base}" for n in range(30)]).codes
        self.assertEqual(codes, [0] * 20 + [0x97] * 10)
        client.disconnect()


class Retained(AttackCase):
    options = {"mqtt.retained_max": 500, "mqtt.retained_max_bytes": "10KiB",
               "mqtt.retained_scans": 2, "mqtt.max_queued_messages": 1000}

    def test_a_retained_flood_is_refused_beyond_the_limit(self):
        writer, base = self.client(), self.topic()
        codes = [writer.publish(f"{base}/{n}", b"r" * 100, qos=1, retain=True).code
                 for n in range(600)]
        try:
            self.assertIn(0x97, codes)
            self.assertLessEqual(sum(code < 0x80 for code in codes), 500)
            kept = next(n for n, code in enumerate(codes) if code < 0x80)
            self.assertLess(writer.publish(f"{base}/{kept}", b"new", qos=1, retain=True).code,
                            0x80, "replacing is allowed")
            self.assertLess(writer.publish(f"{base}/{kept}", b"", qos=1, retain=True).code, 0x80)
            self.assertLess(writer.publish(f"{base}/other", b"x", qos=1, retain=True).code, 0x80)
        finally:
            for n in range(600):
                writer.publish(f"{base}/{n}", b"", qos=1, retain=True)
            writer.publish(f"{base}/other", b"", qos=1, retain=True)

    def test_a_retained_message_above_its_size_limit_is_refused(self):
        writer, topic = self.client(), self.topic()
        self.assertEqual(writer.publish(topic, b"x" * 11000, qos=1, retain=True).code, 0x97)
        self.assertIsNone(self.retained_payload(topic))
        self.assertLess(writer.publish(topic, b"x" * 11000, qos=1).code, 0x80)

    def test_scans_by_wildcard_over_and_over(self):
        writer, base = self.client(), self.topic()
        for n in range(200):
            writer.publish(f"{base}/{n}", b"r" * 500, qos=1, retain=True)
        clients = [self.client(props={"receive_maximum": 5}) for _ in range(6)]

        def step(n):
            for client in clients:
                client.subscribe(base + "/#", "#", qos=n % 2)
        self.attack(step, min(ATTACK_SECONDS, 10))
        for client in clients:
            client.close()
        reader = self.client()
        reader.subscribe(base + "/#", qos=1)
        self.assertEqual(len(reader.messages(200)), 200)
        self.assert_memory_bounded(6 * 64 * 1024 * 1024)  # a queue of each client, full
        for n in range(200):
            writer.publish(f"{base}/{n}", b"", qos=1, retain=True)


class Queues(AttackCase):
    options = {"mqtt.max_queued_messages": 100, "mqtt.max_queued_bytes": "100KiB"}

    def test_an_offline_queue_keeps_the_newest_and_counts_the_rest(self):
        for payload, most in ((b"q" * 10, 100), (b"q" * 10000, 10)):
            with self.subTest(size=len(payload)):
                topic, client_id = self.topic(str(len(payload))), self.new_id()
                reader = self.durable(client_id=client_id)
                reader.subscribe(topic, qos=1)
                reader.disconnect()
                before = self.broker.metric("quorate_publish_dropped_total")
                writer = self.client()
                for n in range(300):
                    self.assertEqual(
                        writer.publish(topic, b"%03d" % n + payload, qos=1).code, 0)
                reader = self.durable(client_id=client_id)
                found = self.drain(reader)
                self.assertEqual(found, list(range(300 - len(found), 300)))
                self.assertLessEqual(len(found), most)
                self.assertGreaterEqual(len(found), most * 8 // 10)
                self.wait_for(lambda n=300 - len(found), b=before: self.broker.metric(
                    "quorate_publish_dropped_total") - b >= n, "drops are counted")
        self.assert_memory_bounded()

    @staticmethod
    def drain(reader):
        found = []
        try:
            while True:
                found.append(int(reader.message(0.5).payload[:3]))
        except Timeout:
            return found

    def test_a_connected_client_that_never_acknowledges_has_a_bounded_queue(self):
        topic = self.topic()
        stuck = self.client()
        stuck.subscribe(topic, qos=1)
        writer = self.client()

        def step(n):
            writer.publish(topic, b"q" * 1000, qos=1)
        self.attack(step)
        self.assert_memory_bounded()
        stuck.ping()


class DropNewest(AttackCase):
    options = {"mqtt.max_queued_messages": 20, "mqtt.queue_full": "drop_newest"}

    def test_drop_newest_keeps_the_oldest(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        writer = self.client()
        for n in range(50):
            writer.publish(topic, str(n), qos=1)
        reader = self.durable(client_id=client_id)
        found = []
        try:
            while True:
                found.append(int(reader.message(0.3).payload))
        except Timeout:
            pass
        self.assertEqual(found, list(range(20)))


class Rate(AttackCase):
    options = {"limits.publish_rate": "400/s"}

    def test_a_publisher_above_its_rate_is_slowed_not_lost(self):
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(topic, qos=1)
        started = time.monotonic()
        total = 1600
        for first in range(0, total, 100):
            writer.send(b"".join(wire.publish(topic, str(n), qos=1, packet_id=n + 1)
                                 for n in range(first, first + 100)))
            for n in range(first, first + 100):
                self.assertEqual(writer.expect(wire.PUBACK, 20).packet_id, n + 1)
        seconds = time.monotonic() - started
        self.assertGreater(seconds, total / 400 - 1.5)
        self.assertEqual([int(m.payload) for m in reader.messages(total)], list(range(total)))

    def test_the_slowed_publisher_is_still_heard_otherwise(self):
        writer = self.client()
        writer.send(b"".join(wire.publish("r", b"", qos=1, packet_id=n + 1)
                             for n in range(1000)))
        writer.send(wire.pingreq())
        deadline = time.monotonic() + 10
        while writer.read_packet(10).kind != wire.PINGRESP:
            self.assertLess(time.monotonic(), deadline)


class RateThatEnds(AttackCase):
    options = {"limits.publish_rate": "50/s", "limits.publish_rate_exceeded": "disconnect"}

    def test_a_publisher_above_its_rate_is_told_0x96(self):
        for version, code in ((5, 0x96), (4, None)):
            calm, writer = self.client(), self.client(version)
            for _ in range(20):
                calm.publish("r", b"calm", qos=1)
            writer.send(b"".join(wire.publish("r", b"", qos=1, packet_id=n + 1, version=version)
                                 for n in range(200)))
            last = writer.wait_closed()
            self.assertEqual(last.code if last else None, code)
            calm.ping()
        self.assertGreaterEqual(self.broker.metric("quorate_throttled_total",
                                                   limit="publish_rate"), 2)


if __name__ == "__main__":
    unittest.main()
