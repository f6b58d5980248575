"""One node of three is killed, paused or stopped at random moments under load, clients anywhere:
nothing acknowledged is lost, QoS 2 is never repeated, one publisher's messages keep their order.

QUORATE_KILLS sets how often (default 3), QUORATE_SEED the moments and the nodes; the seed is
printed. One node at a time: a quorum is left, and the next fault comes when the last node is back.
A paused node may find that the cluster has ended its start; then its process ends, and is started
again.
"""

import os
import random
import signal
import sys
import unittest

from lib.case import quorate_only
from lib.nodes import Nodes
from lib.wait import let_pass, wait_until
from lib.workload import Publisher, Subscriber, judge, wait_until_received

KILLS = int(os.environ.get("QUORATE_KILLS", "3"))
SEED = int(os.environ.get("QUORATE_SEED", random.SystemRandom().randrange(10 ** 6)))
SHARE = 3


class Anywhere:
    """The cluster as a client with several addresses sees it: any node that takes it."""

    def __init__(self, nodes, seed):
        self.nodes, self.rng = nodes, random.Random(seed)

    def stream(self, transport_name=None, **options):
        nodes = list(self.nodes)
        self.rng.shuffle(nodes)
        failure = None
        for node in nodes:
            if not node.is_running():
                continue
            try:
                return node.stream(transport_name, **options)
            except OSError as error:
                failure = error
        raise failure or ConnectionRefusedError("no node runs")


@quorate_only
class FaultsOfNodes(unittest.TestCase):
    def test_nothing_acknowledged_is_lost_or_repeated_when_nodes_are_killed(self):
        def kill(nodes, node, rng):
            node.kill()
            let_pass(rng.choice((0.0, 1.0, 5.0)))
            node.launch()
            nodes.await_ready()

        self.run_under(kill)

    def test_nothing_acknowledged_is_lost_or_repeated_when_nodes_pause(self):
        def pause(nodes, node, rng):
            node.process.send_signal(signal.SIGSTOP)
            let_pass(rng.choice((0.5, 2.0, 6.0)))
            node.process.send_signal(signal.SIGCONT)
            self.await_back(nodes, node)

        self.run_under(pause)

    def test_nothing_acknowledged_is_lost_or_repeated_when_nodes_stop(self):
        def stop(nodes, node, _):
            self.assertEqual(node.terminate(), 0)
            node.launch()
            nodes.await_ready()

        self.run_under(stop)

    @staticmethod
    def await_back(nodes, node):
        """Also when it had to end, a moment after it went on."""
        def back():
            if not node.is_running():
                node.join()
                node.launch()
            return all(each.readiness()[0] for each in nodes)

        wait_until(back, lambda: f"all are back: {nodes.why_not()}", 60)

    def run_under(self, fault):
        print(f"QUORATE_SEED={SEED} QUORATE_KILLS={KILLS}", file=sys.stderr, flush=True)
        rng = random.Random(SEED)
        nodes = Nodes(3, {"mqtt.max_queued_messages": 1000000, "mqtt.max_queued_bytes": "1GiB"})
        self.addCleanup(nodes.stop)
        nodes.start()
        place = lambda: Anywhere(nodes, rng.random())
        publishers = [Publisher(place(), f"p{n}", f"load/{n}", qos=1 + n % 2,
                                window=rng.choice((1, 4, 20)), version=5 if n < 4 else 4)
                      for n in range(6)]
        single = [Subscriber(place(), "all", ["load/#"]),
                  Subscriber(place(), "exact", [f"load/{n}" for n in range(6)], 4),
                  Subscriber(place(), "plus", ["load/+"])]
        group = [Subscriber(place(), f"member{n}", ["$share/g/load/+"]) for n in range(SHARE)]
        for subscriber in single + group:
            subscriber.start()
        for subscriber in single + group:
            self.assertTrue(subscriber.subscribed.wait(30), "no SUBACK")
        for publisher in publishers:
            publisher.start()
        for _ in range(KILLS):
            let_pass(rng.uniform(0.2, 2.0))
            fault(nodes, nodes[rng.randrange(len(nodes))], rng)
        self.wait_until_all_go_on(publishers)
        wait_until(lambda: sum(len(p.acknowledged) for p in publishers) > 50 * KILLS,
                   "enough is acknowledged", 120)
        self.finish(nodes, publishers, single, group)

    def finish(self, nodes, publishers, single, group):
        for publisher in publishers:
            publisher.stop()
        for publisher in publishers:
            publisher.join(60)
            self.assertFalse(publisher.is_alive(), f"{publisher.client_id} still waits for "
                             f"{list(publisher.open.items())[:5]}")
        wait_until_received(publishers, [[s] for s in single] + [group], 2, 120)
        for worker in single + group:
            worker.stop()
            worker.join(20)
        for worker in publishers + single + group:
            self.assertIsNone(worker.failure, f"{worker.client_id}: {worker.failure!r}")
        total = sum(len(p.acknowledged) for p in publishers)
        problems = [f"{s.client_id}: {p}" for s in single for p in judge(publishers, [s])]
        problems += ["group: " + p for p in judge(publishers, group)]
        self.assertEqual(problems, [], f"seed {SEED}")
        print(f"{total} acknowledged messages through {KILLS} faults, "
              f"{sum(p.refused for p in publishers)} refused", file=sys.stderr)

    def wait_until_all_go_on(self, publishers):
        before = [len(publisher.acknowledged) for publisher in publishers]
        wait_until(lambda: all(len(p.acknowledged) > n for p, n in zip(publishers, before)),
                   "every publisher goes on", 60)


if __name__ == "__main__":
    unittest.main()
