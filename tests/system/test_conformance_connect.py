"""CONNECT and CONNACK: format, refusals, client identifiers."""

import string
import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.properties import encode_one, encode_string
from lib.client import Closed

MALFORMED = (0x81, 0x82)


def connect_body(payload, flags=0x02, version=5, props=b"\0"):
    head = encode_string("MQTT") + bytes([version, flags]) + b"\0\x3c"
    return wire.frame(wire.CONNECT, head + (props if version == 5 else b"") + payload)


class FirstPacket(BrokerCase):
    @statement("MQTT-3.1.0-1", "MQTT-3.2.0-1", "MQTT-3.14.0-1")
    @statement311("MQTT-3.1.0-1", "MQTT-3.2.0-1")
    def test_any_first_packet_but_connect_is_closed_without_a_word(self):
        for version in V4_AND_V5:
            for packet in (wire.pingreq(), wire.publish("a", b"x", version=version),
                           wire.subscribe(1, [("a", 0)], version=version),
                           wire.disconnect(version=version),
                           wire.acknowledge(wire.PUBACK, 1, version=version)):
                with self.subTest(version=version, packet=packet):
                    client = self.raw(version)
                    client.send(packet)
                    self.assertIsNone(client.wait_closed())

    @statement("MQTT-3.1.0-2", "MQTT-3.2.0-2", "MQTT-4.13.1-1")
    @statement311("MQTT-3.1.0-2", "MQTT-4.8.0-1")
    def test_a_second_connect_closes_the_connection(self):
        for version in V4_AND_V5:
            with self.subTest(version=version):
                self.assert_refused(wire.connect(self.new_id(), version=version), 0x82, version)

    @statement("MQTT-3.1.4-5", "MQTT-3.2.2-1", "MQTT-3.2.2-8", "MQTT-3.2.0-2", "MQTT-4.2.0-1")
    @statement311("MQTT-3.1.4-4", "MQTT-3.2.0-1", "MQTT-7.0.0-2", "MQTT-7.1.1-1")
    def test_an_accepted_connect_gets_exactly_one_connack(self):
        for version in (3, 4, 5):
            with self.subTest(version=version):
                client = self.client(version)
                self.assertFalse(client.connack.session_present)
                self.assertEqual(client.ping().kind, wire.PINGRESP)
                client.silence(0.1)

    @statement("MQTT-3.1.2-1")
    @statement311("MQTT-3.1.2-1")
    def test_a_wrong_protocol_name_is_refused(self):
        for version in V4_AND_V5:
            for name in ("mqtt", "MQTT ", "MQTx", "", "HTTP"):
                with self.subTest(version=version, name=name):
                    client = self.raw(version)
                    client.send(wire.connect(self.new_id(), version=version, protocol=name))
                    try:
                        answer = client.read_packet()
                        self.assertIn(answer.code, (0x01, 0x84))
                        client.wait_closed()
                    except Closed:
                        pass

    @statement("MQTT-3.1.2-2", "MQTT-3.2.2-7", "MQTT-3.1.4-2")
    @statement311("MQTT-3.1.2-2", "MQTT-3.2.2-4", "MQTT-3.2.2-5")
    def test_an_unknown_protocol_level_is_refused_and_closed(self):
        for level in (0, 1, 2, 6, 127):
            with self.subTest(level=level):
                client = self.raw(4)
                client.send(wire.connect(self.new_id(), version=4, level=level))
                head = client.stream.recv(self.deadline())
                self.assertEqual(head[0], wire.CONNACK << 4)
                self.assertEqual(head[2], 0, "Session Present in a refusal")
                self.assertIn(head[3], (0x01, 0x84))
                self.assertEqual(client.stream.recv(self.deadline()), b"")

    def deadline(self):
        import time
        return time.monotonic() + 8


