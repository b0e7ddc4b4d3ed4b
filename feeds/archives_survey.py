"""The survey: which months there are in which streams, and which of them must be built. Reads, and writes nothing.

Rules, in order:

1. Where the last survey is known, only months of releases that changed since are looked through; else all are. Other
   settings make every month to be built, and forget nothing of what changed.
2. A release that moved or went dirties the month it stood in, as that month's manifest says, unless the month was
   built after that change; one that never opened dirties none. What may not be read any more goes first.
3. Where a month came or went in a stream, its neighbours there are built as well: they name it.
4. The clock alone may bring a release into view; `revisit` says when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from feeds.archives_folder import ADDED, CHANGED, GONE, OTHER, Month, Progress
from feeds.months import month_of, span
from feeds.shelf import View
from feeds.streams import Stream, touched_by
from syndicator.domain.model import State
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store.calendar import Moved

__all__ = ["Presence", "Surveyor", "around", "beside", "most_urgent"]

Presence = Mapping[str, frozenset[Stream]]
"""For each month, the streams that have an entry in it."""


def around(present: Presence, stream: Stream, month: str) -> tuple[str | None, str | None]:
    """The nearest months, older and newer, in which the stream has an entry."""
    others = [other for other, streams in present.items() if stream in streams]
    older = max((other for other in others if other < month), default=None)
    return older, min((other for other in others if other > month), default=None)


def beside(before: Presence, after: Presence) -> set[str]:
    """The months that name one which came or went in a stream."""
    found: set[str] = set()
    for month in before.keys() | after.keys():
        for stream in before.get(month, frozenset()) ^ after.get(month, frozenset()):
            found.update(other for other in around(after, stream, month) if other is not None)
    return found


def most_urgent(*todos: Mapping[str, int]) -> dict[str, int]:
    """All that is to do, each month for the most urgent of its reasons."""
    found: dict[str, int] = {}
    for month, rank in (one for todo in todos for one in todo.items()):
        found[month] = min(rank, found.get(month, rank))
    return found


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Looks months through. `settings` is the digest that built months must have."""

    site: Site
    taxonomy: Taxonomy
    settings: str

    async def look(
        self, view: View, progress: Progress | None, done: Mapping[str, Month], present: Presence | None, now: datetime
    ) -> tuple[Progress, Presence]:
        """What is to be built after the changes since `progress`; `present` is the survey before, None at first."""
        last = await view.last_change()
        if progress is None or progress.settings != self.settings or last < progress.built:
            return await self._look_at_all(view, progress, done, last, now)
        dirty = self._moved(await view.moved_since(progress.built), done) if last > progress.built else {}
        later = await view.opening_after(progress.checked)
        dirty = most_urgent(dirty, {month_of(when, self.site.zone): ADDED for when in later if when <= now})
        unsure, before = set(dirty), present
        if before is None:
            unsure, before = set(dirty) | progress.todo.keys(), {month: held.streams for month, held in done.items()}
        after = {**before, **await self._present(view, unsure, now)}
        after = {month: streams for month, streams in after.items() if streams}
        todo = most_urgent(dict.fromkeys(beside(before, after), OTHER), progress.todo, dirty)
        checked, revisit = max(now, progress.checked), next((when for when in later if when > now), None)
        return Progress(self.settings, last, checked, revisit, todo), after

    async def _look_at_all(
        self, view: View, progress: Progress | None, done: Mapping[str, Month], last: int, now: datetime
    ) -> tuple[Progress, Presence]:
        zone = self.site.zone
        months = {month_of(day, zone) for day in await view.first_days(zone, now)}
        present = await self._present(view, months, now)
        revisit = next(iter(await view.opening_after(now)), None)
        todo = dict.fromkeys(months | done.keys(), OTHER)
        if progress is not None and progress.built <= last:
            todo = most_urgent(todo, progress.todo, self._moved(await view.moved_since(progress.built), done))
        else:  # nobody knows what changed, so what stands may only be believed where it was built alike
            todo = most_urgent(todo, {m: CHANGED for m, held in done.items() if held.settings != self.settings})
        return Progress(self.settings, last, now, revisit, todo), {m: held for m, held in present.items() if held}

    def _moved(self, changed: Iterable[Moved], done: Mapping[str, Month]) -> dict[str, int]:
        """The months that these changes dirty, and how urgently."""
        months: dict[str, int] = {}
        for one in changed:
            month = month_of(one.public_at, self.site.zone)
            here = month in done and one.number in done[month].numbers
            stood = [month] if here else [then for then, held in done.items() if one.number in held.numbers]
            for then in stood:
                rank = CHANGED if here and one.state is State.PUBLIC else GONE
                if one.change > done[then].change:
                    months[then] = min(rank, months.get(then, rank))
            if not here and one.opened_at is not None:
                months.setdefault(month, ADDED)
        return months

    async def _present(self, view: View, months: Iterable[str], now: datetime) -> dict[str, frozenset[Stream]]:
        found = {}
        for month in sorted(months):
            placed = await view.within(*span(month, self.site.zone), now)
            alike = {(one.langs, one.topics) for one in placed}
            found[month] = frozenset(
                stream for langs, topics in alike for stream in touched_by(langs, topics, self.site, self.taxonomy)
            )
        return found
