"""The columns that tables are made of, each said once.

1. Times are stored in UTC (`UtcTime`): aware in Python, whatever the database keeps.
2. A reference goes with what it refers to, unless it says otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    Text,
    TypeDecorator,
    text,
)
from sqlmodel import Field

__all__ = ["UtcTime", "json_column", "long_text", "moment", "primary_id", "reference", "whole"]


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


def primary_id() -> Any:
    """A number that the database gives."""
    return Field(default=None, primary_key=True)


def moment(*, nullable: bool = False, index: bool = False) -> Any:
    """A time (`UtcTime`)."""
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def reference(
    target: str, *, nullable: bool = False, index: bool = True, primary_key: bool = False, ondelete: str = "CASCADE"
) -> Any:
    """The id of a row in another table, `TABLE.id`."""
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


def whole() -> Any:
    """A whole number, 0 at first."""
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))


def json_column() -> Any:
    """A JSON object, {} at first."""
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'")))


def long_text(*, default: str = "") -> Any:
    """A text of any length, "" at first."""
    return Field(default=default, sa_column=Column(Text, nullable=False, server_default=text("''")))
