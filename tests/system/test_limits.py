"""Limits and options of messages, each reached by a small value."""

import os
import re
import time
import unittest

from lib import mqtt_wire as wire, transport
from lib.broker import Broker
from lib.case import BrokerCase, quorate_only
from lib.client import Closed
from lib.transport import Timeout


def loops_with_sockets(process):
    """How many sockets each epoll instance of a process watches, for those that watch some."""
    folder, counts = f"/proc/{process}/fd", []
    sockets, polls = set(), []
    for name in os.listdir(folder):
        target = os.readlink(os.path.join(folder, name))
        if target.startswith("socket:"):
            sockets.add(int(name))
        elif "eventpoll" in target:
            polls.append(name)
    for name in polls:
        with open(f"/proc/{process}/fdinfo/{name}", encoding="ascii") as info:
            watched = {int(n) for n in re.findall(r"^tfd:\s*(\d+)", info.read(), re.MULTILINE)}
        counts.append((name, len(watched & sockets)))
    return dict(counts)


@quorate_only
class GuessedPasswords(BrokerCase):
    options = {"auth.allow_anonymous": False, "limits.auth_failure_rate": "3/min",
               "cluster.shards": 4}

    def attempt(self, user, version=5):
        client = self.raw(version)
        return client.connect(self.new_id(), username=user, password=b"x").code

    def test_after_the_allowed_failures_a_user_of_an_address_is_banned(self):
        self.assertEqual([self.attempt("mallory") for _ in range(5)],
                         [0x87, 0x87, 0x87, 0x8A, 0x8A])
        self.assertEqual(self.attempt("mallory", 4), 5)
        self.assertEqual(self.attempt("bob"), 0x87)
        self.wait_for(lambda: self.broker.metric("quorate_throttled_total",
                                                 limit="auth_failure_rate") >= 3, "counted")


@quorate_only
class Unauthenticated(BrokerCase):
    options = {"limits.max_unauthenticated_bytes": "1MiB", "cluster.shards": 4}

    def test_bytes_before_connect_are_bounded_over_all_sockets(self):
        good = self.client()
        unfinished = wire.connect("x", props={"user_property": [("k", "v" * 60000)]})[:60000]
        held = [self.raw() for _ in range(24)]
        for client in held:
            client.offer(unfinished)
        self.wait_for(lambda: self.broker.metric(
            "quorate_throttled_total", limit="max_unauthenticated_bytes") >= 1, "counted")
        ended = 0
        for client in held:
            try:
                client.read_packet(0.2)
            except Timeout:
                continue
            except (Closed, OSError):
                ended += 1
        self.assertGreater(ended, 0)
        self.assertLess(ended, 24)
        good.ping()
        for client in held:
            client.close()

        def connects():
            late = self.raw()
            try:
                return late.connect(self.new_id(), props={
                    "user_property": [("k", "v" * 16000)]}).code == 0
            except (Closed, OSError):
                return False
        self.wait_for(connects, "room again when they are gone")


@quorate_only
class Handshakes(BrokerCase):
    options = {"limits.max_tls_handshakes": 1, "node.loops": 1, "cluster.shards": 4,
               "limits.connect_timeout": "1m"}
    transports = ("tls", "tcp")

    def test_a_handshake_waits_until_the_one_before_it_is_done(self):
        import socket
        silent = socket.create_connection(("127.0.0.1", self.broker.ports["tls"]))
        self.addCleanup(silent.close)
        self.wait_for(lambda: self.broker.metric("quorate_sockets", transport="tls") == 1,
                      "the silent one is accepted")
        other = socket.create_connection(("127.0.0.1", self.broker.ports["tls"]))
        self.addCleanup(other.close)
        context = self.broker.certificates.client_context()
        other.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            context.wrap_socket(other, server_hostname="localhost")
        self.wait_for(lambda: self.broker.metric("quorate_throttled_total",
                                                 limit="max_tls_handshakes") >= 1, "counted")
        self.client(transport_name="tcp").ping()
        silent.close()
        other.close()
        self.client(transport_name="tls").ping()


