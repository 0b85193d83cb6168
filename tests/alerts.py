#!/usr/bin/env python3
"""Checks that each metric in the Prometheus rules exists, and that each runbook leads to a heading."""
import re
import sys
from pathlib import Path

from links import anchors

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"


def main():
    rules = RULES.read_text()
    files = [ROOT / "src" / "metrics.rs", *(ROOT / "src" / "metrics").glob("*.rs")]
    code = "".join(file.read_text() for file in files)
    known = set(re.findall(r'"(leaseq_\w+)"', code))
    # A name with a colon before or after it comes from a recording rule.
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"(?<![\w:])leaseq_\w+(?![\w:])", rules)}
    problems = [f"{RULES.name}: no metric {name}" for name in sorted(named - known)]
    for page, part in re.findall(r'runbook: "(.+?)#(.+?)"', rules):
        if part not in anchors((ROOT / page).read_text()):
            problems.append(f"{RULES.name}: {page} has no heading for #{part}")
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems or not named else 0


if __name__ == "__main__":
    sys.exit(main())
