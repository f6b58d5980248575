"""SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.properties import encode_one

MALFORMED = (0x81, 0x82)


class Requests(BrokerCase):
    @statement("MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-2.1.3-1")
    @statement311("MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2")
    def test_wrong_flags_of_subscribe_and_unsubscribe_are_refused(self):
        for version in V4_AND_V5:
            for flags in (0, 1, 3, 6, 15):
                with self.subTest(version=version, flags=flags):
                    self.assert_refused(wire.subscribe(1, [("a", 0)], version=version,
                                                       flags=flags), MALFORMED, version)
                    self.assert_refused(wire.unsubscribe(1, ["a"], version=version, flags=flags),
                                        MALFORMED, version)

    @statement("MQTT-3.8.3-2", "MQTT-3.10.3-2")
    @statement311("MQTT-3.8.3-3", "MQTT-3.10.3-2", "MQTT-4.8.0-1")
    def test_requests_without_filters_are_refused(self):
        for version in V4_AND_V5:
            self.assert_refused(wire.subscribe(1, [], version=version), MALFORMED, version)
            self.assert_refused(wire.unsubscribe(1, [], version=version), MALFORMED, version)

    @statement("MQTT-2.2.1-3")
    @statement311("MQTT-2.3.1-1")
    def test_packet_identifier_0_is_refused(self):
        for version in V4_AND_V5:
            self.assert_refused(wire.subscribe(0, [("a", 0)], version=version), MALFORMED, version)
            self.assert_refused(wire.unsubscribe(0, ["a"], version=version), MALFORMED, version)

    @statement("MQTT-3.8.3-5")
    @statement311("MQTT-3.8.3-4")
    def test_reserved_option_bits_and_qos_3_are_refused(self):
        for options in (0x40, 0x80, 0xC0, 0x03, 0x30):
            self.assert_refused(wire.subscribe(1, [(self.topic(), options)]), MALFORMED)
        for options in (0x03, 0x04, 0x08, 0x10, 0x80):
            self.assert_refused(wire.subscribe(1, [(self.topic(), options)], version=4), None, 4)

    @statement("MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2")
    @statement311("MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2")
    def test_ill_formed_filters_are_refused(self):
        for version in V4_AND_V5:
            for bad in (b"\xff", b"a\0", b"\xed\xbf\xbf"):
                self.assert_refused(wire.subscribe(1, [(bad, 0)], version=version), MALFORMED,
                                    version)
                self.assert_refused(wire.unsubscribe(1, [bad], version=version), MALFORMED,
                                    version)
            self.assert_filter_refused("", version)

    @statement("MQTT-4.7.1-1", "MQTT-4.7.1-2")
    @statement311("MQTT-4.7.1-2", "MQTT-4.7.1-3")
    def test_misplaced_wildcards_are_refused(self):
        for version in V4_AND_V5:
            for topic_filter in ("a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++", "+#"):
                with self.subTest(version=version, filter=topic_filter):
                    self.assert_filter_refused(topic_filter, version)

    def assert_filter_refused(self, topic_filter, version):
        """Either SUBACK refuses the filter (0x8F, 0x80) or the connection is closed."""
        client = self.client(version)
        client.send(wire.subscribe(1, [(topic_filter, 0)], version=version))
        packet = None
        try:
            packet = client.read_packet()
        except Exception as error:  # closed without a word, as version 3 does
            self.assertEqual(type(error).__name__, "Closed")
            self.assertEqual(version, 4, "version 5 is told why")
            return
        if packet.kind == wire.SUBACK:
            self.assertIn(packet.codes, ([0x8F], [0x80]))
        else:
            self.assertIn(packet.code, (0x81, 0x82, 0x8F))

    def test_bad_subscribe_properties_are_refused(self):
        for properties in (encode_one("subscription_identifier", 0),
                           encode_one("subscription_identifier", 1) * 2,
                           encode_one("topic_alias", 1), encode_one("reason_string", "x")):
            self.assert_refused(wire.subscribe(1, [("a", 0)], props=properties), MALFORMED)
            self.assert_refused(wire.unsubscribe(1, ["a"], props=properties), MALFORMED)

    @statement("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-2.2.1-6", "MQTT-3.10.4-4", "MQTT-3.10.4-5")
    @statement311("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-2.3.1-7", "MQTT-3.10.4-4",
                  "MQTT-3.10.4-5")
    def test_answers_repeat_the_packet_identifier(self):
        for version in (3, 4, 5):
            client = self.client(version)
            for number in (65535, 1, 256):
                client.send(wire.subscribe(number, [(self.topic(), 1)], version=version))
                self.assertEqual(client.expect(wire.SUBACK).packet_id, number)
                client.send(wire.unsubscribe(number, [self.topic("none")], version=version))
                self.assertEqual(client.expect(wire.UNSUBACK).packet_id, number)

    @statement("MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2")
    @statement311("MQTT-3.8.4-4", "MQTT-3.8.4-5", "MQTT-3.9.3-1", "MQTT-3.9.3-2",
                  "MQTT-3.8.3-2")
    def test_every_filter_gets_its_code_in_order(self):
        for version in V4_AND_V5:
            base = self.topic(str(version))
            reader = self.client(version)
            answer = reader.subscribe((base + "/2", 2), (base + "/0", 0), (base + "/1", 1),
                                      (base + "/w/#", 2), (base + "/w/+", 1))
            self.assertEqual(answer.codes, [2, 0, 1, 2, 1])
            for name, qos in (("2", 2), ("0", 0), ("1", 1)):
                self.client(version).publish(f"{base}/{name}", name, qos=2)
                packet = reader.message()
                self.assertEqual((packet.payload, packet.qos), (name.encode(), qos))

    @statement("MQTT-3.8.4-8")
    @statement311("MQTT-3.8.4-6")
    def test_delivery_has_the_lower_of_published_and_granted_qos(self):
        for version in V4_AND_V5:
            base = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            for granted in (0, 1, 2):
                reader.subscribe(f"{base}/{granted}", qos=granted)
                for published in (0, 1, 2):
                    writer.publish(f"{base}/{granted}", b"x", qos=published)
                    self.assertEqual(reader.message().qos, min(granted, published))


class Options(BrokerCase):
    @statement("MQTT-3.8.3-3")
    def test_no_local_keeps_own_messages_away(self):
        topic = self.topic()
        client, other = self.client(), self.client()
        client.subscribe((topic, 0x04 | 1))
        other.subscribe((topic, 0x04 | 1))
        client.publish(topic, b"own", qos=1)
        other.publish(topic, b"foreign", qos=1)
        self.assertEqual(client.message().payload, b"foreign")
        self.assertEqual(other.message().payload, b"own")
        client.silence(0.1)

    @statement("MQTT-3.8.3-3")
    def test_no_local_holds_for_a_session_while_it_is_away(self):
        topic, client_id = self.topic(), self.new_id()
        client = self.durable(client_id=client_id)
        client.subscribe((topic, 0x04 | 1))
        client.publish(topic, b"own", qos=1)
        client.disconnect()
        self.client().publish(topic, b"foreign", qos=1)
        self.assertEqual(self.durable(client_id=client_id).message().payload, b"foreign")

    @statement("MQTT-3.8.3-4")
    def test_no_local_on_a_shared_subscription_is_a_protocol_error(self):
        self.assert_refused(wire.subscribe(1, [("$share/g/" + self.topic(), 0x04)]), 0x82)

    @statement("MQTT-3.8.4-3")
    @statement311("MQTT-3.8.4-3")
    def test_an_identical_filter_replaces_the_subscription(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(topic, qos=0)
            self.assertEqual(reader.subscribe(topic, qos=2).codes, [2])
            writer.publish(topic, b"x", qos=2)
            self.assertEqual(reader.message().qos, 2)
            reader.silence(0.1)

    @statement("MQTT-3.8.4-3")
    def test_replacing_changes_identifier_and_options(self):
        topic = self.topic()
        reader = self.client()
        reader.subscribe((topic, 0x04 | 1), props={"subscription_identifier": 1})
        reader.subscribe((topic, 1), props={"subscription_identifier": 2})
        reader.publish(topic, b"x", qos=1)
        self.assertEqual(reader.message().props["subscription_identifier"], [2])
        reader.subscribe((topic, 1))
        reader.publish(topic, b"y", qos=1)
        self.assertNotIn("subscription_identifier", reader.message().props)

    @statement("MQTT-3.8.4-4")
    @statement311("MQTT-3.8.4-3")
    def test_replacing_sends_retained_messages_again_and_loses_nothing(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            writer, reader = self.client(version), self.client(version)
            writer.publish(topic, b"kept", qos=1, retain=True)
            reader.subscribe(topic, qos=1)
            self.assertEqual(reader.message().payload, b"kept")
            seen = []
            for n in range(10):
                writer.publish(topic, str(n), qos=1)
                reader.subscribe(topic, qos=1)
            writer.publish(topic, b"end", qos=1)
            for packet in reader.until("end"):
                seen.append((packet.payload, packet.retain))
            while seen.count((b"kept", True)) < 10:  # a replay may come after a live message
                packet = reader.message()
                seen.append((packet.payload, packet.retain))
            self.assertEqual([p for p, retain in seen if not retain],
                             [str(n).encode() for n in range(10)])
            self.assertEqual(seen.count((b"kept", True)), 10)


class Unsubscribing(BrokerCase):
    @statement("MQTT-3.10.4-1", "MQTT-3.11.3-1", "MQTT-3.11.3-2", "MQTT-3.10.4-6")
    def test_unsuback_has_a_code_for_each_filter_in_order(self):
        base = self.topic()
        client = self.client()
        client.subscribe(base + "/a", base + "/#", base + "/b")
        answer = client.unsubscribe(base + "/none", base + "/b", base + "/+", base + "/#")
        self.assertEqual(answer.codes, [0x11, 0x00, 0x11, 0x00])

    @statement("MQTT-3.10.4-1", "MQTT-3.10.4-2")
    @statement311("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-6")
    def test_only_the_equal_filter_is_removed_and_at_once(self):
        for version in V4_AND_V5:
            base = self.topic(str(version))
            reader, writer = self.client(version), self.client(version)
            reader.subscribe(base + "/a", base + "/+", base + "/B", base + "/c", qos=1)
            reader.unsubscribe(base + "/+", base + "/b", base + "/c")
            for name in ("x", "b", "c", "a", "B"):
                writer.publish(f"{base}/{name}", name, qos=1)
            writer.publish(base + "/a", b"end", qos=1)
            self.assertEqual([m.payload for m in reader.until("end")], [b"a", b"B"])

    @statement("MQTT-3.10.4-3")
    @statement311("MQTT-3.10.4-3")
    def test_deliveries_begun_are_completed_after_unsubscribe(self):
        for version in V4_AND_V5:
            for qos in (1, 2):
                topic, client_id = self.topic(f"{version}/{qos}"), self.new_id()
                reader = self.durable(version, client_id)
                reader.subscribe(topic, qos=2)
                self.client(version).publish(topic, b"x", qos=qos)
                packet = reader.next_publish()
                reader.unsubscribe(topic)
                reader.abort()
                reader = self.durable(version, client_id)
                again = reader.next_publish()
                self.assertEqual((again.packet_id, again.dup), (packet.packet_id, True))
                reader.acknowledge(again)
                reader.ping()

    @quorate_only
    def test_unsubscribe_of_a_shared_filter_names_it_whole(self):
        topic = self.topic()
        client = self.client()
        client.subscribe("$share/g/" + topic, qos=1)
        self.assertEqual(client.unsubscribe(topic).codes, [0x11])
        self.assertEqual(client.unsubscribe("$share/g/" + topic).codes, [0x00])


if __name__ == "__main__":
    unittest.main()
