#!/usr/bin/python3
"""Lists normative statements that bind a server and that nothing tests.

A statement counts as tested when a system test names it in @statement (MQTT 5.0) or
@statement311 (MQTT 3.1.1), when a Catch2 test of tests/unit carries it as tag, [MQTT-3.3.1-4]
for 5.0 or [MQTT311-3.3.1-4] for 3.1.1, or when untestable.txt says why it cannot be tested.
Names that no list knows are errors, too. Exit status 1 if there is any of either.
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT_TESTS = os.path.join(os.path.dirname(HERE), "unit")
LISTS = {"5.0": "normative_5.txt", "3.1.1": "normative_311.txt"}
DECORATORS = {"statement": "5.0", "statement311": "3.1.1"}
TAGS = {"MQTT": "5.0", "MQTT311": "3.1.1"}


def read_list(path):
    """number -> (whom it binds, paraphrase)."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                number, binds, text = line.strip().split(" ", 2)
                if number in found or binds not in ("server", "client", "both"):
                    raise ValueError(f"{path}: {line}")
                found[number] = (binds, text)
    return found


def read_untestable(path):
    """(version, number) -> reason; a reason is mandatory."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                version, number, reason = line.strip().split(" ", 2)
                if len(reason) < 10:
                    raise ValueError(f"{path}: no reason: {line}")
                found[version, number] = reason
    return found


def in_python(text):
    """(version, number) of every decorator in a test file."""
    for match in re.finditer(r"^\s*@(statement(?:311)?)\(((?:[^()]|\n)*)\)", text, re.MULTILINE):
        for number in re.findall(r'"(MQTT-[^"]+)"', match.group(2)):
            yield DECORATORS[match.group(1)], number


def in_catch2(text):
    for match in re.finditer(r"\[(MQTT(?:311)?)-(\d+(?:\.\d+)*-\d+)\]", text):
        yield TAGS[match.group(1)], "MQTT-" + match.group(2)


def scan(system=HERE, unit=UNIT_TESTS):
    """(version, number) -> file names that name it."""
    found = {}
    for name in sorted(os.listdir(system)):
        if name.startswith("test_") and name.endswith(".py"):
            with open(os.path.join(system, name), encoding="utf-8") as source:
                for key in in_python(source.read()):
                    found.setdefault(key, []).append(name)
    for folder, _, names in sorted(os.walk(unit)):
        for name in sorted(names):
            if name.endswith(".cpp"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", errors="replace") as source:
                    for key in in_catch2(source.read()):
                        found.setdefault(key, []).append(os.path.relpath(path, unit))
    return found


def report(lists, tested, untestable):
    """Complaints, one string each."""
    problems = []
    for version, numbers in lists.items():
        for number, (binds, text) in numbers.items():
            key = (version, number)
            if binds != "client" and key not in tested and key not in untestable:
                problems.append(f"{version} [{number}] not tested: {text}")
            if key in untestable and key in tested:
                problems.append(f"{version} [{number}] is tested by {tested[key][0]}, "
                                "but listed as untestable")
    for version, number in sorted(set(tested) | set(untestable)):
        if number not in lists[version]:
            where = tested.get((version, number), ["untestable.txt"])[0]
            problems.append(f"{version} [{number}] in {where}: no such statement")
    return problems


def main():
    lists = {version: read_list(os.path.join(HERE, name)) for version, name in LISTS.items()}
    tested = scan()
    untestable = read_untestable(os.path.join(HERE, "untestable.txt"))
    problems = report(lists, tested, untestable)
    print("\n".join(problems) + "\n" if problems else "", end="")
    for version, numbers in lists.items():
        binding = [n for n, (binds, _) in numbers.items() if binds != "client"]
        covered = [n for n in binding if (version, n) in tested]
        excused = [n for n in binding if (version, n) in untestable]
        print(f"MQTT {version}: {len(binding)} of {len(numbers)} statements bind a server, "
              f"{len(covered)} tested, {len(excused)} cannot be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
