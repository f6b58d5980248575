"""SIGHUP: what it changes at once, what it refuses and says so, what it leaves alone."""

import hashlib
import os
import shutil
import ssl
import time
import unittest

from lib import mqtt_wire as wire
from lib import transport
from lib.case import quorate_only
from lib.certs import make_leaf
from lib.client import Client, Closed
from lib.file_broker import FileBroker
from lib.transport import Timeout
from lib.wait import wait_until


class ReloadCase(unittest.TestCase):
    def start(self, options=None, **more):
        broker = FileBroker(options, **more)
        self.addCleanup(broker.stop)
        return broker.start()

    def client(self, broker, client_id, version=5, **options):
        client = broker.client(version)
        self.addCleanup(client.close)
        client.connect(client_id, **options)
        self.assertEqual(client.connack.code, 0, client.connack)
        return client

    def wait_for(self, condition, what, timeout=15):
        wait_until(condition, what, timeout)

    def refused_or_closed(self, broker):
        """Whether one more connection is ended at once; the reset may come before it is ours."""
        try:
            stream = broker.stream()
        except OSError:
            return True
        self.addCleanup(stream.close)
        return self.closed_soon(stream)

    def closed_soon(self, stream, timeout=10):
        """Whether the server ends a stream that says nothing."""
        try:
            return stream.recv(time.monotonic() + timeout) == b""
        except Timeout:
            return False
        except OSError:
            return True


@quorate_only
class LiveOptions(ReloadCase):
    def test_limits_of_messages_change_under_a_connected_client(self):
        broker = self.start()
        client = self.client(broker, "c")
        self.assertLess(client.publish("t", b"x" * 50, qos=1, retain=True).code, 0x80)
        broker.reload(mqtt__retained_max_bytes="10B")
        self.wait_for(lambda: client.publish("t", b"x" * 50, qos=1, retain=True).code == 0x97,
                      "retained messages are bounded")
        broker.reload(mqtt__retained_max_bytes="1MiB", mqtt__message_expiry_max="1m")
        reader = self.client(broker, "r")
        reader.subscribe("e", qos=1)

        def expires():
            client.publish("e", b"x", qos=1)
            return 0 < reader.message().props.get("message_expiry", 0) <= 60
        self.wait_for(expires, "messages get an expiry")

    def test_limits_of_connecting_change(self):
        broker = self.start()
        broker.reload(limits__connect_timeout="300ms")

        def late_is_closed():
            stream = broker.stream()
            self.addCleanup(stream.close)
            return self.closed_soon(stream, 2)
        self.wait_for(late_is_closed, "silent sockets are closed sooner")
        broker.reload(limits__connect_timeout="1m", limits__max_unauthenticated=1)
        first = broker.stream()
        self.addCleanup(first.close)
        self.wait_for(lambda: broker.metric("quorate_sockets") == 1, "the first one is accepted")
        self.assertTrue(self.refused_or_closed(broker))

    def test_rates_of_publishers_change_under_a_connected_client(self):
        broker = self.start()
        client = self.client(broker, "c")
        broker.reload(limits__publish_rate="5/s")

        def throttled():
            for n in range(1, 21):
                client.send(wire.publish("t", b"x", qos=1, packet_id=n))
            for _ in range(20):
                client.expect(wire.PUBACK, 20)
            return broker.metric("quorate_throttled_total", limit="publish_rate") > 0
        self.wait_for(throttled, "the publisher is slowed down", 60)

    def test_the_connections_of_a_listener_are_bounded_anew(self):
        broker = self.start()
        self.client(broker, "one")
        broker.listener_extra = {"tcp": {"max_connections": 1}}
        broker.reload()
        self.assertTrue(self.refused_or_closed(broker))

    def test_anonymous_clients_can_be_refused_from_now_on(self):
        broker = self.start()
        old = self.client(broker, "old")
        broker.reload(auth__allow_anonymous=False)

        def refused():
            client = broker.client()
            self.addCleanup(client.close)
            return client.connect("new").code == 0x87
        self.wait_for(refused, "new clients are refused")
        old.ping()

    def test_the_log_level_changes(self):
        broker = self.start()
        self.client(broker, "quiet one").disconnect()
        broker.reload(log__level="debug")
        mark = len(broker.lines)
        self.client(broker, "loud one").disconnect()
        broker.lines_since(mark, "loud one")
        self.assertFalse([line for line in broker.lines if "quiet one" in line])

    def test_a_rotated_log_file_is_opened_anew(self):
        broker = FileBroker({"log.file": "broker.log"})
        self.addCleanup(broker.stop)
        broker.start()
        path = os.path.join(broker.home, "broker.log")
        os.rename(path, path + ".1")
        broker.process.send_signal(1)

        def written():
            if not os.path.exists(path):
                return False
            with open(path, encoding="utf-8") as log:
                return "reloaded" in log.read()
        self.wait_for(written, "the new file is written")

    def test_drain_timeout_changes(self):
        broker = self.start({"node.drain_timeout": "1h"})
        client = broker.client()
        client.connect("stuck")
        broker.reload(node__drain_timeout="300ms")
        started = time.monotonic()
        self.assertEqual(broker.terminate(30), 0)
        self.assertLess(time.monotonic() - started, 25)
        client.close()