@quorate_only
class WebSockets(BrokerCase):
    options = {"limits.http_header": "1KiB", "mqtt.max_packet_size": "2KiB",
               "mqtt.max_connect_packet_size": "1KiB", "cluster.shards": 4}
    transports = ("ws",)

    def test_the_head_of_an_upgrade_is_bounded(self):
        stream = transport.open_tcp("127.0.0.1", self.broker.ports["ws"])
        self.addCleanup(stream.close)
        stream.send(b"GET /mqtt HTTP/1.1\r\nX: " + b"y" * 1000 + b"\r\n\r\n")
        self.assertEqual(transport.read_http_head(stream)[0], 431)

    def test_a_frame_is_bounded_by_the_largest_packet(self):
        client, topic = self.client(), self.topic()
        client.subscribe(topic)
        packet = wire.publish(topic, b"", version=5)
        packet = wire.publish(topic, b"x" * (2048 - len(packet) - 1), version=5)
        self.assertEqual(len(packet), 2048)
        client.stream.send_frame(transport.BINARY, packet)
        self.assertEqual(set(client.message().payload), set(b"x"))
        client.stream.send_frame(transport.BINARY, packet + b"\xc0")
        self.assertIsNone(client.wait_closed())
        self.assertEqual(client.stream.close_code, 1009)


@quorate_only
class Sessions(BrokerCase):
    options = {"limits.max_sessions": 5, "cluster.shards": 16}

    def test_at_the_limit_only_sessions_that_exist_are_let_in(self):
        kept = [self.durable() for _ in range(4)]
        last = self.client()
        for version, code in ((5, 0x97), (4, 3)):
            self.wait_for(lambda v=version, c=code: self.raw(v).connect(
                self.new_id(), clean=True).code == c, "no room")
        kept[0].disconnect()
        self.assertTrue(self.durable(client_id=kept[0].client_id).connack.session_present)
        self.assertFalse(self.durable(client_id=kept[1].client_id,
                                      clean=True).connack.session_present)
        last.disconnect()
        self.wait_for(lambda: self.raw().connect(self.new_id()).code == 0, "room again")
        self.assertGreaterEqual(self.broker.metric("quorate_throttled_total",
                                                   limit="max_sessions"), 2)


@quorate_only
class Expiry(BrokerCase):
    options = {"mqtt.message_expiry_max": "1m", "cluster.shards": 4}

    def test_a_longer_or_missing_expiry_is_brought_down(self):
        topic = self.topic()
        away = self.durable()
        away.subscribe(topic, qos=2)
        away.close()
        writer = self.client()
        for given in (None, 3600, 30):
            props = {} if given is None else {"message_expiry": given}
            for qos in (1, 2):
                writer.publish(topic, str(given), qos=qos, props=props)
            writer.publish(topic + "/retained", str(given), qos=1, retain=True, props=props)
            reader = self.client()
            reader.subscribe(topic + "/retained", qos=1)
            self.assertLessEqual(reader.message().props["message_expiry"], given or 60)
        back = self.durable(client_id=away.client_id)
        for message in back.messages(6):
            most = 30 if message.payload == b"30" else 60
            self.assertIn("message_expiry", message.props)
            self.assertLessEqual(message.props["message_expiry"], most)

    def test_wills_expire_as_well(self):
        topic = self.topic()
        reader = self.client()
        reader.subscribe(topic, qos=1)
        device = self.client(will={"topic": topic, "payload": b"gone", "qos": 1})
        device.abort()
        self.assertLessEqual(reader.message().props["message_expiry"], 60)

    def test_what_is_not_kept_is_passed_on_as_it_came(self):
        topic = self.topic()
        client = self.client()
        client.subscribe(topic)
        client.publish(topic, b"x")
        self.assertNotIn("message_expiry", client.message().props)


@quorate_only
class RetainedScans(BrokerCase):
    options = {"mqtt.retained_scan_min_levels": 2, "cluster.shards": 4}

    def test_filters_that_begin_with_wildcards_get_no_retained_messages(self):
        base = self.topic("a")  # test/<n>/a
        writer = self.client()
        writer.publish(base + "/b", b"kept", qos=1, retain=True)
        for given, scanned in ((base + "/b", True), (base + "/+", True), (base + "/#", True),
                               ("test/+/a/b", False), ("#", False), ("+/+/a/b", False)):
            with self.subTest(filter=given):
                reader = self.client()
                reader.subscribe(given, qos=1)
                if scanned:
                    self.assertEqual(reader.message().payload, b"kept")
                else:
                    reader.silence()
                writer.publish(base + "/b", b"live", qos=1)  # matched all the same
                self.assertEqual(reader.message().payload, b"live")
                reader.disconnect()


