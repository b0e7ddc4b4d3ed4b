"""Replies of a relay, read from bytes as they come (RFC 5321 section 4.2).

Rules, in order:

1. A reply is three digits, and a text that may have several lines; all lines carry the same digits.
2. Lines and replies are bounded: a relay that never ends one has said nothing.
3. What is no reply is an error, and so is all that follows it.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BadReply", "Replies"]

LONGEST_LINE = 4096  # RFC 5321 section 4.5.3.1.5 allows 512
MOST_LINES = 128


class BadReply(ValueError):
    """What came is no reply; one clear line."""


class Replies:
    """Bytes in, (code, text) out. The lines of a text are joined by spaces."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The replies that are complete with `data`.

        Raises:
            BadReply: something else came.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = self._read(line)
            if reply is not None:
                yield reply
        if len(self._rest) > LONGEST_LINE:
            raise BadReply("the relay's line does not end")

    def _read(self, line: bytes) -> tuple[int, bytes] | None:
        code, mark, text = line[:3], line[3:4], line[4:].strip()
        if not (len(code) == 3 and code.isdigit() and b"200" <= code <= b"599" and mark in (b" ", b"-", b"\r", b"")):
            raise BadReply("what the relay said is no SMTP reply")
        if len(line) > LONGEST_LINE or len(self._lines) >= MOST_LINES:
            raise BadReply("the relay's reply does not end")
        if self._lines and code != self._code:
            raise BadReply("the relay's reply changes its code")
        if mark == b"-":
            self._lines.append(text)
            self._code = code
            return None
        if self._lines:
            text = b" ".join((*self._lines, text))
            self._lines = []
        return int(code), text
