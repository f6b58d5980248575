"""Starts the broker under test as a process of its own, on free loopback ports.

QUORATE_BIN names the binary (default build/bin/quorate of this tree). QUORATE_TEST_BACKEND=
mosquitto runs Debian's mosquitto instead, to compare a test with a peer; tests of what only
Quorate has are skipped then.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from lib import transport
from lib.certs import Certificates
from lib.client import Client
from lib.wait import NotInTime, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BINARY = os.environ.get("QUORATE_BIN") or os.path.join(ROOT, "build", "bin", "quorate")
BACKEND = os.environ.get("QUORATE_TEST_BACKEND", "quorate")
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
START_DEADLINE = 60.0
# How the reports of a server begin that was built with a sanitizer.
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|: runtime error: ")

# A test file opens more connections a second from one address than a person would, and takes
# over sessions on purpose; tests of these limits set them themselves.
CALM = {"limits.connect_rate": "off", "limits.connect_rate_per_address": "off",
        "limits.takeover_rate": "off", "log.level": "info"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_option(value):
    return value if isinstance(value, str) else json.dumps(value)


class StartFailed(Exception):
    def __init__(self, status, output):
        super().__init__(f"exit status {status}: {output[-2000:]}")
        self.status, self.output = status, output


class Broker:
    """`options` go to --set. `transports` names listeners: tcp, ws, tls, wss, unix."""

    def __init__(self, options=None, transports=("tcp",), listener=None, arguments=(),
                 file_limit=None):
        self.options, self.transports = dict(options or {}), transports
        self.start_deadline = START_DEADLINE
        self.listener_extra = listener or {}
        self.arguments, self.file_limit = list(arguments), file_limit
        self.home = tempfile.mkdtemp(prefix="quorate-test-")
        self.data_dir = os.path.join(self.home, "data")
        self.ports = {name: free_port() for name in ("tcp", "ws", "tls", "wss")}
        self.metrics_port, self.admin_port, self.link_port = free_port(), free_port(), free_port()
        self.socket_path = os.path.join(self.home, "mqtt.sock")
        self.certificates = None
        if {"tls", "wss"} & set(transports):
            self.certificates = Certificates(os.path.join(self.home, "tls"))
        self.process, self.lines, self.reader, self.mark = None, [], None, 0

    # life

    def start(self):
        return self.launch().await_ready()

    def launch(self):
        """Starts the process and does not wait for it."""
        command = self.command()
        if self.file_limit:
            command = ["prlimit", f"--nofile={self.file_limit}:{self.file_limit}", *command]
        self.process = subprocess.Popen(
            command, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.reader = threading.Thread(target=self.collect, args=(self.process,), daemon=True)
        self.mark = len(self.lines)
        self.reader.start()
        return self

    def await_ready(self):
        mark = self.mark

        def state():
            if self.is_ready(mark):
                return "ready"
            return "ended" if self.process.poll() is not None else None
        try:
            reached = wait_until(state, "the broker is ready", self.start_deadline)
        except NotInTime:
            self.kill()
            raise StartFailed(None, "not ready in time: " + self.output()) from None
        if reached == "ended":
            self.reader.join(5)
            raise StartFailed(self.process.returncode, self.output())
        return self

    def is_ready(self, mark):
        if BACKEND == "mosquitto":
            try:
                socket.create_connection(("127.0.0.1", self.ports["tcp"]), 0.2).close()
                return True
            except OSError:
                return False
        return any("quorate ready" in line for line in self.lines[mark:])

    def command(self):
        if BACKEND == "mosquitto":
            return [MOSQUITTO, "-c", self.mosquitto_configuration()]
        command = [BINARY, *self.arguments]
        for key, value in self.all_options().items():
            command += ["--set", f"{key}={as_option(value)}"]
        return command

    def all_options(self):
        return {"node.data_dir": self.data_dir, "listeners": self.listeners(),
                "metrics.listen": f"127.0.0.1:{self.metrics_port}",
                "admin.listen": f"127.0.0.1:{self.admin_port}", **CALM, **self.options}

    def listeners(self):
        entries = []
        for name in self.transports:
            if name == "unix":
                entries.append({"url": f"unix://{self.socket_path}"})
                continue
            entry = {"url": f"{name}://127.0.0.1:{self.ports[name]}"}
            if name in ("tls", "wss"):
                cert, key = self.certificates.server
                entry["tls"] = {"cert": cert, "key": key, "ca": self.certificates.authority[0]}
                entry["tls"].update(self.listener_extra.get("tls_options", {}))
            entry.update(self.listener_extra.get(name, {}))
            entries.append(entry)
        return entries

    def mosquitto_configuration(self):
        path = os.path.join(self.home, "mosquitto.conf")
        lines = ["user root", "allow_anonymous true", "persistence true",
                 f"persistence_location {self.home}/", "max_topic_alias 32",
                 f"listener {self.ports['tcp']} 127.0.0.1"]
        if "ws" in self.transports:
            lines += [f"listener {self.ports['ws']} 127.0.0.1", "protocol websockets"]
        if "unix" in self.transports:
            lines.append(f"listener 0 {self.socket_path}")
        for name in {"tls", "wss"} & set(self.transports):
            cert, key = self.certificates.server
            lines += [f"listener {self.ports[name]} 127.0.0.1", f"certfile {cert}",
                      f"keyfile {key}"] + (["protocol websockets"] if name == "wss" else [])
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        return path

    def collect(self, process):
        for line in process.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        process.stdout.close()

    def output(self):
        return "\n".join(self.lines)

    def kill(self):
        """SIGKILL, and the process is gone when this returns."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.join()

    def terminate(self, timeout=45):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("no exit after SIGTERM:\n" + self.output()[-3000:]) from None
        self.join()
        return self.process.returncode

    def join(self):
        if self.process:
            self.process.wait(30)
            self.reader.join(5)

    def restart_after_kill(self):
        self.kill()
        return self.start()

    def stop(self):
        """Ends the process and removes its files. Fails if a sanitizer found something."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)
        for at, line in enumerate(self.lines):
            if REPORT.search(line):
                report = "\n".join(self.lines[at:at + 120])
                raise AssertionError("a sanitizer's report:\n" + report)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    # clients

    def stream(self, transport_name=None, **options):
        name = transport_name or self.transports[0]
        if name == "tcp":
            return transport.open_tcp("127.0.0.1", self.ports["tcp"], **options)
        if name == "unix":
            return transport.open_unix(self.socket_path)
        if name == "ws":
            return transport.WebSocket(transport.open_tcp("127.0.0.1", self.ports["ws"]),
                                       **options)
        context = options.pop("context", None) or self.certificates.client_context()
        secure = transport.open_tls("127.0.0.1", self.ports[name], context)
        return secure if name == "tls" else transport.WebSocket(secure, **options)

    def client(self, version=5, transport_name=None, **options):
        return Client(self.stream(transport_name, **options), version)

    # observation

    def http(self, path, timeout=5):
        """(status, body) of the metrics listener."""
        url = f"http://127.0.0.1:{self.metrics_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self):
        """Samples by name with labels, as in the exposition text."""
        samples = {}
        for line in self.http("/metrics")[1].splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)", line)
            if match:
                samples[match.group(1)] = float(match.group(2))
        return samples

    def metric(self, name, **labels):
        """Sum of all samples of a metric whose labels include the given ones."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for sample, value in self.metrics().items()
                   if sample.split("{")[0] == name and all(w in sample for w in wanted))

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self):
        """The most resident memory this process has had."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def command_line(*arguments, timeout=30, cwd=None, env=None):
    """Runs the broker binary to its end, for --check-config and the like."""
    return subprocess.run([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, cwd=cwd, text=True, check=False,
                          env={**os.environ, **(env or {})})
