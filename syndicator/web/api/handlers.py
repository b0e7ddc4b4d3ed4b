"""The addresses of the API: each asks the store one or two questions and shows what it got."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from syndicator.domain.model import Release, Revision, Standing
from syndicator.domain.visibility import standing
from syndicator.store import releases
from syndicator.store.releases import Place
from syndicator.web.api import models, problems
from syndicator.web.api.answering import Question
from syndicator.web.api.keeping import Made
from syndicator.web.api.parameters import query_of, write_cursor
from syndicator.web.api.showing import Histories, feeds_of
from syndicator.web.parts import PARTS

__all__ = ["changes", "one", "overview", "search", "site", "topics"]

NUMBER = re.compile(r"[0-9]{1,9}")
ENOUGH = 2_000_000  # characters of text in one answer of changes; the rest comes with the next


async def overview(question: Question) -> Made:
    """GET /api/v1/releases: a list, newest first."""
    shown, link = await _part(question, "/releases")
    url = question.view.url("/releases", query_of(question.asked, **_place(question)))
    body = models.Releases(url=url, next=link, releases=shown)
    return Made(body.model_dump_json().encode(), ((link, "next"),) if link else ())


async def search(question: Question) -> Made:
    """GET /api/v1/search: the same, with how many there are in all."""
    shown, link = await _part(question, "/search")
    asked, view = question.asked, question.view
    total = await releases.count(
        question.session,
        asked.wanted,
        view.taxonomy,
        lang=None,
        now=question.now,
        since=asked.since,
        until=asked.until,
        by_update=asked.by_update,
    )
    url = view.url("/search", query_of(asked, **_place(question)))
    body = models.SearchResult(url=url, next=link, releases=shown, total=total)
    return Made(body.model_dump_json().encode(), ((link, "next"),) if link else ())


async def _part(question: Question, path: str) -> tuple[list[models.Overview], str | None]:
    """The releases asked for, and where the list goes on."""
    asked, view = question.asked, question.view
    found = await releases.listing_after(
        question.session,
        asked.wanted,
        view.taxonomy,
        lang=None,
        now=question.now,
        limit=asked.limit + 1,
        after=asked.after,
        since=asked.since,
        until=asked.until,
        by_update=asked.by_update,
    )
    part = found[: asked.limit]
    link = None
    if len(found) > len(part):
        cursor = write_cursor(Place(part[-1].public_at, part[-1].number))
        link = view.url(path, query_of(asked, cursor=cursor))
    return [view.overview(release, asked.wanted.langs) for release in part], link


def _place(question: Question) -> dict[str, str]:
    after = question.asked.after
    return {} if after is None else {"cursor": write_cursor(after)}


async def one(question: Question) -> Made | web.Response:
    """GET /api/v1/releases/{number}: all of it; 410 once it is withdrawn."""
    named = NUMBER.fullmatch(question.request.match_info["number"])
    number = int(named[0]) if named is not None else 0
    release = await releases.visible(question.session, number, question.now)
    if release is None:
        return problems.problem_of(404)
    match standing(release.state, release.public_at, release.opened_at, question.now):
        case Standing.HIDDEN:
            return problems.problem_of(404)
        case Standing.WITHDRAWN:
            return _gone(question, release)
        case Standing.PUBLIC:
            whole = question.view.whole(release, await _histories(question, [release]))
            return Made(whole.model_dump_json().encode())


def _gone(question: Question, release: Release) -> web.Response:
    left = question.view.withdrawn(release)
    said = models.WithdrawnProblem(
        type=problems.kind_url(question.request, "withdrawn"),
        title=HTTPStatus.GONE.phrase,
        status=410,
        detail=f"Release {release.number} was withdrawn; take down your copy.",
        **left.model_dump(),
    )
    return problems.problem(said, {"Cache-Control": "public, max-age=60"})


async def changes(question: Question) -> Made:
    """GET /api/v1/changes: what partners need to keep a copy in step."""
    since, view = question.asked.change, question.view
    newest = await releases.last_public_change(question.session, question.now)
    if since > newest:
        line = f"since: {since} is greater than any change so far; begin again with 0"
        raise problems.Refused(line, "since", "unknown-change")
    found = await releases.public_changes(question.session, since, now=question.now, limit=question.asked.limit)
    part = _within(found)
    histories = await _histories(question, part)
    shown = [_change(question, release, histories) for release in part]
    reached = part[-1].change if part else since
    link = view.url("/changes", query_of(replace(question.asked, change=0), since=str(reached)))
    body = models.Changes(since=since, change=reached, more=reached < newest, next=link, changes=shown)
    return Made(body.model_dump_json().encode(), ((link, "next"),))


def _within(found: Sequence[Release]) -> Sequence[Release]:
    """As many as make a bounded answer, but one at least."""
    size = 0
    for place, release in enumerate(found):
        size += sum(len(one.revision.body) + len(one.revision.text) for one in release.variants)
        if place and size > ENOUGH:
            return found[:place]
    return found


def _change(question: Question, release: Release, histories: Histories) -> models.Change:
    public = standing(release.state, release.public_at, release.opened_at, question.now) is Standing.PUBLIC
    return models.Change(
        change=release.change,
        state="public" if public else "withdrawn",
        number=release.number,
        release=question.view.whole(release, histories) if public else None,
        withdrawn=None if public else question.view.withdrawn(release),
    )


async def _histories(question: Question, found: Sequence[Release]) -> dict[tuple[int, str], Sequence[Revision]]:
    """What was said of corrections; only texts that have a past are looked up."""
    return {
        (release.number, variant.lang): await releases.history(question.session, release.number, variant.lang)
        if variant.revision.number > 1
        else [variant.revision]
        for release in found
        for variant in release.variants
    }


async def topics(question: Question) -> Made:
    """GET /api/v1/topics: the trees, with names, counts and feeds."""
    view = question.view
    totals = await releases.topic_totals(question.session, view.taxonomy, question.now)
    return Made(models.Topics(topics=view.topics(totals)).model_dump_json().encode())


async def site(question: Question) -> Made:
    """GET /api/v1/: who publishes, in which languages, and where the rest is."""
    view, parts = question.view, question.request.app[PARTS]
    totals = await releases.topic_totals(question.session, view.taxonomy, question.now)
    body = models.Site(
        names={lang: view.site.name(lang) for lang in view.site.languages},
        default_language=view.site.default_language,
        timezone=view.site.timezone,
        languages=[
            models.Language(
                language=lang,
                name=parts.texts(lang).language_name,
                office=view.site.name(lang),
                count=totals.get((lang, "all"), 0),
                home=view.site.home(lang),
                feeds=feeds_of(link) if (link := view.catalogue.link(lang, "all")) is not None else None,
            )
            for lang in view.site.languages
        ],
        releases=view.url("/releases"),
        search=view.url("/search"),
        changes=view.url("/changes"),
        topics=view.url("/topics"),
        openapi=f"{view.site.base_url}/api/openapi.json",
        hubs=list(view.catalogue.hubs()),
    )
    return Made(body.model_dump_json().encode())
