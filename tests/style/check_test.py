#!/usr/bin/python3
"""Bad samples for every style rule: a rule that cannot fail proves nothing."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import rules
from tree import Tree, code_only, functions

HEADER = "// What lives here.\n#pragma once\n"


class Sample(unittest.TestCase):
    """A tree of files made for one test."""

    def check(self, rule, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as out:
                    out.write(text)
            return rule(Tree(root, list(files)))

    def assert_good(self, rule, files):
        self.assertEqual(self.check(rule, files), [])

    def assert_bad(self, rule, files, part):
        messages = self.check(rule, files)
        self.assertEqual(len(messages), 1, messages)
        self.assertIn(part, messages[0])


class IncludeDirection(Sample):
    def test_a_lower_folder_may_be_included(self):
        self.assert_good(rules.include_direction, {
            "broker/mqtt/a.h": '#include "proto/mqtt/packets.h"\n#include "proto/base/ids.h"\n',
            "cluster/shard/b.cpp": '#include "cluster/sessions/session.h"\n',
            "broker/net/stages/c.h": '#include "broker/net/d.h"\n'})

    def test_an_upper_folder_may_not(self):
        self.assert_bad(rules.include_direction,
                        {"storage/a.h": '#include <x>\n#include "cluster/raft/b.h"\n'},
                        "storage/a.h:2: storage may not include cluster/raft/b.h")

    def test_a_sibling_may_not(self):
        self.assert_bad(rules.include_direction,
                        {"cluster/raft/a.h": '#include "cluster/topics/b.h"\n'}, "may not include")

    def test_only_the_named_header_of_a_folder(self):
        self.assert_good(rules.include_direction,
                         {"cluster/shard/a.h": '#include "storage/state_store.h"\n'})
        self.assert_bad(rules.include_direction,
                        {"cluster/shard/a.h": '#include "storage/rocks_state.h"\n'},
                        "may not include")

    def test_a_relative_include_and_an_unknown_folder_are_told(self):
        self.assert_bad(rules.include_direction, {"storage/a.h": '#include "b.h"\n'},
                        "by the path from the project's root")
        self.assert_bad(rules.include_direction, {"attic/a.h": "\n"}, "MAY_INCLUDE")


class ForeignHeaders(Sample):
    def test_every_library_is_refused_in_our_headers(self):
        for name in ("rocksdb/db.h", "grpcpp/grpcpp.h", "spdlog/spdlog.h", "uv.h", "fmt/format.h",
                     "openssl/ssl.h", "yaml-cpp/yaml.h", "prometheus/counter.h", "wslay/wslay.h",
                     "boost/beast.hpp", "CLI/CLI.hpp", "nlohmann/json.hpp", "xxhash.h"):
            self.assert_bad(rules.foreign_headers, {"storage/a.h": f"#include <{name}>\n"}, name)

    def test_sources_and_tests_may(self):
        self.assert_good(rules.foreign_headers, {
            "storage/a.cpp": "#include <uv.h>\n", "tests/unit/a.h": "#include <uv.h>\n",
            "storage/b.h": "#include <nlohmann/json_fwd.hpp>\n"})


class HeaderForm(Sample):
    def test_a_header_needs_its_comment_and_its_guard(self):
        self.assert_good(rules.header_form, {"storage/a.h": HEADER})
        self.assert_bad(rules.header_form, {"storage/a.h": "#pragma once\n"}, "comment")
        self.assert_bad(rules.header_form, {"storage/a.h": "// Text.\n"}, "#pragma once")


class Lengths(Sample):
    def test_a_file_above_600_lines(self):
        self.assert_bad(rules.file_length, {"storage/a.cpp": "\n" * 601}, "601 lines")

    def test_a_file_above_400_lines_needs_a_reason(self):
        self.assert_bad(rules.file_length, {"storage/a.cpp": "\n" * 401}, "401 lines")
        self.assert_good(rules.file_length,
                         {"storage/a.cpp": "// Long, because it is one table.\n" + "\n" * 401})

    def test_a_function_above_70_lines(self):
        body = "    f();\n" * 69
        self.assert_good(rules.function_length,
                         {"storage/a.cpp": "void g() {\n" + body[9:] + "}\n"})
        self.assert_bad(rules.function_length,
                        {"storage/a.cpp": "namespace n {\nvoid g() {\n" + body + "}\n}\n"},
                        "storage/a.cpp:2: a function of 71 lines")

    def test_a_method_and_a_test_case_are_functions_too(self):
        body = "    f();\n" * 70
        for head in ("class C {\n  int m(int a) const noexcept {", 'TEST_CASE("{ x", "[y]") {',
                     "struct alignas(64) S {\n S() : a_(1) {"):
            self.assert_bad(rules.function_length, {"storage/a.cpp": head + "\n" + body + "}\n"},
                            "a function of 72 lines")

    def test_a_class_or_a_table_is_no_function(self):
        rows = "    int f();\n" * 100
        for head in ("class alignas(64) C {", "enum class E : int {", "namespace a::b {",
                     "struct C : public D<int()> {", "constexpr auto kRows = make({",
                     'extern "C" {'):
            tail = "});" if head.endswith("({") else "};"
            self.assert_good(rules.function_length,
                             {"storage/a.cpp": head + "\n" + rows + tail + "\n"})

    def test_a_line_above_100_columns(self):
        self.assert_good(rules.line_length, {"storage/a.cpp": "x" * 100 + "\n"})
        self.assert_bad(rules.line_length, {"storage/a.cpp": "x" * 101 + "\n"}, "101 columns")


class Folders(Sample):
    def test_a_folder_with_code_needs_a_readme_of_a_page(self):
        self.assert_bad(rules.readme, {"storage/a.h": ""}, "expected a README.md")
        self.assert_good(rules.readme, {"storage/a.h": "", "storage/README.md": "text\n"})
        self.assert_bad(rules.readme, {"storage/a.h": "", "storage/README.md": "\n" * 81}, "page")
        self.assert_bad(rules.readme, {"tests/style/a.py": ""}, "tests/style")

    def test_at_most_twelve_units(self):
        files = {f"storage/u{n}.{kind}": "" for n in range(12) for kind in ("h", "cpp")}
        self.assert_good(rules.units_per_folder, files)
        self.assert_bad(rules.units_per_folder, files | {"storage/more.h": ""}, "13 units")

    def test_nothing_unexpected_at_the_top(self):
        self.assert_good(rules.top_level, {"README.md": "", "storage/a.h": "", ".ci/run": ""})
        self.assert_bad(rules.top_level, {"notes.txt": ""}, "notes.txt")


class ForbiddenWords(Sample):
    def bad(self, folder, line, part):
        self.assert_bad(rules.forbidden_words, {f"{folder}/a.cpp": line + "\n"}, part)

    def good(self, folder, line):
        self.assert_good(rules.forbidden_words, {f"{folder}/a.cpp": line + "\n"})

    def test_words_that_are_wrong_everywhere(self):
        for line, rule in (("auto* p = new Thing(1);", "new"), ("delete p;", "delete"),
                           ("delete[] p;", "delete"), ("std::cout << 1;", "iostream"),
                           ("#include <iostream>", "iostream"), ('std::format("x");', "format"),
                           ("assert(x);", "assert"), ("std::views::all", "clang14"),
                           ("co_await x;", "coroutine"), ("using namespace std;", "using-std"),
                           ("// TO" + "DO: later", "todo"), ("// =====", "banner"),
                           ("// see /ho" + "me/me/x", "local-path")):
            self.bad("storage", line, f"[{rule}]")

    def test_words_that_are_wrong_in_pure_folders(self):
        for line, rule in (("auto t = steady_clock::now();", "clock"), ("std::mutex m;", "thread"),
                           ("std::atomic<int> a;", "thread"), ("std::random_device d;", "random"),
                           ("std::hash<int>{}(1);", "std-hash"), ("std::ofstream f;", "file"),
                           ("int fd = ::open(path, 0);", "file")):
            self.bad("cluster/raft", line, f"[{rule}]")
            self.good("broker/net", line)

    def test_shared_ptr_is_wrong_where_messages_pass(self):
        self.bad("cluster/shard", "std::shared_ptr<int> p;", "[shared_ptr]")

    def test_tests_wait_for_conditions(self):
        for line in ("std::this_thread::sleep_for(1s);", "::sleep(1);", "sleep(1);"):
            self.bad("tests/unit/x", line, "[sleep]")
        self.good("tests/unit/x", "loop.sleep(1);")

    def test_comments_strings_and_look_alikes_are_no_code(self):
        for line in ("// a new thing is deleted: delete it", 'auto s = "new Thing()";',
                     "Thing(const Thing&) = delete;", "static_assert(true);", "int renew(int);",
                     "channel.open(1);", "using namespace std::chrono_literals;", "/* new X */"):
            self.good("broker/mqtt", line)

    def test_an_exemption_names_its_rule_and_gives_a_reason(self):
        self.good("storage", "// style-exempt(new): the C library frees it\nauto* p = new T();")
        self.bad("storage", "// style-exempt(delete): other\nauto* p = new T();", "[new]")


class Sleeps(Sample):
    def test_a_test_of_any_language_that_sleeps_is_told(self):
        for name, line in (("a.py", "time.sleep(1)"), ("a.py", "from time import sleep"),
                           ("a.py", "await asyncio.sleep(1)"),
                           ("a.py", "threading.Event().wait(1)"),
                           ("a.py", "select.select([], [], [], 1)"),
                           ("a.sh", "sleep 1"), ("a.sh", "while x; do sleep 1; done"),
                           ("a.js", "setTimeout(f, 1);"), ("a.html", "setInterval(f, 1);")):
            self.assert_bad(rules.sleeps, {f"tests/system/{name}": f"x\n{line}\n"}, f"{name}:2: ")

    def test_waiting_with_a_deadline_and_what_only_looks_like_it_are_good(self):
        for name, line in (("a.py", '"""Nothing sleeps: time.sleep(1)"""  # sleep'),
                           ("a.py", "stopping.wait(1)"), ("a.py", "sleeper(1)"),
                           ("a.py", "select.select([sock], [], [], 1)"),
                           ("a.sh", "# sleep is for others\nasleep 1"), ("a.js", "wait(f);")):
            self.assert_good(rules.sleeps, {f"tests/system/{name}": line + "\n"})
        self.assert_good(rules.sleeps, {"bench/a.py": "time.sleep(1)\n"})

    def test_an_exception_gives_its_reason_and_is_used(self):
        for path, reason in rules.MAY_SLEEP.items():
            self.assertGreater(len(reason), 20, path)
            self.assert_bad(rules.sleeps, {path: "\n"}, "take it out of MAY_SLEEP")
        self.assert_good(rules.sleeps, {"tests/system/lib/wait.py": "time.sleep(1)\n"})


class Others(Sample):
    def test_catch_comes_through_the_shim(self):
        self.assert_bad(rules.catch_shim, {"tests/unit/a.cpp": "#include <catch2/catch.hpp>\n"},
                        "tests/unit/catch.h")
        self.assert_good(rules.catch_shim,
                         {"tests/unit/catch.h": "#include <catch2/catch.hpp>\n"})

    def test_an_unformatted_file_is_told(self):
        messages = self.check(rules.formatted, {"storage/a.cpp": "int  f( ){return 1 ;}\n"})
        if messages is None:
            self.skipTest("needs clang-format-16")
        self.assertEqual(messages, ["storage/a.cpp: run clang-format-16 -i on it"])

    def test_every_rule_has_a_text(self):
        for rule in rules.RULES:
            self.assertTrue(rule.__doc__, rule.__name__)


class OneDefinition(Sample):
    def test_two_files_may_not_define_one_name(self):
        self.assert_bad(rules.one_definition, {
            "broker/a.cpp": "namespace q {\nstruct X {\n};\n}\n",
            "broker/b.h": "namespace q {\ntemplate <typename T>\nclass X final : Y {};\n}\n"},
            "broker/b.h:3: q::X is also defined at broker/a.cpp:2")
        self.assert_bad(rules.one_definition, {
            "tests/unit/a/a.cpp": "namespace q { struct X {}; }", "proto/b.h":
            "namespace q {\nclass [[nodiscard]] X {};\n}"}, "also defined at proto/b.h:2")

    def test_names_of_a_file_alone_and_of_other_programs_may_repeat(self):
        hidden = ("namespace q {\nnamespace {\nstruct X { int a; };\n}\n"
                  "void f() { struct Y {}; }\n}")
        self.assert_good(rules.one_definition, {
            "broker/a.cpp": hidden, "broker/b.cpp": hidden,
            "broker/c.h": "namespace q {\nstruct X;\nclass Z {\n  public:\n    struct X {};\n};\n",
            "tests/unit/a/a.cpp": "struct T {};", "tests/unit/b/b.cpp": "struct T {};",
            "tests/fuzz/a.cpp": "struct T {};", "tests/fuzz/b.cpp": "struct T {};"})


class Parsing(unittest.TestCase):
    def test_blanking_keeps_lines_and_separators(self):
        text = "a /* x\n y */ b \"s\\\"t\" 'c' 1'000'000 R\"x(\n)\"\n)x\" c // d\n"
        code = code_only(text)
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertEqual(code.split(), ["a", "b", "1'000'000", "c"])

    def test_function_lengths_include_the_head(self):
        text = "int a;\n\nint f(int x,\n      int y) {\n    if (x) {\n    }\n}\n"
        self.assertEqual(functions(text), [(3, 5)])


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
