"""From the office to a desk: what commands work with. Previews and the tree of feeds are brought by who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from syndicator.cli.desk import Desk, Preview
from syndicator.pipeline.office import Office
from syndicator.sources.single import DocumentReader

__all__ = ["open_desk"]


def open_desk(office: Office, previews: Mapping[str, Preview], build_feeds: Callable[[Path], Awaitable[int]]) -> Desk:
    """A desk in that office."""
    reader = DocumentReader(office.site.languages, office.site.default_language, office.site.zone)
    return Desk(
        settings=office.settings,
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        database=office.database,
        tokens=office.tokens,
        intake=office.intake,
        sources=office.sources,
        read_file=reader.read,
        examine=office.media.examine,
        previews=previews,
        build_feeds=build_feeds,
        clock=office.clock,
    )
