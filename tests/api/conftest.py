"""The API over a real, empty SQLite database; releases are put into the store as intake would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.web.conftest import (
    Visitor,
    clock,
    media_folder,
    newsroom,
    open_site,
    parts,
    publisher,
    texts,
    tokens,
    visitor,
)

__all__ = ["clock", "media_folder", "newsroom", "open_site", "parts", "publisher", "texts", "tokens", "visitor"]

BASE = "https://press.example.org"


@pytest.fixture
def ask(visitor: Visitor) -> Callable[..., Awaitable[Any]]:
    """The JSON at an address, which must be there; an address in this API, or one that an answer gave."""

    async def asked(path: str, status: int = 200) -> Any:
        path = path.removeprefix(BASE)
        answer = await visitor.get(path if path.startswith("/") else f"/api/v1/{path}")
        assert answer.status == status, (path, answer.status, await answer.text())
        return await answer.json(content_type=None)

    return asked
