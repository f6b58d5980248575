"""What the broker promises beyond the standard, with many clients at once on one node."""

import threading
import time
import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, quorate_only
from lib.linear import Operation, linearizable
from lib.transport import Timeout

ROUNDS = 120


class Concurrent(BrokerCase):
    def run_all(self, functions):
        """Runs each on a thread of its own; the first failure fails the test."""
        failures = []

        def guarded(function):
            try:
                function()
            except Exception as error:
                failures.append(error)
        threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "a client hangs")
        if failures:
            raise failures[0]


class Subscriptions(Concurrent):
    def test_after_suback_every_publish_of_anyone_is_matched(self):
        """G3: subscriber and publisher on connections of all loops, exact and wildcard filters."""
        def probe(number):
            base = self.topic(str(number))
            reader = self.durable() if number % 2 else self.client()
            writers = [self.client() for _ in range(3)]
            for n in range(ROUNDS):
                topic = f"{base}/{n}"
                reader.subscribe(topic if n % 3 else f"{base}/+/{n}" if n % 2 else f"{base}/#",
                                 qos=1)
                if n % 3 == 0 and n % 2:
                    topic = f"{base}/x/{n}"
                writers[n % 3].publish(topic, str(n), qos=n % 2)
                packet = reader.message()
                while packet.payload != str(n).encode():
                    packet = reader.message(2)
                if n % 3 == 0:
                    reader.unsubscribe(f"{base}/+/{n}" if n % 2 else f"{base}/#")
        self.run_all([lambda n=n: probe(n) for n in range(4)])

    def test_after_unsuback_nothing_comes(self):
        def probe(number):
            base = self.topic(str(number))
            reader, writer = self.client(), self.client()
            for n in range(ROUNDS):
                topic_filter = f"{base}/{n}" if n % 2 else f"{base}/{n}/#"
                reader.subscribe(topic_filter, qos=1)
                reader.unsubscribe(topic_filter)
                writer.publish(f"{base}/{n}", b"late", qos=1)
            reader.silence(0.2)
        self.run_all([lambda n=n: probe(n) for n in range(4)])


    def test_every_subscriber_of_one_filter_at_one_moment_gets_its_suback(self):
        """R-4: routes that change again while an earlier change is under way."""
        members = [self.durable() if n % 2 else self.client() for n in range(8)]
        for kind in ("$share/g/{}", "{}", "{}/#"):
            for round_number in range(40):
                topic_filter = kind.format(self.topic(str(round_number)))
                for n, member in enumerate(members):
                    member.send(wire.subscribe(round_number + 1, [(topic_filter, n % 3)]))
                for n, member in enumerate(members):
                    try:
                        answer = member.expect(wire.SUBACK, 5)
                    except Timeout:
                        self.fail(f"no SUBACK for member {n}, {topic_filter}")
                    self.assertEqual(answer.codes, [n % 3])
                if round_number % 2:
                    for member in members:
                        member.unsubscribe(topic_filter)


class Order(Concurrent):
    def test_each_publishers_order_is_kept_at_every_qos(self):
        """G5, with publishers on one topic, subscribers durable and not, exact and wildcard."""
        topic, count = self.topic(), 150
        readers = [self.client(), self.durable(), self.client(4), self.durable(4)]
        for number, reader in enumerate(readers):
            reader.subscribe(topic if number % 2 else topic + "/#", qos=2)

        def write(number, qos):
            writer = self.client(4 + number % 2)
            for first in range(0, count, 10):
                writer.send(b"".join(
                    wire.publish(topic, f"{number} {n}", qos=qos, version=writer.version,
                                 packet_id=n + 1 if qos else None)
                    for n in range(first, first + 10)))
                for _ in range(10 if qos else 0):
                    writer.expect(wire.PUBACK if qos == 1 else wire.PUBREC)
                for n in range(first, first + 10) if qos == 2 else ():
                    writer.release(n + 1)
            writer.ping()

        seen = [[] for _ in readers]

        def read(index):
            try:
                while len(seen[index]) < 6 * count:
                    packet = readers[index].message(3)
                    seen[index].append(packet.payload.split())
            except Timeout:
                pass
        self.run_all([lambda n=n: write(n, n % 3) for n in range(6)]
                     + [lambda n=n: read(n) for n in range(len(readers))])
        for found in seen:
            for number in range(6):
                sequence = [int(n) for who, n in found if int(who) == number]
                self.assertEqual(sequence, sorted(set(sequence)), f"publisher {number}")
                if number % 3:
                    self.assertEqual(len(sequence), count)


