"""Power loss of the whole server: everything that holds under SIGKILL holds when the kernel's cache
dies with the process. The same tests, on a disk where what was not synced never was.

QUORATE_KILLS sets how often the random ones pull the plug, QUORATE_SEED when.
"""

import unittest

import test_durability
import test_main_job
import test_random_kills
from lib import mqtt_wire as wire
from lib.case import quorate_only
from lib.transport import Timeout
from lib.volatile import VolatileBroker


class Messages(test_durability.Messages):
    broker_type = VolatileBroker


class RetainedAndWills(test_durability.RetainedAndWills):
    broker_type = VolatileBroker


class ExpiryAndSharing(test_durability.ExpiryAndSharing):
    broker_type = VolatileBroker


class RandomPowerLoss(test_random_kills.RandomKills):
    broker_type = VolatileBroker


class MainJob(test_main_job.MainJob):
    broker_type = VolatileBroker


@quorate_only
class FirstStart(unittest.TestCase):
    def setUp(self):
        self.broker = VolatileBroker()
        self.addCleanup(self.broker.stop)

    def test_a_data_directory_made_a_moment_ago_survives(self):
        for _ in range(4):
            self.broker.start()
            reader = self.broker.client()
            answer = reader.connect("first", clean=False, props={"session_expiry": 3600})
            self.assertEqual(answer.code, 0)
            reader.close()
            self.broker.kill()
        self.broker.start()
        reader = self.broker.client()
        self.addCleanup(reader.close)
        self.assertTrue(reader.connect("first", clean=False,
                                       props={"session_expiry": 3600}).session_present)

    def test_a_clean_stop_leaves_everything(self):
        self.broker.start()
        writer = self.broker.client()
        writer.connect("w")
        for n in range(50):
            writer.publish(f"kept/{n}", b"x", qos=1, retain=True)
        writer.close()
        self.assertEqual(self.broker.terminate(), 0)
        self.broker.start()
        reader = self.broker.client()
        self.addCleanup(reader.close)
        reader.connect("r")
        reader.subscribe("kept/#", qos=1)
        self.assertEqual(len(reader.messages(50)), 50)


@quorate_only
class TheDiskForgets(unittest.TestCase):
    """Without this the tests above could pass on a disk that keeps everything."""

    MESSAGES = 100

    def received_after_power_loss(self, sync):
        """How many of the messages acknowledged before the plug was pulled come afterwards."""
        broker = VolatileBroker({"storage.sync": sync})
        self.addCleanup(broker.stop)
        broker.start()
        reader, writer = broker.client(), broker.client()
        reader.connect("r", clean=False, props={"session_expiry": 3600})
        reader.subscribe("t", qos=1)
        reader.disconnect()
        writer.connect("w")
        for n in range(self.MESSAGES):
            writer.publish("t", str(n), qos=1)
        broker.restart_after_kill()
        reader = broker.client()
        self.addCleanup(reader.close)
        reader.connect("r", clean=False, props={"session_expiry": 3600})
        received = []
        if reader.connack.session_present:
            try:
                while True:
                    received.append(int(reader.message(1).payload))
            except Timeout:
                pass
        self.assertEqual(received, list(range(len(received))), "a hole, not a suffix")
        broker.stop()
        return len(received)

    def test_what_was_acknowledged_before_the_sync_is_lost_from_the_end(self):
        # The durable mark syncs once a second, so a single run may be lucky.
        runs = [self.received_after_power_loss("interval:60s") for _ in range(3)]
        self.assertLess(min(runs), self.MESSAGES, "nothing was lost: the disk forgets nothing")

    def test_what_was_acknowledged_after_the_sync_is_not(self):
        self.assertEqual(self.received_after_power_loss("always"), self.MESSAGES)


@quorate_only
class PacketIdentifiers(test_durability.KillCase):
    broker_type = VolatileBroker

    def test_every_half_step_of_qos_2_continues_where_it_was(self):
        """Both handshakes, the plug pulled after each packet."""
        reader, writer = self.durable("r"), self.durable("w")
        reader.subscribe(self.name, qos=2)
        writer.send(wire.publish(self.name, b"x", qos=2, packet_id=9))
        writer.expect_for(wire.PUBREC, 9)
        self.kill()
        writer = self.durable("w")
        writer.send(wire.acknowledge(wire.PUBREL, 9))
        self.assertEqual(writer.expect_for(wire.PUBCOMP, 9).code, 0)
        self.kill()
        reader = self.durable("r")
        first = reader.next_publish()
        self.kill()
        reader = self.durable("r")
        again = reader.next_publish()
        self.assertEqual((again.packet_id, again.payload, again.dup),
                         (first.packet_id, b"x", True))
        reader.send(wire.acknowledge(wire.PUBREC, again.packet_id))
        reader.expect_for(wire.PUBREL, again.packet_id)
        self.kill()
        reader = self.durable("r")
        packet = reader.receive()
        self.assertEqual((packet.kind, packet.packet_id), (wire.PUBREL, again.packet_id))
        reader.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id))
        reader.ping()
        reader.silence()
        writer = self.durable("w")
        self.assertEqual(writer.release(9).code, 0x92)


if __name__ == "__main__":
    unittest.main()
