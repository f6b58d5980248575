"""MQTT 5 properties: building and strict parsing, independent of the broker's codec.

Values are a dict from name to value. `user_property` is a list of (key, value) pairs and
`subscription_identifier` in a PUBLISH a list of integers; everything else is a single value.
"""

import struct


class WireError(Exception):
    """Bytes that a conforming peer never sends."""


def encode_varint(value):
    out = bytearray()
    while True:
        digit, value = value & 0x7F, value >> 7
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def decode_varint(data, at):
    value, shift = 0, 0
    for used in range(4):
        if at + used >= len(data):
            raise WireError("variable byte integer cut off")
        byte = data[at + used]
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            if used and byte == 0:
                raise WireError("variable byte integer longer than needed")
            return value, at + used + 1
    raise WireError("variable byte integer of more than four bytes")


def encode_string(text):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return struct.pack(">H", len(data)) + data


def decode_binary(data, at):
    if at + 2 > len(data):
        raise WireError("length prefix cut off")
    (size,) = struct.unpack_from(">H", data, at)
    if at + 2 + size > len(data):
        raise WireError("string or binary data longer than the packet")
    return bytes(data[at + 2:at + 2 + size]), at + 2 + size


def decode_string(data, at):
    raw, at = decode_binary(data, at)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"ill-formed UTF-8: {raw!r}") from error
    if "\0" in text:
        raise WireError("U+0000 in a string")
    return text, at


# id: (name, type, packets that may carry it)
TABLE = {
    0x01: ("payload_format", "byte", "publish will"),
    0x02: ("message_expiry", "u32", "publish will"),
    0x03: ("content_type", "string", "publish will"),
    0x08: ("response_topic", "string", "publish will"),
    0x09: ("correlation_data", "binary", "publish will"),
    0x0B: ("subscription_identifier", "varint", "publish subscribe"),
    0x11: ("session_expiry", "u32", "connect connack disconnect"),
    0x12: ("assigned_client_id", "string", "connack"),
    0x13: ("server_keep_alive", "u16", "connack"),
    0x15: ("authentication_method", "string", "connect connack auth"),
    0x16: ("authentication_data", "binary", "connect connack auth"),
    0x17: ("request_problem_information", "byte", "connect"),
    0x18: ("will_delay", "u32", "will"),
    0x19: ("request_response_information", "byte", "connect"),
    0x1A: ("response_information", "string", "connack"),
    0x1C: ("server_reference", "string", "connack disconnect"),
    0x1F: ("reason_string", "string",
           "connack puback pubrec pubrel pubcomp suback unsuback disconnect auth"),
    0x21: ("receive_maximum", "u16", "connect connack"),
    0x22: ("topic_alias_maximum", "u16", "connect connack"),
    0x23: ("topic_alias", "u16", "publish"),
    0x24: ("maximum_qos", "byte", "connack"),
    0x25: ("retain_available", "byte", "connack"),
    0x26: ("user_property", "pair",
           "connect connack publish will puback pubrec pubrel pubcomp subscribe suback "
           "unsubscribe unsuback disconnect auth"),
    0x27: ("maximum_packet_size", "u32", "connect connack"),
    0x28: ("wildcard_available", "byte", "connack"),
    0x29: ("subscription_identifiers_available", "byte", "connack"),
    0x2A: ("shared_available", "byte", "connack"),
}
IDS = {name: number for number, (name, _, _) in TABLE.items()}
BOOLEANS = {"payload_format", "request_problem_information", "request_response_information",
            "maximum_qos", "retain_available", "wildcard_available",
            "subscription_identifiers_available", "shared_available"}
NON_ZERO = {"receive_maximum", "topic_alias", "maximum_packet_size", "subscription_identifier"}
INTEGERS = {"byte": ">B", "u16": ">H", "u32": ">I"}


def encode_value(kind, value):
    if kind in INTEGERS:
        return struct.pack(INTEGERS[kind], value)
    if kind == "varint":
        return encode_varint(value)
    if kind == "pair":
        return encode_string(value[0]) + encode_string(value[1])
    return encode_string(value)


def encode_one(name, value):
    """One property with its identifier, to compose unlawful lists by hand."""
    number = IDS[name]
    return encode_varint(number) + encode_value(TABLE[number][1], value)


def encode_properties(properties):
    """Length and list. Bytes are taken as an already encoded list, lawful or not."""
    if isinstance(properties, bytes):
        return encode_varint(len(properties)) + properties
    body = b""
    for name, value in (properties or {}).items():
        for single in value if isinstance(value, list) else [value]:
            body += encode_one(name, single)
    return encode_varint(len(body)) + body


def decode_value(kind, data, at):
    if kind in INTEGERS:
        size = struct.calcsize(INTEGERS[kind])
        if at + size > len(data):
            raise WireError("property cut off")
        return struct.unpack_from(INTEGERS[kind], data, at)[0], at + size
    if kind == "varint":
        return decode_varint(data, at)
    if kind == "pair":
        key, at = decode_string(data, at)
        value, at = decode_string(data, at)
        return (key, value), at
    return decode_string(data, at) if kind == "string" else decode_binary(data, at)


def decode_properties(data, at, packet):
    """Properties of a packet named as in TABLE, and the offset behind them."""
    size, at = decode_varint(data, at)
    end = at + size
    if end > len(data):
        raise WireError("property length beyond the packet")
    found = {}
    while at < end:
        number, at = decode_varint(data, at)
        if number not in TABLE:
            raise WireError(f"unknown property 0x{number:02x}")
        name, kind, packets = TABLE[number]
        if packet not in packets.split():
            raise WireError(f"property {name} does not belong into {packet}")
        value, at = decode_value(kind, data[:end], at)
        check_value(name, value)
        if name == "user_property" or (name == "subscription_identifier" and packet == "publish"):
            found.setdefault(name, []).append(value)
        elif name in found:
            raise WireError(f"property {name} twice")
        else:
            found[name] = value
    return found, end


def check_value(name, value):
    if name in BOOLEANS and value not in (0, 1):
        raise WireError(f"property {name} is {value}")
    if name in NON_ZERO and value == 0:
        raise WireError(f"property {name} is 0")
