#!/usr/bin/env python3
"""Proves that the tests bite: breaks one line of the code at a time and expects the named test to fail.

The rows are in tests/mutants.toml, whose head explains them. The script applies each row to a copy of the
tree under the target directory; it never touches the working tree. Prints a line per mutant and `killed n/n`,
and exits with 1 unless every mutant was killed.
"""
import argparse
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROW_FIELDS = ("invariant", "file", "find", "replace", "test")
TEST_PATTERN = re.compile(r"[a-z0-9_]+(::[A-Za-z0-9_]+)+")
BUILD_SECONDS_MAX = 1200
# A test on a mutant counts as hanging after five times its usual time, but not before this many seconds.
TEST_SECONDS_MIN = 60


class Stop(Exception):
    """A reason to end the run, as text for people."""


@dataclass(frozen=True)
class Mutant:
    invariant: str
    file: str
    find: str
    replace: str
    test: str

    @property
    def target(self):
        return self.test.split("::", 1)[0]

    @property
    def test_name(self):
        return self.test.split("::", 1)[1]

    def __str__(self):
        return f"{self.invariant:5} {self.file}  {self.test}"


# --- the rows -----------------------------------------------------------------------------------------------


def load(root):
    """Returns the rows of tests/mutants.toml; `Stop` names all their mistakes at once."""
    path = root / "tests" / "mutants.toml"
    try:
        rows = tomllib.loads(path.read_text()).get("mutant", [])
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise Stop(f"{path}: {e}")
    mutants, problems = [], []
    for number, row in enumerate(rows, 1):
        wrong = set(row) ^ set(ROW_FIELDS) or {k for k in row if not isinstance(row[k], str)}
        if wrong:
            problems.append(f"row {number}: each row has the texts {', '.join(ROW_FIELDS)}; see {', '.join(sorted(wrong))}")
            continue
        mutant = Mutant(**row)
        problems += [f"row {number} ({mutant}): {p}" for p in problems_of(root, mutant)]
        if mutant in mutants:
            problems.append(f"row {number} ({mutant}): is there twice")
        mutants.append(mutant)
    if problems:
        raise Stop("tests/mutants.toml no longer fits the code:\n  " + "\n  ".join(problems))
    if not mutants:
        raise Stop("tests/mutants.toml has no rows")
    return mutants


def problems_of(root, mutant):
    if not TEST_PATTERN.fullmatch(mutant.test):
        yield "`test` must be target::path::name, such as it::leases::a_promise"
    elif not is_defined(root, mutant):
        yield "no such test"
    if "\n" in mutant.find or not mutant.find.strip():
        yield "`find` must be part of one line"
        return
    if mutant.find == mutant.replace:
        yield "`replace` changes nothing"
    try:
        count = (root / mutant.file).read_text().count(mutant.find)
    except OSError as e:
        yield f"cannot be read: {e.strerror}"
        return
    if count != 1:
        yield f"`find` is there {count} times, not once: {mutant.find.strip()}"


def is_defined(root, mutant):
    """Returns whether the target has a function of that name. Running it shows whether it is a test."""
    home = root / "src" if mutant.target == "lib" else root / "tests"
    function = re.compile(rf"\bfn {re.escape(mutant.test_name.rsplit('::', 1)[-1])}\b")
    return any(function.search(path.read_text()) for path in home.rglob("*.rs"))


def chosen(mutants, args):
    if args.only:
        mutants = [m for m in mutants if args.only == m.invariant or args.only in m.file or args.only in m.test]
    if args.part:
        k, n = args.part
        mutants = mutants[k - 1 :: n]
    if args.rotate:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=args.root, capture_output=True, text=True).stdout
        first = int(hashlib.sha256(head.encode()).hexdigest(), 16) % len(mutants)
        mutants = (mutants[first:] + mutants[:first])[: args.rotate]
    if not mutants:
        raise Stop("no row matches")
    return mutants


# --- the copy -----------------------------------------------------------------------------------------------


