"""A line between a test and its database that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from syndicator.store.database import Database
from tests.faulty.proxy import Proxy, server_of, through


@pytest.fixture
async def line(postgresql_url: str) -> AsyncIterator[Proxy]:
    """A proxy before an empty, migrated PostgreSQL."""
    async with Proxy(server_of(postgresql_url)) as proxy:
        yield proxy


@pytest.fixture
async def behind(postgresql_url: str, line: Proxy) -> AsyncIterator[Database]:
    """That database, by the line."""
    opened = Database(through(postgresql_url, line.port))
    yield opened
    await opened.close()
