"""Topic names and filters: matching, wildcards, $ topics, no normalisation."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311
from lib.transport import Timeout

# filter, topics that match, topics that do not; all below a prefix of the test's own
MATCHES = [
    ("#", ["a", "a/b", "a/b/c", "/", "a//b"], []),
    ("+", ["a", "b"], ["a/b", "/a", "a/"]),
    ("sport/#", ["sport", "sport/a", "sport/a/b", "sport/"], ["sports", "Sport", "sport2/a"]),
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking"],
     ["sport/tennis", "sport/tennis/player2"]),
    ("sport/+/player1", ["sport/tennis/player1", "sport//player1"],
     ["sport/player1", "sport/a/b/player1"]),
    ("sport/+", ["sport/tennis", "sport/"], ["sport", "sport/a/b"]),
    ("+/+", ["a/b", "/b", "a/", "/"], ["a", "a/b/c"]),
    ("+/tennis/#", ["x/tennis", "x/tennis/y/z"], ["tennis", "x/y/tennis"]),
    ("a/+/c/+", ["a/b/c/d", "a//c/"], ["a/b/c", "a/b/c/d/e"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("/a", ["/a"], ["a", "a/"]),
    ("A/b", ["A/b"], ["a/b", "A/B"]),
    ("a b/ç", ["a b/ç"], ["a b/c\u0327", "ab/ç"]),
]


class Matching(BrokerCase):
    @statement("MQTT-3.3.2-3", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-4")
    @statement311("MQTT-3.3.2-3", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-4")
    def test_filters_match_what_the_standard_says(self):
        for version in V4_AND_V5:
            writer = self.client(version)
            for number, (topic_filter, good, bad) in enumerate(MATCHES):
                with self.subTest(version=version, filter=topic_filter):
                    prefix = self.topic(f"{version}/{number}") + "/"
                    reader = self.client(version)
                    self.assertIn(reader.subscribe(prefix + topic_filter, prefix + "E/n/d",
                                                   qos=1).codes, ([1, 1],))
                    for topic in bad + good:
                        writer.publish(prefix + topic, topic, qos=1)
                    found = [reader.message() for _ in good]
                    self.assertEqual(sorted(m.topic for m in found),
                                     sorted(prefix + t for t in good))
                    reader.silence(0.03)
                    reader.disconnect()

    @statement("MQTT-4.7.3-4", "MQTT-1.5.4-3")
    @statement311("MQTT-4.7.3-4", "MQTT-1.5.3-3")
    def test_unusual_characters_are_kept_as_they_are(self):
        for version in V4_AND_V5:
            for name in ("\ufeffbom", "bom\ufeff", "e\u0301", "\u00e9", "\U0001f41d", " space ",
                         "\u200b", "%20", "a\\b", "\x7f", "tab\tnew\nline"):
                with self.subTest(version=version, name=name):
                    topic = self.topic(str(version)) + "/" + name
                    client = self.client(version)
                    client.send(wire.subscribe(1, [(topic, 1)], version=version))
                    if name == "tab\tnew\nline" or name == "\x7f":
                        try:  # control characters may be refused as a whole
                            client.expect(wire.SUBACK)
                        except Exception:
                            continue
                    else:
                        client.expect(wire.SUBACK)
                    self.client(version).publish(topic, name, qos=1)
                    packet = client.message()
                    self.assertEqual((packet.topic, packet.payload), (topic, name.encode()))

    def test_topics_with_equal_prefixes_are_different(self):
        base = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(base + "/e\u0301", qos=1)
        for name in ("\u00e9", "e", "e\u0301"):
            writer.publish(f"{base}/{name}", name, qos=1)
        self.assertEqual(reader.message().payload, "e\u0301".encode())
        reader.silence(0.05)


class Dollar(BrokerCase):
    @statement("MQTT-4.7.2-1")
    @statement311("MQTT-4.7.2-1")
    def test_leading_wildcards_do_not_match_dollar_topics(self):
        for version in V4_AND_V5:
            topic = f"$test{version}x{self.serial}/a"
            reader, exact = self.client(version), self.client(version)
            reader.subscribe("#", "+/a", "+/#", qos=1)
            exact.subscribe(topic, topic.split("/", maxsplit=1)[0] + "/+", qos=1)
            writer = self.client(version)
            writer.send(wire.publish(topic, b"x", version=version))
            end = self.topic("end")
            writer.publish(end, b"end", qos=1)
            for packet in reader.until("end"):
                self.assertFalse(packet.topic.startswith("$"), packet)
            self.assertEqual(exact.message().payload, b"x")

    @quorate_only
    def test_clients_cannot_publish_to_sys(self):
        reader = self.client()
        reader.subscribe("$SYS/forged", qos=1)
        writer = self.client()
        answer = writer.publish("$SYS/forged", b"x", qos=1)
        self.assertEqual(answer.code, 0x87)
        reader.silence(0.1)


@quorate_only
class Sys(BrokerCase):
    options = {"mqtt.sys_interval": "1s", "cluster.shards": 4}

    @statement("MQTT-4.7.2-1")
    def test_sys_topics_are_not_matched_by_leading_wildcards(self):
        reader = self.client()
        reader.subscribe("#", qos=0)
        direct = self.client()
        direct.subscribe("$SYS/#", qos=0)
        packet = direct.message()
        self.assertTrue(packet.topic.startswith("$SYS/"))
        self.client().publish(self.topic("end"), b"end", qos=1)
        for packet in reader.until("end"):
            self.assertFalse(packet.topic.startswith("$"), packet)

    def test_values_are_retained_and_kept_up_to_date(self):
        values, reader = {}, self.client()
        reader.subscribe("$SYS/#", qos=0)

        def connected():
            try:
                while True:
                    packet = reader.message(0.2)
                    values[packet.topic] = packet.payload
            except Timeout:
                pass
            found = [v for t, v in values.items() if t.endswith("clients/connected")]
            return int(found[0]) if found else 0
        self.wait_for(lambda: connected() >= 1, "connected clients are counted")
        self.assertTrue([t for t in values if t.endswith("/version")], sorted(values))
        self.assertTrue([t for t in values if t.endswith("/uptime")], sorted(values))
        crowd = [self.client() for _ in range(5)]
        self.wait_for(lambda: connected() >= 6, "more clients are counted")
        for client in crowd:
            client.disconnect()


class Length(BrokerCase):
    options = {"mqtt.max_topic_bytes": 65535}

    @statement("MQTT-4.7.3-3")
    @statement311("MQTT-4.7.3-3")
    def test_topics_of_65535_bytes_work_where_configured(self):
        for version in V4_AND_V5:
            topic = f"{version}" + "x" * 65534
            reader = self.client(version)
            self.assertEqual(reader.subscribe(topic, qos=1).codes, [1])
            self.client(version).publish(topic, b"long", qos=1)
            self.assertEqual(reader.message().topic, topic)

    def test_one_character_is_enough(self):
        reader = self.client()
        reader.subscribe("/", "z", qos=1)
        writer = self.client()
        for topic in ("/", "z"):
            writer.publish(topic, topic, qos=1)
            self.assertEqual(reader.message().topic, topic)


@quorate_only
class Limits(BrokerCase):
    def test_topics_and_filters_beyond_the_limits_are_refused(self):
        for topic in ("x" * 4097, "/".join("a" * 65)):
            with self.subTest(topic=topic[:10]):
                self.assert_refused(wire.publish(topic, b"x"), (0x90, 0x82))
                client = self.client()
                client.send(wire.subscribe(1, [(topic, 0)]))
                packet = client.read_packet()
                if packet.kind == wire.SUBACK:
                    self.assertIn(packet.codes[0], (0x8F, 0x80, 0x97))
                else:
                    self.assertIn(packet.code, (0x8F, 0x90))

    def test_topics_at_the_limits_are_accepted(self):
        for topic in ("x" * 4096, "/".join("a" * 64)):
            reader = self.client()
            self.assertEqual(reader.subscribe(topic, qos=1).codes, [1])
            self.client().publish(topic, b"x", qos=1)
            self.assertEqual(reader.message().topic, topic)


if __name__ == "__main__":
    unittest.main()
