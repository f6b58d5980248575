"""QoS 1 and 2 in both directions, packet identifiers, repetition on resumption."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, statement, statement311


class Receiver(BrokerCase):
    """The broker receives."""

    @statement("MQTT-4.3.2-4", "MQTT-4.3.2-5")
    @statement311("MQTT-4.3.2-2")
    def test_after_puback_the_same_identifier_is_a_new_message(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=1)
            for dup in (False, True):
                writer.send(wire.publish(topic, b"x", qos=1, packet_id=9, dup=dup,
                                         version=version))
                self.assertEqual(writer.expect(wire.PUBACK).packet_id, 9)
            self.assertEqual(len(reader.messages(2)), 2)

    @statement("MQTT-4.3.3-8", "MQTT-4.3.3-10", "MQTT-4.3.3-11")
    @statement311("MQTT-4.3.3-2")
    def test_before_pubrel_the_same_identifier_is_delivered_once(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=2)
            for dup in (False, True, True):
                writer.send(wire.publish(topic, b"once", qos=2, packet_id=9, dup=dup,
                                         version=version))
                self.assertEqual(writer.expect(wire.PUBREC).packet_id, 9)
            self.assertEqual(writer.release(9).packet_id, 9)
            writer.publish(topic, b"end", qos=2)
            self.assertEqual([m.payload for m in reader.until("end")], [b"once"])

    @statement("MQTT-4.3.3-12")
    @statement311("MQTT-4.3.3-2")
    def test_after_pubcomp_the_same_identifier_is_a_new_message(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=2)
            for payload in (b"a", b"b"):
                writer.send(wire.publish(topic, payload, qos=2, packet_id=5, version=version))
                writer.expect(wire.PUBREC)
                writer.release(5)
            self.assertEqual([m.payload for m in reader.messages(2)], [b"a", b"b"])

    @statement("MQTT-4.3.3-11", "MQTT-3.7.2-1")
    @statement311("MQTT-4.3.3-2")
    def test_pubrel_of_an_unknown_identifier_is_answered(self):
        self.assertIn(self.client().release(4711).code, (0x00, 0x92))
        self.assertEqual(self.client(4).release(4711).packet_id, 4711)

    @statement("MQTT-4.3.3-10", "MQTT-3.1.2-23")
    @statement311("MQTT-4.3.3-2", "MQTT-4.1.0-1")
    def test_a_qos_2_identifier_is_remembered_over_a_reconnect(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.client(version)
            reader.subscribe(topic, qos=2)
            writer = self.durable(version, client_id)
            writer.send(wire.publish(topic, b"once", qos=2, packet_id=3, version=version))
            writer.expect(wire.PUBREC)
            writer.abort()
            writer = self.durable(version, client_id)
            writer.send(wire.publish(topic, b"once", qos=2, packet_id=3, dup=True,
                                     version=version))
            self.assertEqual(writer.expect(wire.PUBREC).packet_id, 3)
            self.assertEqual(writer.release(3).code, 0)
            writer.publish(topic, b"end", qos=2)
            self.assertEqual([m.payload for m in reader.until("end")], [b"once"])

    @statement("MQTT-4.6.0-5", "MQTT-4.6.0-6")
    @statement311("MQTT-4.6.0-5", "MQTT-4.6.0-6", "MQTT-4.6.0-2", "MQTT-4.6.0-3")
    def test_messages_arrive_and_are_acknowledged_in_the_order_sent(self):
        for version in V4_AND_V5:
            for qos in (0, 1, 2):
                with self.subTest(version=version, qos=qos):
                    topic = self.topic(f"{version}/{qos}")
                    reader, writer = self.client(version), self.client(version)
                    reader.subscribe(topic, qos=2)
                    writer.send(b"".join(
                        wire.publish(topic, str(n), qos=qos, packet_id=n + 1 if qos else None,
                                     version=version) for n in range(20)))
                    if qos:
                        kind = wire.PUBACK if qos == 1 else wire.PUBREC
                        self.assertEqual([writer.expect(kind).packet_id for _ in range(20)],
                                         list(range(1, 21)))
                    for number in range(1, 21) if qos == 2 else ():
                        writer.release(number)
                    self.assertEqual([m.payload for m in reader.messages(20)],
                                     [str(n).encode() for n in range(20)])

    @statement311("MQTT-4.6.0-4")
    def test_pubrels_follow_the_order_of_the_pubrecs(self):
        topic = self.topic()
        reader = self.client(4)
        reader.subscribe(topic, qos=2)
        writer = self.client(4)
        for n in range(5):
            writer.publish(topic, str(n), qos=2)
        numbers = [reader.next_publish().packet_id for _ in range(5)]
        for number in numbers:
            reader.send(wire.acknowledge(wire.PUBREC, number, version=4))
        self.assertEqual([reader.expect(wire.PUBREL).packet_id for _ in numbers], numbers)


class Sender(BrokerCase):
    """The broker sends."""

    @statement("MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-4.3.3-1", "MQTT-4.3.3-2", "MQTT-2.2.1-4",
               "MQTT-3.3.4-1")
    @statement311("MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-2.3.1-4")
    def test_open_deliveries_have_different_identifiers_and_no_dup(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=2)
            for n in range(12):
                writer.publish(topic, str(n), qos=1 + n % 2)
            packets = [reader.next_publish() for _ in range(12)]
            self.assertEqual(len({p.packet_id for p in packets}), 12)
            self.assertFalse(any(p.dup for p in packets))

    @statement("MQTT-4.3.3-4", "MQTT-4.3.3-6", "MQTT-3.6.2-1", "MQTT-2.2.1-5")
    @statement311("MQTT-4.3.3-1", "MQTT-2.3.1-6")
    def test_pubrec_is_answered_by_pubrel_and_never_by_publish_again(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.durable(version, client_id)
            reader.subscribe(topic, qos=2)
            self.client(version).publish(topic, b"x", qos=2)
            number = reader.next_publish().packet_id
            reader.send(wire.acknowledge(wire.PUBREC, number, version=version))
            self.assertEqual(reader.expect(wire.PUBREL).packet_id, number)
            reader.abort()
            reader = self.durable(version, client_id)
            again = reader.receive()
            self.assertEqual((again.kind, again.packet_id), (wire.PUBREL, number))
            reader.send(wire.acknowledge(wire.PUBCOMP, number, version=version))
            reader.silence()

    @statement("MQTT-4.4.0-1", "MQTT-3.3.1-1", "MQTT-4.3.2-3", "MQTT-4.3.3-3", "MQTT-3.1.2-5")
    @statement311("MQTT-4.4.0-1", "MQTT-3.3.1-1", "MQTT-4.3.2-1", "MQTT-4.6.0-1",
                  "MQTT-2.3.1-4")
    def test_unacknowledged_messages_are_repeated_in_order_on_resumption(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.durable(version, client_id)
            reader.subscribe(topic, qos=2)
            writer = self.client(version)
            for n in range(6):
                writer.publish(topic, str(n), qos=1 + n % 2)
            first = [reader.next_publish() for _ in range(6)]
            reader.abort()
            reader = self.durable(version, client_id)
            self.assertTrue(reader.connack.session_present)
            second = [reader.next_publish() for _ in range(6)]
            self.assertEqual([(p.packet_id, p.payload, p.qos) for p in first],
                             [(p.packet_id, p.payload, p.qos) for p in second])
            self.assertTrue(all(p.dup for p in second))
            for packet in second:
                reader.acknowledge(packet)

    @statement("MQTT-4.4.0-1")
    def test_nothing_is_repeated_on_a_live_connection(self):
        topic = self.topic()
        reader = self.durable()
        reader.subscribe(topic, qos=2)
        self.client().publish(topic, b"x", qos=2)
        packet = reader.next_publish()
        reader.silence(1.5)
        reader.acknowledge(packet)

    @statement("MQTT-4.4.0-1")
    @statement311("MQTT-4.4.0-1")
    def test_acknowledged_messages_are_not_repeated(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.durable(version, client_id)
            reader.subscribe(topic, qos=2)
            writer = self.client(version)
            for n in range(4):
                writer.publish(topic, str(n), qos=1 + n % 2)
            packets = [reader.next_publish() for _ in range(4)]
            for packet in packets[:2]:
                reader.acknowledge(packet)
            reader.disconnect()
            reader = self.durable(version, client_id)
            self.assertEqual([m.payload for m in reader.messages(2)], [b"2", b"3"])
            reader.silence()

    @statement("MQTT-4.3.3-5")
    @statement311("MQTT-4.3.3-1")
    def test_pubrel_is_repeated_until_pubcomp(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=2)
        self.client().publish(topic, b"x", qos=2)
        number = reader.next_publish().packet_id
        reader.send(wire.acknowledge(wire.PUBREC, number))
        reader.expect(wire.PUBREL)
        for _ in range(2):
            reader.abort()
            reader = self.durable(client_id=client_id)
            self.assertEqual(reader.expect(wire.PUBREL).packet_id, number)
        reader.send(wire.acknowledge(wire.PUBCOMP, number))
        reader.ping()
        reader.disconnect()
        self.durable(client_id=client_id).silence()

    @statement("MQTT-4.4.0-2")
    def test_a_message_refused_by_the_receiver_is_not_repeated(self):
        for qos, kind in ((1, wire.PUBACK), (2, wire.PUBREC)):
            topic, client_id = self.topic(str(qos)), self.new_id()
            reader = self.durable(client_id=client_id)
            reader.subscribe(topic, qos=2)
            self.client().publish(topic, b"x", qos=qos)
            reader.send(wire.acknowledge(kind, reader.next_publish().packet_id, 0x83))
            reader.ping()
            reader.silence(0.1)
            reader.disconnect()
            self.durable(client_id=client_id).silence()

    @statement("MQTT-4.3.3-7", "MQTT-4.3.3-13")
    def test_a_qos_2_message_that_was_sent_does_not_expire(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=2)
        self.client().publish(topic, b"x", qos=2, props={"message_expiry": 1})
        number = reader.next_publish().packet_id
        reader.abort()
        self.let_pass(1.6)
        reader = self.durable(client_id=client_id)
        packet = reader.next_publish()
        self.assertEqual((packet.packet_id, packet.dup), (number, True))
        reader.acknowledge(packet)

    @statement("MQTT-4.3.3-13")
    def test_the_receivers_handshake_goes_on_after_expiry(self):
        writer = self.client()
        writer.send(wire.publish(self.topic(), b"x", qos=2, packet_id=8,
                                 props={"message_expiry": 1}))
        writer.expect(wire.PUBREC)
        self.let_pass(1.2)
        self.assertEqual(writer.release(8).code, 0)

    @statement("MQTT-4.5.0-1")
    @statement311("MQTT-4.5.0-1", "MQTT-3.1.2-5")
    def test_a_message_reaches_all_matching_sessions_connected_or_not(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            ids = [self.new_id() for _ in range(4)]
            readers = [self.durable(version, name) for name in ids]
            for reader in readers:
                reader.subscribe(topic, qos=1)
            readers[0].disconnect()
            readers[1].abort()
            self.client(version).publish(topic, b"all", qos=1)
            readers[0] = self.durable(version, ids[0])
            readers[1] = self.durable(version, ids[1])
            for reader in readers:
                self.assertEqual(reader.message().payload, b"all")


if __name__ == "__main__":
    unittest.main()
