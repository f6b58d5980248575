#!/usr/bin/python3
"""Paho Python (Debian's python3-paho-mqtt) against a broker: paho_python.py HOST PORT.

Prints PASS or FAIL lines. `paho_python.py die HOST PORT VERSION TOPIC` connects with a will and
ends without DISCONNECT.
"""

import os
import queue
import random
import subprocess
import sys

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

DEADLINE = 10
VERSIONS = {3: paho.MQTTv31, 4: paho.MQTTv311, 5: paho.MQTTv5}


def unique(name):
    return f"py-{name}-{random.randrange(10 ** 9)}"


class Connection:
    """A connected client with its messages in a queue."""

    def __init__(self, host, port, version, client_id=None, clean=True, will=None):
        options = {} if version == 5 else {"clean_session": clean}
        self.client = paho.Client(client_id or unique("id")[:23], protocol=VERSIONS[version],
                                  **options)
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_subscribe = lambda c, u, mid, codes, *rest: self.events.put((mid, codes))
        self.client.on_unsubscribe = lambda c, u, mid, *rest: self.events.put((mid, None))
        self.client.on_connect = lambda c, u, flags, code, *rest: self.events.put((flags, code))
        if will:
            self.client.will_set(*will)
        properties = None
        if version == 5 and not clean:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
        extra = {"clean_start": clean, "properties": properties} if version == 5 else {}
        self.client.connect(host, port, 30, **extra)
        self.client.loop_start()
        flags, code = self.events.get(timeout=DEADLINE)
        check(code == 0, f"CONNACK {code}")
        self.session_present = bool(flags["session present"])

    def subscribe(self, topic, qos=2, **options):
        self.client.subscribe(topic, **(options or {"qos": qos}))
        return self.events.get(timeout=DEADLINE)[1]

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        info = self.client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(DEADLINE)
        check(info.is_published(), "not acknowledged")

    def next(self):
        return self.messages.get(timeout=DEADLINE)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def every_qos(host, port, version):
    topic, client = unique("qos"), Connection(host, port, version)
    client.subscribe(topic)
    for qos in (0, 1, 2):
        client.publish(topic, f"message {qos}", qos)
        message = client.next()
        check((message.payload, message.qos) == (f"message {qos}".encode(), qos), message.payload)
    client.publish(topic, b"x" * 300_000, 1)
    check(len(client.next().payload) == 300_000, "large message")
    client.close()


def retained(host, port, version):
    topic, writer = unique("retained"), Connection(host, port, version)
    writer.publish(topic, "kept", 1, True)
    reader = Connection(host, port, version)
    reader.subscribe(topic)
    message = reader.next()
    check(message.payload == b"kept" and message.retain, "retained message")
    writer.publish(topic, b"", 1, True)
    check(reader.next().payload == b"", "removal")
    late = Connection(host, port, version)
    late.subscribe(topic + "/#")
    writer.publish(topic + "/end", b"end", 1)
    check(late.next().payload == b"end", "a removed message was sent")
    for client in (writer, reader, late):
        client.close()


def will(host, port, version):
    topic, reader = unique("will"), Connection(host, port, version)
    reader.subscribe(topic)
    Connection(host, port, version, will=(topic, "no", 1, False)).close()
    subprocess.run([sys.executable, __file__, "die", host, str(port), str(version), topic],
                   check=False, timeout=30)
    check(reader.next().payload == b"gone", "will")
    reader.publish(topic, b"end", 1)
    check(reader.next().payload == b"end", "second will")
    reader.close()


def persistent_session(host, port, version):
    topic, name = unique("session"), unique("id")[:23]
    first = Connection(host, port, version, name, clean=False)
    first.subscribe(topic)
    first.close()
    writer = Connection(host, port, version)
    for n in range(10):
        writer.publish(topic, str(n), 1 + n % 2)
    second = Connection(host, port, version, name, clean=False)
    check(second.session_present or version == 3, "session present")
    received = [int(second.next().payload) for _ in range(10)]
    received.sort(key=lambda n: n % 2)  # order holds for each QoS
    check(received == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9], f"messages of the session: {received}")
    writer.publish(topic, b"end", 2)
    check(second.next().payload == b"end", "something came twice")
    second.close()
    writer.close()


def properties(host, port):
    topic, client = unique("properties"), Connection(host, port, 5)
    subscribe = Properties(PacketTypes.SUBSCRIBE)
    subscribe.SubscriptionIdentifier = 9
    client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True),
                     properties=subscribe)
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator, sent.ContentType, sent.ResponseTopic = 1, "text", "answer"
    sent.CorrelationData, sent.MessageExpiryInterval = b"c\0d", 100
    sent.UserProperty = [("k", "1"), ("k", "2"), ("a", "3")]
    client.publish(topic, "text", 1, properties=sent)
    got = client.next().properties
    check(got.UserProperty == [("k", "1"), ("k", "2"), ("a", "3")], "user properties")
    check((got.PayloadFormatIndicator, got.ContentType, got.ResponseTopic, got.CorrelationData)
          == (1, "text", "answer", b"c\0d"), "properties")
    check(got.MessageExpiryInterval in (99, 100), "message expiry")
    check(got.SubscriptionIdentifier == [9], "subscription identifier")
    client.close()


def die(host, port, version, topic):
    Connection(host, int(port), int(version), will=(topic, "gone", 1, False))
    os._exit(0)


def main(host, port):
    scenarios = [("v5 properties", lambda: properties(host, port))]
    for version in (3, 4, 5):
        for scenario in (every_qos, retained, will, persistent_session):
            scenarios.append((f"{scenario.__name__.replace('_', ' ')}, version {version}",
                              lambda s=scenario, v=version: s(host, port, v)))
    failed = 0
    for name, run in scenarios:
        try:
            run()
            print(f"PASS paho python: {name}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL paho python: {name}: {error!r}", flush=True)
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    if sys.argv[1] == "die":
        die(*sys.argv[2:])
    else:
        main(sys.argv[1], int(sys.argv[2]))
