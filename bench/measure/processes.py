"""Private servers on private addresses. Each is stopped by its creator, by its process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .resp import Redis
from .rounds import NotMeasured

START_SECONDS_MAX = 15.0
STOP_SECONDS_MAX = 15.0
LISTENING = re.compile(rb"listening on (http://\S+)")


class Process:
    """A child process. Leaving its `with` block stops it, with SIGTERM first."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None, **pipes) -> None:
        self.name = Path(command[0]).name
        # Settings in the environment of the caller must not change the measurement.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEASEQ_")}
        try:
            self.child = subprocess.Popen(command, env={**inherited, **(env or {})}, stdin=subprocess.DEVNULL, **pipes)
        except OSError as error:
            raise NotMeasured(f"{self.name} does not start: {error}") from error
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class HttpServer(Process):
    """A server that prints `listening on http://…` on stderr. Its stderr goes to a log file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as file:
            super().__init__(command, env, stdout=subprocess.DEVNULL, stderr=file)
        try:
            self.url = self._wait_for_address()
        except BaseException:
            self.stop()
            raise

    def end(self) -> str | None:
        """Returns how the process ended, with its last line; None while it runs."""
        code = self.child.poll()
        if code is None:
            return None
        last = self.log.read_bytes().decode(errors="replace").strip().splitlines()[-1:]
        return f"{self.name} ended with {code}: {' '.join(last)[:200]}"

    def _wait_for_address(self) -> str:
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            output = self.log.read_bytes()
            if found := LISTENING.search(output):
                return found[1].decode()
            if end := self.end():
                raise NotMeasured(f"at the start {end}")
            # The steps are short, because cold starts are measured here.
            time.sleep(0.001)
        raise NotMeasured(f"{self.name} did not print its address within {START_SECONDS_MAX:.0f} s")


class RedisServer(Process):
    """A Redis on a Unix socket, with the append-only file of the level and no rewrites during samples."""

    FSYNC = {"memory": "everysec", "fsync": "always"}

    def __init__(self, directory: Path, level: str) -> None:
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        if server is None:
            raise NotMeasured("neither redis-server nor valkey-server is installed")
        directory.mkdir(parents=True)
        self.socket = directory / "redis.sock"
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self.FSYNC[level],
            "auto-aof-rewrite-percentage": "0",
            "maxmemory-policy": "noeviction",
            "hash-max-ziplist-entries": "32",
            "zset-max-ziplist-entries": "32",
            "slowlog-log-slower-than": "1000",
            "slowlog-max-len": "4096",
        }
        command = [server, *(word for name, value in options.items() for word in (f"--{name}", value))]
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.client = self._connect()
        except BaseException:
            self.stop()
            raise

    def _connect(self) -> Redis:
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                client = Redis(self.socket)
                client.command("PING")
                return client
            except OSError as error:
                if time.monotonic() > until or self.child.poll() is not None:
                    raise NotMeasured(f"Redis does not respond: {error}") from error
                time.sleep(0.01)

    def stop(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        super().stop()
