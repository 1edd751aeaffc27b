"""Fails when an import points upwards (ARCHITECTURE.md, "Layers"), or a file has grown past any single idea.

Run: python scripts/check_layers.py
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "ironpost"

# Layer of each module or package directly below `ironpost`; an import may point to the same name or to a lower layer.
LAYERS = {
    "_core": 0,
    "ids": 1,
    "errors": 1,
    "config": 1,
    "runtime": 2,
    "state": 2,
    "store": 3,
    "dns": 3,
    "identity": 3,
    "mda": 3,
    "quota": 3,
    "backup": 3,
    "context": 3,
    "smtp": 4,
    "relay": 4,
    "imap": 4,
    "pop3": 4,
    "portable": 4,
    "migrate": 4,
    "supervisor": 5,
    "worker": 5,
    "cli": 5,
    "testing": 5,
    "__main__": 5,
}
# Services meet through typed parameters; these are the arrows allowed inside layers.
SAME_LAYER = {
    ("config", "errors"),
    ("config", "ids"),
    ("errors", "ids"),
    ("state", "runtime"),
    ("mda", "store"),
    ("quota", "store"),
    ("mda", "identity"),
    ("context", "store"),
    ("context", "identity"),
    ("context", "dns"),
    ("context", "quota"),
    ("cli", "supervisor"),
    ("cli", "worker"),
    ("worker", "supervisor"),
    ("__main__", "cli"),
}
FORBIDDEN = {("supervisor", "store"): "the supervisor never opens the store (lmdb: no use across processes it spawns)"}
ONLY_IMPORTER = {"lmdb": "state"}

# What the pure crates may not name: no files, sockets, threads or clocks (ARCHITECTURE.md, R1).
IMPURE = re.compile(r"\bstd::(fs|thread|process|os|net::(Tcp|Udp|ToSocket))|\bSystemTime\b|\bInstant\b|\bunsafe\b")

RUST_LINES_MAX = 1000
PYTHON_LINES_MAX = 600


def imports(tree: ast.AST, package: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Absolute dotted names imported at run time; what only a type checker sees does not count."""
    found: set[tuple[str, ...]] = set()
    typing_only: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only.update(id(inner) for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            if module == ["ironpost"]:
                found.update(("ironpost", alias.name) for alias in node.names)
            else:
                found.add(tuple(module))
    return found


def main() -> int:
    """Prints each fault; returns 1 when there are any."""
    faults = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("ironpost", *path.relative_to(PACKAGE).with_suffix("").parts)
        package = parts if path.name == "__init__.py" and parts.__len__() == 1 else parts[:-1]
        own = parts[1]
        if own == "__init__":
            continue
        text = path.read_text()
        where = path.relative_to(ROOT)
        if text.count("\n") > PYTHON_LINES_MAX:
            faults.append(f"{where}: more than {PYTHON_LINES_MAX} lines; look for the seam")
        for name in imports(ast.parse(text), package):
            if name[0] in ONLY_IMPORTER and own != ONLY_IMPORTER[name[0]]:
                faults.append(f"{where}: only ironpost.{ONLY_IMPORTER[name[0]]} imports {name[0]}")
            if name[0] != "ironpost" or len(name) < 2 or name[1] == own or name[1].startswith("__version"):
                continue
            other = name[1]
            if own not in LAYERS or other not in LAYERS:
                faults.append(f"{where}: ironpost.{own if own not in LAYERS else other} has no layer")
            elif (own, other) in FORBIDDEN:
                faults.append(f"{where}: imports ironpost.{other}: {FORBIDDEN[own, other]}")
            elif LAYERS[other] >= LAYERS[own] and (own, other) not in SAME_LAYER:
                faults.append(f"{where}: imports ironpost.{other}, which is not below ironpost.{own}")
    for folder in (ROOT / "rust", ROOT / "benches"):
        for path in sorted(folder.rglob("*.rs")):
            if "target" not in path.parts and path.read_text().count("\n") > RUST_LINES_MAX:
                faults.append(f"{path.relative_to(ROOT)}: more than {RUST_LINES_MAX} lines; look for the seam")
    for crate in ("proto", "mime"):
        if "forbid(unsafe_code)" not in (ROOT / "rust" / crate / "src" / "lib.rs").read_text():
            faults.append(f"rust/{crate}: must forbid unsafe code")
        for path in sorted((ROOT / "rust" / crate / "src").rglob("*.rs")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                code = line.partition("//")[0]
                if (found := IMPURE.search(code)) and "forbid(unsafe_code)" not in code:
                    faults.append(f"{path.relative_to(ROOT)}:{number}: {found.group(0)} has no place in a pure crate")
    print("\n".join(faults) if faults else "layers: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
