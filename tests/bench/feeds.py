"""Feeds: what one changed release costs, beside building everything, and as the store grows tenfold and a hundredfold.

CPU is that of a process that does nothing else, with all its threads; releases come one an hour, so a larger store is
an older one. Some changes are measured, and the best counts: a busy machine only adds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from feeds.publisher import Publisher
from syndicator.domain.model import Revision, State, Urgency
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store import migrate, releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from tests.bench.crowd import LANGS, NOW, SITE, library, taxonomy
from tests.bench.figures import Figure, child

__all__ = ["measure"]

SIZES = (1_000, 10_000, 100_000)
CHANGES = 9
LIMIT = 100  # milliseconds of CPU for one changed release


def measure(folder: Path) -> Iterator[Figure]:
    """Refreshing, at each size of the store."""
    costs = {}
    for count in SIZES:
        place = folder / str(count)
        place.mkdir()
        found = child("feeds", str(place), str(count), str(CHANGES))
        costs[count] = found
        beside = f"full build {found['whole']:.0f} ms"
        what = f"CPU, {count:,} releases x 3 languages x 20 topics:"
        yield Figure(f"{what} full build", f"{found['whole']:.0f} ms", found["files"])
        yield Figure(f"{what} one changed", f"{found['one']:.0f} ms", f"limit {LIMIT} ms", found["one"] / LIMIT)
        yield Figure(f"{what} none changed", f"{found['none']:.1f} ms", beside, found["none"] / found["whole"])
    least, most = costs[SIZES[0]]["one"], costs[SIZES[-1]]["one"]
    what = f"growth of one change, {SIZES[0]:,} to {SIZES[-1]:,} releases"
    yield Figure(what, f"{most:.0f} ms", f"{SIZES[0]:,}: {least:.0f} ms", most / least)


# -- refreshing
async def _refresh(folder: str, count: int, changes: int) -> None:
    url = f"sqlite:///{folder}/feeds.db"
    await migrate.upgrade(url)
    database = Database(url)
    await library(database, count)
    publisher = Publisher(
        database,
        site=SITE,
        taxonomy=taxonomy(),
        texts=Texts.load(LANGS),
        directory=Path(folder) / "feeds",
        entries=50,
        max_age=60,
        metrics=Metrics(),
        clock=lambda: NOW,
    )
    whole, files = await _cost(publisher)
    costs = []
    for turn in range(changes):
        await _edit(database, count - turn)
        costs.append(await _cost(publisher))
    none, written = await _cost(publisher)
    assert written == 0
    await database.close()
    one = min(cost for cost, _ in costs)
    said = f"{files} feeds; then {min(n for _, n in costs)}-{max(n for _, n in costs)} of them"
    print(json.dumps({"whole": whole, "one": one, "none": none, "files": said}))  # noqa: T201  # to the parent


async def _cost(publisher: Publisher) -> tuple[float, int]:
    begun = time.process_time()
    written = await publisher.refresh(NOW)
    return (time.process_time() - begun) * 1000, written


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
    asyncio.run(_refresh(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
