"""The tests' own checkers notice what they are for."""

import itertools
import unittest

from lib import mqtt_wire as wire
from lib.broker import Broker
from lib.case import BrokerCase
from lib.linear import Operation, linearizable
from lib.properties import WireError, encode_one, encode_string
from lib.wait import NotInTime, wait_until, wait_until_still
from lib.workload import Publisher, Subscriber, judge, wait_until_received


class Judge(unittest.TestCase):
    def publisher(self, qos, acknowledged, sequence):
        publisher = Publisher(None, "p", "t", qos)
        publisher.acknowledged, publisher.sequence = set(acknowledged), sequence
        return publisher

    def subscriber(self, *numbers):
        subscriber = Subscriber(None, "s", [])
        subscriber.received = [(f"p {n}", 2) for n in numbers]
        return subscriber

    def test_a_clean_history_passes(self):
        for qos, received in ((2, (1, 2, 3)), (1, (1, 1, 2, 1, 2, 3))):
            self.assertEqual(judge([self.publisher(qos, (1, 2, 3), 3)],
                                   [self.subscriber(*received)]), [])
        self.assertEqual(judge([self.publisher(2, (1,), 2)], [self.subscriber(1, 2)]), [],
                         "an unacknowledged message may arrive")

    def test_loss_repetition_disorder_and_invention_are_found(self):
        for qos, acknowledged, sequence, received in (
                (2, (1, 2, 3), 3, (1, 3)), (2, (1, 2), 2, (1, 2, 1)), (1, (1, 2), 2, (2, 1)),
                (1, (1,), 1, (1, 2))):
            self.assertEqual(len(judge([self.publisher(qos, acknowledged, sequence)],
                                       [self.subscriber(*received)])), 1)

    def test_members_of_a_group_are_judged_together(self):
        publisher = self.publisher(2, (1, 2, 3), 3)
        self.assertEqual(judge([publisher], [self.subscriber(3, 1), self.subscriber(2)]), [])
        self.assertEqual(len(judge([publisher], [self.subscriber(3, 1), self.subscriber(2, 1)])), 1)


class Register(unittest.TestCase):
    def test_stale_reads_are_found(self):
        writes = [Operation("write", "a", 0, 1), Operation("write", "b", 2, 3)]
        for start, end, value, good in ((4, 5, "b", True), (4, 5, "a", False), (2.5, 5, "a", True),
                                        (0.5, 0.6, "0", True), (1.5, 1.6, "0", False),
                                        (0.5, 5, "b", True)):
            self.assertEqual(linearizable(writes + [Operation("read", value, start, end)], "0"),
                             good, (start, end, value))
        unanswered = [Operation("write", "a", 0, None)]
        for value in "0a":
            self.assertTrue(linearizable(unanswered + [Operation("read", value, 5, 6)], "0"))
        self.assertFalse(linearizable(unanswered + [Operation("read", "a", 5, 6),
                                                    Operation("read", "0", 7, 8)], "0"))


class Sanitizers(unittest.TestCase):
    def test_a_report_of_the_server_fails_the_test_that_stops_it(self):
        for line in ("==7==ERROR: AddressSanitizer: heap-use-after-free on address",
                     "WARNING: ThreadSanitizer: data race (pid=7)",
                     "cluster/x.cpp:3:5: runtime error: signed integer overflow"):
            broker = Broker()
            broker.lines = ["quorate ready", line, "    #0 quorate::f() x.cpp:3"]
            with self.assertRaisesRegex(AssertionError, "#0 quorate::f"):
                broker.stop()

    def test_a_log_about_errors_is_no_report(self):
        broker = Broker()
        broker.lines = ["level=error text=\"a runtime failure\"", "level=warn text=WARNING"]
        broker.stop()


