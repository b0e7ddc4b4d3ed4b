"""The frame of every mail: its headers, its parts, and that it fits.

Rules, in order:

1. A mail has a plain text and an HTML part, the best one last (RFC 2046 section 5.1.4); for who wants no HTML it is the
   text alone. A paragraph is one line there: quoted-printable carries it in lines of 76, and every program breaks it
   where its own window ends, on a phone too. Hard breaks at 72 would be torn there, and Gmail knows no format=flowed.
2. A whole mail stays under `LARGEST` bytes, with the longest reason, thread and signature: what is longer is tried with
   a smaller budget.
3. A boundary cannot occur in a part, since quoted-printable never writes "=_".
4. In bulk mail there are ways out in the headers and in the text; what goes to one person asks for no automatic answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bots.email.headers import (
    from_line,
    header_line,
    list_id,
    quiet_lines,
    text_line,
    unsubscribe_lines,
)
from bots.email.mails import LARGEST
from bots.email.pattern import BrokenPattern, Marks, Pattern, gap, gaps_in, quoted
from bots.email.templating import Templates
from syndicator.domain.site import Site
from syndicator.i18n import Texts

__all__ = ["REASON", "Compiled", "Frame", "Recipe", "Sender"]

BUDGETS = (70_000, 60_000, 45_000, 30_000, 15_000, 0)
REASON = 2_400
"""Bytes of the reason for a mail in each of its parts, encoded: 400 Cyrillic letters."""
THREAD = 3_000  # bytes: `compile.REFERENCES` Message-IDs of `compile.LONGEST` characters, and one once more
SIGNATURE = 2_000  # bytes of a DKIM signature; one by an RSA key of 2048 bits has some 750
RESERVED = 2 * REASON + THREAD + SIGNATURE + 2_000  # bytes for what fills the gaps, and is added on the way
BULK = frozenset({"manage", "unsubscribe", "reason"})
_IN_HTML = {"reason": "reason_html", "heading": "heading_html", "entries": "entries_html"}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: the address in From, where answers and questions go, and the mailbox for leaving with its gap."""

    address: str
    reply_to: str = ""
    leave: str = ""
    help: bytes = b""
    contact: str = ""

    @property
    def contact_link(self) -> str:
        """Where a person is reached: a mailbox, or a page."""
        return self.contact if self.contact.startswith(("https://", "http://")) else f"mailto:{self.contact}"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A mail but for its gaps; `shown` are the releases that a digest tells of."""

    pattern: Pattern
    shown: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.pattern.size


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a letter's mail is made: letters with equal keys have the same one."""

    key: tuple[object, ...]
    make: Callable[[], Compiled]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the makers of all kinds share."""

    site: Site
    host: str
    texts: Texts
    sender: Sender
    templates: Templates
    confirm_for: timedelta

    def head(self, subject: str | None, lang: str, feedback: str, *, bulk: bool = True, leaves: bool = True) -> bytes:
        """The headers, in the order people expect; without a `subject` there is a gap for its line.

        `bulk` is what goes to many; `leaves` says that its reader has something to leave.
        """
        named = self.site.name(lang)
        lines = [
            from_line(named, self.sender.address),
            header_line("Reply-To", self.sender.reply_to) if self.sender.reply_to else b"",
            b"To: " + gap("to") + b"\r\n",
            gap("subject") if subject is None else text_line("Subject", subject or named),
            b"Date: " + gap("date") + b"\r\n",
            b"Message-ID: <" + gap("message_id") + b">\r\n",
            gap("thread") if bulk else b"",
            header_line("Auto-Submitted", "auto-generated"),
            header_line("Content-Language", lang),
        ]
        if bulk:
            lines += [header_line("List-Id", list_id(lang, self.host)), header_line("Precedence", "bulk")]
        else:
            lines.append(quiet_lines())
        if leaves:
            link = self.site.unsubscribe(gap("unsubscribe").decode("ascii"))
            lines += [unsubscribe_lines(link, self.sender.leave), self.sender.help]
        lines.append(header_line("Feedback-ID", feedback))
        return b"".join(lines)

    def parts(self, name: str, lang: str, marks: Marks, *, text_only: bool, **values: Any) -> tuple[str, str | None]:
        """The text part and the HTML part."""
        t = self.texts(lang)
        shared = {"gap": marks, "sender": self.sender, **values}
        text = self.templates.text(name, t, **shared)
        return text, None if text_only else self.templates.html(name, t, **shared)

    def pattern(
        self,
        head: bytes,
        parts: tuple[str, str | None],
        lang: str,
        marks: Marks,
        gaps: Collection[str],
        html_gaps: Collection[str] = (),
    ) -> Pattern:
        """Headers and parts as one mail; each part has all these gaps, and the HTML some beside them.

        Raises:
            BrokenPattern: one of them is missing, or there is another.
        """
        text, html = parts
        plain = quoted(text, marks)
        _check(plain, set(gaps), "text")
        if html is None:
            body = b"MIME-Version: 1.0\r\n" + _part_head("plain", lang, alone=True) + plain
        else:
            page = quoted(html, marks)
            _check(page, {*html_gaps, *(_IN_HTML.get(name, name) for name in gaps)}, "HTML")
            body = _alternative(plain, page, lang)
        data = head + body
        return Pattern.parse(data, gaps_in(data))

    def fitting(
        self,
        head: bytes,
        render: Callable[[int], tuple[str, str | None]],
        lang: str,
        marks: Marks,
        gaps: Collection[str] = BULK,
    ) -> Compiled:
        """The largest mail that fits; styles grow with the text, so its size is only known when it is made.

        Raises:
            BrokenPattern: it does not fit without any text either.
        """
        size = 0
        for budget in BUDGETS:
            pattern = self.pattern(head, render(budget), lang, marks, gaps)
            size = pattern.size
            if size < LARGEST - RESERVED:
                return Compiled(pattern)
        raise BrokenPattern(f"a mail of {size} bytes without its text; {LARGEST} are allowed")


def _check(part: bytes, gaps: set[str], name: str) -> None:
    if gaps_in(part) != gaps:
        raise BrokenPattern(f"the {name} part has the gaps {sorted(gaps_in(part))} and not {sorted(gaps)}")


def _part_head(subtype: str, lang: str, *, alone: bool = False) -> bytes:
    return (
        header_line("Content-Type", f'text/{subtype}; charset="utf-8"')
        + header_line("Content-Transfer-Encoding", "quoted-printable")
        + (b"" if alone else header_line("Content-Language", lang))
        + b"\r\n"
    )


def _alternative(text: bytes, html: bytes, lang: str) -> bytes:
    boundary = "=_" + hashlib.sha256(text + html).hexdigest()[:40]
    start = f"--{boundary}\r\n".encode("ascii")
    head = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    plain = start + _part_head("plain", lang) + text + b"\r\n"
    page = start + _part_head("html", lang) + html + b"\r\n"
    return head.encode("ascii") + plain + page + f"--{boundary}--\r\n".encode("ascii")
