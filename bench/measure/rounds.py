"""Interleaved rounds: everything that is compared is sampled in turn, so that a noisy minute hits both sides.

A ratio is the median over rounds. In each round it compares samples taken right after each other. A ratio
from fewer than three rounds does not exist.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

ROUNDS_MIN = 3


class NotMeasured(Exception):
    """Why there is no number; shown in the table instead of one."""


@dataclass
class Samples:
    """By what was sampled, one value per round; None where a round failed."""

    values: dict[str, list[float | None]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def rounds_of(self, *names: str) -> list[tuple[float, ...]]:
        """The rounds in which all of these have a value."""
        columns = [self.values.get(name, []) for name in names]
        return [row for row in zip(*columns) if all(value is not None for value in row)]

    def why_missing(self, *names: str) -> str:
        reasons = [self.failures[name] for name in names if name in self.failures]
        return reasons[0] if reasons else f"fewer than {ROUNDS_MIN} rounds"


def interleave(rounds: int, samplers: dict[str, Callable[[], float]]) -> Samples:
    """Samples everything once per round; every other round goes backwards, so that nothing is always first.

    A failed sampler leaves a hole in its round and does not stop the others. After two it is skipped.
    """
    samples = Samples({name: [] for name in samplers})
    for turn in range(rounds):
        order = list(samplers)
        for name in order if turn % 2 == 0 else reversed(order):
            value: float | None = None
            if samples.values[name].count(None) < 2:
                try:
                    value = samplers[name]()
                except NotMeasured as reason:
                    samples.failures[name] = str(reason)
            samples.values[name].append(value)
    return samples


@dataclass(frozen=True)
class Number:
    """A median with the least and the greatest of its rounds."""

    median: float
    least: float
    greatest: float
    rounds: int


def of(values: list[float]) -> Number:
    return Number(statistics.median(values), min(values), max(values), len(values))


def median(samples: Samples, name: str) -> Number:
    """The median of all rounds that have a value, at least one."""
    values = [row[0] for row in samples.rounds_of(name)]
    if not values:
        raise NotMeasured(samples.why_missing(name))
    return of(values)


def ratio(samples: Samples, of_this: str, to_that: str) -> Number:
    """The median over rounds of this / that; at least three rounds or none."""
    rows = [(this, that) for this, that in samples.rounds_of(of_this, to_that) if that > 0]
    if len(rows) < ROUNDS_MIN:
        raise NotMeasured(samples.why_missing(of_this, to_that))
    return of([this / that for this, that in rows])


def difference(samples: Samples, of_this: str, to_that: str) -> Number:
    """The median over rounds of this - that; at least three rounds or none."""
    rows = samples.rounds_of(of_this, to_that)
    if len(rows) < ROUNDS_MIN:
        raise NotMeasured(samples.why_missing(of_this, to_that))
    return of([this - that for this, that in rows])
