"""What comes back from a mailbox, in words that hold whoever said it: a relay's reply, a report, a complaint. Pure.

Rules, in order:

1. HARD: nobody is there. SOFT: somebody is, and cannot be reached now. POLICY: they want no mail from us, or not this
   one; that blames us and never the reader. COMPLAINT: the reader called our mail unwanted.
2. The enhanced code decides (RFC 3463, registered at IANA), where it says something plainly. Words decide where it does
   not, or where large servers are known to use one code for everything: 5.7.1 with "no such user" is nobody there,
   and any code beside words about the sender or a blocklist speaks of us, since receivers look our own address up
   and report of it in the same words (`blames_us`). What stays in doubt is SOFT: it counts a little. So is a reader
   who gets too much at once, by any code (`gets_too_much`).
3. Soft bounces score a point, at most one a day and reader however much was sent on it; a point decays by half in
   `HALF_LIFE`. A mail that was taken since erases nothing (a relay takes everything); time does.
4. Above `BAR` a reader is paused, and what led there is spent: who comes back begins at nothing.
5. What is kept out (`Suppressed`) has a reason. The stronger one stays; of some nobody may be asked again by mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = [
    "BAR",
    "HALF_LIFE",
    "NOBODY",
    "Bounce",
    "BounceKind",
    "Suppressed",
    "blames_us",
    "classify",
    "enhanced_status",
    "gets_too_much",
    "score",
    "short_of_the_bar",
]

HALF_LIFE = timedelta(days=30)  # a weekly digest that never arrives must get there too: nine weeks
BAR = 5.0  # Mailman's threshold; six days in a row, when something is sent each day
FORGOTTEN = 6 * HALF_LIFE  # a sixty-fourth of a point; older ones are not looked at

_WORDS = 2000  # characters that are looked at
_ADDRESS = re.compile(r"[^\s<>\"',;:()\[\]]{1,100}@[^\s<>\"',;:()\[\]]{1,255}")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
NOBODY = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})  # subject and detail of an enhanced code
_FULL = frozenset({(2, 2), (3, 1)})
_ABOUT_US = frozenset({(1, 7), (1, 8), (2, 3), (3, 4)})  # a bad sender; too large for the mailbox, or for the system
_VAGUE = frozenset({(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (7, 0), (7, 1)})  # "other", and the one for all
_SUBJECTS_ABOUT_US = frozenset({5, 6, 7})  # protocol, content, policy

# Said of nobody but a reader who is not there, by the large servers and the usual software.
_NOBODY_SAID = re.compile(
    r"no such (user|mailbox|recipient|person|account|address|local user)"
    r"|\b(user|recipient|mailbox|account|addressee|address) (is )?(unknown|not found|does ?n[o'’]t exist)"
    r"|\b(user|recipient|mailbox|account|address)( \S+){0,3} (does not|doesn.t) exist"
    r"|\bunknown (local )?(user|recipient|mailbox|address|account)\b"
    r"|\binvalid (mailbox|recipient|user)\b|\bunrouteable address\b|\bnot our customer\b"
    r"|(user|recipient) (\S+ )?(doesn.t|does not) have an? (\S+ )?account"
    r"|mailbox (is )?(unavailable|disabled|inactive)|account (is |has been )?(disabled|closed|deactivated|terminated)"
    r"|no mailbox here by that name|host or domain name not found|no such domain|domain (does not|doesn.t) exist",
    re.IGNORECASE,
)
_FULL_SAID = re.compile(
    r"\b(mailbox|inbox|account)( \S+){0,3} (is )?(full|over ?quota|exceeded)|\bover(drawn)? ?quota\b|quota exceeded"
    r"|insufficient (system )?storage|out of (storage|space)|exceeded (its )?(storage|quota)",
    re.IGNORECASE,
)
_US_SAID = re.compile(  # of us: our address, host and name
    r"(?<!return to )(?<!returned to )(?<!returning to )(?<!to the )\bsender\b"
    r"|\bverification failed for\b|\bhelo\b|\behlo\b|\byour (ip|host|server|network|domain)\b"
    r"|\bspf\b|\bdkim\b|\bdmarc\b|\breverse dns\b|\bclient host\b|administrative(ly)? prohibit(ed|ion)"
    r"|\bspam(haus|cop)\b|\bbarracuda\b|\bdnsbl\b|\brbl\b"
    r"|\b(block|black|deny) ?list(ed)?\b|\bblocked using\b|(?<!not )listed (at|in|by|on)\b",
    re.IGNORECASE,
)
_MAIL_SAID = re.compile(  # of this mail, and of how much there is of it
    r"\b(as|is|considered|looks like|suspicion of|suspected|identified as|detected as) spam\b"
    r"|\bspam (message|content|detected|score|policy)|\bunsolicited\b|\bbulk (e-?)?mail\b"
    r"|\breputation\b|\bbanned\b|\bvirus\b|\bmalware\b|\bphishing\b|\bgr[ae]y ?list"
    r"|\bpolicy (restriction|reason|violation|rejection)s?\b"
    r"|rate limit|too many (messages|connections|recipients)|\bmessage (content )?rejected\b"
    r"|\brelay(ing)? (access )?denied",
    re.IGNORECASE,
)
_TOO_MUCH_SAID = re.compile(r"receiving mail (too quickly|at a rate)", re.IGNORECASE)
_CALLOUT_SAID = re.compile(r"\bcall(out|back)\b", re.IGNORECASE)  # it asked another server, of the reader or of us
_SIZE_SAID = re.compile(r"too (large|big)|(message|maximum) size|size (limit|exceed)", re.IGNORECASE)


class BounceKind(StrEnum):
    """What came back."""

    HARD = "hard"
    SOFT = "soft"
    POLICY = "policy"
    COMPLAINT = "complaint"


class Suppressed(StrEnum):
    """Why an address is kept out, from the weakest reason to the strongest.

    MOVED: its owner has moved to another one.
    UNASKED: its owner complained about a letter that only asks. BLOCKED: the office's own word.
    """

    MOVED = "moved"
    BOUNCED = "bounced"
    ERASED = "erased"
    COMPLAINED = "complained"
    UNASKED = "unasked"
    BLOCKED = "blocked"

    @property
    def rank(self) -> int:
        """The higher, the stronger."""
        return list(Suppressed).index(self)

    @property
    def may_be_asked(self) -> bool:
        """Whether a confirmation may go there: its owner's yes takes the address off again."""
        return self not in (Suppressed.UNASKED, Suppressed.BLOCKED)


