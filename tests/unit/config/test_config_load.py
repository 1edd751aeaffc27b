"""A configuration is taken whole or refused whole, with all of its faults at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ironpost.config import SERVICES, Config, load, parse
from ironpost.config.render import initial, reference
from ironpost.errors import ConfigError, UserError

MINIMAL = 'hostname = "mail.example.org"\n'


def faults(text: str) -> dict[str, str]:
    """Key to the rest of its line."""
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("/data"))
    return {fault.key: f"{fault.wrong}; {fault.right}" for fault in caught.value.faults}


def test_defaults() -> None:
    config = parse(MINIMAL, Path("/data"))
    assert config.limits.message_octets_max == 50 * 2**20
    assert config.limits.exempt_networks == ("127.0.0.0/8", "::1/128")
    assert config.identity.argon2_memory == 19 * 2**20
    assert config.path("tls/key.pem") == Path("/data/tls/key.pem")
    assert config.runtime_folder == Path("/data/run")


def test_expiry_and_quotas() -> None:
    config = parse(MINIMAL, Path("/data"))
    assert [(rule.folder, rule.after) for rule in config.expire] == [
        ("\\Trash", 30 * 86_400.0),
        ("\\Junk", 30 * 86_400.0),
    ]
    assert config.store.retention == 14 * 86_400.0
    assert (config.quota.account_octets, config.quota.warn_at) == (0, (80, 95))
    assert parse(MINIMAL + "expire = []\n", Path("/data")).expire == ()
    text = (
        '[[expire]]\nfolder = \'\\trash\'\nafter = "30d"\n[[expire]]\nfolder = "Lists/Old"\nafter = "2 h"\n'
        '[quota]\naccount_octets = "2 GiB"\nwarn_at = [90, 50, 90]\n[store]\nretention = 0\n'
    )
    config = parse(MINIMAL + text, Path("/data"))
    assert [(rule.folder, rule.after) for rule in config.expire] == [("\\Trash", 2_592_000.0), ("Lists/Old", 7200.0)]
    assert config.quota.account_octets == 2 * 2**30
    assert config.quota.warn_at == (50, 90)
    assert config.store.retention == 0


def test_faults_of_expiry_and_quotas_are_told_at_once() -> None:
    found = faults(
        MINIMAL + '[[expire]]\nfolder = \'\\Flagged\'\nafter = "1 min"\n[[expire]]\nfolder = "A"\nafter = 7200\n'
        '[[expire]]\nfolder = "A"\nafter = 7200\n'
        '[quota]\nwarn_at = [0]\nfull_reply = "bounce"\naccount_messages = -1\n[store]\nretention = "soon"\n'
    )
    assert sorted(found) == [
        "expire",
        "expire[1].after",
        "expire[1].folder",
        "quota.account_messages",
        "quota.full_reply",
        "quota.warn_at",
        "store.retention",
    ]


def test_listeners_follow_port_base() -> None:
    config = parse(MINIMAL + "port_base = 10000\n", Path("/data"))
    found = {listener.service: (listener.host, listener.port) for listener in config.listeners}
    assert found == {name: ("127.0.0.1", service.port + 10_000) for name, service in SERVICES.items() if service.built}
    assert config.listeners[0].name == "smtp 127.0.0.1:10025"
    assert "http" not in found


def test_standard_ports_are_on_all_addresses() -> None:
    config = parse(MINIMAL, Path("/data"))
    assert {listener.host for listener in config.listeners} == {"0.0.0.0", "::"}
    assert {listener.port for listener in config.listeners if listener.service == "imaps"} == {993}


def test_explicit_listeners_replace_the_others() -> None:
    text = MINIMAL + '[[listener]]\nservice = "imaps"\nhost = "::1"\nport = 1993\n'
    text += '[[listener]]\nservice = "lmtp"\nhost = "unix:run/lmtp.sock"\n'
    imaps, lmtp = parse(text, Path("/data")).listeners
    assert (imaps.name, imaps.implicit_tls) == ("imaps [::1]:1993", True)
    assert (lmtp.name, lmtp.implicit_tls) == ("lmtp unix:run/lmtp.sock", False)


def test_units() -> None:
    config = parse(
        MINIMAL + '[limits]\nmessage_octets_max = "1.5 MiB"\n[relay]\ngive_up = "2 d"\nretry = [30, "5 min"]\n',
        Path("/data"),
    )
    assert config.limits.message_octets_max == 3 * 2**19
    assert config.relay.give_up == 172_800.0
    assert config.relay.retry == (30.0, 300.0)


def test_all_faults_at_once() -> None:
    found = faults(
        "hostnam = 'x'\nport_base = 60001\n[limits]\nrecipients_max = 'many'\nmessage_octet_max = 3\n"
        "[tls]\nchain = 7\n[[listener]]\nport = 3\n[[route]]\ndomain = '*'\nhost = 'a'\nuser = 'b'\n"
    )
    assert "did you mean hostname?" in found["hostnam"]
    assert "is missing" in found["hostname"]
    assert "from 0 to 60000" in found["port_base"]
    assert '"many" does not fit' in found["limits.recipients_max"]
    assert "did you mean limits.message_octets_max?" in found["limits.message_octet_max"]
    assert "the path of a file" in found["tls.chain"]
    assert "one of" in found["listener[1].service"]
    assert "user and password_file together" in found["route[1].user"]
    assert "in the clear" in found["route[1].tls"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("tls = 3", "tls"),
        ("listener = 3", "listener"),
        ("hostname = 3", "hostname"),
        ("hostname = '-bad-'", "hostname"),
        ("workers = true", "workers"),
        ("drain = '5 parsecs'", "drain"),
        ("listen = 'localhost'", "listen"),
        ("[limits]\nexempt_networks = ['10.0.0.1/8']", "limits.exempt_networks"),
        ("[relay]\nnameservers = ['::1:53']", "relay.nameservers"),
        ("[log]\nlevel = 'loud'", "log.level"),
    ],
)
def test_each_kind_says_what_is_wrong(text: str, key: str) -> None:
    base = "" if text.startswith("hostname") else MINIMAL
    assert list(faults(base + text)) == [key]


def test_same_address_twice() -> None:
    one = '[[listener]]\nservice = "smtp"\nhost = "127.0.0.1"\nport = 2525\n'
    assert "same address as listener[1]" in faults(MINIMAL + one + one)["listener[2]"]


def test_syntax_error_and_missing_file(tmp_path: Path) -> None:
    assert "syntax" in faults("this is not toml [")
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path)
    (tmp_path / "ironpost.toml").write_bytes(b"hostname = '\xff'")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path)


@pytest.mark.parametrize("listen", [("127.0.0.1",), ("0.0.0.0", "::")])
def test_the_initial_file_is_right(listen: tuple[str, ...]) -> None:
    text = initial(directory="/data", hostname="mail.example.org", port_base=10_000, listen=listen)
    config = parse(text, Path("/data"))
    assert (config.hostname, config.port_base, config.listen) == ("mail.example.org", 10_000, listen)
    assert len(text.splitlines()) < 40


def test_reference_names_every_key() -> None:
    text = reference()
    for field in dataclasses.fields(Config):
        for inner in dataclasses.fields(field.metadata["section"]) if "section" in field.metadata else ():
            assert f"`{inner.name}`" in text


def faulty(text: str) -> list[str]:
    """The keys with faults; there may be none."""
    try:
        parse(text, Path("/data"))
    except ConfigError as error:
        return [fault.key for fault in error.faults]
    return []


ISSUER = MINIMAL + '[oauth]\nissuer = "https://login.example.org/realm"\n'
AUDIENCE = 'audience = "mail"\n'
KEYS = 'jwks_url = "https://login.example.org/keys"\n'
ASKED = 'introspection_url = "https://login.example.org/introspect"\n'
CLIENT = 'client_id = "mail"\nclient_secret_file = "secret"\n'


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (ISSUER + AUDIENCE + KEYS, []),
        (ISSUER + AUDIENCE + 'jwks_file = "keys.json"\nscopes = ["mail", "mail"]\nuser_claims = ["upn"]\n', []),
        (ISSUER + AUDIENCE + ASKED + CLIENT, []),
        (ISSUER + 'scopes = ["mail"]\n' + ASKED + CLIENT, []),
        (MINIMAL + "[oauth]\n" + AUDIENCE + KEYS, ["oauth.issuer"]),
        (ISSUER + AUDIENCE, ["oauth"]),
        (ISSUER + AUDIENCE + KEYS + 'jwks_file = "keys.json"\n', ["oauth"]),
        (ISSUER + KEYS, ["oauth.audience"]),
        (ISSUER + AUDIENCE + KEYS + CLIENT, ["oauth.client_id"]),
        (ISSUER + ASKED + CLIENT, ["oauth.audience"]),
        (ISSUER + AUDIENCE + ASKED, ["oauth.client_id"]),
        (ISSUER + AUDIENCE + KEYS + 'scopes = ["a b"]\n', ["oauth.scopes"]),
        (ISSUER + AUDIENCE + KEYS + "user_claims = []\n", ["oauth.user_claims"]),
    ],
)
def test_tokens_need_an_issuer_and_one_way_to_check_them(text: str, keys: list[str]) -> None:
    assert faulty(text) == keys


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://login.example.org", True),
        ("https://login.example.org:8443/keys?version=2", True),
        ("https://[2001:db8::1]/keys", True),
        ("http://localhost:8080/keys", True),
        ("http://127.0.0.1/keys", True),
        ("http://[::1]:80/keys", True),
        ("http://login.example.org/keys", False),
        ("http://localhost.example.org/keys", False),
        ("http://127.0.0.1@login.example.org/keys", False),
        ("https://user:word@login.example.org/keys", False),
        ("https://login.example.org/keys#part", False),
        ("https://login.example.org:0/", False),
        ("https://login.example.org:99999/", False),
        ("https:///keys", False),
        ("https://login.example.org/a b", False),
        ("ftp://login.example.org/", False),
        ("login.example.org", False),
    ],
)
def test_urls_need_tls_outside_this_machine(url: str, good: bool) -> None:
    text = f'[oauth]\nissuer = "https://login.example.org"\njwks_url = "{url}"\n'
    assert ("oauth.jwks_url" not in faulty(MINIMAL + text + AUDIENCE)) == good
