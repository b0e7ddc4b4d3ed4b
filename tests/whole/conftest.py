"""A house for each example of a property: `build()` gives a fresh one on an empty database."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import structlog

from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from tests.whole.house import House, opened

Build = Callable[[], AbstractAsyncContextManager[House]]


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    """A parent, its child and two more; a rule in each language, for texts that nobody ticked."""

    def topic(slug: str, **more: object) -> dict[str, object]:
        return {"slug": slug, "name": {lang: f"{slug} {lang}" for lang in ("az", "en", "ru")}, **more}

    return Taxonomy.from_mapping(
        {
            "threshold": 4,
            "limit": 4,
            "topic": [
                topic("visas"),
                topic("e-visa", parent="visas"),
                topic("refugees", words={lang: {"asylum": 4} for lang in ("az", "en", "ru")}),
                topic("office"),
            ],
        }
    )


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test can pull the plug, and thousands of waits for the disk would only be slow; logs are not looked at."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
def run() -> Iterator[Callable[..., object]]:
    """Runs one example's coroutine; one loop serves all examples."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def build(sqlite_template: Path, site: Site, taxonomy: Taxonomy) -> Build:
    """Houses in folders of their own, gone when they are left."""
    texts, numbers = Texts.load(site.languages), itertools.count(1)

    @asynccontextmanager
    async def built() -> AsyncIterator[House]:
        with tempfile.TemporaryDirectory(prefix=f"house{next(numbers)}-") as name:
            folder = Path(name)
            shutil.copyfile(sqlite_template, folder / "house.db")
            async with opened(House(f"sqlite:///{folder}/house.db", folder, site, taxonomy, texts)) as house:
                yield house

    return built
