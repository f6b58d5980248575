"""SIGKILL at chosen moments: nothing acknowledged is lost, nothing of QoS 2 is repeated."""

import time
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import quorate_only
from lib.transport import Timeout
from lib.wait import wait_until

LONG = {"session_expiry": 3600}


@quorate_only
class KillCase(unittest.TestCase):
    """One broker, killed many times; client ids and topics differ between tests."""

    broker_type = Broker

    @classmethod
    def setUpClass(cls):
        cls.broker = cls.broker_type()
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.start()

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1][-40:]

    def client(self, role, version=5, clean=True, props=None, **options):
        client = self.broker.client(version)
        self.addCleanup(client.close)
        client.connect(f"{self.name}-{role}"[:120], clean=clean, props=props, **options)
        self.assertEqual(client.connack.code, 0, client.connack)
        return client

    def durable(self, role, version=5, expiry=3600, **options):
        props = {"session_expiry": expiry, **options.pop("props", {})} if version == 5 else None
        return self.client(role, version, False, props, **options)

    def kill(self):
        self.broker.restart_after_kill()


class Messages(KillCase):
    def test_offline_queues_survive_in_order_and_with_properties(self):
        for version in (4, 5):
            topic = f"{self.name}/{version}"
            reader = self.durable(f"r{version}", version)
            reader.subscribe(topic, qos=2)
            reader.disconnect()
            writer = self.client(f"w{version}")
            for n in range(30):
                writer.publish(topic, str(n), qos=1 + n % 2,
                               props={"user_property": [("n", str(n))]})
        self.kill()
        for version in (4, 5):
            reader = self.durable(f"r{version}", version)
            self.assertTrue(reader.connack.session_present)
            found = reader.messages(30)
            self.assertEqual([(m.payload, m.qos, m.dup) for m in found],
                             [(str(n).encode(), 1 + n % 2, False) for n in range(30)])
            if version == 5:
                self.assertEqual([m.props["user_property"] for m in found],
                                 [[("n", str(n))] for n in range(30)])
            reader.silence()

    def test_in_flight_messages_come_again_with_their_identifiers_and_dup(self):
        topic = self.name
        reader = self.durable("r")
        reader.subscribe(topic, qos=2)
        writer = self.client("w")
        for n in range(8):
            writer.publish(topic, str(n), qos=1 + n % 2)
        first = [reader.next_publish() for _ in range(8)]
        self.kill()
        reader = self.durable("r")
        second = [reader.next_publish() for _ in range(8)]
        self.assertEqual([(p.packet_id, p.payload) for p in first],
                         [(p.packet_id, p.payload) for p in second])
        self.assertTrue(all(p.dup for p in second))
        for packet in second:
            reader.acknowledge(packet)
        reader.silence()

    def test_pubrel_is_repeated_after_a_kill_and_never_the_publish(self):
        topic = self.name
        reader = self.durable("r")
        reader.subscribe(topic, qos=2)
        self.client("w").publish(topic, b"x", qos=2)
        number = reader.next_publish().packet_id
        reader.send(wire.acknowledge(wire.PUBREC, number))
        reader.expect_for(wire.PUBREL, number)
        self.kill()
        reader = self.durable("r")
        packet = reader.receive()
        self.assertEqual((packet.kind, packet.packet_id), (wire.PUBREL, number))
        reader.send(wire.acknowledge(wire.PUBCOMP, number))
        reader.silence()

    def test_a_received_qos_2_identifier_survives(self):
        topic = self.name
        reader = self.durable("r")
        reader.subscribe(topic, qos=2)
        writer = self.durable("w")
        writer.send(wire.publish(topic, b"once", qos=2, packet_id=77))
        self.assertEqual(writer.expect(wire.PUBREC).code, 0)
        self.kill()
        writer, reader = self.durable("w"), self.durable("r")
        writer.send(wire.publish(topic, b"once", qos=2, packet_id=77, dup=True))
        self.assertEqual(writer.expect(wire.PUBREC).packet_id, 77)
        self.assertEqual(writer.release(77).code, 0)
        writer.publish(topic, b"end", qos=2)
        self.assertEqual([m.payload for m in reader.until("end")], [b"once"])

    def test_a_message_acknowledged_by_pubrec_alone_is_delivered(self):
        topic = self.name
        reader = self.durable("r")
        reader.subscribe(topic, qos=2)
        reader.disconnect()
        writer = self.durable("w")
        writer.send(wire.publish(topic, b"owed", qos=2, packet_id=5))
        writer.expect(wire.PUBREC)
        self.kill()
        self.assertEqual(self.durable("r").message().payload, b"owed")

    def test_released_identifiers_are_new_after_a_kill(self):
        topic = self.name
        reader, writer = self.durable("r"), self.durable("w")
        reader.subscribe(topic, qos=2)
        for payload in (b"a", b"b"):
            writer.send(wire.publish(topic, payload, qos=2, packet_id=5))
            writer.expect(wire.PUBREC)
            writer.release(5)
            self.kill()
            writer, reader = self.durable("w"), self.durable("r")
        self.assertEqual([m.payload for m in reader.messages(2)], [b"a", b"b"])

    def test_subscriptions_and_unsubscriptions_survive(self):
        base = self.name
        reader = self.durable("r")
        reader.subscribe((base + "/a", 1), (base + "/+/b", 2), (base + "/gone", 1),
                         (base + "/local", 0x04 | 1), props={"subscription_identifier": 5})
        reader.unsubscribe(base + "/gone")
        self.kill()
        reader, writer = self.durable("r"), self.client("w")
        reader.publish(base + "/local", b"own", qos=1)
        for name in ("gone", "x/b", "a"):
            writer.publish(f"{base}/{name}", name, qos=2)
        found = sorted((m.payload, m.qos, m.props["subscription_identifier"])
                       for m in reader.messages(2))
        self.assertEqual(found, [(b"a", 1, [5]), (b"x/b", 2, [5])])
        reader.silence()

    def test_acknowledged_deliveries_are_not_repeated(self):
        topic = self.name
        reader, writer = self.durable("r"), self.client("w")
        reader.subscribe(topic, qos=2)
        for n in range(10):
            writer.publish(topic, str(n), qos=2)
        for packet in reader.messages(10):
            self.assertEqual(packet.qos, 2)
        reader.ping()
        reader.disconnect()
        self.kill()
        reader = self.durable("r")
        try:  # the last PUBCOMP may not have been committed: its PUBREL comes again, no PUBLISH
            packet = reader.receive(0.5)
        except Timeout:
            return
        self.assertEqual(packet.kind, wire.PUBREL)
        reader.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id))
        reader.silence()

    def test_large_messages_survive(self):
        topic = self.name
        reader = self.durable("r")
        reader.subscribe(topic, qos=2)
        reader.disconnect()
        writer = self.client("w")
        sizes = (0, 1, 5000, 300_000, 1_000_000)
        for size in sizes:
            writer.publish(topic, b"L" * size, qos=2)
        self.kill()
        reader = self.durable("r")
        self.assertEqual([len(m.payload) for m in reader.messages(len(sizes))], list(sizes))


