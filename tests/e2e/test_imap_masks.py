"""Capabilities hidden by `[[mask]]` from everybody, from an account, from a client (docs/compatibility.md)."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server

MASKS = """
[[mask]]
hide = ["preview", "STARTTLS"]

[[mask]]
hide = ["CONDSTORE", "QRESYNC", "IMAP4rev1"]
account = "BOB@example.test"

[[mask]]
hide = ["COMPRESS=DEFLATE"]
client = "old mail"
"""


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with masks of all three kinds."""
    with Server(tmp_path_factory.mktemp("server") / "data", config=MASKS).serving() as server:
        yield server


def session(server: Server) -> imaplib.IMAP4:
    """Before login."""
    return imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=30)


def names(client: imaplib.IMAP4) -> set[str]:
    """What CAPABILITY tells now."""
    client.response("CAPABILITY")  # what the greeting or the login has told
    status, lines = client.capability()
    assert status == "OK"
    return set(lines[-1].decode().split())


def enabled(client: imaplib.IMAP4) -> bytes | None:
    """What ENABLE CONDSTORE switches on; imaplib's own method asks for a capability first."""
    assert client._simple_command("ENABLE", "CONDSTORE")[0] == "OK"
    return client.response("ENABLED")[1][0]


def test_what_is_hidden_and_from_whom(masked: Server) -> None:
    with session(masked) as alice:
        assert "STARTTLS" not in names(alice)
        alice.login(f"alice@{DOMAIN}", PASSWORD)
        known = names(alice)
        assert "PREVIEW" not in known
        assert {"CONDSTORE", "QRESYNC", "COMPRESS=DEFLATE", "IMAP4rev1"} <= known
        assert enabled(alice) == b"CONDSTORE"
    with session(masked) as bob:
        bob.login(f"bob@{DOMAIN}", PASSWORD)
        known = names(bob)
        assert not {"CONDSTORE", "QRESYNC", "PREVIEW"} & known
        assert {"COMPRESS=DEFLATE", "IMAP4rev1", "IMAP4rev2"} <= known
        assert not enabled(bob)


def test_a_client_is_known_by_its_id(masked: Server) -> None:
    with session(masked) as client:
        assert client.xatom("ID", '("version" "1" "name" "Old Mailer 1.0")')[0] == "OK"
        client.login(f"alice@{DOMAIN}", PASSWORD)
        assert "COMPRESS=DEFLATE" not in names(client)
    with session(masked) as client:
        assert client.xatom("ID", '("name" NIL)')[0] == "OK"
        client.login(f"alice@{DOMAIN}", PASSWORD)
        assert "COMPRESS=DEFLATE" in names(client)


def test_wrong_masks_are_told(tmp_path: Path) -> None:
    from ironpost.config import parse
    from ironpost.errors import ConfigError

    with pytest.raises(ConfigError) as told:
        parse('hostname = "m.example.test"\n[[mask]]\nhide = ["A B"]\n[[mask]]\naccount = "x"\n', tmp_path)
    assert "mask[1].hide" in str(told.value)
    assert "mask[2].hide" in str(told.value)
