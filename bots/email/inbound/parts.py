"""A mail as a few flat parts, whatever somebody has sent: bounded in depth, number, size and time. Pure.

Rules, in order:

1. Only so much is looked at as machines write in front: `LOOKED_AT` bytes of the mail, `DEPTH` levels, `PARTS` parts. A
   part that was cut off is as good as far as it goes; an end that never comes ends with the mail.
2. A mail within a mail (message/...) is not opened: it is a part, and its own headers can be read from its body.
3. Nothing here raises for what a mail holds: an unknown encoding is left as it came, unknown characters are replaced.
"""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32

from syndicator.domain.text import one_line

__all__ = ["LOOKED_AT", "Part", "blocks_of", "headers_of", "parts_of", "value", "values"]

LOOKED_AT = 1_000_000  # bytes
DEPTH = 4
PARTS = 40


class _AsItCame(Compat32):
    """Header values with their bytes, which the library would replace where they are no ASCII."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002
        """The value."""
        return value


_AS_IT_CAME = _AsItCame()
_HEAD = 64_000  # bytes of headers
_VALUE = 4_000  # characters of one header that are looked at
_MANY = 20  # headers of one name


@dataclass(frozen=True, slots=True)
class Part:
    """A part that holds no others. `body` is decoded from its transfer encoding."""

    headers: Message
    body: bytes

    @property
    def kind(self) -> str:
        """Its type, such as text/plain, lower case."""
        return _kind(self.headers)

    @property
    def text(self) -> str:
        """The body as text; what cannot be read is replaced."""
        charset = _parameter(self.headers, "charset") or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")


def parts_of(data: bytes) -> list[Part]:
    """The parts of a mail, outer ones first; a mail of one part is that part."""
    found: list[Part] = []
    waiting = [(data[:LOOKED_AT], 0)]
    while waiting and len(found) < PARTS:
        raw, depth = waiting.pop(0)
        headers, body = _cut(raw)
        boundary = _parameter(headers, "boundary") if _kind(headers).startswith("multipart/") else ""
        if boundary and depth < DEPTH:
            inner = list(_split(body, boundary))
            waiting = [(one, depth + 1) for one in inner] + waiting[:PARTS]
        else:
            found.append(Part(headers, _decoded(headers, body)))
    return found


def headers_of(data: bytes) -> Message:
    """The headers at the beginning of a mail."""
    return _cut(data[: _HEAD * 2])[0]


def blocks_of(body: bytes) -> list[Message]:
    """Blocks of fields with empty lines between them, as reports have them (RFC 3464 section 2.1)."""
    lines = body[:_HEAD].replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n").split(b"\n\n")
    return [_parsed(block.strip(b"\n")) for block in lines[:PARTS] if block.strip()]


def value(headers: Message, name: str) -> str:
    """The first header of that name as one clean line; "" where there is none."""
    return next(iter(values(headers, name)), "")


def values(headers: Message, name: str) -> list[str]:
    """All headers of that name, each as one clean line of bounded length."""
    return [_readable(str(one)) for one in headers.get_all(name, [])[:_MANY]]


def _readable(raw: str) -> str:
    text = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:_VALUE]
    if "=?" not in text:
        return one_line(text)
    try:
        words = [
            word if isinstance(word, str) else word.decode(charset or "ascii", "replace")
            for word, charset in decode_header(text)
        ]
    except (HeaderParseError, LookupError, ValueError):
        return one_line(text)
    return one_line("".join(words))


def _kind(headers: Message) -> str:
    return headers.get_content_type().lower()


def _parameter(headers: Message, name: str) -> str:
    """A parameter of the type, or "": of a bounded header, since `email` takes the square of its length."""
    short = Message(policy=_AS_IT_CAME)
    short["Content-Type"] = str(headers.get("Content-Type", ""))[:_VALUE]
    return str(short.get_param(name) or "")


def _cut(raw: bytes) -> tuple[Message, bytes]:
    """Headers and body."""
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := raw.find(mark)) >= 0]
    if raw[:1] in (b"\r", b"\n"):  # a part without headers
        return _parsed(b""), raw.lstrip(b"\r\n")
    at, length = min(ends, default=(len(raw), 0))
    return _parsed(raw[:at]), raw[at + length :]


def _parsed(head: bytes) -> Message:
    return BytesHeaderParser(policy=_AS_IT_CAME).parsebytes(head[:_HEAD])


def _split(body: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the boundaries (RFC 2046 section 5.1.1), without the preamble."""
    mark = b"--" + boundary.encode("utf-8", "surrogateescape")
    current: list[bytes] | None = None
    made = 0
    for line in body.splitlines(keepends=True):
        bare = line.rstrip()
        if bare in (mark, mark + b"--"):
            if current is not None:
                yield b"".join(current)
                made += 1
            if bare != mark or made >= PARTS:
                return
            current = []
        elif current is not None:
            current.append(line)
    if current is not None:
        yield b"".join(current)


def _decoded(headers: Message, body: bytes) -> bytes:
    encoding = str(headers.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    if encoding == "base64":
        try:
            return base64.b64decode(bytes(byte for byte in body if byte in _BASE64) + b"==")
        except (binascii.Error, ValueError):
            return body
    return body


_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
