"""Out and in again: the same messages, flags, keywords, dates, UIDs and subscriptions; interrupted, merged, refused."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.portable import ADDRESS, Door, opened

from ironpost.errors import UserError
from ironpost.portable import exporting

FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Forwarded", "$Junk", "Work", "x-y")
_line = st.sampled_from(
    ["", "text", "From me", ">From you", ">>From", ".", "From a Thu Jul  1 12:34:56 2021", "é" * 50]
)
_message = st.tuples(
    st.integers(1, 50),  # distance from the UID before
    st.lists(_line, max_size=6),
    st.frozensets(st.sampled_from(FLAGS)),
    st.integers(0, 2_000_000_000),
)
_name = st.sampled_from(["INBOX", "Work", "Work/2024", "Größe/日本", "a&b", "cur", "x.mbox", "INBOX/below"])
_account = st.dictionaries(_name, st.lists(_message, max_size=5), min_size=1, max_size=4)


def fill(door: Door, account: dict[str, list[tuple[int, list[str], frozenset[str], int]]]) -> None:
    """Puts messages there as an import does."""
    for number, (name, messages) in enumerate(sorted(account.items())):
        box = door.request(
            "mail.adopt",
            address=ADDRESS,
            name=name,
            subscribed=True if number % 2 == 0 else None,
            uid_validity=1000 + number,
        )
        uid = box["uid_next"] - 1
        rows = []
        for distance, lines, flags, date in messages:
            uid += distance
            octets = "\r\n".join([f"Subject: {uid}", "", *lines, ""]).encode()
            rows.append([octets, sorted(flags), date, 0, uid, None])
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500]
            outcomes = door.request("mail.put", address=ADDRESS, mailbox=name, messages=some)
            assert [list(outcome) for outcome in outcomes] == [[row[4], ""] for row in some]


@pytest.mark.parametrize("kind", exporting.FORMATS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(account=_account)
def test_everything_comes_back(kind: str, account: dict[str, list[tuple[int, list[str], frozenset[str], int]]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with opened(folder / "one") as one, opened(folder / "two") as two:
            fill(one, account)
            out = one.write_out(folder / "out", kind)
            back = two.take_in(folder / "out", "mboxrd" if kind == "mbox" else kind)
            assert (back.left_out, back.faults) == (0, 0), two.notes
            assert back.stored == back.kept_uids == out.written
            renamed = {"cur": "_cur"} if kind == "maildir" else {"x.mbox": "x_mbox"} if kind == "maildir++" else {}
            if renamed.keys() & account.keys() or (kind == "maildir++" and "x.mbox" in account):
                return  # such names can't be written; that they are told is tested below
            assert two.everything() == one.everything()
            for name, info in one.boxes().items():
                if info["messages"]:
                    other = two.boxes()[name]
                    assert (info["uid_validity"], info["uid_next"]) == (other["uid_validity"], other["uid_next"])
    finally:
        shutil.rmtree(folder)


def some(door: Door, count: int = 5) -> None:
    fill(door, {"INBOX": [(1, [f"{number}"], frozenset({"Work"}), number) for number in range(count)]})


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_merge_goes_on_where_it_was(kind: str, tmp_path: Path, door: Door) -> None:
    some(door)
    assert door.write_out(tmp_path / "out", kind).written == 5
    with pytest.raises(UserError, match="--merge"):
        door.write_out(tmp_path / "out", kind)
    fill(door, {"INBOX": [(1, ["late"], frozenset({"Later"}), 77)]})
    report = door.write_out(tmp_path / "out", kind, merge=True)
    assert (report.known, report.written) == (5, 1)
    with opened(tmp_path / "again") as again:
        again.take_in(tmp_path / "out")
        assert again.mail() == door.mail()


@pytest.mark.parametrize("kind", ["maildir", "maildir++"])
def test_an_interrupted_export_is_taken_up(
    kind: str, tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(door)

    from ironpost.portable.maildir_writing import MaildirWriter

    real = MaildirWriter.write
    written = []

    def write(self: MaildirWriter, message: object) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(message)
        real(self, message)  # type: ignore[arg-type]

    monkeypatch.setattr(MaildirWriter, "write", write)
    with pytest.raises(KeyboardInterrupt):
        door.write_out(tmp_path / "out", kind)
    monkeypatch.undo()
    report = door.write_out(tmp_path / "out", kind, merge=True)
    assert (report.known, report.written) == (3, 2)
    with opened(tmp_path / "again") as again:
        assert again.take_in(tmp_path / "out").kept_uids == 5
        assert again.mail() == door.mail()


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_an_interrupted_import_is_taken_up(kind: str, tmp_path: Path, door: Door) -> None:
    some(door, 1100)
    door.write_out(tmp_path / "out", kind)
    with opened(tmp_path / "again") as again:
        real = again.request
        puts = []

        def request(operation: str, **arguments: object) -> object:
            if operation == "mail.put":
                if len(puts) == 2:
                    raise UserError("the server has ended meanwhile")
                puts.append(1)
            return real(operation, **arguments)

        again.request = request  # type: ignore[method-assign,assignment]
        with pytest.raises(UserError):
            again.take_in(tmp_path / "out")
        again.request = real  # type: ignore[method-assign]
        assert 0 < len(again.mail()) < 1100
        report = again.take_in(tmp_path / "out")
        assert report.known + report.stored == 1100
        assert again.mail() == door.mail()


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_long_messages_and_odd_line_ends(kind: str, tmp_path: Path, door: Door) -> None:
    long = b"Subject: long\r\n\r\n" + b"0123456789\r\n" * 400_000 + b"From x\r\n"
    (tmp_path / "m" / "cur").mkdir(parents=True)
    (tmp_path / "m" / "new").mkdir()
    (tmp_path / "m" / "cur" / "1:2,S").write_bytes(long)
    (tmp_path / "m" / "cur" / "2:2,").write_bytes(b"Subject: odd\r\n\r\nbare\nlf and \r cr\r\n")
    door.take_in(tmp_path / "m")
    before = door.mail()
    assert before[0][1] == long
    door.write_out(tmp_path / "out", kind)
    with opened(tmp_path / "again") as again:
        again.take_in(tmp_path / "out")
        after = again.mail()
    assert after[0][1] == long
    if kind != "mbox":  # an mbox has one kind of line end
        assert after[1][1] == before[1][1]


def test_names_that_do_not_fit_are_told(tmp_path: Path, door: Door) -> None:
    fill(door, {"a.b": [], "cur": [], "new/x": []})
    door.write_out(tmp_path / "plus", "maildir++", only=("a.b",))
    assert any("a_b" in note for note in door.notes)
    door.write_out(tmp_path / "plain", "maildir", only=("cur", "new/x"))
    assert sum("does not fit" in note for note in door.notes) == 2


def test_more_keywords_than_letters(tmp_path: Path, door: Door) -> None:
    fill(door, {"INBOX": [(1, [], frozenset(f"k{number}" for number in range(30)), 0)]})
    door.write_out(tmp_path / "out", "maildir++")
    assert sum("has no letter" in note for note in door.notes) == 4
    with opened(tmp_path / "again") as again:
        again.take_in(tmp_path / "out")
        assert len(again.mail()[0][2]) == 26


def test_a_mailbox_that_is_not_there(tmp_path: Path, door: Door) -> None:
    with pytest.raises(UserError, match="no mailbox 'Nowhere'"):
        door.write_out(tmp_path / "out", "mbox", only=("Nowhere",))
    with pytest.raises(UserError, match="no account"):
        door.request("mail.folders", address="nobody@example.test")


def test_a_message_goes_while_we_export(tmp_path: Path, door: Door) -> None:
    some(door)
    real = door.request

    def request(operation: str, **arguments: object) -> object:
        answer = real(operation, **arguments)
        if operation == "mail.whole":
            return [(uid, None if uid == 2 else "damaged" if uid == 3 else octets) for uid, octets in answer]
        return answer

    door.request = request  # type: ignore[method-assign,assignment]
    report = door.write_out(tmp_path / "out", "maildir++", only=("INBOX",))
    assert (report.written, report.expunged, report.left_out) == (3, 1, 1)
    door.request = real  # type: ignore[method-assign]


def test_uploads_are_bounded_and_forgotten(door: Door) -> None:
    tokens = [door.request("mail.begin", size=10) for _ in range(16)]
    with pytest.raises(UserError, match="already"):
        door.request("mail.begin", size=10)
    for token in tokens:
        door.request("mail.discard", token=token)
    with pytest.raises(UserError, match="does not know"):
        door.request("mail.piece", token=tokens[0], octets=b"x")
