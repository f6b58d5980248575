"""MQTT over WebSocket, also over TLS."""

import os
import struct
import time
import unittest

from lib import mqtt_wire as wire, transport
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.client import Client


class WebSocketCase(BrokerCase):
    transports = ("tcp", "ws")

    def web(self, version=5, **options):
        client = Client(self.broker.stream("ws", **options), version)
        self.addCleanup(client.close)
        return client

    def assert_failed(self, client, code):
        """The stream ends, with this status in a close frame if the server sends one."""
        while client.stream.recv(time.monotonic() + 8):
            pass
        if client.stream.close_code is not None:
            self.assertEqual(client.stream.close_code, code)


class Binding(WebSocketCase):
    @statement("MQTT-6.0.0-4", "MQTT-6.0.0-3", "MQTT-4.2.0-1")
    @statement311("MQTT-6.0.0-4", "MQTT-6.0.0-3")
    def test_subprotocol_mqtt_is_selected(self):
        for offer in ("mqtt", "mqtt, mqttv3.1", "chat, mqtt"):
            client = self.web(protocols=offer)
            self.assertEqual(client.stream.headers["sec-websocket-protocol"], "mqtt")
            self.assertEqual(client.connect(self.new_id()).code, 0)
            client.ping()

    def test_subprotocol_mqttv31_is_selected_when_offered_alone(self):
        client = self.web(3, protocols="mqttv3.1")
        self.assertEqual(client.stream.headers["sec-websocket-protocol"], "mqttv3.1")
        self.assertEqual(client.connect(self.new_id()).code, 0)

    @statement("MQTT-6.0.0-3", "MQTT-6.0.0-4")
    @quorate_only
    def test_other_subprotocols_are_refused(self):
        for offer in (None, "chat", "MQTT5"):
            with self.subTest(offer=offer):
                with self.assertRaises(transport.UpgradeRefused) as caught:
                    self.broker.stream("ws", protocols=offer)
                self.assertEqual(caught.exception.status, 400)

    @quorate_only
    def test_compression_is_never_agreed_to(self):
        client = self.web(extra=("Sec-WebSocket-Extensions: permessage-deflate",))
        self.assertNotIn("sec-websocket-extensions", client.stream.headers)
        client.stream.send_frame(transport.BINARY, b"\0" * 10, reserved=4)
        self.assert_failed(client, 1002)

    @statement("MQTT-6.0.0-2")
    @statement311("MQTT-6.0.0-2")
    def test_packets_need_not_be_aligned_to_frames(self):
        for version in V4_AND_V5:
            client, topic = self.web(version), self.topic(str(version))
            data = (wire.connect(self.new_id(), version=version)
                    + wire.subscribe(1, [(topic, 0)], version=version)
                    + wire.publish(topic, b"x" * 300, version=version) + wire.pingreq())
            client.send(data[:20])
            for n in range(20, len(data), 7):
                client.send(data[n:n + 7])
            self.assertEqual(client.read_packet().kind, wire.CONNACK)
            # SUBACK waits for its route, PINGRESP for nothing; the PUBLISH is matched in any case.
            packets = [client.read_packet() for _ in range(3)]
            self.assertEqual({p.kind for p in packets},
                             {wire.SUBACK, wire.PINGRESP, wire.PUBLISH})
            self.assertEqual([p.payload for p in packets if p.kind == wire.PUBLISH], [b"x" * 300])

    @statement("MQTT-6.0.0-2")
    @statement311("MQTT-6.0.0-2")
    def test_fragmented_messages_with_control_frames_between_them(self):
        client, topic = self.web(), self.topic()
        client.connect(self.new_id())
        client.subscribe(topic)
        packet = wire.publish(topic, b"y" * 1000)
        client.stream.send_frame(transport.BINARY, packet[:5], fin=False)
        client.stream.send_frame(transport.PING, b"between")
        client.stream.send_frame(transport.CONTINUATION, packet[5:500], fin=False)
        client.stream.send_frame(transport.PONG, b"unasked")
        client.stream.send_frame(transport.CONTINUATION, b"", fin=False)
        client.stream.send_frame(transport.CONTINUATION, packet[500:])
        self.assertEqual(client.message().payload, b"y" * 1000)
        client.ping()
        self.assertEqual(client.stream.pongs, [b"between"])

    def test_one_byte_a_frame_and_one_byte_a_write(self):
        client, topic = self.web(), self.topic()
        data = wire.connect(self.new_id()) + wire.publish(topic, b"z", qos=1, packet_id=3)
        for n in range(len(data)):
            client.send(data[n:n + 1])
        self.assertEqual(client.read_packet().kind, wire.CONNACK)
        self.assertEqual(client.expect(wire.PUBACK).packet_id, 3)

    def test_large_messages_both_ways(self):
        client, topic = self.web(), self.topic()
        client.connect(self.new_id())
        client.subscribe(topic, qos=1)
        payload = os.urandom(500_000)
        client.publish(topic, payload, qos=1)
        self.assertEqual(client.message().payload, payload)

    def test_web_and_tcp_clients_exchange_messages(self):
        topic = self.topic()
        web, plain = self.web(4), self.client(transport_name="tcp")
        web.connect(self.new_id())
        web.subscribe(topic, qos=2)
        plain.subscribe(topic, qos=2)
        web.publish(topic, b"from web", qos=2)
        self.assertEqual(plain.message().payload, b"from web")
        self.assertEqual(web.message().payload, b"from web")


