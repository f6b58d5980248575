"""PINGREQ and Keep Alive, DISCONNECT, AUTH."""

import time
import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.client import Closed
from lib.properties import encode_one
from lib.transport import Timeout


class KeepAlive(BrokerCase):
    @statement("MQTT-3.12.4-1")
    @statement311("MQTT-3.12.4-1")
    def test_pingreq_is_answered_by_pingresp(self):
        for version in (3, 4, 5):
            client = self.client(version)
            for _ in range(3):
                self.assertEqual(client.ping().raw, b"\xd0\x00")

    @statement("MQTT-3.1.2-22", "MQTT-3.2.2-22")
    @statement311("MQTT-3.1.2-24")
    def test_silence_for_one_and_a_half_keep_alives_closes(self):
        clients = {version: self.client(version, keep_alive=1) for version in (3, 4, 5)}
        started = time.monotonic()
        for version, client in clients.items():
            self.assert_closed(client, 0x8D)
            self.assertGreaterEqual(time.monotonic() - started, 1.4)
            self.assertLess(time.monotonic() - started, 4.0)

    @statement("MQTT-3.1.2-22")
    @statement311("MQTT-3.1.2-24")
    def test_any_packet_keeps_the_connection(self):
        for version in V4_AND_V5:
            client = self.client(version, keep_alive=1)
            for n in range(4):
                self.let_pass(0.6)
                client.send(wire.publish(self.topic(), b"x", version=version))
            client.ping()

    @statement("MQTT-3.1.2-22")
    @statement311("MQTT-3.1.2-24")
    def test_half_a_packet_does_not_keep_the_connection(self):
        for version in V4_AND_V5:
            client = self.client(version, keep_alive=1)
            packet = wire.publish(self.topic(), b"x" * 50, version=version)
            try:
                for n in range(8):
                    client.send(packet[n:n + 1])
                    self.let_pass(0.4)
            except OSError:
                pass
            with self.subTest(version=version):
                self.assert_closed(client, None, 1.0)

    @statement("MQTT-3.2.2-22")
    def test_keep_alive_0_is_not_closed_early(self):
        for version in V4_AND_V5:
            client = self.client(version, keep_alive=0)
            client.silence(2.0)
            client.ping()

    @quorate_only
    def test_a_keep_alive_above_the_maximum_is_replaced(self):
        for keep_alive in (0, 3601, 65535):
            client = self.client(keep_alive=keep_alive)
            self.assertEqual(client.connack.props.get("server_keep_alive"), 3600)
        self.assertNotIn("server_keep_alive", self.client(keep_alive=3600).connack.props)


@quorate_only
class ServerKeepAlive(BrokerCase):
    options = {"mqtt.max_keep_alive": "1s"}

    @statement("MQTT-3.1.2-22")
    @statement311("MQTT-3.1.2-24")
    def test_the_servers_keep_alive_counts_when_it_was_sent(self):
        five, four = self.client(keep_alive=600), self.client(4, keep_alive=0)
        self.assertEqual(five.connack.props["server_keep_alive"], 1)
        self.assert_closed(five, 0x8D, 4)
        self.assert_closed(four, None, 4)


