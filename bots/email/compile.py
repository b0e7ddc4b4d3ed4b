"""Compiling: one mail is rendered, inlined and encoded once; for each recipient only its gaps are filled.

Rules, in order:

1. A release's mail is compiled once per (release, its change number, revision, language, reader's language); a
   confirmation once per language. The newest are remembered, so many and no more.
2. The frame speaks the reader's language; the release's own text keeps its own, said by `lang`.
3. A whole mail stays under `LARGEST` bytes (Gmail clips at 102 KB): a longer text ends between blocks, with a link.
4. Nothing is loaded from elsewhere: no picture but from the site itself, no font, no script, no tracking.
5. The same letter at the same `now` gives the same bytes; only Date moves with time. A boundary cannot occur in a
   part, since quoted-printable never writes "=_".
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from re import fullmatch
from typing import Any

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bots.email.addresses import Address, address
from bots.email.body import cut
from bots.email.headers import (
    ascii_site,
    feedback_id,
    from_line,
    header_line,
    help_lines,
    list_id,
    message_id,
    own_host,
    quiet_lines,
    text_line,
    unsubscribe_lines,
)
from bots.email.pattern import BrokenPattern, Marks, Pattern, gap, quoted
from bots.email.verp import ReturnPaths, leave_mailbox
from bots.email.views import reason, release_view, subject
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Urgency
from syndicator.domain.site import Site
from syndicator.domain.tokens import CONFIRM_FOR
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.wording import link_works_for

__all__ = ["LARGEST", "Compiler", "Mail", "NotSendable"]

LARGEST = 100_000
BUDGETS = (70_000, 60_000, 45_000, 30_000, 15_000, 0)
TEMPLATES = Path(__file__).parent / "templates"
_TOKEN = r"[A-Za-z0-9_-]{16,128}"  # noqa: S105 - the form of a token, not one


class NotSendable(ValueError):
    """This letter cannot become a mail; one clear line why."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A finished mail: the envelope and the bytes, lines ended by CRLF, not yet dot-stuffed.

    `envelope_id` is the ENVID (RFC 3461 section 4.4) that a report names: letters and digits, or "". `urgent` says that
    no cap or rate for bulk holds it back.
    """

    sender: str
    recipient: Address
    message_id: str
    data: bytes
    envelope_id: str = ""
    urgent: bool = False

    @property
    def domain(self) -> str:
        """The recipient's domain, ASCII and lower case: whose patience it takes."""
        return self.recipient.text.rpartition("@")[2].lower()


