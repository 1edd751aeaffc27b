"""Binding: what is busy is named with its owner; passed sockets are taken; systemd is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ironpost.config import parse
from ironpost.errors import UserError
from ironpost.runtime.systemd import Notifier
from ironpost.supervisor import lock
from ironpost.supervisor.sockets import bind_all


def one_listener(port: int) -> str:
    return f'hostname = "h.test"\n[[listener]]\nservice = "smtp"\nhost = "127.0.0.1"\nport = {port}\n'


def test_busy_port_names_its_owner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(UserError) as caught:
            bind_all(parse(one_listener(port), tmp_path), [])
    assert f"smtp 127.0.0.1:{port}: in use by " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)


def test_passed_sockets_are_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        ((listener, bound),) = bind_all(parse(one_listener(passed.getsockname()[1]), tmp_path), [passed])
        assert bound is passed
        assert listener.service == "smtp"


def test_unix_listener_and_foreign_address(tmp_path: Path) -> None:
    text = 'hostname = "h.test"\n[[listener]]\nservice = "lmtp"\nhost = "unix:lmtp.sock"\n'
    for _ in range(2):  # a stale socket is replaced
        ((_, bound),) = bind_all(parse(text, tmp_path), [])
        bound.close()
    with pytest.raises(UserError, match="does not have that address"):
        bind_all(parse(one_listener(0).replace("127.0.0.1", "192.0.2.1"), tmp_path), [])


def test_instance_lock_names_its_holder(tmp_path: Path) -> None:
    config = parse(one_listener(25), tmp_path)
    held = lock.take(config, wait=0)
    try:
        with pytest.raises(UserError, match="is in use"):
            lock.take(config, wait=0)
    finally:
        os.close(held)
    os.close(lock.take(config, wait=0))


def test_notifications(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
        notifier = Notifier(environ)
        assert environ == {}
        assert notifier.watchdog_seconds == 3.0
        notifier.tell("READY=1")
        assert manager.recv(100) == b"READY=1"
        notifier.reloading()
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.tell("STOPPING=1")  # the manager has gone: no fault of ours
    Notifier({}).tell("READY=1")
