"""Base class of tests on a cluster: a test file shares one among its tests, unless a test kills."""

import itertools
import os
import unittest

from lib.case import quorate_only
from lib.nodes import MOVE_DEADLINE, Nodes
from lib.wait import wait_until

_serial = itertools.count(1)


@quorate_only
class ClusterCase(unittest.TestCase):
    """`self.nodes`: a cluster of three that serves. `own` gives each test one of its own."""

    options = {}
    own = False
    maxDiff = None
    _shared = None

    def setUp(self):
        self.serial = next(_serial)
        self.names = itertools.count(1)
        if self.own:
            self.nodes = Nodes(3, self.options)
            self.addCleanup(self.nodes.stop)
            self.nodes.start()
            return
        if type(self)._shared is None:
            nodes = Nodes(3, self.options)
            self.addClassCleanup(nodes.stop)
            type(self)._shared = nodes.start()
        self.nodes = type(self)._shared

    def tearDown(self):
        if not self.own:
            for node in self.nodes:
                self.assertTrue(node.is_running(),
                                f"node {node.number} died:\n{node.output()[-3000:]}")

    # names and clients

    def topic(self, suffix="t"):
        return f"test/{self.serial}/{suffix}"

    def new_id(self, prefix="c"):
        return f"{prefix}{os.getpid()}x{self.serial}x{next(self.names)}"

    def raw(self, node, version=5):
        client = node.client(version)
        client.deadline = MOVE_DEADLINE
        self.addCleanup(client.close)
        return client

    def client(self, node, client_id=None, version=5, **options):
        client = self.raw(node, version)
        client.connect(self.new_id() if client_id is None else client_id, **options)
        self.assertEqual(client.connack.code, 0, client.connack)
        return client

    def durable(self, node, client_id=None, clean=False, expiry=3600, **options):
        options["props"] = {"session_expiry": expiry, **options.get("props", {})}
        return self.client(node, client_id, clean=clean, **options)

    def connect_when_possible(self, node, client_id, **options):
        """A durable client, as soon as its session's shard is led again."""
        def attempt():
            client = self.raw(node)
            options["props"] = {"session_expiry": 3600}
            client.connect(client_id, clean=False, **options)
            return client if client.connack.code == 0 else client.close()
        return wait_until(attempt, f"node {node.number} takes {client_id}", MOVE_DEADLINE)

    def payloads(self, packets):
        return [packet.payload.decode() for packet in packets]
