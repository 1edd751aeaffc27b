"""The relay over a real store and a scripted next hop: delivery, retries on a clock of ours, bounces."""

from __future__ import annotations

import email
import email.policy
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trustme

from ironpost.relay import control
from ironpost.relay.manager import Manager
from ironpost.relay.scheduler import Backoff
from ironpost.relay.settings import RelaySettings, Route
from ironpost.state.directory import Limits
from ironpost.store.queue import QueueRecipient, QueueState
from ironpost.testing.fake_dns import FakeResolver
from ironpost.testing.people import FakeDirectory
from ironpost.testing.smtp_sink import SmtpSink
from ironpost.testing.world import World

MESSAGE = b"From: alice@own.test\r\nSubject: out\r\nMessage-ID: <1@own.test>\r\n\r\nline\r\n.dot\r\n..\r\n"
T0 = 1_700_000_000.0


class Relay:
    """A world with a next hop for everything and a manager on a clock that tests move."""

    def __init__(self, world: World, sink: SmtpSink, resolver: FakeResolver) -> None:
        self.world = world
        self.sink = sink
        self.resolver = resolver
        self.now = T0
        self.manager: Manager

    def begin(self, *routes: Route, **changes: Any) -> None:
        settings = RelaySettings(
            hostname="mail.own.test",
            own_names=frozenset({"mail.own.test"}),
            own_addresses=frozenset(),
            routes=routes or (Route("*", "127.0.0.1", self.sink.port),),
            tls="opportunistic",
            port=self.sink.port,
            backoff=Backoff((300.0, 600.0), 86_400.0),
            deliveries_max=10,
            deliveries_per_destination=2,
        )
        self.manager = Manager(
            self.world.context,
            self.resolver,
            clock=lambda: self.now,
            random=Random(1),
            settings=replace(settings, **changes),
        )
        self.world.nursery.start_soon(self.manager.run)

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.manager.wake()

    async def put(self, *recipients: QueueRecipient, body: bytes = MESSAGE, **changes: Any) -> None:
        core = self.world.store.core
        sink = core.sink(size_hint=len(body))
        await self.world.store.write_sink(sink, body)
        state = QueueState("id1", "alice@own.test", recipients, self.now)
        state = replace(state, **changes)
        prefix = b"Received: by mail.own.test; now\r\n"
        ticket = core.submit(sink, enqueue=[(self.now, prefix, state.pack())])
        await self.world.store.call(ticket, write=True)
        self.world.hints.relay_hint()

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        with trio.fail_after(20):
            while not await condition():  # noqa: ASYNC110 - the store has no event for this
                await trio.sleep(0.01)

    async def empty(self) -> bool:
        return not await self.world.queue()

    async def attempts(self, number: int) -> bool:
        items = await self.world.queue()
        return bool(items) and all(state.attempts == number for _, state in items)


def run(tmp_path: Path, test: Callable[[Relay], Awaitable[None]], extensions: tuple[str, ...] | None = None) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with World.open(tmp_path, FakeDirectory(["alice@own.test"])) as world:
                sink = SmtpSink(extensions) if extensions is not None else SmtpSink()
                await world.nursery.start(sink.run)
                await test(Relay(world, sink, FakeResolver()))

    trio.run(main)


def bob(**fields: Any) -> QueueRecipient:
    return QueueRecipient("bob@far.test", **fields)


