"""Waiting workers: how fast a task reaches them, and their cost without tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..budgets import judged, known
from ..rounds import NotMeasured, difference, median
from ..stand import LEVELS, Bench, Loadable
from ..table import Line

WAITERS = 10_000
TASKS_PER_SECOND = 200


def latency(bench: Bench) -> Iterator[Line]:
    with bench.levels() as levels:
        samplers: dict[str, Callable[[], float]] = {}
        seen: dict[str, list[float | None]] = {}
        for level in LEVELS:

            def p50_ms(level: str = level) -> float:
                seconds = max(bench.seconds, 2)
                report = levels.get(level).load("latency", rate=TASKS_PER_SECOND, seconds=seconds)
                delivery = report["latency"].get("delivery")
                if delivery is None or delivery["count"] < 0.98 * TASKS_PER_SECOND * seconds:
                    raise NotMeasured(f"only {delivery and delivery['count']} tasks arrived")
                seen.setdefault(level, []).append(delivery["p99_us"] / 1000)
                return delivery["p50_us"] / 1000

            samplers[level] = p50_ms
        samples = bench.interleave(samplers)
        for level in LEVELS:
            yield judged("latency-p50", lambda: median(samples, level), level)
            samples.values[f"{level} p99"] = seen.get(level, [])
            yield judged("latency-p99", lambda: median(samples, f"{level} p99"), level)


def waiters(bench: Bench) -> Iterator[Line]:
    """New servers in each round, because freed memory that a server keeps would hide that of waiters."""
    commands: list[float | None] = []

    def kib(server: Loadable, **options) -> float:
        seconds = 3 if bench.quick else 10
        report = server.load("idle", queue="idle", waiters=WAITERS, seconds=seconds, server_pid=server.server.pid, **options)
        idle = report["idle"]
        if idle["parked"] < WAITERS or idle["probes_arrived"] < idle["probes_sent"]:
            parked, arrived = idle["parked"], idle["probes_arrived"]
            raise NotMeasured(f"{parked} of {WAITERS} parked, {arrived} of {idle['probes_sent']} probes arrived")
        if (per_queue := idle["redis_commands_per_second_and_queue"]) is not None:
            commands.append(per_queue)
        return idle["rss_per_waiter_bytes"] / 1024

    def echo() -> float:
        with bench.echo() as server:
            return kib(server, probes=0)

    def leaseq() -> float:
        with bench.stand() as stand:
            return kib(stand, redis=stand.redis.socket)

    samples = bench.interleave({"echo": echo, "leaseq": leaseq})
    samples.values["commands"] = commands
    yield judged("waiters-commands", lambda: median(samples, "commands"))
    yield judged("waiters-memory", lambda: difference(samples, "leaseq", "echo"))
    for name in ("echo", "leaseq"):
        yield known("waiters", f"memory per waiter: {name}", "KiB", lambda: median(samples, name))
