"""Several nodes on loopback that form one cluster."""

import re

from lib.broker import Broker
from lib.wait import wait_until

FORM_DEADLINE = 60.0
# A quorum is lost for about an election with what follows it; a loaded machine takes longer.
MOVE_DEADLINE = 30.0


class Node(Broker):
    """One of them: a broker that knows where its neighbours are."""

    def __init__(self, number, options):
        super().__init__(options)
        self.number = number
        self.seeds = []

    def all_options(self):
        return {**super().all_options(), "node.name": f"n{self.number}",
                "cluster.listen": f"127.0.0.1:{self.link_port}",
                "cluster.seeds": self.seeds, **self.options}

    def readiness(self):
        """(ready, reason)"""
        try:
            status, body = self.http("/readyz")
        except OSError as error:
            return False, str(error)
        return status == 200, body.strip()


class Nodes:
    """`expect` nodes form the cluster; all of them are seeds of each other."""

    def __init__(self, count=3, options=None):
        options = {"cluster.shards": 8, "cluster.bootstrap_expect": count, "node.loops": 2,
                   "node.workers": 2, "storage.write_buffer": "8MiB",
                   "storage.block_cache": "8MiB", **(options or {})}
        self.nodes = [Node(number + 1, options) for number in range(count)]
        for node in self.nodes:
            node.seeds = [f"127.0.0.1:{each.link_port}" for each in self.nodes]

    def __getitem__(self, index):
        return self.nodes[index]

    def __iter__(self):
        return iter(self.nodes)

    def __len__(self):
        return len(self.nodes)

    def start(self):
        for node in self.nodes:
            node.launch()
        return self.await_ready()

    def await_ready(self, nodes=None, deadline=FORM_DEADLINE):
        """Until these nodes, by default all, take clients."""
        chosen = list(self.nodes if nodes is None else nodes)

        def ready():
            for node in chosen:
                if not node.is_running():
                    raise AssertionError(f"node {node.number} ended: {node.output()[-3000:]}")
            return all(node.readiness()[0] for node in chosen)

        wait_until(ready, lambda: f"the nodes are ready: {self.why_not(chosen)}", deadline)
        return self

    def why_not(self, nodes=None):
        told = [f"n{node.number}: {node.readiness()[1]}; " + " | ".join(node.lines[-5:])
                for node in (nodes or self.nodes)]
        return "\n".join(told)

    def others(self, node):
        return [each for each in self.nodes if each is not node]

    def stop(self):
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.stop()

    def errors(self):
        """Lines of the logs that an operator would have to act on."""
        return [line for node in self.nodes for line in node.lines
                if re.search(r"\berror\b", line[:60])]
