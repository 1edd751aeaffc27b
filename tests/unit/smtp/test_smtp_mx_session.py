"""The MX role over a real core and a real store: RFC 5321 dialogues, refusals, what is stored."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import Peer, World

ACCOUNTS = ["alice@own.test", "bob@own.test", "carol@other.own.test"]
ALIASES = {
    "team@own.test": ["alice@own.test", "bob@own.test"],
    "away@own.test": ["someone@far.test"],
    "both@own.test": ["alice@own.test", "someone@far.test"],
}
MESSAGE = b"From: x@far.test\r\nSubject: hello\r\n\r\nline\r\n..dots\r\n"
PLAIN = MESSAGE.replace(b"\r\n..dots", b"\r\n.dots")


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], **limits: Any) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with World.open(tmp_path, FakeDirectory(ACCOUNTS, ALIASES), **limits) as world:
                await test(world)

    trio.run(main)


async def start(world: World, hello: str = "EHLO client.test") -> Peer:
    peer = await world.connect("smtp")
    await peer.start(hello)
    return peer


def test_a_message_is_stored_with_its_trace(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        answer = await peer.mail("x@far.test", ["bob@own.test"], MESSAGE)
        match = re.fullmatch(r"250 2\.0\.0 Stored as ([0-9a-f]+)", answer)
        assert match, answer
        (octets,) = await world.messages(2)
        assert octets.endswith(PLAIN)
        trace = octets.removesuffix(PLAIN).decode()
        assert trace.startswith(
            "Return-Path: <x@far.test>\r\nDelivered-To: bob@own.test\r\nReceived: from client.test "
        )
        assert f"with ESMTP id {match[1]}\r\n\tfor <bob@own.test>;" in trace
        assert await world.messages(1) == []
        assert [line[2]["id"] for line in world.log.lines if line[1] == "message stored"] == [match[1]]
        await peer.dialogue(("QUIT", "221 2.0.0 "))
        assert await peer.closed()

    run(tmp_path, test)


def test_what_ehlo_offers(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("smtp")
        extensions = await peer.start()
        assert extensions == [
            "PIPELINING",
            "SIZE 52428800",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
            "CHUNKING",
            "DSN",
            "HELP",
        ]
        helo = await world.connect("smtp")
        assert await helo.start("HELO client.test") == []

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("someone@far.test", "554 5.7.1"),
        ("nobody@own.test", "550 5.1.1"),
        ("someone%far.test@own.test", "550 5.1.1"),
        ('"someone@far.test"@own.test', "550 5.1.1"),
        ("someone@[127.0.0.1]", "554 5.7.1"),
        ("someone@[IPv6:::1]", "554 5.7.1"),
        ("alice@sub.own.test", "554 5.7.1"),
        ("alice@wn.test", "554 5.7.1"),
        ("@own.test:someone@far.test", "554 5.7.1"),
        ("@own.test,@own.test:someone@far.test", "554 5.7.1"),
        ("far.test!someone@own.test", "550 5.1.1"),
        ("", "5"),
        ("alice", "5"),
        ("Alice@OWN.TEST", "250"),
        ("alice+lists@own.test", "250"),
        ("@far.test:alice@own.test", "250"),
        ("Postmaster", "250"),
    ],
)
def test_who_is_taken_and_nobody_relays(tmp_path: Path, recipient: str, reply: str) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(("MAIL FROM:<x@far.test>", "250"), (f"RCPT TO:<{recipient}>", reply), ("QUIT", "221"))

    run(tmp_path, test)


def test_aliases_reach_everyone_once_and_leave_for_elsewhere(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        recipients = ["team@own.test", "alice@own.test", "both@own.test", "away@own.test"]
        assert (await peer.mail("x@far.test", recipients, MESSAGE)).startswith("250")
        assert len(await world.messages(1)) == 1
        assert len(await world.messages(2)) == 1
        ((item, state),) = await world.queue()
        assert state.sender == "x@far.test"
        assert [r.address for r in state.recipients] == ["someone@far.test"]
        octets = await world.queued_octets(item)
        assert octets.endswith(PLAIN)
        assert octets.startswith(b"Received: ")
        assert b"for <" not in octets
        assert world.hints.relay_hints == 1

    run(tmp_path, test)


def test_a_pipelined_group_is_answered_at_once_and_in_order(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.send(b"MAIL FROM:<x@far.test>\r\nRCPT TO:<nobody@own.test>\r\nRCPT TO:<alice@own.test>\r\nDATA\r\n")
        replies = [(await peer.reply())[-1][:3] for _ in range(4)]
        assert replies == ["250", "550", "250", "354"]
        await peer.send(MESSAGE + b".\r\nMAIL FROM:<y@far.test>\r\nRCPT TO:<bob@own.test>\r\nDATA\r\n")
        assert [(await peer.reply())[-1][:3] for _ in range(4)] == ["250", "250", "250", "354"]
        await peer.send(MESSAGE + b".\r\nQUIT\r\n")
        assert [(await peer.reply())[-1][:3] for _ in range(2)] == ["250", "221"]
        assert len(await world.messages(1)) == len(await world.messages(2)) == 1

    run(tmp_path, test)


def test_one_octet_at_a_time(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("smtp")
        script = (
            b"EHLO c.test\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<alice@own.test>\r\nDATA\r\n"
            + MESSAGE
            + b".\r\nQUIT\r\n"
        )
        await peer.reply()
        for octet in script:
            await peer.send(bytes([octet]))
            await trio.lowlevel.checkpoint()
        assert [(await peer.reply())[-1][:3] for _ in range(6)] == ["250", "250", "250", "354", "250", "221"]
        assert (await world.messages(1))[0].endswith(PLAIN)

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"A: b\r\n\r\nbare\nlf\r\n", "550 5.6.0 Message holds a bare LF"),
        (b"A: b\r\n\r\nbare\rcr\r\n", "550 5.6.0 Message holds a bare CR"),
        (b"A: b\r\n\r\nnul\0\r\n", "550 5.6.0 Message holds a NUL"),
        (b"A: b\r\n\r\n\n.\r\n\r\n", "550 5.6.0 Message holds a bare LF"),
        (b"A: b\r\n\r\n\r.\r\r\n", "550 5.6.0 Message holds a bare CR"),
    ],
)
def test_bodies_that_are_refused_by_name(tmp_path: Path, body: bytes, reply: str) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        assert (await peer.mail("x@far.test", ["alice@own.test"], body)).startswith(reply)
        assert await world.messages(1) == []
        assert (await peer.mail("x@far.test", ["alice@own.test"], MESSAGE)).startswith("250")

    run(tmp_path, test)


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"])
def test_only_the_whole_end_mark_ends_data(tmp_path: Path, end: bytes) -> None:
    """Smuggling: what follows a false end is body, never a command."""

    async def test(world: World) -> None:
        peer = await start(world)
        inner = b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<bob@own.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n"
        body = b"Subject: outer\r\n\r\nx" + end + inner + b"\r\n"
        answer = await peer.mail("x@far.test", ["alice@own.test"], body)
        assert answer.startswith("550 5.6.0"), answer
        await peer.dialogue(("NOOP", "250"), ("QUIT", "221"))
        assert await world.messages(1) == []
        assert await world.messages(2) == []

    run(tmp_path, test)


def test_chunking(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.send(b"MAIL FROM:<x@far.test> BODY=8BITMIME\r\nRCPT TO:<alice@own.test>\r\nBDAT 10\r\nSubject: x")
        assert [(await peer.reply())[-1][:3] for _ in range(3)] == ["250"] * 3
        await peer.send(b"BDAT 11 LAST\r\n\r\n\r\n.\r\n..\r\n")
        assert (await peer.reply())[-1].startswith("250 2.0.0 Stored")
        (octets,) = await world.messages(1)
        assert octets.endswith(b"Subject: x\r\n\r\n.\r\n..\r\n")
        await peer.dialogue(("MAIL FROM:<x@far.test>", "250"))
        await peer.send(b"BDAT 5 LAST\r\nabcde")
        assert (await peer.reply())[-1].startswith("5")
        await peer.dialogue(("RSET", "250"), ("NOOP", "250"))

    run(tmp_path, test)


def test_sizes(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=10001", "552 5.3.4"),
            ("MAIL FROM:<x@far.test> SIZE=10000", "250"),
            ("RSET", "250"),
        )
        big = b"Subject: x\r\n\r\n" + b"x" * 78 + b"\r\n"
        big += (b"y" * 78 + b"\r\n") * 200
        assert (await peer.mail("x@far.test", ["alice@own.test"], big)).startswith("552 5.3.4")
        assert (await peer.mail("x@far.test", ["alice@own.test"], MESSAGE)).startswith("250")
        assert len(await world.messages(1)) == 1

    run(tmp_path, test, message_octets_max=10_000)


def test_large_messages_pass_whole(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        body = b"Subject: big\r\n\r\n" + b"".join(b"%07d " % n + b"x" * 68 + b"\r\n" for n in range(40_000))
        assert (await peer.mail("x@far.test", ["alice@own.test"], body)).startswith("250")
        (octets,) = await world.messages(1)
        assert octets.endswith(body)

    run(tmp_path, test)


def test_loops_end(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        body = b"Received: from a by b; x\r\n" * 101 + MESSAGE
        assert (await peer.mail("x@far.test", ["alice@own.test"], body)).startswith("554 5.4.6")
        body = b"Received: from a by b; x\r\n" * 100 + MESSAGE
        assert (await peer.mail("x@far.test", ["alice@own.test"], body)).startswith("250")

    run(tmp_path, test)


def test_endless_header_is_refused(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        body = b"X-Filler: " + b"y" * 60 + b"\r\n"
        assert (await peer.mail("x@far.test", ["alice@own.test"], body * 20_000 + MESSAGE)).startswith("552 5.3.4")

    run(tmp_path, test)


def test_commands_out_of_order_and_unknown_go_on(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(
            ("RCPT TO:<alice@own.test>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            ("FROBNICATE", "500 5.5"),
            ("MAIL FROM:nobrackets", "5"),
            ("MAIL FROM:<x@far.test> WHAT=1", "555 5.5.4"),
            ("VRFY alice", "252 2.5.2"),
            ("EXPN team", "502 5.7.0"),
            ("HELP", "214 2.0.0"),
            ("NOOP", "250 2.0.0"),
            ("RSET", "250 2.0.0"),
            ("AUTH PLAIN AGFsaWNlAGE=", "5"),
            ("STARTTLS", "454 4.7.0"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("MAIL FROM:<x@far.test>", "503 5.5.1"),
            ("DATA", "5"),
            ("RCPT TO:<alice@own.test>", "250 2.1.5"),
            ("QUIT", "221"),
        )

    run(tmp_path, test)


def test_too_many_faults_end_the_connection(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        answers = [await peer.ask("NONSENSE") for _ in range(21)]
        assert all(answer.startswith("5") for answer in answers[:20])
        assert answers[20].startswith("421 4.7.0")
        assert await peer.closed()

    run(tmp_path, test)


def test_commands_without_progress_end_the_connection(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        answers = [await peer.ask("NOOP") for _ in range(9)]  # EHLO was the first
        assert answers[-1].startswith("421 4.7.0"), answers
        assert await peer.closed()

    run(tmp_path, test, idle_commands_max=9)


def test_too_many_recipients(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(("MAIL FROM:<x@far.test>", "250"))
        answers = [await peer.ask("RCPT TO:<alice@own.test>") for _ in range(101)]
        assert {answer[:3] for answer in answers[:100]} == {"250"}
        assert answers[100].startswith("452 4.5.3")

    run(tmp_path, test, recipients_max=100)


def test_internationalized_addresses_need_the_parameter(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        answer = await peer.ask("MAIL FROM:<jörg@far.test>")
        assert answer.startswith("5")
        await peer.dialogue(
            ("MAIL FROM:<jörg@far.test> SMTPUTF8", "250"), ("RCPT TO:<alice@own.test>", "250"), ("DATA", "354")
        )
        await peer.send("Subject: grüße\r\n\r\n.\r\n".encode())
        assert (await peer.reply())[-1].startswith("250")
        (octets,) = await world.messages(1)
        assert octets.startswith("Return-Path: <jörg@far.test>\r\n".encode())
        assert b"with UTF8SMTP id" in octets

    run(tmp_path, test)


def test_draining_turns_away_new_mail_and_idle_peers(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        busy = await start(world)
        await busy.dialogue(("MAIL FROM:<x@far.test>", "250"))
        world.context.draining.set()
        await busy.dialogue(("RCPT TO:<alice@own.test>", "250"), ("DATA", "354"))
        await busy.send(MESSAGE + b".\r\n")
        assert (await busy.reply())[-1].startswith("250")
        await busy.dialogue(("MAIL FROM:<x@far.test>", "421 4.3.2"))
        assert await busy.closed()

    run(tmp_path, test)


def test_a_peer_that_vanishes_in_data_leaves_nothing(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(("MAIL FROM:<x@far.test>", "250"), ("RCPT TO:<alice@own.test>", "250"), ("DATA", "354"))
        await peer.send(MESSAGE)
        await peer.close()
        other = await start(world)
        assert (await other.mail("x@far.test", ["bob@own.test"], MESSAGE)).startswith("250")
        assert await world.messages(1) == []

    run(tmp_path, test)


def test_full_disk_is_452(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        world.context.store.core  # noqa: B018
        await peer.dialogue(("MAIL FROM:<x@far.test> SIZE=1000", "250"), ("RSET", "250"))
        world.store._free = 10
        world.store._looked = trio.current_time() + 1000
        await peer.dialogue(("MAIL FROM:<x@far.test> SIZE=1000", "452 4.3.1"))
        world.store._slow, world.store._free = True, 1 << 40
        await peer.dialogue(("MAIL FROM:<x@far.test>", "451 4.3.2"))
        world.store._looked = -1.0
        assert (await peer.mail("x@far.test", ["alice@own.test"], MESSAGE)).startswith("250")

    run(tmp_path, test)
