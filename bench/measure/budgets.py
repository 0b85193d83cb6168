"""The budgets. The unit of ratios is `x`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .rounds import NotMeasured, Number
from .table import Line


@dataclass(frozen=True)
class Budget:
    row: str
    what: str
    unit: str
    must: float | None
    stretch: float | None = None
    lower_is_better: bool = False


BUDGETS = {
    "enqueue": Budget("enqueue", "enqueue, 1 a request, 64 connections / echo", "x", 0.60, 0.75),
    "cycle": Budget("cycle", "full cycle, 1 a request / (echo / 3)", "x", 0.55, 0.70),
    "cycle-settle": Budget("cycle", "the same with settle in lease / (echo / 2)", "x", 0.55, 0.70),
    "batch-10": Budget("batch", "full cycle, 10 a request", "/s", 45_000, 60_000),
    "batch-100": Budget("batch", "full cycle, 100 a request / bare", "x", 0.55, 0.75),
    "redis-time-1": Budget("redis-time", "Redis time per task / bare, 1 a call", "x", 2.5, 2.0, True),
    "redis-time-16": Budget("redis-time", "Redis time per task / bare, 16 a call", "x", 1.6, 1.4, True),
    "redis-time-100": Budget("redis-time", "Redis time per task / bare, 100 a call", "x", 1.6, 1.4, True),
    "bullmq-single": Budget("bullmq", "full cycle, 1 a request / BullMQ", "x", 3.0, 4.0),
    "bullmq-batched": Budget("bullmq", "full cycle, 100 a request / BullMQ addBulk(100)", "x", 12.0, 15.0),
    "group-commit-64": Budget("group-commit", "enqueue with group commit / without, 64 connections", "x", 1.4, 1.5),
    "group-commit-256": Budget("group-commit", "enqueue with group commit / without, 256 connections", "x", 1.8, 2.0),
    "group-commit-1": Budget("group-commit", "p50 with group commit / without, 1 connection", "x", 1.1, None, True),
    "queues": Budget("queues", "full cycle over 1,000 queues / 1 queue", "x", 0.5, 0.7),
    "latency-p50": Budget("latency", "enqueue to delivery at 200/s, p50", "ms", 0.7, 0.5, True),
    "latency-p99": Budget("latency", "enqueue to delivery at 200/s, p99", "ms", 3.0, 2.0, True),
    "waiters-commands": Budget("waiters", "Redis commands per second and queue, 10,000 waiters", "/s", 2.0, 1.0, True),
    "waiters-memory": Budget("waiters", "memory per waiter - echo's parked handler", "KiB", 4.0, 2.0, True),
    "dead-letters": Budget("dead-letters", "p99 of others beside work on 100,000 dead letters / alone", "x", 2.0, 1.5, True),
    "memory-ready": Budget("memory", "bytes per ready task - payload, 1 M tasks", "B", 160, 140, True),
    "memory-scheduled": Budget("memory", "bytes per scheduled task - payload, 1 M tasks", "B", 260, 240, True),
    "memory-leased": Budget("memory", "bytes per leased task - payload, 1 M tasks", "B", 260, 240, True),
    "depth": Budget("depth", "worst operation at 10 M tasks / at 10 k", "x", 1.5, 1.2, True),
    "groups-100": Budget("lanes", "lease of 100 over 10,000 groups / one lane", "x", 3.0, 2.0, True),
    "groups-1": Budget("lanes", "lease of 1 over 10,000 groups / one lane", "x", 1.3, 1.2, True),
    "names-100": Budget("lanes", "lease of 100 over 100 names / one lane", "x", 5.0, 2.5, True),
    "names-1": Budget("lanes", "lease of 1 over 100 names / one lane", "x", 2.0, 1.3, True),
    "idle-100": Budget("lanes", "lease of 100 beside 10,000 idle lanes / 1", "x", 1.2, 1.1, True),
    "idle-1": Budget("lanes", "lease of 1 beside 10,000 idle lanes / 1", "x", 1.2, 1.1, True),
    "held-100": Budget("lanes", "lease of 100 beside 10,000 held lanes / 1", "x", 1.2, 1.1, True),
    "held-1": Budget("lanes", "lease of 1 beside 10,000 held lanes / 1", "x", 1.2, 1.1, True),
    "limits-1": Budget("limits", "full cycle over 100 names, 1 a request, limits not reached / none", "x", 0.80),
    "limits-100": Budget("limits", "full cycle over 100 names, 100 a request, limits not reached / none", "x", 0.80),
    "fsync": Budget("fsync", "fsync / memory, 64 connections", "x", 0.60, 0.75),
    "start": Budget("start", "cold start to the first enqueue answered, embedded Redis", "ms", 250, 150, True),
    "script-p99": Budget("script-time", "script time, p99, 100 tasks a call", "ms", 1.0, None, True),
    "script-max": Budget("script-time", "slowest script call of all rows of this run", "ms", 10.0, None, True),
}


def judged(key: str, number: Callable[[], Number], where: str = "") -> Line:
    """Returns the line of a budget. If it could not be measured, the line contains the reason."""
    budget = BUDGETS[key]
    what = f"{budget.what}: {where}" if where else budget.what
    line = Line(budget.row, what, budget.unit, None, budget.must, budget.stretch, budget.lower_is_better)
    return filled(line, number)


def known(row: str, what: str, unit: str, number: Callable[[], Number]) -> Line:
    """Returns a line without a budget, which shows the numbers behind a ratio."""
    return filled(Line(row, "  " + what, unit), number)


def filled(line: Line, number: Callable[[], Number]) -> Line:
    try:
        return Line(**{**line.__dict__, "number": number()})
    except NotMeasured as reason:
        return Line(**{**line.__dict__, "why_missing": str(reason)})
