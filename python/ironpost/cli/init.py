"""`ironpost init`: a data directory with a short configuration, a self-signed certificate and one domain.

Everything is made in a folder beside the target and moved there in one step: an init that fails leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from ..errors import UserError
from ..runtime.durable import sync_folder, write_file
from .common import chosen, directory_argument

CERTIFICATE_DAYS: Final = 3650  # a stand-in that should not fail in the middle of a trial


@click.command()
@directory_argument
@click.option("--domain", required=True, metavar="D", help="The first domain whose mail is ours.")
@click.option("--hostname", metavar="H", help="Name of this server in the world (default: mail.D).")
@click.option("--port-base", type=int, default=0, metavar="N", help="Added to every standard port.")
@click.option(
    "--listen",
    metavar="ADDR",
    multiple=True,
    help="Address to listen on; may be repeated (default: 127.0.0.1 when N is given, else all).",
)
def init(
    directory: str | None,
    directory_option: str | None,
    domain: str,
    hostname: str | None,
    port_base: int,
    listen: tuple[str, ...],
) -> None:
    """Make a new data directory DIR."""
    target = chosen(directory_option, directory)
    create(target, domain=domain, hostname=hostname, port_base=port_base, listen=listen)
    click.echo(f"made {target}; next:")
    click.echo(f"  ironpost account add you@{domain} --dir {target}")
    click.echo(f"  ironpost serve {target}")


def create(
    target: Path, *, domain: str, hostname: str | None = None, port_base: int = 0, listen: tuple[str, ...] = ()
) -> None:
    """Makes the data directory. Raises UserError, and then has touched nothing."""
    from ..config import PORT_BASE_MAX
    from ..config.kinds import is_address, is_host_name
    from ..state.addresses import domain_key, valid_domain

    if not 0 <= port_base <= PORT_BASE_MAX:
        raise UserError(f"--port-base {port_base} is out of range; give a number from 0 to {PORT_BASE_MAX}")
    for address in listen:
        if not is_address(address):
            raise UserError(f'--listen {address} is no IP address; give one such as 127.0.0.1 or "::"')
    name = valid_domain(domain)
    host = domain_key(hostname) if hostname else f"mail.{name}"
    if not is_host_name(host):
        raise UserError(f"--hostname {hostname} is no host name; give one such as mail.{name}")
    addresses = tuple(dict.fromkeys(listen)) or (("127.0.0.1",) if port_base else ("0.0.0.0", "::"))
    if target.is_symlink() or target.exists():
        if not target.is_dir():
            raise UserError(f"{target} is there already, and is no directory")
        if any(target.iterdir()):
            raise UserError(f"{target} is there already, with data in it; nothing has been changed")
    _make(target, name, host, port_base, addresses)


def _make(target: Path, domain: str, hostname: str, port_base: int, listen: tuple[str, ...]) -> None:
    from ..config import FILE_NAME, load
    from ..config.render import initial
    from ..state import edits
    from ..state.directory import Directory

    parent = target.absolute().parent
    if not parent.is_dir():
        raise UserError(f"{parent} is not there; make it first")
    work = Path(tempfile.mkdtemp(prefix=".ironpost-init-", dir=parent))  # mode 0700
    try:
        text = initial(directory=str(target), hostname=hostname, port_base=port_base, listen=listen)
        write_file(work / FILE_NAME, text.encode())
        for folder in ("tls", "run", "state", "store"):
            (work / folder).mkdir(mode=0o700)
        chain, key = self_signed(hostname, domain)
        write_file(work / "tls/chain.pem", chain, mode=0o644)
        write_file(work / "tls/key.pem", key)
        config = load(work)
        directory = Directory(config.state_folder)
        try:
            environment = directory.environment
            environment.submit(lambda txn: edits.add_domain(environment.tables, txn, domain)).result()
        finally:
            directory.close()
        sync_folder(work)
        os.rename(work, target)  # onto nothing, or an empty directory
        sync_folder(parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(work)
        raise


def self_signed(hostname: str, domain: str) -> tuple[bytes, bytes]:
    """A certificate (ECDSA P-256) for the host, the domain and loopback, and its key, in PEM."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    names = [x509.DNSName(text) for text in dict.fromkeys((hostname, domain, "localhost"))]
    loopback = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([*names, *loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
