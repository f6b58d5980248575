#!/usr/bin/python3
"""A node dies by SIGKILL while clients of the others publish and read."""

import shutil
import subprocess
import unittest

from lib.cluster_case import ClusterCase
from lib.nodes import MOVE_DEADLINE

TOPICS = 8
MESSAGES = 240


class Failover(ClusterCase):
    own = True

    def subscribed(self, node, qos):
        identity = self.new_id("reader")
        reader = self.durable(node, identity)
        reader.subscribe(self.topic(f"q{qos}/#"), qos=qos)
        return identity, reader

    def publish_over_a_kill(self, writer, qos, victim):
        """Every message acknowledged with success; the victim dies in the middle."""
        for n in range(MESSAGES):
            if n == MESSAGES // 2:
                victim.kill()
            answer = writer.publish(self.topic(f"q{qos}/{n % TOPICS}"), str(n), qos)
            self.assertEqual(answer.code, 0, f"message {n}: {answer}")

    def read_all(self, reader, qos):
        """Whatever comes, until every topic's last message is there."""
        last = {str(n) for n in range(MESSAGES - TOPICS, MESSAGES)}
        seen = []
        while not last <= set(seen):
            seen.append(reader.message(MOVE_DEADLINE).payload.decode())
        for topic in range(TOPICS):
            sent = [str(n) for n in range(topic, MESSAGES, TOPICS)]
            got = [each for each in seen if int(each) % TOPICS == topic]
            if qos == 2:
                self.assertEqual(got, sent)
                continue
            # QoS 1 may repeat, but nothing older follows something newer for the first time.
            first = list(dict.fromkeys(got))
            self.assertEqual(first, sent)

    def test_nothing_acknowledged_is_lost_twice_or_out_of_order_when_a_leader_dies(self):
        """Each node leads some of the topics' shards, whichever dies."""
        for qos in (1, 2):
            for durable_writer in (False, True):
                with self.subTest(qos=qos, durable_writer=durable_writer):
                    victim = self.nodes[qos + durable_writer - 1]
                    stays, goes_on = self.nodes.others(victim)
                    _, reader = self.subscribed(stays, qos)
                    writer = (self.durable if durable_writer else self.client)(goes_on)
                    self.publish_over_a_kill(writer, qos, victim)
                    self.read_all(reader, qos)
                    reader.disconnect()
                    victim.start()
                    self.nodes.await_ready()

    def test_a_subscriber_of_the_dead_node_goes_on_at_another(self):
        victim = self.nodes[0]
        identity, reader = self.subscribed(victim, 2)
        writer = self.client(self.nodes[1])
        self.publish_over_a_kill(writer, 2, victim)
        again = self.connect_when_possible(self.nodes[2], identity)
        self.assertTrue(again.connack.session_present)
        self.read_all(again, 2)

    def test_a_will_is_published_once_when_the_node_of_its_connection_dies(self):
        topic = self.topic("will")
        readers = [self.client(node) for node in self.nodes[1:]]
        for reader in readers:
            reader.subscribe(topic, qos=1)
        self.client(self.nodes[0], will={"topic": topic, "payload": b"lost", "qos": 1})
        self.nodes[0].kill()
        for reader in readers:
            self.assertEqual(reader.message(MOVE_DEADLINE).payload, b"lost")
            reader.silence(1.0)

    @unittest.skipUnless(shutil.which("mosquitto_sub"), "mosquitto-clients are not installed")
    def test_the_main_job_with_real_clients(self):
        """Persistent QoS 2 on different nodes, one killed in mid-stream: exactly once, in order."""
        def run(name, node, *arguments, **options):
            port = str(node.ports["tcp"])
            command = [name, "-h", "127.0.0.1", "-p", port, "-V", "mqttv5", *arguments]
            return subprocess.Popen(command, text=True, **options)
        reader = ("-i", "collector", "-c", "-q", "2", "-t", "orders/#", "-x", "3600")
        self.assertEqual(run("mosquitto_sub", self.nodes[0], *reader, "-E").wait(30), 0)
        with run("mosquitto_pub", self.nodes[1], "-i", "shop", "-q", "2", "-t", "orders/a", "-l",
                 stdin=subprocess.PIPE) as writer:
            for n in range(200):
                writer.stdin.write(f"order {n}\n")
                writer.stdin.flush()
                if n == 100:
                    self.nodes[0].kill()
            writer.stdin.close()
            self.assertEqual(writer.wait(60), 0)
        with run("mosquitto_sub", self.nodes[2], *reader, "-C", "200", "-W", "30",
                 stdout=subprocess.PIPE) as collector:
            output = collector.communicate(timeout=60)[0]
        self.assertEqual(output.splitlines(), [f"order {n}" for n in range(200)])


if __name__ == "__main__":
    unittest.main()
