"""Release binaries: the service, and the yardsticks, which cargo builds first and then leaves alone."""

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


def target_directory() -> Path:
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--manifest-path", str(ROOT / "Cargo.toml")]
    return Path(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["target_directory"])


def release(manifest: Path, target: Path, binary: str) -> Path:
    print(f"building {binary}", file=sys.stderr)
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--bin", binary]
    subprocess.run([*command, "--manifest-path", str(manifest), "--target-dir", str(target)], check=True)
    return target / "release" / binary


def binaries(leaseq: Path | None) -> Binaries:
    """Builds all three; a path given for the service is taken as it is."""
    target = target_directory()
    yardsticks = target / "bench"
    echo = release(ROOT / "bench/echo/Cargo.toml", yardsticks, "echo")
    bare = release(ROOT / "bench/bare/Cargo.toml", yardsticks, "bare")
    return Binaries(leaseq or release(ROOT / "Cargo.toml", target, "leaseq"), echo, bare)