class Parser(unittest.TestCase):
    def test_unlawful_packets_of_a_server_are_refused(self):
        topic = encode_string("t")
        for data, version in (
                (b"\x20\x03\x02\x00\x00", 5), (b"\x20\x02\x00\x06", 4), (b"\x21\x03\0\0\0", 5),
                (b"\x20\x03\x00\x01\x00", 5), (b"\x10\x00", 5), (b"\x38\x04" + topic + b"\0", 5),
                (b"\x36\x06" + topic + b"\0\1\0", 5), (b"\x32\x06" + topic + b"\0\0\0", 5),
                (b"\x30\x05" + topic + b"\1\1", 5), (b"\x30\x07" + topic + b"\3\1\2\0", 5),
                (wire.publish("a/#", b""), 5), (wire.publish(b"\xff", b""), 5),
                (wire.publish("t", b"", props=encode_one("content_type", "x") * 2), 5),
                (wire.publish("t", b"", props=encode_one("topic_alias", 0)), 5),
                (wire.publish("", b""), 5), (wire.disconnect(version=4), 4),
                (wire.disconnect(0, {"session_expiry": 1}), 5), (wire.disconnect(4), 5),
                (b"\x40\x02\x00\x00", 4), (b"\x40\x03\x00\x01\x00", 4), (b"\x90\x03\0\1\3", 4),
                (b"\x90\x02\0\1", 4), (b"\x60\x02\0\1", 4), (b"\xd0\x01\0", 5),
                (b"\xb0\x03\0\1\0", 4), (b"\x40\x03\0\1\1", 5)):
            with self.subTest(data=data, version=version):
                self.assertRaises(WireError, wire.parse, data, version)

    def test_lengths_longer_than_needed_are_refused(self):
        self.assertRaises(WireError, wire.split, b"\xd0\x80\x00")
        self.assertRaises(WireError, wire.split, b"\x30\xff\xff\xff\xff\x01")
        self.assertEqual(wire.split(b"\xd0\x00\xd0"), (b"\xd0\x00", b"\xd0"))
        self.assertEqual(wire.split(b"\x30\x85"), (None, b"\x30\x85"))


class Waiting(unittest.TestCase):
    def test_the_first_true_value_is_returned_and_nothing_asked_after_it(self):
        values = iter([None, 0, "yes", "no"])
        self.assertEqual(wait_until(lambda: next(values), "a value"), "yes")
        self.assertEqual(next(values), "no")

    def test_a_condition_is_asked_at_least_once_and_what_was_missing_is_told(self):
        self.assertTrue(wait_until(lambda: True, "nothing", 0))
        with self.assertRaisesRegex(NotInTime, "not in time: tea"):
            wait_until(lambda: False, "tea", 0)
        with self.assertRaisesRegex(NotInTime, "not in time: 3"):
            wait_until(lambda: False, lambda: str(1 + 2), 0)

    def test_still_is_what_has_not_changed_for_a_time(self):
        readings = itertools.chain([1, 1, 2, 2, 3], itertools.repeat(4))
        wait_until_still(lambda: next(readings), "still", 0.1, 10)
        self.assertEqual(next(readings), 4)
        with self.assertRaises(NotInTime):
            wait_until_still(lambda counter=itertools.count(): next(counter), "still", 0.1, 0.2)

    def test_messages_that_never_come_end_the_wait_and_are_left_to_the_judge(self):
        publisher, subscriber = Publisher(None, "p", "t", 1), Subscriber(None, "s", [])
        publisher.acknowledged = {1, 2}
        wait_until_received([publisher], [[subscriber]], 0.1, 0.2)
        self.assertTrue(judge([publisher], [subscriber]))


class Workload(BrokerCase):
    def test_without_crashes_the_workload_passes_its_own_checker(self):
        base = self.topic()
        publishers = [Publisher(self.broker, self.new_id(), f"{base}/{n}", 1 + n % 2,
                                version=4 + n % 2, limit=40) for n in range(3)]
        subscribers = [Subscriber(self.broker, self.new_id(), [base + "/#"], 4 + n)
                       for n in range(2)]
        for worker in subscribers:
            worker.start()
        for worker in subscribers:
            self.assertTrue(worker.subscribed.wait(10))
        for worker in publishers:
            worker.start()
        for worker in publishers:
            worker.join(30)
            self.assertEqual(len(worker.acknowledged), 40)
        self.wait_for(lambda: all(len(s.received) >= 120 for s in subscribers), "all messages")
        for worker in subscribers:
            worker.stop()
            worker.join(10)
            self.assertIsNone(worker.failure)
            self.assertEqual(judge(publishers, [worker]), [])


if __name__ == "__main__":
    unittest.main()
