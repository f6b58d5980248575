"""Packets of two bytes and messages up to the largest the protocol knows, also queued ones.

QUORATE_LARGE sets the size of the large packets in MiB (default 24; 256 is the protocol's own limit
of 268,435,455 bytes).
"""

import hashlib
import os
import sys
import threading
import time
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import BrokerCase, quorate_only

MEBIBYTES = int(os.environ.get("QUORATE_LARGE", "24"))
LARGEST_REMAINING_LENGTH = 268_435_455
COPIES_MAX = 14
REMAINING = min(MEBIBYTES * 1024 * 1024, LARGEST_REMAINING_LENGTH)


@quorate_only
class Large(BrokerCase):
    options = {"mqtt.max_packet_size": LARGEST_REMAINING_LENGTH + 5, "cluster.shards": 4,
               "mqtt.max_queued_bytes": "1GiB", "mqtt.publish_timeout": "60s",
               "mqtt.retained_max_bytes": LARGEST_REMAINING_LENGTH}

    def payload(self, topic, qos):
        """Fills the packet up to the chosen Remaining Length."""
        size = REMAINING - 2 - len(topic) - (2 if qos else 0) - 1
        block = hashlib.sha256(topic.encode()).digest() * 32768
        return (block * (size // len(block) + 1))[:size]

    def client(self, *arguments, **options):
        client = super().client(*arguments, **options)
        client.deadline = 90
        return client

    def test_the_maximum_is_not_announced_where_it_is_the_protocols_own(self):
        self.assertNotIn("maximum_packet_size", self.client().connack.props)

    def test_a_connected_subscriber_receives_the_largest_message(self):
        for qos in (0, 1):
            topic = self.topic(str(qos))
            payload = self.payload(topic, qos)
            reader, writer = self.client(), self.client()
            reader.subscribe(topic, qos=qos)
            writer.publish(topic, payload, qos=qos)
            packet = reader.message()
            self.assertEqual(len(packet.payload), len(payload))
            self.assertTrue(packet.payload == payload, "the payload differs")
            reader.disconnect()

    def test_a_queued_message_of_the_largest_size_survives_a_kill(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=2)
        reader.disconnect()
        payload = self.payload(topic, 2)
        self.assertEqual(self.client().publish(topic, payload, qos=2).code, 0)
        self.broker.start_deadline = 300  # gigabytes of log are read again
        self.broker.restart_after_kill()
        packet = self.durable(client_id=client_id).message()
        self.assertEqual(len(packet.payload), len(payload))
        self.assertTrue(packet.payload == payload, "the payload differs")

    def test_a_large_message_of_a_durable_publisher_is_exactly_once(self):
        """By way of the outbox: it is in two shards before PUBCOMP is due."""
        topic = self.topic()
        reader, writer = self.durable(), self.durable()
        reader.subscribe(topic, qos=2)
        payload = self.payload(topic, 2)
        self.assertEqual(writer.publish(topic, payload, qos=2).code, 0)
        packet = reader.message()
        self.assertTrue(packet.payload == payload, "the payload differs")
        reader.silence(0.2)

    def test_others_are_served_while_a_large_message_is_on_its_way(self):
        topic, small = self.topic("large"), self.topic("small")
        reader, writer = self.durable(), self.client()
        reader.subscribe(topic, qos=1)
        other = self.client()
        other.subscribe(small, qos=1)
        data = wire.publish(topic, self.payload(topic, 1), qos=1, packet_id=7)
        sender = threading.Thread(target=writer.stream.send, args=(data,), daemon=True)
        sender.start()
        longest = 0
        while sender.is_alive():
            started = time.monotonic()
            other.publish(small, b"x", qos=1)
            other.message()
            longest = max(longest, time.monotonic() - started)
        self.assertEqual(writer.expect(wire.PUBACK).code, 0)
        self.assertEqual(len(reader.message().payload), len(self.payload(topic, 1)))
        self.assertLess(longest, 2)

    def test_a_large_message_exists_a_few_times_at_most(self):
        """Socket, parcels, entry, batches and memtables of log and state, output."""
        broker = Broker(self.options).start()
        self.addCleanup(broker.stop)
        topic = self.topic()
        base = broker.peak_bytes()
        reader, writer = broker.client(), broker.client()
        for client in (reader, writer):
            client.deadline = 90
        reader.connect(self.new_id(), clean=False, props={"session_expiry": 60})
        writer.connect(self.new_id())
        reader.subscribe(topic, qos=1)
        writer.publish(topic, self.payload(topic, 1), qos=1)
        reader.message()
        copies = (broker.peak_bytes() - base) / REMAINING
        print(f"peak: {copies:.1f} times the message", file=sys.stderr)
        self.assertLess(copies, COPIES_MAX + 64 * 2**20 / REMAINING)
        reader.close()
        writer.close()

    def test_a_large_retained_message_is_kept(self):
        topic = self.topic()
        payload = self.payload(topic, 1)
        self.client().publish(topic, payload, qos=1, retain=True)
        reader = self.client()
        reader.subscribe(topic, qos=1)
        self.assertTrue(reader.message().payload == payload, "the payload differs")
        self.client().publish(topic, b"", qos=1, retain=True)


class Small(BrokerCase):
    def test_packets_of_two_bytes(self):
        client = self.client()
        client.send(wire.pingreq() * 50)
        for _ in range(50):
            self.assertEqual(client.read_packet().raw, b"\xd0\x00")
        client.send(b"\xe0\x00")
        self.assertIsNone(client.wait_closed())

    def test_the_smallest_publish(self):
        client = self.client(4)
        client.subscribe("q")
        client.send(b"\x30\x03\x00\x01q")
        self.assertEqual(client.message().raw, b"\x30\x03\x00\x01q")


if __name__ == "__main__":
    unittest.main()
