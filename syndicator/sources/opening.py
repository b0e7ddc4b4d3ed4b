"""From a section of the settings to the publication store that it names. Nothing is read yet."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from config.settings import AnySource, DirectorySource, SqlSource
from syndicator.domain.model import BodyFormat
from syndicator.domain.ports import Source
from syndicator.domain.site import Site
from syndicator.sources import directory, sql

__all__ = ["open_source", "open_sql"]


def open_source(source: AnySource, site: Site) -> Source:
    """The publication store."""
    if isinstance(source, DirectorySource):
        return directory.DirectorySource(
            source.name,
            Path(source.path),
            languages=site.languages,
            default_language=site.default_language,
            zone=site.zone,
            withdraw_missing=source.withdraw_missing,
            boilerplate=source.boilerplate,
            rights=source.rights,
        )
    return open_sql(source, site)


def open_sql(source: SqlSource, site: Site) -> sql.SqlSource:
    """A query as a publication store."""
    return sql.SqlSource(
        source.name,
        source.url.get_secret_value(),
        source.query,
        body_format=BodyFormat(source.body_format),
        zone=ZoneInfo(source.timezone) if source.timezone else site.zone,
        languages=site.languages,
    )
