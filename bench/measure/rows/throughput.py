"""Tasks per second, compared with echo, bare, another level, or another setting of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ..budgets import judged, known
from ..rounds import NotMeasured, median, of, ratio
from ..stand import DEEP, LEVELS, SCRIPT_ITEMS_ENV, Bench, Levels, Service
from ..table import Line

DEPTHS = {"short": None, "deep": "deep"}
QUEUES = 1_000


def over_depths(levels: Levels, mode: str, name: str = "", **options) -> dict[str, Callable[[], float]]:
    """Returns samplers of tasks per second for each level, with a short and a deep backlog."""
    return {
        f"{name}{level}, {depth}": levels.sampler(level, mode, queue=queue, **options)
        for level in LEVELS
        for depth, queue in DEPTHS.items()
    }


def enqueue(bench: Bench) -> Iterator[Line]:
    with bench.echo() as echo, bench.levels() as levels:
        levels.enqueue_backlog("deep", bench.fewer(DEEP))
        ours = over_depths(levels, "enqueue", connections=64)
        samples = bench.interleave({"echo": partial(echo.tasks_per_second, "enqueue", connections=64, queue="q"), **ours})
        for name in ours:
            yield judged("enqueue", lambda: ratio(samples, name, "echo"), name)
        for name in samples.values:
            yield known("enqueue", name, "/s", lambda: median(samples, name))


def cycle(bench: Bench) -> Iterator[Line]:
    with bench.echo() as echo, bench.levels() as levels:
        levels.enqueue_backlog("deep", bench.fewer(DEEP))
        plain = over_depths(levels, "cycle", connections=64)
        settle = over_depths(levels, "cycle", "settle in lease, ", connections=64, settle_in_lease=True)
        echo_third = lambda: echo.tasks_per_second("enqueue", connections=64, queue="q") / 3
        samples = bench.interleave({"echo / 3": echo_third, **plain, **settle})
        samples.values["echo / 2"] = [value and value * 1.5 for value in samples.values["echo / 3"]]
        for name in plain:
            yield judged("cycle", lambda: ratio(samples, name, "echo / 3"), name)
        for name in settle:
            yield judged("cycle-settle", lambda: ratio(samples, name, "echo / 2"), name.removeprefix("settle in lease, "))
        for name in samples.values:
            yield known("cycle", name, "/s", lambda: median(samples, name))


def batch(bench: Bench) -> Iterator[Line]:
    with bench.levels() as levels:
        levels.enqueue_backlog("deep", bench.fewer(DEEP))
        ten = over_depths(levels, "cycle", "10: ", connections=32, batch=10)
        hundred = over_depths(levels, "cycle", "100: ", connections=16, batch=100)
        bare = {
            f"bare: {level}, {depth}": partial(bare_cycles, levels, level, bench.fewer(DEEP) if queue else 0)
            for level in LEVELS
            for depth, queue in DEPTHS.items()
        }
        samples = bench.interleave({**bare, **ten, **hundred})
        for name in ten:
            yield judged("batch-10", lambda: median(samples, name), name.removeprefix("10: "))
        for name in hundred:
            where = name.removeprefix("100: ")
            yield judged("batch-100", lambda: ratio(samples, name, f"bare: {where}"), where)
        for name in [*hundred, *bare]:
            yield known("batch", name, "/s", lambda: median(samples, name))


def bare_cycles(levels: Levels, level: str, backlog: int) -> float:
    report = levels.get(level).bare(batch=100, connections=8, backlog=backlog, tasks=10**9, seconds=levels.bench.seconds)
    return report["cycles_per_second"]


def group_commit(bench: Bench) -> Iterator[Line]:
    """Two services on one Redis: one with group commit, one with a single item in each script call."""
    for level in LEVELS:
        with bench.stand(level) as together:
            alone = together.another_service({SCRIPT_ITEMS_ENV: "1"})
            samplers = {}
            for connections in (64, 256):
                samplers[f"with, {connections}"] = partial(together.tasks_per_second, "enqueue", connections=connections)
                samplers[f"without, {connections}"] = partial(one_by_one, alone, connections)
            samplers["with, p50"] = partial(p50_us, together)
            samplers["without, p50"] = partial(p50_us, alone)
            samples = bench.interleave(samplers)
            for connections in (64, 256):
                pair = (f"with, {connections}", f"without, {connections}")
                yield judged(f"group-commit-{connections}", lambda: ratio(samples, *pair), level)
            yield judged("group-commit-1", lambda: ratio(samples, "with, p50", "without, p50"), level)
            for name in samples.values:
                scale, unit = (1000, "ms") if name.endswith("p50") else (1, "/s")
                yield known("group-commit", f"{name}: {level}", unit, lambda: scaled(samples, name, scale))


def one_by_one(service: Service, connections: int) -> float:
    """Returns the throughput without group commit, and checks with Redis that there was none."""
    service.redis.client.reset()
    report = service.load("enqueue", connections=connections)
    calls, _ = service.redis.client.scripts()
    if calls < report["tasks"] * 0.9:
        raise NotMeasured(f"{SCRIPT_ITEMS_ENV}=1 has no effect: {calls} script calls for {report['tasks']} tasks")
    return report["tasks_per_second"]


def p50_us(service: Service) -> float:
    return service.load("enqueue", connections=1)["latency"]["enqueue"]["p50_us"]


def scaled(samples, name: str, by: float):
    return of([row[0] / by for row in samples.rounds_of(name)] or [_missing(samples, name)])


def _missing(samples, name: str) -> float:
    raise NotMeasured(samples.why_missing(name))


def queues(bench: Bench) -> Iterator[Line]:
    with bench.levels() as levels:
        samplers = {}
        for level in LEVELS:
            samplers[f"1 queue, {level}"] = levels.sampler(level, "cycle", connections=64)
            many = {"connections": 64, "queue": "many", "queues": QUEUES}
            samplers[f"{QUEUES} queues, {level}"] = levels.sampler(level, "cycle", **many)
        samples = bench.interleave(samplers)
        for level in LEVELS:
            yield judged("queues", lambda: ratio(samples, f"{QUEUES} queues, {level}", f"1 queue, {level}"), level)
        for name in samplers:
            yield known("queues", name, "/s", lambda: median(samples, name))


def fsync(bench: Bench) -> Iterator[Line]:
    with bench.levels() as levels:
        samplers = {
            f"{mode}, {level}": levels.sampler(level, mode, connections=64)
            for mode in ("enqueue", "cycle")
            for level in LEVELS
        }
        samples = bench.interleave(samplers)
        for mode in ("enqueue", "cycle"):
            yield judged("fsync", lambda: ratio(samples, f"{mode}, fsync", f"{mode}, memory"), mode)
        for name in samplers:
            yield known("fsync", name, "/s", lambda: median(samples, name))
