"""From what a source reports to what the store keeps: cleaned, summarised and checked. Pure, but for media.

Rules, in order:

1. A body is sanitised here, once; everything after trusts it. Every other field is one line that can be stored, sent
   and shown: a lone surrogate in a link would stop the whole pass.
2. A language must be one of the site's; a ticked topic one of the topic file's; a title must not be empty.
   Otherwise the document is refused with one line that says what is allowed.
3. A date that lies ahead is an embargo, whether it is called so or not; a file's own time never lies ahead.
4. Topics an editor ticked stand until others are ticked. Where none are, the rules read every language version there
   is and the best of all of them count, so that the order in which translations arrive changes nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from syndicator.domain.model import Attachment, BodyFormat, Change, Release, Revision, State
from syndicator.domain.site import Site
from syndicator.domain.text import clean, excerpt, one_line, plain, slugify
from syndicator.domain.topics import Taxonomy, classify

__all__ = ["Prepared", "prepare", "ruled_topics"]

TITLE_LIMIT = 500  # characters; a longer first line is no title
KIND_LIMIT = 40

Chosen = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A language version, ready to be stored. `ticked` is None where the rules must find the topics."""

    change: Change
    slug: str
    revision: Revision
    public_at: datetime
    ticked: Chosen | None


def prepare(
    change: Change, attachments: tuple[Attachment, ...], site: Site, taxonomy: Taxonomy, now: datetime
) -> Prepared:
    """Clean and check one change; `attachments` are those kept, with addresses of their own.

    Raises:
        ValueError: one clear line: what is wrong and what is allowed.
    """
    if change.lang not in site.languages:
        raise ValueError(f"lang: {change.lang!r} is not a language of this site ({', '.join(site.languages)})")
    change = replace(
        change,
        kind=_kind(change),
        link=one_line(change.link),
        reason=one_line(change.reason),
        note=one_line(change.note),
    )
    title = _title(change)
    body = clean(change.body, change.body_format, base_url=change.link or site.base_url)
    text = plain(body)
    summary = one_line(plain(clean(change.summary, BodyFormat.TEXT))) if change.summary else ""
    revision = Revision(
        number=0,
        major=0,
        title=title,
        summary=summary or excerpt(text),
        body=body,
        text=text,
        link=change.link,
        attachments=tuple(map(_attachment, attachments)),
        rights=one_line(change.rights),
        note=change.note,
    )
    return Prepared(change, slugify(title), revision, _public_at(change, now), _ticked(change, taxonomy))


def ruled_topics(prepared: Prepared, existing: Release | None, taxonomy: Taxonomy) -> Chosen:
    """Topics by the rules, over this text and those the release has in other languages (rule 4)."""
    texts: dict[str, Revision] = {}
    if existing is not None:
        texts = {v.lang: v.revision for v in existing.variants}
    texts[prepared.change.lang] = prepared.revision
    best: dict[str, tuple[float, str]] = {}
    for lang, revision in sorted(texts.items()):
        found = classify(revision.title, revision.summary, revision.text, lang, taxonomy)
        for reason in found.reasons:
            if reason.slug in found.topics and reason.score > best.get(reason.slug, (0.0, ""))[0]:
                words = ", ".join(f"{phrase} ({where})" for phrase, where, _ in reason.hits[:5])
                best[reason.slug] = (reason.score, f"{lang}: {words}")
    order = {slug: index for index, slug in enumerate(taxonomy.slugs)}
    ranked = sorted(best, key=lambda slug: (-best[slug][0], order[slug]))[: taxonomy.limit]
    return tuple((slug, "rule", best[slug][1]) for slug in ranked)


def state_of(change: Change, public_at: datetime, now: datetime) -> State:
    """Draft and withdrawn as the editor says; public only from its time on."""
    if change.state is State.PUBLIC:
        return State.SCHEDULED if public_at > now else State.PUBLIC
    return change.state


def _title(change: Change) -> str:
    title = one_line(change.title)
    if not any(unicodedata.category(letter)[0] not in "ZC" for letter in title):
        raise ValueError("title: is empty; the first line, or `title` in the front matter, is needed")
    if len(title) > TITLE_LIMIT:
        raise ValueError(f"title: has {len(title)} characters; at most {TITLE_LIMIT} are allowed")
    return title


def _kind(change: Change) -> str:
    kind = one_line(change.kind) or "news"
    if len(kind) > KIND_LIMIT:
        raise ValueError(f"kind: has {len(kind)} characters; at most {KIND_LIMIT} are allowed")
    return kind


def _attachment(one: Attachment) -> Attachment:
    """Its words on one line, of characters that every channel can carry."""
    return replace(
        one,
        url=one_line(one.url),
        media_type=one_line(one.media_type),
        title=one_line(one.title),
        alt=one_line(one.alt),
        credit=one_line(one.credit),
    )


def _public_at(change: Change, now: datetime) -> datetime:
    if change.embargo is not None:
        return change.embargo
    return change.published if change.published is not None else min(change.seen_at, now)


def _ticked(change: Change, taxonomy: Taxonomy) -> Chosen | None:
    if change.topics is None:
        return None
    unknown: Mapping[str, None] = {slug: None for slug in change.topics if taxonomy.get(slug) is None}
    if unknown:
        raise ValueError(f"topics: {', '.join(unknown)} unknown; allowed are {', '.join(taxonomy.slugs)}")
    return tuple((slug, "source", "") for slug in dict.fromkeys(change.topics))
