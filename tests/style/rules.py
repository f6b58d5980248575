"""The style rules: each is a function from a Tree to a list of messages.

A message says where, what is wrong and what to do instead. A line may be exempted by a comment on
it or on the line above: `// style-exempt(rule): reason`.
"""

import os
import re
import shutil
import subprocess

from tree import CPP, code_only, functions, python_code, types

# What each folder may include besides itself; `name.h` allows one header of a folder. Everything
# may include proto/base. The longest folder that fits a file decides.
MAY_INCLUDE = {
    "proto/base": (),
    "proto/mqtt": (),
    "storage": (),
    "cluster/raft": (),
    "cluster/sessions": ("proto/mqtt", "storage/state_store.h", "storage/keys.h",
                         "cluster/topics/destination.h", "cluster/topics/replay.h",
                         "cluster/topics/state_key.h", "cluster/mutants.h"),
    "cluster/topics": ("proto/mqtt", "storage/state_store.h", "storage/keys.h",
                       "cluster/mutants.h"),
    "cluster/lease": ("cluster/mutants.h",),
    "cluster/stream": ("proto/mqtt", "cluster/lease", "cluster/sessions", "cluster/topics",
                       "cluster/shard/command.h", "cluster/mutants.h"),
    "cluster/meta": ("proto/mqtt", "storage/state_store.h", "storage/keys.h",
                     "cluster/topics/state_key.h", "cluster/topics/destination.h",
                     "cluster/raft/configuration.h", "cluster/group/group_ids.h"),
    "cluster/shard": ("proto/mqtt", "storage/state_store.h", "storage/keys.h",
                      "cluster/sessions", "cluster/topics", "cluster/mutants.h"),
    "cluster/group": ("storage", "cluster/raft", "cluster/link/link.h",
                      "cluster/mutants.h"),
    "cluster/link": ("proto/quorate",),
    "proto/quorate": (),
    "cluster/router": ("proto/mqtt", "storage", "cluster/sessions", "cluster/topics",
                       "cluster/shard", "cluster/meta", "cluster/group", "cluster/link/link.h",
                       "cluster/steward", "cluster/node",
                       "cluster/lease", "cluster/stream", "cluster/mutants.h",
                       "cluster/steward"),
    "cluster/control": ("cluster/meta", "cluster/raft", "cluster/lease",
                        "cluster/group/group_ids.h", "cluster/topics/destination.h"),
    "cluster/node": ("storage", "cluster/control", "cluster/group", "cluster/lease",
                     "cluster/link/link.h", "cluster/meta", "cluster/raft/configuration.h",
                     "cluster/topics/destination.h"),
    "cluster/steward": ("storage", "cluster/control", "cluster/meta", "cluster/lease",
                        "cluster/group", "cluster/link/link.h", "cluster/raft"),
    "cluster": ("proto/mqtt", "storage", "cluster"),
    "broker/net": ("proto/mqtt", "broker/mqtt/channel.h"),
    "broker/mqtt": ("proto/mqtt",),
    "broker/auth": ("proto/mqtt", "cluster/router/cluster.h"),
    "broker/config": (),
    "broker/admin": ("cluster/router/cluster.h",),
    "broker/app": ("proto/mqtt", "storage", "cluster", "broker"),
    "broker/ctl": (),
    "bench": ("proto", "storage", "cluster", "broker", "bench", "tests"),
    "tests": ("proto", "storage", "cluster", "broker", "bench", "tests"),
}
# No clock, thread, lock, file, socket or randomness.
PURE = ("proto/mqtt", "cluster/raft", "cluster/sessions", "cluster/topics", "cluster/meta",
        "cluster/lease", "cluster/stream", "cluster/shard", "cluster/control",
        "broker/mqtt")
# Where a reference count per message would be felt.
HOT = ("proto/mqtt", "cluster", "broker/mqtt")
FOREIGN_IN_HEADERS = re.compile(
    r"<(rocksdb/|grpc|google/protobuf|spdlog/|fmt/|uv\.h|openssl/|yaml-cpp/|prometheus/|wslay/"
    r"|boost/|CLI/|xxhash|nlohmann/(?!json_fwd))")