def test_delivery_with_what_the_peer_understands(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.begin()
        await relay.put(
            bob(notify=("SUCCESS",), orcpt="rfc822;b+b@far.test"),
            QueueRecipient("eve@far.test"),
            ret="HDRS",
            envid="x y",
        )
        await relay.until(relay.empty)
        (message,) = relay.sink.messages
        assert message.body == b"Received: by mail.own.test; now\r\n" + MESSAGE
        assert message.sender == "alice@own.test"
        assert message.recipients == ["bob@far.test", "eve@far.test"]
        assert message.mail_line.endswith(f"SIZE={len(message.body)} RET=HDRS ENVID=x+20y")
        assert message.rcpt_lines[0].endswith("NOTIFY=SUCCESS ORCPT=rfc822;b+2Bb@far.test")
        assert message.rcpt_lines[1] == "RCPT TO:<eve@far.test>"
        assert await relay.world.messages(1) == []  # the peer has DSN: it reports

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("start", "reply"),
    [
        ("MAIL", "451 4.3.0 later"),
        ("RCPT", "450 4.2.0 later"),
        ("DATA", "451 4.3.0 later"),
        ("BODY", "452 4.3.1 full"),
        ("BODY", ""),
        ("RCPT", "421 4.3.2 going"),
        ("MAIL", ""),
    ],
)
def test_temporary_failure_then_success(tmp_path: Path, start: str, reply: str) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers[start] = [reply]
        relay.begin()
        await relay.put(bob())
        await relay.until(lambda: relay.attempts(1))
        ((item, state),) = await relay.world.queue()
        assert T0 + 300 <= item.due <= T0 + 330
        assert 400 <= state.recipients[0].code < 500
        assert relay.sink.messages == []
        relay.move(299)
        await trio.sleep(0.1)
        assert relay.sink.messages == []
        relay.move(40)
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 1
        assert await relay.world.messages(1) == []

    run(tmp_path, test)


