"""Folders of many servers under their names here."""

from __future__ import annotations

from typing import Any

from ironpost.migrate.flags import KEYWORDS_MAX, Keywords
from ironpost.migrate.folders import Choice, Folder, Listed, Plan, plan

SPECIAL = {"\\sent": "Sent", "\\trash": "Trash", "\\junk": "Junk", "\\drafts": "Drafts", "\\archive": "Archive"}


def listed(*names: str, separator: str | None = "/", **attributes: str) -> list[Listed]:
    return [
        Listed(name.encode(), name, separator, frozenset(attributes.get(name.replace(" ", "_"), "").split()))
        for name in names
    ]


def make(rows: list[Listed], **given: Any) -> Plan:
    arguments: dict[str, Any] = {
        "subscribed": frozenset(),
        "personal": [],
        "others": [],
        "special": SPECIAL,
        "special_told": True,
        "gmail": False,
        "choice": Choice(),
    }
    return plan(rows, **{**arguments, **given})


def targets(result: Plan) -> list[str]:
    return [folder.target for folder in result.folders]


def test_courier_prefix_and_separator() -> None:
    rows = listed("INBOX", "INBOX.Sent", "INBOX.Work.2020", "INBOX.a/b", separator=".")
    expected = ["INBOX", "Sent", "Work/2020", "a_b"]
    assert targets(make(rows, personal=[("INBOX.", ".")])) == expected
    assert targets(make(rows)) == expected, "guessed when NAMESPACE is not there"
    assert targets(make([*rows, *listed("Public", separator=".")]))[1:2] == ["INBOX/Sent"], "no prefix that all have"


def test_special_uses_meet_their_like() -> None:
    rows = listed("INBOX", "Gesendete Objekte", "Müll", Gesendete_Objekte="\\sent", Müll="\\trash \\hasnochildren")
    result = make(rows)
    assert targets(result) == ["INBOX", "Sent", "Trash"]
    assert [folder.special_use for folder in result.folders] == ["", "\\Sent", "\\Trash"]
    guessed = make(listed("INBOX", "Gesendet", "Papierkorb"), special_told=False)
    assert targets(guessed) == ["INBOX", "Sent", "Trash"]
    assert targets(make(listed("INBOX", "Gesendet"))) == ["INBOX", "Gesendet"], "the server tells, and this is none"
    twice = make(listed("A", "B", A="\\sent", B="\\sent"))
    assert targets(twice) == ["Sent", "B"]


def test_views_are_left_out_and_said() -> None:
    rows = listed(
        "INBOX", "[Gmail]", "[Gmail]/All Mail", "[Gmail]/Starred", "[Gmail]/Sent Mail",
        **{"[Gmail]": "\\noselect", "[Gmail]/All_Mail": "\\all", "[Gmail]/Starred": "\\flagged",
           "[Gmail]/Sent_Mail": "\\sent"},
    )  # fmt: skip
    result = make(rows)
    assert targets(result) == ["INBOX", "Sent"]
    assert len(result.notes) == 2
    gmail = make(rows, gmail=True)
    assert [(folder.target, folder.unlabelled) for folder in gmail.folders] == [
        ("INBOX", False), ("Archive", True), ("Sent", False)
    ]  # fmt: skip
    wanted = make(rows, choice=Choice(only=("[Gmail]/Starred",)))
    assert targets(wanted) == ["[Gmail]/Starred"]


def test_folders_of_others_only_by_name() -> None:
    rows = listed("INBOX", "shared", "shared/team", "mine")
    others: list[tuple[str, str | None]] = [("shared/", "/")]
    result = make(rows, others=others, personal=[("", "/")])
    assert targets(result) == ["INBOX", "mine"]
    assert targets(make(rows, others=others, choice=Choice(only=("shared",)))) == ["shared", "shared/team"]


def test_choices() -> None:
    rows = listed("INBOX", "Work", "Work/2019", "Work/2020", "Worker", "Old")
    assert targets(make(rows, choice=Choice(only=("Work",)))) == ["Work", "Work/2019", "Work/2020"]
    assert targets(make(rows, choice=Choice(only=("inbox", "Wo*r")))) == ["INBOX", "Worker"]
    assert targets(make(rows, choice=Choice(exclude=("Work/2019", "Old")))) == ["INBOX", "Work", "Work/2020", "Worker"]
    renamed = Choice(renamed=(("Work", "Business/Past"),))
    assert targets(make(rows, choice=renamed))[2:5] == ["Business/Past", "Business/Past/2019", "Business/Past/2020"]
    assert targets(make(rows, choice=Choice(into="Old provider")))[0] == "Old provider/INBOX"


def test_names_that_are_not_possible_here() -> None:
    rows = listed("a\x07b", "x//y", "z" * 300, "/".join("l" * 70))
    result = make(rows)
    assert sorted(targets(result))[:1] == ["a_b"]
    assert "x/_/y" in targets(result)
    assert all(len(level) <= 240 for name in targets(result) for level in name.split("/"))
    assert all(len(name.split("/")) <= 64 for name in targets(result))
    assert len(result.notes) == 4
    both = make(listed("a/b", separator=".") + listed("a_b", separator="."))
    assert sorted(targets(both)) == ["a_b", "a_b (2)"]
    inbox = make(listed("INBOX", "INBOX.INBOX", separator="."), personal=[("INBOX.", ".")])
    assert targets(inbox) == ["INBOX", "INBOX (2)"]
    flat = make(listed("a/b", separator=None))
    assert targets(flat) == ["a_b"]


def test_subscriptions() -> None:
    found: list[Folder] = make(listed("INBOX", "a", "b"), subscribed=frozenset({b"b"})).folders
    assert [folder.subscribed for folder in found] == [True, False, True]


def test_flags() -> None:
    keywords = Keywords()
    assert keywords.normalised(["\\SEEN", "\\Recent", "\\Unknown", "$forwarded", "a b]", "a*"]) == (
        "$forwarded", "\\Seen", "a_", "a_b_"
    )  # fmt: skip
    assert keywords.normalised(["$FORWARDED", ""]) == ("$forwarded",), "one spelling for each"
    many = keywords.normalised(f"k{number}" for number in range(200))
    assert len(many) <= KEYWORDS_MAX
    assert len(keywords.dropped) >= 150
