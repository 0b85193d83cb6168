#!/usr/bin/env python3
"""Runs the commands of the README and checks that its promises are true.

    tests/readme.py [URL]

Blocks after `<!-- run, answers: a, b=c -->` are run in order, in one shell, against the service at URL
instead of localhost:8080. Their JSON responses must contain the fields (with these values), and no error.
Blocks after `<!-- part of: FILE -->` must be in that file word for word. Every line that is run must also be
in openapi/examples/curl/quickstart.sh. Without a URL the script runs nothing, and checks the rest. Exits with
1 and prints each untrue promise.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "openapi" / "examples" / "curl" / "quickstart.sh"
ADDRESS = "localhost:8080"
BLOCK = re.compile(r"^<!-- (run, answers|part of): (.+?) -->\n```\w+\n(.*?)^```$", re.M | re.S)
SECONDS_MAX = 60
# Separates the outputs of two blocks; no JSON text contains it.
SEPARATOR = "\x1e"


def documents(output):
    """Returns the JSON objects in a shell's output, one after another."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := output.find("{", at)) >= 0:
        document, at = decoder.raw_decode(output, at)
        found.append(document)
    return found


def fields(value):
    """Yields every (name, value) at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from fields(inner)


def untrue_answers(promised, output):
    found = list(fields(documents(output)))
    if "code" in dict(found):
        yield f"an error came back: {output}"
    for promise in promised.split(", "):
        name, _, value = promise.partition("=")
        if not any(name == n and (not value or value == str(v)) for n, v in found):
            yield f"no `{promise}` in: {output}"


def run(blocks, address):
    """Runs the blocks in one shell. Returns their outputs and None, or None and a failure."""
    script = f"\nprintf '{SEPARATOR}'\n".join(blocks).replace(ADDRESS, address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=SECONDS_MAX
    )
    if done.returncode:
        return None, f"exit code {done.returncode} after:\n{done.stdout}\n{done.stderr}"
    return done.stdout.split(SEPARATOR), None


def untruths(address):
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    for _, name, text in (block for block in blocks if block[0] == "part of"):
        if text not in (ROOT / name).read_text():
            yield f"{name} no longer contains:\n{text}"
    runs = [(promised, text) for kind, promised, text in blocks if kind == "run, answers"]
    quickstart = QUICKSTART.read_text().replace("$url", ADDRESS).splitlines()
    for line in (line for _, text in runs for line in text.splitlines()):
        if line not in quickstart:
            yield f"{QUICKSTART.relative_to(ROOT)} has no line: {line}"
    if len(runs) < 3:
        yield "README.md shows fewer than three blocks to run"
    if address:
        outputs, failure = run([text for _, text in runs], address)
        if failure:
            yield failure
            return
        for (promised, text), output in zip(runs, outputs):
            yield from (f"{text}{untruth}" for untruth in untrue_answers(promised, output))


def main():
    address = re.sub(r"^http://|/$", "", sys.argv[1]) if len(sys.argv) > 1 else None
    found = list(untruths(address))
    print("\n\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
