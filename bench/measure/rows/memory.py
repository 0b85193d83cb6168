"""The bytes that Redis needs for a task beyond its payload."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..budgets import judged
from ..rounds import NotMeasured, Number, of
from ..stand import Bench, Stand
from ..table import Line

TASKS = 1_000_000
PAYLOAD_BYTES, PAYLOAD_MEAN_BYTES = "150..250", 200
DAY = 86_400
# The default of the service.
LEASE_SECONDS = 30
SETTLING_SECONDS = 2


def used(stand: Stand) -> int:
    """Returns the used memory after a pause in which Redis frees the buffers of connections."""
    time.sleep(SETTLING_SECONDS)
    return stand.redis.client.used_memory()


def memory(bench: Bench) -> Iterator[Line]:
    tasks = bench.fewer(TASKS)

    def over_payload(stand: Stand, before: int) -> Number:
        return of([(used(stand) - before) / tasks - PAYLOAD_MEAN_BYTES])

    def leased(stand: Stand, before: int) -> Number:
        # Leases of the default length, because another length would be stored with each task.
        report = stand.load("lease", queue="q", tasks=tasks, batch=250, connections=4, seconds=600, warmup_seconds=0)
        if report["tasks"] < tasks * 0.99:
            raise NotMeasured(f"only {report['tasks']} of {tasks} tasks could be leased")
        if report["elapsed_seconds"] > LEASE_SECONDS - SETTLING_SECONDS - 1:
            raise NotMeasured(f"leasing took {report['elapsed_seconds']:.0f} s: the first leases expired meanwhile")
        return over_payload(stand, before)

    with bench.stand() as stand:
        stand.enqueue_backlog("warm", 1_000)
        before = used(stand)
        stand.enqueue_backlog("q", tasks, payload_bytes=PAYLOAD_BYTES)
        yield judged("memory-ready", lambda: over_payload(stand, before))
        yield judged("memory-leased", lambda: leased(stand, before))
    with bench.stand() as stand:
        stand.enqueue_backlog("warm", 1_000)
        before = used(stand)
        stand.enqueue_backlog("q", tasks, payload_bytes=PAYLOAD_BYTES, delay_seconds=DAY)
        yield judged("memory-scheduled", lambda: over_payload(stand, before))
