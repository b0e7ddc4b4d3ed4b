"""The API over a real, empty SQLite database; releases are put into the store as intake would."""

from __future__ import annotations

from tests.web.conftest import (
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
