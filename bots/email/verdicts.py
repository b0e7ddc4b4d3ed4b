"""What a relay's reply means for a mail, for its reader, for the receiving domain, for the relay, and for us. Pure.

Sources: RFC 5321 section 4.2 (codes) and 4.2.2, RFC 3463 and its registry at IANA (enhanced codes), RFC 7504 (521 and
556), RFC 4954 section 6 (login), and what large receivers publish about their replies.

Rules, in order:

1. 2xx to the final dot is sent; it is not asked here.
2. What comes before a recipient was named (greeting, EHLO, login, MAIL) and says "not now" speaks of the relay, which
   is left alone for a while. A wish for another login and a 5xx at the greeting speak of us: an operator must see to
   it. Neither uses an attempt.
3. After a recipient was named, 421, 4.7.x and words about rates speak of the receiving domain: it gets less
   (`Heard.SLOW_DOWN`), others go on. Greylisting does not: it is about one mail (RFC 6647).
4. Any other 4xx is later, by the backoff. So is a full mailbox (x.2.2, or a bare 552 that does not speak of size),
   since people empty theirs, and a reader who gets too much at once, by any code; by a 5xx it is a SOFT bounce.
5. A 5xx to MAIL or RCPT that denies relaying is about our settings: later, no attempt is used, an operator is told. One
   to MAIL (but for size), and one to RCPT that blames sender, SPF or a blocklist, is about us as well: later, by the
   backoff, and an operator is told.
6. What else is 5xx is settled: `domain.bounces.classify` says whether nobody is there (gone), or this mail is not
   wanted.
7. Some words a relay says of itself even after a recipient was named: 454, its sending limits, that it is going down
   (4.3.2), a wish for a login, no relaying. A receiving domain may say the same of itself, and must not stop mail for
   all: they are taken for the domain's, and use an attempt. What they mean if it was the relay after all stands in
   `if_relay`; `Pace.is_relays` says when that is believed.

A reader who is paused by mistake gets nothing ever again, so only what is said plainly counts against an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bots.email.pace.heard import Heard
from syndicator.domain.bounces import NOBODY, Bounce, BounceKind, blames_us, classify, gets_too_much
from syndicator.domain.letters import Gone, Later, Outcome, Refused
from syndicator.domain.text import one_line

__all__ = [
    "LOGIN_WAIT",
    "RELAY_WAIT",
    "Stage",
    "Verdict",
    "Whom",
    "judge",
    "said",
    "verdict",
    "without_addresses",
]

RELAY_WAIT = timedelta(seconds=60)
LOGIN_WAIT = timedelta(minutes=5)
QUOTA_WAIT = timedelta(hours=1)  # a day's limit is gone: no use in asking every minute
RATE_WAIT = timedelta(seconds=10)
SLOW_WAIT = timedelta(seconds=10)
LONGEST_ASKED = timedelta(hours=24)

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_LOGIN = frozenset({530, 534, 535, 538})
_BAD_SENDER = frozenset({(1, 7), (1, 8)})
_BARE = (-1, -1)
_NO_MAIL_HERE = 556  # RFC 7504 section 4

_RELAYING_SAID = re.compile(
    r"\brelay(ing|ed)?\b( \w+){0,3} (not permitted|not allowed|denied|prohibited|refused|rejected|disabled|forbidden)"
    r"|\b(not|unable|cannot|can.t|don.t|won.t|no)\b( \w+){0,3} relay|rcpt ?hosts",
    re.IGNORECASE,
)
_BLOCKED_SAID = re.compile(
    r"blocked using|(block|black|deny) ?list|(?<!not )listed (at|in|by|on)\b|client host|reverse dns|\bspamhaus\b",
    re.IGNORECASE,
)
_SIZE_SAID = re.compile(
    r"too (large|big)|message size|size (limit|exceed)|maximum (message )?size|exceeds? .*\bsize", re.IGNORECASE
)
_GREYLIST_SAID = re.compile(r"gr[ae]y[ -]?list", re.IGNORECASE)
_RATE_SAID = re.compile(
    r"rate[ -]?limit|unusual rate|too (many|much|fast)|throttl|server (is )?busy|temporarily deferred"
    r"|deferred due|user complaints|unexpected volume",
    re.IGNORECASE,
)
_QUOTA_SAID = re.compile(
    r"\bdaily (message|sending|user sending|smtp relay sending|relay)\b.*\b(limit|quota)|sending (limit|quota)"
    r"|maximum sending rate|hourly (limit|quota)",
    re.IGNORECASE,
)
_DAILY_SAID = re.compile(r"\bdaily\b|\bhourly\b|24[ -]?hour|sending (limit|quota)", re.IGNORECASE)
_DOWN_SAID = re.compile(r"shutting down|going down|being restarted", re.IGNORECASE)
_NOT_TAKEN_SAID = re.compile(r"mailbox (is )?unavailable", re.IGNORECASE)
_ASKED = re.compile(
    r"\b(?:in|after|for|wait)\s{1,3}(\d{1,5})\s{0,3}(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b", re.IGNORECASE
)
_UNITS = {"s": 1, "m": 60, "h": 3600}
_ADDRESS = re.compile(r"(?<![^\s<>\"',;:()\[\]@])[^\s<>\"',;:()\[\]@]++@[^\s<>\"',;:()\[\]]++")  # never goes back
_LOOKED_AT = 2000  # characters of a reply


class Stage(StrEnum):
    """The command that a reply answers; END is the final dot."""

    CONNECT = "CONNECT"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "END"


class Whom(StrEnum):
    """Whom a reply is about."""

    MESSAGE = "message"
    MAILBOX = "mailbox"
    DOMAIN = "domain"
    RELAY = "relay"
    US = "us"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply means. `heard` is what pace is told of the domain, `wait` the time that it asked for.

    `closes_relay`: nothing goes over this relay until the outcome's time. `hangs_up`: the connection is at its end.
    `complaint`: what an operator must see to, as a line without addresses, or "". `if_relay`: what it means instead if
    the relay said it of itself (rule 7).
    """

    outcome: Outcome
    whom: Whom
    heard: Heard
    wait: timedelta | None = None
    closes_relay: bool = False
    hangs_up: bool = False
    complaint: str = ""
    if_relay: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    stage: Stage
    code: int
    text: str
    now: datetime

    @property
    def reason(self) -> str:
        return said(self.stage, self.code, self.text)

    @property
    def enhanced(self) -> tuple[int, int]:
        """Subject and detail of the enhanced code, or (-1, -1)."""
        found = _ENHANCED.match(self.text)
        return (int(found[2]), int(found[3])) if found else _BARE

    @property
    def status(self) -> str:
        found = _ENHANCED.match(self.text)
        return found[0].strip() if found else ""

    @property
    def names_recipient(self) -> bool:
        return self.stage in (Stage.RCPT, Stage.DATA, Stage.END)

    def says(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(self.text))

    def asks_for(self) -> timedelta | None:
        """The wait that it names, if any."""
        found = _ASKED.search(self.text)
        if found is None:
            return None
        return min(timedelta(seconds=int(found[1]) * _UNITS[found[2][0].lower()]), LONGEST_ASKED)

    def bounce(self, kind: BounceKind) -> Bounce:
        return Bounce(kind, self.status, without_addresses(self.reason))


