"""Everything at once on more threads than cores: what the thread sanitizer is to see.

Durable and passing sessions on several loops, shared groups, retained values, wills, takeovers,
subscriptions that come and go, scrapes and reloads in the same seconds; then SIGTERM in the middle.
"""

import os
import signal
import threading
import time
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import quorate_only
from lib.client import Client
from lib.wait import wait_until
from lib.workload import BROKEN, Publisher, Subscriber, judge, wait_until_received

SECONDS = float(os.environ.get("QUORATE_THREADS_SECONDS", "3"))
STEPS_LEAST = 5  # of everything that goes on beside the traffic
ACKNOWLEDGED_LEAST = 10  # of every publisher


class Passing(Subscriber):
    """A session of expiry 0: what it gets comes from loop to loop."""

    def connect(self, client):
        if client.connect(self.client_id, clean=True).code:
            raise BROKEN[0]


@quorate_only
class Threads(unittest.TestCase):
    def setUp(self):
        self.broker = Broker({"node.loops": 3, "node.workers": 3, "mqtt.sys_interval": "1s",
                              "node.drain_timeout": "5s"})
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.stopping, self.failures, self.threads = threading.Event(), [], []
        self.steps = {}  # name -> how often it was done

    def background(self, step):
        """Repeats `step` until the end; a connection that is closed under it begins again."""
        name, number = step.__name__, 0
        self.steps[name] = 0

        def run():
            nonlocal number
            while not self.stopping.is_set():
                number += 1
                try:
                    step(number)
                    self.steps[name] += 1
                except BROKEN:
                    continue
                except Exception as error:  # reported by the test
                    self.failures.append(f"{name}: {error!r}")
                    return
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def client(self, client_id="", **options):
        client = Client(self.broker.stream("tcp"), 5)
        client.connect(client_id, **options)
        return client

    # what goes on beside the traffic

    def take_over(self, number):
        self.client(f"contested{number % 2}", clean=number % 5 == 0,
                    props={"session_expiry": 60}).ping()

    def come_and_go(self, number):
        client = self.client()
        for name in ("load/+", f"rare/{number}/#", "load/1", "$share/other/load/#"):
            client.subscribe(name, qos=number % 3)
        client.unsubscribe("load/+")
        client.close()

    def retain(self, number):
        client = self.client()
        client.publish(f"kept/{number % 7}", str(number), qos=1, retain=True)
        client.subscribe("kept/#", qos=1)
        client.publish(f"kept/{number % 7}", b"", qos=1, retain=True)
        client.disconnect()

    def vanish(self, number):
        client = self.client(will={"topic": f"gone/{number}", "payload": b"w", "qos": number % 3},
                             props={"session_expiry": 60})
        client.subscribe("gone/#", qos=1)
        client.abort()

    def watch(self, number):
        self.broker.http("/metrics")
        self.broker.http("/readyz")
        if number % 5 == 0:
            self.broker.process.send_signal(signal.SIGHUP)
        self.stopping.wait(0.02)

    def test_everything_at_once_and_a_stop_in_the_middle(self):
        publishers = [Publisher(self.broker, f"p{n}", f"load/{n}", qos=1 + n % 2, window=1 + n * 2,
                                version=5 if n % 3 else 4) for n in range(6)]
        single = [Subscriber(self.broker, "durable", ["load/#"]),
                  Passing(self.broker, "passing", ["load/#"]),
                  Passing(self.broker, "exact", [f"load/{n}" for n in range(6)])]
        group = [kind(self.broker, f"member{n}", ["$share/g/load/+"])
                 for n, kind in enumerate((Subscriber, Passing, Passing))]
        for subscriber in single + group:
            subscriber.start()
        for subscriber in single + group:
            self.assertTrue(subscriber.subscribed.wait(20), "no SUBACK")
        system = self.client()
        system.subscribe("$SYS/#")
        for step in (self.take_over, self.come_and_go, self.retain, self.vanish, self.watch):
            self.background(step)
        for publisher in publishers:
            publisher.start()
        self.let_all_go_on(publishers)
        for publisher in publishers:
            publisher.stop()
        for publisher in publishers:
            publisher.join(60)
            self.assertFalse(publisher.is_alive(), f"{publisher.client_id} still waits")
        wait_until_received(publishers, [[s] for s in single] + [group], 2, 60)
        self.assertEqual(self.failures, [])
        for worker in publishers + single + group:
            self.assertIsNone(worker.failure, f"{worker.client_id}: {worker.failure!r}")
        problems = [f"{s.client_id}: {p}" for s in single for p in judge(publishers, [s])]
        problems += ["group: " + p for p in judge(publishers, group)]
        self.assertEqual(problems, [])
        self.assertGreater(sum(len(p.acknowledged) for p in publishers), 50, "too little load")
        self.stop_in_the_middle(single + group)

    def let_all_go_on(self, publishers):
        """For SECONDS at least, and until each of those that meet here has had its part."""
        end = time.monotonic() + SECONDS

        def done():
            return self.failures or time.monotonic() >= end and \
                min(self.steps.values()) >= STEPS_LEAST and \
                min(len(p.acknowledged) for p in publishers) >= ACKNOWLEDGED_LEAST
        wait_until(done, lambda: f"{self.steps}, acknowledged "
                   f"{[len(p.acknowledged) for p in publishers]}", SECONDS + 60)

    def stop_in_the_middle(self, subscribers):
        flood = self.client()
        for number in range(500):
            flood.send(wire.publish(f"load/{number % 6}", f"last {number}", qos=1,
                                    packet_id=number + 1))
        status = self.broker.terminate(60)
        self.stopping.set()
        for thread in [*self.threads, *subscribers]:
            if thread in subscribers:
                thread.stop()
            thread.join(30)
        self.assertEqual(status, 0, self.broker.output()[-2000:])


if __name__ == "__main__":
    unittest.main()
