"""Tables that several machines share: budgets, files, what the operator was told, and what Telegram told a machine."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment

__all__ = ["Alarm", "MediaFile", "Rate", "TelegramUpdate"]

_WAITS = text("done_at IS NULL")


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


class TelegramUpdate(SQLModel, table=True):
    """An update that a web machine took, by the bot and Telegram's own number; handled, its body is gone."""

    __tablename__ = "telegram_update"
    __table_args__ = (
        Index("ix_telegram_update_waiting", "bot", "number", postgresql_where=_WAITS, sqlite_where=_WAITS),
    )
    bot: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    body: str = long_text()
    came_at: datetime = moment()
    done_at: datetime | None = moment(nullable=True, index=True)
