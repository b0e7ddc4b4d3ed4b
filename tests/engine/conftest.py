"""A database with the queue's tables."""

from __future__ import annotations

import asyncio

import pytest

from syndicator.engine import schema


@pytest.fixture
def queue_url(postgresql_url: str) -> str:
    asyncio.run(schema.upgrade(postgresql_url))
    return postgresql_url
