"""The figures of the store: each subcommand of `ironpost-bench-store`, syncs, syscalls and instructions of an append, and text
search beside Dovecot.

    .venv/bin/python benches/store/run.py               full sizes (about half an hour)
    .venv/bin/python benches/store/run.py --quick       small sizes (a few minutes); part of `make bench`

Writes a page to benches/results/ that starts with the command, the machine, the commit and all verdicts.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "target" / "release" / "ironpost-bench-store"
TITLES = {
    "append": "Durable appends beside their floor",
    "counts": "Syncs, syscalls and instructions of an append",
    "flat": "Cost by size of a mailbox and number of accounts",
    "open": "First open of a mailbox",
    "recover": "Opening after SIGKILL under load",
    "portable": "Export and import",
    "search": "Searching",
    "peers": "SEARCH TEXT beside Dovecot without FTS",
    "churn": "Days of churn",
}
FIGURE_SECONDS = 2400  # no figure takes longer
WRITERS = 50
SYNCS_MAX = 3.0  # of the pack, of LMDB's pages, of its meta page


def run(*words: str | Path) -> str:
    """What a command prints; one that fails ends the run."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=FIGURE_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()[-500:]}")
    return done.stdout


def writes(messages: int, folder: Path) -> list[str | Path]:
    """A process that only appends."""
    return [BENCH, "writes", "--messages", str(messages), "--outstanding", str(WRITERS), "--folder", folder]


def traced(messages: int, folder: Path) -> tuple[dict[str, int], str, str]:
    """Calls by name, their trace, and what the process told of itself."""
    trace = folder / "trace"
    told = run("strace", "-f", "-qq", "-y", "-o", trace, *writes(messages, folder))
    text = trace.read_text(errors="replace")
    trace.unlink()
    names = re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE)
    return dict(collections.Counter(names)), text, told


def syncs(trace: str) -> collections.Counter[str]:
    """Syncs by what is synced. LMDB writes its meta page through a descriptor that syncs each write (O_DSYNC)."""
    found: collections.Counter[str] = collections.Counter()
    meta = set(re.findall(r"^\d+ +openat\(.*/index/data\.mdb\", [^)]*O_DSYNC.*\) = (\d+)<", trace, re.MULTILINE))
    for name, descriptor, path in re.findall(
        r"^\d+ +(fdatasync|fsync|msync|sync_file_range|pwrite64)\((\d+)<([^>]*)>", trace, re.MULTILINE
    ):
        if name == "pwrite64":
            if descriptor in meta:
                found["LMDB's meta page (O_DSYNC)"] += 1
        elif path.endswith("data.mdb"):
            found["LMDB's pages"] += 1
        elif path.endswith(".pack"):
            found["pack"] += 1
        else:
            found["folders and others"] += 1
    return found


