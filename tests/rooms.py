#!/usr/bin/env python3
"""Checks the imports of `src/`: rooms in one direction, no circles of files, Redis only in `store`.

1. Rooms. `domain < store < engine < http` import downwards only. Leaves (`config`, `metrics`, `telemetry` and
   other single files) import only `domain`. `app` sees everything but `cli`. `cli` and `bench` use the public
   API like any client: they never import `engine` or `store`, and `serve` goes by `app`.
2. Circles. No files import each other in a circle. An import is a `use` or a path in code, followed through
   re-exports to the file that defines the name. These are no imports here:
   - `mod`, and a re-export of a descendant's name that the file itself does not use;
   - names of an ancestor, as `engine/lease.rs` takes them from `engine.rs`. A module file is the common
     ground of the files below it: they add methods to its types, and it calls them. A circle that leaves
     this ground counts, and so does one between siblings;
   - the body of a `macro_rules!`, which belongs to the files that expand it.
3. Redis. Outside of `src/store` no file names `redis`, `deadpool_redis` or `store::keys`.

The script leaves out items behind `#[cfg(test)]`. It does not see methods, because Rust finds them by type.
Prints each finding, and exits with 1 if there is any.

    tests/rooms.py [ROOT]
"""
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Rooms by height; the others are leaves.
HEIGHTS = {"domain": 0, "store": 2, "engine": 3, "http": 4, "app": 5, "cli": 6, "bench": 6, "main": 7}
LEAF = 1
CLIENTS = {"cli", "bench"}
HIDDEN_FROM_CLIENTS = {"engine", "store"}
REDIS = {"redis", "deadpool_redis"}

TOKEN = re.compile(r"""
    //[^\n]* | /\*.*?\*/                                        # comments
    | b?r(?P<hashes>\#*)".*?"(?P=hashes) | b?"(?:\\.|[^"\\])*"  # texts
    | b?'(?:\\.[^']*|[^'\\])'                                   # characters
    | '\w+                                                      # lifetimes
    | (?P<word>(?:r\#)?[A-Za-z_]\w*) | (?P<mark>::|[^\s\w])
""", re.X | re.S)
CFG_TEST = ["#", "[", "cfg", "(", "test", ")", "]"]


# --- one file -----------------------------------------------------------------------------------------------


def tokens(text):
    """Returns words and marks of a Rust text, without comments, texts, characters and lifetimes."""
    return [m["word"] or m["mark"] for m in TOKEN.finditer(text) if m["word"] or m["mark"]]


def is_word(token):
    return token[0].isalpha() or token[0] == "_"


def behind(code, at):
    """Returns the index behind the bracket that closes the one at `at`."""
    depth = 0
    for index in range(at, len(code)):
        depth += (code[index] in "([{") - (code[index] in ")]}")
        if depth == 0:
            return index + 1
    return len(code)


def without_tests(code):
    """Returns the code without items behind `#[cfg(test)]`, and the names of the modules among these."""
    kept, modules, at = [], [], 0
    while at < len(code):
        if code[at : at + len(CFG_TEST)] != CFG_TEST:
            kept.append(code[at])
            at += 1
            continue
        at += len(CFG_TEST)
        while code[at : at + 1] == ["#"]:
            at = behind(code, at + 1)
        start = at
        while at < len(code) and code[at] not in ";{,}":
            at = behind(code, at) if code[at] in "([" else at + 1
        if "mod" in code[start:at]:
            modules.append(code[at - 1])
        if code[at : at + 1] == ["{"]:
            at = behind(code, at)
        elif code[at : at + 1] in ([";"], [","]):
            at += 1
    return kept, modules


def use_tree(code, at, prefix):
    """Reads one tree of a `use`. Returns the index behind it, and (path, name) of each import."""
    path = list(prefix)
    while at < len(code) and code[at] not in (",", "}", ";"):
        if code[at] == "{":
            end, found, at = behind(code, at), [], at + 1
            while at < end - 1:
                at, more = use_tree(code, at, path)
                found += more
                at += code[at] == ","
            return end, found
        if code[at] == "as":
            return at + 2, [(path, code[at + 1])]
        if code[at] != "::" and not (code[at] == "self" and path):
            path.append(code[at])
        at += 1
    return at, [(path, path[-1])] if path else []


class File:
    """The imports, re-exports and paths of one file."""

    def __init__(self, text):
        code, self.test_modules = without_tests(tokens(text))
        # (path, name, whether it is a re-export)
        self.uses = []
        # (path, whether it is in the body of a macro)
        self.paths = []
        self.words = set()
        self.read(code, 0, False)

    def read(self, code, depth, in_macro):
        """`depth` is the number of modules around the code within the file."""
        at = 0
        while at < len(code):
            token, start = code[at], at
            if token == "pub" and code[at + 1 : at + 2] == ["("]:
                at = behind(code, at + 1)
            elif token == "use" and (at == 0 or code[at - 1] in ("pub", ")", ";", "}", "{", "]")):
                is_public = at > 0 and code[at - 1] in ("pub", ")")
                at, found = use_tree(code, at + 1, [])
                self.uses += [(in_file(path, depth), name, is_public) for path, name in found]
            elif token == "macro_rules" and code[at + 1 : at + 2] == ["!"]:
                at = behind(code, at + 3)
                self.read(code[start + 3 : at], depth, True)
            elif token == "mod" and code[at + 2 : at + 3] == ["{"]:
                at = behind(code, at + 2)
                self.read(code[start + 3 : at - 1], depth + 1, in_macro)
            elif is_word(token):
                path = [token]
                while code[at + 1 : at + 2] == ["::"] and at + 2 < len(code) and is_word(code[at + 2]):
                    at += 2
                    path.append(code[at])
                at += 1
                self.words.add(token)
                if len(path) > 1:
                    self.paths.append((in_file(path, depth), in_macro))
            else:
                at += 1


