"""Measures the chosen rows and prints them with their budgets."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from . import build, results
from .rounds import ROUNDS_MIN, NotMeasured
from .rows import dead_letters, lanes, memory, peers, redis_time, start, throughput, waiting
from .stand import Bench
from .table import Line, text

# The rows in the order in which they run. The last one reports the slow scripts of all rows.
ROWS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "enqueue": throughput.enqueue,
    "cycle": throughput.cycle,
    "batch": throughput.batch,
    "redis-time": redis_time.against_bare,
    "bullmq": peers.against_bullmq,
    "group-commit": throughput.group_commit,
    "queues": throughput.queues,
    "latency": waiting.latency,
    "waiters": waiting.waiters,
    "dead-letters": dead_letters.with_operator,
    "memory": memory.memory,
    "depth": redis_time.depth,
    "lanes": lanes.lanes,
    "limits": lanes.limits,
    "fsync": throughput.fsync,
    "start": start.start,
    "script-time": redis_time.script_time,
}
# These take minutes and gigabytes of memory, so they run only with --long.
LONG = {"depth"}


def measure(bench: Bench, row: str) -> list[Line]:
    """Returns the lines of a row. A failure becomes a line, so that the other rows are still measured."""
    lines = []
    try:
        for line in ROWS[row](bench):
            lines.append(line)
    except NotMeasured as reason:
        lines.append(Line(row, f"  {'the rest' if lines else 'all'} of {row}", "", why_missing=str(reason)))
    except Exception as error:  # noqa: BLE001 - a mistake in one row must not lose the others
        traceback.print_exc()
        lines.append(Line(row, f"  {'the rest' if lines else 'all'} of {row}", "", why_missing=repr(error)))
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--only", help="rows to measure, separated by commas: " + ", ".join(ROWS))
    quick = "samples of a second with a tenth of the tasks: for a first look only"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--long", action="store_true", help="also " + ", ".join(sorted(LONG)))
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN, help=f"number of rounds; below {ROUNDS_MIN} no ratio is printed")
    parser.add_argument("--seconds", type=float, help="length of a sample (4; 1 with --quick)")
    name = "write results to bench/results/NAME.json; by default to a dated file that git ignores"
    parser.add_argument("--name", help=name)
    parser.add_argument("--write-docs", action="store_true", help="write the table to docs/benchmarks.md and its main numbers to README.md")
    parser.add_argument("--leaseq", type=Path, help="measure this binary instead of building one")
    parser.add_argument("--scripts", type=Path, help="use this binary to call the scripts instead of building one")
    directory = "directory for the files of Redis; fsync measures its disk"
    parser.add_argument("--directory", type=Path, help=directory)
    options = parser.parse_args()
    options.rows = options.only.split(",") if options.only else [row for row in ROWS if options.long or row not in LONG]
    if options.quick and options.write_docs:
        parser.error("the documentation needs a full run: remove --quick")
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}")
    return options


def main() -> int:
    options = arguments()
    given = (path and path.resolve() for path in (options.leaseq, options.scripts))
    binaries = build.binaries(*given)
    name = options.name or f"{datetime.now():%Y%m%d-%H%M%S}.raw"
    path = build.ROOT / "bench/results" / f"{name}.json"
    with tempfile.TemporaryDirectory(prefix="leaseq-bench-", dir=options.directory) as directory:
        machine = results.machine(Path(directory))
        seconds = options.seconds or (1.0 if options.quick else 4.0)
        bench = Bench(binaries, Path(directory), options.rounds, seconds, quick=options.quick)
        lines: list[Line] = []
        raw: dict[str, dict] = {}
        for row in (row for row in ROWS if row in options.rows):
            print(f"measuring {row}", file=sys.stderr, flush=True)
            bench.raw = []
            lines += measure(bench, row)
            raw[row] = {"load_average_after": results.load_average(), "reports": bench.raw}
            results.save(path, machine, bench, lines, raw)
        print(text(lines))
        if options.quick:
            print("\nquick: short samples and a tenth of the tasks, for a first look only")
        print(f"\nraw samples: {path.relative_to(build.ROOT)}")
        if options.write_docs:
            results.write_docs(machine, bench, lines)
            results.write_readme(machine, lines)
    return 0
