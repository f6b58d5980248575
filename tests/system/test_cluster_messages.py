#!/usr/bin/python3
"""Clients on different nodes of one cluster: what a single node promises holds across all three."""

import unittest

from lib.case import statement
from lib.cluster_case import ClusterCase
from lib.wait import wait_until

TAKEN_OVER = 0x8E
NO_SUBSCRIBERS = 0x10


class Publishing(ClusterCase):
    @statement("MQTT-4.3.2-4", "MQTT-4.3.3-8")
    def test_every_qos_reaches_subscribers_of_every_node_exactly_once_and_in_order(self):
        for durable in (False, True):
            for qos in (0, 1, 2):
                with self.subTest(qos=qos, durable=durable):
                    topic = self.topic(f"{durable}/q{qos}")
                    make = self.durable if durable else self.client
                    readers = [make(node) for node in self.nodes]
                    for reader in readers:
                        self.assertEqual(reader.subscribe(topic, qos=qos).codes, [qos])
                    writers = [self.client(node) for node in self.nodes]
                    for at, writer in enumerate(writers):
                        for n in range(10):
                            answer = writer.publish(topic, f"{at} {n}", qos)
                            self.assertTrue(answer is None or answer.code == 0, answer)
                    for reader in readers:
                        seen = self.payloads(reader.messages(30))
                        for at in range(3):
                            own = [each for each in seen if each.startswith(f"{at} ")]
                            self.assertEqual(own, [f"{at} {n}" for n in range(10)])
                        reader.silence()

    def test_wildcards_lead_to_every_node(self):
        for durable in (False, True):
            with self.subTest(durable=durable):
                make = self.durable if durable else self.client
                readers = [make(node) for node in self.nodes]
                for reader in readers:
                    reader.subscribe(self.topic(f"{durable}/+/x"), qos=1)
                writer = self.client(self.nodes[0])
                for n in range(20):
                    writer.publish(self.topic(f"{durable}/{n}/x"), str(n), 1)
                for reader in readers:
                    seen = self.payloads(reader.messages(20))
                    self.assertEqual(sorted(seen), sorted(str(n) for n in range(20)))

    def test_nobody_subscribes_anywhere_is_told(self):
        for node in self.nodes:
            answer = self.client(node).publish(self.topic(f"n{node.number}"), "x", 1)
            self.assertEqual(answer.code, NO_SUBSCRIBERS)

    def test_after_suback_and_unsuback_the_other_nodes_know(self):
        """G3: the barrier is on every node."""
        writers = [self.client(node) for node in self.nodes]
        reader = self.client(self.nodes[0])
        for round_ in range(15):
            topic = self.topic(f"r{round_}")
            filter_ = topic if round_ % 2 else topic + "/#"
            reader.subscribe(filter_, qos=1)
            for at, writer in enumerate(writers):
                self.assertEqual(writer.publish(topic, str(at), 1).code, 0)
            self.assertEqual(sorted(self.payloads(reader.messages(3))), ["0", "1", "2"])
            reader.unsubscribe(filter_)
            for writer in writers:
                writer.publish(topic, "late", 1)
        reader.silence()


