"""Tests for the rule of three and for failures in a round: `python3 -m unittest discover -s bench`."""

import unittest

from measure.rounds import NotMeasured, Samples, difference, interleave, median, ratio


def failing() -> float:
    raise NotMeasured("no server")


class Rounds(unittest.TestCase):
    def test_a_ratio_from_fewer_than_three_rounds_does_not_exist(self):
        two = Samples({"a": [1.0, 2.0], "b": [1.0, 1.0]})
        for compared in (ratio, difference):
            with self.assertRaisesRegex(NotMeasured, "fewer than 3 rounds"):
                compared(two, "a", "b")
        self.assertEqual(median(two, "a").median, 1.5)

    def test_a_round_without_a_value_does_not_count_for_a_ratio(self):
        samples = Samples({"a": [1.0, None, 3.0], "b": [1.0, 1.0, 1.0]}, {"a": "refused"})
        with self.assertRaisesRegex(NotMeasured, "refused"):
            ratio(samples, "a", "b")

    def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds(self):
        samples = Samples({"a": [1.0, 40.0, 3.0], "b": [2.0, 100.0, 2.0]})
        number = ratio(samples, "a", "b")
        self.assertEqual((number.median, number.least, number.greatest, number.rounds), (0.5, 0.4, 1.5, 3))
        self.assertEqual(difference(samples, "a", "b").median, -1.0)

    def test_all_are_sampled_in_each_round_and_none_is_always_first(self):
        order = []
        interleave(3, {"a": lambda: order.append("a") or 1.0, "b": lambda: order.append("b") or 1.0})
        self.assertEqual(order, ["a", "b", "b", "a", "a", "b"])

    def test_a_failing_sampler_does_not_stop_the_others_and_gives_its_reason(self):
        samples = interleave(3, {"bad": failing, "good": lambda: 1.0})
        self.assertEqual(median(samples, "good").rounds, 3)
        with self.assertRaisesRegex(NotMeasured, "no server"):
            median(samples, "bad")


if __name__ == "__main__":
    unittest.main()