def test_permanent_failure_bounces_to_the_local_sender(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["RCPT TO:<bob"] = ["550 5.1.1 no such user"]
        relay.begin()
        await relay.put(bob(), QueueRecipient("eve@far.test"))
        await relay.until(relay.empty)
        assert [message.recipients for message in relay.sink.messages] == [["eve@far.test"]]
        (octets,) = await relay.world.messages(1)
        assert octets.startswith(b"Return-Path: <>\r\nDelivered-To: alice@own.test\r\n")
        report = email.message_from_bytes(octets, policy=email.policy.default)
        assert report.get_content_type() == "multipart/report"
        text = octets.decode()
        assert "Final-Recipient: rfc822; bob@far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n" in text
        assert "Diagnostic-Code: smtp; 550 5.1.1 no such user" in text
        assert "eve@far.test" not in text
        assert "Subject: out\r\n" in text
        assert ".dot" not in text

    run(tmp_path, test)


def test_a_bounce_reaches_a_full_mailbox(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        core, store = relay.world.store.core, relay.world.store
        relay.world.directory.limits_of["alice@own.test"] = Limits(messages=1)
        await store.call(core.set_quota(1, messages=1), write=True)
        sink = core.sink()
        await store.write_sink(sink, MESSAGE)
        await store.call(core.submit(sink, deliveries=[(1, "INBOX", b"", ())]), write=True)
        relay.sink.answers["RCPT TO:<bob"] = ["550 5.1.1 no such user"]
        relay.begin()
        await relay.put(bob())
        await relay.until(relay.empty)
        _, octets = await relay.world.messages(1)
        assert octets.startswith(b"Return-Path: <>\r\nDelivered-To: alice@own.test\r\n")
        assert b"Final-Recipient: rfc822; bob@far.test" in octets
        assert "report goes beyond a quota" in [event for _, event, _ in relay.world.log.lines]

    run(tmp_path, test)


def test_bounce_to_a_remote_sender_goes_out_with_the_null_sender(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["RCPT TO:<bob"] = ["550 5.1.1 no such user"]
        relay.begin()
        await relay.put(bob(), sender="x@else.test")
        await relay.until(lambda: _true(len(relay.sink.messages) == 1))
        await relay.until(relay.empty)
        (message,) = relay.sink.messages
        assert message.sender == ""
        assert message.recipients == ["x@else.test"]
        assert b"multipart/report" in message.body

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("recipient", "changes"),
    [(bob(), {"sender": ""}), (bob(notify=("NEVER",)), {}), (bob(), {"sender": "ghost@own.test"})],
)
def test_failures_that_nobody_is_told_of(tmp_path: Path, recipient: QueueRecipient, changes: dict[str, Any]) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["RCPT"] = ["550 5.1.1 no such user"]
        relay.begin()
        await relay.put(recipient, **changes)
        await relay.until(relay.empty)
        assert await relay.world.messages(1) == []
        assert relay.sink.messages == []

    run(tmp_path, test)


def test_giving_up_after_the_time(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["MAIL"] = ["451 4.3.0 later"] * 5
        relay.begin()
        await relay.put(bob())
        await relay.until(lambda: relay.attempts(1))
        relay.move(400)
        await relay.until(lambda: relay.attempts(2))
        relay.move(86_400)
        await relay.until(relay.empty)
        (octets,) = await relay.world.messages(1)
        assert b"Status: 5.4.7" in octets
        assert b"451 4.3.0 later" in octets, octets.decode()

    run(tmp_path, test)


def test_one_connection_for_many_messages(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        for _ in range(12):
            await relay.put(bob())
        relay.begin()
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 12
        assert relay.sink.connections <= 2

    run(tmp_path, test)


def test_a_connection_closed_between_messages_is_no_failure(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["MAIL"] = ["250 2.1.0 ok", "421 4.3.2 enough for one connection"]
        await relay.put(bob())
        await relay.put(bob())
        relay.begin(deliveries_per_destination=1)
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 2
        assert relay.sink.connections == 2

    run(tmp_path, test)


def test_unreachable_host_is_left_alone_for_all_its_mail(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.answers["GREETING"] = ["554 5.3.2 not today"]
        for _ in range(5):
            await relay.put(bob())
        relay.begin(deliveries_per_destination=1)
        await relay.until(lambda: _true(relay.sink.connections == 1))
        await relay.until(lambda: _due_later(relay))
        assert relay.sink.connections == 1
        relay.now = time.time() + 1  # orders are stamped with the machine's clock
        assert await control.queue_retry(relay.world.context, None) == 5
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 5

    run(tmp_path, test)


def test_mx_hosts_are_tried_in_order(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.resolver.mx_records["far.test"] = [(10, "dead.far.test"), (20, "live.far.test")]
        relay.resolver.hosts = {"dead.far.test": ["127.0.0.2"], "live.far.test": ["127.0.0.1"]}
        relay.begin(Route("unused.test", "127.0.0.1", 9))
        await relay.put(bob())
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 1

    run(tmp_path, test)


def test_null_mx_and_unknown_domain_bounce_and_broken_dns_waits(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.resolver.mx_records["far.test"] = [(0, "")]
        relay.resolver.broken.add("ill.test")
        relay.begin(Route("unused.test", "127.0.0.1", 9))
        await relay.put(bob())
        await relay.put(QueueRecipient("x@nowhere.test"))
        await relay.put(QueueRecipient("x@ill.test"))
        await relay.until(lambda: relay.attempts(1))
        texts = b"".join(await relay.world.messages(1))
        assert b"Status: 5.1.10" in texts
        assert b"Status: 5.1.2" in texts
        ((_, state),) = await relay.world.queue()
        assert (state.domain, state.recipients[0].enhanced) == ("ill.test", "4.4.3")

    run(tmp_path, test)


def test_large_message_in_chunks(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        body = b"Subject: big\r\n\r\n" + b"".join(b".%07d " % n + b"x" * 68 + b"\r\n" for n in range(30_000))
        relay.begin()
        await relay.put(bob(), body=body)
        await relay.until(relay.empty)
        assert relay.sink.messages[0].body.endswith(body)

    run(tmp_path, test, ("SIZE 10000000",))


def test_what_the_peer_cannot_take_bounces_at_once(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.begin()
        await relay.put(bob(), body=MESSAGE * 20)
        await relay.put(QueueRecipient("jörg@far.test"), smtputf8=True)
        await relay.put(bob(), smtputf8=True)  # declared, and not needed
        await relay.until(relay.empty)
        assert len(relay.sink.messages) == 1
        reports = b"".join(await relay.world.messages(1))
        assert b"Status: 5.3.4" in reports
        assert b"Status: 5.6.7" in reports
        assert b"said:" not in reports
        assert b"Diagnostic-Code:" not in reports

    run(tmp_path, test, ("SIZE 1000",))


def test_a_recipient_that_needs_smtputf8_does_not_stop_the_others(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.begin()
        await relay.put(bob(), QueueRecipient("jörg@far.test"), QueueRecipient("carol@far.test"), smtputf8=True)
        await relay.until(relay.empty)
        assert [message.recipients for message in relay.sink.messages] == [["bob@far.test", "carol@far.test"]]
        (report,) = await relay.world.messages(1)
        assert report.count(b"Action: failed") == 1
        assert "Final-Recipient: utf-8; jörg@far.test".encode() in report

    run(tmp_path, test, ("8BITMIME",))


def test_lmtp_route_has_a_result_for_each_recipient(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.lmtp = True
        relay.sink.answers["BODY eve"] = ["452 4.2.2 full"]
        relay.begin(Route("*", "127.0.0.1", relay.sink.port, lmtp=True))
        await relay.put(bob(), QueueRecipient("eve@far.test"))
        await relay.until(lambda: relay.attempts(1))
        ((_, state),) = await relay.world.queue()
        assert [(r.address, r.enhanced) for r in state.recipients] == [("eve@far.test", "4.2.2")]
        assert relay.sink.lines[0].startswith("LHLO ")

    run(tmp_path, test)


def certified(sink: SmtpSink, name: str) -> trustme.CA:
    authority = trustme.CA()
    sink.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(sink.tls)
    return authority


TLS_EXTENSIONS = ("STARTTLS", "AUTH PLAIN LOGIN", "PIPELINING")


def test_tls_is_used_when_it_is_offered(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        certified(relay.sink, "whatever.test")
        relay.begin()
        await relay.put(bob())
        await relay.until(relay.empty)
        assert relay.sink.messages[0].secure

    run(tmp_path, test, TLS_EXTENSIONS)


def test_plaintext_when_tls_fails_and_nothing_more_is_asked(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        relay.sink.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake succeeds
        relay.begin()
        await relay.put(bob())
        await relay.until(relay.empty)
        assert not relay.sink.messages[0].secure

    run(tmp_path, test, TLS_EXTENSIONS)


@pytest.mark.parametrize("tls", ["required", "verify"])
def test_never_plaintext_where_tls_is_required(tmp_path: Path, tls: str) -> None:
    async def test(relay: Relay) -> None:
        relay.begin(Route("*", "127.0.0.1", relay.sink.port, tls=tls))
        await relay.put(bob())
        await relay.until(lambda: relay.attempts(1))
        assert relay.sink.messages == []
        ((_, state),) = await relay.world.queue()
        assert state.recipients[0].enhanced == "4.7.5"

    run(tmp_path, test)


def test_smarthost_with_login_and_verified_name(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        authority = certified(relay.sink, "127.0.0.1")
        (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
        (tmp_path / "password").write_text("secret\nsecond line\n")
        route = Route(
            "*",
            "127.0.0.1",
            relay.sink.port,
            tls="verify",
            user="us",
            password_path=str(tmp_path / "password"),
            ca_path=str(tmp_path / "ca.pem"),
        )
        relay.begin(route)
        await relay.put(bob())
        await relay.until(relay.empty)
        assert relay.sink.messages[0].secure
        assert relay.sink.messages[0].user
        assert "AUTH PLAIN AHVzAHNlY3JldA==" in relay.sink.lines

    run(tmp_path, test, TLS_EXTENSIONS)


def test_unknown_authority_keeps_the_mail(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        certified(relay.sink, "127.0.0.1")
        (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
        relay.begin(Route("*", "127.0.0.1", relay.sink.port, tls="verify", ca_path=str(tmp_path / "ca.pem")))
        await relay.put(bob())
        await relay.until(lambda: relay.attempts(1))
        assert relay.sink.messages == []

    run(tmp_path, test, TLS_EXTENSIONS)


def test_orders_about_the_queue(tmp_path: Path) -> None:
    async def test(relay: Relay) -> None:
        context = relay.world.context
        await relay.put(bob(code=450, enhanced="4.2.0", reply="busy", host="mx"))
        await relay.put(QueueRecipient("eve@far.test"))
        listed = await control.queue_list(context)
        assert [record["recipients"][0]["address"] for record in listed] == ["bob@far.test", "eve@far.test"]
        assert listed[0]["recipients"][0]["reply"] == "450 4.2.0 busy"
        assert await control.queue_retry(context, listed[0]["item"]) == 1
        await control.queue_remove(context, listed[0]["item"])
        assert [record["item"] for record in await control.queue_list(context)] == [listed[1]["item"]]
        for order in (control.queue_remove, control.queue_retry):
            with pytest.raises(Exception, match="no queue item"):
                await order(context, listed[0]["item"])

    run(tmp_path, test)


async def _true(value: bool) -> bool:
    return value


async def _due_later(relay: Relay) -> bool:
    return all(item.due > relay.now for item, _ in await relay.world.queue())
