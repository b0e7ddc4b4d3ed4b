"""However feeds came to be what they are, they equal those that are built from nothing."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds import build
from syndicator.domain.model import State
from syndicator.domain.topics import Taxonomy, Topic
from tests.feeds.looking import numbers


async def test_an_incremental_feed_equals_one_built_from_nothing(publish, shelf, make, tmp_path):
    publisher = publish(entries=3)
    steps = [
        lambda: [shelf.put(make.release(n, topics=("visas", "law")[n % 2 :])) for n in range(1, 8)],
        lambda: shelf.put(make.revise(shelf.get(6), at=make.now, note="Corrected")),
        lambda: shelf.put(replace(shelf.get(7), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Error")),
        lambda: shelf.put(replace(shelf.get(5), topics=("entry",))),
        lambda: shelf.put(make.release(8, langs=("ru",), topics=())),
        lambda: shelf.put(replace(shelf.get(6), state=State.DRAFT)),
    ]
    for at, step in enumerate(steps):
        step()
        await publisher.refresh(make.now)
        fresh = publish(entries=3, directory=tmp_path / f"fresh{at}")
        await fresh.refresh(make.now)
        for lang in ("az", "en", "ru"):
            for topic in ("all", "entry", "visas", "law"):
                for fmt in ("rss", "atom", "json"):
                    name = f"{lang}/{topic}.{fmt}"
                    assert publisher.find(name).body == fresh.find(name).body, name


@pytest.mark.parametrize("change", ["entries", "max_age", "taxonomy", "site", "renderer"])
async def test_changed_settings_build_every_feed_again(publish, shelf, make, site, monkeypatch, change):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    values = {
        "entries": {"entries": 7},
        "max_age": {"max_age": 600},
        "taxonomy": {"taxonomy": Taxonomy([Topic("law", {"en": "Law and order"})])},
        "site": {"site": replace(site, names={"az": "Başqa"})},
        "renderer": {},
    }[change]
    if change == "renderer":
        monkeypatch.setattr(build, "RENDERER", 99)
    publisher = publish(**values)
    await publisher.refresh(make.now)
    fresh = {name: stored.body for name, stored in publisher._state.served.items()}
    assert fresh
    again = publish(**values)
    assert await again.refresh(make.now) == 0
    assert {name: stored.body for name, stored in again._state.served.items()} == fresh


async def test_a_store_that_was_put_back_to_an_older_state_is_followed(publish, shelf, make):
    for number in (1, 2):
        shelf.put(make.release(number))
    publisher = publish()
    await publisher.refresh(make.now)
    del shelf.releases[2]
    shelf.change = 1
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1]


STEPS = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from(["public", "withdrawn", "draft", "moved", "corrected", "dated"]),
        st.sampled_from([("visas",), ("law", "visas"), ("entry",), ()]),
        st.sampled_from([("en",), ("en", "ru")]),
        st.integers(0, 40),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, entries=st.integers(1, 4))
async def test_whatever_happens_step_by_step_ends_in_the_feeds_of_a_fresh_build(
    publish, make, steps, entries, tmp_path, shelf
):
    """Sliding windows, cached entries and skipped feeds never show; days pass, so withdrawals grow old too."""
    shelf.releases, shelf.change = {}, 0
    room = tmp_path / uuid4().hex
    publisher, now = publish(entries=entries, directory=room / "kept"), make.now
    for at, (number, what, topics, langs, days) in enumerate(steps):
        now += timedelta(days=days)
        release = replace(make.release(number, langs=langs, topics=topics), major=at)
        texts = tuple(replace(v, revision=replace(v.revision, number=2 * at)) for v in release.variants)
        release = replace(release, variants=texts)
        shelf.put(
            {
                "public": release,
                "withdrawn": replace(release, state=State.WITHDRAWN, withdrawn_at=now, reason="Error"),
                "draft": replace(release, state=State.DRAFT),
                "moved": replace(release, topics=(*topics, "law")),
                "corrected": make.revise(release, at=now, note=f"Corrected {at}", title=f"Title {at}"),
                "dated": replace(release, public_at=release.public_at + timedelta(hours=days)),
            }[what]
        )
        if days % 3:
            await publisher.refresh(now)
        if days % 7 == 6:
            publisher = publish(entries=entries, directory=room / "kept")
    await publisher.refresh(now)
    fresh = publish(entries=entries, directory=room / "fresh")
    await fresh.refresh(now)
    kept = {name: stored.body for name, stored in publisher._state.served.items()}
    assert kept == {name: stored.body for name, stored in fresh._state.served.items()}
