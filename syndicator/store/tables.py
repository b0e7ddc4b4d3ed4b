"""The tables, as SQLModel classes. Alembic migrations make them; this file is what they must add up to.

Rules:

1. Times are stored in UTC (`UtcTime`): aware in Python, whatever the database keeps.
2. What must not happen twice is forbidden by a unique key, not by a check before.
3. Nothing but `syndicator.store` touches these classes.
4. Statements are written on the plain tables in capitals at the end: most of the work here is on sets of rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

__all__ = [
    "BATCH",
    "COUNTER",
    "DELIVERY",
    "FILTER",
    "FILTER_TERM",
    "MATCH",
    "MEDIA_USE",
    "MESSAGE",
    "META",
    "PAUSE",
    "RELEASE",
    "RELEASE_TOPIC",
    "REVISION",
    "SOURCE_CURSOR",
    "SOURCE_ITEM",
    "SUBSCRIBER",
    "SUBSCRIPTION",
    "VARIANT",
    "Batch",
    "Counter",
    "Delivery",
    "Filter",
    "FilterTerm",
    "Match",
    "MediaUse",
    "Message",
    "Meta",
    "Pause",
    "Release",
    "ReleaseTopic",
    "Revision",
    "SourceCursor",
    "SourceItem",
    "Subscriber",
    "Subscription",
    "UtcTime",
    "Variant",
]


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC. SQLite has no zones, so it is stored naive there and given back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: it would mean another moment on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone cannot be stored: {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give an aware time back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id() -> Any:
    return Field(default=None, primary_key=True)


def _time(*, nullable: bool = False, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def _ref(
    target: str, *, nullable: bool = False, index: bool = True, primary_key: bool = False, ondelete: str = "CASCADE"
) -> Any:
    return Field(
        default=None,
        sa_column=Column(
            Integer,
            ForeignKey(target, ondelete=ondelete),
            nullable=nullable,
            index=index,
            primary_key=primary_key,
        ),
    )


def _count() -> Any:
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'")))


def _text(*, default: str = "") -> Any:
    return Field(default=default, sa_column=Column(Text, nullable=False, server_default=text("''")))


class Meta(SQLModel, table=True):
    """Names and values of the service itself: the minted secret, renderer versions."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str = _text()


class Counter(SQLModel, table=True):
    """Numbers that must grow in commit order; the row's lock orders the writers."""

    __tablename__ = "counter"
    name: str = Field(primary_key=True)
    value: int = 0


class SourceCursor(SQLModel, table=True):
    """How far each source has been read, and when last."""

    __tablename__ = "source_cursor"
    source: str = Field(primary_key=True)
    cursor: str = _text()
    passed_at: datetime | None = _time(nullable=True)
    problem: str = _text()


class SourceItem(SQLModel, table=True):
    """What was last taken of each document or row; a bad one keeps its reason here until it is mended."""

    __tablename__ = "source_item"
    source: str = Field(primary_key=True)
    origin: str = Field(primary_key=True)
    key: str = _text()
    lang: str = _text()
    fingerprint: str = _text()
    problem: str = _text()
    seen_at: datetime = _time()


class Release(SQLModel, table=True):
    """A release, language-neutral. `id` is its public number."""

    __tablename__ = "release"
    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_release_state_public_at", "state", "public_at"),
        Index("ix_release_public_at", "public_at", "id"),  # newest first: a list reads its own length, not all releases
        {"sqlite_autoincrement": True},
    )
    id: int | None = _id()
    uid: str = Field(sa_column=Column(String, nullable=False, unique=True))
    source: str
    key: str
    kind: str = "news"
    urgency: str = "normal"
    state: str
    public_at: datetime = _time()
    opened_at: datetime | None = _time(nullable=True)
    withdrawn_at: datetime | None = _time(nullable=True)
    reason: str = _text()
    major: int = 0
    change: int = Field(default=0, sa_column=Column(Integer, nullable=False, index=True))
    created_at: datetime = _time()
    updated_at: datetime = _time()


class ReleaseTopic(SQLModel, table=True):
    """A topic of a release, ticked by the editor (`source`) or found by the rules (`rule`)."""

    __tablename__ = "release_topic"
    release_id: int = _ref("release.id", primary_key=True, index=False)
    topic: str = Field(primary_key=True, index=True)
    position: int = 0
    chosen_by: str = "source"
    reason: str = _text()


