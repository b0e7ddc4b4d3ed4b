"""The release that a person means by FILE or ID: stored under that number, or made of a document for looking only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syndicator.cli.desk import Desk, reason
from syndicator.domain.model import Change, Problem, Release, State, Variant
from syndicator.pipeline.preparing import Prepared, prepare, ruled_topics
from syndicator.store import releases

__all__ = ["GREATEST", "Found", "find", "read"]

GREATEST = 2**31 - 1  # as a number of a release is kept


@dataclass(frozen=True, slots=True)
class Found:
    """A release, and who chose its topics: (slug, `source` or `rule`, why)."""

    release: Release
    topics: tuple[tuple[str, str, str], ...]


async def find(desk: Desk, what: str) -> Found:
    """The release of that number or in that document; nothing is stored.

    Raises:
        LookupError: there is no release of that number.
        ValueError, OSError: the document cannot be taken; the line says why.
    """
    if what.isdecimal():
        async with desk.database.reading() as session:
            number = int(what)
            release = await releases.get(session, number) if number <= GREATEST else None
            if release is None:
                raise LookupError(f"release {what}: there is none")
            return Found(release, await releases.chosen(session, number))
    change = await read(desk, Path(what))
    try:
        files = tuple([await desk.examine(one) if one.path else one for one in change.attachments])
        prepared = prepare(change, files, desk.site, desk.taxonomy, desk.clock())
    except (ValueError, OSError) as error:
        raise ValueError(f"{what}: {reason(error)}") from None
    ticked = prepared.ticked
    topics = ticked if ticked is not None else ruled_topics(prepared, None, desk.taxonomy)
    return Found(_release(desk, prepared, tuple(slug for slug, _, _ in topics)), topics)


async def read(desk: Desk, file: Path) -> Change:
    """What a document says.

    Raises:
        ValueError: it cannot be read; the line says why.
    """
    found = await desk.read_file(file)
    if isinstance(found, Problem):
        raise ValueError(f"{file}: {found.reason}")  # noqa: TRY004  # the document is bad, not the type
    return found


def _release(desk: Desk, prepared: Prepared, topics: tuple[str, ...]) -> Release:
    """As it would stand once it is public."""
    change, now = prepared.change, desk.clock()
    uid = desk.site.variant_uid(0, change.lang, now)
    variant = Variant(0, change.lang, uid, prepared.slug, prepared.public_at, prepared.revision)
    return Release(
        number=0,
        uid=desk.site.release_uid(0, now),
        source=change.source,
        key=change.key,
        kind=change.kind,
        urgency=change.urgency,
        state=State.PUBLIC,
        public_at=prepared.public_at,
        opened_at=now,
        topics=topics,
        variants=(variant,),
        updated_at=now,
    )