class Disconnecting(BrokerCase):
    @statement("MQTT-3.14.1-1", "MQTT-2.1.3-1")
    @statement311("MQTT-3.14.1-1", "MQTT-2.2.2-2")
    def test_reserved_flags_are_refused(self):
        for version in V4_AND_V5:
            for kind in (wire.DISCONNECT, wire.PINGREQ):
                for flags in (1, 2, 8, 15):
                    self.assert_refused(wire.frame(kind, b"", flags), 0x81, version)

    @statement("MQTT-3.14.4-1", "MQTT-3.14.4-2")
    @statement311("MQTT-3.14.4-1", "MQTT-3.14.4-2")
    def test_the_server_closes_after_disconnect_and_ignores_what_follows(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            reader, client = self.client(), self.client(version)
            reader.subscribe(topic, qos=1)
            client.send(wire.disconnect(version=version)
                        + wire.publish(topic, b"late", version=version))
            self.assertIsNone(client.wait_closed())
            reader.publish(topic, b"end", qos=1)
            self.assertEqual(reader.until("end"), [])

    @statement("MQTT-3.14.2-1", "MQTT-3.14.4-2")
    def test_reason_codes_of_a_client_are_accepted(self):
        for code in (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x99):
            client = self.client()
            client.send(wire.disconnect(code, {"reason_string": "bye",
                                               "user_property": [("a", "b")]}))
            self.assertIsNone(client.wait_closed())

    @statement("MQTT-3.14.2-1", "MQTT-4.13.1-1")
    def test_other_reason_codes_are_refused(self):
        for code in (0x01, 0x7F, 0xFF):
            with self.subTest(code=code):
                self.assert_refused(wire.disconnect(code), (0x81, 0x82))
        for code in (0x8E, 0x9C):  # lawful, but for a server to send: closed in any case
            self.assert_refused(wire.disconnect(code))

    def test_bad_disconnect_properties_are_refused(self):
        self.assert_refused(wire.disconnect(0, encode_one("server_reference", "x")))
        for properties in (encode_one("topic_alias", 1), encode_one("session_expiry", 1) * 2,
                           b"\x11\0"):
            self.assert_refused(wire.disconnect(0, properties), (0x81, 0x82))

    @statement("MQTT-3.14.0-1")
    def test_an_error_before_connack_is_not_told_by_disconnect(self):
        for data in (b"\x00\x00", b"\xf0\x00", wire.pingreq(), b"\x10\x04\0\4MQ"):
            client = self.raw()
            client.send(data)
            client.stream.finish_sending()
            try:
                self.assertEqual(client.read_packet().kind, wire.CONNACK)
            except Closed:
                pass

    @statement("MQTT-4.13.2-1", "MQTT-3.14.2-2", "MQTT-3.14.4-1", "MQTT-3.14.4-2")
    def test_a_disconnect_of_the_server_is_its_last_packet(self):
        topic = self.topic()
        client = self.client()
        client.subscribe(topic, qos=1)
        writer = self.client()
        client.send(wire.connect("again"))
        for n in range(20):
            writer.publish(topic, str(n), qos=1)
        self.assertEqual(client.wait_closed().code, 0x82)

    @statement311("MQTT-4.8.0-1", "MQTT-4.8.0-2")
    def test_packets_only_a_server_sends_close_the_connection(self):
        for version in V4_AND_V5:
            for packet in (wire.frame(wire.CONNACK, b"\0\0"), wire.frame(wire.SUBACK, b"\0\1\0"),
                           wire.frame(wire.UNSUBACK, b"\0\1"), wire.frame(wire.PINGRESP),
                           wire.frame(0), wire.frame(15)):
                with self.subTest(version=version, packet=packet):
                    if version == 5 and packet[0] == 0xF0:
                        continue
                    self.assert_refused(packet, (0x81, 0x82), version)


class Authenticating(BrokerCase):
    @statement("MQTT-4.12.0-1", "MQTT-4.12.0-4", "MQTT-3.2.2-8")
    def test_an_unknown_authentication_method_is_refused(self):
        for props in ({"authentication_method": "no such method"},
                      {"authentication_method": "x", "authentication_data": b"\0"}):
            self.assert_connect_refused(wire.connect(self.new_id(), props=props), (0x8C, 0x87))

    @statement("MQTT-4.12.0-6", "MQTT-4.12.0-5")
    def test_without_a_method_there_is_none_in_connack(self):
        client = self.client()
        self.assertNotIn("authentication_method", client.connack.props)
        self.assertNotIn("authentication_data", client.connack.props)

    @statement("MQTT-4.12.0-6", "MQTT-3.15.2-1", "MQTT-4.12.1-2")
    def test_auth_without_a_method_in_connect_is_refused(self):
        for code in (0x00, 0x18, 0x19):
            self.assert_refused(wire.auth(code, {"authentication_method": "x"}),
                                (0x82, 0x81, 0x87, 0x8C))

    @statement("MQTT-3.15.1-1")
    def test_reserved_flags_of_auth_are_refused(self):
        for flags in (1, 2, 8):
            self.assert_refused(wire.frame(wire.AUTH, b"\x18\x00", flags), (0x81, 0x82))

    @statement("MQTT-3.15.2-1")
    def test_an_unknown_auth_code_is_refused(self):
        self.assert_refused(wire.auth(0x44, {"authentication_method": "x"}), (0x81, 0x82))

    def test_auth_as_first_packet_is_closed(self):
        client = self.raw()
        client.send(wire.auth(0x18, {"authentication_method": "x"}))
        self.assertIsNone(client.wait_closed())

    def test_auth_does_not_exist_in_version_4(self):
        self.assert_refused(wire.frame(wire.AUTH, b"\x18\x00"), None, 4)


class OneAtATime(BrokerCase):
    def test_bytes_in_any_portions_make_the_same_packets(self):
        for version in V4_AND_V5:
            topic = self.topic(str(version))
            client = self.raw(version)
            data = (wire.connect(self.new_id(), version=version)
                    + wire.subscribe(1, [(topic, 2)], version=version)
                    + wire.publish(topic, b"y" * 200, qos=2, packet_id=1, version=version)
                    + wire.acknowledge(wire.PUBREL, 1, version=version) + wire.pingreq())
            for n in range(len(data)):
                client.send(data[n:n + 1])
            kinds = set()
            try:
                while len(kinds) < 6:
                    kinds.add(client.read_packet().kind)
            except Timeout:
                pass
            self.assertEqual(kinds, {wire.CONNACK, wire.SUBACK, wire.PUBREC, wire.PUBCOMP,
                                     wire.PINGRESP, wire.PUBLISH})


if __name__ == "__main__":
    unittest.main()
