"""Raw samples and where they come from: bench/results/<name>.json, and the generated block of docs/benchmarks.md."""

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


def said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def load_average() -> float:
    """Of the last minute: how much else went on."""
    return os.getloadavg()[0]


def machine(directory: Path) -> dict:
    """What a reader needs to judge the numbers."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": said("git", "describe", "--always", "--dirty"),
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "file_system": said("stat", "-f", "-c", "%T", str(directory)),
        "redis": said("redis-server", "--version"),
        "rust": said("rustc", "--version"),
        "load_average": load_average(),
    }


def save(path: Path, machine_: dict, bench: Bench, lines: list[Line], raw: dict[str, dict]) -> None:
    """Written anew after each row, so that a run that is cut keeps what it has."""
    settings = {"rounds": bench.rounds, "seconds": bench.seconds, "quick": bench.quick}
    table = [{**asdict(line), "mark": line.mark} for line in lines]
    whole = {"machine": machine_, "settings": settings, "table": table, "rows": raw}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1) + "\n")
    part.replace(path)


def write_docs(machine_: dict, bench: Bench, lines: list[Line], docs: Path = DOCS) -> None:
    before, _, rest = docs.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    gib = machine_["memory_bytes"] / 2**30
    where = (
        f"Commit {machine_['commit']}, {machine_['at'][:10]}: {machine_['cores']} cores of {machine_['cpu']}, "
        f"{gib:.0f} GiB, Linux {machine_['kernel']}, {machine_['file_system']}. {bench.rounds} rounds of {bench.seconds:g} s"
        f"; load average at the start {machine_['load_average']:.2f}."
    )
    docs.write_text(f"{before}{BEGIN}\n{where}\n\n{markdown(lines)}\n{END}{after}")