TOP_LEVEL = {".ci", ".clang-format", ".github", ".gitignore", "CMakeLists.txt", "LICENSE",
             "README.md", "SECURITY.md", "bench", "broker", "cluster", "deploy", "helm", "proto",
             "storage", "tests"}
FILE_LINES_MAX, FILE_LINES_USUAL = 600, 400
LONG_REASON = re.compile(r"\blong(er)?\b.*\bbecause\b", re.IGNORECASE)
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
UNITS_MAX = 12

# (name, pattern on code without comments and strings, folders or None for all, what to do instead)
FORBIDDEN_CODE = (
    ("new", r"\bnew\s+[A-Za-z_:(]", None, "use a member, a value or std::make_unique"),
    ("delete", r"(?<!=)(?<!= )\bdelete\b", None, "let an owner (unique_ptr, container) destroy it"),
    ("iostream", r"\bstd::c(out|err|log)\b|<iostream>", None,
     "use the Log of proto/base/log.h, or fmt in a program's main"),
    ("format", r"\bstd::format\b|<format>", None, "use fmt in a .cpp file"),
    ("assert", r"(?<!static_)\bassert\s*\(|<cassert>", None, "use ASSERT of proto/base/assert.h"),
    ("clang14", r"\bstd::(views|ranges::views|source_location|expected|jthread)\b", None,
     "clang 14 or gcc 12 lack it; use the project's own or a plain loop"),
    ("coroutine", r"\bco_(await|yield|return)\b", None, "use a state machine that posts"),
    ("using-std", r"\busing\s+namespace\s+std\s*;", None, "name std:: where it is used"),
    ("shared_ptr", r"\b(std::shared_ptr|std::make_shared|std::weak_ptr)\b", HOT,
     "use one owner and post values, or SharedBytes for payloads"),
    ("clock", r"\b(steady|system|high_resolution)_clock\b|\bclock_gettime\b|\btime\s*\(\s*nullptr",
     PURE, "time arrives as a tick or inside the command"),
    ("thread", r"\bstd::(thread|mutex|shared_mutex|condition_variable|atomic|lock_guard"
     r"|unique_lock|call_once)\b|\bthread_local\b", PURE, "pure code belongs to one thread"),
    ("random", r"\bs?rand\s*\(|\brandom_device\b|\bmt19937", PURE,
     "take a quorate::Random that was seeded outside"),
    ("std-hash", r"\bstd::hash\b", PURE, "use proto/base/hash.h: placement must not differ"),
    ("file", r"\bstd::[io]?fstream\b|\bfopen\s*\(|(?<![\w>])::(open|socket)\s*\(", PURE,
     "pure code has no files"),
    ("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.>])sleep\s*\(", ("tests",),
     "wait for a condition with a deadline"),
)
# What pauses for a time, by the end of a file's name.
SLEEPS = {
    ".py": r"\bsleep\b|\bEvent \( \) \. wait \(|\bselect \( \[ \] , \[ \] , \[ \] ,",
    ".sh": r"(^|[;&|({]|\bdo|\bthen|\belse)[ \t]*sleep\b",
    (".js", ".html"): r"\bset(Timeout|Interval)\b",
}
# The only files of tests that may, and why.
MAY_SLEEP = {
    "tests/system/lib/wait.py": "the pause of every loop that waits for a condition, and time as "
                                "the stimulus of a test",
    "tests/system/clean_root.sh": "the pause of a loop with a deadline, in a shell",
    "tests/interop/js/scenarios.js": "a deadline: the timer ends the test that waits",
}
# The same on the whole text, comments included.
FORBIDDEN_TEXT = (
    ("todo", r"\b(TODO|FIXME|XXX|HACK)\b", "finish it, or say what is so and why"),
    ("banner", r"^\s*(//|/\*)\s*[-=*#~]{4,}", "a comment gives a reason; drop the line"),
    ("local-path", r"(?<![\w.])/(work|home/\w+|root)/", "name paths relative to the project"),
)


def folder_of(path):
    """The longest folder of MAY_INCLUDE that holds the file; None if there is none."""
    folders = [each for each in MAY_INCLUDE if path.startswith(each + "/")]
    return max(folders, key=len) if folders else None


def exempt(lines, number, rule):
    """Whether line `number` (from 1) is exempted from a rule."""
    mark = f"style-exempt({rule}): "
    return any(mark in lines[at] for at in (number - 1, number - 2) if 0 <= at < len(lines))


