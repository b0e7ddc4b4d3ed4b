"""Releases and topics as the templates show them: every address and label worked out beforehand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from syndicator.domain.corrections import is_corrected
from syndicator.domain.model import Attachment, Release, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.wording import kind_name

__all__ = [
    "Card",
    "Link",
    "Node",
    "Paging",
    "card",
    "is_local",
    "release_paths",
    "safe",
    "scrolling",
    "topic_links",
    "topic_tree",
]


@dataclass(frozen=True, slots=True)
class Link:
    """A label and where it leads; no address where there is nothing to lead to."""

    label: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A release in a list, in `lang`."""

    lang: str
    href: str
    title: str
    summary: str
    kind: str
    published: datetime
    urgent: bool
    corrected: bool
    topics: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A topic in the tree."""

    slug: str
    label: str
    href: str
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page stands in a list; pages count from 1."""

    page: int
    pages: int
    before: str
    after: str


def card(release: Release, variant: Variant, site: Site, taxonomy: Taxonomy, t: Translator) -> Card:
    """A release as it stands in lists, in one language."""
    return Card(
        lang=variant.lang,
        href=site.release_path(variant.lang, release.number, variant.slug),
        title=variant.revision.title,
        summary=variant.revision.summary,
        kind=kind_name(release.kind, t),
        published=release.public_at,
        urgent=release.urgency is Urgency.URGENT,
        corrected=is_corrected(variant.revision),
        topics=topic_links(release.topics, taxonomy, t),
    )


def topic_links(slugs: Sequence[str], taxonomy: Taxonomy, t: Translator) -> tuple[Link, ...]:
    """Topics by name; one that has left the topic file is a name without a page."""
    topics = ((slug, taxonomy.get(slug)) for slug in dict.fromkeys(map(taxonomy.current, slugs)))
    return tuple(
        Link(topic.name(t.lang), f"/{t.lang}/topics/{slug}") if topic else Link(slug) for slug, topic in topics
    )


def topic_tree(taxonomy: Taxonomy, t: Translator) -> tuple[Node, ...]:
    """The whole tree, in the order of the topic file."""
    return _below(None, taxonomy, t)


def _below(parent: str | None, taxonomy: Taxonomy, t: Translator) -> tuple[Node, ...]:
    return tuple(
        Node(
            topic.slug,
            topic.name(t.lang),
            f"/{t.lang}/topics/{topic.slug}",
            _below(topic.slug, taxonomy, t),
        )
        for topic in taxonomy.topics
        if topic.parent == parent
    )


def release_paths(release: Release, site: Site) -> dict[str, str]:
    """A release's pages by language, in the site's order."""
    found = {lang: release.variant(lang) for lang in site.languages}
    return {
        lang: site.release_path(lang, release.number, variant.slug)
        for lang, variant in found.items()
        if variant is not None
    }


def safe(url: str) -> str:
    """An address that may stand in a link: the web's or our own, never a script's; otherwise none."""
    return url if url.startswith(("http://", "https://", "/media/")) else ""


def scrolling(body: str, name: str) -> str:
    """A clean body whose tables scroll by themselves where they are too wide, also by keyboard.

    The body is clean, so its tags are written in one way.
    """
    frame = f'<div class="wide" role="region" aria-label="{escape(name)}" tabindex="0"><table>'
    return body.replace("<table>", frame).replace("</table>", "</table></div>")


def is_local(attachment: Attachment) -> bool:
    """Whether a picture lies with us: only then is it loaded, since no page asks a third party for anything."""
    return attachment.url.startswith("/media/")
