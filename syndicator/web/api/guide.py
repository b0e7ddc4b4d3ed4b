"""The API's page for people, to which the types of its problems lead (RFC 9457, section 3.1.1).

Every example on it can be followed: the release is the newest there is, the topic the first of the topic file.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode

from aiohttp import hdrs, web

from syndicator.domain.filters import Filter
from syndicator.domain.topics import Taxonomy
from syndicator.store import releases
from syndicator.web.api.problems import PREFIX
from syndicator.web.api.showing import BASE
from syndicator.web.parts import PARTS
from syndicator.web.rendering import negotiated, page

__all__ = ["guide"]


async def guide(request: web.Request) -> web.Response:
    """GET /api/: the addresses, each with an example, and what the problems mean; in the visitor's language."""
    parts, lang = request.app[PARTS], negotiated(request)
    anything = Filter(langs=parts.site.languages)
    async with parts.database.reading() as session:
        newest = await releases.listing(session, anything, parts.taxonomy, lang=lang, now=parts.clock(), limit=1)
    response = page(
        request,
        "api.html",
        lang,
        paths={code: f"{PREFIX}/?lang={code}" for code in parts.site.languages},
        examples=_examples(lang, parts.taxonomy, newest[0].number if newest else 0),
        readable=unquote,
    )
    response.headers[hdrs.VARY] = hdrs.ACCEPT_LANGUAGE
    return response


def _examples(lang: str, taxonomy: Taxonomy, newest: int) -> dict[str, str]:
    """An address by what it shows; none for a release where there is none yet."""
    first = taxonomy.topics[0] if taxonomy.topics else None
    word = first.name(lang).split()[0] if first is not None else lang
    chosen = urlencode({"lang": lang} | ({"topic": first.slug} if first is not None else {}) | {"limit": 5})
    return {
        "site": f"{BASE}/",
        "releases": f"{BASE}/releases?{chosen}",
        "release": f"{BASE}/releases/{newest}" if newest else "",
        "changes": f"{BASE}/changes?since=0",
        "topics": f"{BASE}/topics",
        "search": f"{BASE}/search?lang={lang}&q={quote(word)}",
        "openapi": f"{PREFIX}/openapi.json",
    }
