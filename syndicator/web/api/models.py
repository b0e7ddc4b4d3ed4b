"""The answers, as pydantic models: they render JSON, and the OpenAPI document's schemas are made from them.

1. Every member is always there; what has nothing to say is null or an empty list.
2. Addresses are absolute and ASCII; times are RFC 3339 in UTC, to the second.
3. Of a withdrawn release there are its number, when and why: its model has no member that could hold a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Change",
    "Changes",
    "Correction",
    "Feeds",
    "File",
    "Language",
    "Overview",
    "Problem",
    "Releases",
    "SearchResult",
    "Site",
    "StreamFeeds",
    "Topic",
    "TopicLabel",
    "Topics",
    "Version",
    "VersionOverview",
    "WholeRelease",
    "Withdrawn",
    "WithdrawnProblem",
]

Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
Lang = Annotated[str, Field(description="A lower-case BCP 47 code.", examples=["az"])]
Names = Annotated[Mapping[str, str], Field(description="A name by language.", examples=[{"az": "Vizalar"}])]


class Answer(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class Feeds(Answer):
    """The addresses of one feed in its three formats."""

    rss: Url
    atom: Url
    json_feed: Url


class StreamFeeds(Answer):
    """A feed in which a text stands."""

    topic: str = Field(description="A topic's slug, or `all`.", examples=["all"])
    title: str
    feeds: Feeds


class TopicLabel(Answer):
    """A topic of a release."""

    slug: str = Field(examples=["visas"])
    names: Names
    releases: Url = Field(description="All releases on this topic, in this API.")


class Correction(Answer):
    """What was said when a text was corrected, newest first in lists."""

    at: datetime
    note: str = Field(examples=["The opening hours were wrong."])


class File(Answer):
    """A picture or a file that belongs to a text."""

    url: Url
    media_type: str = Field(examples=["image/jpeg"])
    length: int | None = Field(description="Bytes; null where it is not known.", ge=0)
    title: str | None
    alt: str | None = Field(description="What a picture shows, for who cannot see it.")
    credit: str | None = Field(description="Whom to name beside a picture.")


class VersionOverview(Answer):
    """A release in one language, without its text."""

    language: Lang
    id: str = Field(
        description="Permanent tag URI, which feeds use as well.", examples=["tag:press.example.org,2026:release:az:1"]
    )
    title: str
    summary: str | None
    page: Url = Field(description="The page for people.")
    updated: datetime = Field(description="Publication, or the newest correction that was told.")
    corrected: bool = Field(description="Whether the text carries a note of a correction.")
    image: File | None = Field(description="The lead picture.")


class Version(VersionOverview):
    """A release in one language, whole."""

    html: str = Field(description="The text in a safe subset of HTML: no script, no style, no frame.")
    text: str = Field(description="The same as plain text.")
    link: Url | None = Field(description="Where the office says more.")
    rights: str | None
    corrections: Sequence[Correction]
    attachments: Sequence[File]
    feeds: Sequence[StreamFeeds] = Field(description="The feeds in which it stands.")


class _ReleaseFacts(Answer):
    number: int = Field(description="The release's public number; it is never given twice.", examples=[12])
    id: str = Field(description="Permanent tag URI of the release as a whole.")
    url: Url = Field(description="The whole release in this API.")
    kind: str = Field(examples=["news"])
    urgency: Literal["normal", "urgent"]
    published: datetime = Field(description="Fixed for ever.")
    updated: datetime = Field(description="Publication, or the newest correction that was told.")
    topics: Sequence[TopicLabel]
    languages: Sequence[Lang] = Field(description="All languages it exists in.")


class Overview(_ReleaseFacts):
    """A release in a list."""

    versions: Sequence[VersionOverview] = Field(
        description="With `lang` the one version it chooses, else every version, in the order of the site's languages."
    )


class WholeRelease(_ReleaseFacts):
    """A release with its texts in all languages."""

    versions: Sequence[Version] = Field(description="In the order of the site's languages.")


class Releases(Answer):
    """A part of a list, newest first."""

    url: Url = Field(description="This part.")
    next: Url | None = Field(description="The part that follows; null at the end. Also in the `Link` header.")
    releases: Sequence[Overview]


class SearchResult(Releases):
    """A part of what a search has found, newest first."""

    total: int = Field(description="How many were found in all.", ge=0)


class Withdrawn(Answer):
    """What is left of a withdrawn release. Take your copy down, or say in its place what stands here."""

    number: int
    id: str
    withdrawn: datetime
    reason: str | None


class Change(Answer):
    """A release as it stands now, or as withdrawn: exactly one of the two is not null."""

    change: int = Field(description="Grows with every change of any release, with gaps.")
    state: Literal["public", "withdrawn"]
    number: int
    release: WholeRelease | None
    withdrawn: Withdrawn | None


class Changes(Answer):
    """What is new, corrected or withdrawn since a change number, in the order it happened.

    Each release stands here once, as it is now. Put it in the place of what you have under its number.
    """

    since: int
    change: int = Field(description="Up to which change this answer goes: your next `since`.")
    more: bool = Field(description="Whether more waits already; else ask again after a minute or later.")
    next: Url = Field(description="Where to go on, now or later.")
    changes: Sequence[Change]


class Topic(Answer):
    """A topic with what lies below it."""

    slug: str
    names: Names
    counts: Mapping[str, int] = Field(description="Releases by language, those of the topics below it among them.")
    pages: Mapping[str, str] = Field(description="The page for people by language.")
    feeds: Mapping[str, Feeds] = Field(description="By language.")
    releases: Url = Field(description="All its releases, in this API.")
    topics: Sequence[Topic]


class Topics(Answer):
    """All topics, as trees."""

    topics: Sequence[Topic]


class Language(Answer):
    """A language that the office publishes in."""

    language: Lang
    name: str = Field(description="Its own name for itself.")
    office: str = Field(description="The office's name in it.")
    count: int = Field(description="How many releases it has.", ge=0)
    home: Url
    feeds: Feeds | None


class Site(Answer):
    """Who publishes here, in which languages, and where everything else is."""

    names: Names
    default_language: Lang
    timezone: str = Field(description="The office's, of the IANA list.", examples=["Asia/Baku"])
    languages: Sequence[Language]
    releases: Url
    search: Url
    changes: Url
    topics: Url
    openapi: Url
    hubs: Sequence[Url] = Field(description="WebSub hubs that tell of new releases.")


class Problem(BaseModel):
    """What was wrong (RFC 9457)."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    type: str = Field(description="`about:blank`, or the address that explains this kind of problem.")
    title: str
    status: int
    detail: str = Field(description="One line: what, where, what is allowed.")
    parameter: str | None = Field(default=None, description="The parameter to blame, if one is.")


class WithdrawnProblem(Problem):
    """The answer for a release that was withdrawn."""

    number: int
    id: str
    withdrawn: datetime
    reason: str | None
