"""From the configuration file to the relay's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironpost.config import parse
from ironpost.errors import ConfigError
from ironpost.relay.settings import settings_of

TEXT = """
hostname = "Mail.Own.Test"
listen = ["192.0.2.9"]

[relay]
nameservers = ["127.0.0.1:5353", "[::1]:53"]
retry = ["1 min", "5 min"]
give_up = "2 d"

[[route]]
domain = "Far.Test"
host = "127.0.0.1"
port = 2525
tls = "verify"
user = "us"
password_file = "secret"
"""


def test_settings(tmp_path: Path) -> None:
    settings = settings_of(parse(TEXT, tmp_path))
    assert settings.hostname == "mail.own.test"
    assert settings.nameservers == (("127.0.0.1", 5353), ("::1", 53))
    assert settings.backoff.pauses == (60.0, 300.0)
    assert settings.backoff.give_up == 172_800.0
    assert {"192.0.2.9", "127.0.0.1", "::1"} <= settings.own_addresses
    route = settings.route("far.test")
    assert route is not None
    assert (route.port, route.tls, route.user) == (2525, "verify", "us")
    assert route.password_path == str(tmp_path / "secret")


@pytest.mark.parametrize("wrong", ['"127.0.0.1"', '"::1:53"', '"host:53"', '"127.0.0.1:0"', '"127.0.0.1:x"', "53"])
def test_wrong_nameservers_are_told(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match="nameservers"):
        parse(TEXT.replace('"127.0.0.1:5353"', wrong), tmp_path)
