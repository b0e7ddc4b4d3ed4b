"""Feeds: what one changed release costs, beside building everything, and as the store grows tenfold and a hundredfold.

CPU is that of a process that does nothing else, with all its threads; releases come one an hour, so a larger store is
an older one. Some changes of each kind are measured: the median is judged, and the best stands beside it, for a busy
machine only adds. Archives are measured in the smallest store; how long a withdrawal takes, on a running service.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feeds.archives import Archives
from feeds.months import month_of
from feeds.publisher import Publisher
from syndicator.domain.model import Revision, State, Urgency
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store import migrate, releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from tests.bench.cold import filled
from tests.bench.crowd import LANGS, NOW, SITE, library, taxonomy
from tests.bench.figures import Figure, child, spread

__all__ = ["measure"]

SIZES = (1_000, 10_000, 100_000)
CHANGES = 9
LIMIT = 100  # milliseconds of CPU for one changed release
KINDS = {"edited": "one edited in one language", "withdrawn": "one withdrawn in three", "old": "an old one edited"}
WITHDRAWALS = 3
WITHDRAWN_LIMIT = 5.0  # seconds until it stands in the archive of its month
PATIENCE = 60.0


def measure(folder: Path) -> Iterator[Figure]:
    """Refreshing, at each size of the store; then archives."""
    medians = {}
    for count in SIZES:
        place = folder / str(count)
        place.mkdir()
        found = child("feeds", "live", str(place), str(count), str(CHANGES))
        what = f"CPU, {count:,} releases x 3 languages x 20 topics:"
        yield Figure(f"{what} full build", f"{found['whole']:.0f} ms", found["files"])
        for kind, said in KINDS.items():
            yield _judged(f"{what} {said}", found[kind])
        beside = f"full build {found['whole']:.0f} ms"
        yield Figure(f"{what} none changed", f"{found['none']:.1f} ms", beside, found["none"] / found["whole"])
        medians[count] = statistics.median(found["edited"])
    for count, median in list(medians.items())[1:]:
        least = medians[SIZES[0]]
        what = f"growth of one change, {SIZES[0]:,} to {count:,} releases (medians)"
        yield Figure(what, f"{median:.0f} ms", f"{SIZES[0]:,}: {least:.0f} ms", median / least)
    yield from _archives(folder)


def _judged(what: str, costs: Sequence[float]) -> Figure:
    """By the median; a worse run than that says more of the machine."""
    median = statistics.median(costs)
    said = f"{median:.0f} ms (best {min(costs):.0f})"
    return Figure(f"{what}, median of {len(costs)}", said, f"limit {LIMIT} ms", median / LIMIT)


def _archives(folder: Path) -> Iterator[Figure]:
    count = SIZES[0]
    place = folder / "archives"
    place.mkdir()
    found = child("feeds", "archives", str(place), str(count), str(CHANGES))
    thousand = found["whole"] * 1000 / count
    yield Figure("archives, CPU: first build of 1,000 releases", f"{thousand:.0f} ms", found["files"])
    beside = f"first build {found['whole']:.0f} ms"
    for kind, what in (("old", "one change in an old month"), ("none", "none changed")):
        median = statistics.median(found[kind])
        said = f"{median:.1f} ms (best {min(found[kind]):.1f})"
        yield Figure(f"archives, CPU: {what}", said, beside, median / found["whole"])
    yield spread(
        "withdrawn until its archive says so, running service", list(_withdrawals(folder, count)), WITHDRAWN_LIMIT
    )


# -- refreshing
def _publisher(database: Database, folder: str) -> Publisher:
    plain = {"site": SITE, "taxonomy": taxonomy(), "texts": Texts.load(LANGS), "directory": Path(folder) / "feeds"}
    return Publisher(database, **plain, entries=50, max_age=60, metrics=Metrics(), clock=lambda: NOW)


async def _store(folder: str, count: int) -> Database:
    url = f"sqlite:///{folder}/feeds.db"
    await migrate.upgrade(url)
    database = Database(url)
    await library(database, count)
    return database


async def _refresh(folder: str, count: int, changes: int) -> None:
    database = await _store(folder, count)
    publisher = _publisher(database, folder)
    whole, files = await _cost(publisher)
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    written = []
    for turn in range(changes):
        await _edit(database, count - turn)
        cost, number = await _cost(publisher)
        costs["edited"].append(cost)
        written.append(number)
        await _edit(database, 1 + turn)
        costs["old"].append((await _cost(publisher))[0])
        async with database.writing() as session:
            await releases.withdraw(session, count - changes - turn, "Published by mistake.", NOW)
        costs["withdrawn"].append((await _cost(publisher))[0])
    none, nothing = await _cost(publisher)
    assert nothing == 0
    await database.close()
    said = f"{files} feeds; then {min(written)}-{max(written)} of them"
    print(json.dumps({"whole": whole, "none": none, "files": said, **costs}))  # noqa: T201  # to the parent


async def _cost(publisher: Publisher) -> tuple[float, int]:
    begun = time.process_time()
    written = await publisher.refresh(NOW)
    return (time.process_time() - begun) * 1000, written


# -- archives
async def _build(folder: str, count: int, changes: int) -> None:
    database = await _store(folder, count)
    publisher = _publisher(database, folder)
    await publisher.refresh(NOW)
    plain = {"site": SITE, "taxonomy": taxonomy(), "texts": Texts.load(LANGS), "directory": Path(folder) / "feeds"}
    archives = Archives(database, publisher, **plain, metrics=Metrics(), clock=lambda: NOW)
    whole, files = await _archive_cost(archives)
    old, none = [], []
    for turn in range(changes):
        await _edit(database, count // 4 + turn)
        await publisher.refresh(NOW)
        cost, written = await _archive_cost(archives)
        assert written
        old.append(cost)
        none.append((await _archive_cost(archives))[0])
    await database.close()
    print(json.dumps({"whole": whole, "files": f"{files} files", "old": old, "none": none}))  # noqa: T201  # to the parent


async def _archive_cost(archives: Archives) -> tuple[float, int]:
    begun = time.process_time()
    written = await archives.build_all(NOW)
    return (time.process_time() - begun) * 1000, written


def _withdrawals(folder: Path, count: int) -> Iterator[float]:
    """Seconds of the wall clock from the commit until a reader of the archive learns of it."""
    place = folder / "service"
    place.mkdir()
    program = filled(place, count)
    program.start()
    try:
        for number in range(1, 1 + WITHDRAWALS):
            month = month_of(NOW - timedelta(hours=count - number + 1), SITE.zone)
            address = f"/feeds/en/all/{month}.json"
            _wait(lambda: program.get(address)[0] == 200, "the archive")  # noqa: B023  # asked before the next turn
            asyncio.run(_withdraw(f"sqlite:///{place}/var/syndicator.db", number))
            begun = time.monotonic()
            _wait(lambda: f"Withdrawn: Release {number} " in program.text(address), "the notice")  # noqa: B023
            yield time.monotonic() - begun
    finally:
        program.kill()


def _wait(done: Callable[[], bool], what: str) -> None:
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < PATIENCE, f"{what} did not come"
        time.sleep(0.01)


async def _withdraw(url: str, number: int) -> None:
    database = Database(url)
    async with database.writing() as session:
        await releases.withdraw(session, number, "Published by mistake.", datetime.now(UTC))
    await database.close()


async def _edit(database: Database, number: int) -> None:
    """A silent edit of one release in one language."""
    async with database.writing() as session:
        release = await releases.get(session, number)
        assert release is not None
        text = release.variants[1].revision
        revision = Revision(0, 0, f"{text.title}, edited", text.summary, text.body, text.text)
        topics = tuple((slug, "source", "") for slug in release.topics)
        draft = Draft("desk", release.key, "en", "x", "news", Urgency.NORMAL, State.PUBLIC, None, revision, topics)
        recorded = await releases.record(session, replace(draft, public_at=release.public_at), site_uids=SITE, now=NOW)
        assert recorded.revised


if __name__ == "__main__":
    asyncio.run({"live": _refresh, "archives": _build}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
