"""Shared subscriptions."""

import collections
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement
from lib.transport import Timeout


class SharedCase(BrokerCase):
    def members(self, count, share, version=5, qos=1, **options):
        clients = []
        for _ in range(count):
            client = self.durable(version) if options.get("durable") else self.client(version)
            client.subscribe(share, qos=qos)
            clients.append(client)
        return clients

    def collect(self, clients, total):
        """Messages by client index until `total` have arrived; acknowledged."""
        found = collections.defaultdict(list)
        waiting = 0
        while sum(map(len, found.values())) < total:
            progress = False
            for index, client in enumerate(clients):
                try:
                    found[index].append(client.message(0.02).payload)
                    progress = True
                except Timeout:
                    continue
            waiting = 0 if progress else waiting + 1
            self.assertLess(waiting, 200, f"only {dict(found)}")
        return found


class Filters(SharedCase):
    @statement("MQTT-4.8.2-1", "MQTT-4.8.2-2")
    def test_bad_shared_filters_are_refused(self):
        for version in V4_AND_V5:
            for topic_filter in ("$share//a", "$share/g", "$share/g/", "$share/a+/b", "$share/#/b",
                                 "$share/+/b", "$share/", "$share/g/a#"):
                with self.subTest(version=version, filter=topic_filter):
                    client = self.client(version)
                    client.send(wire.subscribe(1, [(topic_filter, 0)], version=version))
                    try:
                        packet = client.read_packet()
                    except Exception as error:
                        self.assertEqual((type(error).__name__, version), ("Closed", 4))
                        continue
                    if packet.kind == wire.SUBACK:
                        self.assertIn(packet.codes, ([0x8F], [0x80]))
                    else:
                        self.assertIn(packet.code, (0x81, 0x82, 0x8F))

    @statement("MQTT-4.8.2-3")
    def test_delivery_respects_the_granted_qos_of_the_member(self):
        for version in V4_AND_V5:
            for granted in (0, 1, 2):
                topic = self.topic(f"{version}/{granted}")
                member, = self.members(1, "$share/g/" + topic, version, granted)
                self.client().publish(topic, b"x", qos=2)
                self.assertEqual(member.message().qos, granted)

    def test_wildcards_and_two_groups_and_a_plain_subscriber(self):
        base = self.topic()
        one = self.members(2, f"$share/one/{base}/+/x")
        two = self.members(2, f"$share/two/{base}/#")
        plain = self.client()
        plain.subscribe(base + "/#", qos=1)
        writer = self.client()
        for n in range(10):
            writer.publish(f"{base}/{n}/x", str(n), qos=1)
        wanted = sorted(str(n).encode() for n in range(10))
        for group in (one, two):
            found = self.collect(group, 10)
            self.assertEqual(sorted(sum(found.values(), [])), wanted)
        self.assertEqual(sorted(m.payload for m in plain.messages(10)), wanted)

    def test_retained_messages_are_not_sent_to_shared_subscriptions(self):
        topic = self.topic()
        self.client().publish(topic, b"kept", qos=1, retain=True)
        member, = self.members(1, "$share/g/" + topic)
        member.silence()

    def test_subscription_identifiers_are_sent_to_the_member(self):
        topic = self.topic()
        member = self.client()
        member.subscribe("$share/g/" + topic, qos=1, props={"subscription_identifier": 9})
        self.client().publish(topic, b"x", qos=1)
        self.assertEqual(member.message().props["subscription_identifier"], [9])


