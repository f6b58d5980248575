"""A small synchronous MQTT client that hides nothing.

Every packet from the server passes the strict parser. Calls that wait have a deadline and fail
the test by an exception: Timeout, Closed, or AssertionError for the wrong packet. PUBLISH
packets that arrive while another packet is awaited wait in `inbox`, unacknowledged.
"""

import time

from lib import mqtt_wire as wire
from lib.transport import Timeout

DEADLINE = 8.0


class Closed(Exception):
    """The server closed the connection."""


class Client:
    def __init__(self, stream, version=5, deadline=DEADLINE):
        self.stream, self.version, self.deadline = stream, version, deadline
        self.buffer, self.inbox = b"", []
        self.connack, self.client_id = None, None
        self.next_id = 1
        self.open_qos2 = set()

    # bytes and packets

    def send(self, data):
        self.stream.send(data)

    def offer(self, data):
        """Sends what the server may refuse, and close on, before it has read all of it."""
        try:
            self.send(data)
        except (ConnectionError, TimeoutError):
            pass

    def receive(self, timeout=None):
        """The next packet of any kind, also one from the inbox."""
        return self.inbox.pop(0) if self.inbox else self.read_packet(timeout)

    def read_packet(self, timeout=None):
        deadline = time.monotonic() + (self.deadline if timeout is None else timeout)
        while True:
            whole, self.buffer = wire.split(self.buffer)
            if whole:
                return wire.parse(whole, self.version)
            # A packet of 256 MiB comes in thousands of pieces: they are joined once.
            pieces, missing = [self.buffer], wire.missing(self.buffer)
            try:
                while missing > 0:
                    pieces.append(self.stream.recv(deadline))
                    if not pieces[-1]:
                        raise Closed
                    missing -= len(pieces[-1])
            finally:
                self.buffer = b"".join(pieces)

    def expect(self, kind, timeout=None):
        """The next packet that is no PUBLISH must be of this kind (PUBLISH goes to the inbox)."""
        if kind == wire.PUBLISH:
            return self.next_publish(timeout)
        deadline = time.monotonic() + (self.deadline if timeout is None else timeout)
        while True:
            packet = self.read_packet(max(0.0, deadline - time.monotonic()))
            if packet.kind == kind:
                return packet
            if packet.kind != wire.PUBLISH:
                raise AssertionError(f"expected {wire.NAMES[kind]}, got {packet}")
            self.inbox.append(packet)

    def next_publish(self, timeout=None):
        packet = self.receive(timeout)
        if packet.kind != wire.PUBLISH:
            raise AssertionError(f"expected PUBLISH, got {packet}")
        return packet

    # sessions

    def connect(self, client_id="", **options):
        """Sends CONNECT and returns the CONNACK, whatever its code."""
        self.client_id = client_id
        self.send(wire.connect(client_id, version=self.version, **options))
        self.connack = self.read_packet()
        if self.connack.kind != wire.CONNACK:
            raise AssertionError(f"expected CONNACK, got {self.connack}")
        if "assigned_client_id" in self.connack.props:
            self.client_id = self.connack.props["assigned_client_id"]
        return self.connack

    def disconnect(self, code=None, props=None):
        """Sends DISCONNECT and waits until the server has closed."""
        self.send(wire.disconnect(code, props, self.version))
        self.wait_closed()
        self.close()

    def wait_closed(self, timeout=None):
        """Reads to the end of the stream; returns the DISCONNECT when there was one."""
        last = None
        deadline = time.monotonic() + (self.deadline if timeout is None else timeout)
        while True:
            try:
                packet = self.read_packet(max(0.0, deadline - time.monotonic()))
            except Closed:
                return last
            if last is not None:
                raise AssertionError(f"{packet} after DISCONNECT")
            if packet.kind == wire.DISCONNECT:
                last = packet
            elif packet.kind == wire.PUBLISH:
                self.inbox.append(packet)

    def wait_closed_after_connack(self, timeout):
        """The code of the DISCONNECT (or refusing CONNACK) that ends the connection, or None.

        For clients whose CONNECT was sent by hand; PUBLISH packets go to the inbox. Timeout when
        the connection stays open."""
        deadline, code = time.monotonic() + timeout, None
        while True:
            try:
                packet = self.read_packet(max(0.0, deadline - time.monotonic()))
            except Closed:
                return code
            if packet.kind == wire.PUBLISH:
                self.inbox.append(packet)
            elif packet.kind == wire.DISCONNECT or packet.code:
                code = packet.code

    def close(self):
        self.stream.close()

    def abort(self):
        self.stream.abort()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # requests

    def take_id(self):
        packet_id = self.next_id
        self.next_id = self.next_id % 65535 + 1
        return packet_id

    def subscribe(self, *filters, qos=0, props=None):
        """Filters or (filter, options) pairs; returns the SUBACK."""
        packet_id = self.take_id()
        pairs = [f if isinstance(f, tuple) else (f, qos) for f in filters]
        self.send(wire.subscribe(packet_id, pairs, props=props, version=self.version))
        answer = self.expect(wire.SUBACK)
        if answer.packet_id != packet_id or len(answer.codes) != len(pairs):
            raise AssertionError(f"{answer} for id {packet_id} and {len(pairs)} filters")
        return answer

    def unsubscribe(self, *filters, props=None):
        packet_id = self.take_id()
        self.send(wire.unsubscribe(packet_id, filters, props=props, version=self.version))
        answer = self.expect(wire.UNSUBACK)
        if answer.packet_id != packet_id:
            raise AssertionError(f"{answer} for id {packet_id}")
        return answer

    def publish(self, topic, payload=b"", qos=0, retain=False, props=None, dup=False):
        """Publishes and completes the handshake; returns the last acknowledgement or None."""
        packet_id = self.take_id() if qos else None
        self.send(wire.publish(topic, payload, qos=qos, retain=retain, packet_id=packet_id,
                               props=props, version=self.version, dup=dup))
        if qos == 0:
            return None
        answer = self.expect_for(wire.PUBACK if qos == 1 else wire.PUBREC, packet_id)
        if qos == 1 or answer.code >= 0x80:
            return answer
        return self.release(packet_id)

    def release(self, packet_id):
        """Sends PUBREL and returns the PUBCOMP."""
        self.send(wire.acknowledge(wire.PUBREL, packet_id, version=self.version))
        return self.expect_for(wire.PUBCOMP, packet_id)

    def expect_for(self, kind, packet_id):
        answer = self.expect(kind)
        if answer.packet_id != packet_id:
            raise AssertionError(f"{answer} instead of packet id {packet_id}")
        return answer

    def ping(self, timeout=None):
        self.send(wire.pingreq())
        return self.expect(wire.PINGRESP, timeout)

    # receiving messages

    def acknowledge(self, packet, code=0):
        """Completes the receiver's side for a PUBLISH of any QoS."""
        if packet.qos == 1:
            self.send(wire.acknowledge(wire.PUBACK, packet.packet_id, code, version=self.version))
        elif packet.qos == 2:
            self.send(wire.acknowledge(wire.PUBREC, packet.packet_id, code, version=self.version))
            if code < 0x80:
                self.expect_for(wire.PUBREL, packet.packet_id)
                self.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id, version=self.version))

    def message(self, timeout=None):
        """The next PUBLISH, acknowledged."""
        packet = self.next_publish(timeout)
        self.acknowledge(packet)
        return packet

    def messages(self, count, timeout=None):
        return [self.message(timeout) for _ in range(count)]

    def until(self, payload, timeout=None):
        """All messages before the one with this payload, acknowledged; that one is dropped."""
        wanted = payload.encode() if isinstance(payload, str) else payload
        found = []
        while True:
            packet = self.message(timeout)
            if packet.payload == wanted:
                return found
            found.append(packet)

    def silence(self, seconds=0.25):
        """Fails when a packet arrives within this time."""
        try:
            packet = self.receive(seconds)
        except Timeout:
            return
        raise AssertionError(f"expected nothing, got {packet}")
