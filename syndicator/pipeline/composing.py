"""Composing: from claimed deliveries to letters, with everything that a channel needs and nothing asked twice.

Rules, in order:

1. Texts are read here, after the claim: a letter holds what stands now. A chunk costs a few queries, whatever its
   length, and none where the claim says that its release stands as it was read before (`Kept`).
2. What follows a release knows what its reader has (`earlier`), and what they were not told of yet (`notes`): the notes
   of all revisions after the one that they read. Of what nobody can tell whether it arrived, nothing counts as read.
3. Which revision was read stands in the channel's answer. Where a later attempt went on with a newer text, `first` is
   the one that it began with; a digest's answer has one for each of its releases, `revisions`: the one that was shown
   first.
4. Where several processes write, a release may have changed between the look that the claim took at it and the claim's
   own commit: then nobody saw the row on its way, and nothing follows it. What has changed since is not composed
   (`has_moved_on`); it goes back, and is claimed anew. Nor is a digest of which nothing may be shown any more.
5. A correction is read when its reader was told of it: it was sent, or its word (`reply`) stands, though the rest did
   not arrive. Copies that were edited without that word have told nobody anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.chat_answers import was_said
from syndicator.domain.corrections import untold
from syndicator.domain.letters import Earlier, Item, Letter, Moved, Outcome, Sent
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Release, Revision, State, SubscriberRole
from syndicator.domain.tokens import Tokens
from syndicator.store import digests, releases
from syndicator.store.ledger import Claimed, Told

__all__ = ["Background", "Kept", "has_moved_on", "letter_of", "look_up", "with_revision"]

MOST_KEPT = 16  # releases; a broadcast is of one


@dataclass(frozen=True, slots=True)
class Background:
    """What a chunk of letters is composed of: releases, texts' histories by (release, language), digests' items."""

    releases: Mapping[int, Release] = field(default_factory=dict)
    histories: Mapping[tuple[int, str], Sequence[Revision]] = field(default_factory=dict)
    items: Mapping[int, Sequence[tuple[int, str]]] = field(default_factory=dict)

    def items_of(self, delivery: int) -> tuple[Item, ...]:
        """A digest's releases, as they stand now."""
        found = ((self.releases.get(number), lang) for number, lang in self.items.get(delivery, ()))
        return tuple(Item(release, lang) for release, lang in found if release is not None)


class Kept:
    """Releases as they were read last, for the many letters of one broadcast."""

    def __init__(self) -> None:
        self._releases: dict[int, Release] = {}

    def enough_for(self, claimed: Sequence[Claimed]) -> Background | None:
        """What these letters are about, where all of it is kept and the claims say that it still stands so."""
        found: dict[int, Release] = {}
        for one in claimed:
            if one.message.kind is not MessageKind.RELEASE or one.message.release is None or not one.certain:
                return None
            release = self._releases.get(one.message.release)
            if release is None or release.change != one.change:
                return None
            found[release.number] = release
        return Background(found)

    def keep(self, background: Background) -> None:
        """These were read just now."""
        for number, release in background.releases.items():
            self._releases.pop(number, None)
            self._releases[number] = release
        while len(self._releases) > MOST_KEPT:
            del self._releases[next(iter(self._releases))]


async def look_up(session: AsyncSession, claimed: Sequence[Claimed]) -> Background:
    """Read what these letters are about."""
    told = [t for c in claimed for t in c.told]
    digested = [c.id for c in claimed if c.message.kind is MessageKind.DIGEST]
    digested += [t.delivery for t in told if t.kind is MessageKind.DIGEST]
    items = await digests.items_of(session, sorted(set(digested))) if digested else {}
    numbers = {c.message.release for c in claimed if c.message.release is not None}
    numbers |= {number for of_one in items.values() for number, _ in of_one}
    found = await releases.many(session, sorted(numbers)) if numbers else {}
    corrected = {(c.message.release, c.lang) for c in claimed if c.message.kind is MessageKind.CORRECTION}
    histories = {
        (number, lang): await releases.history(session, number, lang)
        for number, lang in sorted((number, lang) for number, lang in corrected if number is not None)
    }
    return Background(found, histories, items)


def has_moved_on(claimed: Sequence[Claimed], background: Background) -> bool:
    """Whether any of these is to be claimed anew (rule 4)."""
    return any(_has_moved_on(one, background) for one in claimed)


def _has_moved_on(claimed: Claimed, background: Background) -> bool:
    if claimed.message.kind is MessageKind.DIGEST:
        return not any(item.release.state is State.PUBLIC for item in background.items_of(claimed.id))
    release = background.releases.get(claimed.message.release or 0)
    return release is not None and not claimed.certain and release.change != claimed.change


