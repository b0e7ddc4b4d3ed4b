"""From releases to answers. Pure: everything concrete is in `View`.

Rules, in order:

1. Who calls has asked `domain.visibility.standing`; nothing of a withdrawn release's text is ever read here.
2. Addresses are http(s) only, absolute and ASCII; a file without one is left out.
3. What is empty becomes null. A topic's former slug becomes the one in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from syndicator.domain.corrections import corrections, is_corrected
from syndicator.domain.model import Attachment, Release, Revision, Variant
from syndicator.domain.ports import FeedCatalogue, FeedLinks
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.web.api import models
from syndicator.web.views import safe

__all__ = ["BASE", "Histories", "View", "feeds_of"]

BASE = "/api/v1"
_URL_SAFE = "%/:?#[]@!$&'()*+,;=~"

Histories = Mapping[tuple[int, str], Sequence[Revision]]
"""Revisions by (release, language), newest first."""


@dataclass(frozen=True, slots=True)
class View:
    """How this site's releases are shown to programs."""

    site: Site
    taxonomy: Taxonomy
    catalogue: FeedCatalogue

    def url(self, path: str = "", query: str = "") -> str:
        """An address in this API; `path` begins with a slash."""
        return f"{self.site.base_url}{BASE}{path}{'?' if query else ''}{query}"

    # -- releases
    def overview(self, release: Release, langs: Sequence[str]) -> models.Overview:
        """A release in a list; with `langs` the one version they choose."""
        chosen = next((lang for lang in langs if release.variant(lang)), None)
        versions = [v for v in self._versions(release) if not langs or v.lang == chosen]
        shown = [models.VersionOverview(**self._version(release, one)) for one in versions]
        return models.Overview(**self._facts(release), versions=shown)

    def whole(self, release: Release, histories: Histories) -> models.WholeRelease:
        """A release with all its texts."""
        shown = [self._whole(release, one, histories) for one in self._versions(release)]
        return models.WholeRelease(**self._facts(release), versions=shown)

    def withdrawn(self, release: Release) -> models.Withdrawn:
        """What is left of a withdrawn one."""
        when = release.withdrawn_at or release.public_at
        return models.Withdrawn(
            number=release.number, id=release.uid, withdrawn=_moment(when), reason=release.reason or None
        )

    def _facts(self, release: Release) -> dict[str, Any]:
        return {
            "number": release.number,
            "id": release.uid,
            "url": self.url(f"/releases/{release.number}"),
            "kind": release.kind,
            "urgency": release.urgency.value,
            "published": _moment(release.public_at),
            "updated": _moment(max(release.updated_at or release.public_at, release.public_at)),
            "topics": [self._label(slug) for slug in dict.fromkeys(map(self.taxonomy.current, release.topics))],
            "languages": [one.lang for one in self._versions(release)],
        }

    def _versions(self, release: Release) -> list[Variant]:
        found = (release.variant(lang) for lang in self.site.languages)
        return [one for one in found if one is not None]

    def _version(self, release: Release, variant: Variant) -> dict[str, Any]:
        revision = variant.revision
        files = self._files(revision)
        return {
            "language": variant.lang,
            "id": variant.uid,
            "title": revision.title,
            "summary": revision.summary or None,
            "page": _ascii(self.site.release(variant.lang, release.number, variant.slug)),
            "updated": _moment(max(variant.updated_at, release.public_at)),
            "corrected": is_corrected(revision),
            "image": next((file for file in files if file.media_type.startswith("image/")), None),
        }

    def _whole(self, release: Release, variant: Variant, histories: Histories) -> models.Version:
        revision = variant.revision
        about = self.taxonomy.closure(release.topics)
        streams = ["all", *(slug for slug in self.taxonomy.slugs if slug in about)]
        links = (self.catalogue.link(variant.lang, slug) for slug in streams)
        return models.Version(
            **self._version(release, variant),
            html=revision.body,
            text=revision.text,
            link=_ascii(safe(revision.link)) or None,
            rights=revision.rights or None,
            corrections=_corrections(release, variant, histories),
            attachments=self._files(revision),
            feeds=[
                models.StreamFeeds(topic=link.topic, title=link.title, feeds=feeds_of(link))
                for link in links
                if link is not None
            ],
        )

    def _files(self, revision: Revision) -> list[models.File]:
        return [self._file(one) for one in revision.attachments if safe(one.url)]

    def _file(self, one: Attachment) -> models.File:
        return models.File(
            url=_ascii(self.site.absolute(one.url)),
            media_type=one.media_type,
            length=one.length or None,
            title=one.title or None,
            alt=one.alt or None,
            credit=one.credit or None,
        )

    # -- topics
    def _names(self, slug: str, topic: Topic | None) -> dict[str, str]:
        return {lang: topic.name(lang) if topic else slug for lang in self.site.languages}

    def _on(self, slug: str) -> str:
        return self.url("/releases", urlencode({"topic": slug}))

    def _label(self, slug: str) -> models.TopicLabel:
        """A topic that has left the topic file keeps its slug for a name."""
        return models.TopicLabel(slug=slug, names=self._names(slug, self.taxonomy.get(slug)), releases=self._on(slug))

    def topics(self, totals: Mapping[tuple[str, str], int], parent: str | None = None) -> list[models.Topic]:
        """The topics below a parent, as trees, in the order of the topic file."""
        langs = self.site.languages
        return [
            models.Topic(
                slug=topic.slug,
                names=self._names(topic.slug, topic),
                counts={lang: totals.get((lang, topic.slug), 0) for lang in langs},
                pages={lang: self.site.topic(lang, topic.slug) for lang in langs},
                feeds={
                    lang: feeds_of(link)
                    for lang in langs
                    if (link := self.catalogue.link(lang, topic.slug)) is not None
                },
                releases=self._on(topic.slug),
                topics=self.topics(totals, topic.slug),
            )
            for topic in self.taxonomy.topics
            if topic.parent == parent
        ]


def feeds_of(links: FeedLinks) -> models.Feeds:
    """One feed's addresses."""
    return models.Feeds(rss=links.rss, atom=links.atom, json_feed=links.json)


def _corrections(release: Release, variant: Variant, histories: Histories) -> list[models.Correction]:
    told = corrections(release, variant, histories.get((release.number, variant.lang), ()))
    return [models.Correction(at=_moment(one.at), note=one.note) for one in told]


def _moment(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(microsecond=0)


def _ascii(url: str) -> str:
    return quote(url, safe=_URL_SAFE)
