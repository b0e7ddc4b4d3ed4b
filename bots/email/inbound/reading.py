"""What a mail is that came in, and whom it names: one pure function over its bytes and the address that it came to.

Rules, in order:

1. By structure first: a report of delivery (RFC 3464, RFC 6533), a complaint (RFC 5965, and Outlook.com's own form), a
   bounce in a form of its own. Then automatic answers, which mean nothing; then a wish to leave; the rest is `Unclear`.
2. Whom it is about only a token of ours says (`domain.tokens`): of the address that it came to, of the ENVID, of the
   headers of our mail that come with it; at last of any of these forms in the text. No token: `Unclear`.
3. A token in a report is that of the mail, whatever addresses the report names: whether these are the reader's is
   judged by who knows the reader (`pipeline.returning`).
4. Leaving takes the token of a leaving address, or one in the subject. What a machine sends back is no wish to leave:
   a mail without an envelope's sender (RFC 5321 section 4.5.5), from a mail system, or a report of any kind (RFC 6522),
   receipts among them (RFC 8098). A person's subject may begin like a machine's ("Away from home, please stop"): at
   a leaving address it is a machine's only with the colon that theirs have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.message import Message

from bots.email.inbound.odd import from_a_system, odd_failures
from bots.email.inbound.parts import Part, headers_of, parts_of, value, values
from bots.email.inbound.statuses import STATUS_KINDS, statuses
from bots.email.verp import which_delivery, who_leaves
from syndicator.domain.returns import (
    Action,
    AutoReply,
    CameIn,
    Complaint,
    Leave,
    Notice,
    Report,
    Unclear,
    Whom,
)
from syndicator.domain.tokens import BadToken, Tokens

__all__ = ["addressees", "read"]

_RETURNED = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})
_RETURN_HEADERS = ("Return-Path", "X-Envelope-From", "Original-Mail-From", "X-Original-Mail-From", "Sender")
_RECIPIENT_HEADERS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc")
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure"})
_BARE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z2-7]{48}(?![A-Za-z0-9])", re.ASCII)
_LINK = re.compile(r"/unsubscribe/([A-Za-z0-9_-]{40})(?![A-Za-z0-9_-])", re.ASCII)
_MAILTO = re.compile(r"mailto:[^\s<>\"]{1,40}\+[A-Za-z2-7]{48}@", re.IGNORECASE | re.ASCII)
_TAGGED = re.compile(r"[^\s<>\"]{1,40}\+[A-Za-z2-7]{48}@", re.ASCII)
_AUTOMATIC = re.compile(
    r"^\W*(auto(matic)?(ed)?[ -]?(reply|response|answer)|out of (the )?office|away from|"
    r"автоответ|автоматический ответ|я в отпуске|avtomatik cavab|ofisdə deyiləm|otomatik yanıt)",
    re.IGNORECASE,
)
_CANDIDATES = 20  # tokens that are tried
_TEXT = 300_000  # bytes that are searched for one


def read(data: bytes, recipients: Sequence[str], tokens: Tokens, now: datetime, *, sender: str | None = None) -> CameIn:
    """What that mail is; `recipients` are the envelope's, or where there is none what `addressees` finds.

    `sender` is the envelope's, "" if it was <>; None: not known, and `Return-Path` may say it.
    """
    headers, parts = headers_of(data), parts_of(data)
    look = _Look(data, recipients, parts, tokens, now)
    found = look.report() or look.complaint() or look.odd(headers)
    return found or _rest(headers, recipients, tokens, now, is_machines=_is_machines(headers, sender))


def addressees(data: bytes) -> list[str]:
    """The addresses that a mail from a mailbox came to, best first, by its headers: of the envelope nothing is left."""
    headers = headers_of(data)
    found = [line for name in _RECIPIENT_HEADERS for line in values(headers, name)]
    pieces = [
        piece.strip().rpartition("<")[2].strip("<> ") for line in found for piece in line.split(",")[:_CANDIDATES]
    ]
    return [one for one in dict.fromkeys(pieces) if "@" in one][:_CANDIDATES]


class _Look:
    """One mail, looked at for what it is and whom it names."""

    def __init__(
        self, data: bytes, recipients: Sequence[str], parts: list[Part], tokens: Tokens, now: datetime
    ) -> None:
        self._data = data
        self._recipients = recipients
        self._parts = parts
        self._tokens = tokens
        self._now = now

    def report(self) -> CameIn | None:
        """Rule 1, a report of delivery."""
        found = [statuses(part) for part in self._parts if part.kind in STATUS_KINDS]
        failures = tuple(one for some in found for one in some.failures)
        others = [one for some in found for one in some.others]
        if not failures:
            return Notice(others[0]) if others else None
        whom = self._whom([some.envelope_id for some in found])
        return Unclear("a report without a token of ours") if whom is None else Report(whom, failures)

    def complaint(self) -> CameIn | None:
        """Rule 1, a complaint."""
        fields = next((part for part in self._parts if part.kind == "message/feedback-report"), None)
        outlook = any(value(mail, "X-HmXmrOriginalRecipient") for mail in self._returned())
        if fields is None and not outlook:
            return None
        told = headers_of(fields.body.lstrip()) if fields is not None else Message()
        feedback = value(told, "Feedback-Type").lower() or "abuse"
        if feedback == "not-spam":
            return Notice(Action.DELIVERED)
        if feedback in _NO_COMPLAINT:
            return Unclear(f"feedback of the kind {feedback[:40]}")
        envelope_ids = values(told, "Original-Envelope-Id")
        whom = self._whom(envelope_ids, [told])
        return Unclear("a complaint without a token of ours") if whom is None else Complaint(whom, feedback[:40])

    def odd(self, headers: Message) -> CameIn | None:
        """Rule 1, a bounce in a form of its own."""
        if not from_a_system(headers):
            return None
        failures, others = odd_failures(self._data, headers, self._parts)
        if not failures:
            return Notice(others[0]) if others else None
        whom = self._whom([])
        return Unclear("a bounce without a token of ours") if whom is None else Report(whom, tuple(failures), "odd")

    def _whom(self, envelope_ids: Iterable[str], more: Sequence[Message] = ()) -> Whom | None:
        """Rule 2: the delivery if anything names it, else the subscriber."""
        ours = [*more, *self._returned()]
        named = [*self._recipients, *(line for mail in ours for name in _RETURN_HEADERS for line in values(mail, name))]
        for delivery in (*map(self._delivery, named), *map(self._bare, envelope_ids)):
            if delivery is not None:
                return Whom(delivery)
        message_id = next((found for mail in ours if (found := value(mail, "Message-ID").strip("<> "))), "")
        text = self._data[:_TEXT].decode("latin-1")
        lists = " ".join(line for mail in ours for line in values(mail, "List-Unsubscribe"))
        for delivery in map(self._delivery, _TAGGED.findall(text)[:_CANDIDATES]):
            if delivery is not None:
                return Whom(delivery)
        reader = _reader(f"{lists}\n{text}", self._tokens, self._now)
        return None if reader is None else Whom(None, reader, message_id)

    def _returned(self) -> list[Message]:
        """The headers of our mail, where it came along."""
        return [headers_of(part.body.lstrip()) for part in self._parts if part.kind in _RETURNED]

    def _delivery(self, address: str) -> int | None:
        return which_delivery(self._tokens, address, self._now)

    def _bare(self, envelope_id: str) -> int | None:
        found = _BARE.search(envelope_id[:200])
        return None if found is None else self._delivery(f"+{found[0]}@")


def _rest(headers: Message, recipients: Sequence[str], tokens: Tokens, now: datetime, *, is_machines: bool) -> CameIn:
    """What is neither a report nor a complaint."""
    submitted = value(headers, "Auto-Submitted").lower()
    if submitted.startswith("auto-replied") or _answers_itself(headers):
        return AutoReply()
    asks = next((who for one in recipients if (who := who_leaves(tokens, one, now)) is not None), None)
    subject = value(headers, "Subject")
    automatic = _AUTOMATIC.match(subject)
    if automatic and (asks is None or subject[automatic.end() :].lstrip().startswith(":")):
        return AutoReply()
    if is_machines:
        return Unclear("a machine wrote it, and nobody can tell what")
    if asks is None:
        asks = _in_subject(subject, tokens, now)
    if asks is not None:
        return Leave(asks)
    if submitted.startswith("auto-"):
        return AutoReply()
    is_ours = any(which_delivery(tokens, one, now) is not None for one in recipients)
    return Unclear("neither a report nor a wish to leave", may_matter=is_ours)


def _is_machines(headers: Message, sender: str | None) -> bool:
    """Rule 4."""
    nobody = sender == "" or value(headers, "Return-Path") == "<>"
    return nobody or headers.get_content_type() == "multipart/report" or from_a_system(headers)


def _in_subject(subject: str, tokens: Tokens, now: datetime) -> int | None:
    """Rule 4."""
    for bare in _BARE.findall(subject)[:_CANDIDATES]:
        if (who := who_leaves(tokens, f"+{bare}@", now)) is not None:
            return who
    return _reader(subject, tokens, now)


def _answers_itself(headers: Message) -> bool:
    """Whether a machine answers in somebody's place, by other marks than RFC 3834's."""
    if any(value(headers, name) for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply-From")):
        return True
    return value(headers, "Precedence").lower() == "auto_reply"


def _reader(text: str, tokens: Tokens, now: datetime) -> int | None:
    """The subscriber whose token for leaving stands in that text: in an address, or in the link of a page."""
    for tagged in _MAILTO.findall(text)[:_CANDIDATES]:
        if (who := who_leaves(tokens, tagged, now)) is not None:
            return who
    for link in _LINK.findall(text)[:_CANDIDATES]:
        try:
            return tokens.verify("unsubscribe", link, now)
        except BadToken:
            continue
    return None
