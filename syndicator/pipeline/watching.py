"""What needs a person: rules over what was seen, pure. `pipeline.watchman` asks, remembers and tells.

Rules, in order:

1. A release that may be told has `after` to reach each channel: its recipients are written, somebody of each kind of
   channel has it, and so has each of the office's own chats. So has an embargo to end. Most of a channel's readers may
   wait for it as long as somebody else is reached within `after`.
2. Nobody is missed: who is owed a release and has no row of it is an alarm, though everybody else was sent it.
3. A source has three of its own intervals to be read, and `after` at least; so long it may fail, or have no scheduler.
   A document that cannot be taken has `after`: its author believes that it is published. Each is an alarm of its own,
   so that an old one hides no new one.
4. A feed is stale when it was not known to be right for `after`.
5. What cannot be told yet is neither raised nor over (`unsure`): a process that has just begun waits before it judges,
   and what was not asked anew at this look is not judged by what it was.
6. An alarm's name says what it is about and is the same for every process, so that they agree on one row; what only
   one process sees has its own name in it, and is over where that process is not here any more.
7. What is said names no person: releases by number, chats of the office's own, documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.domain.text import one_line
from syndicator.store.alarms import Live
from syndicator.store.watched import Bad, Chat, OnItsWay, Pass, Reach

__all__ = [
    "KINDS",
    "BadNews",
    "Judged",
    "Notice",
    "Sight",
    "feeds_name",
    "is_settled",
    "judge",
    "kind_of",
    "message_key",
    "notice",
]

KINDS = ("embargo", "unfinished", "missed", "late", "source", "documents", "feeds", "database")
SETTLING = timedelta(minutes=2)  # a process that has just begun first catches up
PASSES = 3
SHOWN = 200  # characters of what a source or channel said
LISTED = 20  # alarms in one letter
WAIT = {
    Reach.NOBODY: "none of its readers has it",
    Reach.STUCK: "most of its readers wait, and nobody got it for that long",
}

BadNews = Live


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen at one look; `missed` and `reached` are None where it was not asked this time."""

    on_their_way: Sequence[OnItsWay] = ()
    reached: Mapping[int, Mapping[ChannelKind, Reach | None]] = field(default_factory=dict)
    chats_wait: Mapping[int, Sequence[Chat]] = field(default_factory=dict)
    missed: Mapping[int, int | None] = field(default_factory=dict)
    unopened: Sequence[tuple[int, datetime]] = ()
    passes: Sequence[Pass] = ()
    bad: Sequence[Bad] = ()
    feeds_right_at: datetime | None = None
    has_feeds: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong now, and names of what may be or not: neither raised nor over."""

    found: Sequence[BadNews]
    unsure: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """What an operator is told: a line, and the whole of it."""

    subject: str
    text: str


def is_settled(began: datetime, now: datetime) -> bool:
    """Whether a process that began then may judge now; not while it catches up, whatever its clock does."""
    return not timedelta(0) <= now - began < SETTLING


def kind_of(name: str) -> str:
    """What kind of alarm that is, one of `KINDS`."""
    return name.partition(":")[0]


def message_key(name: str) -> str:
    """The key of the message that an alarm is about; "" where it is about none."""
    kind, _, rest = name.partition(":")
    return ":".join(rest.split(":")[:3]) if kind in {"unfinished", "missed", "late"} else ""


def judge(
    sight: Sight, *, now: datetime, began: datetime, after: timedelta, intervals: Mapping[str, float], machine: str = ""
) -> Judged:
    """What is wrong of what was seen.

    `began` is when this process did, `intervals` are the seconds between two passes over each source that is
    configured, `machine` is its name where there are several.
    """
    sources = [_source(name, sight.passes, seconds, now, began, after) for name, seconds in intervals.items()]
    feeds = [_feeds(sight.feeds_right_at or began, now, after, machine)] if sight.has_feeds else []
    found = [*_unopened(sight), *_ways(sight, after), *(one for one in (*sources, *feeds) if one is not None)]
    unsure = {
        f"source:{name}"
        for name, seconds in intervals.items()
        if now - began < _patience(seconds, after) and not _is_read(name, sight.passes, seconds, now, after)
    }
    if sight.has_feeds and sight.feeds_right_at is None:
        unsure.add(feeds_name(machine))
    unsure |= {f"missed:{one.key}" for one in sight.on_their_way if sight.missed.get(one.id, 0) is None}
    unsure |= {
        f"late:{one.key}:{channel}"
        for one in sight.on_their_way
        for channel, reach in sight.reached.get(one.id, {}).items()
        if reach in (None, Reach.SLOW)  # what was told to be late is over when most have it
    }
    documents = [_document(bad) for bad in sight.bad if bad.source in intervals]
    found += [one for one in documents if one.since <= now - after]
    unsure |= {one.name for one in documents}
    return Judged(found, unsure - {one.name for one in found})


def _unopened(sight: Sight) -> Sequence[BadNews]:
    return [
        BadNews(f"embargo:{number}", f"release {number} was to be public by now, and is not", when)
        for number, when in sight.unopened
    ]


def _ways(sight: Sight, after: timedelta) -> Sequence[BadNews]:
    """Rules 1 and 2 for each message."""
    found = []
    for one in sight.on_their_way:
        what = f"the {one.kind} of release {one.release}" if one.kind != "release" else f"release {one.release}"
        if not one.fanned_out:
            said = f"{what}: its recipients are not all written after {_minutes(after)}"
            found.append(BadNews(f"unfinished:{one.key}", said, one.since))
        if missed := sight.missed.get(one.id, 0):
            said = f"{what}: {missed} who should get it have no row in the ledger"
            found.append(BadNews(f"missed:{one.key}", said, one.since))
        for channel, lines in _waiting(sight, one.id).items():
            said = f"{what} has not reached {channel} after {_minutes(after)}: {'; '.join(lines)}"
            found.append(BadNews(f"late:{one.key}:{channel}", said, one.since))
    return found


def _waiting(sight: Sight, message: int) -> Mapping[ChannelKind, Sequence[str]]:
    reached = sight.reached.get(message, {})
    waiting = {channel: [WAIT[reach]] for channel, reach in reached.items() if reach in WAIT}
    for chat in sight.chats_wait.get(message, ()):
        waiting.setdefault(ChannelKind.TELEGRAM, []).append(_chat(chat))
    return waiting


def _chat(chat: Chat) -> str:
    state = "nobody knows whether it arrived" if chat.state is DeliveryState.UNKNOWN else str(chat.state)
    return f"{chat.address}: {state}{_because(chat.reason)}"


def _source(
    name: str, passes: Sequence[Pass], interval: float, now: datetime, began: datetime, after: timedelta
) -> BadNews | None:
    one = next((one for one in passes if one.source == name), None)
    read_at = one.passed_at if one is not None else None
    patience = _patience(interval, after)
    if now - max(began, read_at or began) < patience:
        return None
    if one is not None and one.problem:
        said = f"source {name} keeps failing{_because(one.problem)}"
    else:
        said = f"source {name} was not read for {_minutes(patience)}: does a process with the role scheduler run?"
    return BadNews(f"source:{name}", said, read_at or began)


def _is_read(name: str, passes: Sequence[Pass], interval: float, now: datetime, after: timedelta) -> bool:
    return any(
        one.source == name and one.passed_at is not None and now - one.passed_at < _patience(interval, after)
        for one in passes
    )


def _patience(interval: float, after: timedelta) -> timedelta:
    return max(after, PASSES * timedelta(seconds=interval))


def _document(bad: Bad) -> BadNews:
    if bad.more:
        return BadNews(
            f"documents:{bad.source}", f"source {bad.source}: {bad.more} more documents cannot be taken", bad.since
        )
    said = f"source {bad.source}: a document cannot be taken; {one_line(bad.origin)[:SHOWN]}{_because(bad.reason)}"
    digest = hashlib.sha256(bad.origin.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return BadNews(f"documents:{bad.source}:{digest}", said, bad.since)


def _feeds(right_at: datetime, now: datetime, after: timedelta, machine: str) -> BadNews | None:
    if now - right_at < after:
        return None
    where = f" on {machine}" if machine else ""
    return BadNews(feeds_name(machine), f"feeds{where} are stale: not as the store has it, or nobody looked", right_at)


def feeds_name(machine: str) -> str:
    """The alarm about the feeds of a process that has that name."""
    return f"feeds:{machine}" if machine else "feeds"


def _because(reason: str) -> str:
    return f" ({one_line(reason)[:SHOWN]})" if reason else ""


def _minutes(span: timedelta) -> str:
    return f"{span / timedelta(minutes=1):g} minutes"


def notice(host: str, raised: Sequence[BadNews], ended: Sequence[BadNews]) -> Notice:
    """One letter about all that began and all that is over."""
    lines = [f"{one.said} (since {one.since:%Y-%m-%d %H:%M} UTC)" for one in raised]
    lines += [f"Over: {one.said}" for one in ended]
    first = (raised or ended)[0]
    subject = first.said if raised else f"over: {first.said}"
    if len(lines) > 1:
        subject = f"{len(raised)} things need a look" if raised else f"{len(ended)} things are over"
    if len(lines) > LISTED:
        lines = [*lines[:LISTED], f"... and {len(lines) - LISTED} more; the log has them all."]
    return Notice(f"{host}: {subject}"[:SHOWN], "\n".join(f"- {line}" for line in lines) + "\n")
