"""Interleaved rounds: compared things are sampled in turn, so that a noisy minute affects both.

A ratio is the median of the ratios of the rounds. The samples of a round are close in time. Fewer than
three rounds have no ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

ROUNDS_MIN = 3


class NotMeasured(Exception):
    """The reason why a number is missing. The table shows it instead."""


@dataclass
class Samples:
    """The values of each sampler, one for each round; None if the round failed."""

    values: dict[str, list[float | None]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def rounds_of(self, *names: str) -> list[tuple[float, ...]]:
        """Returns the rounds in which all of these have a value."""
        columns = [self.values.get(name, []) for name in names]
        return [row for row in zip(*columns) if all(value is not None for value in row)]

    def why_missing(self, *names: str) -> str:
        reasons = [self.failures[name] for name in names if name in self.failures]
        return reasons[0] if reasons else f"fewer than {ROUNDS_MIN} rounds"


def interleave(rounds: int, samplers: dict[str, Callable[[], float]]) -> Samples:
    """Runs all samplers once in each round. Every other round runs backwards, so that none is always first.

    A failure leaves no value in its round and does not stop the others. After two, a sampler is skipped.
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
    """A median with the least and the greatest value of its rounds."""

    median: float
    least: float
    greatest: float
    rounds: int


def of(values: list[float]) -> Number:
    return Number(statistics.median(values), min(values), max(values), len(values))


def median(samples: Samples, name: str) -> Number:
    """Returns the median of all rounds with a value, of which there must be one."""
    values = [row[0] for row in samples.rounds_of(name)]
    if not values:
        raise NotMeasured(samples.why_missing(name))
    return of(values)


def ratio(samples: Samples, of_this: str, to_that: str) -> Number:
    """Returns the median of this / that over at least three rounds."""
    rows = [(this, that) for this, that in samples.rounds_of(of_this, to_that) if that > 0]
    if len(rows) < ROUNDS_MIN:
        raise NotMeasured(samples.why_missing(of_this, to_that))
    return of([this / that for this, that in rows])


def difference(samples: Samples, of_this: str, to_that: str) -> Number:
    """Returns the median of this - that over at least three rounds."""
    rows = samples.rounds_of(of_this, to_that)
    if len(rows) < ROUNDS_MIN:
        raise NotMeasured(samples.why_missing(of_this, to_that))
    return of([this - that for this, that in rows])
