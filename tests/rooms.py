#!/usr/bin/env python3
"""Checks the imports of `src`: which file uses which, by the paths in its code.

Fails when
- files import each other in a circle. A module file that only declares, re-exports or lists its children does not
  count as importing them; a module file that uses a child in its code, while the child uses the module file, does;
- a lower room imports a higher one: domain < store < engine < http, which `app` alone connects with `cli`;
- a file outside `store` names Redis, a key or a channel.

Tests inside files (`#[cfg(test)]`) do not count. What is read is text, not a compiler's view: names that a macro
builds are not seen.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Who may use which rooms. Files that are not named are leaves: they may use domain, and each other without a circle.
MAY_USE = {
    "domain": set(),
    "store": {"domain"},
    "engine": {"domain", "store", "metrics"},
    "http": {"domain", "store", "engine", "metrics"},
    "config": {"domain", "store"},
    "metrics": {"domain"},
    "telemetry": set(),
    "bench": {"domain"},
    "binary": set(),
    "cli": {"app", "bench", "binary", "config", "domain", "http", "store", "telemetry"},
    "app": {"binary", "config", "domain", "engine", "http", "metrics", "store", "telemetry"},
}


def modules(source):
    """The files of a crate by module path: {("store", "conn"): Path}."""
    found = {}
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        if parts[-1] == "mod":
            parts = parts[:-1]
        found[() if parts in (("lib",), ("main",)) else parts] = path
    return found


def code_of(text):
    """The text without comments, strings and test modules."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    cut = re.search(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{", text)
    if cut:
        text = text[: cut.start()]
    return re.sub(r"#\[cfg\(test\)\]\s*(pub(\([^)]*\))? )?(use|mod)[^;]*;", "", text)


def split_uses(tree):
    """The paths of a use tree: `a::{b, c::d}` → ["a::b", "a::c::d"]."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [re.sub(r"\s+as\s+\w+", "", tree)]
    head, inner, depth, item, paths = tree[:brace], tree[brace + 1 : tree.rfind("}")], 0, "", []
    for char in inner + ",":
        if char == "," and depth == 0:
            if item.strip():
                paths += [head + path for path in split_uses(item)]
            item = ""
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        item += char
    return paths


def absolute(path, module):
    """A path from the root of the crate, or None for a foreign one."""
    words = [word for word in re.split(r"::", path.strip()) if word]
    if not words:
        return None
    here = list(module)
    if words[0] == "crate":
        return tuple(words[1:])
    if words[0] == "self":
        return tuple(here + words[1:])
    if words[0] == "super":
        while words and words[0] == "super":
            here, words = here[:-1], words[1:]
        return tuple(here + words)
    return None


def paths_of(code, module):
    """Paths that a file uses, and those that it only re-exports."""
    used, exported, rest = [], [], code
    for match in re.finditer(r"(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", code):
        target = exported if match[1] else used
        target += [absolute(path, module) for path in split_uses(match[2])]
        rest = rest.replace(match[0], "", 1)
    used += [absolute(path, module) for path in re.findall(r"\b(?:crate|super|self)(?:::\w+)+", rest)]
    return [path for path in used if path], [path for path in exported if path]


class Tree:
    def __init__(self, source):
        self.files = modules(source)
        self.used, self.exports = {}, {}
        for module, path in self.files.items():
            used, exported = paths_of(code_of(path.read_text()), module)
            self.used[module] = used
            self.exports[module] = {export[-1]: export for export in exported if export}

    def file_of(self, path, seen=()):
        """The file that a path leads to, through re-exports."""
        for length in range(len(path), -1, -1):
            module = path[:length]
            if module in self.files:
                name = path[length] if length < len(path) else None
                target = self.exports[module].get(name)
                if target and target not in seen and target != path:
                    return self.file_of(target, (*seen, target))
                return module
        return None

    def arrows(self):
        """The files that each file uses, without itself."""
        return {
            module: {self.file_of(path) for path in used} - {module, None} for module, used in self.used.items()
        }


def circles(arrows):
    """Sets of files that use each other in a circle (Tarjan's strongly connected components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(start):
        work = [(start, iter(sorted(arrows.get(start, ()))))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    work.append((target, iter(sorted(arrows.get(target, ())))))
                    break
                if target in stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    circle = set()
                    while node not in circle:
                        circle.add(stack.pop())
                    if len(circle) > 1:
                        found.append(circle)

    for module in sorted(arrows):
        if module not in index:
            visit(module)
    return found


def name_of(module):
    return "::".join(module) or "lib"


def problems(source):
    tree = Tree(source)
    arrows = tree.arrows()
    found = []
    for circle in circles({module: targets for module, targets in arrows.items() if module}):
        inside = sorted(f"{name_of(a)} -> {name_of(b)}" for a in circle for b in arrows[a] if b in circle)
        found.append("files import each other in a circle: " + ", ".join(inside))
    for module, targets in sorted(arrows.items()):
        if not module:
            continue
        room = module[0]
        for target in sorted(targets):
            if target and target[0] != room and target[0] not in MAY_USE.get(room, set()):
                found.append(f"{name_of(module)} imports {name_of(target)}: {room} may not use {target[0]}")
        code = code_of(tree.files[module].read_text())
        if room != "store":
            for word in re.findall(r"\b(?:deadpool_redis|redis)::\w+|\bkeys::[A-Z]\w+", code):
                found.append(f"{name_of(module)} names {word}: only store knows Redis, keys and channels")
    return found


def main():
    found = problems(ROOT / "src")
    for line in found:
        print(line)
    if found:
        return f"{len(found)} problems with imports"
    print("imports: no circles, no room uses a higher one")
    return None


if __name__ == "__main__":
    sys.exit(main())
