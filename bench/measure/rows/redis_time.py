"""The cost of the scripts in Redis: microseconds for each task, as counted by Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ..budgets import judged, known
from ..resp import operation_in
from ..rounds import NotMeasured, Number, Samples, median, of, ratio
from ..stand import DEEP, Bench, RedisStand
from ..table import Line

# The tasks in a call, and the tasks in a sample, which takes about a second.
TASKS = {1: 20_000, 16: 100_000, 100: 200_000}
# Enough that Redis is never idle, because after a sleep its caches are cold.
CONNECTIONS = 4


def against_bare(bench: Bench) -> Iterator[Line]:
    with bench.redis() as stand:
        deep = bench.fewer(DEEP)
        stand.enqueue_backlog("deep", deep)
        samplers: dict[str, Callable[[], float]] = {}
        for batch, tasks in TASKS.items():
            for depth, backlog in (("short", 0), ("deep", deep)):
                options = {"batch": batch, "tasks": bench.fewer(tasks), "connections": CONNECTIONS}
                samplers[f"{batch}, {depth}"] = partial(stand.scripts, "cycle", queue=depth, **options)
                samplers[f"bare {batch}, {depth}"] = partial(bare_us, stand, backlog=backlog, **options)
        # As many leases as enqueues, so that the depth stays. The rest of a cycle is the ack.
        for batch in (1, 100):
            for operation in ("enqueue", "lease"):
                options = {"batch": batch, "tasks": bench.fewer(TASKS[batch]), "connections": CONNECTIONS}
                name = f"{batch}, short, {operation} alone"
                samplers[name] = partial(stand.scripts, operation, queue=f"alone-{batch}", **options)
        samples = bench.interleave(samplers)
        for batch in TASKS:
            for depth in ("short", "deep"):
                name = f"{batch}, {depth}"
                yield judged(f"redis-time-{batch}", lambda: ratio(samples, name, f"bare {name}"), depth)
        for name in samplers:
            what = f"{name}, per task" if name.endswith("alone") else f"{name}, full cycle per task"
            yield known("redis-time", what, "us", lambda: median(samples, name))


def bare_us(stand: RedisStand, **options) -> float:
    return stand.bare(**options)["server_us_per_cycle"]


def depth(bench: Bench) -> Iterator[Line]:
    """Each operation on a queue of ten million tasks, and on one of ten thousand."""
    with bench.redis() as stand:
        sizes = {"10 k": 10_000, "10 M": bench.fewer(10_000_000)}
        for name, tasks in sizes.items():
            stand.enqueue_backlog(name.replace(" ", "-"), tasks)
        samplers: dict[str, Callable[[], float]] = {}
        # As many leases after as many enqueues, so that the sizes stay.
        for batch, tasks in ((1, 1_000), (100, 5_000)):
            for operation in ("enqueue", "lease", "cycle"):
                for name in sizes:
                    options = {"queue": name.replace(" ", "-"), "batch": batch, "tasks": tasks}
                    options["connections"] = CONNECTIONS
                    samplers[f"{operation} {batch}, {name}"] = partial(stand.scripts, operation, **options)
        samples = bench.interleave(samplers)
        pairs = sorted({name.rsplit(", ", 1)[0] for name in samplers})
        yield judged("depth", lambda: worst(samples, pairs))
        for pair in pairs:
            sizes_of = (f"{pair}, 10 M", f"{pair}, 10 k")
            yield known("depth", f"{pair} a call, 10 M / 10 k", "x", lambda: ratio(samples, *sizes_of))


def worst(samples: Samples, pairs: list[str]) -> Number:
    return max((ratio(samples, f"{pair}, 10 M", f"{pair}, 10 k") for pair in pairs), key=lambda number: number.median)


def script_time(bench: Bench) -> Iterator[Line]:
    """The last row, which reports the slow scripts of all rows."""
    with bench.redis() as stand:

        def p99_ms() -> float:
            stand.scripts("cycle", queue="q", batch=100, tasks=bench.fewer(TASKS[100]), connections=CONNECTIONS)
            us = stand.redis.client.script_p99_us()
            if us is None:
                raise NotMeasured("this Redis keeps no percentiles of its commands")
            return us / 1000

        samples = bench.interleave({"p99": p99_ms})
        yield judged("script-p99", lambda: median(samples, "p99"))
    yield judged("script-max", lambda: of([slowest_ms(bench)]))
    # The slowest twenty calls, by operation.
    slowest: dict[str, float] = {}
    for ms, call in bench.slow_scripts:
        operation = operation_in(call)
        slowest[operation] = max(ms, slowest.get(operation, 0.0))
    for operation, ms in slowest.items():
        yield known("script-time", f"the slowest {operation}", "ms", lambda ms=ms: of([ms]))


def slowest_ms(bench: Bench) -> float:
    """Returns the time of the slowest call: a millisecond if the log has none, as it skips faster calls."""
    return max((ms for ms, _ in bench.slow_scripts), default=1.0)
