#!/usr/bin/python3
"""How nodes become one cluster, stay one through restarts, and what a minority says."""

import unittest

from lib.client import Closed
from lib.cluster_case import ClusterCase
from lib.nodes import MOVE_DEADLINE, Nodes
from lib.wait import wait_until

UNAVAILABLE, BUSY = 0x88, 0x89
REFUSED = (0x83, 0x97)


class Forming(ClusterCase):
    own = True
    options = {"mqtt.publish_timeout": "3s"}

    def keep(self, node, text):
        """An acknowledged message in a durable session, to be found later."""
        identity, topic = self.new_id("keeper"), self.topic(text)
        reader = self.durable(node, identity)
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        self.assertEqual(self.client(node).publish(topic, text, 1).code, 0)
        return identity

    def find(self, node, identity, text):
        reader = self.connect_when_possible(node, identity)
        self.assertTrue(reader.connack.session_present)
        self.assertEqual(reader.message().payload, text.encode())
        reader.disconnect()

    def test_a_node_that_is_restarted_comes_back_into_its_cluster(self):
        kept = [self.keep(node, f"before {node.number}") for node in self.nodes]
        for victim in self.nodes:
            victim.kill()
            other = self.nodes.others(victim)[0]
            self.nodes.await_ready([other], MOVE_DEADLINE)
            identity = self.keep(other, f"without {victim.number}")
            victim.start()
            self.nodes.await_ready()
            self.find(victim, identity, f"without {victim.number}")
        for node, identity in zip(self.nodes, kept):
            self.find(self.nodes.others(node)[1], identity, f"before {node.number}")

    def test_all_nodes_killed_at_once_come_back_with_what_was_acknowledged(self):
        kept = [self.keep(node, f"kept {node.number}") for node in self.nodes]
        for node in self.nodes:
            node.kill()
        self.nodes.start()
        for node, identity in zip(self.nodes, kept):
            self.find(self.nodes.others(node)[0], identity, f"kept {node.number}")

    def test_a_minority_refuses_honestly_and_goes_on_when_it_is_none(self):
        last, topic = self.nodes[2], self.topic()
        kept = self.keep(last, "kept")
        reader = self.durable(last)
        reader.subscribe(topic, qos=1)
        old = self.client(last, version=4)
        for node in self.nodes.others(last):
            node.kill()
        wait_until(lambda: not last.readiness()[0], "the minority is not ready", MOVE_DEADLINE)
        self.assertGreater(len(last.readiness()[1]), 10)
        self.assertIn(reader.publish(topic, "x", 1).code, REFUSED)
        self.assertIn(reader.publish(topic, "x", 2).code, REFUSED)
        self.assertEqual(reader.subscribe(topic + "/more", qos=1).codes, [0x83])
        newcomer = self.raw(last)
        self.assertIn(newcomer.connect(self.new_id()).code, (UNAVAILABLE, BUSY))
        with self.assertRaises(Closed):
            old.publish(topic, "x", 1)
        for node in self.nodes.others(last):
            node.launch()
        self.nodes.await_ready()
        self.find(self.nodes[0], kept, "kept")
        self.assertEqual(self.client(self.nodes[1]).publish(topic, "after", 1).code, 0)


class Waiting(unittest.TestCase):
    def test_a_node_alone_waits_for_the_others_says_so_and_can_be_stopped(self):
        nodes = Nodes(3)
        self.addCleanup(nodes.stop)
        nodes[0].launch()
        _, reason = wait_until(
            lambda: ("starting:" in nodes[0].readiness()[1]) and nodes[0].readiness(),
            lambda: "the node says what it waits for: " + nodes.why_not([nodes[0]]), 20)
        self.assertGreater(len(reason), len("starting: "))
        self.assertEqual(nodes[0].terminate(), 0)


if __name__ == "__main__":
    unittest.main()
