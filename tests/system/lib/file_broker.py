"""A broker whose options stand in a file, so that SIGHUP can change them."""

import json
import os
import signal

from lib.broker import BINARY, Broker
from lib.wait import wait_until


class FileBroker(Broker):
    """Options of the file win; one option a line, so that a test knows where each stands."""

    def __init__(self, options=None, transports=("tcp",), listener=None):
        super().__init__({"cluster.shards": 4, **(options or {})}, transports, listener)
        self.path = os.path.join(self.home, "quorate.yaml")
        self.places = {}

    def command(self):
        self.write()
        return [BINARY, *self.arguments, "--config", self.path]

    def write(self):
        """The file as the options are now; remembers the line of each."""
        sections, lines, self.places = {}, [], {}
        for path, value in self.all_options().items():
            section, _, name = path.rpartition(".")
            sections.setdefault(section, []).append((name, value))
        for section, entries in sorted(sections.items()):
            if section:
                lines.append(f"{section}:")
            for name, value in entries:
                lines.append(("  " if section else "") + f"{name}: {json.dumps(value)}")
                self.places[f"{section}.{name}" if section else name] = len(lines)
        with open(self.path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")

    def place(self, option):
        return f"quorate.yaml:{self.places[option]}"

    def reload(self, result="ok", **changes):
        """Changes options (double underscore: dot) and sends SIGHUP; returns the new log lines."""
        self.options.update({key.replace("__", "."): value for key, value in changes.items()})
        self.write()
        return self.hang_up(result)

    def hang_up(self, result="ok"):
        name = "quorate_config_reload_total"
        before, mark = self.metric(name), len(self.lines)
        good = self.metric(name, result=result)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.metric(name) != before,
                   lambda: "a reload after SIGHUP:\n" + self.output()[-2000:], 20)
        if self.metric(name, result=result) != good + 1:
            raise AssertionError(f"the reload is not {result}:\n" + self.output()[-2000:])
        return self.lines_since(mark, "not reloaded" if result == "bad" else "reloaded")

    def lines_since(self, mark, text, timeout=10):
        """The lines after `mark`, as soon as one of them has this text."""
        wait_until(lambda: any(text in line for line in self.lines[mark:]),
                   lambda: f"a line with {text!r} in:\n" + self.output()[-2000:], timeout)
        return self.lines[mark:]