class RetainedAndWills(KillCase):
    def test_retained_messages_survive_and_stay_removed(self):
        base, writer = self.name, self.client("w")
        for n in range(20):
            writer.publish(f"{base}/{n}", str(n), qos=1 + n % 2, retain=True,
                           props={"content_type": "t"})
        writer.publish(f"{base}/3", b"", qos=1, retain=True)
        writer.publish(f"{base}/4", b"new", qos=1, retain=True)
        self.kill()
        reader = self.client("r")
        reader.subscribe(base + "/#", qos=1)
        found = {m.topic.rsplit("/", 1)[1]: m for m in reader.messages(19)}
        self.assertEqual(sorted(found), sorted(str(n) for n in range(20) if n != 3))
        self.assertEqual(found["4"].payload, b"new")
        self.assertTrue(all(m.retain for m in found.values()))
        self.assertEqual(found["7"].props["content_type"], "t")
        reader.silence()

    def test_wills_of_connected_clients_are_published_once_after_a_kill(self):
        for version in (4, 5):
            topic = f"{self.name}/{version}"
            reader = self.durable(f"r{version}")
            reader.subscribe(topic, qos=2)
            self.durable(f"d{version}", version,
                         will={"topic": topic, "payload": b"gone", "qos": 2})
            reader.disconnect()
        self.kill()
        self.kill()
        for version in (4, 5):
            reader = self.durable(f"r{version}")
            self.assertEqual(reader.message().payload, b"gone")
            reader.silence(0.3)

    def test_a_will_with_delay_waits_over_a_kill_and_is_stopped_by_resuming(self):
        reader = self.durable("r")
        reader.subscribe(self.name + "/#", qos=1)
        for name in ("resumed", "lost"):
            self.durable(name, will={"topic": f"{self.name}/{name}", "payload": name.encode(),
                                     "qos": 1, "props": {"will_delay": 3}})
        self.kill()
        self.durable("resumed")
        reader = self.durable("r")
        self.assertEqual(reader.message(12).payload, b"lost")
        reader.silence(1.5)

    def test_no_will_after_a_normal_disconnect_and_a_kill(self):
        reader = self.durable("r")
        reader.subscribe(self.name, qos=1)
        self.durable("d", will={"topic": self.name, "payload": b"no", "qos": 1}).disconnect()
        self.kill()
        self.durable("r").silence(1.0)


