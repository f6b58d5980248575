"""Base class of the system tests, and the decorators that name normative statements.

A test file shares one broker per set of options among its tests; each test works with client
ids and topics of its own. Files are independent of one another and run in parallel.
"""

import itertools
import os
import unittest

from lib import mqtt_wire as wire
from lib.broker import BACKEND, Broker
from lib.client import Closed
from lib.transport import Timeout
from lib.wait import let_pass, wait_until

V4_AND_V5 = (4, 5)
_shared = {}
_serial = itertools.count(1)


def statement(*numbers):
    """The test proves these statements of MQTT 5.0, e.g. @statement("MQTT-3.1.2-4")."""
    def mark(function):
        function.statements = getattr(function, "statements", ()) + numbers
        return function
    return mark


def statement311(*numbers):
    """The test proves these statements of MQTT 3.1.1, whose numbering is its own."""
    def mark(function):
        function.statements311 = getattr(function, "statements311", ()) + numbers
        return function
    return mark


def quorate_only(item):
    return unittest.skipIf(BACKEND != "quorate", "tests what only Quorate has")(item)


def shared_broker(options, transports, listener):
    key = repr((sorted(options.items()), transports, listener))
    if key not in _shared:
        broker = Broker(options, transports, listener)
        unittest.addModuleCleanup(broker.stop)
        unittest.addModuleCleanup(_shared.pop, key, None)
        _shared[key] = broker.start()
    return _shared[key]


class BrokerCase(unittest.TestCase):
    """Subclasses may set `options`, `transports` and `listener`, see Broker."""

    options = {}
    transports = ("tcp",)
    listener = {}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.broker = shared_broker(cls.options, cls.transports, cls.listener)

    def setUp(self):
        self.serial = next(_serial)
        self.names = itertools.count(1)

    def tearDown(self):
        status = self.broker.process.poll()
        self.assertIsNone(status, f"the broker died, status {status}:\n{self.log_tail()}")

    def log_tail(self):
        return "\n".join(self.broker.lines[-60:])

    # names and clients

    def topic(self, suffix="t"):
        return f"test/{self.serial}/{suffix}"

    def new_id(self, prefix="c"):
        return f"{prefix}{os.getpid()}x{self.serial}x{next(self.names)}"

    def raw(self, version=5, transport_name=None, **options):
        """A client that is connected on the transport only."""
        client = self.broker.client(version, transport_name, **options)
        self.addCleanup(client.close)
        return client

    def client(self, version=5, client_id=None, transport_name=None, **options):
        """A connected MQTT client; fails unless the CONNACK says success."""
        client = self.raw(version, transport_name)
        client.connect(self.new_id() if client_id is None else client_id, **options)
        self.assertEqual(client.connack.code, 0, client.connack)
        return client

    def durable(self, version=5, client_id=None, clean=False, expiry=3600, **options):
        """A client whose session outlives its connection."""
        if version == 5:
            options["props"] = {"session_expiry": expiry, **options.get("props", {})}
        return self.client(version, client_id, clean=clean, **options)

    # expectations

    def assert_closed(self, client, code=None, timeout=None):
        """The server closes; a version 5 client is told `code` in DISCONNECT before."""
        try:
            last = client.wait_closed(timeout)
        except Timeout:
            self.fail("the connection is still open")
        if client.version == 5 and code is not None:
            self.assertIsNotNone(last, "closed without DISCONNECT")
            self.assertIn(last.code, code if isinstance(code, tuple) else (code,), last)
        return last

    def assert_refused(self, data, code=None, version=5):
        """A connected client that sends `data` is closed with `code`; others are untouched."""
        bystander = self.client(version)
        client = self.client(version)
        client.offer(data)
        self.assert_closed(client, code)
        bystander.ping()
        bystander.disconnect()

    def assert_connect_refused(self, data, code=None, version=5):
        """A CONNECT like this is answered by CONNACK with `code` (if given), then closed."""
        client = self.raw(version)
        client.offer(data)
        try:
            answer = client.read_packet()
        except Closed:
            self.assertIsNone(code, "closed without CONNACK")
            return None
        self.assertEqual(answer.kind, wire.CONNACK, answer)
        self.assertNotEqual(answer.code, 0, answer)
        self.assertFalse(answer.session_present)
        if code is not None:
            self.assertIn(answer.code, code if isinstance(code, tuple) else (code,), answer)
        self.assertIsNone(client.wait_closed())
        return answer

    wait_for = staticmethod(wait_until)
    let_pass = staticmethod(let_pass)

    def retained_payload(self, topic):
        """What a new subscriber of `topic` gets at once, or None."""
        reader = self.client()
        reader.subscribe(topic, qos=1)
        reader.send(wire.publish(topic + "/end", b"end", qos=1, packet_id=1))
        reader.expect(wire.PUBACK)
        try:
            return reader.message(0.3).payload
        except Timeout:
            return None
        finally:
            reader.disconnect()
