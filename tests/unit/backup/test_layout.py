"""The folder of a backup: which snapshot is meant, what may go, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ironpost.backup.layout import FORMAT, Backup, name_of
from ironpost.errors import UserError


def snapshot(backup: Backup, name: str, packs: list[str], *, whole: bool = True) -> Path:
    folder = backup.snapshots_folder / name
    folder.mkdir(parents=True)
    lines = []
    for pack in packs:
        file = backup.packs / f"{pack}.pack"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"octets")
        lines.append(f"{'0' * 64} 6 {pack}\n")
    (folder / "packs.list").write_text("".join(lines))
    if whole:
        (folder / "manifest.json").write_text(json.dumps({"format": FORMAT}))
    return folder


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    backup = Backup(tmp_path / "backup")
    assert backup.prepare()
    backup.packs.mkdir()
    backup.snapshots_folder.mkdir()
    (backup.folder / "backup.json").write_text(json.dumps({"format": FORMAT, "volume": "00"}))
    return backup


def packs(backup: Backup) -> set[str]:
    return {f"{file.parent.name}/{file.name}" for file in backup.packs.rglob("*") if file.is_file()}


def test_only_what_no_snapshot_names_goes(backup: Backup) -> None:
    snapshot(backup, "20260101T000000Z", ["1/1", "1/2"])
    snapshot(backup, "20260102T000000Z", ["1/2", "2/1"])
    snapshot(backup, "20260103T000000Z", ["2/1", "3/1"])
    snapshot(backup, "20260104T000000Z", ["9/9"], whole=False)
    (backup.packs / "3" / "2.tmp").write_bytes(b"interrupted")
    assert [found.name for found in backup.snapshots()] == ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"]
    assert backup.sweep() == (0, 2)
    assert packs(backup) == {"1/1.pack", "1/2.pack", "2/1.pack", "3/1.pack"}
    assert backup.sweep(keep=2) == (1, 1)
    assert packs(backup) == {"1/2.pack", "2/1.pack", "3/1.pack"}
    assert backup.sweep(keep=5) == (0, 0)
    assert backup.sweep(keep=1) == (1, 1)
    assert packs(backup) == {"2/1.pack", "3/1.pack"}
    assert [folder.name for folder in backup.snapshots_folder.iterdir()] == ["20260103T000000Z"]
    assert not (backup.packs / "1").exists()


def test_the_newest_not_after(backup: Backup) -> None:
    with pytest.raises(UserError, match="no snapshot"):
        backup.at(None)
    for day in (1, 2, 3):
        snapshot(backup, f"2026010{day}T000000Z", ["1/1"])
    assert backup.at(None).name == "20260103T000000Z"
    assert backup.at("20260102T000000Z").name == "20260102T000000Z"
    assert backup.at("2026-01-02T23:59:59Z").name == "20260102T000000Z"
    assert backup.at("2026-01-03T01:00:00+02:00").name == "20260102T000000Z"
    with pytest.raises(UserError, match="the oldest is 20260101T000000Z"):
        backup.at("2025-12-31T23:59:59Z")


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="give the name of a snapshot"):
        name_of(text)


def test_folders_that_are_refused(backup: Backup, tmp_path: Path) -> None:
    assert not backup.prepare()
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "packs").mkdir()
    with pytest.raises(UserError, match="not empty and no backup"):
        Backup(strange).prepare()
    with pytest.raises(UserError, match="no such folder"):
        Backup.existing(tmp_path / "nowhere")
    (backup.folder / "backup.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(UserError, match="does not know"):
        Backup.existing(backup.folder)


def test_one_at_a_time(backup: Backup) -> None:
    with backup.locked(), pytest.raises(UserError, match="under way"), backup.locked():
        pass


def test_the_first_backup_may_be_interrupted(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "backup")
    assert backup.prepare()
    with backup.locked():
        backup.packs.mkdir()
        backup.snapshots_folder.mkdir()
    assert backup.prepare(), "it is still new, and not refused"
