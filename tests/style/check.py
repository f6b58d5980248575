#!/usr/bin/python3
"""Checks the project against its style rules: check.py [rule ...]. A rule counts as one test."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from rules import RULES
from tree import Tree


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tree = Tree(root)
    names = sys.argv[1:]
    passed = failed = skipped = 0
    for rule in RULES:
        if names and rule.__name__ not in names:
            continue
        messages = rule(tree)
        if messages is None:
            skipped += 1
            print(f"{rule.__name__}: skipped")
            continue
        if not messages:
            passed += 1
            continue
        failed += 1
        print(f"{rule.__name__}: {rule.__doc__}")
        for message in messages:
            print(f"  {message}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
