"""The tables, as SQLModel classes. Alembic migrations make them; these are what they must add up to.

Rules:

1. Times are stored in UTC (`UtcTime`): aware in Python, whatever the database keeps.
2. What must not happen twice is forbidden by a unique key, not by a check before.
3. Nothing but `syndicator.store` touches these classes.
4. Statements are written on the plain tables in capitals at the end: most of the work here is on sets of rows.
"""

from __future__ import annotations

from sqlalchemy import Table
from sqlmodel import SQLModel

from syndicator.store.columns import UtcTime
from syndicator.store.tables_asking import Application, Letterbox
from syndicator.store.tables_cluster import Alarm, MediaFile, Rate, TelegramUpdate
from syndicator.store.tables_content import (
    Counter,
    MediaUse,
    Meta,
    Release,
    ReleaseTopic,
    Revision,
    SourceCursor,
    SourceItem,
    Variant,
)
from syndicator.store.tables_feeds import AskedFilter
from syndicator.store.tables_following import DigestItem, DigestRun, TelegramChat, TelegramFile
from syndicator.store.tables_hub import HubLease, HubRequest, HubTopic
from syndicator.store.tables_mail import Bounce, MailDay, Readdressed, Suppression
from syndicator.store.tables_people import (
    Batch,
    Delivery,
    Filter,
    FilterTerm,
    Match,
    Message,
    Pause,
    Subscriber,
    Subscription,
)

__all__ = [
    "ALARM",
    "APPLICATION",
    "ASKED_FILTER",
    "BATCH",
    "BOUNCE",
    "COUNTER",
    "DELIVERY",
    "DIGEST_ITEM",
    "DIGEST_RUN",
    "FILTER",
    "FILTER_TERM",
    "HUB_LEASE",
    "HUB_REQUEST",
    "HUB_TOPIC",
    "LETTERBOX",
    "MAIL_DAY",
    "MATCH",
    "MEDIA_FILE",
    "MEDIA_USE",
    "MESSAGE",
    "META",
    "PAUSE",
    "RATE",
    "READDRESSED",
    "RELEASE",
    "RELEASE_TOPIC",
    "REVISION",
    "SOURCE_CURSOR",
    "SOURCE_ITEM",
    "SUBSCRIBER",
    "SUBSCRIPTION",
    "SUPPRESSION",
    "TELEGRAM_CHAT",
    "TELEGRAM_FILE",
    "TELEGRAM_UPDATE",
    "VARIANT",
    "Alarm",
    "Application",
    "AskedFilter",
    "Batch",
    "Bounce",
    "Counter",
    "Delivery",
    "DigestItem",
    "DigestRun",
    "Filter",
    "FilterTerm",
    "HubLease",
    "HubRequest",
    "HubTopic",
    "Letterbox",
    "MailDay",
    "Match",
    "MediaFile",
    "MediaUse",
    "Message",
    "Meta",
    "Pause",
    "Rate",
    "Readdressed",
    "Release",
    "ReleaseTopic",
    "Revision",
    "SourceCursor",
    "SourceItem",
    "Subscriber",
    "Subscription",
    "Suppression",
    "TelegramChat",
    "TelegramFile",
    "TelegramUpdate",
    "UtcTime",
    "Variant",
]

ALARM: Table = SQLModel.metadata.tables["alarm"]
APPLICATION: Table = SQLModel.metadata.tables["application"]
ASKED_FILTER: Table = SQLModel.metadata.tables["asked_filter"]
BATCH: Table = SQLModel.metadata.tables["batch"]
BOUNCE: Table = SQLModel.metadata.tables["bounce"]
COUNTER: Table = SQLModel.metadata.tables["counter"]
DELIVERY: Table = SQLModel.metadata.tables["delivery"]
DIGEST_ITEM: Table = SQLModel.metadata.tables["digest_item"]
DIGEST_RUN: Table = SQLModel.metadata.tables["digest_run"]
FILTER: Table = SQLModel.metadata.tables["filter"]
FILTER_TERM: Table = SQLModel.metadata.tables["filter_term"]
HUB_LEASE: Table = SQLModel.metadata.tables["hub_lease"]
HUB_REQUEST: Table = SQLModel.metadata.tables["hub_request"]
HUB_TOPIC: Table = SQLModel.metadata.tables["hub_topic"]
LETTERBOX: Table = SQLModel.metadata.tables["letterbox"]
MAIL_DAY: Table = SQLModel.metadata.tables["mail_day"]
MATCH: Table = SQLModel.metadata.tables["match"]
MEDIA_FILE: Table = SQLModel.metadata.tables["media_file"]
MEDIA_USE: Table = SQLModel.metadata.tables["media_use"]
MESSAGE: Table = SQLModel.metadata.tables["message"]
META: Table = SQLModel.metadata.tables["meta"]
PAUSE: Table = SQLModel.metadata.tables["pause"]
RATE: Table = SQLModel.metadata.tables["rate"]
READDRESSED: Table = SQLModel.metadata.tables["readdressed"]
RELEASE: Table = SQLModel.metadata.tables["release"]
RELEASE_TOPIC: Table = SQLModel.metadata.tables["release_topic"]
REVISION: Table = SQLModel.metadata.tables["revision"]
SOURCE_CURSOR: Table = SQLModel.metadata.tables["source_cursor"]
SOURCE_ITEM: Table = SQLModel.metadata.tables["source_item"]
SUBSCRIBER: Table = SQLModel.metadata.tables["subscriber"]
SUBSCRIPTION: Table = SQLModel.metadata.tables["subscription"]
SUPPRESSION: Table = SQLModel.metadata.tables["suppression"]
TELEGRAM_CHAT: Table = SQLModel.metadata.tables["telegram_chat"]
TELEGRAM_FILE: Table = SQLModel.metadata.tables["telegram_file"]
TELEGRAM_UPDATE: Table = SQLModel.metadata.tables["telegram_update"]
VARIANT: Table = SQLModel.metadata.tables["variant"]