class Flags(BrokerCase):
    @statement("MQTT-3.1.2-3", "MQTT-3.1.4-1", "MQTT-3.2.2-6", "MQTT-4.13.2-1")
    def test_the_reserved_connect_flag_is_refused(self):
        self.assert_connect_refused(connect_body(encode_string(self.new_id()), 0x03), MALFORMED)

    @statement311("MQTT-3.1.2-3", "MQTT-3.1.4-1", "MQTT-3.2.2-6")
    def test_the_reserved_connect_flag_is_refused_without_connack_in_version_4(self):
        self.assertIsNone(self.assert_connect_refused(
            connect_body(encode_string(self.new_id()), 0x03, 4), None, 4))

    @statement("MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13")
    @statement311("MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-14", "MQTT-3.1.2-15")
    def test_contradictory_will_flags_are_refused(self):
        will = b"\0" + encode_string("w") + encode_string("x")
        for flags, rest in ((0x0A, b""), (0x12, b""), (0x22, b""), (0x1E, will)):
            with self.subTest(flags=flags):
                self.assert_connect_refused(
                    connect_body(encode_string(self.new_id()) + rest, flags), MALFORMED)
                self.assert_connect_refused(
                    connect_body(encode_string(self.new_id()) + rest[1:], flags, 4), None, 4)

    @statement("MQTT-3.1.2-9", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18",
               "MQTT-3.1.2-19", "MQTT-3.1.3-1", "MQTT-3.1.3-3")
    @statement311("MQTT-3.1.2-9", "MQTT-3.1.2-18", "MQTT-3.1.2-19", "MQTT-3.1.2-20",
                  "MQTT-3.1.2-21", "MQTT-3.1.3-1", "MQTT-3.1.3-3")
    def test_payload_fields_must_be_those_the_flags_announce(self):
        name = encode_string(self.new_id())
        extra = encode_string("extra")
        for version in V4_AND_V5:
            will = (b"\0" if version == 5 else b"") + encode_string("w") + encode_string("x")
            for what, flags, payload in (
                    ("nothing at all", 0x02, b""), ("user name without flag", 0x02, name + extra),
                    ("user name missing", 0x82, name), ("will missing", 0x06, name),
                    ("will payload missing", 0x06, name + will[:-3]),
                    ("will without flag", 0x02, name + will),
                    ("password missing", 0xC2, name + extra),
                    ("password without flag", 0x82, name + extra + extra)):
                with self.subTest(version=version, what=what):
                    self.assert_connect_refused(connect_body(payload, flags, version),
                                                MALFORMED if version == 5 else None, version)

    @statement311("MQTT-3.1.2-22")
    def test_a_password_without_user_name_is_refused_in_version_4(self):
        self.assert_connect_refused(
            connect_body(encode_string(self.new_id()) + encode_string("p"), 0x42, 4), None, 4)

    @statement("MQTT-3.1.2-17", "MQTT-3.1.2-19")
    @statement311("MQTT-3.1.2-19", "MQTT-3.1.2-21")
    def test_user_name_and_password_are_accepted_by_an_open_broker(self):
        for version in (3, 4, 5):
            self.client(version, username="user", password=b"\0\xff").ping()
        self.client(5, password=b"only a password").ping()


class Properties(BrokerCase):
    @statement("MQTT-3.1.4-1", "MQTT-2.2.2-1")
    def test_a_property_given_twice_or_out_of_place_is_refused(self):
        lists = [encode_one("receive_maximum", 5) * 2, encode_one("session_expiry", 5) * 2,
                 encode_one("maximum_packet_size", 500) * 2, encode_one("topic_alias", 1),
                 encode_one("reason_string", "x"), encode_one("maximum_qos", 1), b"\x7f\x00",
                 encode_one("receive_maximum", 0), encode_one("maximum_packet_size", 0),
                 encode_one("request_problem_information", 2),
                 encode_one("request_response_information", 2),
                 encode_one("authentication_data", b"x"), encode_one("will_delay", 1), b"\x11\x00"]
        for properties in lists:
            with self.subTest(properties=properties):
                self.assert_connect_refused(wire.connect(self.new_id(), props=properties),
                                            MALFORMED)

    def test_properties_longer_than_the_packet_are_refused(self):
        self.assert_connect_refused(
            connect_body(encode_string(self.new_id()), props=b"\x7f\x11\0\0\0\1"), MALFORMED)

    def test_will_properties_are_checked_like_others(self):
        for properties in (encode_one("will_delay", 1) * 2, encode_one("session_expiry", 1),
                           encode_one("payload_format", 2), encode_one("topic_alias", 1)):
            with self.subTest(properties=properties):
                self.assert_connect_refused(wire.connect(
                    self.new_id(), will={"topic": "w", "payload": b"x", "props": properties}),
                    MALFORMED)

    @statement("MQTT-3.1.2-28")
    def test_response_information_is_not_returned_unasked(self):
        for props in (None, {"request_response_information": 0}):
            self.assertNotIn("response_information", self.client(props=props).connack.props)

    @statement("MQTT-3.2.2-9")
    def test_limits_are_announced_only_where_they_differ_from_the_default(self):
        properties = self.client().connack.props
        self.assertNotIn("maximum_qos", properties)
        self.assertNotEqual(properties.get("retain_available", 1), 0)
        self.assertNotEqual(properties.get("wildcard_available", 1), 0)
        self.assertNotEqual(properties.get("shared_available", 1), 0)
        self.assertNotEqual(properties.get("subscription_identifiers_available", 1), 0)