class Compiler:
    """Turns letters into mails.

    `sender` is the address in From, `bounce_address` the envelope's (`sender` if empty), with `verp` each mail's own.
    Who writes to `unsubscribe_address` leaves, answers go to `reply_to` and questions to `contact`. `confirm_for` is
    how long a confirmation link works.

    Raises:
        ValueError: one of the addresses cannot be used; one line.
    """

    def __init__(
        self,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        sender: str = "",
        bounce_address: str = "",
        verp: bool = True,
        unsubscribe_address: str = "",
        reply_to: str = "",
        contact: str = "",
        confirm_for: timedelta = CONFIRM_FOR,
        remembered: int = 64,
    ) -> None:
        self._site = ascii_site(site)
        self._host = own_host(self._site)
        self._texts = texts
        self._taxonomy = taxonomy
        self._from = address(sender).text if sender else f"news@{self._host}"
        self._paths = ReturnPaths(
            address(bounce_address).text if bounce_address else self._from, bool(bounce_address and verp)
        )
        self._leave = leave_mailbox(address(unsubscribe_address).text) if unsubscribe_address else ""
        self._reply_to = address(reply_to).text if reply_to else ""
        if not (self._from + self._paths.address + self._leave + self._reply_to).isascii():
            raise ValueError(
                "email.from, bounce_address, unsubscribe_address, reply_to: an ASCII local part is allowed"
            )
        self._help = help_lines(contact)
        self._confirm_for = confirm_for
        self._patterns: OrderedDict[tuple[object, ...], Pattern] = OrderedDict()
        self._remembered = remembered
        self._inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True, default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._reason = lru_cache(maxsize=1024)(self._reason_once)

    @property
    def host(self) -> str:
        """The site's host, ASCII: what we call ourselves to a relay."""
        return self._host

    def mail(self, letter: Letter, now: datetime) -> Mail:
        """The mail for one letter.

        Raises:
            BadAddress: the address is none.
            NotSendable: the letter lacks what its kind needs.
        """
        recipient = address(letter.address)
        identity = message_id(letter.message, letter.subscriber, self._host)
        values = {
            "to": recipient.text.encode(),
            "date": format_datetime(now.astimezone(UTC)).encode("ascii"),
            "message_id": identity.encode("ascii"),
        }
        if letter.kind is MessageKind.RELEASE:
            pattern = self._release(letter)
            values["manage"] = _token(letter.manage_token, "manage")
            values["unsubscribe"] = _token(letter.unsubscribe_token, "unsubscribe")
            if self._leave:
                values["leave"] = _token(letter.leave_token, "leave")
        elif letter.kind is MessageKind.CONFIRMATION:
            pattern = self._confirmation(letter)
            values["confirm"] = _token(letter.confirm_token, "confirm")
        else:
            raise NotSendable(f"{letter.kind.value} mail is not part of this version")
        values["reason"], values["reason_html"] = self._reason(letter.filter_text, letter.reader_lang)
        data = pattern.fill(values)
        return Mail(self._paths.of(letter), recipient, identity, data, letter.return_token, urgent=_is_urgent(letter))

    def _reason_once(self, filter_text: str, lang: str) -> tuple[bytes, bytes]:
        words = reason(filter_text, self._taxonomy, self._texts(lang))
        return quoted(words), quoted(escape(words))

    # -- patterns
    def _release(self, letter: Letter) -> Pattern:
        release = letter.release
        variant = release.variant(letter.lang) if release else None
        if release is None or variant is None:
            raise NotSendable(f"there is no text in {letter.lang or 'its language'} any more")
        key = (letter.kind, release.number, release.change, variant.revision.number, letter.lang, letter.reader_lang)

        def make() -> Pattern:
            topic = release.topics[0] if release.topics else ""
            head = self._head(subject(release, variant, self._texts(variant.lang)), variant.lang)
            head += header_line("List-Id", list_id(variant.lang, self._host)) + header_line("Precedence", "bulk")
            unsubscribe = self._site.unsubscribe(gap("unsubscribe").decode())
            head += unsubscribe_lines(unsubscribe, self._leave) + self._help
            head += header_line("Feedback-ID", feedback_id(str(release.number), topic, "immediate", self._host))
            named = head.count(gap("unsubscribe"))
            marks = Marks(repr((key, release)))

            def render(budget: int) -> tuple[str, str]:
                shown = release_view(release, variant, cut(variant.revision.body, budget), self._site)
                return self._render("release", letter.reader_lang, marks, release=shown)

            expected = {"manage": 2, "unsubscribe": 2 + named} | ({"leave": 1} if self._leave else {})
            return self._fitting(head, variant.lang, marks, render, expected)

        return self._remember(key, make)

    def _confirmation(self, letter: Letter) -> Pattern:
        lang = self._texts(letter.reader_lang).lang
        key = (letter.kind, lang)

        def make() -> Pattern:
            t = self._texts(lang)
            head = self._head(t("Please confirm your subscription – {site}", site=self._site.name(lang)), lang)
            head += header_line("Feedback-ID", feedback_id("0", "", "confirmation", self._host)) + quiet_lines()
            marks = Marks(repr(key))
            expiry = link_works_for(self._confirm_for, t)

            def render(_: int) -> tuple[str, str]:
                return self._render("confirmation", lang, marks, expiry=expiry)

            return self._fitting(head, lang, marks, render, {"confirm": 4})

        return self._remember(key, make)

    def _remember(self, key: tuple[object, ...], make: Callable[[], Pattern]) -> Pattern:
        if key in self._patterns:
            self._patterns.move_to_end(key)
            return self._patterns[key]
        pattern = self._patterns[key] = make()
        if len(self._patterns) > self._remembered:
            self._patterns.popitem(last=False)
        return pattern

    # -- parts of a mail
    def _head(self, title: str, lang: str) -> bytes:
        """The headers that every mail has, in the order people expect."""
        return b"".join(
            (
                from_line(self._site.name(lang), self._from),
                header_line("Reply-To", self._reply_to) if self._reply_to else b"",
                b"To: " + gap("to") + b"\r\n",
                text_line("Subject", title or self._site.name(lang)),
                b"Date: " + gap("date") + b"\r\n",
                b"Message-ID: <" + gap("message_id") + b">\r\n",
                header_line("Auto-Submitted", "auto-generated"),
                header_line("Content-Language", lang),
            )
        )

    def _render(self, name: str, lang: str, marks: Marks, **values: Any) -> tuple[str, str]:
        """The text part and the HTML part; styles are inlined, what depends on the device stays in the head."""
        t = self._texts(lang)
        shared: Mapping[str, Any] = {"t": t, "lang": t.lang, "site": self._site, "gap": marks, **values}
        text = self._environment.get_template(f"{name}.txt").render(shared)
        html = self._environment.get_template(f"{name}.html").render(shared)
        return text, self._inliner.inline(html)

    def _fitting(
        self,
        head: bytes,
        lang: str,
        marks: Marks,
        render: Callable[[int], tuple[str, str]],
        expected: Mapping[str, int],
    ) -> Pattern:
        """The largest mail that fits; styles grow with the text, so its size is only known when it is made."""
        gaps = {"to": 1, "date": 1, "message_id": 1, "reason": 1, "reason_html": 1, **expected}
        pattern: Pattern | None = None
        for budget in BUDGETS:
            text, html = render(budget)
            pattern = Pattern.parse(head + _alternative(quoted(text, marks), quoted(html, marks), lang), gaps)
            if pattern.size < LARGEST - 2_000:  # the gaps take their share
                return pattern
        raise BrokenPattern(f"a mail of {pattern.size if pattern else 0} bytes without its text; {LARGEST} are allowed")


def _is_urgent(letter: Letter) -> bool:
    """Whether somebody waits for it: all but digests and releases that nobody called urgent."""
    if letter.kind is MessageKind.DIGEST:
        return False
    release = letter.release
    return letter.kind is not MessageKind.RELEASE or (release is not None and release.urgency is Urgency.URGENT)


def _alternative(text: bytes, html: bytes, lang: str) -> bytes:
    """multipart/alternative, the best part last (RFC 2046 section 5.1.4)."""
    boundary = "=_" + hashlib.sha256(text + html).hexdigest()[:40]
    parts = [
        f"--{boundary}\r\n".encode()
        + header_line("Content-Type", f'text/{subtype}; charset="utf-8"')
        + header_line("Content-Transfer-Encoding", "quoted-printable")
        + header_line("Content-Language", lang)
        + b"\r\n"
        + body
        + b"\r\n"
        for subtype, body in (("plain", text), ("html", html))
    ]
    head = b"MIME-Version: 1.0\r\n" + f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join(parts) + f"--{boundary}--\r\n".encode()


def _token(token: str, name: str) -> bytes:
    if not fullmatch(_TOKEN, token):
        raise NotSendable(f"there is no {name} token")
    return token.encode("ascii")
