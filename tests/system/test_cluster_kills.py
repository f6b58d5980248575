"""SIGKILL of one node of three at random moments under load, clients anywhere: nothing acknowledged
is lost, QoS 2 is never repeated, one publisher's messages keep their order.

QUORATE_KILLS sets how often (default 4), QUORATE_SEED the moments and the nodes; the seed is printed.
One node at a time: a quorum is left, and the next one dies when the last is back.
"""

import os
import random
import sys
import unittest

from lib.case import quorate_only
from lib.nodes import Nodes
from lib.wait import let_pass, wait_until
from lib.workload import Publisher, Subscriber, judge, wait_until_received

KILLS = int(os.environ.get("QUORATE_KILLS", "4"))
SEED = int(os.environ.get("QUORATE_SEED", random.SystemRandom().randrange(10 ** 6)))
SHARE = 3


class Anywhere:
    """The cluster as a client with several addresses sees it: any node that takes the connection."""

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
class RandomKillsOfNodes(unittest.TestCase):
    def test_nothing_acknowledged_is_lost_and_qos_2_is_never_repeated(self):
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
            node = nodes[rng.randrange(len(nodes))]
            node.kill()
            node.join()
            let_pass(rng.choice((0.0, 1.0, 5.0)))
            node.launch()
            nodes.await_ready()
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
        print(f"{total} acknowledged messages through {KILLS} kills, "
              f"{sum(p.refused for p in publishers)} refused", file=sys.stderr)

    def wait_until_all_go_on(self, publishers):
        before = [len(publisher.acknowledged) for publisher in publishers]
        wait_until(lambda: all(len(p.acknowledged) > n for p, n in zip(publishers, before)),
                   "every publisher goes on", 60)


if __name__ == "__main__":
    unittest.main()
