"""The dialogues of this folder (`*.dlg`), each against a running server with an account of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogs.player import Dialogue, Player, Session, other_user, read
from tests.support.server import DOMAIN, PASSWORD, Server, ironpost

IMAP = f"""[imap]
public_account = "public@{DOMAIN}"
comment = "a server for tests"
admin = "mailto:admin@{DOMAIN}"
"""
DIALOGUES = [dialogue for path in sorted(Path(__file__).parent.glob("*.dlg")) for dialogue in read(path)]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with an account for each dialogue; its store must be clean at the end."""
    folder = tmp_path_factory.mktemp("dialogs")
    server = Server(folder / "data", accounts=("public",), config=IMAP)
    accounts = folder / "accounts.csv"
    people = [user(number) for number in range(len(DIALOGUES))]
    for number, dialogue in enumerate(DIALOGUES):
        people += [other_user(user(number), other) for other in sorted(set(dialogue.users) - {1})]
    accounts.write_text("".join(f"{person},{PASSWORD}\n" for person in people))
    ironpost("account", "import", str(accounts), "--dir", str(server.folder))
    with server.serving():
        yield server


def user(number: int) -> str:
    """The address of a dialogue's account."""
    return f"dialog{number}@{DOMAIN}"


@pytest.mark.parametrize(
    ("number", "dialogue"),
    list(enumerate(DIALOGUES)),
    ids=[f"{dialogue.path.stem}: {dialogue.title}" for dialogue in DIALOGUES],
)
def test_dialogue(server: Server, number: int, dialogue: Dialogue) -> None:
    """Every line as written."""
    Player(dialogue, lambda: Session(server.port("imap")), user(number), PASSWORD).play()


def test_dialogues_are_found() -> None:
    """A folder that is read wrong must not pass for a clean one."""
    assert len(DIALOGUES) > 50
    assert all(dialogue.steps for dialogue in DIALOGUES)