@dataclass(frozen=True, slots=True)
class Bounce:
    """One of them. `status` is the enhanced code (RFC 3463) or "", `said` one short line for people."""

    kind: BounceKind
    status: str = ""
    said: str = ""


def enhanced_status(text: str) -> str:
    """The first enhanced code in a text, such as "5.1.1"; "" if there is none. An IP address is none."""
    found = _STATUS.search(text)
    return found[0] if found else ""


def blames_us(words: str) -> bool:
    """Whether a reply or report speaks of who sent the mail: address, host, signature, a list that names them."""
    return bool(_US_SAID.search(_without_addresses(words)))


def gets_too_much(words: str) -> bool:
    """Whether the reader is there, and is sent more at once than their server takes for them (Gmail's 4.2.1, 5.2.1)."""
    return bool(_TOO_MUCH_SAID.search(words[:_WORDS]))


def classify(*, code: int = 0, status: str = "", words: str = "") -> BounceKind:
    """What a failure says of a mailbox; never COMPLAINT, which nobody says by a code.

    `code` is the reply's (RFC 5321; 0: not known), `status` the enhanced one or "", `words` what was said beside them.
    """
    words = _without_addresses(words)
    level, subject, detail = _parts(status or enhanced_status(words), code)
    about = (subject, detail)
    if _TOO_MUCH_SAID.search(words):
        return BounceKind.SOFT
    too_large = code == 552 and _SIZE_SAID.search(words)
    if _US_SAID.search(words) or _MAIL_SAID.search(words) or about in _ABOUT_US or too_large:
        return BounceKind.POLICY
    lasting = level == 5 and not _CALLOUT_SAID.search(words)
    if about in NOBODY or about in _FULL:
        return BounceKind.HARD if lasting and about in NOBODY else BounceKind.SOFT
    if about in _VAGUE and (said := _said_plainly(words)):
        return said if lasting else BounceKind.SOFT
    return BounceKind.POLICY if subject in _SUBJECTS_ABOUT_US else BounceKind.SOFT


def _without_addresses(words: str) -> str:
    """A reader may be called spf@example.org."""
    return _ADDRESS.sub(" ", words[:_WORDS])


def _said_plainly(words: str) -> BounceKind | None:
    """What words mean beside a code that could mean anything."""
    if _FULL_SAID.search(words):
        return BounceKind.SOFT
    return BounceKind.HARD if _NOBODY_SAID.search(words) else None


def _parts(status: str, code: int) -> tuple[int, int, int]:
    """Class, subject and detail; where there is no enhanced code, the reply's first digit and nothing else."""
    found = _STATUS.fullmatch(status.strip())
    if found is None:
        return (4 if 400 <= code < 500 else 5), 0, 0
    return int(found[1]), int(found[2]), int(found[3])


def score(times: Iterable[datetime], now: datetime) -> float:
    """The points of soft bounces that came at these times, as they weigh now; what once led above the bar is spent."""
    points, last = 0.0, None
    for moment in _one_a_day(times):
        points = (0.0 if last is None else _decayed(points, moment - last)) + 1.0
        last = moment
        if points > BAR:
            points = 0.0
            last = None
    return 0.0 if last is None else _decayed(points, now - last)


def short_of_the_bar(before: Iterable[datetime], now: datetime) -> bool:
    """Whether a reader with these soft bounces, and another one now, may still be sent to."""
    days = {moment.date() for moment in before}
    return now.date() in days or score(before, now) + 1.0 <= BAR


def _one_a_day(times: Iterable[datetime]) -> list[datetime]:
    first: dict[object, datetime] = {}
    for moment in sorted(times):
        first.setdefault(moment.date(), moment)
    return list(first.values())


def _decayed(points: float, age: timedelta) -> float:
    return points * float(0.5 ** (max(age, timedelta()) / HALF_LIFE))
