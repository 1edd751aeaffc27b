"""Fails when docs/rfc-matrix.tsv lies: a file or test it names is gone, or code cites an RFC that has no row.

Columns: RFC, section, status (yes, part, no, refused), our file, our test, note. Run: python scripts/check_rfc_refs.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATRIX = ROOT / "docs" / "rfc-matrix.tsv"
STATUS = {"yes", "part", "no", "refused"}
REFERENCE = re.compile(r"RFC (\d{3,5})")


def main() -> int:
    """Prints each fault; returns 1 when there are any."""
    faults = []
    listed = set()
    for number, line in enumerate(MATRIX.read_text().splitlines()[1:], 2):
        cells = line.split("\t")
        if len(cells) != 6:
            faults.append(f"rfc-matrix.tsv:{number}: {len(cells)} cells, 6 are right")
            continue
        rfc, section, status, file, test, _ = cells
        listed.add(rfc)
        if status not in STATUS:
            faults.append(f"rfc-matrix.tsv:{number}: status {status!r}")
        for name in (file, test):
            if name and not (ROOT / name.partition("::")[0]).exists():
                faults.append(f"rfc-matrix.tsv:{number}: no such file: {name}")
        if status == "yes" and not (file and test):
            faults.append(f"rfc-matrix.tsv:{number}: RFC {rfc} §{section} says yes and names no file and test")
    for folder, pattern in (("rust", "*.rs"), ("python", "*.py")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            if "target" in path.parts:
                continue
            for rfc in sorted(set(REFERENCE.findall(path.read_text())) - listed):
                faults.append(f"{path.relative_to(ROOT)}: RFC {rfc} has no row in rfc-matrix.tsv")
    print("\n".join(faults) if faults else "rfc matrix: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