@quorate_only
class Refused(ReloadCase):
    def test_what_cannot_change_stays_and_is_named_with_its_place(self):
        broker = self.start()
        lines = broker.reload("failed", mqtt__max_qos=0, cluster__shards=8,
                              mqtt__retained_max_bytes="5B")
        for option in ("mqtt.max_qos", "cluster.shards"):
            self.assertTrue([line for line in lines if option in line and " warn " in line and
                             broker.place(option) in line], (option, lines))
        client = self.client(broker, "c")
        self.assertNotIn("maximum_qos", client.connack.props)
        self.assertEqual(client.publish("t", b"x", qos=2).code, 0)
        # The rest of the file counts.
        self.wait_for(lambda: client.publish("t", b"x" * 50, qos=1, retain=True).code == 0x97,
                      "the limit that may change")

    def test_another_listener_waits_for_the_next_start(self):
        broker = self.start()
        broker.ports["tcp"], old = broker.ports["ws"], broker.ports["tcp"]
        lines = broker.reload("failed")
        self.assertTrue([line for line in lines if "listeners[0]" in line])
        broker.ports["tcp"] = old
        self.client(broker, "still here")

    def test_a_bad_file_changes_nothing(self):
        broker = self.start()
        client = self.client(broker, "c")
        broker.options["mqtt.retained_max_bytes"] = "5B"
        broker.options["mqtt.max_qos"] = 7
        broker.write()
        mark = len(broker.lines)
        broker.hang_up("failed")
        lines = broker.lines_since(mark, "not reloaded")
        self.assertTrue([line for line in lines if broker.place("mqtt.max_qos") in line], lines)
        self.assertLess(client.publish("t", b"x" * 50, qos=1, retain=True).code, 0x80)
        del broker.options["mqtt.max_qos"]
        broker.reload()

    def test_a_missing_file_changes_nothing(self):
        broker = self.start()
        client = self.client(broker, "c")
        os.remove(broker.path)
        broker.hang_up("failed")
        client.ping()


@quorate_only
class Certificates(ReloadCase):
    @staticmethod
    def seen(broker):
        """The fingerprint of the certificate that a new client is shown."""
        stream = broker.stream("tls", context=ssl._create_unverified_context())
        try:
            return hashlib.sha256(stream.sock.getpeercert(True)).hexdigest()
        finally:
            stream.close()

    def test_new_connections_see_the_new_certificate_and_old_ones_go_on(self):
        broker = self.start(transports=("tls",))
        old = broker.client(transport_name="tls")
        self.addCleanup(old.close)
        old.connect("old")
        before = self.seen(broker)
        cert, key = make_leaf(broker.certificates.folder, "fresh", broker.certificates.authority)
        shutil.copy(cert, broker.certificates.server[0])
        shutil.copy(key, broker.certificates.server[1])
        broker.reload()
        self.assertNotEqual(self.seen(broker), before)
        old.ping()
        with open(broker.certificates.server[0], "w", encoding="ascii") as out:
            out.write("no certificate")
        after = self.seen(broker)
        broker.reload("failed")
        self.assertEqual(self.seen(broker), after)
        old.ping()


class TwoListeners(FileBroker):
    """Two TLS listeners; the first asks for a certificate of the client."""

    def __init__(self):
        super().__init__(transports=("tls",))
        self.strict, self.open = self.ports["tls"], self.ports["wss"]
        self.order = (self.strict, self.open)

    def listeners(self):
        entry, = super().listeners()
        asks = {self.strict: {"verify_client": "require"}, self.open: {}}
        return [{"url": f"tls://127.0.0.1:{port}", "tls": {**entry["tls"], **asks[port]}}
                for port in self.order]