def in_file(path, depth):
    """Returns a path of a module within a file as the file itself would write it."""
    ups = 0
    while ups < depth and path[ups : ups + 1] == ["super"]:
        ups += 1
    return path if ups == 0 else path[ups:] if path[ups : ups + 1] == ["super"] else ["self", *path[ups:]]


# --- the tree -----------------------------------------------------------------------------------------------


class Tree:
    """The files of a crate by module, as tuples of names; `()` is the crate's root."""

    def __init__(self, texts):
        """`texts` has the text of each file by its path from `src/`."""
        self.names = {module_of(name): f"src/{name}" for name in texts}
        self.files = {module_of(name): File(text) for name, text in sorted(texts.items())}
        tests = {(*module, name) for module, file in self.files.items() for name in file.test_modules}
        self.files = {m: file for m, file in self.files.items() if not any(m[: len(test)] == test for test in tests)}
        self.exports = {m: {n: p for p, n, is_public in f.uses if is_public} for m, f in self.files.items()}

    def absolute(self, path, module):
        """Returns the path from the crate's root, or None for a name of another crate or of the file."""
        head, rest = path[0], path[1:]
        if head == "crate" or (head == "leaseq" and module == ("main",)):
            return rest
        if head == "self":
            return [*module, *rest]
        if head == "super":
            while rest[:1] == ["super"]:
                module, rest = module[:-1], rest[1:]
            return [*module[:-1], *rest]
        return [*module, *path] if (*module, head) in self.files else None

    def defined_in(self, path, depth=0):
        """Returns the module that defines a name, and whether the name is more than a module."""
        at = ()
        for index, name in enumerate(path):
            if (*at, name) in self.files:
                at = (*at, name)
                continue
            export = self.exports.get(at, {}).get(name)
            target = export and self.absolute(export, at)
            if target and depth < 8 and target != path[: index + 1]:
                return self.defined_in([*target, *path[index + 1 :]], depth + 1)
            return at, True
        return at, False

    def written(self, module):
        """Yields (path as written, absolute path or None, kind), of kind use, export, code or macro."""
        file, aliases = self.files[module], {}
        for path, name, is_public in file.uses:
            path = path[:-1] if path[-1] == "*" else path
            absolute = self.absolute(path, module)
            if absolute is not None:
                aliases[name] = absolute
            yield path, absolute, "export" if is_public and name not in file.words else "use"
        for path, in_macro in file.paths:
            alias = aliases.get(path[0])
            yield path, [*alias, *path[1:]] if alias else self.absolute(path, module), "macro" if in_macro else "code"

    def imports(self, module):
        """Returns the files that a file imports in the sense of a circle, and the names from each."""
        found = defaultdict(set)
        for path, absolute, kind in self.written(module):
            if absolute is None or kind == "macro":
                continue
            target, is_item = self.defined_in(absolute)
            # A `use` of a module only shortens paths, which are seen where they are used.
            if kind == "export" and target[: len(module)] == module or kind == "use" and not is_item:
                continue
            if target in self.files and module[: len(target)] != target:
                found[target].add(next((name for name in path if name[0].isupper()), path[-1]))
        return found


def module_of(name):
    parts = name.removesuffix(".rs").split("/")
    return () if parts == ["lib"] else tuple(parts)


def height(room):
    return HEIGHTS.get(room, LEAF)


# --- findings -----------------------------------------------------------------------------------------------


def wrong_rooms(tree):
    for module in tree.files:
        room = module[0] if module else None
        for above in sorted({path[0] for _, path, _ in tree.written(module) if path and (path[0],) in tree.files}):
            if room in (None, above) or {room, above} <= CLIENTS:
                continue
            if room in CLIENTS and above in HIDDEN_FROM_CLIENTS:
                yield f"{tree.names[module]}: `{room}` uses the public API and must not import `{above}`"
            elif height(above) >= height(room):
                yield f"{tree.names[module]}: `{room}` must not import `{above}`"


def redis_outside(tree):
    for module in tree.files:
        if module[:1] == ("store",):
            continue
        named = {path[0] for path, absolute, _ in tree.written(module) if absolute is None and path[0] in REDIS}
        if any(absolute and absolute[:2] == ["store", "keys"] for _, absolute, _ in tree.written(module)):
            named.add("store::keys")
        for name in sorted(named):
            yield f"{tree.names[module]}: only `store` may name `{name}`"


def circles(graph):
    """Returns the sets of nodes that reach each other (Tarjan's algorithm)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def import_circles(tree):
    graph = {module: tree.imports(module) for module in tree.files}
    for circle in circles(graph):
        arrows = [
            f"  {tree.names[a]} imports {', '.join(sorted(graph[a][b]))} from {tree.names[b]}"
            for a in circle for b in circle if b in graph[a]
        ]
        yield "\n".join([f"a circle of {len(circle)} files:", *arrows])


def findings(texts):
    tree = Tree(texts)
    return [*wrong_rooms(tree), *redis_outside(tree), *import_circles(tree)]


def main():
    source = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT) / "src"
    found = findings({str(path.relative_to(source)): path.read_text() for path in source.rglob("*.rs")})
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