class Refusals(WebSocketCase):
    @statement("MQTT-6.0.0-1")
    @statement311("MQTT-6.0.0-1")
    def test_a_text_frame_closes_the_connection(self):
        for version in V4_AND_V5:
            client = self.web(version)
            client.connect(self.new_id())
            client.stream.send_frame(transport.TEXT, wire.pingreq())
            self.assert_failed(client, 1003)

    @quorate_only
    def test_broken_frames_close_the_connection(self):
        for what, send in (
                ("unmasked", lambda s: s.send_frame(transport.BINARY, wire.pingreq(),
                                                    masked=False)),
                ("reserved bit", lambda s: s.send_frame(transport.BINARY, b"\xc0\0", reserved=1)),
                ("unknown opcode", lambda s: s.send_frame(3, b"")),
                ("continuation of nothing", lambda s: s.send_frame(0, b"\xc0\0")),
                ("fragmented ping", lambda s: s.send_frame(transport.PING, b"", fin=False)),
                ("long ping", lambda s: s.send_frame(transport.PING, b"x" * 126))):
            with self.subTest(what=what):
                client = self.web()
                client.connect(self.new_id())
                send(client.stream)
                self.assert_failed(client, 1002)

    @quorate_only
    @statement("MQTT-6.0.0-2")
    @statement311("MQTT-6.0.0-2")
    def test_a_frame_that_announces_much_is_read_as_it_arrives(self):
        client = self.web()
        client.connect(self.new_id())
        client.stream.stream.send(b"\x82\xff" + struct.pack(">Q", 1 << 20) + bytes(4)
                                  + 3 * wire.pingreq())
        for _ in range(3):
            client.expect(wire.PINGRESP)

    @quorate_only
    def test_a_frame_above_the_packet_limit_is_refused_at_its_first_byte(self):
        for length in ((1 << 20) + 1, 1 << 40):
            client = self.web()
            client.connect(self.new_id())
            client.stream.stream.send(b"\x82\xff" + struct.pack(">Q", length) + bytes(5))
            self.assert_failed(client, 1009)
            self.assertEqual(client.stream.close_code, 1009)

    def test_a_close_frame_is_answered_and_counts_as_a_lost_connection(self):
        topic = self.topic()
        reader = self.client(transport_name="tcp")
        reader.subscribe(topic, qos=1)
        client = self.web()
        client.connect(self.new_id(), will={"topic": topic, "payload": b"gone"})
        client.stream.send_frame(transport.CLOSE, struct.pack(">H", 1000))
        self.assert_failed(client, 1000)
        self.assertEqual(reader.message().payload, b"gone")

    @quorate_only
    def test_bad_upgrades_get_http_errors(self):
        request = transport.upgrade_request()
        cases = [(b"GARBAGE\r\n\r\n", 400), (request.replace(b"GET", b"POST"), 400),
                 (request.replace(b"/mqtt", b"/other"), 404),
                 (request.replace(b"Version: 13", b"Version: 8"), 426),
                 (b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", 426),
                 (b"GET /mqtt HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431)]
        for data, status in cases:
            with self.subTest(status=status, data=data[:20]):
                stream = transport.open_tcp("127.0.0.1", self.broker.ports["ws"])
                self.addCleanup(stream.close)
                stream.send(data)
                self.assertEqual(transport.read_http_head(stream)[0], status)
                while stream.recv(time.monotonic() + 8):
                    pass


if __name__ == "__main__":
    unittest.main()
