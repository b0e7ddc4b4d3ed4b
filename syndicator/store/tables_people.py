"""Tables of who wants what, and of what was promised and sent to whom: filters, subscriptions, messages, the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from syndicator.store.columns import json_column, long_text, moment, primary_id, reference, whole

__all__ = ["Batch", "Delivery", "Filter", "FilterTerm", "Match", "Message", "Pause", "Subscriber", "Subscription"]


class Filter(SQLModel, table=True):
    """A filter that somebody uses; equal filters share this one row."""

    __tablename__ = "filter"
    id: int | None = primary_id()
    canonical: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    has_topics: bool = False
    has_kinds: bool = False
    has_words: bool = False
    has_langs: bool = False


class FilterTerm(SQLModel, table=True):
    """One value of a filter: field is lang, topic, not, kind or q; position is the preference of a lang."""

    __tablename__ = "filter_term"
    __table_args__ = (Index("ix_filter_term_field_value", "field", "value"),)
    filter_id: int = reference("filter.id", primary_key=True, index=False)
    field: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    position: int = 0


class Subscriber(SQLModel, table=True):
    """An address on a channel. `resolved` is what the channel calls it (a chat id) where that differs.

    `state` is active or paused; a paused one (blocked the bot, bounced, asked for it) keeps its subscriptions. A pause
    that was asked for has its reason (`people.ASKED`) and perhaps an end, `resume_at`. `quiet` are the hours in which
    only what is urgent is sent, as `domain.quiet` writes them; "" for none. `text_only`: their mails have no HTML.
    `heard_at` is when they showed last that mail reaches them (`coming_back`).
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
        Index(
            "ix_subscriber_resume_at",
            "resume_at",
            sqlite_where=text("resume_at IS NOT NULL"),
            postgresql_where=text("resume_at IS NOT NULL"),
        ),
    )
    id: int | None = primary_id()
    channel: str
    address: str
    role: str = "person"
    resolved: str = ""
    language: str
    timezone: str
    other_language: str = "urgent"
    state: str = "active"
    state_reason: str = long_text()
    quiet: str = long_text()
    text_only: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    resume_at: datetime | None = moment(nullable=True)
    heard_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()


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
        Index(
            "ix_subscription_digests",
            "subscriber_id",
            "cadence",
            sqlite_where=text("cadence <> 'immediate' AND state = 'active'"),
            postgresql_where=text("cadence <> 'immediate' AND state = 'active'"),
        ),
    )
    id: int | None = primary_id()
    subscriber_id: int = reference("subscriber.id")
    filter_id: int = reference("filter.id", index=False)
    cadence: str = "immediate"
    state: str = "pending"
    created_at: datetime = moment()
    confirmed_at: datetime | None = moment(nullable=True)
    ended_at: datetime | None = moment(nullable=True)
    ended_reason: str = long_text()
    consent_at: datetime | None = moment(nullable=True)
    consent_source: str = long_text()
    consent_text: str = long_text()


class Match(SQLModel, table=True):
    """Which filters a release matches, per language version; written at fan-out, read by digests and "why me"."""

    __tablename__ = "match"
    release_id: int = reference("release.id", primary_key=True, index=False)
    filter_id: int = reference("filter.id", primary_key=True)
    lang: str = Field(primary_key=True)
    created_at: datetime = moment()


class Message(SQLModel, table=True):
    """What is to be said. `key` makes it unique: `release:12:0`, `confirmation:45:1`.

    `fanned_out_at` is empty while recipients are still being written; `cursor` is the last subscriber done,
    `matched` what the matches were last written for: the release's `change`, its topics with all above them
    (`about`), and the site's languages, best first (`order`). Of a feed's news, `feed` is its name and `major` counts.
    """

    __tablename__ = "message"
    __table_args__ = (
        Index(
            "ix_message_open",
            "id",
            sqlite_where=text("fanned_out_at IS NULL"),
            postgresql_where=text("fanned_out_at IS NULL"),
        ),
        Index(
            "ix_message_feed",
            "feed",
            "created_at",
            sqlite_where=text("feed <> ''"),
            postgresql_where=text("feed <> ''"),
        ),
    )
    id: int | None = primary_id()
    key: str = Field(sa_column=Column(String, nullable=False, unique=True))
    kind: str
    release_id: int | None = reference("release.id", nullable=True)
    subscription_id: int | None = reference("subscription.id", nullable=True)
    feed: str = long_text()
    major: int = 0
    priority: int = 20
    cursor: int = 0
    matched: dict[str, Any] = json_column()
    created_at: datetime = moment()
    fanned_out_at: datetime | None = moment(nullable=True)
    again_at: datetime | None = moment(nullable=True)


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
    id: int | None = primary_id()
    channel: str
    priority: int = 20
    created_at: datetime = moment()
    done_at: datetime | None = moment(nullable=True)


class Delivery(SQLModel, table=True):
    """The ledger: one row per (message, subscriber), whatever happens.

    `claimed_by` is the process that sends it, where there are several (`domain.ports.Attendance`).
    `handed_at` is when a merge made the row its subscriber's, who then had the address that it went to; `left_at`,
    when who was merged had left the address that it went to before. `tried_at` is when it was put off first, for a
    reason that counts; of its `attempts`, `slowed` ended with a wish to slow down.
    """

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
    message_id: int = reference("message.id", index=False)
    subscriber_id: int = reference("subscriber.id")
    subscription_id: int | None = reference("subscription.id", nullable=True, index=False)
    batch_id: int | None = reference("batch.id", nullable=True, index=False, ondelete="SET NULL")
    lang: str = ""
    state: str = "due"
    attempts: int = 0
    crashes: int = whole()
    due_at: datetime = moment()
    claimed_at: datetime | None = moment(nullable=True)
    claimed_by: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    settled_at: datetime | None = moment(nullable=True)
    tried_at: datetime | None = moment(nullable=True)
    slowed: int = whole()
    handed_at: datetime | None = moment(nullable=True)
    left_at: datetime | None = moment(nullable=True)
    resent: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    reason: str = long_text()
    answer: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Pause(SQLModel, table=True):
    """A durable pause that a channel must keep: scope is `bot` or `chat:ID`."""

    __tablename__ = "pause"
    scope: str = Field(primary_key=True)
    until: datetime = moment()
    reason: str = long_text()
