"""The command line without a server: what it does, and how it answers mistakes."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from ironpost.cli.root import run
from ironpost.config import load


class Shell:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        self.folder = folder

    def __call__(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        stream = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        self.monkeypatch.setattr(sys, "stdin", stream)
        code = run(list(arguments))
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def good(self, *arguments: str, stdin: str = "") -> str:
        code, out, err = self(*arguments, stdin=stdin)
        assert code == 0, err
        return out

    def mistake(self, *arguments: str, stdin: str = "") -> str:
        code, _, err = self(*arguments, stdin=stdin)
        assert code != 0
        assert err.startswith("ironpost: ")
        assert len(err.splitlines()) == 1
        return err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    monkeypatch.delenv("IRONPOST_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return Shell(capsys, monkeypatch, tmp_path)


@pytest.fixture
def data(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shell.folder / "data"
    shell.good("init", str(folder), "--domain", "example.test", "--port-base", "20000")
    with (folder / "ironpost.toml").open("a") as file:
        file.write('[identity]\nargon2_memory = "64 KiB"\nargon2_time = 1\n')
    monkeypatch.setenv("IRONPOST_DIR", str(folder))
    return folder


def test_init(shell: Shell, data: Path) -> None:
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "tls/key.pem").stat().st_mode) == 0o600
    config = load(data)
    assert config.hostname == "mail.example.test"
    assert {listener.host for listener in config.listeners} == {"127.0.0.1"}
    assert shell.good("domain", "list") == "example.test\n"
    assert os.listdir(shell.folder) == ["data"]


def test_certificate(data: Path) -> None:
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(data / "tls/chain.pem", data / "tls/key.pem")
    certificate = x509.load_pem_x509_certificate((data / "tls/chain.pem").read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.test", "example.test", "localhost"]
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))


def test_init_of_standard_ports(shell: Shell) -> None:
    shell.good("init", "all", "--domain", "example.test", "--hostname", "mx.example.test")
    config = load(Path("all"))
    assert config.hostname == "mx.example.test"
    assert {listener.host for listener in config.listeners} == {"0.0.0.0", "::"}
    shell.good("init", "--dir", "one", "--domain", "example.test", "--listen", "::1")
    assert {listener.host for listener in load(Path("one")).listeners} == {"::1"}


def test_init_touches_nothing_when_it_refuses(shell: Shell, data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert "nothing has been changed" in shell.mistake("init", str(data), "--domain", "other.test")
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    for arguments in (
        ["--port-base", "60001"],
        ["--port-base", "-1"],
        ["--listen", "localhost"],
        ["--hostname", "no good"],
    ):
        shell.mistake("init", "fresh", "--domain", "example.test", *arguments)
    shell.mistake("init", "fresh", "--domain", "no domain")
    shell.mistake("init", "a/b/c", "--domain", "example.test")
    Path("file").write_text("")
    shell.mistake("init", "file", "--domain", "example.test")
    assert not Path("fresh").exists()


def test_accounts(shell: Shell, data: Path) -> None:
    shell.good("account", "add", "alice@example.test", "--password-stdin", stdin="secret\n")
    assert shell.good("account", "list") == "alice@example.test\n"
    assert json.loads(shell.good("account", "list", "--json")) == [{"id": 1, "address": "alice@example.test"}]
    assert shell.good("account", "list", "other.test") == ""
    shell.good("account", "passwd", "alice@example.test", "--password-stdin", stdin="other\n")
    shell.good("alias", "add", "sales@example.test", "alice@example.test", "far@other.test")
    assert shell.good("alias", "list") == "sales@example.test  alice@example.test, far@other.test\n"
    shell.good("alias", "remove", "sales@example.test", "far@other.test")
    shell.good("alias", "remove", "sales@example.test")
    shell.good("account", "remove", "alice@example.test")
    shell.good("domain", "remove", "example.test")


def test_mistakes(shell: Shell, data: Path) -> None:
    shell.mistake("account", "add", "alice@example.test", "--password-stdin")
    shell.mistake("account", "add", "alice@example.test", "--password-stdin", stdin="\n")
    assert "--password-stdin" in shell.mistake("account", "add", "alice@example.test")
    shell.mistake("account", "add", "alice", "--password-stdin", stdin="x\n")
    shell.mistake("account", "add", "a@other.test", "--password-stdin", stdin="x\n")
    shell.mistake("account", "remove", "nobody@example.test")
    shell.mistake("domain", "remove", "other.test")
    shell.mistake("alias", "remove", "x@example.test")
    shell.mistake("account", "import", "none.csv")
    shell.mistake("frobnicate")
    shell.mistake("account")
    shell.mistake("account", "frobnicate")
    shell.mistake("domain", "add")
    shell.mistake("domain", "add", "x.test", "--frob")
    shell.mistake("queue", "retry", "seven")
    shell.mistake("serve", "one", "--dir", "two")
    shell.monkeypatch.delenv("IRONPOST_DIR")
    assert "IRONPOST_DIR" in shell.mistake("status")
    shell.mistake("status", "nowhere")
    (data / "ironpost.toml").write_text("[")
    assert "ironpost.toml" in shell.mistake("serve", str(data))


def test_usage_is_code_2(shell: Shell) -> None:
    assert shell("account", "add")[0] == 2
    assert shell("status", "nowhere")[0] == 1


@pytest.mark.parametrize(
    "command",
    ["", "init", "serve", "quickstart", "status", "config", "config check", "config reference", "domain", "domain add",
     "domain list", "domain remove", "account", "account add", "account list", "account remove", "account passwd",
     "account import", "alias", "alias add", "alias list", "alias remove", "store", "store check", "store stat",
     "queue", "queue list", "queue retry", "queue remove"],
)  # fmt: skip
def test_help(shell: Shell, command: str) -> None:
    assert shell.good(*command.split(), "--help").startswith("Usage: ironpost")


def test_directory_by_option_on_either_side(shell: Shell, data: Path) -> None:
    shell.monkeypatch.delenv("IRONPOST_DIR")
    assert shell.good("--dir", str(data), "domain", "list") == "example.test\n"
    assert shell.good("domain", "list", "--dir", str(data)) == "example.test\n"
    shell.monkeypatch.chdir(data)
    assert shell.good("domain", "list") == "example.test\n"


def test_import(shell: Shell, data: Path) -> None:
    Path("people.csv").write_text(
        "address,password\n"
        "a@example.test,one\n"
        'b@example.test,"with, comma"\n'
        "\n"
        "broken\n"
        "c@other.test,x\n"
        "A@example.test,again\n"
        "d@example.test,\n"
        "e@example.test,bad\x01password\n"
        "f@example.test,six\n"
    )
    code, out, err = shell("account", "import", "people.csv")
    assert code == 1
    assert out == "added 3 accounts, 5 faults\n"
    assert [line.partition(":")[0] for line in err.splitlines() if line.startswith("line")] == [
        "line 5",
        "line 6",
        "line 7",
        "line 8",
        "line 9",
    ]
    assert "again" not in err
    assert shell.good("account", "list").split() == ["a@example.test", "b@example.test", "f@example.test"]
    code, out, _ = shell("account", "import", "people.csv")
    assert out == "added 0 accounts, 3 were there already, 5 faults\n"
    assert shell.good("account", "import", "-", stdin="g@example.test,x\r\n") == "added 1 accounts\n"


def test_status_without_a_server(shell: Shell, data: Path) -> None:
    facts = json.loads(shell.good("status", "--json"))
    assert facts["running"] is False
    assert facts["accounts"] == 0
    assert "not running" in shell.good("status", str(data))


def test_reference(shell: Shell) -> None:
    assert "message_octets_max" in shell.good("config", "reference")


def test_locked_data_is_told(shell: Shell, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ironpost.cli import access
    from ironpost.supervisor import lock

    monkeypatch.setattr(access, "BETWEEN_SECONDS", 0.0)
    held = lock.take(load(data), wait=0)
    try:
        assert "is in use" in shell.mistake("domain", "list")
    finally:
        os.close(held)


def test_octets_that_are_no_text(shell: Shell, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a C locale, where Python makes text of anything.
    stream = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", stream)
    assert run(["account", "add", "a@example.test", "--password-stdin"]) == 1
    assert "not UTF-8" in shell.capsys.readouterr().err
    assert "is not a domain" in shell.mistake("domain", "add", "\udcff.test")
    assert "UTF-8" in shell.mistake("init", str(shell.folder / "\udcff"), "--domain", "example.test")


@pytest.mark.parametrize("item", ["0", "-1", "18446744073709551616", "abc"])
def test_queue_items_are_positive_numbers(shell: Shell, data: Path, item: str) -> None:
    assert "Invalid value for 'ITEM'" in shell.mistake("queue", "remove", "--", item)
    assert "Invalid value for '[ITEM]'" in shell.mistake("queue", "retry", "--", item)


def test_no_command_names_the_commands(shell: Shell) -> None:
    assert "One of account, alias, app-password, backup, config" in shell.mistake()
    assert shell.mistake("queue") == (
        "ironpost: which command? One of list, remove, retry (see: ironpost queue --help)\n"
    )