class Variant(SQLModel, table=True):
    """A release in one language; `revision_number` is what it says now.

    `said_*` is what this language's document says of the release as a whole; `store.consensus` makes the release's
    own facts of all of them, so that the order in which languages arrive does not matter. `opened_at` is when it could
    first be seen: the release was public, and this language let go.
    """

    __tablename__ = "variant"
    __table_args__ = (UniqueConstraint("release_id", "lang"),)
    id: int | None = _id()
    release_id: int = _ref("release.id", index=False)
    lang: str
    uid: str = Field(sa_column=Column(String, nullable=False, unique=True))
    slug: str = ""
    position: int = 0
    said_state: str = "public"
    said_public_at: datetime = _time()
    said_kind: str = "news"
    said_urgency: str = "normal"
    said_topics: list[list[str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    said_reason: str = _text()
    revision_number: int = 1
    updated_at: datetime = _time()
    created_at: datetime = _time()
    opened_at: datetime | None = _time(nullable=True)


class Revision(SQLModel, table=True):
    """One immutable version of a variant."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("variant_id", "number"),)
    id: int | None = _id()
    variant_id: int = _ref("variant.id", index=False)
    number: int
    major: int = 0
    title: str = _text()
    summary: str = _text()
    body: str = _text()
    text: str = _text()
    link: str = _text()
    attachments: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    rights: str = _text()
    note: str = _text()
    created_at: datetime = _time()


class MediaUse(SQLModel, table=True):
    """A kept file that the current revision of a language version holds; asked by address at every download."""

    __tablename__ = "media_use"
    url: str = Field(primary_key=True)
    variant_id: int = _ref("variant.id", primary_key=True)


class Filter(SQLModel, table=True):
    """A filter that somebody uses; equal filters share this one row."""

    __tablename__ = "filter"
    id: int | None = _id()
    canonical: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    has_topics: bool = False
    has_kinds: bool = False
    has_words: bool = False
    has_langs: bool = False


class FilterTerm(SQLModel, table=True):
    """One value of a filter: field is lang, topic, not, kind or q; position is the preference of a lang."""

    __tablename__ = "filter_term"
    __table_args__ = (Index("ix_filter_term_field_value", "field", "value"),)
    filter_id: int = _ref("filter.id", primary_key=True, index=False)
    field: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    position: int = 0


class Subscriber(SQLModel, table=True):
    """An address on a channel. `resolved` is what the channel calls it (a chat id) where that differs.

    `state` is active or paused; a paused one (blocked the bot, bounced) keeps its subscriptions.
    """

    __tablename__ = "subscriber"
    __table_args__ = (
        UniqueConstraint("channel", "address"),
        Index(
            "ix_subscriber_role_channel",
            "id",
            sqlite_where=text("role = 'channel'"),
            postgresql_where=text("role = 'channel'"),
        ),
    )
    id: int | None = _id()
    channel: str
    address: str
    role: str = "person"
    resolved: str = ""
    language: str
    timezone: str
    other_language: str = "urgent"
    state: str = "active"
    state_reason: str = _text()
    created_at: datetime = _time()


class Subscription(SQLModel, table=True):
    """A subscriber's filter and cadence, with the record of consent. At most one live per filter."""

    __tablename__ = "subscription"
    __table_args__ = (
        Index(
            "uq_subscription_live",
            "subscriber_id",
            "filter_id",
            unique=True,
            sqlite_where=text("state <> 'ended'"),
            postgresql_where=text("state <> 'ended'"),
        ),
        Index("ix_subscription_filter_state", "filter_id", "state"),
    )
    id: int | None = _id()
    subscriber_id: int = _ref("subscriber.id")
    filter_id: int = _ref("filter.id", index=False)
    cadence: str = "immediate"
    state: str = "pending"
    created_at: datetime = _time()
    confirmed_at: datetime | None = _time(nullable=True)
    ended_at: datetime | None = _time(nullable=True)
    ended_reason: str = _text()
    consent_at: datetime | None = _time(nullable=True)
    consent_source: str = _text()
    consent_text: str = _text()


class Match(SQLModel, table=True):
    """Which filters a release matches, per language version; written at fan-out, read by digests and "why me"."""

    __tablename__ = "match"
    release_id: int = _ref("release.id", primary_key=True, index=False)
    filter_id: int = _ref("filter.id", primary_key=True)
    lang: str = Field(primary_key=True)
    created_at: datetime = _time()


class Message(SQLModel, table=True):
    """What is to be said. `key` makes it unique: `release:12:0`, `confirmation:45:1`.

    `fanned_out_at` is empty while recipients are still being written; `cursor` is the last subscriber done,
    `matched` what the matches were last written for: the release's `change`, its topics with all above them
    (`about`), and the site's languages, best first (`order`).
    """

    __tablename__ = "message"
    __table_args__ = (
        Index(
            "ix_message_open",
            "id",
            sqlite_where=text("fanned_out_at IS NULL"),
            postgresql_where=text("fanned_out_at IS NULL"),
        ),
    )
    id: int | None = _id()
    key: str = Field(sa_column=Column(String, nullable=False, unique=True))
    kind: str
    release_id: int | None = _ref("release.id", nullable=True)
    subscription_id: int | None = _ref("subscription.id", nullable=True)
    major: int = 0
    priority: int = 20
    cursor: int = 0
    matched: dict[str, Any] = _json()
    created_at: datetime = _time()
    fanned_out_at: datetime | None = _time(nullable=True)
    again_at: datetime | None = _time(nullable=True)


class Batch(SQLModel, table=True):
    """The deliveries that one job sends; open until none of them is due."""

    __tablename__ = "batch"
    __table_args__ = (
        Index(
            "ix_batch_open",
            "id",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )
    id: int | None = _id()
    channel: str
    priority: int = 20
    created_at: datetime = _time()
    done_at: datetime | None = _time(nullable=True)


class Delivery(SQLModel, table=True):
    """The ledger: one row per (message, subscriber), whatever happens."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("message_id", "subscriber_id"),
        Index("ix_delivery_batch_state", "batch_id", "state"),
        Index(
            "ix_delivery_waiting",
            "state",
            "due_at",
            sqlite_where=text("state IN ('due', 'sending', 'deferred')"),
            postgresql_where=text("state IN ('due', 'sending', 'deferred')"),
        ),
        Index(
            "ix_delivery_trouble",
            "state",
            sqlite_where=text("state IN ('failed', 'unknown')"),
            postgresql_where=text("state IN ('failed', 'unknown')"),
        ),
    )
    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    )
    message_id: int = _ref("message.id", index=False)
    subscriber_id: int = _ref("subscriber.id")
    subscription_id: int | None = _ref("subscription.id", nullable=True, index=False)
    batch_id: int | None = _ref("batch.id", nullable=True, index=False, ondelete="SET NULL")
    lang: str = ""
    state: str = "due"
    attempts: int = 0
    crashes: int = _count()
    due_at: datetime = _time()
    claimed_at: datetime | None = _time(nullable=True)
    settled_at: datetime | None = _time(nullable=True)
    resent: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    reason: str = _text()
    answer: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Pause(SQLModel, table=True):
    """A durable pause that a channel must keep: scope is `bot` or `chat:ID`."""

    __tablename__ = "pause"
    scope: str = Field(primary_key=True)
    until: datetime = _time()
    reason: str = _text()


BATCH: Table = SQLModel.metadata.tables["batch"]
COUNTER: Table = SQLModel.metadata.tables["counter"]
DELIVERY: Table = SQLModel.metadata.tables["delivery"]
FILTER: Table = SQLModel.metadata.tables["filter"]
FILTER_TERM: Table = SQLModel.metadata.tables["filter_term"]
MATCH: Table = SQLModel.metadata.tables["match"]
MEDIA_USE: Table = SQLModel.metadata.tables["media_use"]
MESSAGE: Table = SQLModel.metadata.tables["message"]
META: Table = SQLModel.metadata.tables["meta"]
PAUSE: Table = SQLModel.metadata.tables["pause"]
RELEASE: Table = SQLModel.metadata.tables["release"]
RELEASE_TOPIC: Table = SQLModel.metadata.tables["release_topic"]
REVISION: Table = SQLModel.metadata.tables["revision"]
SOURCE_CURSOR: Table = SQLModel.metadata.tables["source_cursor"]
SOURCE_ITEM: Table = SQLModel.metadata.tables["source_item"]
SUBSCRIBER: Table = SQLModel.metadata.tables["subscriber"]
SUBSCRIPTION: Table = SQLModel.metadata.tables["subscription"]
VARIANT: Table = SQLModel.metadata.tables["variant"]
