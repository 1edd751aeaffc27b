"""The client's side of SCRAM (RFC 5802), for tests: written from the RFC, apart from the server's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


class ScramClient:
    """Call it with each challenge; it gives the answer. `server_signature_good` once the server's final message was right."""

    def __init__(self, mechanism: str, user: str, password: str, *, nonce: str = "", gs2: str = "n,,") -> None:
        self.hash = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[mechanism]
        self.password = password.encode()
        self.nonce = nonce or secrets.token_urlsafe(18)
        self.gs2 = gs2
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={name},r={self.nonce}"
        self.messages: list[bytes] = []
        self.server_signature = b""
        self.server_signature_good = False

    def __call__(self, challenge: bytes | None) -> bytes:
        if not challenge:
            answer = (self.gs2 + self.bare).encode()
        elif challenge.startswith(b"v="):
            self.server_signature_good = base64.b64decode(challenge[2:]) == self.server_signature
            answer = b""
        else:
            answer = self.final(challenge.decode())
        self.messages.append(answer)
        return answer

    def final(self, server_first: str) -> bytes:
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        assert fields["r"].startswith(self.nonce)
        assert len(fields["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", self.hash)
        stored_key = hashlib.new(self.hash, client_key).digest()
        without_proof = f"c={base64.b64encode(self.gs2.encode()).decode()},r={fields['r']}"
        message = f"{self.bare},{server_first},{without_proof}".encode()
        signature = hmac.digest(stored_key, message, self.hash)
        proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
        self.server_signature = hmac.digest(hmac.digest(salted, b"Server Key", self.hash), message, self.hash)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()