def matches(text, pattern):
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match


def include_direction(tree):
    """Includes point one way: proto <- storage <- cluster <- broker."""
    out = []
    for path in tree.cpp():
        home = folder_of(path)
        if home is None:
            out.append(f"{path}: the folder is not in MAY_INCLUDE of tests/style/rules.py; add it")
            continue
        allowed = (home, "proto/base", *MAY_INCLUDE[home])
        for line, match in matches(tree.read(path), r'^#include "([^"]+)"'):
            target = match.group(1)
            if "/" not in target:
                out.append(f"{path}:{line}: {target}: include by the path from the project's root")
            elif not any(target == each or target.startswith(each + "/") for each in allowed):
                out.append(f"{path}:{line}: {home} may not include {target}; it may include "
                           f"{', '.join(allowed)}")
    return out


def foreign_headers(tree):
    """Headers of libraries stay out of our headers."""
    out = []
    for path in tree.cpp(tests=False):
        if not path.endswith(".h"):
            continue
        text = tree.read(path)
        for line, match in matches(text, r"^#include (<[^>]+>)"):
            if FOREIGN_IN_HEADERS.match(match.group(1)):
                out.append(f"{path}:{line}: {match.group(1)} in a header; forward-declare or hide "
                           "it behind a pimpl, and include it in the .cpp file")
    return out


def header_form(tree):
    """A header opens with its documentation and has #pragma once."""
    out = []
    for path in tree.cpp(tests=False):
        if not path.endswith(".h"):
            continue
        text = tree.read(path)
        if not text.startswith("//"):
            out.append(f"{path}:1: expected a comment that says what lives here")
        if "#pragma once" not in text:
            out.append(f"{path}:1: expected #pragma once")
    return out


def file_length(tree):
    """At most 600 lines; above 400 the first comment gives the reason ("Long, because ...")."""
    out = []
    for path in tree.files:
        if not path.endswith((*CPP, ".py", ".sh")):
            continue
        text = tree.read(path)
        lines = text.count("\n")
        if lines > FILE_LINES_MAX:
            out.append(f"{path}: {lines} lines; split it, {FILE_LINES_MAX} is the most")
        elif lines > FILE_LINES_USUAL and not LONG_REASON.search(
                "\n".join(text.splitlines()[:12])):
            out.append(f"{path}: {lines} lines, more than {FILE_LINES_USUAL}; split it, or give "
                       "the reason in the first comment (Long, because it is one table.)")
    return out


def function_length(tree):
    """At most 70 lines."""
    return [f"{path}:{first}: a function of {length} lines; split it, {FUNCTION_LINES_MAX} is the "
            "most"
            for path in tree.cpp() for first, length in functions(tree.read(path))
            if length > FUNCTION_LINES_MAX]


def line_length(tree):
    """At most 100 columns."""
    out = []
    for path in tree.files:
        if not path.endswith((*CPP, ".py", ".sh")):
            continue
        lines = tree.read(path).splitlines()
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX and not exempt(lines, number, "line"):
                out.append(f"{path}:{number}: {len(line)} columns; {COLUMNS_MAX} is the most")
    return out


def readme(tree):
    """A README.md of at most a page in each folder with code."""
    out = []
    folders = {os.path.dirname(path) for path in tree.cpp(tests=False)}
    folders |= {f"tests/{each}" for each in ("fuzz", "interop", "sim", "style", "system", "unit")
                if any(path.startswith(f"tests/{each}/") for path in tree.files)}
    for folder in sorted(folders):
        path = f"{folder}/README.md"
        if path not in tree.files:
            out.append(f"{folder}: expected a README.md: who lives here, what it may include, "
                       "which thread runs it, where to start reading")
        elif tree.read(path).count("\n") > 80:
            out.append(f"{path}: longer than a page (80 lines)")
    return out


def units_per_folder(tree):
    """At most 12 units (a header with its sources) in a folder."""
    units = {}
    for path in tree.cpp(tests=False):
        stem = os.path.splitext(os.path.basename(path))[0]
        units.setdefault(os.path.dirname(path), set()).add(stem)
    out = []
    for folder, names in sorted(units.items()):
        headers = {name for name in names if f"{folder}/{name}.h" in tree.files}
        if len(headers) > UNITS_MAX:
            out.append(f"{folder}: {len(headers)} units; {UNITS_MAX} is the most, make a folder")
    return out


