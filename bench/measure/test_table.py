"""Tests for marks and for missing numbers."""

import unittest

from measure.budgets import BUDGETS, judged
from measure.resp import operation_in, p99_in, scripts_in
from measure.rounds import NotMeasured, of
from measure.table import markdown, text


def missing():
    raise NotMeasured("no such server")


class Table(unittest.TestCase):
    def test_a_number_is_marked_by_the_budget_it_reaches(self):
        marks = [judged("enqueue", lambda value=value: of([value])).mark for value in (0.59, 0.60, 0.75)]
        self.assertEqual(marks, ["SHORT", "met", "stretch"])
        marks = [judged("start", lambda value=value: of([value])).mark for value in (251, 250, 150)]
        self.assertEqual(marks, ["SHORT", "met", "stretch"])

    def test_a_missing_number_shows_its_reason_in_both_forms(self):
        lines = [judged("enqueue", missing), judged("start", lambda: of([100.0]))]
        for form in (text(lines), markdown(lines)):
            self.assertIn("not measured: no such server", form)
            self.assertIn("100 ms", form)

    def test_a_stretch_is_never_easier_than_its_must(self):
        for key, budget in BUDGETS.items():
            if budget.must is not None and budget.stretch is not None:
                self.assertEqual(budget.stretch <= budget.must, budget.lower_is_better, key)

    def test_script_times_are_read_from_info(self):
        stats = {"cmdstat_evalsha": "calls=3,usec=42,usec_per_call=14.00", "cmdstat_hset": "calls=9,usec=900,usec_per_call=1"}
        self.assertEqual(scripts_in(stats), (3, 42.0))
        self.assertEqual(p99_in({"latency_percentiles_usec_evalsha": "p50=8.031,p99=41.087,p99.9=60.1"}), 41.087)
        self.assertIsNone(p99_in({}))
        self.assertEqual(operation_in("FCALL lq_verify_index_0123456789ab 1 key"), "verify_index")
        self.assertEqual(operation_in("EVALSHA 0123456789abcdef 1 key"), "evalsha")


if __name__ == "__main__":
    unittest.main()
