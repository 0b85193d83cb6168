#!/usr/bin/env python3
"""Checks that comments and docs keep the rules of CONTRIBUTING.md that a program can check.

- No sentence starts with What, Who, Whoever, Of, Else, Yet or Likewise, unless it is a question or a
  quotation.
- No comment line is wider than 110 columns, unless it is a row of a Markdown table or has no space to break
  at.

The script reads comments that have lines of their own, Python docstrings, and the prose of Markdown files. It
leaves out headings, code, and tables of Before and After. A sentence may go over several lines. It starts at
the beginning of a paragraph, list item or table cell, and after a full stop, a question mark or an
exclamation mark; a colon starts none. Prints file, line and text of each finding, and exits with 1 if there
is any.

    tests/prose.py [--count] [FILE...]
"""
import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 110
START = re.compile(r"[(\[*_]*(What|Who|Whoever|Of|Else|Yet|Likewise)\b(?=[,*_]*\s)")
# The end of a sentence, with the quotes, brackets and emphasis that close behind it.
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?][\"'”’)\]*_]*(?=\s|$)")
# Markers of comments by the suffix of a file; longer ones first.
MARKERS = {".rs": ("//!", "///", "//"), ".mjs": ("//",), ".lua": ("--",), ".toml": ("#",), ".yaml": ("#",), ".sh": ("#",)}
ITEM = re.compile(r"\s*([-*+]|\d+\.)\s+")
# Text that is set in by this much is layout, not a continued paragraph.
INDENTED = 3


def kind_of(path, text):
    """The suffix by which a file is read; programs without one go by their first line."""
    if path.suffix in (*MARKERS, ".md", ".py"):
        return path.suffix
    if path.name == "Makefile" or re.match(r"#!.*\b(ba)?sh\b", text):
        return ".sh"
    return ".py" if re.match(r"#!.*\bpython", text) else None


# --- texts --------------------------------------------------------------------------------------------------


def marked(text, markers):
    """Runs of comment lines that follow each other with one marker: lists of (line number, text)."""
    run, last = [], None
    for number, line in enumerate(text.splitlines(), 1):
        marker = next((m for m in markers if line.lstrip().startswith(m)), None)
        if number == 1 and line.startswith("#!"):
            marker = None
        if run and marker != last:
            yield run
            run = []
        if marker:
            run.append((number, line.lstrip()[len(marker):]))
        last = marker
    if run:
        yield run


def python(text):
    """Comments that have lines of their own, and docstrings."""
    lines = text.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    numbers = [t.start[0] for t in tokens if t.type == tokenize.COMMENT and not t.line[: t.start[1]].strip()]
    own = "\n".join(line if number in set(numbers) else "" for number, line in enumerate(lines, 1))
    yield from marked(own, ("#",))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            string = node.body[0].value
            inside = lines[string.lineno - 1 : string.end_lineno]
            inside[0] = inside[0].lstrip().removeprefix("r").removeprefix('"""')
            inside[-1] = inside[-1].rstrip().removesuffix('"""')
            margin = len(lines[string.lineno - 1]) - len(lines[string.lineno - 1].lstrip())
            yield [(string.lineno + i, line[margin:] if i else line) for i, line in enumerate(inside)]


def runs(text, kind):
    """The texts of a file, each as a list of (line number, text)."""
    if kind == ".md":
        return [list(enumerate(text.splitlines(), 1))]
    return python(text) if kind == ".py" else marked(text, MARKERS[kind])


def paragraphs(run, is_markdown):
    """Paragraphs, list items and table cells of a text, each as a list of (line number, text)."""
    block, fence, table = [], None, None
    for number, line in run:
        bare = line.strip()
        mark = re.match(r"```+|~~~+", bare)
        is_row = bare.startswith("|") and not fence
        if not is_row:
            table = None
        starts = (
            not bare or mark or fence or is_row or bare.startswith("<!--") or (is_markdown and bare.startswith("#"))
            or ITEM.match(line) or (not is_markdown and len(line) - len(line.lstrip()) > INDENTED)
        )
        if starts and block:
            yield block
            block = []
        if mark:
            fence = None if fence else mark[0]
        elif fence or not bare or bare.startswith("<!--") or (is_markdown and bare.startswith("#")):
            pass
        elif is_row:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", bare.strip("|"))]
            if table == "read":
                yield from ([(number, cell)] for cell in cells if cell)
            # The first row names the columns.
            table = table or ("skipped" if {"before", "after"} <= {cell.lower() for cell in cells} else "read")
        else:
            block.append((number, ITEM.sub("", line, count=1) if ITEM.match(line) else bare))
    if block:
        yield block


def sentences(block):
    """The sentences of a paragraph, each with the number of the line that it starts on."""
    text, starts = "", []
    for number, line in block:
        starts.append((len(text), number))
        text += line.strip() + " "
    # Quoted code neither ends nor starts a sentence.
    plain = re.sub(r"`[^`]*`", lambda code: "`" + "x" * (len(code[0]) - 2) + "`", text)
    begin = 0
    for end in [match.end() for match in END.finditer(plain)] + [len(text)]:
        sentence = text[begin:end].strip()
        if sentence:
            at = begin + len(text[begin:]) - len(text[begin:].lstrip())
            yield max(number for offset, number in starts if offset <= at), sentence
        begin = end


# --- findings -----------------------------------------------------------------------------------------------


def is_bad(sentence):
    return START.match(sentence) and not re.search(r"\?[\"'”’)\]*_]*$", sentence)


def is_wide(line):
    bare = line.strip()
    body = re.sub(r"^(//[/!]?|--+|#+)\s*", "", bare)
    return len(line.rstrip()) > WIDTH and " " in body and not body.startswith("|")


def findings(name, text):
    """All findings of a file, as (line number, "bad" or "wide", text)."""
    kind = kind_of(Path(name), text)
    if kind is None:
        return []
    found, lines = [], text.splitlines()
    for run in runs(text, kind):
        for block in paragraphs(run, kind == ".md"):
            found += [(number, "bad", sentence) for number, sentence in sentences(block) if is_bad(sentence)]
        if kind != ".md":
            found += [(number, "wide", lines[number - 1]) for number, _ in run if is_wide(lines[number - 1])]
    return sorted(set(found))


def room(name):
    """The part of the tree by which `--count` adds up."""
    parts = name.split("/")
    if parts[:2] == ["src", "store"] or name == "src/store.rs":
        return f"src/store, {Path(name).suffix[1:]}"
    depth = 3 if parts[:2] == ["tests", "it"] else 2 if parts[0] == "src" else 1
    return "/".join(parts[:depth]).removesuffix(".rs") if len(parts) > 1 else "the root"


def listed():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="print the findings of each room as numbers")
    parser.add_argument("files", nargs="*", help="files to read instead of the whole tree")
    args = parser.parse_args()
    bad, wide = Counter(), Counter()
    for name in args.files or listed():
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        for number, rule, found in findings(name, text):
            (bad if rule == "bad" else wide)[room(name)] += 1
            if not args.count:
                columns = "" if rule == "bad" else f"{len(found.rstrip())} columns: "
                print(f"{name}:{number}: {columns}{' '.join(found.split())[:160]}", file=sys.stderr)
    if args.count:
        for place in sorted(bad | wide):
            print(f"{place:28} bad {bad[place]:4}  wide {wide[place]:4}")
        print(f"{'all':28} bad {bad.total():4}  wide {wide.total():4}")
        return 0
    return 1 if bad or wide else 0


if __name__ == "__main__":
    sys.exit(main())
