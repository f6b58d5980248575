"""Publishers and durable subscribers that go on through crashes of the broker as the standard
says: sessions are resumed, what was not acknowledged is sent again in order."""

import threading

from lib import mqtt_wire as wire
from lib.client import Client, Closed
from lib.transport import Timeout
from lib.wait import NotInTime, let_pass, wait_until, wait_until_still

BROKEN = (Closed, Timeout, OSError)
EXPIRY = {"session_expiry": 3600}
RETRY_SECONDS = 0.02  # how soon a client that lost its connection comes back


class Worker(threading.Thread):
    """Keeps one durable session connected until told to stop."""

    def __init__(self, broker, client_id, version=5):
        super().__init__(daemon=True)
        self.broker, self.client_id, self.version = broker, client_id, version
        self.stopping, self.failure, self.had_session = False, None, False
        self.reconnects = 0

    def run(self):
        while not self.finished():
            client = None
            try:
                client = Client(self.broker.stream("tcp"), self.version, deadline=10)
                self.connect(client)
                self.work(client)
                client.disconnect()
            except BROKEN:
                self.reconnects += 1
                let_pass(RETRY_SECONDS)
            except Exception as error:
                self.failure = error
                return
            finally:
                if client:
                    client.close()

    def connect(self, client):
        answer = client.connect(self.client_id, clean=False,
                                props=EXPIRY if self.version == 5 else None)
        if answer.code:
            raise Closed
        if self.had_session and not answer.session_present:
            raise AssertionError(f"{self.client_id}: the session was lost")
        self.had_session = True

    def finished(self):
        return self.stopping

    def stop(self):
        self.stopping = True


class Publisher(Worker):
    """Sends "name sequence" on one topic with a window of open messages; remembers what was
    acknowledged. A message counts when PUBACK or PUBREC came back with success."""

    def __init__(self, broker, name, topic, qos, window=6, version=5, limit=10 ** 9):
        super().__init__(broker, name, version)
        self.topic, self.qos, self.window, self.limit = topic, qos, window, limit
        self.sequence, self.last_id = 0, 0
        self.open = {}  # packet id -> [sequence, released], in the order sent
        self.acknowledged, self.refused = set(), 0

    def finished(self):
        return (self.stopping or self.sequence >= self.limit) and not self.open

    def work(self, client):
        for packet_id, (sequence, released) in list(self.open.items()):
            if released:
                client.send(wire.acknowledge(wire.PUBREL, packet_id, version=self.version))
            else:
                self.send(client, packet_id, sequence, True)
        while not self.finished():
            while not self.stopping and self.sequence < self.limit and \
                    len(self.open) < self.window:
                self.sequence += 1
                self.last_id = self.last_id % 65535 + 1
                self.open[self.last_id] = [self.sequence, False]
                self.send(client, self.last_id, self.sequence, False)
            if self.open:
                self.take(client, client.read_packet())

    def send(self, client, packet_id, sequence, dup):
        client.send(wire.publish(self.topic, f"{self.client_id} {sequence}", qos=self.qos,
                                 packet_id=packet_id, dup=dup, version=self.version))

    def take(self, client, packet):
        if packet.kind == wire.DISCONNECT:
            raise Closed
        entry = self.open.get(packet.packet_id)
        if entry is None:
            raise AssertionError(f"{packet} for a message that is not open")
        if packet.code >= 0x80 and packet.kind in (wire.PUBACK, wire.PUBREC):
            self.refused += 1
            del self.open[packet.packet_id]
        elif packet.kind == wire.PUBREC and self.qos == 2:
            self.acknowledged.add(entry[0])
            entry[1] = True
            client.send(wire.acknowledge(wire.PUBREL, packet.packet_id, version=self.version))
        elif packet.kind == (wire.PUBACK if self.qos == 1 else wire.PUBCOMP):
            self.acknowledged.add(entry[0])
            del self.open[packet.packet_id]
        else:
            raise AssertionError(f"unexpected {packet}")


class Subscriber(Worker):
    """Records what a correct receiver hands to its application: QoS 2 once per identifier."""

    def __init__(self, broker, name, filters, version=5):
        super().__init__(broker, name, version)
        self.filters, self.subscribed = filters, threading.Event()
        self.received, self.unfinished = [], set()

    def work(self, client):
        if not self.subscribed.is_set():
            client.send(wire.subscribe(1, [(f, 2) for f in self.filters], version=self.version))
        while not self.stopping:
            try:
                packet = client.read_packet(0.2)
            except Timeout:
                continue
            self.take(client, packet)

    def take(self, client, packet):
        if packet.kind == wire.PUBLISH:
            if packet.qos != 2 or packet.packet_id not in self.unfinished:
                self.received.append((packet.payload.decode(), packet.qos))
            if packet.qos == 2:
                self.unfinished.add(packet.packet_id)
            if packet.qos:
                client.send(wire.acknowledge(wire.PUBACK if packet.qos == 1 else wire.PUBREC,
                                             packet.packet_id, version=self.version))
        elif packet.kind == wire.PUBREL:
            self.unfinished.discard(packet.packet_id)
            client.send(wire.acknowledge(wire.PUBCOMP, packet.packet_id, version=self.version))
        elif packet.kind == wire.SUBACK:
            if max(packet.codes) > 2:
                raise AssertionError(f"refused: {packet}")
            self.subscribed.set()
        elif packet.kind == wire.DISCONNECT:
            raise Closed
        else:
            raise AssertionError(f"unexpected {packet}")


def wait_until_received(publishers, streams, still, timeout):
    """Until each of `streams` (lists of subscribers that share one) may have everything that was
    acknowledged, then until nothing more has come for `still` seconds.

    What is missing at the deadline is judge()'s to tell; that it never ends is told here."""
    wanted = sum(len(publisher.acknowledged) for publisher in publishers)

    def received(stream):
        return sum(len(subscriber.received) for subscriber in stream)
    try:
        wait_until(lambda: all(received(each) >= wanted for each in streams), "all", timeout)
    except NotInTime:
        pass
    wait_until_still(lambda: sum(received(each) for each in streams),
                     "nothing more arrives", still, timeout)


def judge(publishers, receivers):
    """Complaints about what `receivers` (subscribers that share one stream) got in sum."""
    received = [entry for subscriber in receivers for entry in subscriber.received]
    counts = {}
    for payload, _ in received:
        counts[payload] = counts.get(payload, 0) + 1
    problems = []
    for publisher in publishers:
        name = publisher.client_id
        lost = [n for n in sorted(publisher.acknowledged) if f"{name} {n}" not in counts]
        if lost:
            problems.append(f"{name}: acknowledged but lost: {lost[:10]} ({len(lost)})")
        for payload, count in counts.items():
            if payload.startswith(name + " "):
                if publisher.qos == 2 and count > 1:
                    problems.append(f"QoS 2 message delivered {count} times: {payload}")
                if int(payload.split()[1]) > publisher.sequence:
                    problems.append(f"never sent: {payload}")
        if len(receivers) == 1:
            firsts, seen = [], set()
            for payload, _ in received:
                if payload.startswith(name + " ") and payload not in seen:
                    seen.add(payload)
                    firsts.append(int(payload.split()[1]))
            if firsts != sorted(firsts):
                problems.append(f"{name}: first deliveries out of order")
    return problems
