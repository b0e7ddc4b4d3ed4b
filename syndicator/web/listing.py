"""Pages of a list: cut into parts of twenty, each with its own address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Release
from syndicator.store import releases
from syndicator.web.parts import PARTS
from syndicator.web.views import Card, Paging, card

__all__ = ["PER_PAGE", "Listed", "cards", "listed", "page_number", "version_cards", "with_query"]

PER_PAGE = 20
_LAST = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: its releases, how many there are in all, and where it stands."""

    cards: tuple[Card, ...]
    total: int
    paging: Paging


def page_number(request: web.Request) -> int:
    """The page asked for.

    Raises:
        web.HTTPNotFound: there is no such page.
    """
    asked = request.query.get("page", "1")
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 4 and 1 <= int(asked) <= _LAST):
        raise web.HTTPNotFound
    return int(asked)


async def listed(
    request: web.Request, session: AsyncSession, wanted: Filter, lang: str, query: Sequence[tuple[str, str]] = ()
) -> Listed:
    """One page of the releases a filter takes; `query` is what the addresses of other pages must repeat.

    Raises:
        web.HTTPNotFound: the list is not that long.
    """
    parts = request.app[PARTS]
    page, now = page_number(request), parts.clock()
    total = await releases.count(session, wanted, parts.taxonomy, lang=lang, now=now)
    pages = max(1, -(-total // PER_PAGE))
    if page > pages:
        raise web.HTTPNotFound
    found = await releases.listing(
        session, wanted, parts.taxonomy, lang=lang, now=now, limit=PER_PAGE, offset=(page - 1) * PER_PAGE
    )
    return Listed(
        version_cards(request, found, wanted.langs or (lang,), lang),
        total,
        Paging(
            page,
            pages,
            _address(request.path, query, page - 1) if page > 1 else "",
            _address(request.path, query, page + 1) if page < pages else "",
        ),
    )


def cards(request: web.Request, found: Sequence[Release], lang: str) -> tuple[Card, ...]:
    """Releases as cards in a language; one that lacks it is left out."""
    return version_cards(request, found, (lang,), lang)


def version_cards(request: web.Request, found: Sequence[Release], langs: Sequence[str], lang: str) -> tuple[Card, ...]:
    """Releases as cards on a page in `lang`, each in the first of `langs` that it has, as its reader would get it."""
    parts = request.app[PARTS]
    t = parts.texts(lang)
    return tuple(
        card(release, variant, parts.site, parts.taxonomy, t)
        for release in found
        if (variant := next(filter(None, map(release.variant, langs)), None)) is not None
    )


def _address(path: str, query: Sequence[tuple[str, str]], page: int) -> str:
    fields = [*query, *([("page", str(page))] if page > 1 else [])]
    return f"{path}?{urlencode(fields)}" if fields else path


def with_query(paths: Mapping[str, str], query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The same page in every language, with what was asked."""
    tail = f"?{urlencode(query)}" if query else ""
    return {lang: path + tail for lang, path in paths.items()}
