"""Every normative statement that binds a server has a test, or a reason why not."""

import os
import unittest

import statements

HERE = os.path.dirname(os.path.abspath(__file__))


class Coverage(unittest.TestCase):
    def setUp(self):
        self.lists = {version: statements.read_list(os.path.join(HERE, name))
                      for version, name in statements.LISTS.items()}

    def test_the_lists_are_those_of_the_standards(self):
        self.assertEqual(len(self.lists["5.0"]), 251)
        by_chapter = [sum(n.startswith(f"MQTT-{c}.") for n in self.lists["5.0"])
                      for c in (1, 2, 3, 4, 6)]
        self.assertEqual(by_chapter, [5, 7, 175, 60, 4])
        self.assertEqual(len(self.lists["3.1.1"]), 141)

    def test_every_statement_that_binds_a_server_is_tested_or_excused(self):
        untestable = statements.read_untestable(os.path.join(HERE, "untestable.txt"))
        problems = statements.report(self.lists, statements.scan(), untestable)
        self.assertEqual(problems, [], "\n".join(problems))

    def test_the_report_notices_each_kind_of_mistake(self):
        lists = {"5.0": {"MQTT-1-1": ("server", "a"), "MQTT-1-2": ("client", "b"),
                         "MQTT-1-3": ("both", "c")}}
        self.assertEqual(statements.report(lists, {("5.0", "MQTT-1-1"): ["x"],
                                                   ("5.0", "MQTT-1-3"): ["y"]}, {}), [])
        self.assertEqual(len(statements.report(lists, {}, {})), 2)
        self.assertEqual(len(statements.report(
            lists, {("5.0", "MQTT-1-1"): ["x"], ("5.0", "MQTT-9-9"): ["x"]},
            {("5.0", "MQTT-1-1"): "why not", ("5.0", "MQTT-1-3"): "why not"})), 2)

    def test_decorators_and_tags_are_found_in_sources(self):
        text = '    @statement("MQTT-1.2.3-4",\n               "MQTT-1.2.3-5")\n    def test_x\n' \
               '    @statement311("MQTT-9.9.9-9")\n'
        self.assertEqual(sorted(statements.in_python(text)),
                         [("3.1.1", "MQTT-9.9.9-9"), ("5.0", "MQTT-1.2.3-4"),
                          ("5.0", "MQTT-1.2.3-5")])
        tags = 'TEST_CASE("x", "[MQTT-3.3.1-4][MQTT311-4.8.0-1]")'
        self.assertEqual(list(statements.in_catch2(tags)),
                         [("5.0", "MQTT-3.3.1-4"), ("3.1.1", "MQTT-4.8.0-1")])


if __name__ == "__main__":
    unittest.main()
