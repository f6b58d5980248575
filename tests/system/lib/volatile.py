"""The broker on a disk that forgets: what is not synced is lost by SIGKILL, and faults at will.

QUORATE_VOLATILE_BIN names the binary (default: quorate-volatile beside the broker under test).
"""

import os

from lib import broker as normal
from lib.wait import wait_until

BINARY = os.environ.get("QUORATE_VOLATILE_BIN") or os.path.join(
    os.path.dirname(normal.BINARY), "quorate-volatile")


class VolatileBroker(normal.Broker):
    """SIGKILL is a power loss."""

    def command(self):
        return [BINARY, *super().command()[1:]]


class FaultyBroker(VolatileBroker):
    """With a disk that obeys: see tests/sim/volatile_server.cpp for the faults."""

    def __init__(self, options=None, **others):
        super().__init__(options, **others)
        self.faults = os.path.join(self.home, "faults")
        os.mkfifo(self.faults)

    def command(self):
        return ["env", f"QUORATE_FAULTS={self.faults}", *super().command()]

    def fault(self, line):
        """Returns when it holds."""
        mark = len(self.lines)
        with open(self.faults, "w", encoding="ascii") as out:
            out.write(line + "\n")
        wait_until(lambda: any(f"injected: {line}" in each for each in self.lines[mark:]),
                   f"the fault '{line}'", 20)
