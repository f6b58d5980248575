"""Data representation and malformed packets of every kind."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, statement, statement311
from lib.properties import encode_one, encode_varint

MALFORMED = (0x81, 0x82)


class Integers(BrokerCase):
    @statement("MQTT-1.5.5-1", "MQTT-4.13.1-1")
    @statement311("MQTT-4.8.0-1")
    def test_a_remaining_length_of_five_bytes_is_refused(self):
        for version in V4_AND_V5:
            for data in (b"\x30\xff\xff\xff\xff\x01", b"\xc0\x80\x80\x80\x80\x00"):
                self.assert_refused(data, MALFORMED, version)

    @statement("MQTT-1.5.5-1")
    def test_a_property_length_of_five_bytes_is_refused(self):
        self.assert_refused(wire.frame(wire.PUBLISH, b"\0\1a\x80\x80\x80\x80\x01" + b"x" * 9),
                            MALFORMED)

    @statement("MQTT-1.5.5-1", "MQTT-2.2.2-1")
    def test_lengths_the_server_writes_are_minimal(self):
        """The strict parser of the tests refuses any other; sizes around 127 and 16,383."""
        topic = self.topic()
        reader = self.client()
        reader.subscribe(topic, qos=0)
        writer = self.client()
        head = 2 + len(topic)
        for body in (126, 127, 128, 129, 16382, 16383, 16384, 16385):
            writer.publish(topic, b"x" * (body - head - 1))
            packet = reader.message()
            self.assertEqual(len(packet.payload), body - head - 1)
        for size in (118, 119, 120, 121, 130):
            writer.publish(topic, b"", props={"user_property": [("k", "v" * size)]})
            self.assertEqual(len(reader.message().props["user_property"][0][1]), size)


class Lengths(BrokerCase):
    @statement("MQTT-4.13.1-1", "MQTT-4.13.2-1")
    @statement311("MQTT-4.8.0-1")
    def test_packets_cut_short_inside_are_refused(self):
        packets = {
            5: [wire.publish("topic", b"", qos=1, packet_id=7), wire.subscribe(1, [("abc", 1)]),
                wire.unsubscribe(1, ["abc"]), wire.acknowledge(wire.PUBACK, 5)],
            4: [wire.subscribe(1, [("abc", 1)], version=4),
                wire.unsubscribe(1, ["abc"], version=4),
                wire.publish("topic", b"", qos=1, packet_id=7, version=4),
                wire.acknowledge(wire.PUBREL, 5, version=4)]}
        for version, several in packets.items():
            for packet in several:
                first, body = packet[:1], packet[2:]
                for size in range(len(body)):
                    if version == 5 and first == b"\x40" and size >= 2:
                        continue
                    with self.subTest(version=version, packet=packet, size=size):
                        client = self.client(version)
                        client.send(first + encode_varint(size) + body[:size])
                        self.assert_closed(client, MALFORMED)

    @statement311("MQTT-4.8.0-1", "MQTT-2.2.2-2")
    @statement("MQTT-4.13.1-1", "MQTT-2.1.3-1")
    def test_packets_with_bytes_too_many_are_refused(self):
        for version in V4_AND_V5:
            for packet in (wire.frame(wire.PINGREQ, b"x"), wire.frame(wire.PUBACK, b"\0\1\0\0x"),
                           wire.frame(wire.PUBREL, b"\0\1\0\0xyz"),
                           wire.subscribe(1, [("a", 0)], version=version)[:-1] + b"\0\0",
                           wire.frame(wire.DISCONNECT, b"\0\0x")):
                if packet[0] >> 4 == wire.SUBSCRIBE:
                    packet = wire.frame(wire.SUBSCRIBE, packet[2:])
                with self.subTest(version=version, packet=packet):
                    self.assert_refused(packet, MALFORMED, version)

    @statement("MQTT-2.1.3-1", "MQTT-3.6.1-1")
    @statement311("MQTT-2.2.2-1", "MQTT-2.2.2-2", "MQTT-3.6.1-1")
    def test_wrong_flags_of_acknowledgements_are_refused(self):
        for version in V4_AND_V5:
            for kind, bad in ((wire.PUBACK, (1, 2, 8)), (wire.PUBREC, (2, 15)),
                              (wire.PUBREL, (0, 1, 3, 10)), (wire.PUBCOMP, (2, 4))):
                for flags in bad:
                    with self.subTest(version=version, kind=kind, flags=flags):
                        self.assert_refused(wire.acknowledge(kind, 1, flags=flags,
                                                             version=version), MALFORMED, version)

    @statement("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
    def test_acknowledgements_with_unknown_codes_or_identifier_0_are_refused(self):
        for kind in (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP):
            self.assert_refused(wire.acknowledge(kind, 0), MALFORMED)
            for code in (0x01, 0x7F, 0xA3, 0xFF):
                with self.subTest(kind=kind, code=code):
                    self.assert_refused(wire.acknowledge(kind, 1, code), MALFORMED)

    def test_acknowledgements_with_bad_properties_are_refused(self):
        for kind in (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP):
            for properties in (encode_one("topic_alias", 1), encode_one("reason_string", "a") * 2,
                               encode_one("reason_string", b"\xff"), b"\x99"):
                with self.subTest(kind=kind, properties=properties):
                    self.assert_refused(wire.acknowledge(kind, 1, 0, properties), MALFORMED)

    def test_short_and_long_forms_of_acknowledgements_are_accepted(self):
        client = self.client()
        for data in (b"\x40\x02\x00\x09", b"\x40\x03\x00\x09\x00", b"\x40\x04\x00\x09\x00\x00",
                     b"\x40\x03\x00\x09\x10",
                     wire.acknowledge(wire.PUBACK, 9, 0x83, {"reason_string": "no",
                                                             "user_property": [("a", "b")] * 3})):
            client.send(data)
        client.ping()


class Strings(BrokerCase):
    ILL_FORMED = (b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf8\x88",
                  b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xc2", b"\xe2\x82")

    @statement("MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-3.3.2-1")
    @statement311("MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-3.3.2-1")
    def test_ill_formed_utf8_and_nul_are_refused_in_topics(self):
        for version in V4_AND_V5:
            for bad in self.ILL_FORMED + (b"\0", b"a\0b"):
                with self.subTest(version=version, bad=bad):
                    self.assert_refused(wire.publish(b"t/" + bad, b"x", version=version),
                                        (0x81, 0x82, 0x90), version)

    @statement("MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-1.5.7-1")
    def test_ill_formed_utf8_and_nul_are_refused_in_properties(self):
        for bad in self.ILL_FORMED[:4] + (b"a\0",):
            for properties in (encode_one("content_type", bad), encode_one("response_topic", bad),
                               encode_one("user_property", (bad, "x")),
                               encode_one("user_property", ("x", bad))):
                with self.subTest(properties=properties):
                    self.assert_refused(wire.publish("t", b"x", props=properties),
                                        (0x81, 0x82, 0x90))

    @statement("MQTT-1.5.4-3")
    @statement311("MQTT-1.5.3-3")
    def test_a_byte_order_mark_is_kept(self):
        for version in V4_AND_V5:
            topic = "\ufeff" + self.topic(str(version)) + "\ufeff"
            reader = self.client(version)
            reader.subscribe(topic, qos=0)
            self.client(version).publish(topic, b"\xef\xbb\xbfx")
            packet = reader.message()
            self.assertEqual((packet.topic, packet.payload), (topic, b"\xef\xbb\xbfx"))

    def test_payloads_are_any_bytes(self):
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(topic, qos=1)
        payload = bytes(range(256)) * 3 + b"\0\0"
        for qos in (0, 1):
            writer.publish(topic, payload, qos=qos)
            self.assertEqual(reader.message().payload, payload)


if __name__ == "__main__":
    unittest.main()
