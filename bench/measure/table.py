"""The lines of the budget table, as text for a terminal and as Markdown for docs/benchmarks.md."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from .rounds import Number

REASON_LENGTH_MAX = 160


@dataclass(frozen=True)
class Line:
    """A number with its budget. `must` and `stretch` are None if it has no budget."""

    row: str
    what: str
    unit: str
    number: Number | None = None
    must: float | None = None
    stretch: float | None = None
    lower_is_better: bool = False
    why_missing: str = ""

    @property
    def mark(self) -> str:
        if self.number is None:
            return "?"
        if self.must is None:
            return ""
        if self._reaches(self.must):
            return "stretch" if self.stretch is not None and self._reaches(self.stretch) else "met"
        return "SHORT"

    def _reaches(self, budget: float) -> bool:
        assert self.number is not None
        return self.number.median <= budget if self.lower_is_better else self.number.median >= budget

    @property
    def measured(self) -> str:
        if self.number is None:
            return f"not measured: {textwrap.shorten(self.why_missing, REASON_LENGTH_MAX)}"
        return show(self.number.median, self.unit)

    @property
    def spread(self) -> str:
        if self.number is None or self.number.rounds == 1:
            return ""
        return f"{show(self.number.least, self.unit)} .. {show(self.number.greatest, self.unit)}"

    def budget(self, value: float | None) -> str:
        if value is None:
            return ""
        return ("<= " if self.lower_is_better else ">= ") + show(value, self.unit)


def show(value: float, unit: str) -> str:
    """Returns a value with its unit. A shared machine is good for three digits at most."""
    if unit == "x":
        return f"{value:.2f} x"
    if unit == "/s" and abs(value) >= 1000:
        return f"{value / 1000:.1f} k/s"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" + (unit if unit == "/s" else f" {unit}")


HEADINGS = ("what", "must", "stretch", "measured", "rounds' spread", "")


def cells(line: Line) -> tuple[str, ...]:
    return (line.what, line.budget(line.must), line.budget(line.stretch), line.measured, line.spread, line.mark)


# The reason for a missing number may be long. It must not widen the whole column.
MEASURED_WIDTH_MAX = 24


def text(lines: list[Line]) -> str:
    """Returns the table for a terminal, with a heading for each row of the budget."""
    table = [HEADINGS, *(cells(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table)]
    measured = HEADINGS.index("measured")
    widths[measured] = min(widths[measured], MEASURED_WIDTH_MAX)

    def row(values: tuple[str, ...]) -> str:
        return "  ".join(value.ljust(width) for value, width in zip(values, widths)).rstrip()

    out = [row(HEADINGS)]
    for line, before in zip(lines, [None, *lines]):
        if before is None or line.row != before.row:
            out.append(f"-- {line.row}")
        out.append(row(cells(line)))
    return "\n".join(out)


def markdown(lines: list[Line]) -> str:
    """Returns the budgets as a table, and the numbers behind the ratios folded away."""
    budgets = markdown_table([line for line in lines if line.must is not None or line.number is None])
    rest = markdown_table([line for line in lines if line.must is None and line.number is not None])
    return f"{budgets}\n\n<details><summary>Numbers behind the ratios</summary>\n\n{rest}\n\n</details>"


def markdown_table(lines: list[Line]) -> str:
    out = ["| row | " + " | ".join(HEADINGS) + " |", "|---" * (len(HEADINGS) + 1) + "|"]
    for line in lines:
        out.append("| " + " | ".join([line.row, *(cell.strip().replace("|", "/") for cell in cells(line))]) + " |")
    return "\n".join(out)
