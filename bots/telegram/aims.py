"""What a letter wants of its chat: which copies should show what, and which word goes to the reader. Pure.

Rules, in order:

1. A release or a digest: its copy, sent, and brought up to date if it changed between two attempts.
2. A correction: every copy that stands shows the newest text, and a reply says what changed. Where no copy stands that
   we know of, the text is sent anew; its head has the note. So is a release that came back after its withdrawal.
3. A silent change: copies follow; nothing is sent where there is none, and nothing is said.
4. A withdrawal: the copy is taken away, with the replies to it; digests are rendered without it; a notice says so.
5. A copy that stands as a text stays one, whatever its chat wants by now; a picture stays a picture while there is one.
6. Who is not to hear anything (`hushed`) gets edits and deletions only. A text that has become longer than the messages
   that stand gives its lead there.
7. Copies that stand where we cannot reach them, or that a person deleted, are not sent again: the word goes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from bots.telegram.copies import OWN, WORDS, Stand
from bots.telegram.plan import Aim
from bots.telegram.render import Part, Renderings, Style
from syndicator.domain.letters import Earlier, Item, Letter, Refused
from syndicator.domain.model import MessageKind, Release, Standing
from syndicator.domain.visibility import standing
from syndicator.i18n import Texts, Translator

__all__ = ["TELLS", "Task", "View", "Writer", "refusal"]

TELLS = frozenset(
    {MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.EDIT, MessageKind.WITHDRAWAL, MessageKind.DIGEST}
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to become of the chat."""

    aims: tuple[Aim, ...]
    word: Part | None = None


@dataclass(frozen=True, slots=True)
class View:
    """How a chat sees things: its style, the time and its zone. Without `pictures`, one that it wants was refused."""

    style: Style
    now: datetime
    zone: ZoneInfo
    pictures: bool = True


def refusal(letter: Letter, now: datetime) -> Refused | None:
    """Why this letter is none for Telegram, or none any more; None if it may go."""
    if letter.kind not in TELLS:
        return Refused(f"a {letter.kind.value} is not sent over Telegram")
    if letter.kind is MessageKind.DIGEST:
        return None if _public(letter.items, now) else Refused("nothing of the digest is public any more")
    release = letter.release
    if release is None or release.variant(letter.lang) is None:
        return Refused(f"there is no text in {letter.lang or 'any language'} to send")
    wanted = Standing.WITHDRAWN if letter.kind is MessageKind.WITHDRAWAL else Standing.PUBLIC
    if _standing(release, now) is not wanted:
        return Refused(f"the release is not {wanted.value}")
    return None


def _public(items: Sequence[Item], now: datetime) -> list[Item]:
    return [item for item in items if _standing(item.release, now) is Standing.PUBLIC]


def _standing(release: Release, now: datetime) -> Standing:
    return standing(release.state, release.public_at, release.opened_at, now)


class Writer:
    """Turns a letter into its task."""

    def __init__(self, renderings: Renderings, texts: Texts) -> None:
        self._renderings = renderings
        self._texts = texts

    def task(self, letter: Letter, view: View, before: Stand, stand: Stand) -> Task:
        """What a letter wants. `before` is what stood before it did anything, `stand` what stands now."""
        release = letter.release
        if letter.kind is MessageKind.DIGEST or release is None:
            parts = self._renderings.digest(_public(letter.items, view.now), self._reader(letter), view.now, view.zone)
            return Task((Aim(OWN, parts),))
        digests = self._digests(letter, before, view)
        if letter.kind is MessageKind.WITHDRAWAL:
            return self._withdrawal(letter, release, before, digests)
        own = self._own(letter, release, before, stand, view)
        if letter.kind is MessageKind.RELEASE:
            return Task((Aim(OWN, own),))
        return self._following(letter, release, before, own, digests)

    def own(self, letter: Letter, stand: Stand, view: View) -> tuple[Part, ...]:
        """The release's own copy as it would be sent now; nothing of a digest."""
        return self._own(letter, letter.release, stand, stand, view) if letter.release is not None else ()

    def _following(
        self, letter: Letter, release: Release, before: Stand, own: tuple[Part, ...], digests: tuple[Aim, ...]
    ) -> Task:
        came_back = bool(letter.earlier) and letter.earlier[-1].kind is MessageKind.WITHDRAWAL
        known = (before.stands or before.lost) and not came_back
        tells = letter.kind is MessageKind.CORRECTION and not letter.hushed
        copy = before.copy(OWN)
        aim = Aim(OWN, own, anew=copy.stands or (tells and not known), more=not letter.hushed)
        word = None
        if tells and known and letter.notes:
            reader = self._reader(letter)
            word = self._renderings.correction(release, letter.lang, reader, letter.notes, titled=not copy.stands)[0]
        return Task((aim, *digests), word)

    def _withdrawal(self, letter: Letter, release: Release, before: Stand, digests: tuple[Aim, ...]) -> Task:
        notice = self._renderings.withdrawal(release, letter.lang, self._reader(letter))[0]
        aims = (Aim(OWN, notice=notice), *digests, Aim(WORDS))
        told = bool(letter.earlier) and _told(letter.earlier[-1]) and not before.stands
        return Task(aims, None if letter.hushed or told else notice)

    def _digests(self, letter: Letter, before: Stand, view: View) -> tuple[Aim, ...]:
        """Digests that told of the release, as they should look now."""
        aims = []
        for one in letter.earlier:
            if one.items and before.copy(one.delivery).stands:
                reader, more = self._reader(letter), _more(one.answer)
                parts = self._renderings.digest(one.items, reader, view.now, view.zone, followed=True, more=more)
                if parts:
                    aims.append(Aim(one.delivery, _within(parts, before, one.delivery, letter), more=not letter.hushed))
        return tuple(aims)

    def _own(self, letter: Letter, release: Release, before: Stand, stand: Stand, view: View) -> tuple[Part, ...]:
        copy, reader, style = stand.copy(OWN), self._reader(letter), view.style
        if copy.stands:
            style = replace(style, media="photo") if copy.photo else style.without_photo
        if not view.pictures:
            style = style.without_photo
        parts = self._renderings.of(release, letter.lang, reader, style)
        more = len(parts) > max(1, len(before.copy(OWN).messages))
        if letter.hushed and (more or (copy.photo and parts[0].photo is None)):
            parts = self._renderings.of(release, letter.lang, reader, replace(style, text="lead"))
        return parts

    def _reader(self, letter: Letter) -> Translator:
        return self._texts(letter.reader_lang)


def _told(one: Earlier) -> bool:
    """Whether that withdrawal was said; a copy may be gone without a word, as a picture that was to become a text."""
    return one.kind is MessageKind.WITHDRAWAL and bool(one.answer.get("reply") or one.answer.get("notice"))


def _more(answer: Mapping[str, object]) -> int:
    """How many releases a digest did not show; see `channel.facts`."""
    more = answer.get("more")
    return more if isinstance(more, int) and more > 0 else 0


def _within(parts: tuple[Part, ...], before: Stand, key: int, letter: Letter) -> tuple[Part, ...]:
    """As many messages as stand, where no more may be sent; the last keeps its button."""
    most = len(before.copy(key).messages)
    if not letter.hushed or len(parts) <= most:
        return parts
    last = parts[-1]
    return (*parts[: most - 1], replace(parts[most - 1], button=last.button, url=last.url, link=last.link))