class ClientIdentifiers(BrokerCase):
    @statement("MQTT-3.1.3-5", "MQTT-3.1.3-2", "MQTT-3.1.3-4")
    @statement311("MQTT-3.1.3-5", "MQTT-3.1.3-2", "MQTT-3.1.3-4")
    def test_identifiers_of_letters_and_digits_are_allowed(self):
        letters = string.digits + string.ascii_letters
        for version in V4_AND_V5:
            for client_id in ("Z", letters[:23], letters[23:46], letters[39:62]):
                self.client(version, client_id=client_id).disconnect()

    @statement("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
    def test_an_empty_identifier_is_replaced_by_a_unique_one(self):
        names = {self.client(client_id="").connack.props["assigned_client_id"] for _ in range(5)}
        self.assertEqual(len(names), 5)

    @statement("MQTT-3.1.3-7")
    def test_an_assigned_identifier_works_like_a_given_one(self):
        first = self.durable(client_id="")
        name = first.connack.props["assigned_client_id"]
        first.subscribe(self.topic(), qos=1)
        first.disconnect()
        self.assertTrue(self.durable(client_id=name).connack.session_present)

    @statement311("MQTT-3.1.3-6")
    def test_an_empty_identifier_with_a_clean_session_is_accepted_in_version_4(self):
        first, second = self.client(4, client_id=""), self.client(4, client_id="")
        first.ping()
        second.ping()

    @statement311("MQTT-3.1.3-7", "MQTT-3.1.3-8", "MQTT-3.1.3-9")
    def test_an_empty_identifier_without_clean_session_is_rejected_in_version_4(self):
        self.assert_connect_refused(wire.connect("", version=4, clean=False), 0x02, 4)

    def test_an_empty_identifier_is_rejected_in_version_3(self):
        self.assert_connect_refused(wire.connect("", version=3), 0x02, 3)

    @statement("MQTT-3.1.3-8")
    @statement311("MQTT-3.1.3-9")
    @quorate_only
    def test_an_identifier_of_more_than_256_bytes_is_rejected(self):
        self.assert_connect_refused(wire.connect("x" * 257), 0x85)
        self.assert_connect_refused(wire.connect("x" * 257, version=4), 0x02, 4)
        self.client(client_id="y" * 256).disconnect()

    @statement("MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-3.1.3-12", "MQTT-1.5.4-1")
    @statement311("MQTT-3.1.3-4", "MQTT-3.1.3-10", "MQTT-3.1.3-11", "MQTT-1.5.3-1")
    def test_strings_of_connect_must_be_utf8(self):
        bad = b"\xc3\x28"
        for version in V4_AND_V5:
            code = MALFORMED + (0x90,) if version == 5 else None
            for packet in (wire.connect(bad, version=version),
                           wire.connect(self.new_id(), version=version, username=bad),
                           wire.connect(self.new_id(), version=version,
                                        will={"topic": bad, "payload": b""})):
                with self.subTest(version=version, packet=packet):
                    self.assert_connect_refused(packet, code, version)


class AfterRefusal(BrokerCase):
    @statement("MQTT-3.1.4-6")
    @statement311("MQTT-3.1.4-5")
    def test_what_follows_a_refused_connect_is_not_processed(self):
        for version in V4_AND_V5:
            with self.subTest(version=version):
                topic = self.topic(str(version))
                reader = self.client()
                reader.subscribe(topic, qos=1)
                refused = self.raw(version)
                bad = {"flags": 3} if version == 4 else {"props": encode_one("topic_alias", 1)}
                refused.send(wire.connect(self.new_id(), version=version, **bad)
                             + wire.publish(topic, b"no", qos=1, packet_id=1, version=version))
                refused.wait_closed()
                reader.publish(topic, b"end", qos=1)
                self.assertEqual(reader.until("end"), [])

    @statement("MQTT-3.1.4-5")
    @statement311("MQTT-3.1.4-4")
    def test_packets_sent_together_with_connect_are_processed(self):
        for version in V4_AND_V5:
            with self.subTest(version=version):
                client = self.raw(version)
                topic = self.topic(str(version))
                client.send(wire.connect(self.new_id(), version=version)
                            + wire.subscribe(7, [(topic, 0)], version=version)
                            + wire.publish(topic, b"early", version=version))
                self.assertEqual(client.read_packet().kind, wire.CONNACK)
                self.assertEqual(client.expect(wire.SUBACK).packet_id, 7)
                self.assertEqual(client.message().payload, b"early")


if __name__ == "__main__":
    unittest.main()
