#!/usr/bin/env python3
"""Tests of the prose check on small files: a check that finds nothing proves nothing."""
import unittest

import prose


def bad(name, text):
    return [(line, found) for line, rule, found in prose.findings(name, text) if rule == "bad"]


def wide(name, text):
    return [line for line, rule, _ in prose.findings(name, text) if rule == "wide"]


class Sentences(unittest.TestCase):
    def test_a_sentence_that_starts_with_a_forbidden_word_is_found_in_every_kind_of_file(self):
        for name, text in [
            ("a.rs", "//! What is due.\n"),
            ("a.rs", "fn f() {\n    /// Of a name.\n"),
            ("a.lua", "-- Who waits is told.\n"),
            ("a.py", "# Else it waits.\n"),
            ("a.py", '"""Yet another text."""\n'),
            ("a.py", 'def f():\n    """Returns.\n\n    Likewise here.\n    """\n'),
            ("a.toml", "# Whoever asks gets it.\n"),
            ("a.yaml", "a:\n  # What else is there.\n"),
            ("a.sh", "#!/bin/sh\n# Of two the longer.\n"),
            ("run", "#!/usr/bin/env bash\n# Of two the longer.\n"),
            ("Makefile", "# What this makes.\n"),
            ("a.md", "What LeaseQ does.\n"),
        ]:
            with self.subTest(name=name, text=text):
                self.assertEqual(len(bad(name, text)), 1)

    def test_a_sentence_that_starts_in_the_middle_of_a_line_is_found_on_that_line(self):
        self.assertEqual(bad("a.rs", "// One line.\n// It waits. Who comes\n// later waits.\n"), [(2, "Who comes later waits.")])
        for text in ["It ends. Of these none.\n", "It ends! Of these none.\n", "(It ends.) Of these none.\n", "**Why.** Of these none.\n"]:
            with self.subTest(text):
                self.assertEqual([found for _, found in bad("a.md", text)], ["Of these none."])

    def test_a_line_that_continues_a_sentence_starts_none(self):
        self.assertEqual(bad("a.rs", "// The queue called\n// What is paused.\n"), [])
        self.assertEqual(bad("a.lua", "-- It returns: What was read.\n"), [])
        self.assertEqual(bad("a.md", "A word, e.g. Of, and\nWhat follows it.\n"), [])

    def test_a_new_paragraph_item_cell_or_marker_starts_a_sentence(self):
        for name, text, line in [
            ("a.rs", "// One\n//\n// What two\n", 3),
            ("a.rs", "/// One\n// What two\n", 2),
            ("a.rs", "// One\nfn f() {}\n// What two\n", 3),
            ("a.md", "- one\n- What two\n", 2),
            ("a.md", "1. one\n   more\n2. What two\n", 3),
            ("a.md", "> text\n\n**What two** it is.\n", 3),
            ("a.rs", "//! | Name | Use |\n//! |---|---|\n//! | a | What it does |\n", 3),
            ("a.lua", "-- Keeps  I1\n--     What it keeps\n", 2),
        ]:
            with self.subTest(text):
                self.assertEqual([number for number, _ in bad(name, text)], [line])

    def test_questions_quotations_and_other_words_are_allowed(self):
        for text in [
            "What is due? The sweep knows.\n", "**Who waits?** A lease.\n", "Is it? (Of what?) Of whom?\n",
            '"What is this" is a text.\n', "“Of two” is one.\n", "Whatever it is, it waits.\n", "Often it waits.\n",
            "`What now. Of it` is code.\n", "It ends with `x. Of` and goes on.\n", "what is small\n",
        ]:
            with self.subTest(text):
                self.assertEqual(bad("a.md", text), [])

    def test_headings_code_and_tables_of_before_and_after_are_left_out(self):
        for name, text in [
            ("a.md", "# What a task goes through\n"),
            ("a.md", "```text\nWhat is due\n```\n"),
            ("a.rs", "/// Text.\n/// ```\n/// // Of it\n/// ```\n"),
            ("a.md", "| Before | After |\n|---|---|\n| What is due | Due tasks |\n"),
            ("a.md", "| What is it | How |\n|---|---|\n| a | b |\n"),
            ("a.md", "<!-- What is it -->\n"),
            ("a.rs", 'let text = "What is due";\n'),
            ("a.py", 'TEXT = """\n# Of it\n"""\n'),
            ("a.sh", "#!/bin/sh\necho What is due\n"),
            ("a.json", "# What is due\n"),
        ]:
            with self.subTest(text):
                self.assertEqual(bad(name, text), [])


class Widths(unittest.TestCase):
    def test_comment_lines_wider_than_the_limit_are_found(self):
        fits = "a " * 53 + "a"
        self.assertEqual(wide("a.rs", f"// {fits}\n//  {fits} b\n"), [2])
        self.assertEqual(wide("a.py", f'def f():\n    """{fits}"""\n    # {fits}\n'), [2, 3])

    def test_code_tables_and_texts_that_cannot_be_broken_may_be_wide(self):
        for name, text in [
            ("a.rs", "let a = " + "1 + " * 40 + "1;\n"),
            ("a.rs", "//! | " + "a " * 80 + "|\n"),
            ("a.sh", "# https://example.com/" + "a" * 100 + "\n"),
            ("a.md", "a " * 80 + "\n"),
        ]:
            with self.subTest(text):
                self.assertEqual(wide(name, text), [])


class Rooms(unittest.TestCase):
    def test_totals_are_added_up_by_room(self):
        for name, room in [
            ("src/http/queues/pause.rs", "src/http"), ("src/http.rs", "src/http"), ("src/store/lua/held.lua", "src/store, lua"),
            ("tests/it/scripts/lane.rs", "tests/it/scripts"), ("docs/api.md", "docs"), ("README.md", "the root"),
        ]:
            with self.subTest(name):
                self.assertEqual(prose.room(name), room)


if __name__ == "__main__":
    unittest.main()
