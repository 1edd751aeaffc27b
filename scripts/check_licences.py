"""Fails when a Rust crate or an installed Python package in use is not under a permissive licence, or is banned.

Run: .venv/bin/python scripts/check_licences.py
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "PSF-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "OLDAP-2.8",
}
BANNED_CRATES = {"tokio", "async-std", "hickory-resolver", "reqwest", "openssl-sys"}
# What runs in production; the development tools may be under any licence, nothing of them is shipped.
PYTHON_RUNTIME = (
    "argon2-cffi",
    "click",
    "cryptography",
    "dnspython",
    "h11",
    "idna",
    "joserfc",
    "lmdb",
    "msgpack",
    "outcome",
    "trio",
)


def allowed(expression: str) -> bool:
    """True when an SPDX expression can be met with permissive licences only."""
    expression = expression.replace("/", " OR ")
    tokens = re.findall(r"\(|\)|[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.+-]+)?", expression)
    words = [
        token if token in {"(", ")"} else token.lower() if token in {"AND", "OR"} else str(token in PERMISSIVE)
        for token in tokens
    ]
    # Only parentheses, and, or, True and False can be in there.
    return bool(eval(" ".join(words)))


def rust_faults() -> list[str]:
    """Crates of the lock file, as cargo reads them."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    listing = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)
    faults = []
    for package in listing["packages"]:
        if package["name"] in BANNED_CRATES:
            faults.append(f"crate {package['name']}: banned")
        if not package["license"] or not allowed(package["license"]):
            faults.append(f"crate {package['name']}: licence {package['license']!r}")
    return faults


def python_faults() -> list[str]:
    """The runtime packages and all that they need."""
    faults = []
    waiting = list(PYTHON_RUNTIME)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            found = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        texts = [found.get("License-Expression") or "", found.get("License") or ""]
        texts += [entry for entry in found.get_all("Classifier", []) if entry.startswith("License")]
        text = " ".join(texts)
        if re.search(r"\bA?GPL|GNU (Affero|General)", text) or not re.search(
            r"MIT|BSD|Apache|ISC|PSF|Python Software|OLDAP|OpenLDAP|MPL", text
        ):
            faults.append(f"Python package {name}: licence {text[:120]!r}")
        for requirement in metadata.requires(name) or []:
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0])
    return faults


def main() -> int:
    """Prints each fault; returns 1 when there are any."""
    faults = rust_faults() + python_faults()
    print("\n".join(faults) if faults else "licences: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
