"""Attacks by connected clients with packets: malformed, oversized, too many, out of order."""

import random
import select
import unittest

from lib import mqtt_wire as wire
from lib.attack import AttackCase
from lib.properties import encode_one
from lib.transport import Timeout


class Malformed(AttackCase):
    # Each connection is two commands: what the log keeps of them by its own options is not counted.
    options = {"storage.write_buffer": "4MiB", "storage.flush_log_bytes": "8MiB"}

    KNOWN = {
        "five byte length (CVE-2026-21888)": b"\x30\x80\x80\x80\x80\x01",
        "length underflow": b"\x32\x03\x00\x10a",
        "server-only packet (CVE-2021-28166)": b"\x20\x02\x00\x00",
        "SUBACK": b"\x90\x03\x00\x01\x00",
        "reserved type": b"\x00\x00",
        "NUL in topic": b"\x30\x05\x00\x02a\x00\x00",
        "bad UTF-8": b"\x30\x05\x00\x02\xc3\x28\x00",
        "second CONNECT": wire.connect("again"),
        "PUBLISH flags": b"\x36\x05\x00\x01a\x00\x01",
        "SUBSCRIBE flags": b"\x80\x06\x00\x01\x00\x00\x01a",
        "empty SUBSCRIBE": b"\x82\x03\x00\x01\x00",
        "filter longer than the packet": b"\x82\x07\x00\x01\x00\x00\xffab",
        "property length beyond the packet": b"\x30\x05\x00\x01a\x7f\x01",
        "unknown property": b"\x30\x05\x00\x01a\x01\x70",
        "truncated user property": b"\x30\x08\x00\x01a\x04\x26\x00\x09k",
    }

    def test_known_malformed_packets_get_0x81_or_0x82(self):
        for what, data in self.KNOWN.items():
            with self.subTest(what=what):
                client = self.client()
                client.send(data)
                self.assert_closed(client, (0x81, 0x82))

    def test_random_damage_to_valid_packets(self):
        rng = random.Random(3)
        good = [wire.publish("a/b", b"payload", qos=2, packet_id=9,
                             props={"user_property": [("k", "v")], "content_type": "t",
                                    "response_topic": "r", "correlation_data": b"c"}),
                wire.subscribe(3, [("a/+/#", 2), ("$share/g/b", 1)],
                               props={"subscription_identifier": 77}),
                wire.unsubscribe(4, ["a/b", "c"]), wire.acknowledge(wire.PUBREC, 5, 0x10),
                wire.acknowledge(wire.PUBREL, 6), wire.disconnect(4, {"reason_string": "x"}),
                wire.auth(0x18, {"authentication_method": "m"})]

        def step(_):
            data = bytearray(rng.choice(good))
            for _ in range(rng.randint(1, 4)):
                if rng.random() < 0.3:
                    del data[rng.randrange(len(data))]
                elif data:
                    data[rng.randrange(len(data))] = rng.getrandbits(8)
                if not data:
                    break
            client = self.throw(wire.connect("") + bytes(data) * rng.randint(1, 3))
            client.stream.finish_sending()
            self.swallow(client, 5)
            client.close()
        self.attack(step)
        self.assert_memory_bounded(64 * 1024 * 1024)


class Oversized(AttackCase):
    def test_packets_above_the_maximum_get_0x95_before_they_are_read(self):
        def step(_):
            client = self.client()
            client.send(b"\x30\xff\xff\xff\x7f\0\1a")
            self.assert_closed(client, 0x95)
        self.attack(step, 0.5)
        self.assert_memory_bounded()

    def test_a_declared_length_within_the_maximum_costs_only_what_arrived(self):
        clients = [self.client() for _ in range(200)]
        for client in clients:
            client.send(b"\x30\xf0\xff\x3f\0\1a\0x")
        self.let_pair_go_on(60)
        self.assert_memory_bounded(16 * 1024 * 1024)
        for client in clients:
            client.close()

    def test_long_client_ids_topics_and_filters(self):
        self.assert_connect_refused(wire.connect("c" * 257), 0x85)
        client = self.client()
        client.send(wire.publish("t" * 4097, b""))
        self.assert_closed(client, 0x90)
        client = self.client()
        client.send(wire.subscribe(1, [("t" * 4097, 0)]))
        packet = client.read_packet()
        self.assertIn(0x8F, [packet.code] + packet.codes)

    def test_too_many_user_properties_get_0x97(self):
        many = [("k", "v")] * 65
        large = [("k" * 5000, "v" * 5000)] * 2
        for properties in (many, large):
            client = self.client()
            client.offer(wire.publish("t", b"x", props={"user_property": properties}))
            self.assert_closed(client, 0x97)
            self.assert_connect_refused(
                wire.connect(self.new_id(), props={"user_property": properties}), 0x97)
        client = self.client()
        client.publish("t", b"x", qos=1, props={"user_property": [("k", "v")] * 64})
        client.send(wire.subscribe(1, [("a", 0)], props={"user_property": many}))
        self.assert_closed(client, 0x97)


