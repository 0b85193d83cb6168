"""The time from the start of the process to the first response, with the embedded Redis."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

from ..budgets import judged, known
from ..processes import HttpServer
from ..rounds import NotMeasured, median
from ..stand import Bench
from ..table import Line

BODY = b'{"name":"bench","payload":{}}'


def start(bench: Bench) -> Iterator[Line]:
    listening: list[float | None] = []

    def to_first_answer_ms() -> float:
        directory = bench.fresh_directory()
        command = [str(bench.binaries.leaseq), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(directory / "data")]
        with HttpServer(command, directory / "leaseq.log") as server:
            listening.append((time.perf_counter() - server.started) * 1000)
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
            connection.request("POST", "/v1/queues/q/tasks", BODY, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            took_ms = (time.perf_counter() - server.started) * 1000
            connection.close()
            if response.status != 201:
                raise NotMeasured(f"the first enqueue failed with status {response.status}")
        bench.record({"target": "leaseq embedded", "listening_ms": listening[-1], "first_answer_ms": took_ms})
        return took_ms

    samples = bench.interleave({"start": to_first_answer_ms})
    samples.values["listening"] = listening
    yield judged("start", lambda: median(samples, "start"))
    yield known("start", "until it listens", "ms", lambda: median(samples, "listening"))
