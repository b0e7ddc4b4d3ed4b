"""Tables that several machines share: budgets, files, and what the operator was told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment

__all__ = ["Alarm", "MediaFile", "Rate"]


class Rate(SQLModel, table=True):
    """A budget that all processes draw on, by name; `turn_at` is when the next turn would be on time (GCRA's TAT)."""

    __tablename__ = "rate"
    name: str = Field(primary_key=True)
    turn_at: datetime = moment()


class MediaFile(SQLModel, table=True):
    """A kept file's bytes by its site-relative address, where several machines serve them."""

    __tablename__ = "media_file"
    url: str = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kept_at: datetime = moment()


class Alarm(SQLModel, table=True):
    """Something that an operator is to know: since when it is so, when they were told, and when it was over."""

    __tablename__ = "alarm"
    name: str = Field(primary_key=True)
    said: str = long_text()
    since: datetime = moment()
    told_at: datetime | None = moment(nullable=True)
    over_at: datetime | None = moment(nullable=True)
