"""Compiling: one mail is rendered, inlined and encoded once; for each recipient only its gaps are filled.

Rules, in order:

1. What a kind of mail says is made in `kinds`; equal keys have one mail. The newest are kept, within bounds.
2. For a recipient only the address, identifiers, tokens, dates and the reason change (`_Values`): each is checked, none
   is rendered.
3. A whole mail stays under `LARGEST` bytes (Gmail clips at 102 KB): a longer text ends between blocks, with a link.
4. Nothing is loaded from elsewhere: no picture but from the site itself, no font, no script, no tracking.
5. The same letter at the same `now` gives the same bytes; only Date moves with time. Whether a release may be seen is
   not asked here, but before (`allowed`): an editor looks at a mail that nobody may see yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from html import escape

from bots.email.addresses import address
from bots.email.frame import Compiled, Frame, Recipe, Sender
from bots.email.headers import ascii_site, help_lines, message_id, own_host
from bots.email.kept import Kept
from bots.email.kinds import personal, releases
from bots.email.kinds.digests import Digests
from bots.email.mails import LARGEST, Mail, NotSendable
from bots.email.pattern import quoted
from bots.email.reasons import reason
from bots.email.templating import Templates
from bots.email.verp import ReturnPaths, leave_mailbox
from bots.email.views import moment_there, zone_of
from syndicator.domain.letters import Earlier, Letter
from syndicator.domain.model import MessageKind, Urgency
from syndicator.domain.site import Site
from syndicator.domain.tokens import CONFIRM_FOR
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["KINDS", "LARGEST", "Compiler", "Mail", "NotSendable"]

OCTETS = 16_000_000  # of compiled mails that are kept
LONGEST = 250  # characters of a Message-ID; ours have fewer
REFERENCES = 10  # Message-IDs in a thread: the first, and the newest
TO_ONE = frozenset({MessageKind.CONFIRMATION, MessageKind.WELCOME, MessageKind.ADDRESS, MessageKind.MOVED})
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+>")

Kind = Callable[[Frame, Letter], Recipe]


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
        remembered: int = 256,
    ) -> None:
        site = ascii_site(site)
        self._host = own_host(site)
        self._taxonomy = taxonomy
        written = address(sender).text if sender else f"news@{self._host}"
        self._paths = ReturnPaths(
            address(bounce_address).text if bounce_address else written, bool(bounce_address and verp)
        )
        leave = leave_mailbox(address(unsubscribe_address).text) if unsubscribe_address else ""
        answers = address(reply_to).text if reply_to else ""
        if not (written + self._paths.address + leave + answers).isascii():
            raise ValueError(
                "email.from, bounce_address, unsubscribe_address, reply_to: an ASCII local part is allowed"
            )
        named = Sender(written, answers, leave, help_lines(contact), contact or answers)
        self._frame = Frame(site, self._host, texts, named, Templates(site), confirm_for)
        self._digests = Digests(self._frame)
        self._kept: Kept[Compiled] = Kept(remembered, OCTETS)
        self._values = _Values(self._frame, taxonomy)

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
        recipe = self._recipe(letter)
        compiled = self._kept.get(recipe.key, recipe.make)
        own = {"to": recipient.text.encode(), "date": _date(now), "message_id": identity.encode("ascii")}
        data = compiled.pattern.fill(self._values.of(letter, compiled.pattern.wanted, own))
        return Mail(
            self._paths.of(letter),
            recipient,
            identity,
            data,
            letter.return_token,
            urgent=_is_urgent(letter),
            to_one=letter.kind in TO_ONE,
            dotless=True,  # see `pattern`
            shown=compiled.shown,
            claimed_by=letter.claimed_by,
        )

    def _recipe(self, letter: Letter) -> Recipe:
        if letter.kind is MessageKind.DIGEST:
            return self._digests.digest(letter)
        kind = KINDS.get(letter.kind)
        if kind is None:
            raise NotSendable(f"there is no {letter.kind.value} by mail")
        return kind(self._frame, letter)


KINDS: Mapping[MessageKind, Kind] = {
    MessageKind.RELEASE: releases.release,
    MessageKind.CORRECTION: releases.correction,
    MessageKind.WITHDRAWAL: releases.withdrawal,
    MessageKind.CONFIRMATION: personal.confirmation,
    MessageKind.WELCOME: personal.welcome,
    MessageKind.ADDRESS: personal.address,
    MessageKind.MOVED: personal.moved,
}


class _Values:
    """What fills the gaps of one recipient's mail."""

    def __init__(self, frame: Frame, taxonomy: Taxonomy) -> None:
        self._frame = frame
        self._taxonomy = taxonomy
        self._reasons = lru_cache(maxsize=8192)(self._reason)
        self._moments = lru_cache(maxsize=1024)(self._moment)

    def of(self, letter: Letter, wanted: Sequence[str], own: dict[str, bytes]) -> Mapping[str, bytes]:
        """`own`, and what else the pattern has gaps for."""
        for name in wanted:
            if name in TOKENS:
                own[name] = _token(getattr(letter, TOKENS[name]), name)
            elif name == "reason":
                own["reason"], own["reason_html"] = self._reasons(letter.filter_text, letter.reader_lang)
            elif name == "thread":
                own["thread"] = _thread(letter.earlier) if letter.earlier else b""
            elif name == "sent":
                sent = max(one.sent_at for one in letter.earlier if one.is_known)
                own["sent"] = self._moments(sent.replace(second=0, microsecond=0), letter.timezone, letter.reader_lang)
        return own

    def _reason(self, filter_text: str, lang: str) -> tuple[bytes, bytes]:
        words = reason(filter_text, self._taxonomy, self._frame.site.languages, self._frame.texts(lang))
        return quoted(words), quoted(escape(words))

    def _moment(self, when: datetime, zone: str, lang: str) -> bytes:
        return quoted(moment_there(when, zone_of(zone, self._frame.site.zone), self._frame.texts(lang)))


TOKENS = {
    "manage": "manage_token",
    "unsubscribe": "unsubscribe_token",
    "leave": "leave_token",
    "confirm": "confirm_token",
}


def _token(token: str, name: str) -> bytes:
    if not _TOKEN.fullmatch(token):
        raise NotSendable(f"there is no {name} token")
    return token.encode("ascii")


def _thread(earlier: Sequence[Earlier]) -> bytes:
    """In-Reply-To and References (RFC 5322 section 3.6.4): the newest, and all, oldest first; none known, no lines."""
    said = (one.answer.get("message_id") for one in earlier)
    known = list(dict.fromkeys(one for one in said if isinstance(one, str) and _is_message_id(one)))
    if not known:
        return b""
    named = [known[0], *known[1:][1 - REFERENCES :]]
    lines = f"In-Reply-To: {known[-1]}\r\nReferences: " + "\r\n ".join(named) + "\r\n"
    return lines.encode("ascii")


def _is_message_id(text: str) -> bool:
    return len(text) <= LONGEST and _MESSAGE_ID.fullmatch(text) is not None


@lru_cache(maxsize=4)
def _to_the_second(now: datetime) -> bytes:
    return format_datetime(now).encode("ascii")


def _date(now: datetime) -> bytes:
    return _to_the_second(now.astimezone(UTC).replace(microsecond=0))


def _is_urgent(letter: Letter) -> bool:
    """Whether somebody waits for it, or must know at once: all but releases and digests, and urgent releases."""
    if letter.kind is MessageKind.RELEASE and letter.release is not None:
        return letter.release.urgency is Urgency.URGENT
    return letter.kind not in (MessageKind.RELEASE, MessageKind.DIGEST)
