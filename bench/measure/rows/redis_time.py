"""What the scripts cost Redis: microseconds per task, as Redis counts them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..budgets import judged, known
from ..rounds import NotMeasured, Number, Samples, median, of, ratio
from ..stand import DEEP, Bench, Stand
from ..table import Line

# Tasks per call, and how many tasks a sample takes: about a second's worth.
TASKS = {1: 8_000, 16: 60_000, 100: 150_000}
GROUPS, NAMES = 10_000, 100
HOUR = 3_600


def per_task(stand: Stand, mode: str, **options) -> float:
    """Redis microseconds per task with one request in flight, so that a request is a script call."""
    us, _ = stand.redis_us_per_task(mode, connections=1, threads=1, seconds=120, **options)
    if us == 0:
        raise NotMeasured("Redis ran no scripts")
    return us


def against_bare(bench: Bench) -> Iterator[Line]:
    with bench.stand(alone_on_a_core=True) as stand:
        deep = bench.fewer(DEEP)
        stand.lay("deep", deep)
        samplers: dict[str, Callable[[], float]] = {}
        for batch, tasks in TASKS.items():
            for depth, backlog, queue in (("short", 0, None), ("deep", deep, "deep")):
                options = {"batch": batch, "tasks": bench.fewer(tasks)}
                bare = {**options, "connections": 1, "backlog": backlog}
                samplers[f"{batch}, {depth}"] = lambda o=options, q=queue: per_task(stand, "cycle", queue=q, **o)
                samplers[f"bare {batch}, {depth}"] = lambda b=bare: stand.bare(**b)["server_us_per_cycle"]
        samples = bench.interleave(samplers)
        for batch in TASKS:
            for depth in ("short", "deep"):
                name = f"{batch}, {depth}"
                yield judged(f"redis-time-{batch}", lambda: ratio(samples, name, f"bare {name}"), depth)
        for name in samplers:
            yield known("redis-time", f"{name}, full cycle", "us", lambda: median(samples, name))


def lanes(bench: Bench) -> Iterator[Line]:
    """Lease alone: the tasks stay leased, and every lane keeps some."""
    with bench.stand(alone_on_a_core=True) as stand:
        # Never fewer tasks than groups: a lane that ran empty would be no lane.
        tasks = max(bench.fewer(DEEP), 10 * GROUPS)
        spread = {"one lane": {}, "groups": {"groups": GROUPS}, "names": {"names": NAMES}}
        for name, options in spread.items():
            stand.lay(name.replace(" ", "-"), tasks, **options)
        samplers: dict[str, Callable[[], float]] = {}
        for batch, leased in ((100, bench.fewer(40_000)), (1, bench.fewer(5_000))):
            for name in spread:
                options = {"queue": name.replace(" ", "-"), "batch": batch, "tasks": leased, "lease_seconds": HOUR}
                samplers[f"{name}, {batch}"] = lambda o=options: per_task(stand, "lease", **o)
        samples = bench.interleave(samplers)
        for name in ("groups", "names"):
            for batch in (100, 1):
                pair = (f"{name}, {batch}", f"one lane, {batch}")
                yield judged(f"{name}-{batch}", lambda: ratio(samples, *pair))
        for name in samplers:
            yield known("lanes", f"{name} a lease", "us", lambda: median(samples, name))


def depth(bench: Bench) -> Iterator[Line]:
    """Each operation on a queue of ten million tasks, and on one of ten thousand."""
    with bench.stand(alone_on_a_core=True) as stand:
        sizes = {"10 k": 10_000, "10 M": bench.fewer(10_000_000)}
        for name, tasks in sizes.items():
            stand.lay(name.replace(" ", "-"), tasks)
        samplers: dict[str, Callable[[], float]] = {}
        for operation in ("enqueue", "lease", "cycle"):
            for batch, tasks in ((1, 1_000), (100, 5_000)):
                for name in sizes:
                    options = {"queue": name.replace(" ", "-"), "batch": batch, "tasks": tasks}
                    if operation == "lease":
                        options["lease_seconds"] = HOUR
                    samplers[f"{operation} {batch}, {name}"] = lambda o=options, m=operation: per_task(stand, m, **o)
        samples = bench.interleave(samplers)
        pairs = sorted({name.rsplit(", ", 1)[0] for name in samplers})
        yield judged("depth", lambda: worst(samples, pairs))
        for pair in pairs:
            yield known("depth", f"{pair} a call, 10 M / 10 k", "x", lambda: ratio(samples, f"{pair}, 10 M", f"{pair}, 10 k"))


def worst(samples: Samples, pairs: list[str]) -> Number:
    return max((ratio(samples, f"{pair}, 10 M", f"{pair}, 10 k") for pair in pairs), key=lambda number: number.median)


def script_time(bench: Bench) -> Iterator[Line]:
    """The last row: it knows the slow scripts of all rows before it."""
    with bench.stand(alone_on_a_core=True) as stand:

        def p99_ms() -> float:
            stand.redis.client.reset()
            stand.load("cycle", connections=1, threads=1, batch=100)
            us = stand.redis.client.script_p99_us()
            if us is None:
                raise NotMeasured("this Redis keeps no percentiles of its commands, or ran no scripts")
            return us / 1000

        samples = bench.interleave({"p99": p99_ms})
        yield judged("script-p99", lambda: median(samples, "p99"))
    yield judged("script-max", lambda: of([slowest_ms(bench)]))


def slowest_ms(bench: Bench) -> float:
    """Calls under a millisecond leave no entry: without entries it was at most that."""
    return max((ms for ms, _ in bench.slow_scripts), default=1.0)
