#!/usr/bin/python3
"""Runs real MQTT clients against the broker: run.py [suite ...], a line per suite, totals last.

Suites: mosquitto, paho_c, paho_python, mqttjs_node, mqttjs_chromium. A suite whose client is not
installed is skipped with the reason. The clients print PASS and FAIL lines; the rest is noise.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

from lib.broker import BINARY, Broker  # noqa: E402  (the path comes first)

DEADLINE = 240
JS = os.path.join(HERE, "js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Skip(Exception):
    """The client is not here."""


def need(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise Skip(f"{' or '.join(names)} not installed")


def mosquitto(broker):
    need("mosquitto_pub")
    need("mosquitto_sub")
    return [["/usr/bin/python3", os.path.join(HERE, "mosquitto_clients.py"), "127.0.0.1",
             str(broker.ports["tcp"])]]


def paho_c(broker):
    program = os.environ.get("QUORATE_INTEROP_PAHO_C") or os.path.join(
        os.path.dirname(os.path.abspath(BINARY)), "interop_paho_c")
    if not os.path.exists(program):
        raise Skip(f"{program} not built (libpaho-mqtt-dev)")
    return [[program, "127.0.0.1", str(broker.ports["tcp"])]]


def paho_python(broker):
    if subprocess.run(["/usr/bin/python3", "-c", "import paho.mqtt.client"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        raise Skip("python3-paho-mqtt not installed")
    return [["/usr/bin/python3", os.path.join(HERE, "paho_python.py"), "127.0.0.1",
             str(broker.ports["tcp"])]]


def node_modules():
    node = need("node")
    if not os.path.isdir(os.path.join(JS, "node_modules", "mqtt")):
        installed = subprocess.run([need("npm"), "ci", "--no-audit", "--no-fund"], cwd=JS,
                                   check=False, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.STDOUT, timeout=DEADLINE)
        if installed.returncode:
            raise Skip("npm ci failed; MQTT.js is not here")
    return node


def mqttjs_node(broker):
    node, ports = node_modules(), broker.ports
    plain = [f"mqtt://127.0.0.1:{ports['tcp']}", f"ws://127.0.0.1:{ports['ws']}"]
    secure = [f"mqtts://localhost:{ports['tls']}", f"wss://localhost:{ports['wss']}"]
    return [[node, "node.js", url] for url in plain] + [
        [node, "node.js", url, broker.certificates.authority[0]] for url in secure]


def mqttjs_chromium(broker):
    return [[node_modules(), "chromium.js", need(*BROWSERS),
             f"ws://127.0.0.1:{broker.ports['ws']}", f"wss://127.0.0.1:{broker.ports['wss']}"]]


SUITES = {"mosquitto": mosquitto, "paho_c": paho_c, "paho_python": paho_python,
          "mqttjs_node": mqttjs_node, "mqttjs_chromium": mqttjs_chromium}


def run_command(command):
    """(passed, failed lines, whole output) of one client program."""
    try:
        done = subprocess.run(command, cwd=JS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=DEADLINE, check=False)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace") if isinstance(
            error.stdout, bytes) else error.stdout or ""
        status = "too long"
    passed = sum(line.startswith("PASS ") for line in output.splitlines())
    failures = [line for line in output.splitlines() if line.startswith("FAIL ")]
    if not failures and (status != 0 or passed == 0):
        failures = [f"FAIL {' '.join(command)}: status {status}", output[-2000:]]
    return passed, failures


def run_suite(name, broker):
    started = time.monotonic()
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        for command in SUITES[name](broker):
            passed, failures = run_command(command)
            totals["passed"] += passed
            totals["failed"] += sum(line.startswith("FAIL ") for line in failures)
            for line in failures:
                print(line, flush=True)
        note = ""
    except Skip as reason:
        totals["skipped"] += 1
        note = f" [{reason}]"
    print("interop {}: {passed} passed, {failed} failed, {skipped} skipped ({:.1f} s){}".format(
        name, time.monotonic() - started, note, **totals), flush=True)
    return totals


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", nargs="*", metavar="suite")
    wanted = parser.parse_args().suite or list(SUITES)
    if set(wanted) - set(SUITES):
        parser.error(f"suites are {', '.join(SUITES)}")
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    broker = Broker(transports=("tcp", "ws", "tls", "wss"))
    try:
        broker.start()
        for name in wanted:
            for key, value in run_suite(name, broker).items():
                totals[key] += value
        if not broker.is_running():
            totals["failed"] += 1
            print("the broker died:\n" + broker.output()[-3000:])
    finally:
        broker.stop()
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals), flush=True)
    sys.exit(1 if totals["failed"] else 0)


if __name__ == "__main__":
    main()
