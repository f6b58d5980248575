"""Shared subscriptions whose members come, go, stay away, or die with the broker."""

import collections
import threading
import time
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import quorate_only, statement
from lib.client import Closed
from lib.transport import Timeout
from test_conformance_shared import SharedCase


@quorate_only
class Away(SharedCase):
    """Durable members that are not connected."""

    def away(self, topic, qos):
        client_id = self.new_id()
        member = self.durable(client_id=client_id)
        member.subscribe("$share/g/" + topic, qos=qos)
        member.disconnect()
        return client_id

    def test_a_connected_member_comes_before_those_that_are_away(self):
        for granted in (0, 1, 2):
            for qos in (0, 1, 2):
                with self.subTest(granted=granted, qos=qos):
                    topic = self.topic(f"{granted}/{qos}")
                    client_id = self.away(topic, granted)
                    member, = self.members(1, "$share/g/" + topic, qos=2)
                    writer = self.client()
                    for n in range(10):
                        writer.publish(topic, str(n), qos=qos)
                    self.assertEqual(sorted(m.payload for m in member.messages(10)),
                                     [str(n).encode() for n in range(10)])
                    self.durable(client_id=client_id).silence(0.1)

    def test_a_member_that_is_back_gets_its_share_again(self):
        topic = self.topic()
        client_id = self.away(topic, 1)
        member, = self.members(1, "$share/g/" + topic)
        back = self.durable(client_id=client_id)
        writer = self.client()
        for n in range(20):
            writer.publish(topic, str(n), qos=1)
        found = self.collect([member, back], 20)
        self.assertEqual([len(found[n]) for n in range(2)], [10, 10])


class Changing(SharedCase):
    """A durable member that comes and goes while messages flow; another one always stays."""

    COUNT = 300

    def toggle(self, share, qos, stop, got):
        member = self.durable()
        on = False

        def until(kinds):
            while True:
                packet = member.read_packet(10)
                if packet.kind == wire.PUBLISH:
                    got.append(packet.payload)
                    answer = wire.PUBACK if qos == 1 else wire.PUBREC
                    member.send(wire.acknowledge(answer, packet.packet_id))
                elif packet.kind == wire.PUBREL:
                    member.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id))
                if packet.kind in kinds:
                    return

        while on or not stop.is_set():
            member.send(wire.unsubscribe(1, [share]) if on else wire.subscribe(1, [(share, qos)]))
            on = not on
            until((wire.SUBACK, wire.UNSUBACK))
        try:
            while True:
                until(())
        except (Timeout, Closed):
            pass

    def check(self, qos, durable):
        topic = self.topic(f"{qos}/{durable}")
        share = "$share/g/" + topic
        staying, = self.members(1, share, qos=qos, durable=durable)
        stop, by_toggle, got = threading.Event(), [], collections.Counter()
        toggling = threading.Thread(target=self.toggle, args=(share, qos, stop, by_toggle))
        toggling.start()
        try:
            writer = self.client()
            sender = threading.Thread(target=lambda: [
                writer.publish(topic, str(n), qos=qos) for n in range(self.COUNT)])
            sender.start()
            until = time.monotonic() + 120
            while time.monotonic() < until:
                if not sender.is_alive():
                    stop.set()
                if len(set(got) | set(by_toggle)) == self.COUNT:
                    break
                try:
                    got[staying.message(0.2).payload] += 1
                except Timeout:
                    continue
        finally:
            stop.set()
            sender.join(60)
            toggling.join(60)
        found = set(got) | set(by_toggle)
        missing = [n for n in range(self.COUNT) if str(n).encode() not in found]
        self.assertEqual(missing, [])
        if qos == 2:
            both = got + collections.Counter(by_toggle)
            self.assertEqual([n for n in both if both[n] > 1], [])

    @statement("MQTT-4.8.2-4")
    def test_no_acknowledged_message_is_lost_to_a_member_that_unsubscribes(self):
        for qos in (1, 2):
            for durable in (False, True):
                with self.subTest(qos=qos, durable=durable):
                    self.check(qos, durable)


@quorate_only
class OwnBroker(SharedCase):
    """What needs a broker that is killed, or that is configured otherwise."""

    def start(self, options=None):
        broker = Broker(options)
        self.addCleanup(broker.stop)
        return broker.start()

    def durable_on(self, broker, client_id):
        client = broker.client()
        client.connect(client_id, clean=False, props={"session_expiry": 3600})
        self.addCleanup(client.close)
        return client

    @statement("MQTT-4.8.2-5")
    def test_after_sigkill_what_a_connection_had_goes_to_a_durable_member_at_most_once(self):
        for qos in (1, 2):
            with self.subTest(qos=qos):
                broker = self.start()
                connection = broker.client()
                connection.connect("connection")
                connection.subscribe("$share/g/t", qos=qos)
                durable = self.durable_on(broker, "durable")
                durable.subscribe("$share/g/t", qos=qos)
                durable.disconnect()
                writer = broker.client()
                writer.connect("writer")
                for n in range(20):
                    writer.publish("t", str(n), qos=qos)
                had = []
                while len(had) < 20:
                    packet = connection.receive()
                    if packet.kind != wire.PUBLISH:
                        continue  # PUBREL: it stays without its PUBCOMP
                    had.append(packet.payload)
                    if qos == 2:
                        connection.send(wire.acknowledge(wire.PUBREC, packet.packet_id))
                broker.restart_after_kill()
                durable = self.durable_on(broker, "durable")
                wanted = [] if qos == 2 else sorted(had)
                self.assertEqual(sorted(m.payload for m in durable.messages(len(wanted))), wanted)
                durable.silence(0.5)
                broker.stop()

    def test_a_member_that_disconnects_hands_over_to_those_that_are_connected(self):
        broker = self.start({"shared.handover": "disconnect"})
        members = [self.durable_on(broker, name) for name in ("one", "two")]
        for member in members:
            member.subscribe("$share/g/t", qos=1)
        writer = broker.client()
        writer.connect("writer")
        for n in range(40):
            writer.publish("t", str(n), qos=1)
        had = [members[0].next_publish().payload for _ in range(20)]
        members[0].abort()
        found = [m.payload for m in members[1].messages(40)]
        self.assertEqual(sorted(found), sorted(str(n).encode() for n in range(40)))
        self.assertTrue(set(had) <= set(found))
        self.durable_on(broker, "one").silence(0.3)


if __name__ == "__main__":
    unittest.main()
