"""Tables of custom feeds: which filters with words were asked for, and since when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from syndicator.store.columns import moment

__all__ = ["AskedFilter"]


class AskedFilter(SQLModel, table=True):
    """A filter with words that somebody asked for, by its canonical text; of who it was nothing is kept."""

    __tablename__ = "asked_filter"
    canonical: str = Field(sa_column=Column(Text, primary_key=True))
    first_asked_at: datetime = moment()
    last_asked_at: datetime = moment(index=True)