class Retained(Concurrent):
    def test_a_retained_message_is_a_linearizable_register(self):
        """G4: concurrent writers and fresh subscriptions; every read fits one order."""
        topic, history, lock = self.topic(), [], threading.Lock()
        self.client().publish(topic, b"start", qos=1, retain=True)

        def note(kind, value, started):
            with lock:
                history.append(Operation(kind, value, started, time.monotonic()))

        def write(number):
            writer = self.client()
            for n in range(12):
                started, value = time.monotonic(), f"{number}-{n}"
                writer.publish(topic, value, qos=1 + number % 2, retain=True)
                note("write", value, started)

        def read(_):
            reader = self.client()
            for _ in range(15):
                started = time.monotonic()
                reader.subscribe(topic, qos=1)
                packet = reader.message()
                while not packet.retain:
                    packet = reader.message()
                note("read", packet.payload.decode(), started)
                reader.unsubscribe(topic)
                while reader.inbox:
                    reader.message()
        self.run_all([lambda n=n: write(n) for n in range(3)]
                     + [lambda n=n: read(n) for n in range(3)])
        self.assertTrue(linearizable(history, "start"), "\n".join(
            map(str, sorted(history, key=lambda op: op.start))))

    def test_an_older_retained_value_never_follows_a_newer_live_one(self):
        topic, stop = self.topic(), threading.Event()
        self.client().publish(topic, b"0", qos=1, retain=True)

        def write():
            writer = self.client()
            for n in range(1, 200):
                writer.publish(topic, str(n), qos=1, retain=True)
            stop.set()

        def read():
            while not stop.is_set():
                reader = self.client()
                reader.subscribe(topic, qos=1)
                values = []
                deadline = time.monotonic() + 0.1
                while time.monotonic() < deadline:
                    try:
                        values.append(int(reader.message(0.05).payload))
                    except Timeout:
                        pass
                reader.disconnect()
                self.assertEqual(values, sorted(values))
                self.assertTrue(values, "no retained message")
        self.run_all([write, read, read])


class Takeover(Concurrent):
    options = {"limits.takeover_rate": "off"}  # the crowd is larger than what is slowed

    def test_one_connection_survives_when_many_come_at_once(self):
        """G7: all get a CONNACK or are told; in the end one is alive and has the session."""
        for round_number in range(8):
            self.crowd(self.topic(str(round_number)))

    def crowd(self, topic):
        client_id = self.new_id()
        self.durable(client_id=client_id).subscribe(topic, qos=1)
        clients = [self.raw() for _ in range(12)]
        data = wire.connect(client_id, clean=False, props={"session_expiry": 60})
        self.run_all([lambda c=c: c.send(data) for c in clients])
        alive, deadline = list(clients), time.monotonic() + 15
        while len(alive) > 1 and time.monotonic() < deadline:
            for client in list(alive):
                try:
                    last = client.wait_closed_after_connack(0.1)
                except Timeout:
                    continue
                self.assertTrue(last is None or last >= 0x80)
                alive.remove(client)
        self.assertEqual(len(alive), 1)
        alive[0].send(wire.pingreq())
        while alive[0].receive().kind != wire.PINGRESP:
            pass
        self.client().publish(topic, b"for the winner", qos=1)
        self.assertEqual(alive[0].message().payload, b"for the winner")

    def test_no_message_is_lost_or_repeated_while_connections_change(self):
        client_id, topic, count = self.new_id(), self.topic(), 150
        self.durable(client_id=client_id).subscribe(topic, qos=2)
        stop, seen = threading.Event(), []

        def write():
            writer = self.client()
            for n in range(count):
                writer.publish(topic, str(n), qos=2)
            stop.set()

        def read():
            unfinished = set()
            while len(seen) < count:
                reader = self.durable(client_id=client_id)
                for _ in range(20):
                    try:
                        packet = reader.read_packet(0.3)
                    except Timeout:
                        break
                    if packet.kind == wire.PUBLISH:
                        if packet.packet_id not in unfinished:
                            seen.append(int(packet.payload))
                            unfinished.add(packet.packet_id)
                        reader.send(wire.acknowledge(wire.PUBREC, packet.packet_id))
                    elif packet.kind == wire.PUBREL:
                        unfinished.discard(packet.packet_id)
                        reader.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id))
        self.run_all([write, read])
        self.assertEqual(seen, list(range(count)))


@quorate_only
class SlowedTakeover(BrokerCase):
    options = {"limits.takeover_rate": "10/min", "node.loops": 1}

    def test_a_takeover_above_the_rate_is_late_and_succeeds(self):
        """R-7: the holder is asked again and again, so the newcomer gets the session in the end."""
        client_id, topic = self.new_id(), self.topic()
        holder = self.durable(client_id=client_id)
        holder.subscribe(topic, qos=1)
        waited = []
        for _ in range(12):
            started = time.monotonic()
            newcomer = self.raw()
            newcomer.deadline = 15
            self.assertEqual(newcomer.connect(client_id, clean=False,
                                              props={"session_expiry": 60}).code, 0)
            waited.append(time.monotonic() - started)
            self.assert_closed(holder, 0x8E)
            holder = newcomer
        self.assertLess(max(waited[:10]), 3, "the first ten are at once")
        self.assertGreater(max(waited[10:]), 3, "then one in six seconds")
        self.assertGreater(self.broker.metric("quorate_throttled_total", limit="takeover_rate"), 0)
        self.client().publish(topic, b"for the last one", qos=1)
        self.assertEqual(holder.message().payload, b"for the last one")


@quorate_only
class Wills(Concurrent):
    def test_a_crowd_of_lost_connections_publishes_each_will_once(self):
        """G6, with connections lost at the same moment and some taken over or resumed."""
        topic, count = self.topic(), 60
        reader = self.durable()
        reader.subscribe(topic + "/#", qos=2)
        clients = {n: self.durable(will={"topic": f"{topic}/{n}", "payload": b"w", "qos": 2})
                   for n in range(count)}
        self.run_all([lambda c=c: c.abort() for c in clients.values()])
        found = sorted(int(m.topic.rsplit("/", 1)[1]) for m in reader.messages(count))
        self.assertEqual(found, list(range(count)))
        reader.silence(0.3)


if __name__ == "__main__":
    unittest.main()
