#!/usr/bin/python3
"""deploy/quickstart.sh as a person runs it, with ports and a data directory of the test's own.

What it needs is built already (tests/run.sh does that first); tests/system/clean_root.sh proves the
way from a bare machine.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from lib.wait import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "deploy/quickstart.sh")
BUILD = os.path.join(ROOT, os.environ.get("QUORATE_BUILD_DIR", "build"))
DEADLINE = 120
CONNECT_311 = bytes([0x10, 13, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 60, 0, 1]) + b"q"
CONNACK_311 = bytes([0x20, 2, 0, 0])


def free_ports(count):
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def free_range(count):
    """The first of so many adjacent ports that were free a moment ago."""
    while True:
        first = free_ports(1)[0]
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
            return first
        except OSError:
            continue


def running(pid):
    """False also for a dead process that nobody has reaped."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            return "zombie" not in status.read()
    except FileNotFoundError:
        return False


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="quorate-quickstart-")
        self.mqtt, web_socket, metrics = free_ports(3)
        self.environment = {**os.environ, "QUICKSTART_MQTT_PORT": str(self.mqtt),
                            "QUICKSTART_WS_PORT": str(web_socket),
                            "QUICKSTART_METRICS_PORT": str(metrics),
                            "QUICKSTART_DATA_DIR": self.data, "QUICKSTART_BUILD_DIR": BUILD}
        self.pid = None

    def tearDown(self):
        if self.pid and running(self.pid):
            os.kill(self.pid, signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)

    def run_script(self, *arguments):
        return subprocess.run([SCRIPT, *arguments], env=self.environment, capture_output=True,
                              text=True, timeout=DEADLINE * 5, check=False)

    def need_binary(self):
        if not os.path.exists(os.path.join(BUILD, "bin/quorate")):
            self.skipTest("needs a built server")

    def connect(self):
        with socket.create_connection(("127.0.0.1", self.mqtt), timeout=10) as client:
            client.sendall(CONNECT_311)
            return client.recv(4)

    def test_three_nodes_serve_clients_and_stop_by_their_pids(self):
        self.need_binary()
        for name in ("MQTT", "WS", "METRICS", "LINK"):
            self.environment[f"QUICKSTART_{name}_PORT"] = str(free_range(3))
        done = self.run_script("--cluster", "3", "--detach")
        self.assertEqual(done.returncode, 0, done.stderr)
        pids = [int(line) for line in done.stdout.split()]
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in pids if running(pid)])
        self.assertEqual(len(pids), 3)
        for node in range(3):
            self.mqtt = int(self.environment["QUICKSTART_MQTT_PORT"]) + node
            self.assertEqual(self.connect(), CONNACK_311)
        self.assertIn("mosquitto_sub", done.stderr)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not any(running(pid) for pid in pids), "the end of the nodes", DEADLINE)

    def test_a_cluster_of_no_number_is_refused(self):
        for arguments in (("--cluster",), ("--cluster", "0"), ("--cluster", "many")):
            done = self.run_script(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("expected --cluster and a number", done.stderr)
            self.assertEqual(done.stdout, "")

    def test_an_unknown_argument_is_refused(self):
        self.assertEqual(self.run_script("--detached").returncode, 2)

    def test_detach_prints_the_pid_of_a_broker_that_serves_clients(self):
        self.need_binary()
        done = self.run_script("--detach")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.pid = int(done.stdout)
        self.assertTrue(running(self.pid))
        self.assertEqual(self.connect(), CONNACK_311)
        self.assertIn("mosquitto_sub", done.stderr)
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not running(self.pid), "the end of the broker", DEADLINE)

    def test_a_second_broker_on_the_same_data_is_refused_with_its_exit_code(self):
        self.need_binary()
        self.pid = int(self.run_script("--detach").stdout)
        ports = free_ports(3)
        for name, port in zip(("MQTT", "WS", "METRICS"), ports):
            self.environment[f"QUICKSTART_{name}_PORT"] = str(port)
        done = self.run_script("--detach")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(self.connect(), CONNACK_311)

    def test_a_signal_stops_the_foreground_broker_in_good_order(self):
        self.need_binary()
        # A shell that starts the tests in the background has them ignore SIGINT, and the script
        # with them.
        with subprocess.Popen([SCRIPT], env=self.environment, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, start_new_session=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
                              ) as script:
            for line in script.stdout:
                if "quorate is ready" in line:
                    self.pid = int(line.split("pid ")[1].split(")")[0])
                    break
            os.killpg(script.pid, signal.SIGINT)
            script.communicate(timeout=DEADLINE)
        self.assertEqual(script.returncode, 0)
        self.assertFalse(running(self.pid))


if __name__ == "__main__":
    unittest.main()