class Sessions(ClusterCase):
    @statement("MQTT-3.1.2-4", "MQTT-4.4.0-1")
    def test_a_durable_session_moves_from_node_to_node_with_its_queue(self):
        identity, topic = self.new_id("mover"), self.topic()
        self.durable(self.nodes[0], identity).subscribe(topic, qos=2)
        writer = self.client(self.nodes[2])
        for turn in range(6):
            node = self.nodes[(turn + 1) % 3]
            for n in range(5):
                writer.publish(topic, f"{turn} {n}", 1 + n % 2)
            reader = self.durable(node, identity)
            self.assertTrue(reader.connack.session_present)
            self.assertEqual(self.payloads(reader.messages(5)),
                             [f"{turn} {n}" for n in range(5)])
            reader.ping()
            reader.disconnect()

    @statement("MQTT-3.1.4-3")
    def test_a_second_connection_on_another_node_takes_the_session_over(self):
        identity, topic = self.new_id("same"), self.topic()
        first = self.durable(self.nodes[0], identity)
        first.subscribe(topic, qos=1)
        for turn in range(4):
            second = self.durable(self.nodes[(turn + 1) % 3], identity)
            self.assertTrue(second.connack.session_present)
            last = first.wait_closed()
            self.assertEqual(last.code, TAKEN_OVER)
            self.client(self.nodes[0]).publish(topic, str(turn), 1)
            self.assertEqual(second.message().payload, str(turn).encode())
            first = second

    @statement("MQTT-3.1.2-5", "MQTT-3.14.4-3")
    def test_a_will_reaches_other_nodes_and_a_good_bye_deletes_it(self):
        topic = self.topic()
        reader = self.client(self.nodes[1])
        reader.subscribe(topic, qos=1)
        will = {"topic": topic, "payload": b"lost", "qos": 1}
        self.client(self.nodes[0], will=will).abort()
        self.assertEqual(reader.message().payload, b"lost")
        self.client(self.nodes[0], will=will).disconnect()
        reader.silence(0.5)


class Retained(ClusterCase):
    @statement("MQTT-3.3.1-6", "MQTT-3.3.1-7")
    def test_a_retained_message_is_seen_from_every_node_at_once(self):
        for n in range(8):
            topic = self.topic(str(n))
            writer = self.client(self.nodes[n % 3])
            self.assertIn(writer.publish(topic, f"v{n}", 1, retain=True).code, (0, 0x10))
            for node in self.nodes:
                reader = self.client(node)
                reader.subscribe(topic, qos=1)
                packet = reader.message()
                self.assertEqual((packet.payload, packet.retain), (f"v{n}".encode(), True))
        for durable in (False, True):
            make = self.durable if durable else self.client
            for node in self.nodes:
                reader = make(node)
                reader.subscribe(self.topic("#"), qos=1)
                self.assertEqual(sorted(self.payloads(reader.messages(8))),
                                 [f"v{n}" for n in range(8)])

    def test_a_cleared_topic_is_empty_on_every_node(self):
        topic = self.topic()
        for value in ("x", ""):
            self.client(self.nodes[1]).publish(topic, value, 1, retain=True)
        for node in self.nodes:
            reader = self.client(node)
            reader.subscribe(topic, qos=1)
            reader.silence()

    def test_each_node_tells_of_itself_below_its_own_name(self):
        for node in self.nodes:
            topic = f"$SYS/brokers/n{node.number}/version"
            reader = self.client(self.nodes[0])
            reader.subscribe(topic)
            self.assertIn(b"quorate version", reader.message().payload)
        reader.subscribe("$SYS/broker/#")
        reader.silence()


class Shared(ClusterCase):
    options = {"mqtt.sys_interval": "never"}

    @statement("MQTT-4.8.2-1")
    def test_members_on_different_nodes_share_one_stream(self):
        for durable in (False, True):
            with self.subTest(durable=durable):
                make = self.durable if durable else self.client
                topic = self.topic(str(durable))
                members = [make(node) for node in self.nodes]
                for member in members:
                    member.subscribe(f"$share/g{self.serial}/{topic}", qos=1)
                writer = self.client(self.nodes[1])
                for n in range(30):
                    self.assertEqual(writer.publish(topic, str(n), 1).code, 0)
                seen = []

                def all_there():
                    for member in members:
                        member.ping()
                        while member.inbox:
                            seen.append(member.message().payload.decode())
                    return len(seen) >= 30
                wait_until(all_there, lambda: f"30 messages, {seen}", 20)
                self.assertEqual(sorted(seen), sorted(str(n) for n in range(30)))


if __name__ == "__main__":
    unittest.main()
