"""Windows: which releases each stream holds now.

Rules, in order:

1. Only what `domain.visibility.standing` lets through at `now` is held; the store's own answer is checked against it.
2. A window is the newest `entries` by (`public_at`, number). A withdrawn release stands in its old place for 90 days.
3. A changed release touches the streams it belongs to now and the streams that hold it; only those are asked anew.
4. Where the old window and the changed releases already tell the new one, the store is not asked at all.
5. Some things change by time alone (a withdrawal grows old, a clock that went back catches up): `revisit` says when a
   release must be looked at again though nothing was written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from feeds.shelf import View
from feeds.streams import Stream, topics_of, touched_by
from syndicator.domain.model import Release, Standing, State
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing

__all__ = ["KEEP_WITHDRAWN", "Facts", "Plan", "facts_of", "no_longer", "plan", "shows", "slide", "touched"]

KEEP_WITHDRAWN = timedelta(days=90)
_ROUNDS = 8  # each asks for twice as many as the one before, so 128 windows deep at the most

Windows = Mapping[Stream, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether and where a release stands in a window."""

    number: int
    state: State
    public_at: datetime
    opened_at: datetime | None
    withdrawn_at: datetime | None
    langs: tuple[str, ...]


@dataclass(slots=True)
class Plan:
    """What a refresh found: windows asked anew, the releases read for them, and what to look at again, and when.

    `anew`: it is not known which releases changed.
    """

    windows: dict[Stream, tuple[int, ...]] = field(default_factory=dict)
    releases: dict[int, Release] = field(default_factory=dict)
    facts: dict[int, Facts] = field(default_factory=dict)
    revisit: dict[int, datetime] = field(default_factory=dict)
    anew: bool = False


def facts_of(release: Release) -> Facts:
    """The facts of a release."""
    withdrawn_at = release.withdrawn_at or release.updated_at or release.public_at
    return Facts(
        release.number,
        release.state,
        release.public_at,
        release.opened_at,
        withdrawn_at if release.state is State.WITHDRAWN else None,
        release.langs,
    )


def shows(facts: Facts, now: datetime) -> bool:
    """Whether feeds may hold it at `now`."""
    stands = standing(facts.state, facts.public_at, facts.opened_at, now)
    if stands is Standing.WITHDRAWN:
        return facts.withdrawn_at is not None and now < facts.withdrawn_at + KEEP_WITHDRAWN
    return stands is Standing.PUBLIC


def look_again(facts: Facts, now: datetime) -> datetime | None:
    """When the answer of `shows` will change with nothing written, if ever."""
    if facts.opened_at is None:
        return None  # it opens by a change of its own
    if facts.public_at > now:
        return facts.public_at
    if facts.withdrawn_at is not None and shows(facts, now):
        return facts.withdrawn_at + KEEP_WITHDRAWN
    return None


def no_longer(before: Windows, found: Plan) -> set[Stream]:
    """The streams that held a release which nobody may read any more, as far as that can be told."""
    hidden = {number for number, one in found.facts.items() if one.state is not State.PUBLIC}
    streams = set()
    for stream, window in found.windows.items():
        held = before.get(stream)
        unsure = found.anew and (held is None or not set(held) <= set(window))
        if unsure or not hidden.isdisjoint(held or ()):
            streams.add(stream)
    return streams


def touched(changed: Iterable[Release], held: Windows, site: Site, taxonomy: Taxonomy) -> set[Stream]:
    """The streams that hold these releases, or may have to."""
    found: set[Stream] = set()
    numbers = set()
    for release in changed:
        numbers.add(release.number)
        if release.opened_at is not None:
            found.update(touched_by(release.langs, release.topics, site, taxonomy))
    found.update(stream for stream, window in held.items() if not numbers.isdisjoint(window))
    return found


async def plan(
    view: View,
    streams: Iterable[Stream],
    changed: Mapping[int, Release],
    *,
    held: Windows,
    facts: Mapping[int, Facts],
    site: Site,
    taxonomy: Taxonomy,
    entries: int,
    now: datetime,
) -> Plan:
    """The windows of these streams, after the `changed` releases. `held` and `facts` are what was known before them."""
    result = Plan(releases=dict(changed), facts={number: facts_of(release) for number, release in changed.items()})
    places = {number: set(touched_by(r.langs, r.topics, site, taxonomy)) for number, r in changed.items()}
    to_ask = []
    for stream in streams:
        arrived = [
            result.facts[n] for n, belongs in places.items() if stream in belongs and shows(result.facts[n], now)
        ]
        window = slide(held.get(stream), facts, changed.keys(), arrived, entries)
        if window is None:
            to_ask.append(stream)
        else:
            result.windows[stream] = window
    known = {number: one for number, one in facts.items() if number not in changed}
    await _ask(view, to_ask, known, result, taxonomy, entries, now)
    for one in result.facts.values():
        if (when := look_again(one, now)) is not None:
            result.revisit[one.number] = when
    return result


def slide(
    window: tuple[int, ...] | None,
    facts: Mapping[int, Facts],
    moved: Collection[int],
    arrived: Iterable[Facts],
    entries: int,
) -> tuple[int, ...] | None:
    """The window after `moved` releases changed, of which `arrived` belong in it; None where only the store knows.

    What is not in a full window lies below its last entry; what is not in a window with room is not there at all.
    """
    if window is None or any(number not in facts for number in window):
        return None
    after = sorted([*(facts[n] for n in window if n not in moved), *arrived], key=_place, reverse=True)
    if len(window) >= entries:
        floor = _place(facts[window[-1]])
        after = [one for one in after if _place(one) >= floor]
        if len(after) < entries:
            return None
    return tuple(one.number for one in after[:entries])


async def _ask(
    view: View,
    streams: Iterable[Stream],
    known: Mapping[int, Facts],
    result: Plan,
    taxonomy: Taxonomy,
    entries: int,
    now: datetime,
) -> None:
    """Fill in the windows of these streams from the store, deeper where old withdrawals take up the room."""
    short, limit = list(streams), entries
    for _ in range(_ROUNDS):
        if not short:
            break
        asked = {s: await view.newest(s.lang, topics_of(s, taxonomy), now, limit) for s in short}
        await _learn(view, asked.values(), known, result)
        facts = {**known, **result.facts}
        short = []
        for stream, numbers in asked.items():
            window = _choose(stream, numbers, facts, now)
            result.windows[stream] = window[:entries]
            if len(window) < entries and len(numbers) >= limit:
                short.append(stream)
        limit *= 2


def _place(one: Facts) -> tuple[datetime, int]:
    return one.public_at, one.number


def _choose(stream: Stream, numbers: Sequence[int], facts: Mapping[int, Facts], now: datetime) -> tuple[int, ...]:
    found = (facts[number] for number in dict.fromkeys(numbers) if number in facts)
    fit = [one for one in found if stream.lang in one.langs and shows(one, now)]
    fit.sort(key=_place, reverse=True)
    return tuple(one.number for one in fit)


async def _learn(view: View, asked: Iterable[Sequence[int]], known: Mapping[int, Facts], result: Plan) -> None:
    missing = {number for numbers in asked for number in numbers} - known.keys() - result.facts.keys()
    if missing:
        read = await view.many(sorted(missing))
        result.releases.update(read)
        result.facts.update((number, facts_of(release)) for number, release in read.items())