def forbidden_words(tree):
    """Words that have a better replacement."""
    out = []
    for path in tree.cpp():
        text = tree.read(path)
        lines, code = text.splitlines(), code_only(text)
        # A header's name is blanked with neither quotes nor brackets, so <iostream> is seen.
        for rule, pattern, folders, instead in FORBIDDEN_CODE:
            if folders and not any(path.startswith(each + "/") for each in folders):
                continue
            for number, match in matches(code, pattern):
                if not exempt(lines, number, rule):
                    out.append(f"{path}:{number}: {match.group(0).strip()}: {instead} [{rule}]")
    for path in tree.files:
        if not path.endswith((*CPP, ".py", ".sh", ".cmake", ".md", "CMakeLists.txt")):
            continue
        text = tree.read(path)
        lines = text.splitlines()
        for rule, pattern, instead in FORBIDDEN_TEXT:
            if path.startswith("tests/style/"):
                continue  # the rules and their bad samples
            for number, match in matches(text, pattern):
                if not exempt(lines, number, rule):
                    out.append(f"{path}:{number}: {match.group(0).strip()}: {instead} [{rule}]")
    return out


def sleeps(tree):
    """Tests wait for a condition with a deadline; nothing but what is named here sleeps."""
    out = []
    for path in tree.files:
        if not path.startswith("tests/"):
            continue
        pattern = next((SLEEPS[end] for end in SLEEPS if path.endswith(end)), None)
        if pattern is None:
            continue
        text = tree.read(path)
        found = list(matches(python_code(text) if path.endswith(".py") else text, pattern))
        if path in MAY_SLEEP and not found:
            out.append(f"{path}: does not sleep any more; take it out of MAY_SLEEP")
        elif path not in MAY_SLEEP:
            out += [f"{path}:{line}: {match.group(0).strip()}: wait for a condition with a "
                    "deadline (tests/system/lib/wait.py)" for line, match in found]
    return out


def program_of(path):
    """What a file is linked into: the product, the benches, or a program of tests."""
    if path.startswith("tests/fuzz/") and path.endswith(".cpp"):
        return path
    if path.startswith("tests/"):
        return os.path.dirname(path)
    return "bench" if path.startswith("bench/") else "product"


def one_definition(tree):
    """A class name belongs to one file of a program; two would be mixed up by the linker."""
    places = {}
    for path in tree.cpp():
        for line, name in types(tree.read(path)):
            places.setdefault((program_of(path), name), []).append(f"{path}:{line}")
    out = []
    for (program, name), here in sorted(places.items()):
        others = places.get(("product", name), []) if program != "product" else []
        if len({each.split(":")[0] for each in here + others}) > 1:
            out.append(f"{here[-1]}: {name} is also defined at {(others + here)[0]}; rename one or "
                       "move it into an anonymous namespace")
    return out


def catch_shim(tree):
    """Catch2 comes through tests/unit/catch.h, because versions 2 and 3 differ."""
    return [f'{path}:{line}: use #include "tests/unit/catch.h"'
            for path in tree.cpp() if path != "tests/unit/catch.h"
            for line, _ in matches(tree.read(path), r"^#include <catch2/")]


def top_level(tree):
    """Nothing at the top but what is expected there."""
    names = {path.split("/")[0] for path in tree.files}
    return [f"{name}: does not belong to the top level; move it into a folder"
            for name in sorted(names - TOP_LEVEL)]


def formatted(tree):
    """clang-format 16 changes nothing; None when it is not installed."""
    program = shutil.which("clang-format-16")
    files = [os.path.join(tree.root, path) for path in tree.cpp()]
    if program is None:
        return None
    if not files:
        return []
    done = subprocess.run([program, "--dry-run", *files], capture_output=True, text=True,
                          check=False, cwd=tree.root)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", done.stderr, re.MULTILINE)))
    return [f"{os.path.relpath(path, tree.root)}: run clang-format-16 -i on it" for path in wrong]


RULES = (include_direction, foreign_headers, header_form, file_length, function_length,
         line_length, readme, units_per_folder, forbidden_words, sleeps, one_definition, catch_shim,
         top_level, formatted)
