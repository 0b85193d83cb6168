"""Release binaries: the service and the yardsticks. The yardsticks are built once and then reused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Binaries:
    leaseq: Path
    echo: Path
    bare: Path
    # Calls the scripts of the service directly; None if it could not be built.
    scripts: Path | None


def target_directory() -> Path:
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--manifest-path", str(ROOT / "Cargo.toml")]
    return Path(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["target_directory"])


def built(what: str, *command: str) -> Path:
    """Runs cargo. Returns the path of the executable that it built or found up to date."""
    print(f"building {what}", file=sys.stderr, flush=True)
    cargo = ["cargo", *command, "--quiet", "--locked", "--message-format", "json-render-diagnostics"]
    ended = subprocess.run(cargo, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    made = [json.loads(line).get("executable") for line in ended.stdout.splitlines() if line.startswith(b"{")]
    return Path(next(path for path in reversed(made) if path))


def yardstick(name: str, target: Path) -> Path:
    manifest = str(ROOT / "bench" / name / "Cargo.toml")
    return built(name, "build", "--release", "--manifest-path", manifest, "--target-dir", str(target))


def binaries(leaseq: Path | None, scripts: Path | None) -> Binaries:
    """Builds all binaries, except those whose path is given."""
    yardsticks = target_directory() / "bench"
    echo, bare = yardstick("echo", yardsticks), yardstick("bare", yardsticks)
    leaseq = leaseq or built("leaseq", "build", "--release", "--bin", "leaseq", "--features", "bench")
    try:
        scripts = scripts or built("scripts", "bench", "--no-run", "--bench", "scripts")
    except subprocess.CalledProcessError:
        print("the script driver could not be built: rows about script times will be missing", file=sys.stderr)
    return Binaries(leaseq, echo, bare, scripts)
