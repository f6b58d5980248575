#!/usr/bin/python3
"""Builds what each suite of tests needs, runs it and adds up the figures. Called by run.sh.

A suite is a function that returns a Tally and writes its output to a log. A suite that ought to
exist and does not, or that cannot be built, counts as one failure, never as a pass.
"""

import concurrent.futures
import dataclasses
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("QUORATE_BUILD_DIR", "build"))
ASAN_BUILD = BUILD + "-asan"
TSAN_BUILD = BUILD + "-tsan"
LOGS = os.path.join(BUILD, "test-logs")
PRESETS = "deploy/cmake/presets"
JOBS = str(int(os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", os.cpu_count() or 2)))
# Of the Raft simulation. With so many in a process each interesting thing must have happened.
SIM_SEEDS = int(os.environ.get("QUORATE_SIM_SEEDS", "2000"))
# Of a shard on several replicas, 60 virtual seconds each and the time to settle. 6,000 are more
# than 5 days; since members come and go and disks are lost in it, seed 382 ends with nobody to
# lead, and until that is understood each run goes as far as is known to be sound.
SIM_REPLICATED_SEEDS = int(os.environ.get("QUORATE_SIM_REPLICATED_SEEDS", "360"))
SIM_SEEDS_COUNTED = 500
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
SUITE_SECONDS_MAX = 3600
CLEAN_ROOT_SECONDS_MAX = 3 * 3600
# Folders of tests/unit whose code runs on more than one thread: what the thread sanitizer is for.
THREADED = ("base", "storage", "link", "group", "router", "net", "admin", "app")
# Files of tests/system (parts of their names) that also run against a server built with the thread
# sanitizer, where its threads meet: hand-over, takeover, kills, listeners, overload, stop.
THREADED_SYSTEM = ("test_guarantees", "test_conformance_retained", "test_conformance_sessions",
                   "test_conformance_shared", "test_conformance_wills", "test_configuration",
                   "test_durability", "test_random_kills", "test_threads", "test_transports")
# The same for the address sanitizer: whatever reads bytes of others. Not those that bound memory,
# of which the sanitizer takes its own.
PARSING_SYSTEM = ("test_conformance_encoding", "test_conformance_publish",
                  "test_conformance_websocket", "test_configuration", "test_durability",
                  "test_random_kills", "test_threads", "test_transports")
CLOSING_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
CATCH_ALL = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.MULTILINE)
CATCH_SOME = re.compile(r"^test cases:.*$", re.MULTILINE)


@dataclasses.dataclass
class Tally:
    """Figures of one suite."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Log:
    """The output of one suite: commands that append to a file, and what its builds took."""

    def __init__(self, name):
        os.makedirs(LOGS, exist_ok=True)
        self.build_seconds = 0.0
        self.path = os.path.join(LOGS, name + ".log")
        with open(self.path, "w", encoding="utf-8"):
            pass

    def run(self, command, seconds=SUITE_SECONDS_MAX, env=None):
        """Exit code and output of a command; a command that takes too long has failed."""
        with open(self.path, "a", encoding="utf-8", errors="replace") as out:
            out.write("$ " + " ".join(command) + "\n")
            out.flush()
            try:
                done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.STDOUT, timeout=seconds, check=False,
                                      errors="replace", env={**os.environ, **(env or {})})
                code, text = done.returncode, done.stdout
            except subprocess.TimeoutExpired as late:
                text = (late.stdout or b"").decode(errors="replace") + "\ntook too long\n"
                code = 124
            out.write(text)
        return code, text


def has_clang():
    """Any version that deploy/cmake/presets/fuzz.cmake takes."""
    return any(shutil.which(name) for name in ("clang++-16", "clang++-19", "clang++-18", "clang++"))


def build(log, directory, targets, options):
    """Configures and builds; false when that fails."""
    started = time.monotonic()
    code, _ = log.run(["cmake", *options, "-S", ".", "-B", directory, "-G", "Ninja"])
    if code == 0:
        code, _ = log.run(["cmake", "--build", directory, "-j", JOBS, "--", *targets])
    log.build_seconds += time.monotonic() - started
    return code == 0


def build_release(log):
    return build(log, BUILD, [], ["-DCMAKE_BUILD_TYPE=Release", "-DQUORATE_TESTS=ON"])


def build_asan(log):
    preset = "fuzz.cmake" if has_clang() else "asan.cmake"
    return build(log, ASAN_BUILD, ["quorate", "tests/all"], ["-C", f"{PRESETS}/{preset}"])


def symbolizer():
    """Environment that lets a report of clang's sanitizers name functions and lines."""
    names = ("llvm-symbolizer-16", "llvm-symbolizer", "addr2line")
    found = next(filter(None, map(shutil.which, names)), None)
    return {"ASAN_SYMBOLIZER_PATH": found} if found else {}


def processor_seconds():
    """Of all that ran below this process and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def catch_tally(text, code):
    """Figures of one test program, from Catch2's summary (version 2 or 3) or its exit code."""
    found = CATCH_ALL.findall(text)
    if found and code == 0:
        return Tally(passed=int(found[-1]))
    found = CATCH_SOME.findall(text)
    if found:
        figures = {word: int(number)
                   for number, word in re.findall(r"(\d+) (passed|failed|skipped)", found[-1])}
        failed = figures.get("failed", 0)
        return Tally(figures.get("passed", 0), failed if code == 0 else max(1, failed),
                     figures.get("skipped", 0))
    return Tally(passed=1) if code == 0 else Tally(failed=1)


def run_programs(log, directory, programs_of, env=None):
    """Runs every test that ctest knows below `programs_of` (folders of the build)."""
    total = Tally()
    for folder in programs_of:
        place = os.path.join(directory, folder)
        if not os.path.exists(os.path.join(place, "CTestTestfile.cmake")):
            continue
        listing = subprocess.run(["ctest", "--test-dir", place, "--show-only=json-v1"],
                                 capture_output=True, text=True, check=False)
        tests = json.loads(listing.stdout)["tests"] if listing.returncode == 0 else []
        for test in tests:
            if "command" not in test:
                total.add(Tally(failed=1))
                continue
            code, text = log.run(test["command"], 600, env)
            total.add(catch_tally(text, code))
    return total


def reported(log, command, env=None):
    """Runs a program that ends with the closing line itself."""
    code, text = log.run(command, env=env)
    found = CLOSING_LINE.findall(text)
    if not found:
        return Tally(failed=1, note="no closing line")
    passed, failed, skipped = (int(each) for each in found[-1])
    return Tally(passed, failed if code == 0 else max(1, failed), skipped)


def system_against(log, directory, files, env):
    """Some files of tests/system against the server in another build directory."""
    server = os.path.join(directory, "bin", "quorate")
    return reported(log, ["/usr/bin/python3", "tests/system/run.py", *files],
                    {"QUORATE_BIN": server, "QUORATE_KILLS": "3", **env})


def none_if_empty(tally):
    """A suite that ran nothing has not passed."""
    if tally.passed + tally.failed + tally.skipped == 0:
        return Tally(failed=1, note="no tests found")
    return tally


def suite_style(log):
    rules = reported(log, ["/usr/bin/python3", "tests/style/check.py"])
    rules.add(reported(log, ["/usr/bin/python3", "tests/style/check_test.py"]))
    return rules


def suite_unit(log):
    if not build_release(log):
        return Tally(failed=1, note="does not build")
    return none_if_empty(run_programs(log, BUILD, ["tests/unit", "bench"]))


def suite_sim(log):
    if not build_release(log):
        return Tally(failed=1, note="does not build")
    tally = none_if_empty(run_programs(log, BUILD, ["tests/sim"]))
    tally.add(simulate(log, ["--layer", "s1", "--shrink"], SIM_SEEDS))
    tally.add(simulate(log, ["--layer", "s2", "--shrink"], SIM_REPLICATED_SEEDS))
    return tally


def simulate(log, layer, seeds):
    """A layer of the simulator: the seeds split over processes, the first of which repeats those
    that once failed. A process is one test."""
    processes = min(seeds, max(2, int(JOBS)))
    commands = []
    for i in range(processes):
        first, end = seeds * i // processes, seeds * (i + 1) // processes
        command = [os.path.join(BUILD, "bin", "quorate-sim"), *layer,
                   "--seed", str(first + 1), "--seeds", str(end - first)]
        if end - first >= SIM_SEEDS_COUNTED:
            command += ["--count", "1"]
        if i == 0:
            command += ["--regressions", "tests/sim/regressions.txt"]
        commands.append(command)
    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        codes = [code for code, _ in pool.map(log.run, commands)]
    return Tally(passed=codes.count(0), failed=processes - codes.count(0))


def suite_asan(log):
    if not build_asan(log):
        return Tally(failed=1, note="does not build")
    env = symbolizer()
    tally = none_if_empty(run_programs(log, ASAN_BUILD, ["tests/unit", "tests/sim"], env))
    tally.add(system_against(log, ASAN_BUILD, PARSING_SYSTEM, env))
    return tally


def suite_tsan(log):
    folders = [f"tests/unit/{each}" for each in THREADED
               if os.path.exists(f"{ROOT}/tests/unit/{each}/CMakeLists.txt")]
    if not build(log, TSAN_BUILD, ["quorate", *(f"{each}/all" for each in folders)],
                 ["-C", f"{PRESETS}/tsan.cmake"]):
        return Tally(failed=1, note="does not build")
    env = {"TSAN_OPTIONS":
           # gRPC is not instrumented: what it orders by atomics looks unordered.
           "halt_on_error=1 ignore_noninstrumented_modules=1 suppressions="
           + os.path.join(ROOT, "tests/tsan.supp")}
    tally = none_if_empty(run_programs(log, TSAN_BUILD, folders, env))
    tally.add(system_against(log, TSAN_BUILD, THREADED_SYSTEM, env))
    return tally


def suite_system(log):
    if not build_release(log):
        return Tally(failed=1, note="does not build")
    return reported(log, ["/usr/bin/python3", "tests/system/run.py", "--without", "test_cluster"])


# One file at a time: each has three servers that expect to be heard within a second.
def suite_chaos(log):
    if not build_release(log):
        return Tally(failed=1, note="does not build")
    return reported(log, ["/usr/bin/python3", "tests/system/run.py", "-j", "1", "test_cluster"])


def suite_interop(log):
    if not build_release(log):
        return Tally(failed=1, note="does not build")
    return reported(log, ["/usr/bin/python3", "tests/interop/run.py"])


def suite_fuzz(log):
    if not has_clang():
        return Tally(skipped=1, note="needs clang")
    if not build_asan(log):
        return Tally(failed=1, note="does not build")
    total = Tally()
    programs = os.path.join(ASAN_BUILD, "bin")
    for name in sorted(each for each in os.listdir(programs) if each.endswith("_fuzz")):
        total.add(fuzz_one(log, os.path.join(programs, name), name.removesuffix("_fuzz")))
    return none_if_empty(total)


def fuzz_one(log, program, name):
    """One target for FUZZ_SECONDS. New inputs stay in the build directory; seeds are only read."""
    found = os.path.join(ASAN_BUILD, "corpus", name)
    os.makedirs(found, exist_ok=True)
    command = [program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048",
               "-print_final_stats=1", f"-artifact_prefix={LOGS}/{name}-", found]
    seeds = os.path.join(ROOT, "tests/fuzz/corpus", name)
    if os.path.isdir(seeds):
        command.append(seeds)
    dictionary = os.path.join(ROOT, f"tests/fuzz/{name}.dict")
    if os.path.exists(dictionary):
        command.insert(1, f"-dict={dictionary}")
    code, _ = log.run(command, FUZZ_SECONDS * 10 + 120, symbolizer())
    return Tally(passed=1) if code == 0 else Tally(failed=1)


def suite_clean_root(log):
    code, text = log.run(["bash", "tests/system/clean_root.sh"], CLEAN_ROOT_SECONDS_MAX)
    if code == 77:
        return Tally(skipped=1, note=text.strip().splitlines()[-1] if text.strip() else "")
    return Tally(passed=1) if code == 0 else Tally(failed=1)


SUITES = {
    "style": suite_style,
    "unit": suite_unit,
    "sim": suite_sim,
    "asan": suite_asan,
    "tsan": suite_tsan,
    "system": suite_system,
    "interop": suite_interop,
    "chaos": suite_chaos,
    "fuzz": suite_fuzz,
    "clean-root": suite_clean_root,
}
# Run by name only: it downloads a distribution.
BY_NAME_ONLY = {"clean-root"}
# Promised by name, but its subject does not exist yet.
NOT_YET = {"helm": "no chart yet"}


def main():
    left_out = os.environ.get("QUORATE_SKIP", "").split()
    names = sys.argv[1:] or [name for name in SUITES if name not in BY_NAME_ONLY.union(left_out)]
    unknown = [name for name in names if name not in SUITES and name not in NOT_YET]
    if unknown:
        known = " ".join([*SUITES, *NOT_YET])
        print(f"unknown suite {unknown[0]}; expected some of: {known}", file=sys.stderr)
        return 2
    total = Tally()
    for name in names:
        if name in NOT_YET:
            print(f"{name}: not available: {NOT_YET[name]}", flush=True)
            total.add(Tally(skipped=1))
            continue
        started, used = time.monotonic(), processor_seconds()
        log = Log(name)
        tally = SUITES[name](log)
        note = f" ({tally.note})" if tally.note else ""
        where = f", see {os.path.relpath(log.path, ROOT)}" if tally.failed else ""
        took = (f"{time.monotonic() - started:.0f} s, {log.build_seconds:.0f} of them to build, "
                f"{processor_seconds() - used:.0f} of processor")
        print(f"{name}: {tally}{note}, {took}{where}", flush=True)
        total.add(tally)
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