def letter_of(claimed: Claimed, background: Background, tokens: Tokens, confirm_for: timedelta) -> Letter:
    """One letter."""
    message = claimed.message
    confirm, mail = "", claimed.channel is ChannelKind.EMAIL
    speaks = claimed.language
    if message.kind is MessageKind.CONFIRMATION:
        confirm = tokens.sign("opt-in", message.id, message.created_at + confirm_for)
        speaks = claimed.lang or speaks  # as was wished, before anything is confirmed
    elif message.kind is MessageKind.ADDRESS:
        confirm = tokens.sign("address", message.id, message.created_at + confirm_for)
    return Letter(
        delivery=claimed.id,
        message=message.key,
        kind=message.kind,
        subscriber=claimed.subscriber,
        address=claimed.resolved or claimed.address,
        lang=claimed.lang or claimed.language,
        reader_lang=speaks,
        timezone=claimed.timezone,
        role=SubscriberRole(claimed.role),
        release=background.releases.get(message.release or 0),
        filter_text=claimed.filter,
        cadence=claimed.cadence,
        manage_token=tokens.sign("manage", claimed.subscriber),
        unsubscribe_token=tokens.sign("unsubscribe", claimed.subscriber),
        confirm_token=confirm,
        return_token=tokens.mailbox("return", claimed.id) if mail else "",
        leave_token=tokens.mailbox("leave", claimed.subscriber) if mail else "",
        text_only=claimed.text_only,
        resent=claimed.resent,
        attempt=claimed.attempts,
        created_at=message.created_at,
        feed=message.feed,
        answer=dict(claimed.answer),
        earlier=tuple(_earlier(one, background, message.created_at) for one in claimed.told),
        notes=_notes(claimed, background),
        items=background.items_of(claimed.id),
        hushed=claimed.hushed,
        written=claimed.address,
        claimed_by=claimed.claimed_by,
    )


def with_revision(letter: Letter, outcome: Outcome) -> Outcome:
    """The outcome, its answer saying which revisions the reader has (rule 3), for what follows."""
    if isinstance(outcome, Moved) or not (isinstance(outcome, Sent) or outcome.answer):
        return outcome
    answer = {**_revisions(letter), **outcome.answer}
    if letter.kind is MessageKind.CORRECTION and not was_said(letter.answer):
        return replace(outcome, answer=answer)  # rule 5: nothing was told yet
    began = letter.answer.get("first", letter.answer.get("revision"))
    if isinstance(began, int) and began != answer.get("revision"):
        answer["first"] = began
    return replace(outcome, answer=answer)


def _revisions(letter: Letter) -> dict[str, object]:
    if letter.kind is MessageKind.DIGEST:
        shown = [(item.release.number, item.release.variant(item.lang)) for item in letter.items]
        began = letter.answer.get("revisions")
        return {
            "revisions": {str(number): variant.revision.number for number, variant in shown if variant}
            | (dict(began) if isinstance(began, Mapping) else {})
        }
    brings = letter.kind in (MessageKind.RELEASE, MessageKind.CORRECTION)
    variant = letter.release.variant(letter.lang) if letter.release and brings else None
    return {"revision": variant.revision.number, "lang": letter.lang} if variant else {}


def _earlier(told: Told, background: Background, written_at: datetime) -> Earlier:
    items = background.items_of(told.delivery) if told.kind is MessageKind.DIGEST else ()
    sent_at = told.settled_at or written_at
    return Earlier(told.delivery, told.kind, dict(told.answer), sent_at, is_known=told.is_known, items=items)


def _notes(claimed: Claimed, background: Background) -> tuple[str, ...]:
    """What their reader was not told of yet, oldest first; of a correction only."""
    number, lang = claimed.message.release, claimed.lang
    if claimed.message.kind is not MessageKind.CORRECTION or number is None:
        return ()
    history = background.histories.get((number, lang), ())
    read = [_read(one, number, history) for one in claimed.told if one.brings and one.lang == lang]
    return untold(history, max(read, default=0))


def _read(told: Told, number: int, history: Sequence[Revision]) -> int:
    """The revision that was read there, 0 where nobody can tell; by its time where the answer names none."""
    unsaid = told.kind is MessageKind.CORRECTION and told.state is not DeliveryState.SENT and not was_said(told.answer)
    if unsaid or not told.is_known:
        return 0
    of_digest = told.answer.get("revisions")
    if told.kind is MessageKind.DIGEST and isinstance(of_digest, Mapping):
        said = of_digest.get(str(number))
    else:
        said = told.answer.get("first", told.answer.get("revision"))
    if isinstance(said, int):
        return said
    sent_at = told.settled_at
    before = (one.number for one in history if sent_at and one.created_at and one.created_at <= sent_at)
    return max(before, default=0)
