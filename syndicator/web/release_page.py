"""A release's own page.

Rules, in order:

1. What may not be seen does not exist: the answer is the 404 of any unknown address, with no redirect before it. An
   unknown number whose words name one public release leads there: a restore gave it another number (302).
2. What was withdrawn is gone: 410, its number, the reason and the date; nothing of its text, not even in the address.
3. What is public has one address a language; any other spelling of it leads there (301).
4. Where a language is missing, the page says which ones there are.
5. What was corrected says so first, newest correction first; what that means, `domain.corrections` decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from babel import Locale
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from syndicator.domain.corrections import corrections
from syndicator.domain.model import Attachment, Release, Revision, Standing, Urgency, Variant
from syndicator.domain.ports import FeedLinks
from syndicator.domain.text import repeats_opening
from syndicator.domain.visibility import standing
from syndicator.store import releases, renumbered
from syndicator.web.parts import PARTS
from syndicator.web.rendering import page
from syndicator.web.views import is_local, release_paths, safe, scrolling, topic_links
from syndicator.wording import kind_name, size_in_words

__all__ = ["number_in", "show"]

_NAME = re.compile(r"([0-9]{1,9})(?:-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment for download."""

    href: str
    title: str
    detail: str


async def show(request: web.Request) -> web.Response:
    """GET /{lang}/releases/{number}-{slug}."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    number, now = number_in(request.match_info["name"]), parts.clock()
    if number is None:
        raise web.HTTPNotFound
    async with parts.database.reading() as session:
        release = await releases.visible(session, number, now)
        if release is None:
            return await _elsewhere(request, session, lang, number)
        match standing(release.state, release.public_at, release.opened_at, now):
            case Standing.HIDDEN:
                raise web.HTTPNotFound
            case Standing.WITHDRAWN:
                return _gone(request, release, lang)
            case Standing.PUBLIC:
                pass
        variant = release.variant(lang)
        if variant is None:
            return _missing(request, release, lang)
        history = await releases.history(session, number, lang)
    path = parts.site.release_path(lang, number, variant.slug)
    if request.path != path:
        location = URL(path).raw_path
        return web.Response(status=301, headers={"Location": location, "Cache-Control": "public, max-age=300"})
    return _shown(request, release, variant, history)


def number_in(name: str) -> int | None:
    """The release's number in the last part of its page's address (`12-opening-hours`); None where there is none."""
    named = _NAME.fullmatch(name)
    return int(named[1]) if named else None


async def _elsewhere(request: web.Request, session: AsyncSession, lang: str, number: int) -> web.Response:
    """To where the release is that this address named once.

    Raises:
        HTTPNotFound: nobody knows it.
    """
    parts, words = request.app[PARTS], _words_in(request.match_info["name"])
    found = await renumbered.by_slug(session, lang, words, number, parts.clock()) if words else None
    if found is None:
        raise web.HTTPNotFound
    location = URL(parts.site.release_path(lang, found, words)).raw_path
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "public, max-age=300"})


def _words_in(name: str) -> str:
    named = _NAME.fullmatch(name)
    return (named and named[2]) or ""


def _gone(request: web.Request, release: Release, lang: str) -> web.Response:
    site = request.app[PARTS].site
    return page(
        request,
        "withdrawn.html",
        lang,
        status=410,
        paths={code: site.release_path(code, release.number, "") for code in site.languages},
        number=release.number,
        reason=release.reason_in(lang),
        withdrawn_at=release.withdrawn_at,
    )


def _missing(request: web.Request, release: Release, lang: str) -> web.Response:
    """Public, but not in this language."""
    return page(
        request,
        "missing.html",
        lang,
        status=404,
        cache="no-cache",
        versions=[
            (code, request.app[PARTS].texts(code).language_name, path, variant.revision.title)
            for code, path in release_paths(release, request.app[PARTS].site).items()
            if (variant := release.variant(code)) is not None
        ],
    )


def _shown(request: web.Request, release: Release, variant: Variant, history: Sequence[Revision]) -> web.Response:
    parts, lang = request.app[PARTS], variant.lang
    t, revision = parts.texts(lang), variant.revision
    told = corrections(release, variant, history)
    paths = release_paths(release, parts.site)
    images = [a for a in revision.attachments if a.is_image]
    return page(
        request,
        "release.html",
        lang,
        paths=paths,
        feeds=_streams(request, release, lang),
        release=release,
        revision=revision,
        summary="" if repeats_opening(revision.summary, revision.text) else revision.summary,
        # Clean since intake (domain.markup); the only HTML that is not escaped.
        body=Markup(scrolling(revision.body, t("Table"))),  # noqa: S704
        kind=kind_name(release.kind, t),
        urgent=release.urgency is Urgency.URGENT,
        updated_at=told[0].at if told else None,
        corrections=told,
        topics=topic_links(release.topics, parts.taxonomy, t),
        pictures=[a for a in images if is_local(a)],
        files=[_file(a, t.locale) for a in revision.attachments if safe(a.url) and not (a.is_image and is_local(a))],
        link=safe(revision.link),
        address=parts.site.absolute(paths[lang]),
        preview=_preview(revision.image, parts.site.base_url),
        versions=[(code, parts.texts(code).language_name, path) for code, path in paths.items() if code != lang],
    )


def _streams(request: web.Request, release: Release, lang: str) -> list[FeedLinks]:
    catalogue = request.app[PARTS].catalogue
    return [stream for slug in release.topics if (stream := catalogue.link(lang, slug)) is not None]


def _file(attachment: Attachment, locale: Locale) -> File:
    name = attachment.url.rpartition("/")[2]
    kind = attachment.media_type.rpartition("/")[2].upper() if len(attachment.media_type) < 20 else ""
    detail = ", ".join(filter(None, (kind, size_in_words(attachment.length, locale))))
    return File(attachment.url, attachment.title or attachment.alt or name, detail)


def _preview(image: Attachment | None, base_url: str) -> Attachment | None:
    """The picture for link previews, with an absolute address."""
    if image is None or not safe(image.url):
        return None
    url = image.url if image.url.startswith(("http://", "https://")) else base_url + image.url
    return Attachment(url=url, media_type=image.media_type, alt=image.alt)
