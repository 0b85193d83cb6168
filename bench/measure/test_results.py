"""Tests for the numbers in the README."""

import json
import tempfile
import unittest
from pathlib import Path

from measure import results
from measure.rounds import of
from measure.table import Line

REFERENCE = results.ROOT / "bench/results/reference.json"


class Readme(unittest.TestCase):
    def test_every_headline_is_a_line_of_the_reference_run(self):
        table = json.loads(REFERENCE.read_text())["table"]
        there = {(line["row"], line["what"]) for line in table}
        self.assertEqual([(row, what) for row, what, _ in results.HEADLINES if (row, what) not in there], [])

    def test_only_measured_numbers_are_written_and_other_text_stays(self):
        row, what, words = results.HEADLINES[0]
        lines = [Line(row, what, "/s", of([31_000.0])), Line(*results.HEADLINES[1][:2], "/s", why_missing="no such server")]
        with tempfile.TemporaryDirectory() as directory:
            readme = Path(directory, "README.md")
            readme.write_text(f"before\n{results.README_BEGIN}\nold\n{results.README_END}\nafter\n")
            for _ in range(2):
                results.write_readme({"cores": 2, "cpu": "a cpu", "at": "2026-01-02T03:04:05+00:00"}, lines, readme)
            text = readme.read_text()
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"), text)
        self.assertIn(f"| 31.0 k/s | {words} |", text)
        self.assertNotIn("old", text)
        self.assertNotIn(results.HEADLINES[1][2], text)


if __name__ == "__main__":
    unittest.main()