class Identifiers(AttackCase):
    def test_one_qos_2_identifier_sent_again_and_again_is_kept_once(self):
        client = self.client()
        packet = wire.publish(self.topic(), b"x" * 1000, qos=2, packet_id=7)

        def step(_):
            client.send(packet * 20)
            for _ in range(20):
                self.assertEqual(client.expect(wire.PUBREC).packet_id, 7)
        self.attack(step)
        self.assert_memory_bounded()
        self.assertEqual(client.release(7).code, 0)

    def test_a_flood_of_qos_2_identifiers_gets_0x93(self):
        def step(_):
            client = self.client()
            client.offer(b"".join(wire.publish("flood", b"", qos=2, packet_id=n + 1)
                                  for n in range(1100)))
            while True:
                packet = client.read_packet()
                if packet.kind == wire.DISCONNECT:
                    self.assertEqual(packet.code, 0x93)
                    break
            client.close()
        self.attack(step, 1)
        self.assert_memory_bounded()

    def test_pubrec_that_is_never_followed_up_holds_a_bounded_window(self):
        """CVE-2023-28366: PUBREC without PUBREL's answer leaked memory without bound."""
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(topic, qos=2)
        window = 1024  # mqtt.max_inflight
        for n in range(window + 100):
            writer.publish(topic, b"x" * 5000, qos=2)
        received = []
        try:
            while True:
                packet = reader.receive(5 if len(received) < window else 0.5)
                if packet.kind == wire.PUBLISH:
                    received.append(packet.packet_id)
                    reader.send(wire.acknowledge(wire.PUBREC, packet.packet_id))
        except Timeout:
            pass
        self.assertEqual(len(received), window)
        self.assertEqual(len(set(received)), window)
        self.assert_memory_bounded()

    def test_acknowledgements_nobody_asked_for(self):
        client = self.client()

        def step(n):
            for kind in (wire.PUBACK, wire.PUBCOMP, wire.PUBREC, wire.PUBREL):
                client.send(wire.acknowledge(kind, n % 65535 + 1))
            client.expect(wire.PUBREL)
            client.expect(wire.PUBCOMP)
        self.attack(step)
        client.ping()
        self.assert_memory_bounded()

    def test_topic_alias_bloat_is_bounded_by_the_maximum(self):
        clients = [self.client() for _ in range(20)]

        def step(n):
            for client in clients:
                for alias in range(1, 33):
                    client.send(wire.publish(f"{n}/" + "l" * 3000, b"",
                                             props={"topic_alias": alias}))
                client.ping()
        self.attack(step)
        for client in clients:
            client.close()
        self.assert_memory_bounded(20 * 32 * 4096 + 48 * 1024 * 1024)
        for alias in (0, 33, 65535):
            client = self.client()
            client.send(wire.publish("a", b"", props={"topic_alias": alias}))
            self.assert_closed(client, 0x94)

    def test_a_mapping_by_alias_of_a_bad_topic_is_not_kept(self):
        client = self.client()
        client.send(wire.publish("a/#", b"", props={"topic_alias": 1}))
        self.assert_closed(client, (0x81, 0x82, 0x90))
        client = self.client()
        client.send(wire.publish("", b"", props={"topic_alias": 1}))
        self.assert_closed(client, 0x82)


class Floods(AttackCase):
    def test_pings_without_reading_the_answers(self):
        client = self.client()
        client.stream.sock.setblocking(False)
        sent = 0

        def step(_):
            nonlocal sent
            try:
                sent += client.stream.sock.send(wire.pingreq() * 1000)
            except BlockingIOError:
                select.select([], [client.stream.sock], [], 0.01)
            except ConnectionError:
                self.let_pair_go_on(1)
        self.attack(step)
        self.assert_memory_bounded()

    def test_subscribe_and_unsubscribe_in_a_storm(self):
        client, base = self.client(), self.topic()

        def step(n):
            client.subscribe(f"{base}/{n % 50}/+/#", qos=1)
            client.unsubscribe(f"{base}/{(n + 25) % 50}/+/#")
        self.attack(step)
        self.assert_memory_bounded()

    def test_properties_that_repeat_are_refused(self):
        for properties in (encode_one("message_expiry", 5) * 2, encode_one("topic_alias", 1) * 2,
                           encode_one("response_topic", "a") * 2):
            client = self.client()
            client.send(wire.publish("t", b"x", props=properties))
            self.assert_closed(client, (0x81, 0x82))


if __name__ == "__main__":
    unittest.main()
