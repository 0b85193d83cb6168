"""A sample: the JSON object that a run of `leaseq bench`, `bare` or BullMQ prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from .build import ROOT
from .rounds import NotMeasured

SAMPLE_SECONDS_MAX = 1800


def run(command: list[str]) -> dict:
    """Runs a generator. A run with errors is no sample, because it measured the error path."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SAMPLE_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{Path(command[0]).name}: {error}") from error
    try:
        report = json.loads(ended.stdout)
    except json.JSONDecodeError:
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        raise NotMeasured(f"{Path(command[0]).name} ended with {ended.returncode}: {last[:300]}") from None
    if errors := report.get("errors"):
        text, count = max(errors.items(), key=lambda item: item[1])
        raise NotMeasured(f"{count} errors: {text[:300]}")
    return report


def words(options: dict) -> list[str]:
    """Turns `{"batch": 10, "settle_in_lease": True}` into arguments. None and False are left out."""
    result = []
    for name, value in options.items():
        if value is not None and value is not False:
            result.append("--" + name.replace("_", "-"))
            if value is not True:
                result.append(str(value))
    return result


def load(leaseq: Path, url: str, mode: str, **options) -> dict:
    return run([str(leaseq), "bench", mode, "--json", "--url", url, *words(options)])


def bare(binary: Path, socket: Path, **options) -> dict:
    return run([str(binary), "--socket", str(socket), *words(options)])


def scripts(binary: Path | None, socket: Path, operation: str, **options) -> dict:
    if binary is None:
        raise NotMeasured("the script driver was not built")
    return run([str(binary), "--socket", str(socket), "--operation", operation, *words(options)])


BULLMQ = ROOT / "bench/bullmq"


def install_bullmq() -> None:
    """Installs BullMQ into `bench/bullmq/node_modules` from its lock file, unless it is there."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        raise NotMeasured("node and npm are not installed")
    if not (BULLMQ / "node_modules/bullmq").is_dir():
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        ended = subprocess.run(command, cwd=BULLMQ, capture_output=True, text=True, timeout=600)
        if ended.returncode != 0:
            # The last lines only name the log file of npm.
            lines = [line for line in ended.stderr.strip().splitlines() if "complete log" not in line]
            raise NotMeasured(f"npm ci failed: {(lines or ['?'])[-1][:200]}")


def bullmq(socket: Path, **options) -> dict:
    return run(["node", str(BULLMQ / "bench.mjs"), "--socket", str(socket), *words(options)])
