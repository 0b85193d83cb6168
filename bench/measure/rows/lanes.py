"""The cost of lanes per lease, and of limits per cycle: many groups and names, active, idle and held."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial

from ..budgets import judged, known
from ..rounds import median, ratio
from ..stand import DEEP, Bench, RedisStand, Stand
from ..table import Line
from .redis_time import CONNECTIONS, TASKS

GROUPS, NAMES = 10_000, 100
LANES = (1, 100, 10_000)
# The tasks in a call, and the tasks in a sample.
LEASED = {100: 40_000, 1: 5_000}
# The tasks in each idle or held lane. Their number does not matter for lanes that no call touches.
WAITING = 5
FAR_RATE = 1_000_000


def lanes(bench: Bench) -> Iterator[Line]:
    """Only leases. Nothing sweeps here, so tasks stay leased, and every active lane keeps some tasks."""
    with bench.redis() as stand:
        # More tasks than groups, because an empty lane would not be active.
        tasks = max(bench.fewer(DEEP), 10 * GROUPS)
        spread = {f"{lanes:,} active": {"groups": lanes} for lanes in LANES} | {"100 names": {"names": NAMES}, "one lane": {}}
        for name, options in spread.items():
            stand.enqueue_backlog(queue_of(name), tasks, **options)
        for lanes in LANES:
            # The other lanes have a name that the call does not ask for, or that is held.
            for kind in ("idle", "held"):
                queue = queue_of(f"{lanes:,} {kind}")
                stand.enqueue_backlog(queue, WAITING * lanes, name=kind, groups=lanes)
                if kind == "held":
                    stand.scripts("hold", queue=queue, name=kind, tasks=0)
                stand.enqueue_backlog(queue, tasks)
        samplers: dict[str, Callable[[], float]] = {}
        for batch in LEASED:
            for name in spread:
                samplers[f"{name}, {batch}"] = sampler(stand, bench, name, batch)
            for lanes in LANES:
                samplers[f"{lanes:,} idle, {batch}"] = sampler(stand, bench, f"{lanes:,} idle", batch, filter=True)
                samplers[f"{lanes:,} held, {batch}"] = sampler(stand, bench, f"{lanes:,} held", batch)
        samples = bench.interleave(samplers)
        for key, name in (("groups", f"{GROUPS:,} active"), ("names", "100 names")):
            for batch in LEASED:
                pair = (f"{name}, {batch}", f"one lane, {batch}")
                yield judged(f"{key}-{batch}", lambda: ratio(samples, *pair))
        for kind in ("idle", "held"):
            for batch in LEASED:
                pair = (f"{GROUPS:,} {kind}, {batch}", f"1 {kind}, {batch}")
                yield judged(f"{kind}-{batch}", lambda: ratio(samples, *pair))
        for name in samplers:
            yield known("lanes", f"{name} a lease, per task", "us", lambda: median(samples, name))


def queue_of(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def sampler(stand: RedisStand, bench: Bench, name: str, batch: int, **options) -> Callable[[], float]:
    leased = {"batch": batch, "tasks": bench.fewer(LEASED[batch]), "connections": CONNECTIONS}
    return partial(stand.scripts, "lease", queue=queue_of(name), **leased, **options)


def limits(bench: Bench) -> Iterator[Line]:
    """Full cycles over HTTP with a hundred names, with a limit on each that is never reached, and without."""
    with bench.stand("memory") as stand:
        limit_names(stand, "limited")
        samplers: dict[str, Callable[[], float]] = {}
        for batch, connections in ((1, 64), (100, 16)):
            for name in ("free", "limited"):
                load = {"queue": name, "names": NAMES, "batch": batch, "connections": connections}
                samplers[f"{name}, {batch}"] = partial(stand.tasks_per_second, "cycle", **load)
                calls = {"queue": f"{name}-{batch}", "names": NAMES, "batch": batch, "limited": name == "limited"}
                calls |= {"tasks": bench.fewer(TASKS[batch]), "connections": CONNECTIONS}
                samplers[f"{name}, {batch}, Redis"] = partial(stand.scripts, "cycle", **calls)
        samples = bench.interleave(samplers)
        for batch in (1, 100):
            yield judged(f"limits-{batch}", lambda: ratio(samples, f"limited, {batch}", f"free, {batch}"))
        for batch in (1, 100):
            pair = (f"limited, {batch}, Redis", f"free, {batch}, Redis")
            yield known("limits", f"Redis time of a cycle, {batch} a call, limited / free", "x", lambda: ratio(samples, *pair))
        for name in samplers:
            unit = "us" if name.endswith("Redis") else "/s"
            yield known("limits", f"{name}, full cycle per task" if unit == "us" else name, unit, lambda: median(samples, name))


def limit_names(stand: Stand, queue: str) -> None:
    """Sets a rate on each name of the generator that is never reached."""
    names = {f"bench-{number}": {"limits": {"rate_per_second": FAR_RATE}} for number in range(NAMES)}
    request = urllib.request.Request(f"{stand.url}/v1/queues/{queue}", json.dumps({"names": names}).encode(), method="PUT")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()
