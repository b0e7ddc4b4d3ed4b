"""What a relay's reply means for a delivery: pure rules over (stage, code, text).

Rules, in order (RFC 5321 section 4.2 for codes, RFC 3463 for the enhanced ones):

1. 2xx to the final dot is sent.
2. 421 and 454 speak of the relay, not of the message: later, and no attempt is used up. So do 530, 534, 535 and 538
   (it wants another login than ours): an operator must see to it, and meanwhile nothing may be lost.
3. Any other 4xx is later, by the pipeline's own backoff; so is a full mailbox (x.2.2, or a bare 552 to RCPT or the
   message that does not speak of its size), since people empty theirs.
4. A 5xx that says the mailbox or its domain does not exist (5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10, 5.2.1) means that the
   address is gone. Nothing else with an enhanced code does.
5. A 5xx to MAIL or RCPT that denies relaying speaks of our relay's settings: later, no attempt is used up, and an
   operator is told.
6. A 5xx to MAIL, unless the message is too large (552 or 5.3.4), and one to RCPT that blames the sender, its SPF, its
   host's name on a blocklist or "administrative prohibition", speak of us and not of the reader: later, by the
   backoff, and an operator is told.
7. A bare 550, 551 or 553 to RCPT whose words say that nobody is there means that the address is gone.
8. Any other 5xx refuses this message; the address is not to blame.

A reader who is paused by mistake gets nothing ever again, so only what is said plainly counts against an address.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum

from syndicator.domain.letters import Gone, Later, Outcome, Refused
from syndicator.domain.text import one_line

__all__ = ["LOGIN_WAIT", "RELAY_WAIT", "Stage", "about_us", "is_relay_trouble", "judge", "said", "without_addresses"]

RELAY_WAIT = timedelta(seconds=60)
LOGIN_WAIT = timedelta(minutes=5)

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_BUSY = frozenset({421, 454})
_LOGIN = frozenset({530, 534, 535, 538})
_NO_MAILBOX = frozenset({550, 551, 553})
_NOBODY = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})
_BAD_SENDER = frozenset({(1, 7), (1, 8)})
_BARE = (-1, -1)

_NOBODY_SAID = re.compile(
    r"\bunknown\b|no such (user|mailbox|recipient|person|account)|(does not|doesn.t) exist|unavailable|not found",
    re.IGNORECASE,
)
_RELAYING_SAID = re.compile(
    r"\brelay(ing|ed)?\b( \w+){0,3} (not permitted|not allowed|denied|prohibited|refused|rejected|disabled|forbidden)"
    r"|\b(not|unable|cannot|can.t|don.t|won.t|no)\b( \w+){0,3} relay|rcpt ?hosts",
    re.IGNORECASE,
)
_US_SAID = re.compile(
    r"\bsender\b|\bspf\b|\bdkim\b|\bdmarc\b|blocked using|block(ed)? ?list|black ?list|listed (at|in|by|on)\b"
    r"|administrative prohibition|administratively prohibited|client host|\bhelo\b|\behlo\b|reverse dns",
    re.IGNORECASE,
)
_SIZE_SAID = re.compile(
    r"too (large|big)|message size|size (limit|exceed)|maximum (message )?size|exceeds? .*\bsize", re.IGNORECASE
)
_ADDRESS = re.compile(r"[^\s<>\"',;:()\[\]]+@[^\s<>\"',;:()\[\]]+")


class Stage(StrEnum):
    """The command that a reply answers; END is the final dot."""

    CONNECT = "CONNECT"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "END"


def said(stage: Stage, code: int, text: str) -> str:
    """A reply as one short line for the ledger."""
    return one_line(f"{stage.value}: {code} {text}")[:300]


def without_addresses(text: str) -> str:
    """The same line for the log, which names nobody."""
    return _ADDRESS.sub("<address>", text)


def is_relay_trouble(code: int) -> bool:
    """Whether the reply is about the relay as a whole: the connection is not used again, and all mails wait."""
    return code in _BUSY or code in _LOGIN


def about_us(stage: Stage, code: int, text: str) -> bool:
    """Whether the reply blames our relay, host or sender, so that an operator must see to it."""
    return _denies_relaying(stage, code, text) or _blames_sender(stage, code, text)


def judge(stage: Stage, code: int, text: str, now: datetime) -> Outcome:
    """The outcome of a reply that is not the one hoped for."""
    reason = said(stage, code, text)
    if code in _BUSY:
        return Later(reason, not_before=now + RELAY_WAIT, counts=False)
    if code in _LOGIN or (stage is Stage.CONNECT and code >= 500):
        return Later(reason, not_before=now + LOGIN_WAIT, counts=False)
    if not 500 <= code < 600 or _is_full(stage, code, text):
        return Later(reason)
    if _denies_relaying(stage, code, text):
        return Later(reason, not_before=now + LOGIN_WAIT, counts=False)
    if _blames_sender(stage, code, text):
        return Later(reason)
    return Gone(reason) if _no_such_mailbox(stage, code, text) else Refused(reason)


def _enhanced(text: str) -> tuple[int, int]:
    """Subject and detail of the enhanced code, or (-1, -1)."""
    found = _ENHANCED.match(text)
    return (int(found[2]), int(found[3])) if found else _BARE


def _is_full(stage: Stage, code: int, text: str) -> bool:
    enhanced = _enhanced(text)
    bare = enhanced == _BARE and code == 552 and stage in (Stage.RCPT, Stage.END)
    return enhanced == (2, 2) or (bare and not _SIZE_SAID.search(text))


def _denies_relaying(stage: Stage, code: int, text: str) -> bool:
    asked = stage in (Stage.MAIL, Stage.RCPT) and 500 <= code < 600
    return asked and _enhanced(text) not in _NOBODY and bool(_RELAYING_SAID.search(text))


def _blames_sender(stage: Stage, code: int, text: str) -> bool:
    if not 500 <= code < 600:
        return False
    enhanced = _enhanced(text)
    if stage is Stage.MAIL:
        return not (code == 552 or enhanced == (3, 4))
    told = enhanced in _BAD_SENDER or (enhanced not in _NOBODY and bool(_US_SAID.search(text)))
    return stage is Stage.RCPT and told


def _no_such_mailbox(stage: Stage, code: int, text: str) -> bool:
    enhanced = _enhanced(text)
    bare = stage is Stage.RCPT and code in _NO_MAILBOX and enhanced == _BARE
    return enhanced in _NOBODY or (bare and bool(_NOBODY_SAID.search(text)))