def said(stage: Stage, code: int, text: str) -> str:
    """A reply as one short line for the ledger."""
    return one_line(f"{stage.value}: {code} {text[:_LOOKED_AT]}")[:300]


def without_addresses(text: str) -> str:
    """The same line for the log, which names nobody."""
    return _ADDRESS.sub("<address>", text)


def verdict(stage: Stage, code: int, text: str, now: datetime) -> Verdict:
    """What a reply means that is not the one hoped for; see the module for the rules."""
    reply = _Reply(stage, code, text[:_LOOKED_AT], now)
    found = _at_its_word(reply)
    if reply.names_recipient and (found.closes_relay or _is_ours(found)):
        return _first_the_domains(reply, found)
    return found


def _at_its_word(reply: _Reply) -> Verdict:
    """Rules 2 to 6, as if no domain ever spoke of itself."""
    code, stage = reply.code, reply.stage
    if code in _LOGIN or (stage is Stage.CONNECT and code >= 500):
        return _ours(reply, closes=True)
    if 500 <= code < 600:
        return _for_good(reply)
    if _means_relay(reply):
        return _relay(reply, RELAY_WAIT)
    return _for_now(reply)


def _is_ours(found: Verdict) -> bool:
    return found.whom is Whom.US and isinstance(found.outcome, Later) and not found.outcome.counts


def _first_the_domains(reply: _Reply, found: Verdict) -> Verdict:
    """Rule 7: the same words, said by one receiving domain. On its word nothing is closed for more than a minute."""
    if found.whom is Whom.US:
        return Verdict(Later(reply.reason), Whom.US, Heard.REFUSED, complaint=found.complaint, if_relay=found)
    wait = found.wait or RELAY_WAIT
    outcome = Later(reply.reason, not_before=reply.now + wait, asked=True)
    all_wait = min(wait, RELAY_WAIT)
    told = Later(reply.reason, not_before=reply.now + all_wait, counts=False)
    if_relay = replace(found, outcome=told, wait=all_wait)
    return Verdict(outcome, Whom.DOMAIN, Heard.SLOW_DOWN, wait, hangs_up=found.hangs_up, if_relay=if_relay)


def _for_now(reply: _Reply) -> Verdict:
    """A 4xx (or what no rule knows) that does not mean the relay as a whole."""
    hangs_up = reply.code == 421
    if _is_full(reply):
        return _full(reply)
    if _means_domain(reply):
        asked = reply.asks_for()
        outcome = Later(reply.reason, not_before=reply.now + (asked or SLOW_WAIT), asked=True)
        return Verdict(outcome, Whom.DOMAIN, Heard.SLOW_DOWN, asked, hangs_up=hangs_up)
    asked = reply.asks_for()
    outcome = Later(reply.reason, not_before=reply.now + asked if asked else None)
    whom = Whom.MAILBOX if reply.enhanced[0] == 2 else Whom.MESSAGE
    return Verdict(outcome, whom, Heard.LATER, hangs_up=hangs_up)


