"""TLS with and without client certificates, Unix socket, IPv6, PROXY protocol, many listeners."""

import socket
import ssl
import struct
import unittest

from lib import mqtt_wire as wire, transport
from lib.broker import Broker, free_port
from lib.case import BrokerCase, quorate_only, statement, statement311
from lib.client import Client, Closed


class Everything(BrokerCase):
    transports = ("tcp", "ws", "tls", "wss", "unix")

    @statement("MQTT-4.2.0-1")
    @statement311("MQTT-7.1.1-1")
    def test_clients_of_all_transports_exchange_messages(self):
        base = self.topic()
        clients = {}
        for name in self.transports:
            clients[name] = self.client(transport_name=name)
            clients[name].subscribe(base + "/#", qos=2)
        for number, (name, client) in enumerate(clients.items()):
            client.publish(f"{base}/{name}", b"p" * 3000, qos=number % 3)
        for client in clients.values():
            self.assertEqual({m.topic for m in client.messages(len(clients))},
                             {f"{base}/{name}" for name in clients})

    def test_tls_1_2_and_1_3_are_accepted_and_older_ones_refused(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.broker.certificates.client_context(version=version)
            client = Client(self.broker.stream("tls", context=context))
            self.assertEqual(client.connect(self.new_id()).code, 0)
            client.close()
        context = self.broker.certificates.client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.assertRaises((ssl.SSLError, OSError), self.broker.stream, "tls", context=context)

    def test_an_untrusted_server_certificate_is_noticed(self):
        self.assertRaises(ssl.SSLError, self.broker.stream, "tls",
                          context=ssl.create_default_context())

    def test_large_messages_over_tls(self):
        topic = self.topic()
        client = self.client(transport_name="tls")
        client.subscribe(topic, qos=1)
        client.publish(topic, b"q" * 700_000, qos=1)
        self.assertEqual(len(client.message().payload), 700_000)

    def test_a_tls_session_is_resumed_by_its_ticket(self):
        context = self.broker.certificates.client_context(version=ssl.TLSVersion.TLSv1_2)
        session = None
        for resumed in (False, True, True):
            stream = transport.open_tcp("127.0.0.1", self.broker.ports["tls"])
            secure = context.wrap_socket(stream.sock, server_hostname="localhost",
                                         session=session)
            self.assertEqual(secure.session_reused, resumed)
            session = secure.session
            client = Client(transport.Stream(secure))
            self.assertEqual(client.connect(self.new_id()).code, 0)
            client.disconnect()

    def test_plain_mqtt_on_a_tls_port_is_closed(self):
        stream = transport.open_tcp("127.0.0.1", self.broker.ports["tls"])
        self.addCleanup(stream.close)
        stream.send(wire.connect("x"))
        client = Client(stream)
        try:
            self.assertNotEqual(stream.recv(self.soon())[:1], b"\x20")
        except transport.Timeout:
            self.fail("still open")
        client.close()

    @staticmethod
    def soon():
        import time
        return time.monotonic() + 8

    def test_a_will_is_published_for_lost_connections_of_every_transport(self):
        for name in ("tls", "wss", "unix", "ws"):
            with self.subTest(transport=name):
                topic = self.topic(name)
                reader = self.client()
                reader.subscribe(topic)
                self.client(transport_name=name, will={"topic": topic, "payload": b"w"}).close()
                self.assertEqual(reader.message().payload, b"w")


@quorate_only
class ClientCertificates(unittest.TestCase):
    def run_broker(self, verify):
        broker = Broker({"cluster.shards": 4}, ("tls",),
                        {"tls_options": {"verify_client": verify}})
        self.addCleanup(broker.stop)
        return broker.start()

    def test_required_client_certificates_are_required(self):
        broker = self.run_broker("require")
        with_one = broker.certificates.client_context(with_certificate=True)
        client = broker.client(context=with_one)
        self.assertEqual(client.connect("with").code, 0)
        client.close()
        without = broker.certificates.client_context(version=ssl.TLSVersion.TLSv1_2)
        self.assertRaises((ssl.SSLError, OSError), broker.stream, "tls", context=without)
        stranger = broker.certificates.client_context(version=ssl.TLSVersion.TLSv1_2)
        from lib.certs import make_authority
        stranger.load_cert_chain(*make_authority(broker.home, "stranger"))
        self.assertRaises((ssl.SSLError, OSError), broker.stream, "tls", context=stranger)
        client = broker.client(context=with_one)
        self.assertEqual(client.connect("again").code, 0)
        client.close()

    def test_optional_client_certificates_are_optional_but_checked(self):
        broker = self.run_broker("optional")
        for context in (broker.certificates.client_context(True),
                        broker.certificates.client_context()):
            client = broker.client(context=context)
            self.assertEqual(client.connect("c").code, 0)
            client.close()


@quorate_only
class Addresses(unittest.TestCase):
    def test_ipv6_and_several_listeners(self):
        four, six = free_port(), free_port()
        broker = Broker({"cluster.shards": 4, "listeners": [
            {"url": f"tcp://127.0.0.1:{four}"}, {"url": f"tcp://[::1]:{six}"}]})
        self.addCleanup(broker.stop)
        broker.start()
        for host, port in (("127.0.0.1", four), ("::1", six)):
            client = Client(transport.open_tcp(host, port))
            self.assertEqual(client.connect(f"c{port}").code, 0)
            client.close()

    def test_max_connections_of_a_listener_holds(self):
        broker = Broker({"cluster.shards": 4}, listener={"tcp": {"max_connections": 3}})
        self.addCleanup(broker.stop)
        broker.start()
        clients = [broker.client() for _ in range(3)]
        for number, client in enumerate(clients):
            self.assertEqual(client.connect(f"c{number}").code, 0)
        extra = broker.client()
        try:
            extra.connect("extra")
            self.fail("a fourth connection was served")
        except Exception as error:
            self.assertIn(type(error).__name__, ("Closed", "Timeout", "ConnectionResetError",
                                                 "BrokenPipeError"))
        for client in clients:
            client.ping()
        clients[0].disconnect()
        served = []

        def next_is_served():
            """The place is free when the broker has seen the first client's end as well."""
            client = broker.client()
            served.append(client)
            try:
                return client.connect("next").code == 0
            except (Closed, ConnectionError):
                return False
        self.assertTrue(any(next_is_served() for _ in range(200)), "the place is not free again")
        for client in clients[1:] + [extra, *served]:
            client.close()


@quorate_only
class Origins(BrokerCase):
    transports = ("ws",)
    listener = {"ws": {"origins": ["https://pages.example", "http://localhost:8080"]}}

    def test_pages_of_other_origins_are_refused(self):
        for origin, lets_in in (("https://pages.example", True), ("HTTP://LOCALHOST:8080", True),
                                ("https://evil.example", False), ("null", False),
                                ("https://pages.example.evil.example", False)):
            with self.subTest(origin=origin):
                if lets_in:
                    client = self.raw(extra=(f"Origin: {origin}",))
                    self.assertEqual(client.connect(self.new_id()).code, 0)
                    continue
                with self.assertRaises(transport.UpgradeRefused) as refused:
                    self.raw(extra=(f"Origin: {origin}",))
                self.assertEqual(refused.exception.status, 403)

    def test_clients_that_are_no_browsers_are_let_in(self):
        self.client().ping()


@quorate_only
class ProxyProtocol(BrokerCase):
    listener = {"tcp": {"proxy_protocol": True}}
    SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

    def attempt(self, header):
        client = self.raw()
        client.send(header + wire.connect(self.new_id()))
        return client.read_packet()

    def test_version_1_headers_are_read(self):
        for header in (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 1883\r\n",
                       b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 1883\r\n",
                       b"PROXY UNKNOWN\r\n"):
            self.assertEqual(self.attempt(header).code, 0)

    def test_version_2_headers_are_read(self):
        four = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + b"\x13\x88\x07\x5b"
        six = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + b"\x13\x88\x07\x5b"
        for command, family, body in ((0x21, 0x11, four), (0x21, 0x21, six), (0x20, 0x00, b""),
                                      (0x21, 0x11, four + b"\x04\x00\x03abc")):
            header = self.SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body
            self.assertEqual(self.attempt(header).code, 0)

    def test_a_header_in_single_bytes_is_read(self):
        client = self.raw()
        for byte in b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 1883\r\n" + wire.connect(self.new_id()):
            client.send(bytes([byte]))
        self.assertEqual(client.read_packet().code, 0)

    def test_missing_and_broken_headers_are_closed_without_a_word(self):
        for header in (b"", b"PROXY TCP4 1.2.3 4 5 6\r\n", b"PROXY TCP4 " + b"1" * 200,
                       self.SIGNATURE + b"\x31\x11\0\0", self.SIGNATURE + b"\x21\x11\0\2ab",
                       self.SIGNATURE + b"\x21\x11\xff\xff", b"PROXX"):
            with self.subTest(header=header):
                client = self.raw()
                client.send(header + wire.connect(self.new_id()))
                self.assertIsNone(client.wait_closed())


if __name__ == "__main__":
    unittest.main()
