"""Tables of the WebSub hub: who asked, whose subscription holds until when, and what was last told of each topic.

A topic is a feed by its name under `/feeds/`: `az/all.atom`, or `custom.atom?lang=az&topic=visas`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment, primary_id, whole

__all__ = ["HubLease", "HubRequest", "HubTopic"]


class HubLease(SQLModel, table=True):
    """A verified subscription of a callback to a topic, until its lease ends; the subscriber is whom the ledger knows.

    `etag` is the version that the callback took last. `failures` counts deliveries that failed in a row since
    `failing_since`; before `retry_at` it is left alone. `slow` is 1 while its host takes long to answer. `ended_at` is
    set when it ended before its time. `host` and `domain` are those of `domain.hosts`, `asker` an untraceable digest
    of the visitor who asked: leases are bounded for each of the three.
    """

    __tablename__ = "hub_lease"
    __table_args__ = (UniqueConstraint("topic", "callback"), Index("ix_hub_lease_host", "host"))
    id: int | None = primary_id()
    subscriber_id: int = Field(
        sa_column=Column(Integer, ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=False, unique=True)
    )
    topic: str = Field(sa_column=Column(Text, nullable=False))
    callback: str = Field(sa_column=Column(Text, nullable=False))
    host: str
    domain: str = long_text()
    asker: str = long_text()
    secret: str = long_text()
    until: datetime = moment()
    etag: str = long_text()
    failures: int = whole()
    failing_since: datetime | None = moment(nullable=True)
    retry_at: datetime | None = moment(nullable=True)
    slow: int = whole()
    created_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)
    ended_reason: str = long_text()


class HubRequest(SQLModel, table=True):
    """Something to ask or tell a callback: `mode` is subscribe, unsubscribe or denied. `challenge` is its own."""

    __tablename__ = "hub_request"
    __table_args__ = (Index("ix_hub_request_pair", "topic", "callback"),)
    id: int | None = primary_id()
    mode: str
    topic: str = Field(sa_column=Column(Text, nullable=False))
    callback: str = Field(sa_column=Column(Text, nullable=False))
    host: str
    domain: str = long_text()
    asker: str = long_text()
    secret: str = long_text()
    lease_seconds: int = whole()
    challenge: str
    reason: str = long_text()
    attempts: int = whole()
    due_at: datetime = moment(index=True)
    created_at: datetime = moment()


class HubTopic(SQLModel, table=True):
    """What was last told of a feed: its version (`etag`), counted in `number`.

    `built` is the change of the store that a custom feed was last looked at for.
    """

    __tablename__ = "hub_topic"
    name: str = Field(sa_column=Column(Text, primary_key=True))
    etag: str = long_text()
    number: int = whole()
    built: int = whole()
    announced_at: datetime | None = moment(nullable=True)