class Distribution(SharedCase):
    def test_each_message_reaches_exactly_one_member(self):
        for qos in (0, 1, 2):
            for durable in (False, True):
                with self.subTest(qos=qos, durable=durable):
                    topic = self.topic(f"{qos}/{durable}")
                    clients = self.members(3, "$share/g/" + topic, qos=2, durable=durable)
                    writer = self.client()
                    for n in range(30):
                        writer.publish(topic, str(n), qos=qos)
                    found = self.collect(clients, 30)
                    self.assertEqual(sorted(sum(found.values(), [])),
                                     sorted(str(n).encode() for n in range(30)))
                    for client in clients:
                        client.silence(0.05)

    @quorate_only
    def test_round_robin_gives_every_member_its_share(self):
        topic = self.topic()
        clients = self.members(3, "$share/g/" + topic)
        writer = self.client()
        for n in range(30):
            writer.publish(topic, str(n), qos=1)
        found = self.collect(clients, 30)
        self.assertEqual([len(found[n]) for n in range(3)], [10, 10, 10])

    def test_a_member_that_leaves_gets_nothing_more(self):
        topic = self.topic()
        clients = self.members(2, "$share/g/" + topic)
        clients[0].unsubscribe("$share/g/" + topic)
        writer = self.client()
        for n in range(10):
            writer.publish(topic, str(n), qos=1)
        self.assertEqual(len(clients[1].messages(10)), 10)
        clients[0].silence(0.1)

    @statement("MQTT-3.10.4-2")
    def test_nothing_comes_after_unsuback_and_nothing_is_lost(self):
        topic = self.topic()
        share, count = "$share/g/" + topic, 100
        stays, leaves = self.members(2, share)
        writer, seen = self.client(), set()
        for turn in range(10):
            writer.send(b"".join(wire.publish(topic, f"{turn}/{n}", qos=1, packet_id=n + 1)
                                 for n in range(count)))
            leaves.send(wire.unsubscribe(7, [share]))
            leaves.expect(wire.UNSUBACK)
            before, leaves.inbox = leaves.inbox, []
            for message in before:
                seen.add(message.payload)
                leaves.send(wire.acknowledge(wire.PUBACK, message.packet_id))
            leaves.silence(0.05)
            for _ in range(count):
                writer.expect(wire.PUBACK)
            while len(seen) < count * (turn + 1):
                seen.add(stays.message().payload)
            leaves.subscribe(share, qos=1)

    def test_a_durable_member_alone_gets_what_was_sent_while_it_was_away(self):
        topic, client_id = self.topic(), self.new_id()
        member = self.durable(client_id=client_id)
        member.subscribe("$share/g/" + topic, qos=2)
        member.disconnect()
        writer = self.client()
        for n in range(10):
            writer.publish(topic, str(n), qos=1 + n % 2)
        member = self.durable(client_id=client_id)
        self.assertEqual(sorted(m.payload for m in member.messages(10)),
                         sorted(str(n).encode() for n in range(10)))

    def test_members_may_have_different_protocol_versions(self):
        topic = self.topic()
        clients = [self.client(version) for version in (3, 4, 5)]
        for client in clients:
            client.subscribe("$share/g/" + topic, qos=1)
        writer = self.client()
        for n in range(12):
            writer.publish(topic, str(n), qos=1)
        found = self.collect(clients, 12)
        self.assertEqual(len(sum(found.values(), [])), 12)


