"""Signing mail as our domain, where the relay does not: DKIM (RFC 6376) with RSA or Ed25519 (RFC 8463).

Rules, in order:

1. The finished bytes are signed, relaxed/relaxed: what a relay may do to spaces and folds breaks nothing.
2. Every header that says who writes what to whom, and how to leave it, is covered, both List-Unsubscribe headers among
   them (RFC 8058 section 4). Those that people are led by are named once more than they occur, so that nobody can add
   a second one (RFC 6376 section 8.15).
3. A key that cannot sign, or is too weak (RFC 8301 section 3.2), stops the start with one line; nothing of it is shown.
4. An RSA signature costs as much as the rest of a mail: signing has a thread of its own.
5. A mail that cannot be signed has not left: it is `Later`, and the others go.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bots.email.compile import Mail
from bots.email.transports import Answered, Transport
from config.email import DkimSettings
from config.section import BadSettings
from syndicator.domain.letters import Later, Outcome

__all__ = ["COVERED", "Signer", "SigningTransport"]

LEAST_BITS = 2048
SEALED = frozenset(
    {"from", "to", "subject", "date", "reply-to", "content-type", "list-unsubscribe", "list-unsubscribe-post"}
)
COVERED = SEALED | {
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "list-id",
    "feedback-id",
    "auto-submitted",
}
log = structlog.get_logger()

_FOLD = re.compile(rb"\r\n(?=[ \t])")
_SPACES = re.compile(rb"[ \t]+")
_RUN = re.compile(rb"  +")
_WIDTH = 72

Key = RSAPrivateKey | Ed25519PrivateKey


class Signer:
    """Signs as `domain` under `selector`."""

    def __init__(self, domain: str, selector: str, key: Key) -> None:
        self.domain, self.selector = domain, selector
        self._key = key
        self._algorithm = "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"

    @classmethod
    def of(cls, settings: DkimSettings) -> Signer:
        """The signer that the settings ask for.

        Raises:
            BadSettings: the key cannot be read, or cannot sign.
        """
        where = "email.dkim.key_file" if settings.key_file else "email.dkim.key"
        try:
            pem = settings.key.get_secret_value().encode() if settings.key else Path(settings.key_file).read_bytes()
        except OSError as error:
            raise BadSettings(f"{where}: {settings.key_file}: {error.strerror}") from None
        return cls(settings.domain, settings.selector, _read(pem, where))

    @property
    def record_name(self) -> str:
        """Where the public key stands in DNS."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """What stands there (RFC 6376 section 3.6.1, RFC 8463 section 3)."""
        public = self._key.public_key()
        if isinstance(self._key, Ed25519PrivateKey):
            form = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            kind = "ed25519"
        else:
            form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            kind = "rsa"
        return f"v=DKIM1; k={kind}; p={base64.b64encode(public.public_bytes(*form)).decode()}"

    def signed(self, data: bytes, now: datetime) -> bytes:
        """The same mail, with its signature as the first header."""
        head, _, body = data.partition(b"\r\n\r\n")
        fields = [(name.strip().lower(), value) for name, _, value in (f.partition(b":") for f in _fields(head))]
        names = [name.decode("ascii") for name, _ in fields]
        covered = [name for name in names if name in COVERED]
        covered += sorted({name for name in covered if name in SEALED} | {"reply-to"})
        body_hash = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        own = (
            f"DKIM-Signature: v=1; a={self._algorithm}; c=relaxed/relaxed; d={self.domain};\r\n"
            f" s={self.selector}; t={int(now.timestamp())};\r\n"
            f" h={_folded(covered)};\r\n"
            f" bh={body_hash};\r\n"
            " b="
        )
        seen = _chosen(fields, covered)
        seen.append(_relaxed(b"dkim-signature", own.partition(":")[2].encode("ascii")))
        signature = base64.b64encode(self._sign(b"\r\n".join(seen))).decode()
        lines = "\r\n ".join(signature[i : i + _WIDTH] for i in range(0, len(signature), _WIDTH))
        return f"{own}{lines}\r\n".encode("ascii") + data

    def _sign(self, seen: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(seen, PKCS1v15(), hashes.SHA256())
        return self._key.sign(hashlib.sha256(seen).digest())  # RFC 8463 section 3: the digest is what is signed


def _read(pem: bytes, where: str) -> Key:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSettings(f"{where}: a private key in PEM without a passphrase is allowed") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, RSAPrivateKey):
        if key.key_size < LEAST_BITS:
            raise BadSettings(f"{where}: an RSA key of {key.key_size} bits; {LEAST_BITS} or more are allowed")
        return key
    raise BadSettings(f"{where}: an RSA or an Ed25519 key is allowed")


# -- canonical forms
def _fields(head: bytes) -> list[bytes]:
    """The header fields, unfolded."""
    return _FOLD.sub(b"", head).split(b"\r\n")


def _relaxed(name: bytes, value: bytes) -> bytes:
    """RFC 6376 section 3.4.2, without the line's end."""
    return name + b":" + _SPACES.sub(b" ", _FOLD.sub(b"", value)).strip(b" ")


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    body = _RUN.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def _chosen(fields: Sequence[tuple[bytes, bytes]], covered: Sequence[str]) -> list[bytes]:
    """The covered headers in canonical form; the n-th mention of a name is its n-th from below (section 5.4.2)."""
    below: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        below.setdefault(name, []).append(value)
    wanted = (name.encode("ascii") for name in covered)
    return [_relaxed(name, below[name].pop()) for name in wanted if below.get(name)]


def _folded(names: Sequence[str]) -> str:
    """Names with colons between them, on lines that are not too long."""
    lines, line = [], ""
    for name in names:
        if line and len(line) + len(name) >= _WIDTH:
            lines.append(line)
            line = ""
        line += name + ":"
    return "\r\n ".join([*lines, line]).removesuffix(":")


class SigningTransport:
    """Any way out, with every mail signed before it; see `transports.Transport`."""

    def __init__(self, signer: Signer, inner: Transport) -> None:
        self._signer = signer
        self._inner = inner
        self.connections = inner.connections
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dkim")

    @property
    def steady(self) -> bool:
        """As the way out says."""
        return self._inner.steady

    def ready_at(self, now: datetime) -> datetime | None:
        """As the way out says."""
        return self._inner.ready_at(now)

    async def send(self, mails: Sequence[Mail], now: datetime, answered: Answered | None = None) -> Sequence[Outcome]:
        """Sign these mails, and send them."""
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._thread, self._all_signed, mails, now)
        except asyncio.CancelledError:
            return [Later("stopped before it was signed", counts=False)] * len(mails)
        places = [place for place, one in enumerate(made) if isinstance(one, Mail)]

        def told(number: int, outcome: Outcome) -> None:
            if answered is not None:
                answered(places[number], outcome)

        signed = [one for one in made if isinstance(one, Mail)]
        answers = iter(await self._inner.send(signed, now, told) if signed else ())
        return [next(answers) if isinstance(one, Mail) else one for one in made]

    async def close(self) -> None:
        """Let go of the way out and of the thread."""
        self._thread.shutdown(wait=False)
        await self._inner.close()

    def _all_signed(self, mails: Sequence[Mail], now: datetime) -> list[Mail | Later]:
        return [self._one_signed(mail, now) for mail in mails]

    def _one_signed(self, mail: Mail, now: datetime) -> Mail | Later:
        try:
            return replace(mail, data=self._signer.signed(mail.data, now))
        except Exception as error:
            log.exception("mail cannot be signed", message=mail.message_id)
            return Later(f"the mail cannot be signed: {type(error).__name__}")
