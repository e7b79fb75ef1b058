"""What the documents say of this repository: tests that they name are there, and so are the files that they link to."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def documents():
    names = [name for name in os.listdir(ROOT) if name.endswith(".md")]
    return names + [f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")]


def cases(file):
    """The names of the tests of a file."""
    text = read("tests", file)
    if file.endswith(".py"):
        return set(re.findall(r"^ +def (test_\w+)\(self\)", text, re.M))
    return {f"{suite}.{name}" for suite, name in re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", text, re.M)}


class DocumentsTest(unittest.TestCase):

    def test_every_test_that_is_named_exists(self):
        known, named = {}, 0
        for line in read("docs/hostile.md").splitlines():
            for file, names in re.findall(r"`(\w+/\w+_test\.(?:cc|py))`((?:,? [\w.]+)*)", line):
                self.assertTrue(os.path.exists(os.path.join(ROOT, "tests", file)), file)
                self.assertTrue(names, f"{file} is named without a test")
                known[file] = known.get(file) or cases(file)
                for name in re.findall(r"[\w.]*\w", names):
                    self.assertIn(name, known[file], file)
                    named += 1
        self.assertGreater(named, 150)

    def test_every_kind_of_attack_has_its_answers(self):
        rows = [line.split(" | ") for line in read("docs/hostile.md").splitlines() if re.match(r"\| \d", line)]
        for row in rows:
            self.assertEqual(4, len(row), row)
            self.assertRegex(row[3], r"`\w+/\w+_test\.(cc|py)` [\w.]+", row[1])
        self.assertEqual(set(range(1, 23)), {int(row[0].strip("| ")) for row in rows})

    def test_end_to_end_tests_are_run(self):
        listed = re.search(r"set\(e2e_tests([\w\s]+)\)", read("tests/CMakeLists.txt")).group(1).split()
        files = {name.removesuffix("_test.py") for name in os.listdir(os.path.join(ROOT, "tests/e2e")) if name.endswith("_test.py")}
        self.assertEqual(files, set(listed))

    def test_links_lead_somewhere(self):
        for name in documents():
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", read(name)):
                if "://" not in target and not target.startswith("mailto:"):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, os.path.dirname(name), target)), f"{name}: {target}")


if __name__ == "__main__":
    unittest.main(verbosity=1)