class Failing(SharedCase):
    @statement("MQTT-4.8.2-4")
    def test_an_interrupted_qos_2_delivery_is_completed_to_the_same_member(self):
        topic, client_id = self.topic(), self.new_id()
        member = self.durable(client_id=client_id)
        member.subscribe("$share/g/" + topic, qos=2)
        self.client().publish(topic, b"mine", qos=2)
        number = member.next_publish().packet_id
        other, = self.members(1, "$share/g/" + topic, qos=2)
        member.abort()
        other.silence()
        member = self.durable(client_id=client_id)
        packet = member.next_publish()
        self.assertEqual((packet.packet_id, packet.dup), (number, True))
        member.acknowledge(packet)
        other.silence(0.1)

    @statement("MQTT-4.8.2-5")
    def test_an_interrupted_qos_2_delivery_of_an_ended_session_goes_to_no_other(self):
        topic, client_id = self.topic(), self.new_id()
        member = self.durable(client_id=client_id)
        member.subscribe("$share/g/" + topic, qos=2)
        self.client().publish(topic, b"mine", qos=2)
        member.next_publish()
        other, = self.members(1, "$share/g/" + topic, qos=2)
        member.abort()
        self.client(client_id=client_id, clean=True)
        other.silence(0.6)

    @statement("MQTT-4.8.2-6", "MQTT-4.4.0-2")
    def test_a_refused_message_goes_to_no_other_member(self):
        for qos, kind in ((1, wire.PUBACK), (2, wire.PUBREC)):
            topic = self.topic(str(qos))
            clients = self.members(2, "$share/g/" + topic, qos=2)
            self.client().publish(topic, b"x", qos=qos)
            for client in clients:
                try:
                    packet = client.next_publish(0.3)
                except Timeout:
                    continue
                client.send(wire.acknowledge(kind, packet.packet_id, 0x83))
                break
            else:
                self.fail("nobody got the message")
            for client in clients:
                client.silence(0.3)

    @quorate_only
    def test_unacknowledged_qos_1_messages_of_an_ended_member_go_to_another(self):
        for durable in (False, True):
            with self.subTest(durable=durable):
                topic, client_id = self.topic(str(durable)), self.new_id()
                member = self.durable(client_id=client_id) if durable else self.client()
                member.subscribe("$share/g/" + topic, qos=1)
                writer = self.client()
                for n in range(5):
                    writer.publish(topic, str(n), qos=1)
                for _ in range(5):
                    member.next_publish()
                other, = self.members(1, "$share/g/" + topic)
                member.abort()
                if durable:
                    self.client(client_id=client_id, clean=True)
                self.assertEqual(sorted(m.payload for m in other.messages(5)),
                                 [str(n).encode() for n in range(5)])

    def test_a_member_that_never_acknowledges_holds_no_more_than_its_window(self):
        topic = self.topic()
        stuck = self.raw()
        stuck.connect(self.new_id(), props={"receive_maximum": 3})
        stuck.subscribe("$share/g/" + topic, qos=1)
        good, = self.members(1, "$share/g/" + topic)
        writer = self.client()
        for n in range(60):
            writer.publish(topic, str(n), qos=1)
        held = []
        try:
            while True:
                held.append(stuck.next_publish(0.3).payload)
        except Timeout:
            pass
        self.assertLessEqual(len(held), 3)
        rest = [good.message().payload for _ in range(60 - len(held))]
        self.assertEqual(sorted(held + rest), sorted(str(n).encode() for n in range(60)))


@quorate_only
class Strategies(SharedCase):
    """Each strategy on a broker of its own."""

    def test_strategies_choose_as_documented(self):
        for strategy in ("hash_clientid", "hash_topic", "sticky", "random", "round_robin"):
            with self.subTest(strategy=strategy):
                broker = Broker({"shared.strategy": strategy, "cluster.shards": 4,
                                 "mqtt.max_inflight": 100})
                self.addCleanup(broker.stop)
                broker.start()
                self.check(broker, strategy)
                broker.stop()

    def check(self, broker, strategy):
        clients = [broker.client() for _ in range(3)]
        for number, client in enumerate(clients):
            client.connect(f"m{number}")
            client.subscribe("$share/g/t/#", qos=1)
        writers = [broker.client() for _ in range(4)]
        for number, writer in enumerate(writers):
            writer.connect(f"w{number}")
            for n in range(12):
                writer.publish(f"t/{n % 4}", f"{number} {n % 4} {n}", qos=1)
        found = self.collect(clients, 48)
        owners, topics = ({name: {i for i, got in found.items() for p in got
                                  if p.split()[column] == name}
                           for name in (b"0", b"1", b"2", b"3")} for column in (0, 1))
        if strategy == "hash_clientid":
            self.assertTrue(all(len(o) == 1 for o in owners.values()), owners)
        elif strategy == "hash_topic":
            self.assertTrue(all(len(o) == 1 for o in topics.values()), topics)
        elif strategy == "sticky":
            self.assertEqual(len([i for i in found if found[i]]), 1)
        else:
            self.assertEqual(len([i for i in found if found[i]]), 3)
        for client in clients + writers:
            client.close()


if __name__ == "__main__":
    unittest.main()
