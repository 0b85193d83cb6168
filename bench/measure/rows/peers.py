"""The same work with BullMQ, on the same Redis and in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..budgets import judged, known
from ..generator import bullmq, install_bullmq
from ..rounds import median, ratio
from ..stand import Bench, Stand
from ..table import Line


def against_bullmq(bench: Bench) -> Iterator[Line]:
    install_bullmq()
    with bench.stand() as stand:
        samplers = {
            "BullMQ single": partial(bullmq_cycles, stand, 1),
            "single": partial(stand.tasks_per_second, "cycle", connections=64),
            "BullMQ batched": partial(bullmq_cycles, stand, 100),
            "batched": partial(stand.tasks_per_second, "cycle", connections=16, batch=100),
        }
        samples = bench.interleave(samplers)
        for name in ("single", "batched"):
            yield judged(f"bullmq-{name}", lambda: ratio(samples, name, f"BullMQ {name}"))
        for name in samplers:
            yield known("bullmq", name, "/s", lambda: median(samples, name))


def bullmq_cycles(stand: Stand, batch: int) -> float:
    bench = stand.bench
    report = bullmq(stand.redis.socket, batch=batch, seconds=bench.seconds, warmup_seconds=max(bench.warmup_seconds, 1))
    return bench.record({"target": "BullMQ", **report})["tasks_per_second"]
