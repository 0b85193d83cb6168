"""The stand for a measurement: a private Redis with a service on it, at one durability level."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import generator
from .build import Binaries
from .processes import HttpServer, RedisServer
from .rounds import NotMeasured, Samples, interleave

LEVELS = ("memory", "fsync")
# A hidden setting of the service: the most items in a script call. 1 turns group commit off.
SCRIPT_ITEMS_ENV = "LEASEQ_TEST_SCRIPT_ITEMS"
DEEP = 300_000


@dataclass
class Bench:
    """Binaries, sizes and reports so far: the only argument of a row."""

    binaries: Binaries
    directory: Path
    rounds: int = 3
    seconds: float = 4.0
    warmup_seconds: float = 0.5
    quick: bool = False
    # The raw reports of the current row, in order.
    raw: list[dict] = field(default_factory=list)
    # The slowest script calls of the service in all rows: milliseconds, call.
    slow_scripts: list[tuple[float, str]] = field(default_factory=list)
    stands: int = 0

    def fresh_directory(self) -> Path:
        self.stands += 1
        return Path(tempfile.mkdtemp(prefix=f"{self.stands}-", dir=self.directory))

    def stand(self, level: str = "memory") -> Stand:
        return Stand(self, level)

    def redis(self, level: str = "memory") -> RedisStand:
        return RedisStand(self, level)

    def levels(self) -> Levels:
        return Levels(self)

    def echo(self) -> Echo:
        return Echo(self)

    def interleave(self, samplers: dict[str, Callable[[], float]]) -> Samples:
        samples = interleave(self.rounds, samplers)
        self.record({"samples": samples.values, "failures": samples.failures})
        return samples

    def fewer(self, count: int) -> int:
        """Returns the count, or a tenth of it in a quick run."""
        return count // 10 if self.quick else count

    def record(self, what: dict) -> dict:
        self.raw.append(what)
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
        return what


class Loadable:
    """A server that `leaseq bench` can load."""

    bench: Bench
    url: str
    label: str

    def load(self, mode: str, **options) -> dict:
        timed = {"seconds": self.bench.seconds, "warmup_seconds": self.bench.warmup_seconds}
        report = generator.load(self.bench.binaries.leaseq, self.url, mode, **{**timed, **options})
        return self.bench.record({"target": self.label, **report})

    def tasks_per_second(self, mode: str, **options) -> float:
        return self.load(mode, **options)["tasks_per_second"]


class Echo(Loadable, AbstractContextManager):
    label = "echo"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.server = HttpServer([str(bench.binaries.echo)], bench.fresh_directory() / "echo.log")
        self.url, self.pid = self.server.url, self.server.pid

    def __exit__(self, *_) -> None:
        self.server.stop()


class Service(Loadable):
    """A running service on the Redis of a stand."""

    def __init__(self, bench: Bench, redis: RedisServer, level: str, env: dict[str, str] | None = None) -> None:
        self.bench, self.redis, self.level = bench, redis, level
        self.label = f"leaseq {level}" + ("".join(f" {name}={value}" for name, value in (env or {}).items()))
        command = [str(bench.binaries.leaseq), "serve", "--listen", "127.0.0.1:0", "--durability", level]
        command += ["--redis-url", f"redis+unix://{redis.socket}"]
        self.server = HttpServer(command, bench.fresh_directory() / "leaseq.log", env)
        self.url, self.pid = self.server.url, self.server.pid

    def load(self, mode: str, **options) -> dict:
        try:
            return super().load(mode, **options)
        except NotMeasured as reason:
            # Refused connections do not explain anything. The end of the service does.
            raise NotMeasured("; ".join(filter(None, [str(reason), self.server.end()]))) from reason

    def enqueue_backlog(self, queue: str, tasks: int, **options) -> None:
        """Enqueues a backlog as fast as possible, without measuring it."""
        self.load("enqueue", queue=queue, tasks=tasks, batch=250, connections=4, seconds=1800, warmup_seconds=0, **options)


class RedisStand(AbstractContextManager):
    """A Redis without a service. Scripts are called on it directly."""

    def __init__(self, bench: Bench, level: str) -> None:
        self.bench, self.level = bench, level
        with ExitStack() as started:
            self.redis = started.enter_context(RedisServer(bench.fresh_directory() / "redis", level))
            self.owned = started.pop_all()

    def bare(self, **options) -> dict:
        """Runs the plain scripts on this Redis. Their slow calls are not counted for the service."""
        self.note_slow_scripts()
        report = generator.bare(self.bench.binaries.bare, self.redis.socket, **options)
        self.redis.client.command("SLOWLOG", "RESET")
        return self.bench.record({"target": f"bare {self.level}", **report})

    def scripts(self, operation: str, **options) -> float:
        """Runs the scripts of the service on this Redis. Returns the microseconds of Redis for each task."""
        self.redis.client.reset()
        report = generator.scripts(self.bench.binaries.scripts, self.redis.socket, operation, **options)
        _, usec = self.redis.client.scripts()
        us_per_task = usec / max(report["tasks"], 1)
        seen = {"script_us": usec, "us_per_task": us_per_task, "calls": self.redis.client.calls()}
        self.bench.record({"target": "scripts", "operation": operation, "options": options, **report, **seen})
        if report["tasks"] < options["tasks"] * 0.99:
            raise NotMeasured(f"{operation}: only {report['tasks']} of {options['tasks']} tasks were found")
        return us_per_task

    def enqueue_backlog(self, queue: str, tasks: int, **options) -> None:
        """Enqueues a backlog as fast as possible, without measuring it."""
        self.scripts("enqueue", queue=queue, tasks=tasks, batch=250, seconds=1800, **options)

    def note_slow_scripts(self) -> None:
        seen = self.redis.client.slow_scripts()
        self.redis.client.command("SLOWLOG", "RESET")
        self.bench.slow_scripts = sorted([*self.bench.slow_scripts, *seen], reverse=True)[:20]

    def __exit__(self, *_) -> None:
        try:
            self.note_slow_scripts()
        except (OSError, RuntimeError):
            pass
        finally:
            self.owned.close()


class Stand(Service, RedisStand):
    """A Redis with a service on it."""

    def __init__(self, bench: Bench, level: str) -> None:
        RedisStand.__init__(self, bench, level)
        try:
            Service.__init__(self, bench, self.redis, level)
        except BaseException:
            self.owned.close()
            raise
        self.owned.callback(self.server.stop)

    def another_service(self, env: dict[str, str]) -> Service:
        """Starts a second service on the same Redis, which stops with the stand."""
        service = Service(self.bench, self.redis, self.level, env)
        self.owned.callback(service.server.stop)
        return service


class Levels(AbstractContextManager):
    """A stand at each durability level. A level that fails loses only its own numbers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.stands: dict[str, Stand] = {}
        self.missing: dict[str, str] = {}
        with ExitStack() as started:
            for level in LEVELS:
                try:
                    self.stands[level] = started.enter_context(bench.stand(level))
                except NotMeasured as reason:
                    self.missing[level] = str(reason)
            self.owned = started.pop_all()

    def get(self, level: str) -> Stand:
        if level in self.missing:
            raise NotMeasured(self.missing[level])
        return self.stands[level]

    def enqueue_backlog(self, queue: str, tasks: int) -> None:
        for level, stand in self.stands.items():
            try:
                stand.enqueue_backlog(queue, tasks)
            except NotMeasured as reason:
                self.missing[level] = f"no backlog: {reason}"

    def sampler(self, level: str, mode: str, **options) -> Callable[[], float]:
        return lambda: self.get(level).tasks_per_second(mode, **options)

    def __exit__(self, *_) -> None:
        self.owned.close()
