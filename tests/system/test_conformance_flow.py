"""Receive Maximum, topic aliases, Maximum Packet Size, Request Problem Information."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement
from lib.client import Closed
from lib.transport import Timeout


class ReceiveMaximum(BrokerCase):
    @statement("MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
    def test_no_more_than_receive_maximum_are_open(self):
        for qos in (1, 2):
            for durable in (False, True):
                with self.subTest(qos=qos, durable=durable):
                    topic = self.topic(f"{qos}/{durable}")
                    reader = self.client(props={"receive_maximum": 3,
                                                "session_expiry": 60 if durable else 0})
                    reader.subscribe(topic, qos=2)
                    writer = self.client()
                    for n in range(8):
                        writer.publish(topic, str(n), qos=qos)
                    for first in range(0, 8, 3):
                        batch = [reader.next_publish() for _ in range(min(3, 8 - first))]
                        reader.silence(0.15)
                        self.assertEqual([int(p.payload) for p in batch],
                                         list(range(first, first + len(batch))))
                        for packet in batch:
                            reader.acknowledge(packet)

    @statement("MQTT-3.3.4-10", "MQTT-4.9.0-3")
    def test_other_packets_pass_while_the_quota_is_used_up(self):
        topic = self.topic()
        reader = self.client(props={"receive_maximum": 1})
        reader.subscribe(topic, qos=1)
        writer = self.client()
        for n in range(3):
            writer.publish(topic, str(n), qos=1)
        first = reader.next_publish()
        reader.ping()
        reader.subscribe(self.topic("other"), qos=1)
        reader.unsubscribe(self.topic("other"))
        self.assertEqual(reader.publish(self.topic("out"), b"x", qos=2).code, 0)
        writer.publish(topic, b"zero", qos=0)
        packets = [first]
        reader.acknowledge(first)
        while len(packets) < 3:
            packet = reader.message()
            if packet.qos:
                packets.append(packet)
        self.assertEqual([p.payload for p in packets], [b"0", b"1", b"2"])

    @statement("MQTT-4.9.0-2", "MQTT-3.3.4-9")
    def test_pubrec_alone_does_not_open_the_window(self):
        topic = self.topic()
        reader = self.client(props={"receive_maximum": 1})
        reader.subscribe(topic, qos=2)
        writer = self.client()
        for n in range(2):
            writer.publish(topic, str(n), qos=2)
        number = reader.next_publish().packet_id
        reader.send(wire.acknowledge(wire.PUBREC, number))
        reader.expect_for(wire.PUBREL, number)
        reader.silence()
        reader.send(wire.acknowledge(wire.PUBCOMP, number))
        self.assertEqual(reader.message().payload, b"1")

    @statement("MQTT-3.3.4-7", "MQTT-4.13.1-1")
    @quorate_only
    def test_more_open_messages_than_the_server_allows_are_refused(self):
        limit = self.client().connack.props.get("receive_maximum", 65535)
        self.assertEqual(limit, 1024)
        bystander = self.client()
        client = self.client()
        client.offer(b"".join(wire.publish(self.topic(), b"x", qos=2, packet_id=n + 1)
                              for n in range(limit + 1)))
        recs = 0
        while True:
            packet = client.read_packet()
            if packet.kind == wire.DISCONNECT:
                self.assertEqual(packet.code, 0x93)
                break
            self.assertEqual(packet.kind, wire.PUBREC)
            recs += 1
        self.assertLessEqual(recs, limit)
        self.assertRaises(Closed, client.read_packet)
        bystander.ping()

    @statement("MQTT-4.9.0-1")
    @quorate_only
    def test_exactly_as_many_as_the_server_allows_are_taken(self):
        client = self.client()
        limit = client.connack.props.get("receive_maximum", 65535)
        client.send(b"".join(wire.publish(self.topic(), b"x", qos=2, packet_id=n + 1)
                             for n in range(limit)))
        self.assertEqual([client.expect(wire.PUBREC).packet_id for _ in range(limit)],
                         list(range(1, limit + 1)))
        client.ping()


class TopicAliases(BrokerCase):
    @statement("MQTT-3.3.2-12")
    def test_all_aliases_up_to_the_maximum_are_accepted(self):
        base = self.topic()
        writer = self.client()
        maximum = writer.connack.props["topic_alias_maximum"]
        reader = self.client()
        reader.subscribe(base + "/#", qos=1)
        for alias in range(1, maximum + 1):
            writer.publish(f"{base}/{alias}", b"1", qos=1, props={"topic_alias": alias})
        for alias in range(maximum, 0, -1):
            writer.publish("", b"2", qos=alias % 3, props={"topic_alias": alias})
        packets = reader.messages(2 * maximum)
        self.assertEqual(sorted((p.topic, p.payload) for p in packets),
                         sorted((f"{base}/{alias}", b) for alias in range(1, maximum + 1)
                                for b in (b"1", b"2")))

    def test_an_alias_can_be_given_another_topic(self):
        base = self.topic()
        writer, reader = self.client(), self.client()
        reader.subscribe(base + "/#", qos=1)
        for name in ("a", "b", "", "a", ""):
            writer.publish(f"{base}/{name}" if name else "", b"x", qos=1,
                           props={"topic_alias": 1})
        self.assertEqual([p.topic[-1] for p in reader.messages(5)], list("abbaa"))

    @statement("MQTT-3.3.2-8", "MQTT-3.3.2-9")
    def test_alias_0_and_beyond_the_maximum_are_refused(self):
        maximum = self.client().connack.props["topic_alias_maximum"]
        for alias in (0, maximum + 1, 65535):
            with self.subTest(alias=alias):
                self.assert_refused(wire.publish(self.topic(), b"x", props={"topic_alias": alias}),
                                    (0x94, 0x81, 0x82) if alias == 0 else 0x94)

    def test_an_unknown_alias_without_topic_is_a_protocol_error(self):
        self.assert_refused(wire.publish("", b"x", props={"topic_alias": 1}), 0x82)

    @statement("MQTT-3.3.2-7")
    def test_aliases_do_not_outlive_the_connection(self):
        topic, client_id = self.topic(), self.new_id()
        writer = self.durable(client_id=client_id)
        writer.publish(topic, b"x", qos=1, props={"topic_alias": 1})
        writer.disconnect()
        writer = self.durable(client_id=client_id)
        writer.send(wire.publish("", b"x", props={"topic_alias": 1}))
        self.assert_closed(writer, 0x82)

    @statement("MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8")
    def test_the_server_sends_no_alias_beyond_the_clients_maximum(self):
        base = self.topic()
        reader = self.client(props={"topic_alias_maximum": 2})
        reader.subscribe(base + "/#", qos=1)
        writer = self.client()
        known = {}
        for n in range(20):
            name = f"{base}/{n % 4}"
            writer.publish(name, str(n), qos=n % 2)
            packet = reader.message()
            alias = packet.props.get("topic_alias")
            if alias is not None:
                self.assertIn(alias, (1, 2))
                if packet.topic:
                    known[alias] = packet.topic
            self.assertEqual(packet.topic or known[alias], name)
            self.assertEqual(packet.payload, str(n).encode())

    @statement("MQTT-3.1.2-27")
    def test_the_server_sends_no_alias_without_a_maximum(self):
        for props in (None, {"topic_alias_maximum": 0}):
            topic = self.topic()
            reader = self.client(props=props)
            reader.subscribe(topic, qos=1)
            for _ in range(3):
                self.client().publish(topic, b"x", qos=1)
                packet = reader.message()
                self.assertEqual((packet.topic, packet.props), (topic, {}))

    @statement("MQTT-3.3.2-7")
    @quorate_only
    def test_repeated_messages_name_their_topic_on_a_new_connection(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id, props={"topic_alias_maximum": 5})
        reader.subscribe(topic, qos=1)
        writer = self.client()
        for n in range(4):
            writer.publish(topic, str(n), qos=1)
        for _ in range(4):
            reader.next_publish()
        reader.abort()
        reader = self.durable(client_id=client_id, props={"topic_alias_maximum": 5})
        first = reader.message()
        self.assertEqual((first.topic, first.payload), (topic, b"0"))


class PacketSize(BrokerCase):
    @statement("MQTT-3.1.2-24", "MQTT-3.1.2-25")
    def test_a_message_too_large_for_a_client_is_skipped(self):
        for qos in (0, 1, 2):
            for durable in (False, True):
                with self.subTest(qos=qos, durable=durable):
                    topic = self.topic(f"{qos}/{durable}")
                    reader = self.client(props={"maximum_packet_size": 200, "receive_maximum": 2,
                                                "session_expiry": 60 if durable else 0})
                    reader.subscribe(topic, qos=2)
                    writer = self.client()
                    for payload in (b"a", b"x" * 300, b"y" * 300, b"z" * 300, b"b"):
                        writer.publish(topic, payload, qos=qos)
                    self.assertEqual([m.payload for m in reader.messages(2)], [b"a", b"b"])

    @statement("MQTT-3.1.2-24")
    def test_a_packet_of_exactly_the_maximum_size_is_sent(self):
        topic = "t" + self.new_id()
        reader = self.client(props={"maximum_packet_size": 100})
        reader.subscribe(topic)
        overhead = 2 + 2 + len(topic) + 1
        writer = self.client()
        writer.publish(topic, b"x" * (101 - overhead))
        writer.publish(topic, b"x" * (100 - overhead))
        self.assertEqual(len(reader.message().raw), 100)

    @statement("MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2",
               "MQTT-3.5.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3", "MQTT-3.9.2-1", "MQTT-3.9.2-2",
               "MQTT-3.11.2-1", "MQTT-3.11.2-2", "MQTT-3.6.2-2", "MQTT-3.6.2-3")
    def test_answers_stay_within_a_tiny_maximum_packet_size(self):
        limit = 20
        client = self.client(client_id="", props={"maximum_packet_size": 100})
        self.assertLessEqual(len(client.connack.raw), 100)
        client = self.raw()
        client.connect(self.new_id(), props={"maximum_packet_size": limit})
        self.assertLessEqual(len(client.connack.raw), limit)
        topic = "s"
        answers = [client.subscribe(topic, qos=2), client.subscribe("b", qos=0),
                   client.unsubscribe("nothing", "b")]
        client.send(wire.publish("nobody", b"", qos=1, packet_id=5))
        answers.append(client.expect(wire.PUBACK))
        client.send(wire.publish(topic, b"", qos=2, packet_id=6))
        answers.append(client.expect(wire.PUBREC))
        answers.append(client.release(6))
        answers.append(client.release(77))
        packet = client.next_publish()
        client.send(wire.acknowledge(wire.PUBREC, packet.packet_id))
        answers.append(client.expect(wire.PUBREL))
        client.send(wire.acknowledge(wire.PUBREC, 999))
        answers.append(client.expect(wire.PUBREL))
        for answer in answers:
            self.assertLessEqual(len(answer.raw), limit, answer)

    @statement("MQTT-3.14.2-3", "MQTT-3.14.2-4")
    def test_disconnect_stays_within_a_tiny_maximum_packet_size(self):
        client = self.raw()
        client.connect(self.new_id(), props={"maximum_packet_size": 20})
        client.send(wire.connect("again"))
        packet = client.wait_closed()
        self.assertLessEqual(len(packet.raw), 20)

    @quorate_only
    def test_a_packet_above_the_servers_maximum_is_refused(self):
        maximum = self.client().connack.props["maximum_packet_size"]
        self.assertEqual(maximum, 1024 * 1024)
        for version in V4_AND_V5:
            client = self.client(version)
            client.send(bytes([0x30]) + wire.encode_varint(maximum) + b"\0\1a")
            self.assert_closed(client, 0x95)

    def test_a_packet_of_exactly_the_servers_maximum_is_taken(self):
        topic = self.topic()
        reader, writer = self.client(4), self.client(4)
        reader.subscribe(topic, qos=1)
        size = 1024 * 1024 - 4 - 2 - len(topic) - 2
        self.assertEqual(len(wire.publish(topic, b"x" * size, qos=1, packet_id=1, version=4)),
                         1024 * 1024)
        writer.publish(topic, b"x" * size, qos=1)
        self.assertEqual(len(reader.message().payload), size)


class ProblemInformation(BrokerCase):
    @statement("MQTT-3.1.2-29")
    def test_without_problem_information_answers_have_no_texts(self):
        client = self.client(props={"request_problem_information": 0})
        answers = [client.subscribe("/" * 70, "a//b", qos=1), client.unsubscribe("nothing")]
        client.send(wire.publish("nobody", b"x", qos=1, packet_id=5))
        answers.append(client.expect(wire.PUBACK))
        answers.append(client.release(999))
        client.send(wire.acknowledge(wire.PUBREC, 998))
        answers.append(client.expect(wire.PUBREL))
        for answer in answers:
            self.assertNotIn("reason_string", answer.props)
            self.assertNotIn("user_property", answer.props)

    @statement("MQTT-3.6.2-1", "MQTT-3.7.2-1")
    def test_unknown_identifiers_get_0x92(self):
        client = self.client()
        client.send(wire.acknowledge(wire.PUBREC, 998))
        answer = client.expect(wire.PUBREL)
        self.assertEqual((answer.packet_id, answer.code), (998, 0x92))
        self.assertEqual(client.release(997).code, 0x92)
        for kind in (wire.PUBACK, wire.PUBCOMP):
            client.send(wire.acknowledge(kind, 996))
        try:
            client.ping()
        except (Closed, Timeout):
            self.fail("a stray acknowledgement closed the connection")


if __name__ == "__main__":
    unittest.main()
