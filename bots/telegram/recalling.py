"""What stands in a chat about a release, read from what the ledger keeps of earlier deliveries and attempts. Pure.

Rules, in order:

1. Each delivery's answer says what stands because of it. A later answer about the same copy has the last word.
2. What stands in another chat than the one we write to now is lost to us: a group that became a supergroup has new
   numbers, and the old ones may mean other messages there.
3. What this very letter sent to a group before that moved is `beyond`: it is read there, and not sent again.
4. A message younger than 48 h can be deleted (https://core.telegram.org/bots/api#deletemessage); others are `fixed`.
5. Answers were written by us, yet perhaps by an older version: what cannot be read is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bots.telegram.copies import OWN, WORDS, Adrift, Copy, Stand
from bots.telegram.traces import Trace
from syndicator.domain.letters import Earlier, Letter
from syndicator.domain.model import MessageKind, SubscriberRole
from syndicator.domain.places import Place

__all__ = ["DELETABLE", "stand_before", "stand_of"]

DELETABLE = timedelta(hours=48) - timedelta(minutes=1)
_NOTHING = Stand()


def stand_before(letter: Letter, place: Place, now: datetime) -> Stand:
    """What stood before this letter did anything."""
    if not letter.earlier and not letter.answer:
        return _NOTHING
    stand, sent = Stand(), dict[int, datetime]()
    for one in letter.earlier:
        stand = _learned(stand, one, place)
        for copy in stand.copies.values():
            for message in copy.messages:
                sent.setdefault(message, one.sent_at)
    if letter.role is not SubscriberRole.CHANNEL:  # nobody can look into a person's chat
        stand = replace(stand, adrift=())
    for place_, number, mark in () if _elsewhere(letter.answer, place) else _rows(letter.answer.get("found"), 3):
        stand = stand.adopted(int(place_), int(number), str(mark))
    return replace(stand, fixed=frozenset(one for one, at in sent.items() if now - at >= DELETABLE))


def stand_of(letter: Letter, place: Place, now: datetime) -> Stand:
    """What stands now, after what earlier attempts of this letter did."""
    stand = stand_before(letter, place, now)
    if not letter.answer:
        return stand
    stand = _read(stand, letter.answer, place)
    sent = _copy(letter.answer).seals if _elsewhere(letter.answer, place) else ()
    kept = letter.answer.get("beyond")
    stand = replace(stand, beyond=frozenset([*sent, *(kept if isinstance(kept, list) else ())]))
    if not _elsewhere(letter.answer, place):
        stand = _with_doubts(stand, _adrift(letter.answer.get("doubt")))
        if "adrift" in letter.answer:
            stand = replace(stand, adrift=_adrift(letter.answer["adrift"]))
    word, notice = _number(letter.answer.get("reply")), _number(letter.answer.get("notice"))
    return replace(stand, word=word, notice=notice)


def _learned(stand: Stand, one: Earlier, place: Place) -> Stand:
    """What one earlier delivery adds."""
    if one.kind is MessageKind.DIGEST:
        if _elsewhere(one.answer, place):
            return replace(stand, lost=True)
        copy = _copy(one.answer)
        return stand.having(one.delivery, copy) if copy.stands else stand
    stand = _read(stand, one.answer, place)
    adrift = _adrift(one.answer["adrift"]) if "adrift" in one.answer else stand.adrift
    if not _elsewhere(one.answer, place):
        adrift = (*adrift, *_adrift(one.answer.get("doubt")))
    known = stand.copy(OWN).seals  # what an operator settled stands there now
    stand = replace(stand, adrift=tuple(one for one in adrift if one.seal not in known))
    reply = _number(one.answer.get("reply"))
    if one.kind is MessageKind.CORRECTION and reply and not _elsewhere(one.answer, place):
        words = stand.copy(WORDS)
        stand = stand.having(WORDS, words if reply in words.messages else words.with_sent(reply, "", photo=False))
    return stand


def _read(stand: Stand, answer: Mapping[str, object], place: Place) -> Stand:
    """What one answer says of the release's own copy, and of digests that it touched."""
    if _elsewhere(answer, place):
        stood = bool(_numbers(answer.get("messages")) or answer.get("lost"))
        return Stand(lost=stand.lost or stood, fixed=stand.fixed, adrift=stand.adrift)
    copy = _copy(answer)
    if copy.stands or copy.gone:
        stand = replace(stand.having(OWN, copy), lost=False)
    if answer.get("lost"):
        stand = replace(stand, lost=True)
    digests = answer.get("digests")
    for key, said in digests.items() if isinstance(digests, Mapping) else ():
        if str(key).isdecimal() and isinstance(said, Mapping):
            stand = stand.having(int(key), _copy(said))
    if "words" in answer:
        words = _numbers(answer["words"])
        stand = stand.having(WORDS, Copy(words, ("",) * len(words)))
    return stand


def _elsewhere(answer: Mapping[str, object], place: Place) -> bool:
    chat = answer.get("chat")
    return isinstance(chat, int) and isinstance(place.chat, int) and chat != place.chat


def _copy(answer: Mapping[str, object]) -> Copy:
    messages = _numbers(answer.get("messages"))
    given = answer.get("seals")
    seals = [str(one) for one in given] if isinstance(given, list | tuple) else []
    seals = (seals + [""] * len(messages))[: len(messages)]
    return Copy(messages, tuple(seals), bool(answer.get("photo")), gone=bool(answer.get("gone")))


def _with_doubts(stand: Stand, doubts: Sequence[Adrift]) -> Stand:
    """With the places of what its own letter is in doubt about."""
    if not doubts:
        return stand
    own = stand.copy(OWN)
    rows = list(zip(own.messages, own.seals, strict=True))
    for one in doubts:
        rows.insert(one.place, (0, one.seal))
    copy = replace(own, messages=tuple(one for one, _ in rows), seals=tuple(mark for _, mark in rows))
    return replace(stand.having(OWN, copy), traces={one.seal: one.trace for one in doubts if one.trace})


def _adrift(given: object) -> tuple[Adrift, ...]:
    """What `Adrift.written` gave, row by row."""
    return tuple(
        Adrift(int(one[0]), str(one[1]), Trace.read(one[2]) if len(one) > 2 else None) for one in _rows(given, 2)
    )


def _rows(given: object, least: int) -> list[list[Any]]:
    rows: Sequence[object] = given if isinstance(given, list | tuple) else ()
    return [list(one) for one in rows if isinstance(one, list | tuple) and len(one) >= least]


def _numbers(given: object) -> tuple[int, ...]:
    values: Sequence[object] = given if isinstance(given, list | tuple) else ()
    return tuple(number for one in values if (number := _number(one)))


def _number(given: object) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None
