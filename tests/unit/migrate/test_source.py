"""URLs of sources, and that secrets stay where they are."""

from __future__ import annotations

import pytest

from ironpost.errors import UserError
from ironpost.migrate.source import Login, parse_url


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("imaps://joe@mail.test", ("imaps", "mail.test", 993, "joe")),
        ("IMAP://joe@mail.test:1143/", ("imap", "mail.test", 1143, "joe")),
        ("imaps://joe%40example.test@mail.test", ("imaps", "mail.test", 993, "joe@example.test")),
        ("imaps://joe@example.test@mail.test:99", ("imaps", "mail.test", 99, "joe@example.test")),
        ("imap://joe@[::1]:144", ("imap", "::1", 144, "joe")),
        ("imap://joe*master@[::1]", ("imap", "::1", 143, "joe*master")),
        ("imaps://J%C3%BCrgen@mail.test", ("imaps", "mail.test", 993, "Jürgen")),
    ],
)
def test_good(text: str, parts: tuple[str, str, int, str]) -> None:
    assert parse_url(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail.test",
        "pop3://joe@mail.test",
        "imaps://mail.test",
        "imaps://@mail.test",
        "imaps://joe@",
        "imaps://joe:secret@mail.test",
        "imaps://joe@mail.test:",
        "imaps://joe@mail.test:0",
        "imaps://joe@mail.test:70000",
        "imaps://joe@mail.test:x",
        "imaps://joe@mail.test/INBOX",
        "imaps://joe@[::1",
        "imaps://jo%0ae@mail.test",
    ],
)
def test_bad(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_secrets_are_not_printed() -> None:
    assert "hush" not in repr(Login(password="hush", token="hush", auth_user="root"))
