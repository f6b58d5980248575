"""Will messages."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311


class WillCase(BrokerCase):
    def watch(self, topic, version=5, **options):
        reader = self.client(version)
        reader.subscribe(topic, qos=2, **options)
        return reader

    def assert_no_will(self, reader, topic, seconds=0.0):
        """Nothing but the end mark arrives, which is sent after `seconds`."""
        self.let_pass(seconds)
        self.client().publish(topic, b"end", qos=2)
        self.assertEqual(reader.until("end"), [])


class Publishing(WillCase):
    @statement("MQTT-3.1.2-7", "MQTT-3.1.2-8", "MQTT-3.1.2-14", "MQTT-3.1.2-12")
    @statement311("MQTT-3.1.2-8", "MQTT-3.1.2-16", "MQTT-3.1.2-14")
    def test_a_lost_connection_publishes_the_will_once(self):
        for version in (3, 4, 5):
            for qos in (0, 1, 2):
                for how in ("abort", "close"):
                    with self.subTest(version=version, qos=qos, how=how):
                        topic = self.topic(f"{version}/{qos}/{how}")
                        reader = self.watch(topic)
                        client = self.client(version, will={"topic": topic, "payload": b"gone",
                                                            "qos": qos})
                        getattr(client, how)()
                        packet = reader.message()
                        self.assertEqual((packet.payload, packet.qos, packet.retain),
                                         (b"gone", qos, False))
                        self.assert_no_will(reader, topic)
                        self.assertIsNone(self.retained_payload(topic))

    @statement("MQTT-3.1.2-15")
    @statement311("MQTT-3.1.2-17")
    def test_a_will_with_retain_is_retained(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader = self.watch(topic)
            self.client(version, will={"topic": topic, "payload": b"gone", "qos": 1,
                                       "retain": True}).abort()
            reader.message()
            self.assertEqual(self.retained_payload(topic), b"gone")

    @statement("MQTT-3.1.2-8", "MQTT-4.13.1-1")
    @statement311("MQTT-3.1.2-8", "MQTT-4.8.0-1")
    def test_a_protocol_error_publishes_the_will(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader = self.watch(topic)
            client = self.client(version, will={"topic": topic, "payload": b"gone"})
            client.send(wire.connect("again", version=version))
            client.wait_closed()
            self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.2-22", "MQTT-3.1.2-8")
    @statement311("MQTT-3.1.2-24", "MQTT-3.1.2-8")
    def test_a_keep_alive_timeout_publishes_the_will(self):
        topics = [self.topic(str(version)) for version in V4_AND_V5]
        readers = [self.watch(topic) for topic in topics]
        for version, topic in zip(V4_AND_V5, topics):
            self.client(version, keep_alive=1, will={"topic": topic, "payload": b"gone"})
        for reader in readers:
            self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.2-8")
    def test_disconnect_with_will_publishes_the_will(self):
        topic = self.topic()
        reader = self.watch(topic)
        self.client(will={"topic": topic, "payload": b"gone"}).disconnect(0x04)
        self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.3-10", "MQTT-3.3.2-4", "MQTT-3.3.2-17", "MQTT-3.3.2-18")
    def test_will_properties_are_published_unaltered(self):
        topic = self.topic()
        reader = self.watch(topic)
        properties = {"payload_format": 1, "content_type": "t", "response_topic": "r",
                      "correlation_data": b"\0c",
                      "user_property": [("b", "1"), ("a", "2"), ("b", "3")]}
        self.client(will={"topic": topic, "payload": b"gone", "qos": 1,
                          "props": {**properties, "message_expiry": 1000}}).abort()
        packet = reader.message()
        self.assertIn(packet.props.pop("message_expiry"), (998, 999, 1000))
        self.assertEqual(packet.props, properties)

    def test_a_will_may_be_empty_and_large(self):
        for payload in (b"", b"w" * 60000):  # CONNECT may have 64 KiB
            topic = self.topic(str(len(payload)))
            reader = self.watch(topic)
            self.client(will={"topic": topic, "payload": payload}).abort()
            self.assertEqual(reader.message().payload, payload)


class NotPublishing(WillCase):
    @statement("MQTT-3.14.4-3", "MQTT-3.1.2-10")
    @statement311("MQTT-3.14.4-3", "MQTT-3.1.2-10")
    def test_a_normal_disconnect_discards_the_will(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader = self.watch(topic)
            self.client(version, will={"topic": topic, "payload": b"gone"}).disconnect()
            self.assert_no_will(reader, topic)

    @statement("MQTT-3.1.2-10")
    @statement311("MQTT-3.1.2-10")
    def test_a_published_will_is_not_published_again(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.watch(topic)
            self.durable(version, client_id, will={"topic": topic, "payload": b"gone"}).abort()
            self.assertEqual(reader.message().payload, b"gone")
            self.durable(version, client_id).abort()
            self.assert_no_will(reader, topic, 0.2)

    @statement311("MQTT-3.1.2-12")
    @statement("MQTT-3.1.2-10")
    def test_a_connection_without_will_publishes_none(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.watch(topic)
            self.durable(version, client_id, will={"topic": topic, "payload": b"w"}).disconnect()
            self.durable(version, client_id).abort()
            self.assert_no_will(reader, topic, 0.2)

    @statement("MQTT-3.1.4-2", "MQTT-3.1.2-7")
    def test_a_refused_connect_leaves_no_will(self):
        topic = self.topic()
        reader = self.watch(topic)
        client = self.raw()
        client.send(wire.connect(self.new_id(), will={
            "topic": topic, "payload": b"gone"}, props={"receive_maximum": 0}))
        client.wait_closed()
        self.assert_no_will(reader, topic, 0.1)

    @statement("MQTT-3.3.2-2", "MQTT-4.7.0-1")
    @statement311("MQTT-3.3.2-2", "MQTT-4.7.1-1")
    def test_a_will_topic_with_wildcards_is_refused(self):
        for version in V4_AND_V5:
            for topic in ("a/#", "+"):
                client = self.raw(version)
                client.send(wire.connect(self.new_id(), version=version,
                                         will={"topic": topic, "payload": b"x"}))
                try:
                    self.assertNotEqual(client.read_packet().code, 0)
                    client.wait_closed()
                except Exception as error:
                    self.assertEqual(type(error).__name__, "Closed")


class Delay(WillCase):
    @statement("MQTT-3.1.3-9", "MQTT-3.1.2-8")
    def test_a_resumed_session_within_the_delay_stops_the_will(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.watch(topic)
        self.delayed(topic, client_id, 1).abort()
        client = self.durable(client_id=client_id)
        self.assertTrue(client.connack.session_present)
        self.assert_no_will(reader, topic, 1.5)

    @statement("MQTT-3.1.2-8")
    def test_the_will_waits_for_its_delay(self):
        topic = self.topic()
        reader = self.watch(topic)
        self.delayed(topic, self.new_id(), 1).abort()
        reader.silence(0.8)
        self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.2-8")
    def test_the_end_of_the_session_publishes_the_will_before_its_delay(self):
        topic = self.topic()
        reader = self.watch(topic)
        self.delayed(topic, self.new_id(), 3600, expiry=1).abort()
        reader.silence(0.8)
        self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.2-8")
    def test_a_session_without_expiry_publishes_at_once_despite_a_delay(self):
        topic = self.topic()
        reader = self.watch(topic)
        self.delayed(topic, self.new_id(), 3600, expiry=0).abort()
        self.assertEqual(reader.message(2).payload, b"gone")

    @statement("MQTT-3.1.2-8", "MQTT-3.1.4-4")
    def test_clean_start_within_the_delay_ends_the_session_and_publishes(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.watch(topic)
        self.delayed(topic, client_id, 3600).abort()
        self.client(client_id=client_id, clean=True)
        self.assertEqual(reader.message(2).payload, b"gone")

    @statement("MQTT-3.1.3-9")
    def test_a_takeover_within_the_delay_stops_the_will(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.watch(topic)
        first = self.delayed(topic, client_id, 1)
        self.durable(client_id=client_id)
        self.assert_closed(first, 0x8E)
        self.assert_no_will(reader, topic, 1.4)

    @statement("MQTT-3.1.2-8", "MQTT-3.1.4-3")
    @statement311("MQTT-3.1.2-8", "MQTT-3.1.4-2")
    def test_a_takeover_without_delay_publishes_the_will(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.watch(topic)
            first = self.durable(version, client_id, will={"topic": topic, "payload": b"gone"})
            self.durable(version, client_id)
            self.assert_closed(first, 0x8E)
            self.assertEqual(reader.message().payload, b"gone")

    @statement("MQTT-3.1.2-8")
    def test_a_new_will_replaces_that_of_an_earlier_connection(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.watch(topic)
        self.delayed(topic, client_id, 5).abort()
        self.durable(client_id=client_id, will={"topic": topic, "payload": b"second"}).abort()
        self.assertEqual(reader.message().payload, b"second")
        self.assert_no_will(reader, topic)

    @quorate_only
    def test_disconnect_with_will_and_a_shorter_expiry_publishes_at_its_end(self):
        topic = self.topic()
        reader = self.watch(topic)
        self.delayed(topic, self.new_id(), 3600).disconnect(0x04, {"session_expiry": 1})
        reader.silence(0.8)
        self.assertEqual(reader.message().payload, b"gone")

    def delayed(self, topic, client_id, delay, expiry=3600):
        return self.durable(client_id=client_id, expiry=expiry, will={
            "topic": topic, "payload": b"gone", "qos": 1, "props": {"will_delay": delay}})


if __name__ == "__main__":
    unittest.main()