class ExpiryAndSharing(KillCase):
    def test_expiries_go_on_after_a_kill(self):
        topic, base = self.name, self.name + "/retained"
        reader = self.durable("long")
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        short = self.durable("short", expiry=2)
        short.subscribe(topic, qos=1)
        short.disconnect()
        writer = self.client("w")
        writer.publish(topic, b"short", qos=1, props={"message_expiry": 2})
        writer.publish(topic, b"long", qos=1, props={"message_expiry": 600})
        writer.publish(base, b"short", qos=1, retain=True, props={"message_expiry": 2})
        self.durable("last", expiry=2).disconnect()  # what is above has expired when this has
        self.kill()
        wait_until(lambda: self.broker.metric("quorate_sessions_expired_total") >= 2,
                   "short and last expire", 20)
        self.assertFalse(self.durable("short", expiry=0).connack.session_present)
        reader = self.durable("long")
        packet = reader.message()
        self.assertEqual(packet.payload, b"long")
        self.assertLessEqual(packet.props["message_expiry"], 600)
        reader.silence()
        late = self.client("late")
        late.subscribe(base, qos=1)
        late.silence()

    def test_a_session_without_expiry_is_gone_after_a_kill(self):
        self.client("x", props={"session_expiry": 0}).subscribe(self.name, qos=1)
        self.client("y", 4).subscribe(self.name, qos=1)
        self.kill()
        self.assertFalse(self.durable("x").connack.session_present)
        self.assertFalse(self.durable("y", 4).connack.session_present)

    def test_messages_of_shared_groups_survive_and_arrive_once(self):
        share, topic = "$share/g/" + self.name, self.name
        members = [self.durable(f"m{n}") for n in range(3)]
        for member in members:
            member.subscribe(share, qos=2)
            member.disconnect()
        writer = self.client("w")
        for n in range(30):
            writer.publish(topic, str(n), qos=1 + n % 2)
        self.kill()
        members = [self.durable(f"m{n}") for n in range(3)]
        found = []

        def all_found():
            for member in members:
                try:
                    found.append(int(member.message(0.05).payload))
                except Timeout:
                    pass
            return len(found) >= 30
        wait_until(all_found, lambda: f"30 messages, there are {sorted(found)}", 60)
        self.assertEqual(sorted(found), list(range(30)))
        for member in members:
            member.silence(0.1)


if __name__ == "__main__":
    unittest.main()
