"""Sessions: clean start, resumption, takeover, expiry."""

import unittest

from lib import mqtt_wire as wire
from lib.case import BrokerCase, V4_AND_V5, quorate_only, statement, statement311


class Resuming(BrokerCase):
    @statement("MQTT-3.1.2-5", "MQTT-3.2.2-3", "MQTT-3.1.2-23", "MQTT-3.1.3-2", "MQTT-4.1.0-1")
    @statement311("MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.2.2-2", "MQTT-3.1.3-2",
                  "MQTT-4.1.0-1", "MQTT-4.1.0-2")
    def test_a_durable_session_is_resumed_with_subscriptions_and_messages(self):
        for version in (3, 4, 5):
            for how in ("disconnect", "abort"):
                with self.subTest(version=version, how=how):
                    topic, client_id = self.topic(f"{version}/{how}"), self.new_id()
                    reader = self.durable(version, client_id)
                    self.assertFalse(reader.connack.session_present)
                    reader.subscribe(topic, qos=2)
                    getattr(reader, how)()
                    writer = self.client(version)
                    for qos in (1, 2, 1):
                        writer.publish(topic, str(qos), qos=qos)
                    reader = self.durable(version, client_id)
                    if version > 3:
                        self.assertTrue(reader.connack.session_present)
                    self.assertEqual([(m.payload, m.qos, m.dup) for m in reader.messages(3)],
                                     [(b"1", 1, False), (b"2", 2, False), (b"1", 1, False)])
                    writer.publish(topic, b"live", qos=1)
                    self.assertEqual(reader.message().payload, b"live")

    @statement("MQTT-3.1.2-6", "MQTT-3.2.2-3")
    @statement311("MQTT-3.1.2-4", "MQTT-3.2.2-3")
    def test_without_a_session_a_new_one_is_made(self):
        for version in V4_AND_V5:
            client = self.durable(version)
            self.assertFalse(client.connack.session_present)

    @statement("MQTT-3.1.2-4", "MQTT-3.2.2-2", "MQTT-3.1.4-4")
    @statement311("MQTT-3.1.2-6", "MQTT-3.2.2-1", "MQTT-3.1.4-3")
    def test_clean_start_discards_the_session(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            reader = self.durable(version, client_id)
            reader.subscribe(topic, qos=1)
            reader.disconnect()
            self.client(version).publish(topic, b"lost", qos=1)
            reader = self.client(version, client_id, clean=True)
            self.assertFalse(reader.connack.session_present)
            self.client(version).publish(topic, b"lost", qos=1)
            reader.publish(topic + "/end", b"")
            reader.silence()

    @statement311("MQTT-3.1.2-6")
    def test_a_clean_session_of_version_4_ends_with_its_connection(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.client(4, client_id, clean=True)
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        reader = self.durable(4, client_id)
        self.assertFalse(reader.connack.session_present)
        self.client().publish(topic, b"x", qos=1)
        reader.silence()

    @statement("MQTT-4.1.0-2")
    def test_a_session_without_expiry_ends_with_its_connection(self):
        for how in ("disconnect", "abort"):
            client_id = self.new_id()
            client = self.client(client_id=client_id, clean=True)
            client.subscribe(self.topic(), qos=1)
            getattr(client, how)()
            self.wait_for(lambda name=client_id: not self.probe(name), "the session ends")

    def probe(self, client_id):
        """Whether the client identifier has a session (which is not kept)."""
        client = self.client(client_id=client_id, clean=False)
        present = client.connack.session_present
        client.disconnect()
        return present

    def test_qos_0_messages_may_be_dropped_but_qos_1_never_while_away(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        writer = self.client()
        for n in range(50):
            writer.publish(topic, b"zero")
            writer.publish(topic, str(n), qos=1)
        reader = self.durable(client_id=client_id)
        writer.publish(topic, b"end", qos=1)
        self.assertEqual([m.payload for m in reader.until("end") if m.qos],
                         [str(n).encode() for n in range(50)])

    @statement("MQTT-3.1.2-5", "MQTT-3.1.3-2")
    @statement311("MQTT-3.1.2-4")
    def test_a_session_moves_between_protocol_versions(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(4, client_id)
        reader.subscribe(topic, qos=1)
        reader.disconnect()
        self.client().publish(topic, b"one", qos=1, props={"user_property": [("k", "v")]})
        reader = self.durable(5, client_id)
        self.assertTrue(reader.connack.session_present)
        packet = reader.message()
        self.assertEqual((packet.payload, packet.props.get("user_property")),
                         (b"one", [("k", "v")]))
        reader.disconnect()
        self.client().publish(topic, b"two", qos=1)
        reader = self.durable(4, client_id)
        self.assertTrue(reader.connack.session_present)
        self.assertEqual(reader.message().payload, b"two")


class Takeover(BrokerCase):
    @statement("MQTT-3.1.4-3", "MQTT-3.14.2-1", "MQTT-3.14.4-1", "MQTT-3.14.4-2")
    @statement311("MQTT-3.1.4-2")
    def test_the_older_connection_is_closed_and_told_why(self):
        for old in V4_AND_V5:
            for new in V4_AND_V5:
                with self.subTest(old=old, new=new):
                    client_id = self.new_id()
                    first = self.durable(old, client_id)
                    second = self.durable(new, client_id)
                    self.assertTrue(second.connack.session_present)
                    self.assert_closed(first, 0x8E)
                    second.ping()

    @statement("MQTT-3.1.4-3", "MQTT-4.4.0-1")
    @statement311("MQTT-3.1.4-2", "MQTT-4.4.0-1")
    def test_unacknowledged_messages_go_to_the_new_connection(self):
        for version in V4_AND_V5:
            topic, client_id = self.topic(str(version)), self.new_id()
            first = self.durable(version, client_id)
            first.subscribe(topic, qos=2)
            writer = self.client(version)
            writer.publish(topic, b"open", qos=2)
            number = first.next_publish().packet_id
            second = self.durable(version, client_id)
            packet = second.next_publish()
            self.assertEqual((packet.packet_id, packet.dup, packet.payload),
                             (number, True, b"open"))
            second.acknowledge(packet)
            writer.publish(topic, b"next", qos=1)
            self.assertEqual(second.message().payload, b"next")

    @statement("MQTT-3.1.4-3", "MQTT-3.1.4-4", "MQTT-3.2.2-2")
    @statement311("MQTT-3.1.4-2", "MQTT-3.1.4-3")
    def test_a_takeover_with_clean_start_begins_anew(self):
        topic, client_id = self.topic(), self.new_id()
        first = self.durable(client_id=client_id)
        first.subscribe(topic, qos=1)
        second = self.client(client_id=client_id, clean=True)
        self.assertFalse(second.connack.session_present)
        self.assert_closed(first, 0x8E)
        self.client().publish(topic, b"x", qos=1)
        second.silence()

    def test_many_takeovers_in_a_row_leave_one_connection(self):
        client_id = self.new_id()
        clients = [self.durable(client_id=client_id) for _ in range(20)]
        for client in clients[:-1]:
            self.assert_closed(client, 0x8E)
        clients[-1].ping()

    def test_messages_published_while_a_session_is_taken_over_arrive_once(self):
        topic, client_id = self.topic(), self.new_id()
        reader = self.durable(client_id=client_id)
        reader.subscribe(topic, qos=2)
        writer = self.client()
        seen = []
        for n in range(30):
            writer.publish(topic, str(n), qos=2)
            if n % 5 == 4:
                reader = self.durable(client_id=client_id)
                seen += [m.payload for m in reader.messages(5)]
        self.assertEqual(seen, [str(n).encode() for n in range(30)])


class Expiry(BrokerCase):
    @statement("MQTT-4.1.0-2", "MQTT-3.1.2-23")
    def test_a_session_is_gone_after_its_expiry_and_not_before(self):
        short, long = self.new_id(), self.new_id()
        for client_id, expiry in ((short, 1), (long, 60)):
            client = self.durable(client_id=client_id, expiry=expiry)
            client.subscribe(self.topic(), qos=1)
            client.disconnect()
        self.assertTrue(self.durable(client_id=short, expiry=1).connack.session_present)
        client = self.durable(client_id=short, expiry=1)
        client.disconnect()
        self.let_pass(1.8)
        self.assertFalse(self.durable(client_id=short, expiry=0).connack.session_present)
        self.assertTrue(self.durable(client_id=long, expiry=0).connack.session_present)

    @statement("MQTT-4.1.0-1")
    def test_a_session_does_not_expire_while_it_is_connected(self):
        topic = self.topic()
        client = self.durable(expiry=1)
        client.subscribe(topic, qos=1)
        self.let_pass(1.8)
        self.client().publish(topic, b"x", qos=1)
        self.assertEqual(client.message().payload, b"x")

    @statement("MQTT-3.1.2-23")
    def test_disconnect_can_change_the_expiry(self):
        client_id = self.new_id()
        self.durable(client_id=client_id, expiry=60).disconnect(0, {"session_expiry": 0})
        client = self.durable(client_id=client_id, expiry=1)
        self.assertFalse(client.connack.session_present)
        client.disconnect(0, {"session_expiry": 60})
        self.let_pass(1.5)
        self.assertTrue(self.durable(client_id=client_id).connack.session_present)

    def test_disconnect_cannot_raise_an_expiry_of_zero(self):
        client = self.client(clean=True)
        client.send(wire.disconnect(0, {"session_expiry": 60}))
        self.assert_closed(client, 0x82)

    @quorate_only
    def test_an_expiry_above_the_maximum_is_lowered_and_told(self):
        client = self.durable(expiry=4294967295)
        self.assertEqual(client.connack.props["session_expiry"], 7 * 24 * 3600)

    @statement("MQTT-3.1.2-23")
    def test_a_durable_session_resumed_without_expiry_ends_with_that_connection(self):
        topic, client_id = self.topic(), self.new_id()
        client = self.durable(client_id=client_id)
        client.subscribe(topic, qos=1)
        client.disconnect()
        client = self.durable(client_id=client_id, expiry=0)
        self.assertTrue(client.connack.session_present)
        client.disconnect()
        self.assertFalse(self.durable(client_id=client_id, expiry=0).connack.session_present)


if __name__ == "__main__":
    unittest.main()
