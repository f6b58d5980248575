"""Retained messages: storing, removing, Retain Handling, Retain As Published."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, statement, statement311

RETAIN_AS_PUBLISHED = 0x08
SEND_IF_NEW, SEND_NEVER = 0x10, 0x20


class Storing(BrokerCase):
    @statement("MQTT-3.3.1-5", "MQTT-3.3.1-9")
    @statement311("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8")
    def test_the_last_retained_message_of_each_topic_is_sent_to_new_subscribers(self):
        for version in V4_AND_V5:
            for qos in (0, 1, 2):
                with self.subTest(version=version, qos=qos):
                    base = self.topic(f"{version}/{qos}")
                    writer = self.client(version)
                    for name in ("a", "b"):
                        for n in range(3):
                            writer.publish(f"{base}/{name}", f"{name}{n}", qos=qos, retain=True)
                    if qos == 0:  # no acknowledgement says when it is stored
                        for name in ("a", "b"):
                            self.wait_for(lambda t=f"{base}/{name}", v=f"{name}2":
                                          self.retained_payload(t) == v.encode(), "it is stored")
                    reader = self.client(version)
                    reader.subscribe(base + "/+", qos=2)
                    packets = reader.messages(2)
                    self.assertEqual(sorted(p.payload for p in packets), [b"a2", b"b2"])
                    self.assertTrue(all(p.retain and p.qos == qos for p in packets))
                    reader.silence(0.1)

    @statement311("MQTT-3.3.1-7")
    def test_a_qos_0_retained_message_discards_the_older_one(self):
        for version in (3, 4):
            topic = self.topic(str(version))
            writer = self.client(version)
            writer.publish(topic, b"old", qos=1, retain=True)
            writer.publish(topic, b"new", qos=0, retain=True)
            self.wait_for(lambda t=topic: self.retained_payload(t) != b"old", "it is replaced")

    @statement("MQTT-3.3.1-6", "MQTT-3.3.1-7")
    @statement311("MQTT-3.3.1-10", "MQTT-3.3.1-11")
    def test_an_empty_retained_message_removes_and_is_delivered(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            writer, reader = self.client(version), self.client(version)
            writer.publish(topic, b"x", qos=1, retain=True)
            reader.subscribe(topic, qos=1)
            reader.message()
            writer.publish(topic, b"", qos=1, retain=True)
            packet = reader.message()
            self.assertEqual((packet.payload, packet.retain), (b"", False))
            self.assertIsNone(self.retained_payload(topic))

    @statement("MQTT-3.3.1-8")
    @statement311("MQTT-3.3.1-12")
    def test_a_plain_message_does_not_touch_the_retained_one(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            writer = self.client(version)
            writer.publish(topic, b"kept", qos=1, retain=True)
            writer.publish(topic, b"plain", qos=1)
            writer.publish(topic, b"", qos=1)
            self.assertEqual(self.retained_payload(topic), b"kept")
            writer.publish(topic + "/none", b"plain", qos=1)
            self.assertIsNone(self.retained_payload(topic + "/none"))

    @statement311("MQTT-3.1.2-7")
    @statement("MQTT-3.3.1-5")
    def test_retained_messages_outlive_the_session_of_their_publisher(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            writer = self.client(version)
            writer.publish(topic, b"kept", qos=1, retain=True)
            writer.disconnect()
            self.assertEqual(self.retained_payload(topic), b"kept")

    @statement("MQTT-3.3.2-5", "MQTT-3.3.2-6")
    def test_a_retained_message_expires_and_counts_down(self):
        topic = self.topic()
        writer = self.client()
        writer.publish(topic, b"short", qos=1, retain=True, props={"message_expiry": 1})
        writer.publish(topic + "/long", b"long", qos=1, retain=True,
                       props={"message_expiry": 100})
        self.let_pass(1.6)
        reader = self.client()
        reader.subscribe(topic + "/#", qos=1)
        packet = reader.message()
        self.assertEqual(packet.payload, b"long")
        self.assertIn(packet.props["message_expiry"], (97, 98, 99))
        reader.silence(0.1)

    @statement("MQTT-3.8.4-8")
    @statement311("MQTT-3.8.4-6")
    def test_retained_messages_have_the_lower_qos(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            self.client(version).publish(topic, b"x", qos=2, retain=True)
            for granted in (0, 1, 2):
                reader = self.client(version)
                reader.subscribe(topic, qos=granted)
                self.assertEqual(reader.message().qos, granted)

    def test_many_retained_messages_all_arrive_through_a_small_window(self):
        base = self.topic()
        writer = self.client()
        for n in range(300):
            writer.send(wire.publish(f"{base}/{n}", str(n), qos=1, packet_id=n + 1, retain=True))
            if n % 10 == 9:
                for _ in range(10):
                    writer.expect(wire.PUBACK)
        reader = self.client(props={"receive_maximum": 7})
        reader.subscribe(base + "/#", qos=1)
        payloads = [m.payload for m in reader.messages(300)]
        self.assertEqual(sorted(payloads), sorted(str(n).encode() for n in range(300)))
        reader.silence(0.1)


class Handling(BrokerCase):
    @statement("MQTT-3.3.1-9")
    def test_handling_0_sends_at_every_subscribe(self):
        topic, reader = self.kept()
        for _ in range(2):
            reader.subscribe(topic, qos=1)
            self.assertEqual(reader.message().payload, b"kept")

    @statement("MQTT-3.3.1-10")
    def test_handling_1_sends_for_a_new_subscription_only(self):
        topic, reader = self.kept()
        reader.subscribe((topic, SEND_IF_NEW | 1))
        self.assertEqual(reader.message().payload, b"kept")
        reader.subscribe((topic, SEND_IF_NEW | 1))
        reader.silence()
        reader.unsubscribe(topic)
        reader.subscribe((topic, SEND_IF_NEW | 1))
        self.assertEqual(reader.message().payload, b"kept")

    @statement("MQTT-3.3.1-10")
    def test_handling_1_knows_the_subscription_of_a_resumed_session(self):
        topic, _ = self.kept()
        client_id = self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe((topic, SEND_IF_NEW | 1))
        reader.message()
        reader.disconnect()
        reader = self.durable(client_id=client_id)
        reader.subscribe((topic, SEND_IF_NEW | 1))
        reader.silence()

    @statement("MQTT-3.3.1-11")
    def test_handling_2_sends_nothing(self):
        topic, reader = self.kept()
        reader.subscribe((topic, SEND_NEVER | 1))
        reader.silence()

    def kept(self):
        topic = self.topic()
        self.client().publish(topic, b"kept", qos=1, retain=True)
        return topic, self.client()


class AsPublished(BrokerCase):
    @statement("MQTT-3.3.1-12")
    @statement311("MQTT-3.3.1-9")
    def test_without_retain_as_published_live_messages_have_retain_0(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=1)
            for qos in (0, 1, 2):
                writer.publish(topic, b"x", qos=qos, retain=True)
                self.assertFalse(reader.message().retain)

    @statement("MQTT-3.3.1-13")
    def test_with_retain_as_published_live_messages_keep_their_flag(self):
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe((topic, RETAIN_AS_PUBLISHED | 1))
        for retain in (True, False, True):
            writer.publish(topic, b"x", qos=1, retain=retain)
            self.assertEqual(reader.message().retain, retain)

    @statement("MQTT-3.3.1-13")
    def test_retain_as_published_holds_for_messages_queued_while_away(self):
        base, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe((base + "/as", RETAIN_AS_PUBLISHED | 1), (base + "/not", 1))
        reader.disconnect()
        writer = self.client()
        for name in ("as", "not"):
            writer.publish(f"{base}/{name}", name, qos=1, retain=True)
        reader = self.durable(client_id=client_id)
        self.assertEqual({m.payload: m.retain for m in reader.messages(2)},
                         {b"as": True, b"not": False})

    @statement("MQTT-3.3.1-12")
    def test_a_retained_message_on_a_new_subscription_has_retain_1(self):
        topic = self.topic()
        self.client().publish(topic, b"x", qos=1, retain=True)
        for options in (1, RETAIN_AS_PUBLISHED | 1):
            reader = self.client()
            reader.subscribe((topic, options))
            self.assertTrue(reader.message().retain)


if __name__ == "__main__":
    unittest.main()
