"""Whole migrations out of a server that misbehaves, into a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.fake_imap_source import PASSWORD, USER, Box, FakeSource, Mail

from ironpost import _core
from ironpost.errors import UserError
from ironpost.migrate import carrier, transfer
from ironpost.migrate.folders import Choice
from ironpost.migrate.journal import Journal
from ironpost.migrate.report import Report
from ironpost.migrate.source import Login, Source
from ironpost.migrate.target import Fact, Target
from ironpost.migrate.transfer import Migration, Options
from ironpost.store.client import StoreClient

SOURCE = Source("imap", "mail.test", 143, USER, plaintext=True)
ACCOUNT = 1


def mails(count: int, start: int = 1) -> list[Mail]:
    return [
        Mail(uid, f"Subject: {uid}\r\n\r\n{'x' * (uid % 97)}\r\n".encode(), "\\Seen" if uid % 2 else "$Junk kept")
        for uid in range(start, start + count)
    ]


class Place:
    """A store, and migrations into it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = folder / "journal"
        self.monkeypatch = monkeypatch
        self.core = _core.Store.open(str(folder / "store"), sync=False)
        self.client = StoreClient(self.core)
        self.target = Target(self.client, ACCOUNT)

    async def run(self, fake: FakeSource, *, password: str = PASSWORD, **given: Any) -> Report:
        told: list[dict[str, Any]] = []
        failure: UserError | None = None
        async with trio.open_nursery() as nursery:
            fake.serve(self.monkeypatch, nursery)
            journal = Journal(self.journal, str(SOURCE)).open(write=not given.get("dry_run"))
            try:
                login = Login(password=password)
                migration = Migration(
                    SOURCE, login, self.target, journal, Options(**given), told.append, "joe@example.test"
                )
                report = await migration.run()
            except UserError as error:
                failure = error
            finally:
                journal.close()
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        assert told
        return report

    async def facts(self, name: str = "INBOX") -> list[Fact]:
        return await self.target.facts(await self.target.view(name), 0)


@asynccontextmanager
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.001)
    here = Place(tmp_path, monkeypatch)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(here.client.run, lambda _: None)
            yield here
            report = await here.client.call(here.core.check(True))
            assert report.problems == ()
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(here.core.close)


async def test_everything_comes_with_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "WINDOW_MESSAGES", 70)
    fake = FakeSource({"INBOX": Box(mails(700)), "INBOX.Sent": Box(mails(30, 1000), 78, "\\Sent")}, separator=".")
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake)
        assert report.good, report
        assert [(row.target, row.messages, row.here, row.new) for row in report.folders] == [
            ("INBOX", 700, 700, 700),
            ("Sent", 30, 30, 30),
        ]
        assert all(row.digest == row.digest_here and row.uids_kept for row in report.folders)
        facts = await here.facts()
        assert [fact.uid for fact in facts] == list(range(1, 701))
        assert facts[0].flags == ("\\Seen",)
        assert set(facts[1].flags) == {"$Junk", "kept"}
        assert facts[0].internal_date == 837_596_665
        info = await here.client.call(here.core.mailbox(ACCOUNT, "INBOX"))
        assert (info.uid_validity, info.uid_next) == (77, 701)
        # Nothing at the source was changed.
        assert not any(word in line for line in fake.commands for word in ("STORE", "SELECT ", "EXPUNGE", "BODY[]"))
        again = await here.run(fake, verify=True)
        assert again.good
        assert [(row.new, row.known, row.verified) for row in again.folders] == [(0, 700, 700), (0, 30, 30)]
        assert fake.fetched == 730, "nothing is fetched twice"


async def test_changes_at_the_source_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(mails(10))
    fake = FakeSource({"INBOX": box})
    async with place(tmp_path, monkeypatch) as here:
        await here.run(fake)
        box.mails[0].flags = "\\Answered"
        del box.mails[4]
        box.mails += mails(2, 20)
        report = await here.run(fake)
        assert report.good
        assert (report.folders[0].new, report.folders[0].flags_changed, report.folders[0].deleted) == (2, 1, 0)
        facts = {fact.uid: fact for fact in await here.facts()}
        assert facts[1].flags == ("\\Answered",)
        assert set(facts) == {*range(1, 11), 20, 21}
        report = await here.run(fake, delete_vanished=True)
        assert report.folders[0].deleted == 1
        assert 5 not in {fact.uid for fact in await here.facts()}
        # Deleted here by its owner: does not come back.
        view = await here.target.view("INBOX")
        await here.target.remove(view, [7])
        report = await here.run(fake)
        assert report.good
        assert report.folders[0].removed_here == 1
        assert 7 not in {fact.uid for fact in await here.facts()}


async def test_a_lost_journal_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twins = [Mail(uid, b"Subject: twin\r\n\r\nsame\r\n") for uid in (50, 51)]
    fake = FakeSource({"INBOX": Box(mails(20) + twins)})
    async with place(tmp_path, monkeypatch) as here:
        await here.run(fake)
        here.journal.unlink()
        report = await here.run(fake)
        assert report.good
        assert (report.folders[0].new, report.folders[0].found) == (0, 22)
        assert len(await here.facts()) == 22
        fake.boxes["INBOX"].validity = 99  # made anew at the source
        report = await here.run(fake)
        assert report.good
        assert len(await here.facts()) == 22


