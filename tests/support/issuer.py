"""An OAuth issuer for tests, over HTTPS on loopback: it signs JWTs with `cryptography` alone, apart from what the server checks
them with, publishes its keys and answers introspections."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.server import Server

AUDIENCE = "mail.example.test"
GATE_SECONDS = 60.0  # then a test has forgotten it
CLIENT = ("mail server", "s3cret: +/%")


def base64url(octets: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value: int, octets: int = 0) -> str:
    """As a JWK has it."""
    return base64url(value.to_bytes(octets or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A private key for one algorithm."""

    def __init__(self, algorithm: str, kid: str, bits: int = 2048) -> None:
        self.algorithm, self.kid = algorithm, kid
        self.private: Any
        if algorithm in ("RS256", "PS256"):
            self.private = rsa.generate_private_key(65537, bits)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self) -> dict[str, str]:
        """The public half."""
        public = self.private.public_key()
        about = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {**about, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_numbers()
            return {**about, "kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        return {**about, "kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw())}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A JWT; `header` adds to its header or replaces in it."""
        fields = {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt", **header}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (fields, claims))
        octets = signed.encode()
        if self.algorithm == "RS256":
            signature = self.private.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        elif self.algorithm == "PS256":
            signature = self.private.sign(octets, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        elif self.algorithm == "ES256":
            pair = decode_dss_signature(self.private.sign(octets, ec.ECDSA(hashes.SHA256())))
            signature = b"".join(part.to_bytes(32, "big") for part in pair)
        else:
            signature = self.private.sign(octets)
        return f"{signed}.{base64url(signature)}"


def with_hmac(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    """The confusion of RFC 8725 §2.1: what is public used as an HMAC's secret."""
    fields = {"alg": "HS256", "kid": kid, "typ": "at+jwt"}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (fields, claims))
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


class Issuer:
    """`answers`: (status, JSON or octets) of each path; none while `gate` is closed. `asked`: paths, fields, bodies."""

    def __init__(self, *, tls: bool = True) -> None:
        self.key = Key("ES256", "first")
        self.authority = trustme.CA()
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}  # what /introspect knows
        self.publish(self.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert("localhost").configure_cert(context)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if tls else 'http'}://localhost:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Issuer]:
        """Until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def publish(self, *keys: Key) -> None:
        """These and no others at /keys."""
        self.answers["/keys"] = (200, {"keys": [key.jwk() for key in keys]})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good ones for alice; None takes one away."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "4711",
            "email": "alice@example.test",
            "scope": "openid mail",
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """A JWT of the present key."""
        return self.key.sign(self.claims(**changes))

    def known_to(self, server: Server, *, introspection: bool = False) -> Server:
        """The server, which has this issuer in its configuration when it starts."""
        text = (server.folder / "ironpost.toml").read_text()
        server.write_config(text + self.config(server.folder, introspection=introspection))
        return server

    def config(self, folder: Path, *, introspection: bool = False) -> str:
        """[oauth]; its files go into the folder."""
        self.authority.cert_pem.write_to_path(str(folder / "issuer.pem"))
        lines = ["[oauth]", f'issuer = "{self.url}"', f'audience = "{AUDIENCE}"', 'scopes = ["mail"]']
        if introspection:
            (folder / "issuer.secret").write_text(CLIENT[1] + "\n")
            lines += [f'introspection_url = "{self.url}/introspect"', f'client_id = "{CLIENT[0]}"']
            lines += ['client_secret_file = "issuer.secret"']
        else:
            lines += [f'jwks_url = "{self.url}/keys"']
        return "\n".join([*lines, 'ca_file = "issuer.pem"', ""])

    def _introspected(self, fields: dict[str, str], body: str) -> tuple[int, Any]:
        credentials = base64.b64decode(fields.get("authorization", "").removeprefix("Basic ")).decode()
        if tuple(unquote_plus(part) for part in credentials.split(":")) != CLIENT:
            return 401, {"error": "invalid_client"}
        said = self.tokens.get(parse_qs(body)["token"][0])
        return 200, {"active": False} if said is None else {"active": True, **said}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                self.answer("")

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def answer(self, body: str) -> None:
                fields = {name.lower(): value for name, value in self.headers.items()}
                issuer.asked.append((self.path, fields, body))
                issuer.gate.wait(GATE_SECONDS)
                if self.path in issuer.answers:
                    status, content = issuer.answers[self.path]
                elif self.path == "/introspect":
                    status, content = issuer._introspected(fields, body)
                else:
                    status, content = 404, {}
                octets = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(octets)))
                    if 300 <= status < 400:
                        self.send_header("Location", issuer.url + "/keys")
                    self.end_headers()
                    self.wfile.write(octets)
                except OSError:
                    pass  # a client that has waited long enough

            def log_message(self, *_: object) -> None:
                pass

        return Handler
