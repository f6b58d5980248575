"""PUBLISH: flags, topic names, identifiers, overlapping subscriptions, message properties."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, statement, statement311
from lib.properties import encode_one


class FlagsAndTopics(BrokerCase):
    @statement("MQTT-3.3.1-4")
    @statement311("MQTT-3.3.1-4")
    def test_qos_3_closes_the_connection(self):
        for version in V4_AND_V5:
            packet = wire.publish(self.topic(), b"x", packet_id=1, version=version, flags=0x06)
            self.assert_refused(packet, (0x81, 0x82), version)

    @statement("MQTT-3.3.1-2")
    @statement311("MQTT-3.3.1-2")
    def test_dup_at_qos_0_is_refused(self):
        for version in V4_AND_V5:
            packet = wire.publish(self.topic(), b"x", version=version, flags=0x08)
            self.assert_refused(packet, (0x81, 0x82), version)

    @statement("MQTT-3.3.1-3", "MQTT-4.3.1-1", "MQTT-2.2.1-2")
    @statement311("MQTT-3.3.1-3", "MQTT-4.3.1-1", "MQTT-2.3.1-5")
    def test_dup_of_the_publisher_is_not_passed_on(self):
        for version in V4_AND_V5:
            for qos in (1, 2):
                with self.subTest(version=version, qos=qos):
                    topic = self.topic(f"{version}/{qos}")
                    reader, zero = self.client(version), self.client(version)
                    reader.subscribe(topic, qos=2)
                    zero.subscribe(topic, qos=0)
                    self.client(version).publish(topic, b"x", qos=qos, dup=True)
                    self.assertFalse(reader.message().dup)
                    packet = zero.message()
                    self.assertEqual((packet.dup, packet.qos, packet.packet_id), (False, 0, None))

    @statement("MQTT-3.3.2-2", "MQTT-4.7.0-1")
    @statement311("MQTT-3.3.2-2", "MQTT-4.7.1-1")
    def test_wildcards_in_a_topic_name_are_refused(self):
        for version in V4_AND_V5:
            for topic in ("#", "+", "a/+/b", "a/#", "a+", "b#c"):
                with self.subTest(version=version, topic=topic):
                    self.assert_refused(wire.publish(topic, b"x", version=version),
                                        (0x81, 0x82, 0x90), version)

    @statement("MQTT-3.3.2-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2", "MQTT-1.5.4-2")
    @statement311("MQTT-3.3.2-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2", "MQTT-1.5.3-2")
    def test_empty_ill_formed_and_nul_topic_names_are_refused(self):
        for version in V4_AND_V5:
            for topic in ("", b"a\0b", b"\xff", b"a/\xed\xa0\x80", b"\xc0\x80"):
                with self.subTest(version=version, topic=topic):
                    self.assert_refused(wire.publish(topic, b"x", version=version),
                                        (0x81, 0x82, 0x90), version)

    @statement("MQTT-3.3.2-1")
    @statement311("MQTT-3.3.2-1")
    def test_a_topic_longer_than_the_packet_is_refused(self):
        for version in V4_AND_V5:
            self.assert_refused(wire.frame(wire.PUBLISH, b"\0\x30short"), (0x81,), version)
            self.assert_refused(wire.frame(wire.PUBLISH, b"\0"), (0x81,), version)

    @statement("MQTT-2.2.1-3", "MQTT-2.2.1-5")
    @statement311("MQTT-2.3.1-1")
    def test_packet_identifier_0_and_none_are_refused(self):
        for version in V4_AND_V5:
            for qos in (1, 2):
                with self.subTest(version=version, qos=qos):
                    self.assert_refused(wire.publish("a", b"x", qos=qos, packet_id=0,
                                                     version=version), (0x81, 0x82), version)
                    self.assert_refused(wire.frame(wire.PUBLISH, b"\0\1a", qos << 1),
                                        (0x81,), version)

    @statement("MQTT-3.3.2-3")
    @statement311("MQTT-3.3.2-3")
    def test_the_topic_delivered_matches_the_filter(self):
        for version in V4_AND_V5:
            base = self.topic(str(version))
            reader = self.client(version)
            reader.subscribe(base + "/+/x", qos=1)
            writer = self.client(version)
            for name in ("a/y", "a/x", "x", "a/x/b", "b/x"):
                writer.publish(f"{base}/{name}", name, qos=1)
            self.assertEqual([(m.topic, m.payload) for m in reader.messages(2)],
                             [(base + "/a/x", b"a/x"), (base + "/b/x", b"b/x")])
            reader.silence()

    @statement("MQTT-3.3.4-1", "MQTT-2.2.1-5", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.7.2-1")
    @statement311("MQTT-3.3.4-1", "MQTT-2.3.1-6", "MQTT-3.3.5-2")
    def test_the_answer_depends_on_qos_and_repeats_the_identifier(self):
        for version in (3, 4, 5):
            with self.subTest(version=version):
                client = self.client(version)
                topic = self.topic()
                client.send(wire.publish(topic, b"0", version=version))
                client.send(wire.publish(topic, b"1", qos=1, packet_id=65535, version=version))
                self.assertEqual(client.expect(wire.PUBACK).packet_id, 65535)
                client.send(wire.publish(topic, b"2", qos=2, packet_id=258, version=version))
                self.assertEqual(client.expect(wire.PUBREC).packet_id, 258)
                self.assertEqual(client.release(258).code, 0)

    @statement("MQTT-3.4.2-1", "MQTT-3.5.2-1")
    def test_no_matching_subscribers_is_success(self):
        client = self.client()
        for qos in (1, 2):
            packet = client.take_id()
            client.send(wire.publish(self.topic("nobody"), b"x", qos=qos, packet_id=packet))
            answer = client.expect(wire.PUBACK if qos == 1 else wire.PUBREC)
            self.assertIn(answer.code, (0x00, 0x10))


class Overlapping(BrokerCase):
    @statement("MQTT-3.3.4-2", "MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT-3.3.4-5")
    def test_overlapping_subscriptions_give_the_highest_qos_and_all_identifiers(self):
        base = self.topic()
        reader = self.client()
        for number, (topic_filter, qos) in enumerate(
                ((base + "/a", 0), (base + "/+", 2), (base + "/#", 1)), start=1):
            reader.subscribe(topic_filter, qos=qos, props={"subscription_identifier": number})
        self.client().publish(base + "/a", b"x", qos=2)
        reader.publish(base + "/end", b"-", qos=0)
        copies = [reader.message()]
        while reader.inbox or len(copies) < 10:
            packet = reader.message()
            if packet.payload == b"-":
                break
            copies.append(packet)
        self.assertEqual(max(packet.qos for packet in copies), 2)
        identifiers = [n for p in copies for n in p.props["subscription_identifier"]]
        self.assertEqual(sorted(identifiers), [1, 2, 3])

    def test_one_identifier_for_two_overlapping_filters_is_sent_for_each(self):
        base = self.topic()
        reader = self.client()
        reader.subscribe(base + "/a", base + "/#", qos=1, props={"subscription_identifier": 7})
        self.client().publish(base + "/a", b"x", qos=1)
        packet = reader.message()
        self.assertTrue(set(packet.props["subscription_identifier"]) == {7})

    @statement311("MQTT-3.3.5-1")
    def test_overlapping_subscriptions_give_the_highest_qos_in_version_4(self):
        base = self.topic()
        for version in (3, 4):
            reader = self.client(version)
            reader.subscribe((base + "/a", 0), (base + "/#", 2), (base + "/+", 1))
            writer = self.client(4)
            writer.publish(base + "/a", b"x", qos=2)
            writer.publish(base + "/a", b"end", qos=2)
            self.assertEqual(max(m.qos for m in reader.until("end")), 2)

    @statement("MQTT-3.3.4-6")
    def test_a_subscription_identifier_from_a_client_is_refused(self):
        self.assert_refused(wire.publish(self.topic(), b"x",
                                         props={"subscription_identifier": [1]}), (0x81, 0x82))

    @statement("MQTT-3.3.4-3")
    def test_a_subscription_without_identifier_adds_none(self):
        base = self.topic()
        reader = self.client()
        reader.subscribe(base, qos=1)
        reader.subscribe(base + "/#", qos=1, props={"subscription_identifier": 268435455})
        self.client().publish(base, b"x", qos=1)
        self.assertEqual(reader.message().props.get("subscription_identifier"), [268435455])


class PassedOn(BrokerCase):
    @statement("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17",
               "MQTT-3.3.2-18", "MQTT-3.3.2-20", "MQTT-3.3.2-13", "MQTT-3.3.2-19",
               "MQTT-1.5.7-1")
    def test_message_properties_arrive_unaltered_and_in_order(self):
        properties = {
            "payload_format": 1, "content_type": "text/plain; π", "response_topic": "answer/here",
            "correlation_data": b"\0\1\xff", "user_property": [
                ("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("ü", "\ufeff€")]}
        topic = self.topic()
        for retain in (False, True):
            reader = self.client()
            if not retain:
                reader.subscribe(topic, qos=2)
            for qos in (0, 1, 2):
                self.client().publish(topic, "text ü", qos=qos, props=properties, retain=retain)
                if retain:
                    reader.subscribe(topic, qos=2)
                packet = reader.message()
                self.assertEqual(packet.props, properties)
                self.assertEqual(packet.payload, "text ü".encode())

    @statement("MQTT-3.3.2-4")
    def test_payload_format_0_and_1_are_both_kept(self):
        topic = self.topic()
        reader = self.client()
        reader.subscribe(topic, qos=1)
        writer = self.client()
        for value in (1, 0):
            writer.publish(topic, b"plain", qos=1, props={"payload_format": value})
            self.assertEqual(reader.message().props.get("payload_format", 0), value)

    @statement("MQTT-3.3.2-14", "MQTT-3.3.2-13", "MQTT-3.3.2-19", "MQTT-1.5.7-1")
    def test_bad_message_properties_are_refused(self):
        for properties in (encode_one("response_topic", "a/+"), encode_one("response_topic", "#"),
                           encode_one("response_topic", b"\xff"),
                           encode_one("content_type", b"\xc3\x28"),
                           encode_one("user_property", ("k", b"\xff")),
                           encode_one("user_property", (b"\xfe", "v")),
                           encode_one("user_property", ("a\0", "v")),
                           encode_one("payload_format", 2),
                           encode_one("payload_format", 0) * 2,
                           encode_one("message_expiry", 1) * 2,
                           encode_one("session_expiry", 1), encode_one("will_delay", 1),
                           encode_one("reason_string", "x")):
            with self.subTest(properties=properties):
                self.assert_refused(wire.publish(self.topic(), b"x", props=properties),
                                    (0x81, 0x82, 0x90))

    def test_properties_do_not_reach_version_4_subscribers(self):
        topic = self.topic()
        reader = self.client(4)
        reader.subscribe(topic, qos=1)
        self.client().publish(topic, b"x", qos=1, props={"user_property": [("a", "b")],
                                                         "content_type": "t"})
        self.assertEqual(reader.message().payload, b"x")

    @statement("MQTT-3.3.2-6")
    def test_message_expiry_is_sent_less_the_time_waited(self):
        topic, client_id = self.topic(), self.new_id()
        self.durable(client_id=client_id).subscribe(topic, qos=1)
        self.client(client_id=client_id, clean=False,
                    props={"session_expiry": 3600}).disconnect()
        self.client().publish(topic, b"x", qos=1, props={"message_expiry": 100})
        self.let_pass(1.1)
        packet = self.durable(client_id=client_id).message()
        self.assertIn(packet.props["message_expiry"], (97, 98, 99))

    @statement("MQTT-3.3.2-6")
    def test_message_expiry_is_passed_on_whole_when_nothing_waited(self):
        topic = self.topic()
        reader = self.client()
        reader.subscribe(topic)
        self.client().publish(topic, b"x", props={"message_expiry": 4294967295})
        self.assertIn(reader.message().props["message_expiry"], (4294967294, 4294967295))

    @statement("MQTT-3.3.2-5")
    def test_an_expired_message_is_not_delivered(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=2)
        reader.disconnect()
        writer = self.client()
        writer.publish(topic, b"short", qos=1, props={"message_expiry": 1})
        writer.publish(topic, b"short 2", qos=2, props={"message_expiry": 1})
        writer.publish(topic, b"long", qos=1, props={"message_expiry": 60})
        self.let_pass(1.6)
        reader = self.durable(client_id=client_id)
        self.assertEqual(reader.message().payload, b"long")
        reader.silence()


if __name__ == "__main__":
    unittest.main()