async def test_lost_connections_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(300)), "b": Box(mails(40))}, hang_up_after=37)
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake)
        assert report.good, report.folders
        assert [row.here for row in report.folders] == [300, 40]
        assert [fact.uid for fact in await here.facts()] == list(range(1, 301))


async def test_one_bad_message_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(30))}, refused={3}, empty={9}, poison={17})
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake)
        assert not report.good
        row = report.folders[0]
        assert (row.messages, row.here, row.missing, row.fault_count) == (30, 27, 3, 3)
        assert sorted(fault.split(":")[0] for fault in row.faults) == ["INBOX UID 17", "INBOX UID 3", "INBOX UID 9"]
        fake.refused, fake.empty, fake.poison = set(), set(), set()
        report = await here.run(fake)
        assert report.good
        assert (report.folders[0].new, report.folders[0].here) == (3, 30)


async def test_fewer_connections_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({name: Box(mails(100)) for name in ("INBOX", "a", "b", "c")}, connections_max=2)
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake, connections=4)
        assert report.good
        assert fake.most <= 2
        assert any("fewer connections" in note for note in report.notes)


async def test_messages_that_go_while_we_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "WINDOW_MESSAGES", 10)
    fake = FakeSource({"INBOX": Box(mails(40))}, expunge_at_scan=[2, 2])
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake, connections=1)
        assert report.good, report.folders
        assert report.folders[0].vanished == 2
        # Those behind the removed ones moved up, and none was passed over.
        assert [fact.uid for fact in await here.facts()] == [1, *range(4, 41)]


async def test_of_gmails_all_mail_only_what_no_folder_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, sent, work = mails(2), mails(1, 10), mails(1, 20)
    archived, hidden = mails(1, 30), mails(1, 40)
    fake = FakeSource(
        {
            "INBOX": Box(inbox),
            "[Gmail]/All Mail": Box([*inbox, *sent, *work, *archived, *hidden], 90, "\\All"),
            "[Gmail]/Sent Mail": Box(sent, 91, "\\Sent"),
            "[Gmail]/Starred": Box(inbox[:1], 92, "\\Flagged"),
            "Work": Box(work, 93),
        },
        # 40 has a label whose folder IMAP does not show.
        labels={1: "\\Inbox \\Starred", 2: '"\\\\Inbox"', 10: "\\Sent", 20: "Work \\Important", 30: "", 40: "Hidden"},
    )
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake)
        assert report.good, report.folders
        assert {row.target: row.here for row in report.folders} == {"INBOX": 2, "Archive": 2, "Sent": 1, "Work": 1}
        assert [fact.uid for fact in await here.facts("Archive")] == [30, 40]
        assert len(report.notes) == 2


async def test_numbers_that_others_still_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place(tmp_path, monkeypatch) as here:
        held = {info.name: info.uid_validity for info in await here.target.mailboxes()}
        names = sorted(held)
        for step in (1, -1):
            numbers = sorted(held.values())
            shifted = dict(zip(names, [number + step for number in numbers], strict=True))
            fake = FakeSource({name: Box([], validity) for name, validity in shifted.items()})
            report = await here.run(fake)
            assert all(row.uids_kept for row in report.folders), report.folders
            held = shifted


async def test_a_folder_with_mail_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(5))})
    async with place(tmp_path, monkeypatch) as here:
        await here.target.mailboxes()
        sink = here.target.sink(5)
        sink.write(b"Subject: own\r\n\r\n")
        await here.client.call(here.core.append(ACCOUNT, "INBOX", sink, (), None), write=True)
        report = await here.run(fake)
        row = report.folders[0]
        assert report.good
        assert (row.uids_kept, row.others, row.here) == (False, 1, 5)
        assert len(await here.facts()) == 6


async def test_a_source_without_uidvalidity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(5), validity=None)})
    async with place(tmp_path, monkeypatch) as here:
        for _ in range(2):
            report = await here.run(fake)
            assert report.good
            assert len(await here.facts()) == 5


async def test_dry_runs_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(12))})
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake, dry_run=True)
        assert (report.folders[0].new, report.dry_run) == (12, True)
        assert not here.journal.exists()
        assert await here.client.call(here.core.accounts()) == []
        assert fake.fetched == 0
        await here.run(fake)
        report = await here.run(fake, dry_run=True)
        assert (report.folders[0].new, report.folders[0].known) == (0, 12)


async def test_names_and_wrong_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSource({"INBOX": Box(mails(1)), "W&APY-rk": Box(mails(3))})
    async with place(tmp_path, monkeypatch) as here:
        report = await here.run(fake, choice=Choice(only=("Wörk",), into="Old"))
        assert [row.target for row in report.folders] == ["Old/Wörk"]
        assert len(await here.facts("Old/Wörk")) == 3
        with pytest.raises(UserError, match="refuses the login of joe: wrong") as caught:
            await here.run(fake, password="hush")
        assert "hush" not in str(caught.value)
