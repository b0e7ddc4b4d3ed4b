"""Bounces in forms of their own: qmail, Exim, old servers. flufl.bounce knows them; words beside them say why. Pure.

Rules, in order:

1. Only what a mail system has written is looked at (`from_a_system`): a person's mail may quote anything.
2. The library gets a mail of bounded lines, in no encoding (some of its patterns take the square of a line's
   length), and may raise whatever it likes (it does, on a mail without From).
3. What is said of a recipient stands right behind their address; the rest may be our own text, sent back.
"""

from __future__ import annotations

import logging
import re
from email import message_from_bytes
from email.message import Message

from flufl.bounce import all_failures

from bots.email.inbound.parts import Part, value
from bots.email.inbound.statuses import failure
from syndicator.domain.returns import Action, Failure

__all__ = ["from_a_system", "odd_failures"]

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs what it raises, with addresses

_SYSTEM = re.compile(r"mailer-?daemon|postmaster|mail ?delivery|mail system|\bmdaemon\b|maildelivery", re.IGNORECASE)
_PARSED = 64_000  # bytes
_LINE = 300  # bytes of a line, and lines of one header: `email` takes the square of its parameters' length
_FOLDED = 20
_LINES = 400  # of the mail: each of the library's patterns looks at each of them
_NEAR = 600  # characters behind an address that speak of it
_RECIPIENTS = 20
_COPY = re.compile(  # where our own mail begins
    r"^(?:--|==).{0,200}?(?:copy of|original|returned|below this line|forwarded)"
    r"|^(?:Received|Return-Path|Message-ID): ",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[ -])")


def from_a_system(headers: Message) -> bool:
    """Whether a mail system wrote it, by its own word."""
    if value(headers, "X-Failed-Recipients"):
        return True
    return bool(_SYSTEM.search(value(headers, "From")) or _SYSTEM.search(value(headers, "Sender")))


def odd_failures(data: bytes, headers: Message, parts: list[Part]) -> tuple[list[Failure], list[Action]]:
    """Who failed, and whether others are only delayed."""
    delayed, failed = _by_library(data)
    named = [one.strip() for one in value(headers, "X-Failed-Recipients").split(",") if one.strip()]
    failed = list(dict.fromkeys([*failed, *named]))[:_RECIPIENTS]
    text = _own_words(parts)
    failures = [failure([one], about := _about(one, text), code=_code(about)) for one in failed]
    return failures, [Action.DELAYED] * bool(delayed)


def _by_library(data: bytes) -> tuple[list[str], list[str]]:
    try:
        found = all_failures(_bounded(data))
    except Exception:  # noqa: BLE001  # rule 2
        return [], []
    temporary, permanent = (sorted(one.decode("ascii", "replace") for one in some) for some in found)
    return temporary, permanent


def _bounded(data: bytes) -> Message:
    """Rule 2."""
    mail = message_from_bytes(_short_lines(data[:_PARSED]))
    for part in mail.walk():
        if not part.is_multipart() and part["Content-Transfer-Encoding"]:
            body = part.get_payload(decode=True)
            del part["Content-Transfer-Encoding"]
            part.set_payload(_short_lines(bytes(body or b"")).decode("ascii", "surrogateescape"))
    return mail


def _short_lines(text: bytes) -> bytes:
    """The beginning of each of the first lines; of a header, of so many."""
    lines, folded = [], 0
    for line in text.split(b"\n", _LINES)[:_LINES]:
        folded = folded + 1 if line[:1] in (b" ", b"\t") else 0
        if folded < _FOLDED:
            lines.append(line[:_LINE])
    return b"\n".join(lines)


def _own_words(parts: list[Part]) -> str:
    """What the mail system says, up to the mail that it gives back."""
    text = next((part.text for part in parts if part.kind == "text/plain"), "")[:_PARSED]
    copy = _COPY.search(text)
    return text[: copy.start()] if copy else text


def _about(address: str, text: str) -> str:
    at = text.lower().find(address.lower())
    near = text[at + len(address) : at + len(address) + _NEAR] if at >= 0 else ""
    return " ".join(near.strip(">:) \r\n\t").split())


def _code(words: str) -> int:
    found = _CODE.search(words)
    return int(found[1]) if found else 0
