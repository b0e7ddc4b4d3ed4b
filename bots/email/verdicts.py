"""What a relay's reply means for a delivery: pure rules over (stage, code, text).

Rules, in order (RFC 5321 section 4.2 for codes, RFC 3463 for the enhanced ones):

1. 2xx to the final dot is sent.
2. 421 and 454 speak of the relay, not of the message: later, and no attempt is used up. So do 530, 534, 535 and 538
   (it wants another login than ours): an operator must see to it, and meanwhile nothing may be lost.
3. Any other 4xx is later, by the pipeline's own backoff; so is a full mailbox (x.2.2), since people empty theirs.
4. A 5xx that says the mailbox or its domain does not exist (5.1.x but for the sender's 5.1.7 and 5.1.8, 5.2.1, 5.4.1,
   or a bare 550, 551, 553 to RCPT) means the address is gone.
5. A 5xx to MAIL blames our own address; it is tried later, so that a wrong setting loses nobody, unless the
   message is too large (552 or 5.3.4).
6. Any other 5xx refuses this message; the address is not to blame.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum

from syndicator.domain.model import Gone, Later, Outcome, Refused
from syndicator.domain.text import one_line

__all__ = ["RELAY_WAIT", "Stage", "is_relay_trouble", "judge", "said"]

RELAY_WAIT = timedelta(seconds=60)
LOGIN_WAIT = timedelta(minutes=5)

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_BUSY = frozenset({421, 454})
_LOGIN = frozenset({530, 534, 535, 538})
_NO_MAILBOX = frozenset({550, 551, 553})


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


def is_relay_trouble(code: int) -> bool:
    """Whether the reply is about the connection, which is then not used again."""
    return code in _BUSY or code in _LOGIN


def judge(stage: Stage, code: int, text: str, now: datetime) -> Outcome:
    """The outcome of a reply that is not the one hoped for."""
    reason = said(stage, code, text)
    if code in _BUSY:
        return Later(reason, not_before=now + RELAY_WAIT, counts=False)
    if code in _LOGIN or (stage is Stage.CONNECT and code >= 500):
        return Later(reason, not_before=now + LOGIN_WAIT, counts=False)
    enhanced = _enhanced(text)
    too_large = code == 552 or enhanced == (3, 4)
    if not 500 <= code < 600 or enhanced == (2, 2) or (stage is Stage.MAIL and not too_large):
        return Later(reason)
    return Gone(reason) if _no_such_mailbox(stage, code, *enhanced) else Refused(reason)


def _enhanced(text: str) -> tuple[int, int]:
    """Subject and detail of the enhanced code, or (-1, -1)."""
    found = _ENHANCED.match(text)
    return (int(found[2]), int(found[3])) if found else (-1, -1)


def _no_such_mailbox(stage: Stage, code: int, subject: int, detail: int) -> bool:
    if subject == 1:
        return detail not in (7, 8)
    if (subject, detail) in ((2, 1), (4, 1)):
        return True
    return subject == -1 and stage is Stage.RCPT and code in _NO_MAILBOX