class Copy:
    """A copy of the tree as git sees it (committed or not, without ignored files), and its builds.

    It shares compiled dependencies with the normal builds (cargo's build directory), but must not share the
    crate. Programs go to a folder of their own; otherwise a mutant would replace the user's
    target/debug/leaseq. The crate has a profile of its own, because cargo tells builds apart by package and
    profile, not by the package's path, and otherwise compares the files' times. It would mistake a mutant for
    a fresh build of the tree itself.
    """

    def __init__(self, root):
        self.root = root
        metadata = subprocess.run(
            ["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=root, capture_output=True, text=True
        )
        if metadata.returncode:
            raise Stop(metadata.stderr)
        metadata = json.loads(metadata.stdout)
        target, package = Path(metadata["target_directory"]), metadata["packages"][0]["name"]
        # No debug information: linking is faster, and nobody reads a mutant's backtrace.
        self.profile = [
            f"--config=profile.dev.package.{package}.{setting}" for setting in ("codegen-units=255", "debug=false")
        ]
        self.path = target / "mutants" / "tree"
        self.path.mkdir(parents=True, exist_ok=True)
        # This process keeps the lock until it ends.
        self.lock = (target / "mutants" / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"another run is at work in {self.path.parent}")
        self.environment = os.environ | {
            "CARGO_BUILD_BUILD_DIR": str(target),
            "CARGO_TARGET_DIR": str(target / "mutants" / "out"),
            "CARGO_MANIFEST_DIR": str(self.path),
            "CARGO_INCREMENTAL": "1",
        }

    def sync(self):
        """Makes the copy equal to the tree. Writes only files that differ: cargo compares their times."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root, capture_output=True, text=True, check=True,
        ).stdout.split("\0")
        wanted = {name for name in listed if name and (self.root / name).is_file()}
        for name in wanted:
            source, copy = self.root / name, self.path / name
            content = source.read_bytes()
            if not copy.is_file() or copy.read_bytes() != content:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
                copy.chmod(source.stat().st_mode)
        for path in self.path.rglob("*"):
            if path.is_file() and str(path.relative_to(self.path)) not in wanted:
                path.unlink()

    def apply(self, mutant):
        path = self.path / mutant.file
        path.write_text(path.read_text().replace(mutant.find, mutant.replace))

    def build(self, targets):
        """Builds test targets. Returns their programs by name, or None if the code does not compile."""
        selection = [arg for t in sorted(targets) for arg in (["--lib"] if t == "lib" else ["--test", t])]
        command = ["cargo", "test", "--no-run", "--message-format=json-render-diagnostics", *self.profile, *selection]
        code, output, errors = run(command, self.path, self.environment, BUILD_SECONDS_MAX, subprocess.PIPE)
        if code != 0:
            self.last_output = errors
            return None
        programs = {}
        for line in output.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("executable") and message["profile"]["test"]:
                kind = "lib" if "lib" in message["target"]["kind"] else message["target"]["name"]
                programs[kind] = message["executable"]
        return programs

    def test(self, program, name, seconds_max):
        """Runs one test. Returns `passed`, `failed`, `timed out`, or `not run` (missing or ignored)."""
        command = [program, "--exact", name, "--test-threads=1"]
        code, output, _ = run(command, self.path, self.environment, seconds_max, subprocess.STDOUT)
        self.last_output = output
        if code is None:
            return "timed out"
        counts = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", output)
        if counts and counts.groups() == ("0", "0"):
            return "not run"
        return "passed" if code == 0 else "failed"


def run(command, folder, environment, seconds_max, stderr):
    """Returns exit code (None if time ran out), output and errors. Ends all processes of its group."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        text=True, errors="replace", start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds_max)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        return None, "", "time ran out"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


# --- the work -----------------------------------------------------------------------------------------------


def check_unbroken(copy, mutants):
    """Checks that every named test passes on the unchanged code. Returns the seconds that each took."""
    print(f"building the tests of {len(mutants)} mutants", flush=True)
    copy.sync()
    programs = copy.build({m.target for m in mutants})
    if programs is None:
        raise Stop("the code does not build as it is:\n" + copy.last_output)
    seconds, problems = {}, []
    for test in sorted({m.test for m in mutants}):
        target, name = test.split("::", 1)
        if target not in programs:
            raise Stop(f"no test target `{target}`")
        started = time.monotonic()
        outcome = copy.test(programs[target], name, BUILD_SECONDS_MAX)
        seconds[test] = time.monotonic() - started
        if outcome != "passed":
            problems.append(f"{test}: {outcome} without any mutant\n{copy.last_output}")
    if problems:
        raise Stop("\n".join(problems))
    return seconds


def outcome_of(copy, mutant, unbroken_seconds):
    copy.sync()
    copy.apply(mutant)
    programs = copy.build({mutant.target})
    if programs is None:
        return "does not build"
    seconds_max = max(TEST_SECONDS_MIN, 5 * unbroken_seconds)
    outcome = copy.test(programs[mutant.target], mutant.test_name, seconds_max)
    return {"passed": "SURVIVED", "failed": "killed", "timed out": "killed"}.get(outcome, outcome)


def try_all(root, mutants):
    copy = Copy(root)
    unbroken = check_unbroken(copy, mutants)
    killed = 0
    for mutant in mutants:
        started = time.monotonic()
        outcome = outcome_of(copy, mutant, unbroken[mutant.test])
        killed += outcome == "killed"
        print(f"{outcome:14} {mutant}  ({time.monotonic() - started:.1f} s)", flush=True)
        if outcome == "does not build":
            print(copy.last_output)
    copy.sync()
    print(f"killed {killed}/{len(mutants)}")
    return killed == len(mutants)


def part(text):
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not match or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError("must be K/N with K from 1 to N")
    return int(match[1]), int(match[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="TEXT", help="rows of this invariant, or with TEXT in file or test")
    parser.add_argument("--part", type=part, metavar="K/N", help="the K-th of N parts")
    parser.add_argument("--rotate", type=int, metavar="COUNT", help="COUNT rows, chosen by the commit")
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--check", action="store_true", help="see whether every row still fits the code, and stop")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        mutants = chosen(load(args.root), args)
        if args.list:
            print("\n".join(map(str, mutants)))
        elif args.check:
            print(f"{len(mutants)} mutants fit the code")
        elif not try_all(args.root, mutants):
            return 1
    except Stop as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