@quorate_only
class OrderOfListeners(ReloadCase):
    def let_in(self, broker, port):
        """Whether a client without a certificate is."""
        context = broker.certificates.client_context()
        try:
            stream = transport.open_tls("127.0.0.1", port, context)
            self.addCleanup(stream.close)
            return Client(stream).connect("c").code == 0
        except (Closed, OSError):
            return False

    def test_another_order_does_not_move_who_asks_for_a_certificate(self):
        broker = TwoListeners()
        self.addCleanup(broker.stop)
        broker.start()
        for order in (broker.order, broker.order[::-1]):
            if order != broker.order:
                broker.order = order
                lines = broker.reload("failed")
                self.assertTrue([line for line in lines if "listeners[0]" in line], lines)
            self.assertFalse(self.let_in(broker, broker.strict))
            self.assertTrue(self.let_in(broker, broker.open))


@quorate_only
class MemoryLevels(ReloadCase):
    """The three levels, reached by marks around what the broker uses at the time."""

    def press(self, broker, percent, level):
        def reached():
            broker.reload(limits__memory_high_water=int(broker.resident_bytes() * 100 / percent))
            self.wait_for(lambda: broker.metric("quorate_overload_level") != before or
                          before == level, "a look at the memory", 5)
            return broker.metric("quorate_overload_level") == level
        before = broker.metric("quorate_overload_level")
        self.wait_for(reached, f"level {level}", 40)

    def relieve(self, broker):
        broker.reload(limits__memory_high_water="64GiB")
        self.wait_for(lambda: broker.metric("quorate_overload_level") == 0, "relief")

    def test_the_default_is_three_quarters_of_what_the_machine_gives(self):
        broker = self.start()
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = broker.metric("quorate_memory_limit_bytes")
        self.assertGreater(limit, 16 << 20)
        self.assertLessEqual(limit, machine * 3 / 4)

    def test_at_70_percent_publishers_wait_and_others_go_on(self):
        broker = self.start()
        writer, reader = self.client(broker, "w"), self.client(broker, "r")
        reader.subscribe("t", qos=1)
        self.press(broker, 75, 1)
        writer.send(wire.publish("t", b"x", qos=1, packet_id=1))
        reader.silence(1.0)
        writer.ping()  # behind the PUBLISH that waits
        reader.ping()
        self.client(broker, "newcomer").ping()
        self.relieve(broker)
        self.assertEqual(reader.message().payload, b"x")
        self.assertEqual(writer.expect(wire.PUBACK).packet_id, 1)

    def test_at_80_percent_connects_are_refused(self):
        broker = self.start()
        old = self.client(broker, "old")
        self.press(broker, 85, 2)
        for version, code in ((5, 0x89), (4, 3)):
            client = broker.client(version)
            self.addCleanup(client.close)
            self.assertEqual(client.connect("new").code, code)
        self.assertEqual(broker.http("/readyz")[0], 503)
        self.assertEqual(broker.http("/healthz")[0], 200)
        old.ping()
        self.relieve(broker)
        self.client(broker, "newer").ping()

    def test_at_90_percent_the_largest_buffers_are_given_up(self):
        broker = self.start({"mqtt.max_packet_size": "4MiB"})
        hoarder = self.client(broker, "hoarder", props={"receive_maximum": 1})
        hoarder.subscribe("t", qos=1)
        modest = self.client(broker, "modest")
        modest.subscribe("m", qos=1)
        writer = self.client(broker, "w")
        for _ in range(20):
            writer.publish("t", b"x" * 1_000_000, qos=1)
        self.assertEqual(hoarder.next_publish().topic, "t")  # and never acknowledged
        self.press(broker, 95, 3)
        self.assertEqual(hoarder.wait_closed(20).code, 0x97)
        self.wait_for(lambda: broker.metric("quorate_disconnects_total",
                                            reason="memory_pressure") >= 1, "it is counted")
        self.relieve(broker)
        modest.ping()
        writer.publish("m", b"y", qos=1)
        self.assertEqual(modest.message().payload, b"y")


if __name__ == "__main__":
    unittest.main()
