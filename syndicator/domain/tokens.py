"""Tokens: the links in messages that let their holder act for one subscriber, and nobody else.

Rules, in order:

1. A token is 40 characters of [A-Za-z0-9_-], whatever it stands for: it fits a path, a header and a bot's deep link.
2. It holds an id, an expiry (or none: a way out never closes) and an HMAC-SHA256 over purpose, id and expiry.
3. In an address a token is 48 letters and digits of lower case: some servers change the case of what they carry.
4. A token for one purpose says nothing for another. The signature is compared in constant time, before anything
   that the token says is believed.
5. A fingerprint tells nobody without the secret what it is of: of an address, say, that is to be kept out.
6. No clock is read here: `now` is passed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from itertools import product
from math import ceil

__all__ = ["CONFIRM_FOR", "TOKEN_LENGTH", "BadToken", "Tokens"]

TOKEN_LENGTH = 40
CONFIRM_FOR = timedelta(days=7)  # how long a confirmation link works where `retention.pending_days` says nothing else

_ID_BYTES = 6
_EXPIRY_BYTES = 5  # seconds since 1970; 0 stands for never
_MAC_BYTES = 19  # 152 bits, and the whole is 30 bytes: base64 without padding or loose bits
_PAIRS = ["".join(pair) for pair in product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)]  # RFC 4648, section 6
_PLACES = range(30 * 8 - 10, -1, -10)  # ten bits are two letters, and thirty bytes need no padding
_FORM = re.compile(r"[A-Za-z0-9_-]{40}")
_MAILBOX_FORM = re.compile(r"[a-z2-7]{48}")


class BadToken(ValueError):
    """A token that opens nothing; the message says whether it is too late or not ours."""


class Tokens:
    """Signs and verifies with the site's secret.

    Raises:
        ValueError: the secret has fewer than 16 bytes.
    """

    __slots__ = ("_begun", "_secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError(f"site.secret has {len(secret)} bytes; it needs 16 or more")
        self._secret = bytes(secret)
        self._begun: dict[str, hmac.HMAC] = {}  # by purpose: what all its tokens begin with, worked out once

    def __repr__(self) -> str:
        return "Tokens(...)"

    def sign(self, purpose: str, id: int, expires: datetime | None = None) -> str:  # noqa: A002 - it is the word
        """A token for this id; without `expires` it never ends."""
        until = 0 if expires is None else ceil(_seconds(expires))
        if expires is not None and not 0 < until < 1 << 8 * _EXPIRY_BYTES:
            raise ValueError(f"expiry {expires} is out of range")
        return base64.urlsafe_b64encode(self._signed(purpose, id, until)).decode("ascii")

    def mailbox(self, purpose: str, id: int) -> str:  # noqa: A002
        """A token for an address, which never ends."""
        number = int.from_bytes(self._signed(purpose, id, 0), "big")
        return "".join([_PAIRS[number >> place & 1023] for place in _PLACES])  # a third of b32encode's time

    def fingerprint(self, purpose: str, text: str) -> str:
        """64 hexadecimal digits that stand for a text, the same each time."""
        message = b"syndicator fingerprint\0" + purpose.encode() + b"\0" + text.encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def verify(self, purpose: str, token: str, now: datetime) -> int:
        """The id a token stands for.

        Raises:
            BadToken: it is not ours (forged, cut, for another purpose), or it has expired.
        """
        if not _FORM.fullmatch(token):
            raise BadToken("this link is not one of ours")
        return self._verified(purpose, base64.urlsafe_b64decode(token), now)

    def verify_mailbox(self, purpose: str, token: str, now: datetime) -> int:
        """The id that a token in an address stands for, in whatever case it came back.

        Raises:
            BadToken: it is not ours.
        """
        if not _MAILBOX_FORM.fullmatch(token.lower()):
            raise BadToken("this address is not one of ours")
        return self._verified(purpose, base64.b32decode(token.upper()), now)

    def _signed(self, purpose: str, id: int, until: int) -> bytes:  # noqa: A002
        if not 0 <= id < 1 << 8 * _ID_BYTES:
            raise ValueError(f"id {id} is out of range")
        payload = id.to_bytes(_ID_BYTES, "big") + until.to_bytes(_EXPIRY_BYTES, "big")
        return payload + self._mac(purpose, payload)

    def _verified(self, purpose: str, raw: bytes, now: datetime) -> int:
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, payload)):
            raise BadToken("this link is not one of ours")
        until = int.from_bytes(payload[_ID_BYTES:], "big")
        if until and _seconds(now) >= until:
            raise BadToken(f"this link expired at {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC")
        return int.from_bytes(payload[:_ID_BYTES], "big")

    def _mac(self, purpose: str, payload: bytes) -> bytes:
        # The payload has a fixed length, so purpose and payload cannot be shifted into one another.
        begun = self._begun.get(purpose)
        if begun is None:
            begin = b"syndicator token\0" + purpose.encode() + b"\0"
            begun = self._begun[purpose] = hmac.new(self._secret, begin, hashlib.sha256)
        mac = begun.copy()
        mac.update(payload)
        return mac.digest()[:_MAC_BYTES]


def _seconds(moment: datetime) -> float:
    if moment.tzinfo is None:
        raise ValueError("times are aware, in UTC")
    return moment.timestamp()
