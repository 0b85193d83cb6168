"""The cost of an operator's requests on 100,000 dead letters for all other callers."""

from __future__ import annotations

import itertools
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator

from ..budgets import judged, known
from ..rounds import NotMeasured, median, ratio
from ..stand import Bench, Stand
from ..table import Line

COUNT = 100_000
TASKS_PER_SECOND = 200
QUEUE = "dead-letters"
NEXT_CURSOR = re.compile(rb'"next_cursor":"([^"]+)"\s*}$')
# So late that no worker gets the replayed tasks.
LATER = {"delay_seconds": 86_400}


def call(url: str, path: str, body: dict | None = None, method: str | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/queues/{QUEUE}{path}", data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def fill(stand: Stand, count: int) -> None:
    """Creates dead letters, without measuring it."""
    call(stand.url, "", {"dead_letter": {"max_size": count}}, "PUT")
    missing = count - call(stand.url, "/stats")["dead"]
    while missing > 0:
        tasks = [{"name": f"name-{n % 10}", "payload": {"n": n, "text": "x" * 200}} for n in range(min(missing, 1000))]
        call(stand.url, "/tasks/batch", {"tasks": tasks})
        leased = call(stand.url, "/lease", {"max_tasks": len(tasks), "wait_seconds": 5})["tasks"]
        errors = itertools.cycle([{"type": f"Type{n}", "message": f"upstream {n} said no"} for n in range(7)])
        nacks = [
            {"op": "nack", "lease_id": task["lease_id"], "retry": False, "error": next(errors)} for task in leased
        ]
        request = urllib.request.Request(f"{stand.url}/v1/leases/batch", json.dumps({"operations": nacks}).encode())
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
        missing -= len(leased)


class Operator(threading.Thread):
    """Sends one request after the other, with cursors, until it is stopped."""

    def __init__(self, step: Callable[[str | None], str | None]) -> None:
        super().__init__(daemon=True)
        self.step, self.over, self.calls, self.failure = step, threading.Event(), 0, None

    def run(self) -> None:
        cursor = None
        try:
            while not self.over.is_set():
                cursor = self.step(cursor)
                self.calls += 1
        except OSError as error:
            self.failure = error

    def __enter__(self) -> Operator:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.join()


def page(url: str, query: str) -> Callable[[str | None], str | None]:
    """Reads pages, but parses only their end, because parsing half a megabyte is the work of a client."""

    def step(cursor: str | None) -> str | None:
        path = f"/v1/queues/{QUEUE}/dlq?limit=500{query}{f'&cursor={cursor}' if cursor else ''}"
        with urllib.request.urlopen(url + path, timeout=60) as response:
            end = response.read()[-400:]
        found = NEXT_CURSOR.search(end)
        return found and found[1].decode()

    return step


def bulk(url: str, body: dict) -> Callable[[str | None], str | None]:
    def step(cursor: str | None) -> str | None:
        response = call(url, "/dlq/replay", {**body, **({"cursor": cursor} if cursor else {})})
        return response.get("next_cursor")

    return step


def with_operator(bench: Bench) -> Iterator[Line]:
    """The p99 of others while an operator works on dead letters of another queue, over that without one."""
    count = bench.fewer(COUNT)
    with bench.stand() as stand:
        works: dict[str, Callable[[str | None], str | None] | None] = {
            "nobody": None,
            "peek": page(stand.url, ""),
            # This matches nothing, so every request reads a thousand entries with their errors.
            "filter": page(stand.url, "&error=nothing+has+this"),
            "replay": bulk(stand.url, LATER),
        }
        calls: dict[str, list[float]] = {}

        def p99_ms(work: str) -> float:
            fill(stand, count)
            seconds = max(bench.seconds, 2)

            def sample() -> float:
                report = stand.load("latency", rate=TASKS_PER_SECOND, seconds=seconds)
                delivery = report["latency"].get("delivery")
                if delivery is None or delivery["count"] < 0.98 * TASKS_PER_SECOND * seconds:
                    raise NotMeasured(f"only {delivery and delivery['count']} tasks arrived")
                return delivery["p99_us"] / 1000

            step = works[work]
            if step is None:
                return sample()
            with Operator(step) as operator:
                p99 = sample()
            if operator.failure is not None or operator.calls == 0:
                raise NotMeasured(f"{work}: {operator.failure or 'no request got a response'}")
            calls.setdefault(work, []).append(operator.calls / seconds)
            return p99

        samples = bench.interleave({work: lambda work=work: p99_ms(work) for work in works})
        samples.values.update({f"{work} calls": rates for work, rates in calls.items()})
        for work in ("peek", "filter", "replay"):
            yield judged("dead-letters", lambda work=work: ratio(samples, work, "nobody"), work)
        for work in works:
            yield known("dead-letters", f"p99: {work}", "ms", lambda work=work: median(samples, work))
        for work in calls:
            yield known("dead-letters", f"calls: {work}", "/s", lambda work=work: median(samples, f"{work} calls"))
