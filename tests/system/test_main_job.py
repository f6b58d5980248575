"""The main job with real clients: a persistent QoS 2 mosquitto_sub, messages while it is away, the
broker killed and restarted, every message exactly once."""

import shutil
import subprocess
import unittest

from lib.broker import Broker
from lib.case import quorate_only
from lib.wait import wait_until

MESSAGES = 200


@quorate_only
@unittest.skipUnless(shutil.which("mosquitto_sub"), "mosquitto-clients are not installed")
class MainJob(unittest.TestCase):
    broker_type = Broker

    def test_every_message_exactly_once_over_kill_and_restart(self):
        for version in ("mqttv5", "mqttv311"):
            with self.subTest(version=version):
                broker = self.broker_type()
                self.addCleanup(broker.stop)
                broker.start()
                self.run_job(broker, version)
                broker.stop()

    def subscriber(self, broker, version, *arguments):
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.ports["tcp"]), "-V",
                   version, "-i", "collector", "-c", "-q", "2", "-t", "orders/#", *arguments]
        if version == "mqttv5":
            command += ["-x", "3600"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def publish(self, broker, version, first, last, topic):
        lines = "".join(f"order {n}\n" for n in range(first, last))
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.ports["tcp"]), "-V",
                        version, "-i", f"shop{first}", "-q", "2", "-t", topic, "-l"],
                       input=lines, text=True, check=True, timeout=60)

    def run_job(self, broker, version):
        first = self.subscriber(broker, version, "-E")
        self.assertEqual(first.communicate(timeout=30), ("", None))
        self.publish(broker, version, 0, MESSAGES // 2, "orders/a")
        broker.kill()
        broker.start()
        self.publish(broker, version, MESSAGES // 2, MESSAGES, "orders/b/c")
        broker.kill()
        broker.start()
        # What came twice would be among the first MESSAGES, or left for the third.
        second = self.subscriber(broker, version, "-C", str(MESSAGES), "-W", "50")
        output, _ = second.communicate(timeout=60)
        received = [line for line in output.splitlines() if line.startswith("order ")]
        self.assertEqual(sorted(received), sorted(f"order {n}" for n in range(MESSAGES)), output)
        third = self.subscriber(broker, version, "-W", "1")
        output, _ = third.communicate(timeout=60)
        self.assertEqual([line for line in output.splitlines() if line.startswith("order ")], [])

    def test_a_connected_subscriber_misses_nothing_when_the_broker_dies_under_it(self):
        broker = self.broker_type()
        self.addCleanup(broker.stop)
        broker.start()
        # libmosquitto 2.0 takes messages that are sent again after a reconnect off its receive
        # quota twice and never gives that back: with its 20 it would call our resends an error.
        subscriber = self.subscriber(broker, "mqttv5", "-D", "connect", "receive-maximum", "1000")
        self.addCleanup(subscriber.kill)
        wait_until(lambda: broker.metric("quorate_subscriptions") >= 1, "subscribed", 20)
        for block in range(3):
            self.publish(broker, "mqttv5", block * 50, block * 50 + 50, f"orders/{block}")
            broker.restart_after_kill()
        # One more for each topic: what a topic owes comes before it.
        for block in range(3):
            self.publish(broker, "mqttv5", 150 + block, 151 + block, f"orders/{block}")
        received, last = [], {"order 150", "order 151", "order 152"}
        while not last <= set(received):
            line = subscriber.stdout.readline()
            self.assertTrue(line, received[-5:])
            received.append(line.strip())
        subscriber.terminate()
        received += subscriber.communicate(timeout=20)[0].split("\n")
        orders = [line for line in received if line.startswith("order ")]
        self.assertEqual(sorted(orders), sorted(f"order {n}" for n in range(153)))


if __name__ == "__main__":
    unittest.main()
