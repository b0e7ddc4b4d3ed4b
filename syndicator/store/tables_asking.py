"""What was asked for on a page and nobody has looked at yet, and how often each mailbox was asked lately."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, text
from sqlmodel import Field, SQLModel

from syndicator.store.columns import json_column, long_text, moment, primary_id, reference

__all__ = ["Application", "Letterbox"]


class Application(SQLModel, table=True):
    """A sign-up as somebody sent it, or a wish to move (`subscriber_id` says whose) to `address`.

    `is_busy`: it came when more were signing up than usual. `has_turn`: its mail domain is crowded, and `due_at` is
    its turn there. The row goes as soon as it has been looked at.
    """

    __tablename__ = "application"
    id: int | None = primary_id()
    address: str
    subscriber_id: int | None = reference("subscriber.id", nullable=True)
    filter: str = long_text()
    language: str = ""
    cadence: str = "immediate"
    text_only: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    consent_source: str = long_text()
    consent_text: str = long_text()
    is_busy: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    has_turn: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    asked_at: datetime = moment()
    due_at: datetime = moment(index=True)


class Letterbox(SQLModel, table=True):
    """When questions were written to a mailbox lately. `mailbox` is a fingerprint of it, `asked` has the times as `at`.

    The row goes a day after the newest.
    """

    __tablename__ = "letterbox"
    mailbox: str = Field(primary_key=True)
    asked: dict[str, Any] = json_column()
    newest_at: datetime = moment(index=True)
