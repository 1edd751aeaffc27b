"""Verifying a snapshot: every file and pack against its digest, then the store's full check over it."""

from __future__ import annotations

import tempfile

from .layout import Backup, Follow, Snapshot


def verify(backup: Backup, snapshot: Snapshot, follow: Follow) -> tuple[list[str], dict[str, int]]:
    """What is wrong with it, and what it holds. Nothing in the backup is changed."""
    from .. import _core

    problems: list[str] = []
    for name, facts in snapshot.manifest["files"].items():
        file = snapshot.folder / name
        try:
            _, (digest,) = follow(_core.StoreTask.digest(str(file)), "", "")
        except _core.StoreError as error:
            problems.append(f"{name}: {error}")
            continue
        if digest != facts["blake3"]:
            problems.append(f"{name}: its contents do not fit their digest")
    if any(problem.startswith(("packs.list:", "index/")) for problem in problems):
        return problems, {}  # nothing that follows could be believed
    task = _core.StoreTask.verify_packs(str(snapshot.packs_list), str(backup.packs))
    follow(task, f"verify {snapshot.name}", "octets")
    wrong = task.problems
    with tempfile.TemporaryDirectory(prefix="ironpost-verify-") as scratch:
        task = _core.StoreTask.check_snapshot(
            str(snapshot.folder / "index"), str(snapshot.packs_list), str(backup.packs), scratch, True
        )
        counts, found = follow(task, "", "")
    problems += found
    counts["packs_wrong"] = wrong
    return problems, counts
