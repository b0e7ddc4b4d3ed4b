"""Tables of what is published: sources, releases, languages, revisions and files; and the service's own values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment, primary_id, reference

__all__ = [
    "Counter",
    "MediaUse",
    "Meta",
    "Release",
    "ReleaseTopic",
    "Revision",
    "SourceCursor",
    "SourceItem",
    "Variant",
]


class Meta(SQLModel, table=True):
    """Names and values of the service itself: the minted secret, renderer versions."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str = long_text()


class Counter(SQLModel, table=True):
    """Numbers that must grow in commit order; the row's lock orders the writers."""

    __tablename__ = "counter"
    name: str = Field(primary_key=True)
    value: int = 0


class SourceCursor(SQLModel, table=True):
    """How far each source has been read, and when last."""

    __tablename__ = "source_cursor"
    source: str = Field(primary_key=True)
    cursor: str = long_text()
    passed_at: datetime | None = moment(nullable=True)
    problem: str = long_text()


class SourceItem(SQLModel, table=True):
    """What was last taken of each document or row; a bad one keeps its reason here until it is mended."""

    __tablename__ = "source_item"
    source: str = Field(primary_key=True)
    origin: str = Field(primary_key=True)
    key: str = long_text()
    lang: str = long_text()
    fingerprint: str = long_text()
    problem: str = long_text()
    seen_at: datetime = moment()


class Release(SQLModel, table=True):
    """A release, language-neutral. `id` is its public number."""

    __tablename__ = "release"
    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_release_state_public_at", "state", "public_at"),
        Index("ix_release_public_at", "public_at", "id"),  # newest first: a list reads its own length, not all releases
        {"sqlite_autoincrement": True},
    )
    id: int | None = primary_id()
    uid: str = Field(sa_column=Column(String, nullable=False, unique=True))
    source: str
    key: str
    kind: str = "news"
    urgency: str = "normal"
    state: str
    public_at: datetime = moment()
    opened_at: datetime | None = moment(nullable=True)
    withdrawn_at: datetime | None = moment(nullable=True)
    reason: str = long_text()
    major: int = 0
    change: int = Field(default=0, sa_column=Column(Integer, nullable=False, index=True))
    created_at: datetime = moment()
    updated_at: datetime = moment()


class ReleaseTopic(SQLModel, table=True):
    """A topic of a release, ticked by the editor (`source`) or found by the rules (`rule`)."""

    __tablename__ = "release_topic"
    release_id: int = reference("release.id", primary_key=True, index=False)
    topic: str = Field(primary_key=True, index=True)
    position: int = 0
    chosen_by: str = "source"
    reason: str = long_text()


class Variant(SQLModel, table=True):
    """A release in one language; `revision_number` is what it says now.

    `said_*` is what this language's document says of the release as a whole; `store.consensus` makes the release's
    own facts of all of them, so that the order in which languages arrive does not matter. `opened_at` is when it could
    first be seen: the release was public, and this language let go.
    """

    __tablename__ = "variant"
    __table_args__ = (UniqueConstraint("release_id", "lang"),)
    id: int | None = primary_id()
    release_id: int = reference("release.id", index=False)
    lang: str
    uid: str = Field(sa_column=Column(String, nullable=False, unique=True))
    slug: str = Field(default="", index=True)
    position: int = 0
    said_state: str = "public"
    said_public_at: datetime = moment()
    said_kind: str = "news"
    said_urgency: str = "normal"
    said_topics: list[list[str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    said_reason: str = long_text()
    revision_number: int = 1
    updated_at: datetime = moment()
    created_at: datetime = moment()
    opened_at: datetime | None = moment(nullable=True)


class Revision(SQLModel, table=True):
    """One immutable version of a variant."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("variant_id", "number"),)
    id: int | None = primary_id()
    variant_id: int = reference("variant.id", index=False)
    number: int
    major: int = 0
    title: str = long_text()
    summary: str = long_text()
    body: str = long_text()
    text: str = long_text()
    link: str = long_text()
    attachments: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    rights: str = long_text()
    note: str = long_text()
    created_at: datetime = moment()


class MediaUse(SQLModel, table=True):
    """A kept file that the current revision of a language version holds; asked by address at every download."""

    __tablename__ = "media_use"
    url: str = Field(primary_key=True)
    variant_id: int = reference("variant.id", primary_key=True)
