"""Byte streams to a broker: TCP, TLS, Unix socket, WebSocket over either.

Each has send(bytes), recv(deadline) -> bytes (b"" when the peer closed), close(), abort().
A WebSocket stream also sends and receives single frames for tests of the binding itself.
"""

import base64
import hashlib
import os
import select
import socket
import ssl
import struct
import time

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


class Timeout(Exception):
    """Nothing arrived before the deadline."""


class Stream:
    """A connected socket with deadlines."""

    def __init__(self, sock):
        self.sock = sock
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.settimeout(10)
        self.sock.sendall(data)

    def recv(self, deadline):
        """Some bytes; b"" at the end of the stream; Timeout after `deadline` (monotonic)."""
        pending = getattr(self.sock, "pending", lambda: 0)
        while not pending():
            left = deadline - time.monotonic()
            if not select.select([self.sock], [], [], max(0.0, left))[0]:
                if left <= 0:
                    raise Timeout
                continue
            break
        self.sock.settimeout(max(0.05, deadline - time.monotonic()))
        try:
            return self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except (socket.timeout, ssl.SSLWantReadError) as error:
            raise Timeout from error

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def abort(self):
        """Closes with a reset, as a crashed machine would."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def finish_sending(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer was faster


def open_tcp(host, port, timeout=5, receive_buffer=None):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        sock.connect((host, port))
    except OSError:
        sock.close()
        raise
    return Stream(sock)


def open_unix(path, timeout=5):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(path)
    return Stream(sock)


def open_tls(host, port, context, timeout=5, server_name="localhost"):
    plain = open_tcp(host, port, timeout)
    plain.sock.settimeout(timeout)
    try:
        return Stream(context.wrap_socket(plain.sock, server_hostname=server_name))
    except (ssl.SSLError, OSError):
        plain.close()
        raise


class UpgradeRefused(Exception):
    """The server answered the upgrade with something else than 101."""

    def __init__(self, status, head):
        super().__init__(f"HTTP {status}")
        self.status, self.head = status, head


def upgrade_request(host="localhost", path="/mqtt", protocols="mqtt", extra=(), key=None):
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
             "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             f"Sec-WebSocket-Key: {key or base64.b64encode(os.urandom(16)).decode()}"]
    if protocols is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocols}")
    return ("\r\n".join(lines + list(extra)) + "\r\n\r\n").encode()


def read_http_head(stream, timeout=5):
    """(status, headers dict with lower-case names, bytes behind the head)."""
    deadline, data = time.monotonic() + timeout, b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(deadline)
        if not more:
            raise UpgradeRefused(0, data)
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, v in
               (line.split(":", 1) for line in lines[1:] if ":" in line)}
    return int(lines[0].split()[1]), headers, rest


class WebSocket:
    """Client side of RFC 6455 over a stream, after the upgrade."""

    def __init__(self, stream, protocols="mqtt", extra=(), path="/mqtt"):
        self.stream = stream
        key = base64.b64encode(os.urandom(16)).decode()
        stream.send(upgrade_request(protocols=protocols, extra=extra, key=key, path=path))
        status, self.headers, self.buffer = read_http_head(stream)
        if status != 101:
            stream.close()
            raise UpgradeRefused(status, self.headers)
        expected = base64.b64encode(hashlib.sha1(key.encode() + WEBSOCKET_GUID).digest())
        if self.headers.get("sec-websocket-accept") != expected.decode():
            raise AssertionError("wrong Sec-WebSocket-Accept")
        self.close_code = None
        self.pongs = []

    def send_frame(self, opcode, data, fin=True, masked=True, reserved=0):
        head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
        bit, size = (0x80 if masked else 0), len(data)
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", size)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", size)
        if masked:
            mask = os.urandom(4)
            head += mask
            repeated = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
            data = (int.from_bytes(data, "big") ^ repeated).to_bytes(size, "big")
        self.stream.send(head + data)

    def send(self, data):
        self.send_frame(BINARY, data)

    def read_frame(self, deadline):
        """(opcode, payload), or (None, b"") at the end of the stream."""
        while True:
            parsed = self.parse_frame()
            if parsed:
                return parsed
            more = self.stream.recv(deadline)
            if not more:
                return None, b""
            self.buffer += more

    def parse_frame(self):
        if len(self.buffer) < 2:
            return None
        size, at = self.buffer[1] & 0x7F, 2
        if self.buffer[1] & 0x80 or self.buffer[0] & 0x70:
            raise AssertionError("masked frame or reserved bits from a server")
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(self.buffer) < 2 + width:
                return None
            size, at = int.from_bytes(self.buffer[2:2 + width], "big"), 2 + width
        if len(self.buffer) < at + size:
            return None
        opcode, data = self.buffer[0] & 0x0F, self.buffer[at:at + size]
        self.buffer = self.buffer[at + size:]
        return opcode, data

    def recv(self, deadline):
        while True:
            opcode, data = self.read_frame(deadline)
            if opcode is None:
                return b""
            if opcode in (BINARY, CONTINUATION) and data:
                return data
            if opcode == TEXT:
                raise AssertionError("text frame from a server")
            if opcode == CLOSE:
                self.close_code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else None
                return b""
            if opcode == PING:
                self.send_frame(PONG, data)
            if opcode == PONG:
                self.pongs.append(data)

    def close(self):
        self.stream.close()

    def abort(self):
        self.stream.abort()

    def finish_sending(self):
        self.stream.finish_sending()
