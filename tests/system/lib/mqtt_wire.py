"""Raw MQTT 3.1, 3.1.1 and 5.0 packets: building (lawful or not) and strict parsing.

Builders return bytes. They do what they are told: a test composes malformed packets with the
same functions or with `frame`. `parse` is strict: whatever a server may not send raises
WireError, so that every test is a test of the server's encoder as well.
Version 3 stands for MQTT 3.1, 4 for 3.1.1, 5 for 5.0, as on the wire.
"""

import struct

from lib.properties import (WireError, decode_binary, decode_properties, decode_string,
                            decode_varint, encode_properties, encode_string, encode_varint)

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
NAMES = ("RESERVED CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK "
         "UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH").split()
FIXED_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

CODES = {
    CONNACK: {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C,
              0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    PUBACK: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0,
                 0xA1, 0xA2},
    AUTH: {0x00, 0x18},
}


def frame(kind, body=b"", flags=None):
    """A packet of type `kind` around `body`, with the flags the standard fixes unless given."""
    bits = FIXED_FLAGS.get(kind, 0) if flags is None else flags
    return bytes([kind << 4 | bits]) + encode_varint(len(body)) + body


def u16(value):
    return struct.pack(">H", value)


def connect(client_id="", *, version=5, clean=True, keep_alive=60, username=None, password=None,
            will=None, props=None, protocol=None, level=None, flags=None):
    """`will`: dict with topic, payload and optionally qos, retain, props."""
    bits = 0x02 if clean else 0
    payload = encode_string(client_id)
    if will is not None:
        bits |= 0x04 | will.get("qos", 0) << 3 | (0x20 if will.get("retain") else 0)
        if version == 5:
            payload += encode_properties(will.get("props"))
        payload += encode_string(will["topic"]) + encode_string(will.get("payload", b""))
    if username is not None:
        bits |= 0x80
        payload += encode_string(username)
    if password is not None:
        bits |= 0x40
        payload += encode_string(password)
    name = protocol if protocol is not None else ("MQIsdp" if version == 3 else "MQTT")
    head = encode_string(name) + bytes([version if level is None else level])
    head += bytes([bits if flags is None else flags]) + u16(keep_alive)
    if version == 5:
        head += encode_properties(props)
    return frame(CONNECT, head + payload)


def publish(topic, payload=b"", *, qos=0, retain=False, dup=False, packet_id=None, props=None,
            version=5, flags=None):
    bits = qos << 1 | (1 if retain else 0) | (8 if dup else 0)
    body = encode_string(topic)
    if packet_id is not None:
        body += u16(packet_id)
    if version == 5:
        body += encode_properties(props)
    data = payload.encode() if isinstance(payload, str) else payload
    return frame(PUBLISH, body + data, bits if flags is None else flags)


def acknowledge(kind, packet_id, code=0, props=None, version=5, flags=None):
    body = u16(packet_id)
    if version == 5 and (code or props is not None):
        body += bytes([code])
        if props is not None:
            body += encode_properties(props)
    return frame(kind, body, flags)


def subscribe(packet_id, filters, *, props=None, version=5, flags=None):
    """`filters`: list of (filter, options byte)."""
    body = u16(packet_id) + (encode_properties(props) if version == 5 else b"")
    for topic_filter, options in filters:
        body += encode_string(topic_filter) + bytes([options])
    return frame(SUBSCRIBE, body, flags)


def unsubscribe(packet_id, filters, *, props=None, version=5, flags=None):
    body = u16(packet_id) + (encode_properties(props) if version == 5 else b"")
    return frame(UNSUBSCRIBE, body + b"".join(encode_string(f) for f in filters), flags)


def disconnect(code=None, props=None, version=5):
    body = b""
    if version == 5 and (code is not None or props is not None):
        body = bytes([code or 0]) + (b"" if props is None else encode_properties(props))
    return frame(DISCONNECT, body)


def auth(code, props=None):
    return frame(AUTH, bytes([code]) + encode_properties(props))


def pingreq():
    return frame(PINGREQ)


class Packet:
    """A parsed packet from a server. Absent fields are None; properties are a dict."""

    def __init__(self, kind, flags, raw):
        self.kind, self.flags, self.raw = kind, flags, raw
        self.packet_id = self.topic = self.payload = self.code = None
        self.qos = self.retain = self.dup = self.session_present = None
        self.codes, self.props = [], {}

    @property
    def name(self):
        return NAMES[self.kind]

    def __repr__(self):
        parts = [f"{key}={value!r}" for key, value in vars(self).items()
                 if key not in ("kind", "flags", "raw") and value not in (None, [], {})]
        return f"{self.name}({', '.join(parts)})"


def missing(buffer):
    """How many bytes the first packet needs at the least beyond those of `buffer`."""
    at = 1
    while at < len(buffer) and buffer[at] & 0x80:
        at += 1
    if at >= len(buffer):
        return 1
    size, body = decode_varint(buffer, 1)
    return body + size - len(buffer)


