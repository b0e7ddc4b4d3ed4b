"""Tables of mail alone: letters to other addresses, what came back, who is to get nothing, and how much went out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String
from sqlmodel import Field, SQLModel

from syndicator.store.columns import long_text, moment, primary_id, reference, whole

__all__ = ["Bounce", "MailDay", "Readdressed", "Suppression"]

LARGE = BigInteger().with_variant(Integer, "sqlite")


class Readdressed(SQLModel, table=True):
    """A message that goes to another address than its subscriber's: the new one that is asked, or the old one.

    `done_at` is when the new one said yes. `address` is "" once it is kept no longer. `handed_at`: a merge brought the
    row to its subscriber, who did not move then themselves.
    """

    __tablename__ = "readdressed"
    __table_args__ = (Index("ix_readdressed_address", "address", "asked_at"),)
    message_id: int = reference("message.id", primary_key=True, index=False)
    subscriber_id: int = reference("subscriber.id")
    address: str
    asked_at: datetime = moment()
    done_at: datetime | None = moment(nullable=True)
    handed_at: datetime | None = moment(nullable=True)


class Bounce(SQLModel, table=True):
    """What came back about a subscriber's mailbox, as `domain.bounces` calls it.

    `source` says how (smtp, dsn, arf, odd); `report` is a digest of what came in, unique, so that nothing counts twice.
    """

    __tablename__ = "bounce"
    __table_args__ = (Index("ix_bounce_subscriber_at", "subscriber_id", "at"), Index("ix_bounce_at", "at"))
    id: int | None = primary_id()
    subscriber_id: int = reference("subscriber.id", index=False)
    delivery_id: int | None = Field(
        default=None, sa_column=Column(LARGE, ForeignKey("delivery.id", ondelete="SET NULL"), nullable=True, index=True)
    )
    kind: str
    status: str = ""
    source: str
    said: str = long_text()
    report: str | None = Field(default=None, sa_column=Column(String, nullable=True, unique=True))
    at: datetime = moment()


class Suppression(SQLModel, table=True):
    """An address that is to get nothing, as a fingerprint: it survives the person's erasure and names nobody.

    `reason` is one of `domain.bounces.Suppressed`.
    """

    __tablename__ = "suppression"
    fingerprint: str = Field(primary_key=True)
    reason: str
    at: datetime = moment()


class MailDay(SQLModel, table=True):
    """How many mails the relay took on a day (YYYY-MM-DD in the office's zone), for the warm-up."""

    __tablename__ = "mail_day"
    day: str = Field(primary_key=True)
    taken: int = whole()
