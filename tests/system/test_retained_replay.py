"""Retained messages that follow a SUBSCRIBE: paced, fair, and never after UNSUBACK."""

import collections
import time
import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, quorate_only, statement
from lib.transport import Timeout

BATCH = 400
TOPICS = 4000


@quorate_only
class Replay(BrokerCase):
    options = {"cluster.shards": 8, "node.loops": 1, "mqtt.max_queued_messages": 600}

    def setUp(self):
        super().setUp()
        self.base = self.topic("r")
        writer = self.client()
        for first in range(0, TOPICS, BATCH):
            writer.send(b"".join(
                wire.publish(f"{self.base}/{n}", b"x" * 40, qos=1, retain=True,
                             packet_id=n % 60000 + 1) for n in range(first, first + BATCH)))
            for _ in range(BATCH):
                self.assertEqual(writer.read_packet(20).kind, wire.PUBACK)

    def all_of(self, reader, wanted, seconds=30):
        """The topics that arrive, counted, until each of `wanted` has."""
        got, end = collections.Counter(), time.monotonic() + seconds
        missing = set(wanted)
        while missing and time.monotonic() < end:
            try:
                packet = reader.receive(5)
            except Timeout:
                break
            if packet.kind == wire.PUBLISH:
                got[packet.topic, packet.payload] += 1
                missing.discard((packet.topic, packet.payload))
                reader.acknowledge(packet)
        self.assertEqual(len(missing), 0, f"missing of {len(set(wanted))}")
        return got

    def retained(self):
        return {(f"{self.base}/{n}", b"x" * 40) for n in range(TOPICS)}

    def test_a_replay_longer_than_the_queue_loses_neither_retained_nor_live_messages(self):
        writer, live = self.client(), self.topic("live")
        for make in (self.durable, self.client):
            for qos in (1, 2):
                with self.subTest(make=make.__name__, qos=qos):
                    reader = make(props={"receive_maximum": 10})
                    reader.subscribe(live, qos=1)
                    for n in range(250):
                        writer.publish(live, str(n), qos=1)
                    reader.send(wire.subscribe(9, [(f"{self.base}/#", qos)]))
                    sent = {(live, str(n).encode()) for n in range(250)}
                    got = self.all_of(reader, sent | self.retained())
                    self.assertEqual(set(got.values()), {1}, "each once")
                    reader.disconnect()

    def read_some(self, reader, got, topics):
        """Reads until so many more topics have come; acknowledges what it reads."""
        enough = len(got) + topics
        while len(got) < enough:
            packet = reader.receive(10)
            if packet.kind == wire.PUBLISH:
                got[packet.topic, packet.payload] += 1
                reader.acknowledge(packet)
        return got

    def test_a_durable_session_gets_the_rest_of_a_replay_on_its_next_connections(self):
        for qos in (1, 2):
            with self.subTest(qos=qos):
                name = self.new_id()
                reader = self.durable(client_id=name, props={"receive_maximum": 20})
                reader.send(wire.subscribe(9, [(f"{self.base}/#", qos)]))
                got = self.read_some(reader, collections.Counter(), 100)
                reader.abort()
                reader = self.durable(client_id=name, props={"receive_maximum": 20})
                self.assertTrue(reader.connack.session_present)
                self.read_some(reader, got, 1500)
                reader.abort()
                self.broker.restart_after_kill()
                reader = self.durable(client_id=name, props={"receive_maximum": 20})
                self.assertTrue(reader.connack.session_present)
                got += self.all_of(reader, self.retained() - set(got), 60)
                self.assertEqual(set(got), self.retained())
                # All of it has come: the next connection gets nothing more.
                reader.disconnect()
                reader = self.durable(client_id=name)
                reader.silence()
                reader.disconnect()

    def test_no_retained_message_comes_twice_because_a_connection_ended_in_mid_replay(self):
        for _ in range(4):
            name = self.new_id()
            props = {"receive_maximum": 200}
            reader = self.durable(client_id=name, props=props)
            reader.send(wire.subscribe(9, [(f"{self.base}/#", 1)]))
            got, ids = collections.Counter(), {}
            for last in (False, False, False, True):
                # A message that was on its way when its connection ended keeps its identifier and
                # comes with DUP; a second delivery of the page has neither.
                end = len(self.retained()) if last else len(got) + 300
                while len(got) < end:
                    packet = reader.receive(10)
                    if packet.kind != wire.PUBLISH:
                        continue
                    key = packet.topic
                    if not (packet.dup and ids.get(packet.packet_id) == key):
                        got[key] += 1
                    ids[packet.packet_id] = key
                    reader.acknowledge(packet)
                if last:
                    break
                # Taken over while pages are under way.
                reader = self.durable(client_id=name, props=props)
            self.assertEqual(set(got.values()), {1}, "each once")
            reader.disconnect()

    def test_a_replay_of_qos_0_waits_for_a_reader_that_is_slow(self):
        for make in (self.durable, self.client):
            with self.subTest(make=make.__name__):
                reader = make()
                reader.send(wire.subscribe(9, [(f"{self.base}/#", 0)]))
                self.let_pass(1)
                self.all_of(reader, self.retained())
                reader.disconnect()

    def test_a_client_that_subscribes_in_bulk_does_not_starve_the_others(self):
        bulk = b"".join(wire.subscribe(n % 60000 + 1, [(f"{self.base}/#", 0)])
                        for n in range(2000))
        greedy = [self.client() for _ in range(2)]
        for client in greedy:
            client.offer(bulk)
        for n in range(3):
            reader, began = self.client(), time.monotonic()
            reader.subscribe(f"{self.base}/{n}")
            self.assertEqual(reader.message(5).topic, f"{self.base}/{n}")
            self.assertLess(time.monotonic() - began, 5)
        for client in greedy:
            client.abort()

    @statement("MQTT-3.10.4-2")
    def test_no_retained_message_follows_unsuback(self):
        for make in (self.client, self.durable):
            with self.subTest(make=make.__name__):
                reader = make()
                reader.send(wire.subscribe(1, [(f"{self.base}/#", 1)]))
                reader.expect(wire.SUBACK, 10)
                reader.message(10)
                reader.send(wire.unsubscribe(2, [f"{self.base}/#"]))
                while reader.read_packet(10).kind != wire.UNSUBACK:
                    pass
                reader.silence(0.5)
                reader.disconnect()


if __name__ == "__main__":
    unittest.main()
