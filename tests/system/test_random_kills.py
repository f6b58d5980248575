"""SIGKILL at random moments under load: nothing acknowledged is lost, QoS 2 is never repeated.

QUORATE_KILLS sets how often (default 5), QUORATE_SEED the moments. The seed is printed. A moment is
a time after the restart and not a count of messages, so that it also falls into what comes before
the first of them: sessions that are resumed, messages that are sent again.
"""

import os
import random
import sys
import unittest

from lib.broker import Broker
from lib.case import quorate_only
from lib.wait import let_pass, wait_until
from lib.workload import Publisher, Subscriber, judge, wait_until_received

KILLS = int(os.environ.get("QUORATE_KILLS", "5"))
SEED = int(os.environ.get("QUORATE_SEED", random.SystemRandom().randrange(10 ** 6)))
SHARE = 3


@quorate_only
class RandomKills(unittest.TestCase):
    broker_type = Broker

    def test_nothing_acknowledged_is_lost_and_qos_2_is_never_repeated(self):
        print(f"QUORATE_SEED={SEED} QUORATE_KILLS={KILLS}", file=sys.stderr, flush=True)
        rng = random.Random(SEED)
        broker = self.broker_type({"mqtt.max_queued_messages": 1000000,
                                   "mqtt.max_queued_bytes": "1GiB"})
        self.addCleanup(broker.stop)
        broker.start()
        publishers = [Publisher(broker, f"p{n}", f"load/{n}", qos=1 + n % 2,
                                window=rng.choice((1, 4, 20)), version=5 if n < 4 else 4)
                      for n in range(6)]
        single = [Subscriber(broker, "all", ["load/#"]),
                  Subscriber(broker, "exact", [f"load/{n}" for n in range(6)], 4),
                  Subscriber(broker, "plus", ["load/+"])]
        group = [Subscriber(broker, f"member{n}", ["$share/g/load/+"]) for n in range(SHARE)]
        for subscriber in single + group:
            subscriber.start()
        for subscriber in single + group:
            self.assertTrue(subscriber.subscribed.wait(10), "no SUBACK")
        for publisher in publishers:
            publisher.start()
        for _ in range(KILLS):
            let_pass(rng.uniform(0.05, 1.2))
            broker.restart_after_kill()
        self.wait_until_all_go_on(publishers)
        # As much as proves something, also where all is slow.
        wait_until(lambda: sum(len(p.acknowledged) for p in publishers) > 50 * KILLS,
                   "enough is acknowledged", 120)
        self.finish(publishers, single, group)

    def finish(self, publishers, single, group):
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
        self.assertEqual(sum(p.refused for p in publishers), 0)
        print(f"{total} acknowledged messages through {KILLS} kills", file=sys.stderr)

    def wait_until_all_go_on(self, publishers):
        """Until each publisher has had something acknowledged since the last restart."""
        before = [len(publisher.acknowledged) for publisher in publishers]
        wait_until(lambda: all(len(p.acknowledged) > n for p, n in zip(publishers, before)),
                   "every publisher goes on", 60)


if __name__ == "__main__":
    unittest.main()
