"""Disks that fail, fill and stall under the whole server."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import quorate_only
from lib.client import Closed
from lib.volatile import FaultyBroker
from lib.wait import wait_until

QUOTA_EXCEEDED = 0x97
SERVER_UNAVAILABLE_3 = 3  # CONNACK of MQTT 3
AT_ONCE = 2.0  # seconds; a publish that waits is refused after ten
TMPFS = "96m"


def until_closed(client):
    """All packets that still arrive."""
    found = []
    try:
        while True:
            found.append(client.read_packet())
    except (Closed, ConnectionError):
        return found


@quorate_only
class SlowStart(unittest.TestCase):
    def test_signals_are_heard_while_the_start_waits_for_the_disk(self):
        broker = FaultyBroker({"cluster.shards": 16})
        self.addCleanup(broker.stop)
        broker.start()
        self.assertEqual(broker.terminate(), 0)
        with open(broker.faults, "r+b", buffering=0) as faults:
            for number in (signal.SIGTERM, signal.SIGINT):
                faults.write(b"sync_delay 1000\n")
                process = subprocess.Popen(broker.command(), cwd=broker.home, text=True,
                                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.addCleanup(process.kill)
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    if "injected" in line:
                        process.send_signal(number)
                process.stdout.close()
                self.assertEqual(process.wait(60), 0, "".join(lines))
                self.assertNotIn("quorate ready", "".join(lines))
                self.assertIn("before it was ready", "".join(lines))
        # What was begun is no obstacle.
        broker.start()
        self.assertEqual(broker.http("/readyz")[0], 200)


class DiskCase(unittest.TestCase):
    options = {}

    def setUp(self):
        self.broker = FaultyBroker(self.options)
        self.addCleanup(self.broker.stop)
        self.broker.start()

    def client(self, name, version=5, clean=True, expiry=0, broker=None):
        client = (broker or self.broker).client(version)
        self.addCleanup(client.close)
        props = {"session_expiry": expiry} if version == 5 else None
        client.connect(name, clean=clean, props=props)
        self.assertEqual(client.connack.code, 0, client.connack)
        return client

    def durable(self, name, version=5, broker=None):
        return self.client(name, version, False, 3600, broker)

    def refused(self, name, version, clean, expiry):
        """The code of a CONNACK that says no."""
        client = self.broker.client(version)
        self.addCleanup(client.close)
        began = time.monotonic()
        answer = client.connect(name, clean=clean,
                                props={"session_expiry": expiry} if version == 5 else None)
        self.assertLess(time.monotonic() - began, AT_ONCE)
        return answer.code

    def wait_for(self, condition, what, timeout=20.0):
        wait_until(condition, what, timeout)

    def is_ready(self, broker=None):
        return (broker or self.broker).http("/readyz")[0] == 200

    @contextlib.contextmanager
    def at_once(self):
        began = time.monotonic()
        yield
        self.assertLess(time.monotonic() - began, AT_ONCE)


@quorate_only
class Failing(DiskCase):
    """A failed write or sync ends the process: nobody knows what the disk holds."""

    def dies(self, fault, *words):
        reader = self.durable("r")
        reader.subscribe("t", qos=2)
        writer = self.client("w")
        for n in range(20):
            self.assertEqual(writer.publish("t", str(n), qos=1).code, 0)
        self.broker.fault(fault)
        writer.offer(wire.publish("t", b"never acknowledged", qos=1, packet_id=999))
        self.wait_for(lambda: not self.broker.is_running(), "the end of the process")
        self.broker.join()
        self.assertNotEqual(self.broker.process.returncode, 0)
        for word in words:
            self.assertIn(word, self.broker.output())
        self.assertEqual([p for p in until_closed(writer) if p.kind == wire.PUBACK], [])
        self.broker.start()
        reader = self.durable("r")
        self.assertTrue(reader.connack.session_present)
        self.assertEqual([m.payload for m in reader.messages(20)],
                         [str(n).encode() for n in range(20)])

    def test_a_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost(self):
        self.dies("fail_sync 1", "storage failed", "sync")

    def test_a_write_without_space_ends_the_process_and_nothing_acknowledged_is_lost(self):
        self.dies("space_left 10", "storage failed", "full")

    def test_a_flush_without_space_ends_the_process(self):
        self.broker.stop()
        self.broker = FaultyBroker({"storage.flush_interval": "1s"})
        self.addCleanup(self.broker.stop)
        self.broker.start()
        writer = self.client("w")
        self.assertLess(writer.publish("t", b"x", qos=1, retain=True).code, 0x80)
        self.broker.fault("space_left 0")
        self.wait_for(lambda: not self.broker.is_running(), "the end of the process")
        self.broker.join()
        self.assertIn("storage failed", self.broker.output())
        self.broker.start()
        reader = self.client("r")
        reader.subscribe("t", qos=1)
        self.assertEqual(reader.message().payload, b"x")

    def test_a_disk_that_stalls_holds_up_acknowledgements_and_nothing_else(self):
        self.durable("r").subscribe("t", qos=1)
        writer, bystander = self.client("w"), self.client("b")
        self.broker.fault("sync_delay 1500")
        began = time.monotonic()
        writer.send(wire.publish("t", b"slow", qos=1, packet_id=1))
        while time.monotonic() - began < 1.0:
            with self.at_once():
                bystander.ping()
        self.assertEqual(writer.expect_for(wire.PUBACK, 1).code, 0)
        self.assertGreater(time.monotonic() - began, 1.0)
        self.broker.fault("sync_delay 0")


@quorate_only
class Full(DiskCase):
    """Above storage.disk_high_water what grows is refused at once and what frees goes through."""

    options = {"mqtt.publish_timeout": "3s"}

    def setUp(self):
        super().setUp()
        self.reader = self.durable("r")
        self.reader.subscribe("t", qos=2)
        self.writers = {version: self.durable(f"w{version}", version) for version in (4, 5)}
        for n in range(6):
            self.writers[5].publish("t", str(n), qos=1 + n % 2)
        self.writers[5].publish("kept", b"old", qos=1, retain=True)

    def fill(self, percent):
        self.broker.fault(f"disk_used {percent}")
        self.wait_for(lambda: not self.is_ready(), "readiness to end")

    def free(self):
        self.broker.fault("disk_used 50")
        self.wait_for(self.is_ready, "readiness")

    def test_publishes_for_durable_sessions_are_refused_and_accepted_again(self):
        self.fill(92)
        with self.at_once():
            self.assertEqual(self.writers[5].publish("t", b"x", qos=1).code, QUOTA_EXCEEDED)
            self.assertEqual(self.writers[5].publish("t", b"x", qos=2).code, QUOTA_EXCEEDED)
            self.assertEqual(self.writers[5].publish("new", b"x", qos=1, retain=True).code,
                             QUOTA_EXCEEDED)
        for qos in (1, 2):
            with self.at_once():
                writer = self.durable("w4", 4)
                writer.offer(wire.publish("t", b"x", qos=qos, packet_id=7, version=4))
                self.assertIsNone(writer.wait_closed())
        self.free()
        self.assertEqual(self.writers[5].publish("t", b"after", qos=2).code, 0)
        self.assertEqual([m.payload for m in self.reader.until("after")],
                         [str(n).encode() for n in range(6)])

    def test_what_frees_goes_through(self):
        self.fill(92)
        with self.at_once():
            self.assertEqual(len(self.reader.messages(6)), 6)
            self.reader.ping()
        self.reader.unsubscribe("t")
        self.reader.disconnect()
        with self.at_once():
            reader = self.durable("r")
            self.assertTrue(reader.connack.session_present)
        reader.silence()
        self.assertLess(self.writers[5].publish("kept", b"", qos=1, retain=True).code, 0x80)
        reader.disconnect()
        with self.at_once():
            self.client("r", expiry=0).disconnect()
        self.free()
        late = self.client("late")
        late.subscribe("kept", qos=1)
        late.silence()
        self.assertFalse(self.durable("r").connack.session_present)

    def test_new_durable_sessions_and_subscriptions_are_refused(self):
        self.fill(92)
        self.assertEqual(self.refused("new", 5, False, 3600), QUOTA_EXCEEDED)
        self.assertEqual(self.refused("new", 4, False, 0), SERVER_UNAVAILABLE_3)
        with self.at_once():
            self.reader.send(wire.subscribe(50, [("more", 1)]))
            self.assertEqual(self.reader.expect(wire.SUBACK).codes, [QUOTA_EXCEEDED])
        self.free()
        self.reader.subscribe("more", qos=1)
        self.durable("new")

    def test_memory_sessions_go_on(self):
        self.fill(92)
        for version in (4, 5):
            with self.at_once():
                client = self.client(f"m{version}", version)
                client.subscribe(f"memory/{version}", qos=2)
                answer = client.publish(f"memory/{version}", b"x", qos=1)
                self.assertEqual(answer.code, 0)
                self.assertEqual(client.message().payload, b"x")
                client.disconnect()

    def test_a_taken_qos_2_publish_is_not_refused_when_it_comes_again(self):
        writer = self.writers[5]
        writer.send(wire.publish("t", b"taken", qos=2, packet_id=77))
        writer.expect_for(wire.PUBREC, 77)
        writer.close()
        self.fill(92)
        writer = self.durable("w5")
        writer.send(wire.publish("t", b"taken", qos=2, packet_id=77, dup=True))
        self.assertEqual(writer.expect_for(wire.PUBREC, 77).code, 0)
        self.assertEqual(writer.release(77).code, 0)
        payloads = [m.payload for m in self.reader.messages(7)]
        self.assertEqual(payloads.count(b"taken"), 1)

    def test_above_the_second_mark_nothing_is_written_and_a_publish_is_refused_in_time(self):
        self.fill(98)
        began = time.monotonic()
        self.assertEqual(self.writers[5].publish("t", b"x", qos=1).code, QUOTA_EXCEEDED)
        self.assertLess(time.monotonic() - began, 6)
        self.free()
        self.assertEqual(self.writers[5].publish("t", b"after", qos=1).code, 0)


@quorate_only
class Marks(DiskCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="quorate-test-")
        self.addCleanup(self.folder.cleanup)
        self.configuration = os.path.join(self.folder.name, "quorate.yaml")
        self.write(40)
        self.broker = FaultyBroker(arguments=["--config", self.configuration])
        self.addCleanup(self.broker.stop)
        self.broker.start()

    def write(self, high_water):
        with open(self.configuration, "w", encoding="utf-8") as out:
            out.write(f"storage: {{disk_high_water: {high_water}, disk_stop: 95}}\n")

    def test_the_marks_are_those_of_the_configuration_also_after_a_reload(self):
        self.durable("r").subscribe("t", qos=1)
        writer = self.client("w")
        self.broker.fault("disk_used 60")
        self.wait_for(lambda: not self.is_ready(), "readiness to end")
        self.assertEqual(writer.publish("t", b"x", qos=1).code, QUOTA_EXCEEDED)
        self.write(70)
        self.broker.process.send_signal(signal.SIGHUP)
        self.wait_for(self.is_ready, "readiness")
        self.assertEqual(writer.publish("t", b"x", qos=1).code, 0)


@quorate_only
class RealVolume(DiskCase):
    """The product's own binary on a small tmpfs with a ballast file."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quorate-test-")
        self.addCleanup(os.rmdir, self.folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs",
                                  self.folder], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a tmpfs here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", self.folder], check=False)
        self.broker = Broker({"node.data_dir": os.path.join(self.folder, "data"),
                              "storage.write_buffer": "1MiB"})
        self.addCleanup(self.broker.stop)
        self.broker.start()

    def test_a_volume_that_fills_refuses_and_recovers_when_space_returns(self):
        self.durable("r").subscribe("t", qos=1)
        writer = self.client("w")
        self.assertEqual(writer.publish("t", b"before", qos=1).code, 0)
        volume = os.statvfs(self.folder)
        used = volume.f_blocks - volume.f_bfree
        ballast = os.path.join(self.folder, "ballast")
        with open(ballast, "wb") as out:
            os.posix_fallocate(out.fileno(), 0,
                               (volume.f_blocks * 93 // 100 - used) * volume.f_frsize)
        self.wait_for(lambda: not self.is_ready(), "readiness to end")
        with self.at_once():
            self.assertEqual(writer.publish("t", b"refused", qos=1).code, QUOTA_EXCEEDED)
        os.remove(ballast)
        self.wait_for(self.is_ready, "readiness")
        self.assertEqual(writer.publish("t", b"after", qos=1).code, 0)


if __name__ == "__main__":
    unittest.main()
