"""Command line, configuration, exit codes, HTTP endpoint, SIGTERM and SIGHUP."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from lib import transport
from lib.broker import Broker, StartFailed, command_line, free_port
from lib.case import BrokerCase, quorate_only
from lib.certs import Certificates


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="quorate-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, text):
        path = os.path.join(self.folder, "quorate.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def check(self, text, *arguments, **options):
        return command_line("--config", self.write(text), *arguments, "--check-config",
                            cwd=self.folder, **options)


@quorate_only
class CheckConfig(Files):
    def test_a_good_file_is_accepted_and_nothing_is_started(self):
        result = self.check("node: {data_dir: ./here}\nmqtt:\n  max_qos: 1\n"
                            "listeners:\n  - {url: 'tcp://127.0.0.1:18830'}\n")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "here")))

    def test_an_empty_file_is_accepted(self):
        self.assertEqual(self.check("").returncode, 0)

    def test_unknown_options_are_told_with_line_and_nearest_name(self):
        for text, line, wrong, near in (
                ("node:\n  data_dir: x\nmqtt:\n  max_packet_sise: 1MiB\n", 4, "max_packet_sise",
                 "max_packet_size"),
                ("metriks: {listen: '127.0.0.1:1'}\n", 1, "metriks", "metrics"),
                ("listeners:\n  - url: tcp://127.0.0.1:1\n    max_conections: 5\n", 3,
                 "max_conections", "max_connections")):
            with self.subTest(wrong=wrong):
                result = self.check(text)
                self.assertEqual(result.returncode, 2, result.stdout)
                for part in (f"quorate.yaml:{line}", wrong, near):
                    self.assertIn(part, result.stdout)

    def test_ill_typed_values_are_told_with_what_was_expected(self):
        for line in ("mqtt: {max_qos: 3}", "mqtt: {max_qos: many}", "mqtt: {publish_timeout: 5}",
                     "mqtt: {max_packet_size: 1XB}", "mqtt: {retain: perhaps}",
                     "node: {drain_timeout: -1s}", "log: {level: loud}",
                     "storage: {sync: sometimes}", "cluster: {shards: 0}", "cluster: {shards: []}",
                     "listeners: [{url: 'http://127.0.0.1:1'}]", "listeners: [{url: 'tcp://x'}]",
                     "listeners: {}", "mqtt: 7", "metrics: {listen: 'nowhere'}"):
            with self.subTest(line=line):
                result = self.check("log: {format: text}\n" + line + "\n"
                                    if not line.startswith("log") else "\n" + line + "\n")
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertIn("quorate.yaml:2", result.stdout)

    def test_broken_yaml_and_missing_files_are_refused(self):
        for text in ("node: {", "\tx: 1", "a: b: c", "mqtt:\n  max_qos: 1\n  max_qos: 2\n"):
            with self.subTest(text=text):
                self.assertEqual(self.check(text).returncode, 2)
        result = command_line("--config", "/nonexistent.yaml", "--check-config")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/nonexistent.yaml", result.stdout)

    def test_a_public_listener_needs_a_choice_about_anonymous_clients(self):
        text = "listeners: [{url: 'tcp://0.0.0.0:1883'}]\n"
        result = self.check(text)
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn("allow_anonymous", result.stdout)
        self.assertEqual(self.check(text + "auth: {allow_anonymous: true}\n").returncode, 0)

    def test_bad_values_are_refused_wherever_they_come_from(self):
        text = "mqtt: {max_qos: 1}\n"
        self.assertEqual(self.check(text, "--set", "mqtt.max_qos=9").returncode, 2)
        self.assertEqual(self.check(text, env={"QUORATE_MQTT__MAX_QOS": "9"}).returncode, 2)
        for argument in ("mqtt.max_qoss=1", "mqtt.max_qos", "=1", "mqtt.max_qos=[1"):
            with self.subTest(argument=argument):
                self.assertEqual(self.check(text, "--set", argument).returncode, 2)
        result = self.check(text, env={"QUORATE_MQTT__MAX_QOSS": "1"})
        self.assertEqual(result.returncode, 2)
        self.assertIn("max_qos", result.stdout)

    def tls_listener(self, **files):
        return ("listeners:\n  - url: tls://127.0.0.1:18883\n    tls:\n"
                + "".join(f"      {key}: {name}\n" for key, name in files.items()))

    def test_files_that_are_named_are_opened_and_parsed(self):
        tls = Certificates(os.path.join(self.folder, "tls"))
        with open(os.path.join(self.folder, "noise.pem"), "w", encoding="ascii") as out:
            out.write("-----BEGIN CERTIFICATE-----\nnoise\n-----END CERTIFICATE-----\n")
        cert, key, ca = "tls/server.crt", "tls/server.key", "tls/ca.crt"
        good = self.check(self.tls_listener(cert=cert, key=key, ca=ca, verify_client="require"))
        self.assertEqual(good.returncode, 0, good.stdout)
        for files, line, option, expected in (
                ({"cert": "absent.crt", "key": key}, 4, "cert", "no such file"),
                ({"cert": "noise.pem", "key": key}, 4, "cert", "a PEM certificate"),
                ({"cert": cert, "key": "absent.key"}, 5, "key", "no such file"),
                ({"cert": cert, "key": cert}, 5, "key", "a PEM private key"),
                ({"cert": cert, "key": "tls/client.key"}, 5, "key", "the key of the certificate"),
                ({"cert": cert, "key": key, "ca": key}, 6, "ca", "PEM certificates"),
                ({"cert": cert, "key": key, "ca": "tls"}, 6, "ca", "PEM certificates")):
            with self.subTest(files=files):
                result = self.check(self.tls_listener(**files))
                self.assertEqual(result.returncode, 2, result.stdout)
                for part in (f"quorate.yaml:{line}: listeners[0].tls.{option}: expected", expected,
                             f'"{files[option]}"'):
                    self.assertIn(part, result.stdout)
        self.assertTrue(os.path.exists(tls.server[0]))

    def test_files_of_other_options_are_opened_as_well(self):
        os.mkdir(os.path.join(self.folder, "folder"))
        for text, place in (
                ("cluster:\n  tls:\n    ca: absent.crt\n", "3: cluster.tls.ca"),
                ("admin:\n  tls: {cert: absent.crt}\n", "2: admin.tls.cert"),
                ("admin:\n  tokens_file: absent\n", "2: admin.tokens_file"),
                ("log:\n  file: absent/broker.log\n", "2: log.file"),
                ("log:\n\n  file: folder\n", "3: log.file")):
            with self.subTest(text=text):
                result = self.check(text)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertIn(f"quorate.yaml:{place}: expected", result.stdout)
        self.assertEqual(self.check("log: {file: folder/new.log}\n").returncode, 0)
        self.assertEqual(os.listdir(os.path.join(self.folder, "folder")), [])

    def test_what_the_node_holds_by_itself_fits_into_its_memory(self):
        small = "limits:\n  memory_high_water: 300MiB\n"
        result = self.check(small)
        self.assertEqual(result.returncode, 2, result.stdout)
        for part in ("quorate.yaml:2: limits.memory_high_water: expected more than",
                     "got 300 MiB", "6 x storage.write_buffer 384 MiB", "storage.block_cache 32",
                     "limits.max_unauthenticated_bytes 64 MiB", "lower"):
            self.assertIn(part, result.stdout)
        result = self.check(small + "storage:\n  write_buffer: 4MiB\n"
                            "node: {loops: 1, workers: 1}\n")
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_version_help_and_usage_errors(self):
        result = command_line("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^quorate \d+\.\d+")
        result = command_line("--help")
        self.assertEqual(result.returncode, 0)
        for word in ("--config", "--set", "--check-config"):
            self.assertIn(word, result.stdout)
        self.assertEqual(command_line("--no-such-option").returncode, 2)


@quorate_only
class Starting(unittest.TestCase):
    def broker(self, options=None, **more):
        broker = Broker({"cluster.shards": 4, **(options or {})}, **more)
        self.addCleanup(broker.stop)
        return broker

    def assert_start_fails(self, broker, status, *words):
        with self.assertRaises(StartFailed) as caught:
            broker.start()
        self.assertEqual(caught.exception.status, status, caught.exception.output)
        for word in words:
            self.assertIn(word, caught.exception.output)

    def test_a_locked_data_directory_is_exit_3(self):
        first = self.broker().start()
        second = self.broker({"node.data_dir": first.data_dir})
        self.assert_start_fails(second, 3, first.data_dir)
        client = first.client()
        self.assertEqual(client.connect("still here").code, 0)
        client.close()

    def test_an_unusable_data_directory_is_exit_3(self):
        broker = self.broker()
        with open(broker.data_dir, "w", encoding="ascii") as out:
            out.write("a file, not a directory")
        self.assert_start_fails(broker, 3)

    def test_a_directory_that_lost_its_log_is_exit_3_at_once(self):
        broker = self.broker().start()
        client = broker.client()
        client.connect("durable", clean=False, props={"session_expiry": 3600})
        client.subscribe("t", qos=1)
        client.close()
        # What was flushed into the state rests on a log that is gone.
        broker.terminate()
        shutil.rmtree(os.path.join(broker.data_dir, "log"))
        started = time.monotonic()
        self.assert_start_fails(broker, 3, "damaged", "backup")
        self.assertLess(time.monotonic() - started, 20, "seconds until it said so")

    def test_a_port_in_use_is_exit_1(self):
        first = self.broker().start()
        port = first.ports["tcp"]
        second = self.broker({"listeners": [{"url": f"tcp://127.0.0.1:{port}"}]})
        self.assert_start_fails(second, 1, str(port))

    def test_a_missing_certificate_is_exit_2(self):
        broker = self.broker({"listeners": [{"url": f"tls://127.0.0.1:{free_port()}", "tls": {
            "cert": "/nonexistent.crt", "key": "/nonexistent.key"}}]})
        self.assert_start_fails(broker, 2, "/nonexistent.crt")

    def test_a_start_without_the_memory_for_it_is_exit_2(self):
        broker = self.broker({"storage.write_buffer": "1GiB", "limits.memory_high_water": "2GiB"})
        self.assert_start_fails(broker, 2, "limits.memory_high_water", "storage.write_buffer")
        self.assertFalse(os.path.exists(broker.data_dir))

    def test_the_ready_line_names_the_listeners(self):
        broker = self.broker(transports=("tcp", "ws")).start()
        ready = [line for line in broker.lines if "quorate ready" in line]
        self.assertEqual(len(ready), 1)
        for name in ("tcp", "ws"):
            self.assertIn(f":{broker.ports[name]}", ready[0])

    def test_sigterm_drains_tells_clients_and_exits_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            broker = self.broker().start()
            five, four = broker.client(), broker.client(4)
            five.connect("five")
            four.connect("four")
            broker.process.send_signal(number)
            last = five.wait_closed(20)
            self.assertIn(last.code, (0x8B, 0x9C, 0x9D))
            self.assertIsNone(four.wait_closed(20))
            broker.join()
            self.assertEqual(broker.process.returncode, 0, broker.output())

    def test_a_sighup_while_the_broker_stops_does_not_kill_it(self):
        broker = self.broker().start()
        client = broker.client()
        client.connect("c")
        broker.process.send_signal(signal.SIGHUP)
        broker.process.send_signal(signal.SIGTERM)  # while it reloads
        deadline = time.monotonic() + 45
        while broker.is_running():
            self.assertLess(time.monotonic(), deadline, broker.output())
            broker.process.send_signal(signal.SIGHUP)
            try:
                broker.process.wait(0.002)
            except subprocess.TimeoutExpired:
                continue
        client.close()
        self.assertEqual(broker.process.returncode, 0, broker.output())

    def test_acknowledged_messages_survive_a_clean_stop(self):
        broker = self.broker().start()
        reader = broker.client()
        reader.connect("reader", clean=False, props={"session_expiry": 3600})
        reader.subscribe("t", qos=2)
        reader.disconnect()
        writer = broker.client()
        writer.connect("writer")
        for n in range(20):
            writer.publish("t", str(n), qos=1 + n % 2)
        self.assertEqual(broker.terminate(), 0)
        broker.start()
        reader = broker.client()
        self.assertTrue(reader.connect("reader", clean=False,
                                       props={"session_expiry": 3600}).session_present)
        self.assertEqual([m.payload for m in reader.messages(20)],
                         [str(n).encode() for n in range(20)])
        reader.close()

    def test_wills_are_published_or_kept_over_a_clean_stop(self):
        broker = self.broker().start()
        reader = broker.client()
        reader.connect("reader", clean=False, props={"session_expiry": 3600})
        reader.subscribe("w", qos=1)
        device = broker.client()
        device.connect("device", clean=False, props={"session_expiry": 3600},
                       will={"topic": "w", "payload": b"gone", "qos": 1})
        reader.abort()
        broker.terminate()
        broker.start()
        reader = broker.client()
        reader.connect("reader", clean=False, props={"session_expiry": 3600})
        self.assertEqual(reader.message().payload, b"gone")
        reader.silence(0.3)
        reader.close()

    def test_environment_overrides_the_file_and_set_overrides_both(self):
        for environment, argument, expected in ((None, None, 0), ("1", None, 1), ("1", "2", None),
                                                (None, "1", 1)):
            broker = self.broker({"mqtt.max_qos": argument} if argument else None)
            path = os.path.join(broker.home, "quorate.yaml")
            with open(path, "w", encoding="ascii") as out:
                out.write("mqtt: {max_qos: 0}\n")
            broker.arguments = ["--config", path]
            if environment:
                os.environ["QUORATE_MQTT__MAX_QOS"] = environment
            try:
                broker.start()
            finally:
                os.environ.pop("QUORATE_MQTT__MAX_QOS", None)
            client = broker.client()
            self.assertEqual(client.connect("c").props.get("maximum_qos"), expected)
            client.close()

    def test_other_shards_than_at_bootstrap_do_not_hide_what_is_stored(self):
        broker = self.broker().start()
        writer = broker.client()
        writer.connect("w")
        for n in range(20):
            writer.publish(f"kept/{n}", b"x", qos=1, retain=True)
        broker.kill()
        broker.options["cluster.shards"] = 8
        try:
            broker.start()
        except StartFailed as refused:
            self.assertEqual(refused.status, 3)
            return
        reader = broker.client()
        reader.connect("r")
        for n in range(20):
            reader.subscribe(f"kept/{n}", qos=1)
        self.assertEqual(len(reader.messages(20)), 20)
        reader.close()


@quorate_only
class Endpoint(BrokerCase):
    def test_health_and_readiness(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.broker.http(path)[0], 200, path)
        self.assertEqual(self.broker.http("/nothing")[0], 404)

    def test_metrics_are_exposition_text_and_count(self):
        before = self.broker.metrics()
        self.assertIn("process_start_time_seconds", before)
        topic = self.topic()
        reader, writer = self.client(), self.client()
        reader.subscribe(topic, qos=1)
        for _ in range(10):
            writer.publish(topic, b"x", qos=1)
        reader.messages(10)
        for name, labels, least in (("quorate_publish_received_total", {"qos": "1"}, 10),
                                    ("quorate_publish_delivered_total", {"qos": "1"}, 10),
                                    ("quorate_connects_total", {"result": "accepted"}, 2),
                                    ("quorate_packets_received_total", {"type": "publish"}, 10)):
            with self.subTest(metric=name):
                old = sum(v for k, v in before.items() if k.split("{")[0] == name and all(
                    f'{a}="{b}"' in k for a, b in labels.items()))
                self.wait_for(lambda: self.broker.metric(name, **labels) - old >= least, name)
        self.wait_for(lambda: self.broker.metric("quorate_connections", protocol="5.0") >= 2,
                      "connections are counted")
        reader.disconnect()
        writer.disconnect()
        self.wait_for(lambda: self.broker.metric("quorate_connections", protocol="5.0") == 0,
                      "connections go down")

    def test_the_text_is_well_formed(self):
        with urllib.request.urlopen(
                f"http://127.0.0.1:{self.broker.metrics_port}/metrics", timeout=5) as answer:
            self.assertIn("text/plain", answer.headers["Content-Type"])
            text = answer.read().decode()
        described = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = re.fullmatch(r'([a-z_0-9]+)(\{[^}]*\})? \S+', line)
                self.assertTrue(match, line)
                base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
                self.assertTrue({base, match.group(1)} & described, line)

    def test_bad_requests_are_refused_and_do_no_harm(self):
        for data, status in ((b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
                             (b"nonsense\r\n\r\n", 400),
                             (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431)):
            stream = transport.open_tcp("127.0.0.1", self.broker.metrics_port)
            self.addCleanup(stream.close)
            stream.send(data)
            self.assertEqual(transport.read_http_head(stream)[0], status)
        self.assertEqual(self.broker.http("/healthz")[0], 200)

    def test_sighup_keeps_connections(self):
        client = self.client()
        self.broker.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.broker.metric("quorate_config_reload_total") >= 1, "a reload")
        client.ping()


if __name__ == "__main__":
    unittest.main()
