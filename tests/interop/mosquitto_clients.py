#!/usr/bin/python3
"""mosquitto_pub and mosquitto_sub against a broker: mosquitto_clients.py HOST PORT."""

import os
import random
import signal
import subprocess
import sys
import threading
import queue

DEADLINE = 10
VERSIONS = {"mqttv31": [], "mqttv311": [], "mqttv5": ["-x", "3600"]}


def unique(name):
    return f"m-{name}-{random.randrange(10 ** 9)}"


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Subscriber:
    """A running mosquitto_sub whose lines are "topic|qos|retain|payload"."""

    def __init__(self, place, *arguments):
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", *place, "-F", "%t|%q|%r|%p", "-d", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines, self.subscribed = queue.Queue(), threading.Event()
        self.connack = None
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("Subscribed"):
                self.subscribed.set()
            if "received CONNACK" in line:
                self.connack = line
            if "|" in line and not line.startswith("Client"):
                self.lines.put(line.rstrip("\n"))

    def ready(self):
        check(self.subscribed.wait(DEADLINE), "not subscribed")
        return self

    def next(self):
        return self.lines.get(timeout=DEADLINE).split("|", 3)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(DEADLINE)


def publish(place, topic, payload, *arguments):
    subprocess.run(["mosquitto_pub", *place, "-t", topic, "-m", payload, *arguments], check=True,
                   timeout=DEADLINE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def every_qos(place, _):
    topic = unique("qos")
    reader = Subscriber(place, "-t", topic, "-q", "2").ready()
    for qos in "012":
        publish(place, topic, "message " + qos, "-q", qos)
        check(reader.next() == [topic, qos, "0", "message " + qos], "message")
    reader.stop()


def retained(place, _):
    topic = unique("retained")
    publish(place, topic, "kept", "-r", "-q", "1")
    reader = Subscriber(place, "-t", topic, "-q", "1").ready()
    check(reader.next() == [topic, "1", "1", "kept"], "retained message")
    reader.stop()
    subprocess.run(["mosquitto_pub", *place, "-t", topic, "-n", "-r", "-q", "1"], check=True)
    reader = Subscriber(place, "-t", topic, "-t", topic + "/end", "-q", "1").ready()
    publish(place, topic + "/end", "end", "-q", "1")
    check(reader.next()[3] == "end", "a removed message was sent")
    reader.stop()


def will(place, _):
    topic = unique("will")
    reader = Subscriber(place, "-t", topic, "-q", "1").ready()
    options = ["-t", "x", "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1"]
    # With -E it leaves by DISCONNECT 0x00; at SIGTERM it would ask for its will in version 5.
    Subscriber(place, *options, "-E").process.wait(DEADLINE)
    Subscriber(place, *options).ready().stop(signal.SIGKILL)
    check(reader.next()[3] == "gone", "will")
    publish(place, topic, "end", "-q", "1")
    check(reader.next()[3] == "end", "second will")
    reader.stop()


def persistent_session(place, extra):
    topic, name = unique("session"), unique("id")[:23]
    options = ["-t", topic, "-q", "2", "-i", name, "-c", *extra]
    Subscriber(place, *options).ready().stop()
    for n in range(6):
        publish(place, topic, str(n), "-q", str(1 + n % 2))
    reader = Subscriber(place, *options)
    received = sorted((int(reader.next()[3]) for _ in range(6)), key=lambda n: n % 2)
    check(received == [0, 2, 4, 1, 3, 5], f"messages of the session: {received}")
    publish(place, topic, "end", "-q", "2")
    check(reader.next()[3] == "end", "something came twice")
    reader.stop()


def properties(place, _):
    topic = unique("properties")
    reader = subprocess.Popen(
        ["mosquitto_sub", *place, "-t", topic, "-C", "1", "-W", str(DEADLINE), "-q", "1", "-F",
         "%P|%C|%R|%D|%F|%E|%S|%p", "-D", "subscribe", "subscription-identifier", "12"],
        stdout=subprocess.PIPE, text=True)
    probe = Subscriber(place, "-t", topic).ready()
    while reader.poll() is None and not probe.lines.qsize():
        publish(place, topic, "text", "-q", "1", "-D", "publish", "user-property", "k", "v",
                "-D", "publish", "content-type", "plain", "-D", "publish", "response-topic", "r",
                "-D", "publish", "correlation-data", "cd", "-D", "publish",
                "payload-format-indicator", "1", "-D", "publish", "message-expiry-interval", "99")
    line = reader.communicate(timeout=DEADLINE)[0].strip()
    check(line in (f"k:v|plain|r|cd|1|{n}|12|text" for n in (98, 99)), line)
    probe.stop()


def bulk(place, _):
    """Lines from standard input, all of them received in order."""
    topic = unique("bulk")
    reader = Subscriber(place, "-t", topic, "-q", "2").ready()
    subprocess.run(["mosquitto_pub", *place, "-t", topic, "-q", "2", "-l"], text=True, check=True,
                   input="".join(f"{n}\n" for n in range(300)), timeout=60)
    check([int(reader.next()[3]) for _ in range(300)] == list(range(300)), "order")
    reader.stop()


def main(host, port):
    failed = 0
    for version, extra in VERSIONS.items():
        place = ["-h", host, "-p", port, "-V", version]
        scenarios = [every_qos, retained, will, persistent_session, bulk]
        for scenario in scenarios + ([properties] if version == "mqttv5" else []):
            name = f"{scenario.__name__.replace('_', ' ')}, {version}"
            try:
                scenario(place, extra)
                print(f"PASS mosquitto clients: {name}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAIL mosquitto clients: {name}: {error!r}", flush=True)
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