def _for_good(reply: _Reply) -> Verdict:
    """A 5xx after the greeting."""
    if _is_full(reply) or gets_too_much(reply.text):
        return _full(reply)
    if reply.says(_QUOTA_SAID):
        return _relay(reply, RATE_WAIT)
    if _denies_relaying(reply):
        return _ours(reply, closes=False)
    if _blames_us(reply):
        heard = Heard.SLOW_DOWN if reply.stage is Stage.RCPT and reply.says(_BLOCKED_SAID) else Heard.REFUSED
        return Verdict(Later(reply.reason), Whom.US, heard, complaint=without_addresses(reply.reason))
    return _settled(reply)


def _settled(reply: _Reply) -> Verdict:
    """Rule 6."""
    kind = classify(code=reply.code, status=reply.status, words=reply.text)
    if kind is BounceKind.HARD and reply.stage is Stage.END and reply.enhanced == _BARE and reply.says(_NOT_TAKEN_SAID):
        kind = BounceKind.SOFT  # after the message, these words of RFC 5321 are said of a refusal by policy as well
    if kind is BounceKind.HARD or reply.code == _NO_MAIL_HERE:
        return Verdict(Gone(reply.reason, bounce=reply.bounce(BounceKind.HARD)), Whom.MAILBOX, Heard.REFUSED)
    outcome = Refused(reply.reason, bounce=reply.bounce(kind))
    if kind is not BounceKind.POLICY:
        return Verdict(outcome, Whom.MAILBOX, Heard.REFUSED)
    ours = reply.enhanced[0] == 7 or blames_us(reply.text)
    complaint = without_addresses(reply.reason) if ours else ""
    return Verdict(outcome, Whom.US if ours else Whom.MESSAGE, Heard.REFUSED, complaint=complaint)


def _full(reply: _Reply) -> Verdict:
    outcome = Later(reply.reason, bounce=reply.bounce(BounceKind.SOFT))
    return Verdict(outcome, Whom.MAILBOX, Heard.LATER, hangs_up=reply.code == 421)


def _relay(reply: _Reply, shortest: timedelta) -> Verdict:
    """The relay takes nothing for a while, from nobody."""
    wait = reply.asks_for() or (QUOTA_WAIT if reply.says(_QUOTA_SAID) and reply.says(_DAILY_SAID) else shortest)
    outcome = Later(reply.reason, not_before=reply.now + wait, counts=False)
    complaint = without_addresses(reply.reason) if wait >= QUOTA_WAIT else ""
    hangs_up = reply.code == 421
    return Verdict(outcome, Whom.RELAY, Heard.NOTHING, wait, closes_relay=True, hangs_up=hangs_up, complaint=complaint)


def _ours(reply: _Reply, *, closes: bool) -> Verdict:
    """Rules 2 and 5: an operator must see to it; meanwhile nothing is lost."""
    outcome = Later(reply.reason, not_before=reply.now + LOGIN_WAIT, counts=False)
    complaint = without_addresses(reply.reason)
    return Verdict(outcome, Whom.US, Heard.NOTHING, closes_relay=closes, hangs_up=closes, complaint=complaint)


def _means_relay(reply: _Reply) -> bool:
    if reply.stage is Stage.CONNECT or reply.code == 454:
        return True
    if reply.stage is Stage.MAIL:
        return reply.code == 421 or reply.enhanced in ((3, 1), (3, 2)) or reply.enhanced[0] == 7
    going_down = reply.code == 421 and (reply.enhanced == (3, 2) or reply.says(_DOWN_SAID))
    return going_down or reply.says(_QUOTA_SAID)


def _means_domain(reply: _Reply) -> bool:
    if not reply.names_recipient or gets_too_much(reply.text):
        return False
    if reply.says(_GREYLIST_SAID):
        return False
    return reply.code == 421 or reply.enhanced[0] == 7 or reply.says(_RATE_SAID)


def _is_full(reply: _Reply) -> bool:
    bare = reply.enhanced == _BARE and reply.code == 552 and reply.names_recipient
    return reply.enhanced == (2, 2) or (bare and not reply.says(_SIZE_SAID))


def _denies_relaying(reply: _Reply) -> bool:
    asked = reply.stage in (Stage.MAIL, Stage.RCPT)
    return asked and reply.enhanced not in NOBODY and reply.says(_RELAYING_SAID)


def _blames_us(reply: _Reply) -> bool:
    if reply.stage is Stage.MAIL:
        return not (reply.code == 552 or reply.enhanced == (3, 4))
    if reply.stage is not Stage.RCPT:
        return False
    return reply.enhanced in _BAD_SENDER or blames_us(reply.text)


def judge(stage: Stage, code: int, text: str, now: datetime) -> Outcome:
    """The outcome alone."""
    return verdict(stage, code, text, now).outcome
