"""`ironpost quota` and `ironpost mailbox` without a server: what they print, and how they answer mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ironpost import _core
from ironpost.cli.root import run


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def good(self, *arguments: str) -> str:
        code, out, err = self(*arguments)
        assert code == 0, err
        return out

    def mistake(self, *arguments: str, code: int = 1) -> str:
        found, _, err = self(*arguments)
        assert found == code
        assert err.startswith("ironpost: ")
        assert len(err.splitlines()) == 1
        return err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    folder = tmp_path / "data"
    shell = Shell(capsys)
    shell.good("init", str(folder), "--domain", "example.test", "--port-base", "20000")
    with (folder / "ironpost.toml").open("a") as file:
        file.write('[identity]\nargon2_memory = "64 KiB"\nargon2_time = 1\n[quota]\naccount_messages = 50\n')
    monkeypatch.setenv("IRONPOST_DIR", str(folder))
    rows = tmp_path / "accounts.csv"
    rows.write_text("alice@example.test,secret 123\nbob@example.test,secret 123\n")
    shell.good("account", "import", str(rows))
    return shell


@pytest.fixture
def expunged(shell: Shell, tmp_path: Path) -> Shell:
    """Alice has lost four messages of INBOX."""
    store = _core.Store.open(str(tmp_path / "data" / "store"), map_size=1 << 28, min_free=0, retention=3600)
    try:
        for number in range(4):
            sink = store.sink()
            sink.write(b"Subject: %d\r\n\r\nx\r\n" % number)
            result(store, store.submit(sink, deliveries=[(1, "INBOX", b"", ("\\Seen",))]))
        view = result(store, store.open_view(1, "INBOX", False))
        result(store, store.expunge_uids(view, [1, 2, 3, 4]))  # type: ignore[arg-type]
    finally:
        store.close()
    return shell


def result(store: _core.Store, ticket: int) -> object:
    import select

    while True:
        select.select([store.eventfd], [], [], 10)
        for done, outcome in store.completions():
            assert not isinstance(outcome, BaseException), outcome
            if done == ticket:
                return outcome


def test_quota_set_and_show(shell: Shell) -> None:
    assert shell.good("quota", "show", "alice@example.test").splitlines()[1].split() == (
        ["alice@example.test", "0", "B", "none", "(default)", "0", "50", "(default)", "0%"]
    )
    shell.good("quota", "set", "alice@example.test", "--octets", "2G", "--messages", "none")
    shell.good("quota", "set", "example.test", "--octets", "1.5 TiB")
    rows = {row["name"]: row for row in json.loads(shell.good("quota", "show", "--json"))}
    assert list(rows) == ["example.test", "alice@example.test", "bob@example.test"]
    alice = rows["alice@example.test"]
    assert (alice["limit_octets"], alice["limit_messages"], alice["own_messages"]) == (2 * 2**30, None, 0)
    assert rows["bob@example.test"]["limit_messages"] == 50
    assert rows["example.test"]["limit_octets"] == int(1.5 * 2**40)
    assert "2.0 GiB" in shell.good("quota", "show", "example.test")
    shell.good("quota", "set", "alice@example.test", "--octets", "default", "--messages", "default")
    (row,) = json.loads(shell.good("quota", "show", "alice@example.test", "--json"))
    assert (row["own_octets"], row["own_messages"], row["limit_messages"]) == (None, None, 50)


@pytest.mark.parametrize(
    ("written", "octets"), [("1000000", 1000000), ("10k", 10240), ("10 KB", 10240), ("10KiB", 10240), ("1.5m", 1572864)]
)
def test_sizes(shell: Shell, written: str, octets: int) -> None:
    shell.good("quota", "set", "bob@example.test", "--octets", written)
    (row,) = json.loads(shell.good("quota", "show", "bob@example.test", "--json"))
    assert row["own_octets"] == octets


def test_quota_mistakes(shell: Shell) -> None:
    assert "no account" in shell.mistake("quota", "set", "nobody@example.test", "--messages", "5")
    assert "no domain" in shell.mistake("quota", "set", "other.test", "--messages", "5")
    assert "neither" in shell.mistake("quota", "show", "other.test")
    assert "no account" in shell.mistake("quota", "show", "x@example.test")
    assert "nothing to set" in shell.mistake("quota", "set", "example.test", code=2)
    for value in ("0", "-1", "many", "", "9" * 30, "1e9", "٣"):
        assert "no limit" in shell.mistake("quota", "set", "example.test", f"--messages={value}", code=2)
        assert "no limit" in shell.mistake("quota", "set", "example.test", f"--octets={value}", code=2)


def test_mailbox_list(shell: Shell) -> None:
    assert "\\Trash" in shell.good("mailbox", "list", "alice@example.test")
    rows = {row["name"]: row for row in json.loads(shell.good("mailbox", "list", "Alice@Example.test", "--json"))}
    assert {"INBOX", "Trash", "Junk"} <= set(rows)
    assert rows["INBOX"] == {
        "name": "INBOX",
        "special_use": "",
        "exists": True,
        "subscribed": True,
        "messages": 0,
        "unseen": 0,
        "octets": 0,
        "uid_validity": rows["INBOX"]["uid_validity"],
        "uid_next": 1,
    }
    assert "no account" in shell.mistake("mailbox", "list", "nobody@example.test")
    assert "which command" in shell.mistake("mailbox", code=2)


def test_recover(expunged: Shell) -> None:
    shell = expunged
    alice = "alice@example.test"
    rows = json.loads(shell.good("mailbox", "recover", alice, "--list", "--json"))
    assert [(row["mailbox"], row["uid"]) for row in rows] == [("INBOX", uid) for uid in (1, 2, 3, 4)]
    assert len(shell.good("mailbox", "recover", alice, "--list", "--uid", "2:3,9:*").splitlines()) == 3
    assert "nothing" in shell.good("mailbox", "recover", alice, "--list", "--mailbox", "Trash")
    assert "nothing" in shell.good("mailbox", "recover", alice, "--list", "--since", "2099-01-01 10:00")
    code, out, _ = shell("mailbox", "recover", alice, "--mailbox", "Trash")
    assert (code, out.strip()) == (1, "nothing of that kind can be recovered")
    assert "recovered 1" in shell.good("mailbox", "recover", alice, "--uid", "1", "--since", "1 h")
    assert "recovered 1" in shell.good("mailbox", "recover", alice, "--uid", "2", "--into", "Found again")
    assert json.loads(shell.good("mailbox", "recover", alice, "--mailbox", "INBOX", "--uid", "3", "--json")) == {
        "recovered": 1
    }
    mailboxes = {row["name"]: row for row in json.loads(shell.good("mailbox", "list", alice, "--json"))}
    assert (mailboxes["INBOX"]["messages"], mailboxes["Found again"]["messages"]) == (2, 1)
    assert mailboxes["INBOX"]["unseen"] == 0
    assert "let 1 messages go" in shell.good("mailbox", "purge", alice, "--yes")
    assert "nothing" in shell.good("mailbox", "recover", alice, "--list")
    assert "clean" in shell.good("store", "check")


def test_recovering_does_not_go_beyond_the_quota(expunged: Shell) -> None:
    expunged.good("quota", "set", "alice@example.test", "--messages", "3")
    assert "3 messages" in expunged.mistake("mailbox", "recover", "alice@example.test")
    assert "recovered 3" in expunged.good("mailbox", "recover", "alice@example.test", "--uid", "1:3")


def test_recover_mistakes(shell: Shell) -> None:
    alice = "alice@example.test"
    for value in ("0", "x", "1:2:3", "4294967296", "", "1,,2"):
        assert "no set of UIDs" in shell.mistake("mailbox", "recover", alice, f"--uid={value}", code=2)
    for value in ("yesterday", "", "2026-13-01", "5 weeks"):
        assert "neither a time" in shell.mistake("mailbox", "recover", alice, f"--since={value}", code=2)
    for command in ("recover", "expire"):
        assert "no account" in shell.mistake("mailbox", command, "nobody@example.test")
    assert "--yes" in shell.mistake("mailbox", "purge", alice, code=2)
    assert "no account" in shell.mistake("mailbox", "purge", "nobody@example.test", "--yes")
    # An account that never had mail.
    assert "nothing" in shell.good("mailbox", "expire", alice)
    assert "let 0" in shell.good("mailbox", "purge", alice, "--yes")


def test_expire(shell: Shell, tmp_path: Path) -> None:
    store = _core.Store.open(str(tmp_path / "data" / "store"), map_size=1 << 28, min_free=0, retention=3600)
    try:
        result(store, store.list_mailboxes(2))
        for saved in (1000.0, 2e9):
            sink = store.sink()
            sink.write(b"Subject: old\r\n\r\nx\r\n")
            result(store, store.import_message(2, "Trash", sink, (), None, saved=saved))
    finally:
        store.close()
    assert "would expunge 1" in shell.good("mailbox", "expire", "bob@example.test", "--dry-run")
    assert json.loads(shell.good("mailbox", "expire", "bob@example.test", "--json")) == [
        {"mailbox": "Trash", "messages": 1}
    ]
    assert "nothing" in shell.good("mailbox", "expire", "bob@example.test")
    assert "recovered 1" in shell.good("mailbox", "recover", "bob@example.test")