def counts(quick: bool, folder: Path) -> str:
    """Syncs by strace; syscalls and instructions as the difference between two lengths of the same run."""
    low, high = (500, 1500) if quick else (1000, 5000)
    lines = []
    if shutil.which("strace"):
        few, few_trace, few_told = traced(low, folder)
        many, many_trace, many_told = traced(high, folder)
        batches = [int(re.findall(r"commits (\d+)", told)[0]) for told in (few_told, many_told)]
        more_batches = batches[1] - batches[0]
        before, after = syncs(few_trace), syncs(many_trace)
        lines.append(
            f"{WRITERS} writers; {low} messages took {batches[0]} batches, {high} took {batches[1]}: the difference is "
            "counted, so that start and end of the process fall out.\n"
        )
        lines += ["| synced | times | a batch |", "|---|---|---|"]
        for what in sorted(after):
            times = after[what] - before[what]
            lines.append(f"| {what} | {times} | {times / more_batches:.2f} |")
        each_batch = (sum(after.values()) - sum(before.values())) / more_batches
        outcome = "met" if each_batch <= SYNCS_MAX else "MISSED"
        lines.append(
            f"\nverdict: syncs of a batch, by strace: {each_batch:.2f}, asked at most {SYNCS_MAX:.0f}: {outcome}"
        )
        lines += ["\n| syscall | a message |", "|---|---|"]
        more = {name: (many[name] - few.get(name, 0)) / (high - low) for name in many}
        ordered = sorted(more.items(), key=lambda pair: -pair[1])
        lines += [f"| {name} | {times:.3f} |" for name, times in ordered[:12] if times > 0.005]
        lines.append(f"| *all* | {sum(more.values()):.2f} |")
    else:
        lines.append("strace is not installed: syncs are those that the store counts (above).")
    if shutil.which("valgrind"):
        collected = []
        for messages in (low, high):
            done = subprocess.run(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *writes(messages, folder)],
                capture_output=True,
                text=True,
                timeout=FIGURE_SECONDS,
                check=True,
            )
            collected.append(int(re.findall(r"Collected : (\d+)", done.stderr)[0]))
        each = (collected[1] - collected[0]) / (high - low)
        lines.append(f"\nInstructions a message, all threads (callgrind, {low} and {high} messages): {each:,.0f}")
    else:
        lines.append("\nvalgrind is not installed: instructions are not counted.")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs what was asked for; 1 when a figure could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", choices=tuple(TITLES), action="append", help="only these figures")
    parser.add_argument("--alone", action="store_true", help="without Dovecot")
    parser.add_argument("--built", action="store_true", help="take the program that is there, build nothing")
    parser.add_argument("--shared", action="store_true", help="say on the page that others used the machine")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to be measured")
    arguments = parser.parse_args()
    figures: list[str] = arguments.only or [name for name in TITLES if not (arguments.alone and name == "peers")]
    if not arguments.built:
        subprocess.run(["cargo", "build", "--release", "-q", "-p", "ironpost-bench-store"], cwd=ROOT, check=True)
    parent: Path = arguments.scratch or ROOT / ".cache"
    parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    commit = run("git", "-C", ROOT, "rev-parse", "--short", "HEAD").strip()
    shared = " **Machine shared with builds**: times are upper bounds, ratios are blurred." if arguments.shared else ""
    head = (
        f"# The store's figures, {now:%Y-%m-%d %H:%M} UTC\n\n"
        f"Command: `.venv/bin/python benches/store/run.py {' '.join(sys.argv[1:])}`; commit {commit}; {os.cpu_count()} cores, "
        f"Linux {platform.release()}, Python {platform.python_version()}; load at the start {os.getloadavg()[0]:.1f}.{shared}\n"
    )
    out = ROOT / "benches" / "results" / f"{now:%Y-%m-%d-%H%M}-store.md"
    sections: list[str] = []
    failed = False
    quick = ["--quick"] if arguments.quick else []
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=parent) as name:
        folder = Path(name)

        def peers() -> str:
            messages = "10000" if arguments.quick else "100000"
            script = ROOT / "benches" / "store" / "search_peers.py"
            return run(sys.executable, script, "--messages", messages, "--scratch", parent)

        special: dict[str, Callable[[], str]] = {"counts": lambda: counts(arguments.quick, folder), "peers": peers}
        for figure in figures:
            print(f"\n## {TITLES[figure]}\n", flush=True)
            measure = special.get(figure, lambda figure=figure: run(BENCH, figure, *quick, "--folder", folder))
            try:
                text = measure()
            except (RuntimeError, subprocess.SubprocessError) as fault:
                failed = True
                text = f"verdict: {figure}: failed ({fault}), asked a figure: MISSED\n"
            print(text, flush=True)
            sections.append(f"## {TITLES[figure]}\n\n{text}")
            out.write_text(page(head, sections))
    print(f"written to {out.relative_to(ROOT)}")
    return 1 if failed else 0


def page(head: str, sections: list[str]) -> str:
    """Head, all verdicts as one table, then the figures."""
    whole = "\n".join(sections)
    verdicts = re.findall(r"^verdict: (.*?): (.*), asked (.*): (met|MISSED)$", whole, re.MULTILINE)
    table = "| figure | measured | asked | |\n|---|---|---|---|\n"
    table += "".join(f"| {name} | {measured} | {asked} | {met} |\n" for name, measured, asked, met in verdicts)
    plain = re.sub(r"\n*^verdict: .*\n", "\n", whole, flags=re.MULTILINE)
    plain = re.sub(r"\n{3,}", "\n\n", plain).strip()
    return f"{head}\n{table}\n{plain}\n"


if __name__ == "__main__":
    sys.exit(main())
