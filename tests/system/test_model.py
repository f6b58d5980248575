"""Random histories against a naive model of sessions, subscriptions, queues and retained messages.

One thread does one act at a time, so the model knows what every client must have received. After
every few acts all clients are drained and compared. QUORATE_SEED and QUORATE_STEPS choose the
history; the seed is printed. What the standard leaves open is not in the history: clients take
every message, and overlapping subscriptions are compared by content and highest QoS.
"""

import collections
import os
import random
import sys
import unittest

from lib.case import BrokerCase, quorate_only
from lib.transport import Timeout

STEPS = int(os.environ.get("QUORATE_STEPS", "250"))
SEED = int(os.environ.get("QUORATE_SEED", random.SystemRandom().randrange(10 ** 6)))
LEVELS = ("a", "b", "$x")
NO_LOCAL, RETAIN_AS_PUBLISHED = 0x04, 0x08
CLIENTS = 6


def matches(topic_filter, topic):
    """Section 4.7, read naively."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


class ModelSession:
    """What a client must receive, in any order between topics: payload -> (QoS, retain)."""

    def __init__(self):
        self.filters = {}  # filter -> (options, subscription identifier or None)
        self.expected = collections.Counter()
        self.present = False


class Model:
    def __init__(self):
        self.sessions = collections.defaultdict(ModelSession)
        self.retained = {}

    def deliver(self, name, connected, topic, payload, qos, retain, publisher):
        """Adds a live message to one session; QoS 0 reaches connected clients only."""
        session = self.sessions[name]
        hits = [(options, number) for f, (options, number) in session.filters.items()
                if matches(f, topic) and not (options & NO_LOCAL and publisher == name)]
        if not hits:
            return
        best = min(qos, max(options & 3 for options, _ in hits))
        flag = retain and any(options & RETAIN_AS_PUBLISHED for options, _ in hits)
        mixed = retain and len({bool(o & RETAIN_AS_PUBLISHED) for o, _ in hits}) > 1
        if best or connected:
            numbers = tuple(sorted(number for _, number in hits if number))
            session.expected[topic, payload, best, None if mixed else flag, numbers] += 1

    def retain(self, topic, payload, qos):
        self.retained.pop(topic, None)
        if payload:
            self.retained[topic] = (payload, qos)

    def replay(self, name, topic_filter, options, number, was_there):
        handling = options >> 4 & 3
        if handling == 2 or (handling == 1 and was_there):
            return
        for topic, (payload, qos) in self.retained.items():
            if matches(topic_filter, topic):
                self.sessions[name].expected[topic, payload, min(qos, options & 3), True,
                                             (number,) if number else ()] += 1


@quorate_only
class RandomHistory(BrokerCase):
    options = {"cluster.shards": 16}

    def test_every_client_receives_exactly_what_the_model_says(self):
        print(f"QUORATE_SEED={SEED} QUORATE_STEPS={STEPS}", file=sys.stderr, flush=True)
        self.rng, self.model, self.live = random.Random(SEED), Model(), {}
        self.prefix, self.history, self.count = self.new_id("m"), [], 0
        acts = [(self.publish, 10), (self.subscribe, 4), (self.unsubscribe, 1),
                (self.connect, 3), (self.leave, 2)]
        weighted = [act for act, weight in acts for _ in range(weight)]
        for step in range(STEPS):
            self.rng.choice(weighted)()
            if step % 10 == 9 or step == STEPS - 1:
                self.compare_all()

    def note(self, *words):
        self.history.append(" ".join(str(w) for w in words))

    def name(self):
        return f"{self.prefix}-{self.rng.randrange(CLIENTS)}"

    def some_topic(self):
        levels = [self.rng.choice(LEVELS) for _ in range(self.rng.randint(1, 3))]
        return "/".join(levels) if levels[0] != "$x" else "$" + self.prefix + "/".join(levels)

    def some_filter(self):
        levels = [self.rng.choice(LEVELS[:2] + ("+",)) for _ in range(self.rng.randint(1, 3))]
        if self.rng.random() < 0.3:
            levels[-1] = "#"
        return "/".join(levels)

    # acts

    def connect(self):
        name, clean = self.name(), self.rng.random() < 0.2
        version = self.rng.choice((4, 5))
        self.compare(name)
        expiry = 3600
        props = {"session_expiry": expiry} if version == 5 else None
        if version == 4 and clean:  # such a session would end with its connection
            clean = False
        self.note("connect", name, version, "clean" if clean else "")
        client = self.raw(version)
        client.connect(name, clean=clean, props=props)
        session = self.model.sessions[name]
        self.assertEqual(client.connack.session_present, session.present and not clean,
                         self.told())
        old = self.live.pop(name, None)
        if old:
            old.wait_closed()
            old.close()
        if clean:
            self.model.sessions[name] = session = ModelSession()
        session.present = True
        self.live[name] = client

    def leave(self):
        name = self.name()
        if name in self.live:
            self.compare(name)
            how = self.rng.choice(("disconnect", "abort"))
            self.note(how, name)
            getattr(self.live.pop(name), how)()

    def subscribe(self):
        name = self.name()
        if name not in self.live:
            return
        client, topic_filter = self.live[name], self.some_filter()
        options, number = self.rng.randint(0, 2), None
        if client.version == 5:
            options |= self.rng.choice((0, NO_LOCAL)) | self.rng.choice((0, RETAIN_AS_PUBLISHED))
            options |= self.rng.choice((0, 0x10, 0x20))
            number = self.rng.choice((None, self.rng.randint(1, 300)))
        self.note("subscribe", name, topic_filter, hex(options), number)
        props = {"subscription_identifier": number} if number else None
        self.assertEqual(client.subscribe((topic_filter, options), props=props).codes,
                         [options & 3])
        session = self.model.sessions[name]
        was_there = topic_filter in session.filters
        session.filters[topic_filter] = (options, number)
        self.model.replay(name, topic_filter, options, number, was_there)
        self.compare(name)

    def unsubscribe(self):
        name = self.name()
        filters = self.model.sessions[name].filters
        if name in self.live and filters:
            self.compare(name)
            topic_filter = self.rng.choice(sorted(filters))
            self.note("unsubscribe", name, topic_filter)
            self.live[name].unsubscribe(topic_filter)
            del filters[topic_filter]

    def publish(self):
        name = self.name()
        if name not in self.live:
            return
        topic, qos = self.some_topic(), self.rng.randint(0, 2)
        retain = qos > 0 and self.rng.random() < 0.25
        payload = b""
        if not retain or self.rng.random() < 0.7:
            payload = self.next_payload()
        self.send(name, topic, payload, qos, retain)
        if qos == 0:  # nothing says when it was read; what follows it on its topic does
            self.send(name, topic, self.next_payload(), 1, False)

    def next_payload(self):
        self.count += 1
        return f"m{self.count}".encode()

    def send(self, name, topic, payload, qos, retain):
        self.note("publish", name, topic, qos, "retain" if retain else "", payload)
        answer = self.live[name].publish(topic, payload, qos=qos, retain=retain)
        self.assertTrue(answer is None or answer.code < 0x80, answer)
        if retain:
            self.model.retain(topic, payload, qos)
        for reader in list(self.model.sessions):
            self.model.deliver(reader, reader in self.live, topic, payload, qos, retain, name)

    # comparison

    def compare_all(self):
        for name in sorted(self.live):
            self.compare(name)

    def compare(self, name):
        """Takes all expected messages from a connected client and nothing more."""
        client, session = self.live.get(name), self.model.sessions[name]
        if client is None:
            return
        found = collections.Counter()
        wanted = sum(session.expected.values())
        try:
            while sum(found.values()) < wanted:
                found[self.key(client, client.message(3), session.expected)] += 1
            client.ping()
            while client.inbox:
                found[self.key(client, client.message(1), session.expected)] += 1
        except Timeout:
            pass
        self.assertEqual(found, self.as_seen(client, session.expected), self.told())
        session.expected.clear()

    @staticmethod
    def key(client, packet, expected):
        numbers = tuple(sorted(packet.props.get("subscription_identifier", [])))
        head = (packet.topic, packet.payload, packet.qos)
        free = client.version == 4 or (*head, None, numbers) in expected
        return (*head, None if free else packet.retain, numbers)

    @staticmethod
    def as_seen(client, expected):
        """Version 4 clients see no identifiers and retain only on replay."""
        if client.version == 5:
            return collections.Counter({k: v for k, v in expected.items() if v})
        seen = collections.Counter()
        for (topic, payload, qos, _, _), count in expected.items():
            seen[topic, payload, qos, None, ()] += count
        return seen

    def told(self):
        return f"seed {SEED}, last acts:\n" + "\n".join(self.history[-40:])


if __name__ == "__main__":
    unittest.main()
