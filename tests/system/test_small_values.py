"""Options of small values do what they say, and a limit forbids nothing that is lawful."""

import os
import subprocess
import tempfile
import unittest

from lib import mqtt_wire as wire
from lib.broker import BINARY, Broker
from lib.case import BrokerCase, quorate_only, statement, statement311
from lib.client import Closed
from lib.transport import Timeout


@quorate_only
class Few(BrokerCase):
    options = {"limits.max_sessions": 60, "limits.publish_rate": "6/min", "cluster.shards": 8}

    def test_as_many_sessions_as_the_limit_says_are_let_in(self):
        self.wait_for(lambda: self.broker.metric("quorate_sessions") == 0, "no session is left")
        kept = [self.raw() for _ in range(55)]
        codes = [client.connect(self.new_id()).code for client in kept]
        self.assertEqual(codes, [0] * 55)
        for client in kept:
            client.disconnect()
        self.wait_for(lambda: self.broker.metric("quorate_sessions") == 0, "all have ended")

    def test_what_a_minute_allows_comes_at_once_and_the_rest_waits(self):
        client = self.client()
        client.send(b"".join(wire.publish("a", b"x", qos=1, packet_id=n + 1) for n in range(30)))
        for number in range(1, 7):
            self.assertEqual(client.expect(wire.PUBACK).packet_id, number)
        with self.assertRaises(Timeout):
            client.read_packet(1)
        client.abort()

    def test_a_name_that_nobody_has_checked_makes_no_session_its_own(self):
        client_id, keep = self.new_id(), {"session_expiry": 60}
        first = self.raw()
        first.connect(client_id, username="one", password=b"x", props=keep)
        first.disconnect()
        second = self.raw()
        connack = second.connect(client_id, clean=False, username="two", props=keep)
        self.assertEqual((connack.code, connack.session_present), (0, True))
        second.disconnect()


@quorate_only
class Takeovers(BrokerCase):
    options = {"node.loops": 3, "limits.takeover_rate": "5/min", "cluster.shards": 8}

    def test_a_client_id_is_taken_over_as_often_on_all_loops_together(self):
        client_id, taken = self.new_id(), -1  # the first takes nobody's place
        clients = [self.raw() for _ in range(15)]
        for client in clients:
            client.send(wire.connect(client_id))
            try:
                taken += client.read_packet(0.3).code == 0
            except (Closed, Timeout):
                pass
        self.assertIn(taken, (5, 6))
        for client in clients:
            client.close()


@quorate_only
class Workers(BrokerCase):
    options = {"node.workers": 256, "cluster.shards": 4}

    def test_more_workers_than_shards_are_no_harm(self):
        reader, topic = self.durable(), self.topic()
        reader.subscribe(topic + "/#", qos=2)
        writer = self.client()
        for number in range(20):
            writer.publish(f"{topic}/{number}", b"x", qos=number % 3, retain=True)
        self.assertEqual(len(reader.messages(20)), 20)
        late = self.client()
        late.subscribe(topic + "/+", qos=0)
        self.assertEqual(len(late.messages(20)), 20)


class Bursts(BrokerCase):
    @statement311("MQTT-4.3.3-2")
    def test_a_version_3_client_may_publish_all_of_qos_2_before_it_releases_the_first(self):
        count = 1500
        for durable in (False, True):
            with self.subTest(durable=durable):
                reader = self.client(4)
                reader.subscribe(self.topic(str(durable)), qos=0)
                client = self.durable(4) if durable else self.client(4)
                client.send(b"".join(wire.publish(self.topic(str(durable)), str(n), qos=2,
                                                  packet_id=n, version=4)
                                     for n in range(1, count + 1)))
                completed = 0
                while completed < count:
                    packet = client.read_packet()
                    if packet.kind == wire.PUBREC:
                        client.send(wire.acknowledge(wire.PUBREL, packet.packet_id, version=4))
                    completed += packet.kind == wire.PUBCOMP
                self.assertEqual([m.payload for m in reader.messages(count)],
                                 [str(n).encode() for n in range(1, count + 1)])


@quorate_only
class LongFrames(BrokerCase):
    transports = ("ws",)
    options = {"mqtt.max_packet_size": 1000, "cluster.shards": 4}

    @statement("MQTT-6.0.0-2")
    def test_many_packets_in_one_frame_may_be_longer_than_one_packet(self):
        client = self.client()
        client.send(b"".join(wire.publish("a", b"x" * 200, qos=1, packet_id=n + 1)
                             for n in range(10)))
        for number in range(1, 11):
            self.assertEqual(client.expect(wire.PUBACK).packet_id, number)

    def test_a_connect_packet_may_be_longer_than_others(self):
        self.client(props={"user_property": [("k", "v" * 1000)] * 2})


@quorate_only
class ManyLoops(unittest.TestCase):
    def test_as_many_loops_run_as_the_option_says_and_more_are_refused(self):
        with tempfile.TemporaryDirectory() as home:
            for count, status in ((64, 0), (65, 2)):
                result = subprocess.run(
                    [BINARY, "--check-config", "--set", f"node.loops={count}"], cwd=home,
                    capture_output=True, check=False, timeout=60)
                self.assertEqual(result.returncode, status, result.stdout)
        broker = Broker({"node.loops": 64, "node.workers": 1, "cluster.shards": 2})
        self.addCleanup(broker.stop)
        broker.start()
        tasks = f"/proc/{broker.process.pid}/task"
        names = []
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm", encoding="ascii") as name:
                names.append(name.read())
        self.assertEqual(len([name for name in names if name.startswith("loop-")]), 64)


@quorate_only
class Counted(BrokerCase):
    options = {"mqtt.sys_interval": "1s", "cluster.shards": 4}

    def test_sys_counts_clients_that_are_away(self):
        away = [self.durable() for _ in range(2)]
        for client in away:
            client.disconnect()
        there = [self.client() for _ in range(4)]
        there[0].subscribe("$SYS/broker/clients/#", qos=0)
        said = {}

        def counted():
            message = there[0].message()
            said[message.topic.rpartition("/")[2]] = int(message.payload)
            return said == {"connected": 4, "disconnected": 2, "total": 6}
        self.wait_for(counted, "the counts of clients")


@quorate_only
class SharedGroups(BrokerCase):
    options = {"mqtt.max_shared_groups": 1, "cluster.shards": 8}

    def test_shared_subscriptions_of_durable_sessions_are_counted_as_well(self):
        for durable in (False, True):
            with self.subTest(durable=durable):
                client = self.durable() if durable else self.client()
                shares = [f"$share/g{n}/{self.topic()}" for n in range(3)]
                self.assertEqual(client.subscribe(*shares, qos=1).codes, [1, 0x97, 0x97])
                self.assertEqual(client.subscribe(shares[0], qos=2).codes, [2])
                client.unsubscribe(shares[0])
                self.assertEqual(client.subscribe(shares[1], qos=1).codes, [1])


if __name__ == "__main__":
    unittest.main()
