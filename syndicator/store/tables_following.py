"""Tables of what follows a release: digest runs, what each digest told, and what a bot knows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment, reference, whole

__all__ = ["DigestItem", "DigestRun", "TelegramChat", "TelegramFile"]


class DigestRun(SQLModel, table=True):
    """A window that closed for everybody of one cadence and zone: [`begins_at`, `ends_at`), told by its message."""

    __tablename__ = "digest_run"
    __table_args__ = (UniqueConstraint("cadence", "zone", "ends_at"),)
    message_id: int = reference("message.id", primary_key=True, index=False)
    cadence: str
    zone: str
    begins_at: datetime = moment()
    ends_at: datetime = moment()


class DigestItem(SQLModel, table=True):
    """A release that a digest tells its reader of, in the version chosen for them."""

    __tablename__ = "digest_item"
    delivery_id: int = Field(
        sa_column=Column(
            BigInteger().with_variant(Integer, "sqlite"),
            ForeignKey("delivery.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        )
    )
    release_id: int = reference("release.id", primary_key=True)
    lang: str


class TelegramFile(SQLModel, table=True):
    """A picture that Telegram has: `file_id` serves one bot only, and `url` is the kept file's address."""

    __tablename__ = "telegram_file"
    bot: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    url: str = Field(primary_key=True)
    file_id: str = long_text()
    kept_at: datetime = moment()


class TelegramChat(SQLModel, table=True):
    """The newest message id that a bot knows of a channel: what came after it can be looked for there."""

    __tablename__ = "telegram_chat"
    bot: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    chat: str = Field(primary_key=True)
    newest: int = whole()
    noted_at: datetime = moment()
