"""A broker whose configuration switches features off says so and keeps to it."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.client import Closed


@quorate_only
class LowQos(BrokerCase):
    options = {"mqtt.max_qos": 0, "cluster.shards": 4}

    @statement("MQTT-3.2.2-9", "MQTT-3.2.2-11")
    def test_maximum_qos_is_announced_and_more_is_refused(self):
        self.assertEqual(self.client().connack.props["maximum_qos"], 0)
        for qos in (1, 2):
            for version in V4_AND_V5:
                self.assert_refused(wire.publish(self.topic(), b"x", qos=qos, packet_id=1,
                                                 version=version), 0x9B, version)

    @statement("MQTT-3.2.2-10", "MQTT-3.8.4-7", "MQTT-3.8.4-8")
    @statement311("MQTT-3.8.4-5", "MQTT-3.8.4-6")
    def test_subscriptions_of_any_qos_are_accepted_and_lowered(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader = self.client(version)
            for qos in (0, 1, 2):
                self.assertEqual(reader.subscribe(topic, qos=qos).codes, [0])
            self.client(version).publish(topic, b"x")
            self.assertEqual(reader.message().qos, 0)

    @statement("MQTT-3.2.2-12")
    def test_a_will_qos_beyond_the_maximum_is_refused(self):
        for qos in (1, 2):
            self.assert_connect_refused(wire.connect(
                self.new_id(), will={"topic": "w", "payload": b"x", "qos": qos}), 0x9B)
        self.client(will={"topic": "w", "payload": b"x", "qos": 0}).disconnect()


@quorate_only
class MiddleQos(BrokerCase):
    options = {"mqtt.max_qos": 1, "cluster.shards": 4}

    @statement("MQTT-3.2.2-9", "MQTT-3.2.2-12")
    def test_qos_1_is_the_highest(self):
        client = self.client()
        self.assertEqual(client.connack.props["maximum_qos"], 1)
        self.assertEqual(client.subscribe(self.topic(), qos=2).codes, [1])
        self.assertLess(client.publish(self.topic("x"), b"x", qos=1).code, 0x80)
        self.assert_refused(wire.publish(self.topic(), b"x", qos=2, packet_id=1), 0x9B)
        self.assert_connect_refused(wire.connect(
            self.new_id(), will={"topic": "w", "payload": b"x", "qos": 2}), 0x9B)


@quorate_only
class Without(BrokerCase):
    options = {"mqtt.retain": False, "mqtt.wildcard": False, "mqtt.shared": False,
               "cluster.shards": 4}

    @statement("MQTT-3.2.2-13", "MQTT-3.2.2-14")
    def test_retained_messages_are_refused(self):
        self.assertEqual(self.client().connack.props["retain_available"], 0)
        self.assert_refused(wire.publish(self.topic(), b"x", retain=True), 0x9A)
        self.assert_connect_refused(wire.connect(
            self.new_id(), will={"topic": "w", "payload": b"x", "retain": True}), 0x9A)

    def test_retained_messages_of_version_4_are_closed_or_not_kept(self):
        topic = self.topic()
        client = self.client(4)
        client.send(wire.publish(topic, b"x", qos=1, packet_id=1, retain=True, version=4))
        try:
            client.expect(wire.PUBACK)
        except Closed:
            pass
        self.assertIsNone(self.retained_payload(topic))

    @statement("MQTT-3.9.3-2")
    @statement311("MQTT-3.8.3-2")
    def test_wildcards_are_refused(self):
        self.assertEqual(self.client().connack.props["wildcard_available"], 0)
        for topic_filter in ("a/#", "#", "+", "a/+/b"):
            self.assert_filter_refused(topic_filter, 0xA2)

    @statement("MQTT-3.9.3-2")
    def test_shared_subscriptions_are_refused(self):
        self.assertEqual(self.client().connack.props["shared_available"], 0)
        self.assert_filter_refused("$share/g/a", 0x9E)

    def assert_filter_refused(self, topic_filter, code):
        """By SUBACK, or by DISCONNECT as 3.2.2.3.11 and 3.2.2.3.13 ask."""
        client = self.client()
        client.send(wire.subscribe(1, [(topic_filter, 1)]))
        packet = client.read_packet()
        self.assertIn(packet.kind, (wire.SUBACK, wire.DISCONNECT))
        self.assertEqual(packet.codes or [packet.code], [code])
        client = self.client(4)
        client.send(wire.subscribe(1, [(topic_filter, 1)], version=4))
        try:
            self.assertEqual(client.expect(wire.SUBACK).codes, [0x80])
        except Closed:
            pass


@quorate_only
class Refusing(BrokerCase):
    @statement("MQTT-4.3.3-9", "MQTT-3.5.2-1")
    def test_after_a_refusing_pubrec_the_identifier_is_a_new_message(self):
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(topic, qos=2)
        writer.send(wire.publish("$SYS/forged", b"x", qos=2, packet_id=5))
        answer = writer.expect(wire.PUBREC)
        self.assertEqual((answer.packet_id, answer.code), (5, 0x87))
        writer.send(wire.publish(topic, b"new", qos=2, packet_id=5))
        answer = writer.expect(wire.PUBREC)
        self.assertEqual((answer.packet_id, answer.code), (5, 0))
        self.assertEqual(writer.release(5).code, 0)
        self.assertEqual(reader.message().payload, b"new")

    @statement("MQTT-3.4.2-1")
    @statement311("MQTT-3.3.5-2")
    def test_a_forbidden_publish_is_told_in_version_5_and_harmless_in_version_4(self):
        self.assertEqual(self.client().publish("$SYS/forged", b"x", qos=1).code, 0x87)
        reader = self.client()
        reader.subscribe("$SYS/forged", qos=1)
        client = self.client(4)
        client.send(wire.publish("$SYS/forged", b"x", qos=1, packet_id=1, version=4))
        try:
            self.assertEqual(client.expect(wire.PUBACK).packet_id, 1)
        except Closed:
            pass
        reader.silence(0.2)


@quorate_only
class Settings(BrokerCase):
    options = {"mqtt.receive_maximum": 10, "mqtt.max_packet_size": "64KiB",
               "mqtt.topic_alias_maximum": 3, "mqtt.max_keep_alive": "20s",
               "mqtt.session_expiry_max": "1m", "mqtt.response_information": "answers/",
               "cluster.shards": 4}

    def test_settings_are_announced_in_connack(self):
        client = self.client(keep_alive=100, clean=False, props={
            "session_expiry": 3600, "request_response_information": 1})
        properties = client.connack.props
        for name, value in (("receive_maximum", 10), ("maximum_packet_size", 65536),
                            ("topic_alias_maximum", 3), ("server_keep_alive", 20),
                            ("session_expiry", 60)):
            self.assertEqual(properties.get(name), value, name)
        self.assertTrue(properties["response_information"].startswith("answers/"))
        self.assertNotIn("response_information", self.client().connack.props)

    @statement("MQTT-3.3.4-7")
    def test_the_eleventh_open_message_is_refused(self):
        client = self.client()
        client.send(b"".join(wire.publish(self.topic(), b"x", qos=2, packet_id=n + 1)
                             for n in range(11)))
        self.assert_acknowledged_then_closed(client)

    def assert_acknowledged_then_closed(self, client):
        while True:
            packet = client.read_packet()
            if packet.kind == wire.DISCONNECT:
                self.assertEqual(packet.code, 0x93)
                return
            self.assertEqual(packet.kind, wire.PUBREC)

    def test_a_session_with_the_longest_expiry_ends_with_it(self):
        client = self.client(clean=False, props={"session_expiry": 10})
        self.assertEqual(client.connack.props.get("session_expiry", 10), 10)


if __name__ == "__main__":
    unittest.main()