def split(buffer):
    """(whole packet, rest) or (None, buffer) when more bytes are needed."""
    if len(buffer) < 2:
        return None, buffer
    at = 1
    while at < len(buffer) and buffer[at] & 0x80:
        at += 1
        if at > 4:
            raise WireError("remaining length of more than four bytes")
    if at >= len(buffer):
        return None, buffer
    size, body = decode_varint(buffer, 1)
    if len(buffer) < body + size:
        return None, buffer
    return bytes(buffer[:body + size]), buffer[body + size:]


def parse(data, version=5):
    """Parses one whole packet that a server sent."""
    kind, flags = data[0] >> 4, data[0] & 0x0F
    _, at = decode_varint(data, 1)
    packet, body = Packet(kind, flags, data), data[at:]
    if kind not in PARSERS:
        raise WireError(f"a server never sends {NAMES[kind]}")
    if kind != PUBLISH and flags != FIXED_FLAGS.get(kind, 0):
        raise WireError(f"{NAMES[kind]} with flags {flags:#x}")
    PARSERS[kind](packet, body, version)
    if kind in CODES and version == 5:
        for code in packet.codes or [packet.code]:
            if code not in CODES[kind]:
                raise WireError(f"{NAMES[kind]} with reason code 0x{code:02x}")
    return packet


def parse_connack(packet, body, version):
    if len(body) < 2 or (version != 5 and len(body) != 2):
        raise WireError(f"CONNACK of {len(body)} bytes")
    if body[0] & 0xFE or (version == 3 and body[0]):
        raise WireError(f"CONNACK flags 0x{body[0]:02x}")
    packet.session_present, packet.code = bool(body[0]), body[1]
    if version == 5:
        packet.props, end = decode_properties(body, 2, "connack")
        expect_end(body, end)
    elif packet.code > 5:
        raise WireError(f"CONNACK return code {packet.code}")


def parse_publish(packet, body, version):
    packet.qos, packet.retain = packet.flags >> 1 & 3, bool(packet.flags & 1)
    packet.dup = bool(packet.flags & 8)
    if packet.qos == 3 or (packet.dup and packet.qos == 0):
        raise WireError(f"PUBLISH flags {packet.flags:#x}")
    packet.topic, at = decode_string(body, 0)
    if "+" in packet.topic or "#" in packet.topic:
        raise WireError(f"wildcard in topic name {packet.topic!r}")
    if packet.qos:
        packet.packet_id, at = decode_id(body, at)
    if version == 5:
        packet.props, at = decode_properties(body, at, "publish")
    if not packet.topic and "topic_alias" not in packet.props:
        raise WireError("PUBLISH without topic and alias")
    packet.payload = bytes(body[at:])


def parse_acknowledge(packet, body, version):
    packet.packet_id, at = decode_id(body, 0)
    packet.code = 0
    if version != 5:
        expect_end(body, at)
    elif len(body) > 2:
        packet.code = body[2]
        if len(body) > 3:
            packet.props, end = decode_properties(body, 3, packet.name.lower())
            expect_end(body, end)


def parse_suback(packet, body, version):
    packet.packet_id, at = decode_id(body, 0)
    if version == 5:
        packet.props, at = decode_properties(body, at, packet.name.lower())
    packet.codes = list(body[at:])
    if version != 5 and packet.kind == UNSUBACK:
        expect_end(body, at)
    elif not packet.codes:
        raise WireError(f"{packet.name} without codes")
    if version == 4 and set(packet.codes) - {0, 1, 2, 0x80}:
        raise WireError(f"SUBACK return codes {packet.codes}")


def parse_disconnect(packet, body, version):
    if version != 5:
        raise WireError("a version 3 server never sends DISCONNECT")
    packet.code = body[0] if body else 0
    if len(body) > 1:
        packet.props, end = decode_properties(body, 1, packet.name.lower())
        expect_end(body, end)
        if "session_expiry" in packet.props:
            raise WireError("DISCONNECT from a server with Session Expiry Interval")


def parse_pingresp(packet, body, _version):
    expect_end(body, 0)


def decode_id(body, at):
    if at + 2 > len(body):
        raise WireError("packet identifier cut off")
    (value,) = struct.unpack_from(">H", body, at)
    if value == 0:
        raise WireError("packet identifier 0")
    return value, at + 2


def expect_end(body, at):
    if at != len(body):
        raise WireError(f"{len(body) - at} bytes too many")


PARSERS = {CONNACK: parse_connack, PUBLISH: parse_publish, PUBACK: parse_acknowledge,
           PUBREC: parse_acknowledge, PUBREL: parse_acknowledge, PUBCOMP: parse_acknowledge,
           SUBACK: parse_suback, UNSUBACK: parse_suback, PINGRESP: parse_pingresp,
           DISCONNECT: parse_disconnect, AUTH: parse_disconnect}

__all__ = [name for name in dir() if not name.startswith("_")] + ["decode_binary"]
