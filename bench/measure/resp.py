"""A minimal Redis client for counters: commands over a Unix socket, and the fields of INFO."""

from __future__ import annotations

import socket
from pathlib import Path


class Redis:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def command(self, *words: str):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))
        return self._reply()

    def _reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.file.read(length + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        raise RuntimeError(f"not a Redis reply: {line!r}")

    def info(self, section: str) -> dict[str, str]:
        lines = self.command("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def reset(self) -> None:
        """Resets the counters of commands and the script times."""
        self.command("CONFIG", "RESETSTAT")

    def scripts(self) -> tuple[int, float]:
        """Returns the script calls since the last reset, and the microseconds that they took."""
        return scripts_in(self.info("commandstats"))

    def calls(self) -> dict[str, int]:
        """Returns the calls by command since the last reset, including those inside scripts."""
        stats = self.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(text.split(",")[0].split("=")[1]) for name, text in stats.items()}

    def script_p99_us(self) -> float | None:
        """Returns the 99th percentile of script calls since the last reset; None before Redis 7."""
        return p99_in(self.info("latencystats"))

    def used_memory(self) -> int:
        """Returns the bytes of data with their overhead, without the buffer of the append-only file."""
        memory = self.info("memory")
        return int(memory["used_memory"]) - int(memory.get("mem_aof_buffer", 0))

    def slow_scripts(self) -> list[tuple[float, str]]:
        """Returns the script calls over a millisecond: milliseconds, and the first words of the call."""
        entries = self.command("SLOWLOG", "GET", "-1")
        return [(entry[2] / 1000, " ".join(entry[3][:4])) for entry in entries if entry[3][0].upper() in SCRIPT_COMMANDS]


def operation_in(call: str) -> str:
    """Returns the operation of a script call in the slow log: `FCALL lq_enqueue_0123456789ab ...`."""
    words = call.split()
    return words[1].split("_", 1)[1].rsplit("_", 1)[0] if words[1].startswith("lq_") else words[0].lower()


SCRIPT_COMMANDS = {"EVALSHA", "EVAL", "FCALL"}


def scripts_in(stats: dict[str, str]) -> tuple[int, float]:
    calls, usec = 0, 0.0
    for name in SCRIPT_COMMANDS:
        if text := stats.get(f"cmdstat_{name.lower()}"):
            fields = dict(part.split("=") for part in text.split(","))
            calls += int(fields["calls"])
            usec += float(fields["usec"])
    return calls, usec


def p99_in(stats: dict[str, str]) -> float | None:
    values = []
    for name in SCRIPT_COMMANDS:
        if text := stats.get(f"latency_percentiles_usec_{name.lower()}"):
            values.append(float(dict(part.split("=") for part in text.split(","))["p99"]))
    return max(values, default=None)
