#!/usr/bin/env python3
"""Tests of the mutants runner on a crate of a few lines: a proof that cannot fail proves nothing."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUNNER = Path(__file__).with_name("mutants.py")

LIBRARY = """\
pub const WORD: &str = include_str!("word.txt");

pub fn double(n: i32) -> i32 {
    n * 2
}

#[cfg(test)]
mod tests {
    #[test]
    fn doubling_two_is_four() {
        assert_eq!(super::double(2), 4);
    }

    #[test]
    #[ignore]
    fn is_never_run() {}

    #[test]
    fn fails_anyway() {
        panic!();
    }
}
"""
INTEGRATION = """\
#[test]
fn the_word_is_kept() {
    assert_eq!(small::WORD.trim(), "kept");
}
"""
DOUBLED = "lib::tests::doubling_two_is_four"
WORD_KEPT = "it::the_word_is_kept"


def row(file, find, replace, test):
    return f"[[mutant]]\ninvariant = 'I1'\nfile = '{file}'\nfind = '{find}'\nreplace = '{replace}'\ntest = '{test}'\n"


KILLED = row("src/lib.rs", "n * 2", "n * 3", DOUBLED)
KILLED_IN_TEXT = row("src/word.txt", "kept", "lost", WORD_KEPT)
SURVIVES = row("src/lib.rs", "n * 2", "n + 2", DOUBLED)


class MutantsRunner(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = Path(cls.folder.name) / "crate"
        cls.target = str(Path(cls.folder.name) / "target")
        files = {
            "Cargo.toml": '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/lib.rs": LIBRARY,
            "src/word.txt": "kept\n",
            "tests/it.rs": INTEGRATION,
        }
        for name, text in files.items():
            (cls.root / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.root / name).write_text(text)
        subprocess.run(["git", "init", "--quiet"], cwd=cls.root, check=True)

    def mutants(self, *rows, args=()):
        (self.root / "tests" / "mutants.toml").write_text("".join(rows))
        done = subprocess.run(
            [sys.executable, RUNNER, "--root", self.root, *args],
            env=os.environ | {"CARGO_TARGET_DIR": self.target}, capture_output=True, text=True, timeout=300,
        )
        return done.returncode, done.stdout + done.stderr

    def test_mutants_that_a_test_notices_are_killed_and_the_tree_stays_as_it_was(self):
        code, output = self.mutants(KILLED, KILLED_IN_TEXT)
        self.assertEqual(code, 0, output)
        self.assertIn("killed 2/2", output)
        self.assertEqual((self.root / "src/lib.rs").read_text(), LIBRARY)
        self.assertEqual((self.root / "src/word.txt").read_text(), "kept\n")

    def test_the_tree_s_own_build_is_left_alone(self):
        def build():
            done = subprocess.run(
                ["cargo", "test", "--no-run"], cwd=self.root, env=os.environ | {"CARGO_TARGET_DIR": self.target},
                capture_output=True, text=True, timeout=300,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stderr

        build()
        self.assertNotIn("Compiling", build())
        self.mutants(KILLED, KILLED_IN_TEXT)
        self.assertNotIn("Compiling", build())

    def test_a_mutant_that_no_test_notices_fails_the_run(self):
        code, output = self.mutants(KILLED, SURVIVES, KILLED_IN_TEXT)
        self.assertEqual(code, 1, output)
        self.assertIn("SURVIVED", output)
        self.assertIn("killed 2/3", output)

    def test_a_mutant_that_does_not_build_is_not_killed(self):
        code, output = self.mutants(row("src/lib.rs", "n * 2", "n * two", DOUBLED))
        self.assertEqual(code, 1, output)
        self.assertIn("does not build", output)
        self.assertIn("killed 0/1", output)

    def test_a_row_that_no_longer_fits_fails_the_run_before_anything_is_built(self):
        for stale, why in [
            (row("src/lib.rs", "n * 4", "n", DOUBLED), "0 times"),
            (row("src/lib.rs", "n", "m", DOUBLED), "times, not once"),
            (row("src/gone.rs", "n", "m", DOUBLED), "cannot be read"),
            (row("src/lib.rs", "n * 2", "n * 2", DOUBLED), "changes nothing"),
            (row("src/lib.rs", "n * 2", "n", "lib::tests::no_such"), "no such test"),
            (row("src/lib.rs", "n * 2", "n", "doubling"), "must be target::path::name"),
            (KILLED + KILLED, "is there twice"),
            ("[[mutant]]\ninvariant = 'I1'\n", "each row has the texts"),
            ("", "no rows"),
        ]:
            with self.subTest(why):
                code, output = self.mutants(stale, args=["--check"])
                self.assertEqual(code, 1, output)
                self.assertIn(why, output)

    def test_a_test_that_does_not_pass_without_the_mutant_fails_the_run(self):
        for test, why in [("lib::tests::fails_anyway", "failed"), ("lib::tests::is_never_run", "not run")]:
            with self.subTest(test):
                code, output = self.mutants(row("src/lib.rs", "n * 2", "n * 3", test))
                self.assertEqual(code, 1, output)
                self.assertIn(f"{test}: {why} without any mutant", output)

    def test_rows_are_chosen_by_invariant_and_by_part(self):
        for args, count in [(["--only", "I1"], 2), (["--only", "word"], 1), (["--part", "2/2"], 1), (["--rotate", "1"], 1)]:
            with self.subTest(args):
                code, output = self.mutants(KILLED, KILLED_IN_TEXT, args=[*args, "--list"])
                self.assertEqual((code, len(output.splitlines())), (0, count), output)
        self.assertEqual(self.mutants(KILLED, args=["--only", "I9"])[0], 1)


if __name__ == "__main__":
    unittest.main()
