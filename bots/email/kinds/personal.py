"""Mails to one person about their own subscription: confirm it, welcome, is this address yours, you have moved.

Rules, in order:

1. The first mail to an address that nobody has confirmed (confirmation, new address) says nothing that a stranger may
   have written, and no more than what it takes to answer. To do nothing is a no.
2. A mail to an address that its reader has left holds no link that acts: whoever reads that mailbox now may be somebody
   else. It does not name the new address either. It says whom to write to.
3. A welcome says what comes, how often, in which language, from which address, and how to change it. Who reads digests
   is told what does not wait for them (decision 25).
"""

from __future__ import annotations

from bots.email.frame import BULK, Compiled, Frame, Recipe
from bots.email.headers import feedback_id
from bots.email.pattern import Marks
from syndicator.domain.letters import Letter
from syndicator.domain.model import Cadence
from syndicator.wording import link_works_for

__all__ = ["address", "confirmation", "moved", "welcome"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ALONE = _(
    "The subject is the title of the release. One that is urgent, corrected or withdrawn says so in its subject."
)
_BESIDES = _(
    "What is urgent does not wait for that: it comes at once, by itself. So does the correction or withdrawal of "
    "something that you got."
)


def confirmation(frame: Frame, letter: Letter) -> Recipe:
    """Is it you who asked for this?"""
    return _asking(frame, letter, "confirmation", {"confirm", "reason"})


def address(frame: Frame, letter: Letter) -> Recipe:
    """Is this new address yours?"""
    return _asking(frame, letter, "address", {"confirm"})


def _asking(frame: Frame, letter: Letter, name: str, gaps: set[str]) -> Recipe:
    t = frame.texts(letter.reader_lang)
    titles = {
        "confirmation": t("Please confirm your subscription"),
        "address": t("Is this your new address?"),
    }
    return _single(frame, letter, name, titles[name], gaps, expiry=link_works_for(frame.confirm_for, t))


def welcome(frame: Frame, letter: Letter) -> Recipe:
    """What comes from now on."""
    t = frame.texts(letter.reader_lang)
    often = {
        Cadence.IMMEDIATE: t("Each release comes as a mail of its own, as soon as it is published."),
        Cadence.DAILY: t("Once a day all that is new comes in one mail; when nothing is new, nothing comes."),
        Cadence.WEEKLY: t("Once a week all that is new comes in one mail; when nothing is new, nothing comes."),
    }
    at_once = letter.cadence is Cadence.IMMEDIATE
    looks = t(_ALONE) if at_once else t("The subject says how many releases there are, and the first titles.")
    besides = "" if at_once else t(_BESIDES)
    told = {"often": often[letter.cadence], "besides": besides, "looks": looks}
    return _single(frame, letter, "welcome", t("Your subscription is confirmed"), set(BULK), **told)


def moved(frame: Frame, letter: Letter) -> Recipe:
    """Your mails go to another address now."""
    t = frame.texts(letter.reader_lang)
    return _single(frame, letter, "moved", t("Your releases go to another address now"), set())


def _single(frame: Frame, letter: Letter, name: str, title: str, gaps: set[str], **values: str) -> Recipe:
    lang = frame.texts(letter.reader_lang).lang
    key = (letter.kind, lang, letter.text_only, *values.values())
    text_only = letter.text_only

    def make() -> Compiled:
        marks = Marks(repr(key))
        leaves = "unsubscribe" in gaps
        subject = f"{title} – {frame.site.name(lang)}"
        head = frame.head(subject, lang, feedback_id("0", "", name, frame.host), bulk=False, leaves=leaves)
        parts = frame.parts(name, lang, marks, text_only=text_only, title=title, **values)
        return Compiled(frame.pattern(head, parts, lang, marks, gaps))

    return Recipe(key, make)