@quorate_only
class QueuedQos0(BrokerCase):
    options = {"mqtt.queue_qos0": True, "mqtt.max_qos0_queue": 10, "cluster.shards": 4}

    def test_qos_0_messages_wait_for_a_durable_session_in_order_and_bounded(self):
        topic = self.topic()
        away = self.durable()
        away.subscribe((topic, 0), (topic + "/acked", 1))
        away.disconnect()
        other = self.client()
        other.subscribe(topic)
        before = self.broker.metric("quorate_publish_dropped_total", reason="qos0_queue")
        writer = self.client()
        for n in range(15):
            writer.publish(topic, f"{n}")
        self.assertEqual([m.payload for m in other.messages(15)],
                         [b"%d" % n for n in range(15)])
        writer.publish(topic + "/acked", b"acked", qos=1)
        # The oldest made room; each drop is counted.
        self.wait_for(lambda: self.broker.metric("quorate_publish_dropped_total",
                                                 reason="qos0_queue") - before == 5, "counted")
        back = self.durable(client_id=away.client_id)
        got = [m.payload for m in back.messages(11)]
        self.assertEqual([p for p in got if p != b"acked"], [b"%d" % n for n in range(5, 15)])
        self.assertEqual(got.count(b"acked"), 1)
        writer.publish(topic, b"live")
        self.assertEqual(back.message().payload, b"live")
        back.silence()

    def test_a_publish_of_qos_1_to_a_subscription_of_qos_0_waits_too(self):
        topic = self.topic()
        away = self.durable()
        away.subscribe((topic, 0))
        away.disconnect()
        self.client().publish(topic, b"x", qos=1)
        back = self.durable(client_id=away.client_id)
        message = back.message()
        self.assertEqual((message.payload, message.qos), (b"x", 0))
        back.silence()

    def test_the_end_of_a_session_is_the_end_of_its_queue(self):
        topic = self.topic()
        away = self.durable()
        away.subscribe((topic, 0))
        away.disconnect()
        writer = self.client()
        writer.publish(topic, b"old")
        writer.ping()  # the broker has read it
        fresh = self.durable(client_id=away.client_id, clean=True)
        fresh.subscribe((topic, 0))
        fresh.silence()

    def test_what_expires_while_it_waits_is_not_sent(self):
        topic = self.topic()
        away = self.durable()
        away.subscribe((topic, 0))
        away.disconnect()
        writer = self.client()
        writer.publish(topic, b"short", props={"message_expiry": 1})
        writer.publish(topic, b"long", props={"message_expiry": 600})
        self.let_pass(1.5)
        back = self.durable(client_id=away.client_id)
        message = back.message()
        self.assertEqual(message.payload, b"long")
        self.assertLess(message.props["message_expiry"], 600)
        back.silence()


@quorate_only
class Never(BrokerCase):
    options = {"limits.loop_stall": "never", "limits.slow_reader_timeout": "never",
               "mqtt.sys_interval": "never", "mqtt.session_expiry_max": "never",
               "mqtt.message_expiry_max": "never", "cluster.shards": 4}

    def test_never_is_no_time_at_all_to_wait_for(self):
        topic, payload = self.topic(), b"x" * 100_000
        reader = self.raw(receive_buffer=4096)
        reader.connect(self.new_id())
        reader.subscribe(topic, qos=1)
        writer = self.client()
        for _ in range(60):
            writer.publish(topic, payload, qos=1)
        # More than sockets hold waits while the broker looks after itself several times.
        self.let_pass(2.5)
        for _ in range(60):
            self.assertEqual(reader.message().payload, payload)
        self.assertEqual(self.broker.http("/healthz")[0], 200)


@quorate_only
class UnixSockets(unittest.TestCase):
    def test_clients_of_a_unix_socket_are_spread_over_the_loops(self):
        broker = Broker({"cluster.shards": 4, "node.loops": 2}, ("unix",))
        self.addCleanup(broker.stop)
        broker.start()
        before = loops_with_sockets(broker.process.pid)
        clients = [broker.client() for _ in range(8)]
        for n, client in enumerate(clients):
            self.addCleanup(client.close)
            self.assertEqual(client.connect(f"c{n}").code, 0)
            client.subscribe("t", qos=1)
        after = loops_with_sockets(broker.process.pid)
        more = sorted(after[name] - before.get(name, 0) for name in after)
        self.assertEqual([n for n in more if n > 0], [4, 4])
        clients[0].publish("t", b"to all", qos=1)
        for client in clients:
            self.assertEqual(client.message().payload, b"to all")
        started = time.monotonic()
        self.assertEqual(broker.terminate(), 0)
        self.assertLess(time.monotonic() - started, 20)


if __name__ == "__main__":
    unittest.main()
