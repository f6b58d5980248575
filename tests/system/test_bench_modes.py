"""Every mode of quorate-bench with tiny numbers, against a real broker.

QUORATE_BIN names the broker: quorate (the default, build/bin/quorate) or a mosquitto. What is
checked is that each mode runs, counts what it must and finds nothing wrong; not how fast it is.

mosquitto 2.0.11 drops messages for subscribers that are connected and take what they get, as its
own log says ("Outgoing messages are being dropped"): with it, loss at QoS 1 and 2 is tolerated
where many publish to few.
"""

import json
import os
import subprocess
import unittest

if os.path.basename(os.environ.get("QUORATE_BIN", "")).startswith("mosquitto"):
    os.environ["QUORATE_TEST_BACKEND"] = "mosquitto"

from lib.broker import BACKEND, Broker, ROOT  # noqa: E402  (the backend is chosen above)

BENCH = os.environ.get("QUORATE_BENCH_BIN") or os.path.join(ROOT, "build", "bin", "quorate-bench")


class Modes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.broker.start()

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()

    def run_bench(self, *arguments, peer_may_drop=False):
        address = f"127.0.0.1:{self.broker.ports['tcp']}"
        command = [BENCH, *map(str, arguments), "--host", address, "--seconds", "0.3", "--warmup",
                   "0.1", "--verify", "--json", "--pid", str(self.broker.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        report = json.loads(done.stdout)
        found = {name for name, count in report["verify"].items() if name != "ok" and count > 0}
        if peer_may_drop and BACKEND == "mosquitto":
            self.assertLessEqual(found, {"lost"}, report)
            return report
        self.assertEqual((done.returncode, found), (0, set()), report)
        self.assertTrue(report["verify"]["ok"])
        return report

    def assert_exchange(self, *arguments, qos, peer_may_drop=False):
        with self.subTest(arguments=arguments, qos=qos):
            report = self.run_bench(*arguments, "--qos", qos, peer_may_drop=peer_may_drop)
            self.assertGreater(report["delivered"], 20)
            self.assertGreater(report["delivered_per_s"], 0)
            self.assertEqual(report["acknowledged"] > 0, qos > 0)
            self.assertEqual(report["latency_us"]["end_to_end"]["count"], report["delivered"])
            latency = report["latency_us"]["end_to_end"]
            self.assertLessEqual(latency["p50"], latency["p99"])
            self.assertLessEqual(latency["p99"], latency["p999"])
            self.assertGreater(report["broker"]["cpu_us_per_delivered"], 0)
            self.assertGreater(report["broker"]["rss_bytes"], 0)
        return report

    def test_pairs_in_every_version_and_qos(self):
        for version in (3, 4, 5):
            for qos in (0, 1, 2):
                self.assert_exchange("pairs", "--clients", 3, "--v", version, qos=qos)

    def test_pairs_with_durable_sessions_leave_none_behind(self):
        for version in (4, 5):
            self.assert_exchange("pairs", "--clients", 2, "--v", version, "--persistent", qos=1)

    def test_pairs_on_two_threads(self):
        self.assert_exchange("pairs", "--clients", 5, "--threads", 2, qos=1)

    def test_fanin(self):
        for qos in (0, 1):
            self.assert_exchange("fanin", "--clients", 5, qos=qos, peer_may_drop=qos > 0)

    def test_fanout(self):
        for qos in (0, 1):
            self.assert_exchange("fanout", "--clients", 5, "--window", 10, qos=qos)

    def test_shared(self):
        for qos in (1, 2):
            self.assert_exchange("shared", "--pubs", 4, "--subs", 2, qos=qos, peer_may_drop=True)

    def test_big_payloads(self):
        self.assert_exchange("pairs", "--clients", 2, "--payload", 300000, "--window", 2, qos=1)

    def test_a_rate_is_kept(self):
        report = self.assert_exchange("pairs", "--clients", 4, "--rate", 500, qos=1)
        self.assertAlmostEqual(report["sent"] / report["seconds"], 500, delta=100)

    def test_other_subscriptions_beside(self):
        for kind in ("exact", "wildcard"):
            report = self.assert_exchange("pairs", "--clients", 2, "--filters", 250,
                                          "--filter-kind", kind, "--filters-per-client", 120,
                                          qos=1)
            self.assertEqual(report["filters"], 250)

    def test_conns(self):
        for more in ([], ["--subscribe"]):
            report = self.run_bench("conns", "--clients", 60, "--hold", 0.3, *more)
            self.assertEqual(report["connections"], 60)
            self.assertEqual(report["held_to_the_end"], 60)
            self.assertGreater(report["connects_per_s"], 0)
            self.assertIn("rss_bytes_per_connection", report)

    def test_keep_alive_holds_idle_connections(self):
        report = self.run_bench("conns", "--clients", 3, "--keepalive", 1, "--hold", 3)
        self.assertEqual(report["held_to_the_end"], 3)

    def test_retained(self):
        for qos in (0, 1):
            report = self.run_bench("retained", "--clients", 120, "--qos", qos)
            self.assertEqual(report["delivered"], 120)
            again = self.run_bench("retained", "--clients", 30, "--subs", 2, "--v", 5)
            self.assertEqual(again["delivered"], 60)

    def test_sessions(self):
        for version in (4, 5):
            for qos in (1, 2):
                report = self.run_bench("sessions", "--clients", 10, "--messages", 15, "--v",
                                        version, "--qos", qos)
                self.assertEqual(report["delivered"], 150)
                self.assertEqual(report["sent"], 150)


if __name__ == "__main__":
    unittest.main()
