"""What we ask of a relay for one mail: MAIL, RCPT and DATA, and the message as it goes over the wire.

Rules, in order:

1. A parameter is used only where the relay offers it. A mail that needs one which is not offered is refused in words.
2. MAIL has SIZE (RFC 1870), BODY=8BITMIME for bytes beyond ASCII (RFC 6152), SMTPUTF8 for an address beyond ASCII
   (RFC 6531).
3. Where reports are offered (DSN, RFC 3461) they come back without the message (RET=HDRS), name the mail (ENVID) and
   the address as we wrote it (ORCPT), and come for failure and delay.
4. Nothing in an envelope can end a command: what could is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bots.email.compile import Mail

__all__ = ["Envelope", "NotCarried", "Offers", "stuffed"]

LONGEST_ENVID = 100  # RFC 3461 section 4.4
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>]")
_NOT_XTEXT = re.compile(r"[^!-~]|[+=]")
_NOT_UTF8_XTEXT = re.compile(r"[^!-~]|[+=\\]")


class NotCarried(ValueError):
    """This mail cannot go over this relay; one clear line why, without the address."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What the relay said to EHLO; nothing, if it only knows HELO. `largest` is in bytes, 0 where it does not say."""

    pipelining: bool = False
    size: bool = False
    largest: int = 0
    eightbit: bool = False
    utf8: bool = False
    dsn: bool = False

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Offers:
        """From the keywords of EHLO, lower case, each with its parameters."""
        size = extensions.get("size", "")
        return cls(
            pipelining="pipelining" in extensions,
            size="size" in extensions,
            largest=int(size) if size.isascii() and size.isdigit() and len(size) <= 20 else 0,
            eightbit="8bitmime" in extensions,
            utf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
        )

    @property
    def words(self) -> str:
        """The keywords, for people."""
        named = {"PIPELINING": self.pipelining, "DSN": self.dsn, "SMTPUTF8": self.utf8, "SIZE": self.size}
        return ", ".join(word for word, offered in named.items() if offered)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The commands for one mail, each with its CRLF."""

    mail: bytes
    rcpt: bytes

    @classmethod
    def of(cls, mail: Mail, offers: Offers) -> Envelope:
        """The envelope of a mail.

        Raises:
            NotCarried: the relay does not offer what it needs.
        """
        to, utf8 = mail.recipient.text, mail.recipient.utf8
        if _FORBIDDEN.search(mail.sender) or _FORBIDDEN.search(to) or not mail.sender.isascii():
            raise NotCarried("the envelope holds a character that no command may hold")
        if utf8 and not offers.utf8:
            raise NotCarried("the address needs SMTPUTF8, which the relay does not offer")
        is_8bit = utf8 or not mail.data.isascii()
        if is_8bit and not (offers.eightbit or offers.utf8):
            raise NotCarried("the message needs 8BITMIME, which the relay does not offer")
        size = len(mail.data)
        if 0 < offers.largest < size:
            raise NotCarried(f"the message has {size} bytes; the relay takes {offers.largest}")
        options = (b" BODY=8BITMIME" if is_8bit else b"") + (b" SMTPUTF8" if utf8 else b"")
        if offers.size:
            options += b" SIZE=%d" % size
        notify = b""
        if offers.dsn:
            options += b" RET=HDRS" + _envid(mail.envelope_id)
            notify = b" NOTIFY=FAILURE,DELAY ORCPT=" + _orcpt(to, utf8=utf8)
        return cls(
            b"MAIL FROM:<%b>%b\r\n" % (mail.sender.encode("ascii"), options),
            b"RCPT TO:<%b>%b\r\n" % (to.encode(), notify),
        )


def stuffed(mail: Mail) -> bytes:
    """As DATA wants it: lines that begin with a dot get another (RFC 5321 section 4.5.2), and the final dot."""
    data = mail.data
    if not mail.dotless:  # looking costs more than all the rest of sending
        data = data.replace(b"\r\n.", b"\r\n..")
        if data.startswith(b"."):
            data = b"." + data
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")


def _envid(identity: str) -> bytes:
    written = _NOT_XTEXT.sub(_hex, identity)
    return b" ENVID=" + written.encode("ascii") if 0 < len(written) <= LONGEST_ENVID else b""


def _orcpt(to: str, *, utf8: bool) -> bytes:
    """The address as first written, in xtext (RFC 3461 section 4.2), or as RFC 6533 section 3 has it."""
    if utf8:
        return b"utf-8;" + _NOT_UTF8_XTEXT.sub(_code_point, to).encode("ascii")
    return b"rfc822;" + _NOT_XTEXT.sub(_hex, to).encode("ascii")


def _hex(found: re.Match[str]) -> str:
    return "".join(f"+{byte:02X}" for byte in found[0].encode())


def _code_point(found: re.Match[str]) -> str:
    return f"\\x{{{ord(found[0]):02X}}}"
