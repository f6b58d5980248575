#!/usr/bin/python3
"""Runs the system tests: run.py [-j N] [pattern ...], a line per file, totals at the end.

Each test_*.py is a process of its own with its own broker, so files run in parallel. The exit
status is 0 only if no test failed. A pattern is a part of a file name.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FILE_DEADLINE = 600


def run_one(name):
    """In the child: runs one file and prints its figures as the last line, in JSON."""
    sys.path.insert(0, HERE)
    started = time.monotonic()
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(verbosity=1, buffer=True).run(suite)
    broken = {test.id() if hasattr(test, "id") else str(test)
              for test, _ in result.failures + result.errors}
    failed = len({identity.split(" (")[0] for identity in broken})
    failed += len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    figures = {"passed": max(0, result.testsRun - failed - skipped), "failed": failed,
               "skipped": skipped, "seconds": round(time.monotonic() - started, 1)}
    print("\nRESULT " + json.dumps(figures), flush=True)
    return 1 if failed else 0


def run_child(name):
    """In the parent: figures and output of one file."""
    try:
        child = subprocess.run([sys.executable, os.path.abspath(__file__), "--one", name],
                               cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=FILE_DEADLINE, text=True, errors="replace", check=False)
        output = child.stdout
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace") + "\nfile ran too long\n"
    for line in reversed(output.splitlines()):
        if line.startswith("RESULT "):
            return name, json.loads(line[7:]), output
    return name, {"passed": 0, "failed": 1, "skipped": 0, "seconds": 0.0}, output


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=os.cpu_count() or 2, metavar="N")
    parser.add_argument("--one", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--without", metavar="PATTERN", help="leave these files out")
    parser.add_argument("pattern", nargs="*")
    arguments = parser.parse_args()
    if arguments.one:
        sys.exit(run_one(arguments.one))
    names = sorted(name[:-3] for name in os.listdir(HERE)
                   if name.startswith("test_") and name.endswith(".py"))
    if arguments.pattern:
        names = [name for name in names if any(part in name for part in arguments.pattern)]
    if arguments.without:
        names = [name for name in names if arguments.without not in name]
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.j)) as pool:
        for future in concurrent.futures.as_completed(pool.submit(run_child, n) for n in names):
            name, figures, output = future.result()
            if figures["failed"]:
                print(output, flush=True)
            print("{}: {passed} passed, {failed} failed, {skipped} skipped ({seconds} s)".format(
                name, **figures), flush=True)
            for key in totals:
                totals[key] += figures[key]
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals), flush=True)
    sys.exit(1 if totals["failed"] or not names else 0)


if __name__ == "__main__":
    main()
