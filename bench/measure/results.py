"""Raw samples with their machine in bench/results/<name>.json, and the tables in the docs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from .build import ROOT
from .stand import Bench
from .table import Line, markdown

DOCS = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
README = ROOT / "README.md"
README_BEGIN, README_END = "<!-- numbers: written from the results of `make bench` -->", "<!-- numbers end -->"
# Row and line of the numbers in the README, with their text there.
HEADLINES = (
    ("enqueue", "  fsync, short", "enqueued, one task a request over 64 connections, each on disk before its answer"),
    ("enqueue", "  memory, short", "the same at level `memory`"),
    ("batch", "  100: fsync, short", "enqueued, leased and acked, 100 tasks a request, each step on disk before its answer"),
    ("batch", "  100: memory, short", "the same at level `memory`"),
    ("group-commit", "enqueue with group commit / without, 256 connections: fsync", "what requests that share a sync gain over those that do not"),
    ("latency", "enqueue to delivery at 200/s, p50: memory", "from enqueue to the waiting worker, median at 200 tasks a second"),
    ("latency", "enqueue to delivery at 200/s, p99: memory", "the same, 99th percentile"),
    ("waiters", "  memory per waiter: leaseq", "memory of a waiting lease call, its connection included"),
    ("memory", "bytes per ready task - payload, 1 M tasks", "memory of Redis for a waiting task, beyond its payload"),
    ("start", "cold start to the first enqueue answered, embedded Redis", "from the start to the first answer, Redis included"),
)


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def load_average() -> float:
    """Returns the load average of the last minute, which shows what else ran."""
    return os.getloadavg()[0]


def machine(directory: Path) -> dict:
    """Returns what a reader must know about the machine to judge the numbers."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": output_of("git", "describe", "--always", "--dirty"),
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "file_system": output_of("stat", "-f", "-c", "%T", str(directory)),
        "redis": output_of("redis-server", "--version"),
        "rust": output_of("rustc", "--version"),
        "load_average": load_average(),
    }


def save(path: Path, machine_: dict, bench: Bench, lines: list[Line], raw: dict[str, dict]) -> None:
    """Writes the results so far. Called after each row, so that an interrupted run keeps them."""
    settings = {"rounds": bench.rounds, "seconds": bench.seconds, "quick": bench.quick}
    table = [{**asdict(line), "mark": line.mark} for line in lines]
    whole = {"machine": machine_, "settings": settings, "table": table, "rows": raw}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1) + "\n")
    part.replace(path)


def write_docs(machine_: dict, bench: Bench, lines: list[Line], docs: Path = DOCS) -> None:
    gib = machine_["memory_bytes"] / 2**30
    where = (
        f"Commit {machine_['commit']}, {machine_['at'][:10]}: {machine_['cores']} cores of {machine_['cpu']}, "
        f"{gib:.0f} GiB, Linux {machine_['kernel']}, {machine_['file_system']}. {bench.rounds} rounds of {bench.seconds:g} s"
        f"; load average at the start {machine_['load_average']:.2f}."
    )
    write_between(docs, BEGIN, END, f"{where}\n\n{markdown(lines)}\n")


def write_readme(machine_: dict, lines: list[Line], readme: Path = README) -> None:
    found = {(line.row, line.what): line.measured for line in lines if line.number is not None}
    rows = "\n".join(f"| {found[row, what]} | {words} |" for row, what, words in HEADLINES if (row, what) in found)
    where = f"On {machine_['cores']} cores of {machine_['cpu']}, which service, Redis and load generator share ({machine_['at'][:10]}):"
    write_between(readme, README_BEGIN, README_END, f"{where}\n\n| | |\n|---|---|\n{rows}\n\n")


def write_between(path: Path, begin: str, end: str, block: str) -> None:
    """Replaces the text between two marks."""
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{block}{end}{after}")
