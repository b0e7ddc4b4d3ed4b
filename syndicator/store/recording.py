"""Recording a release: one language version as intake has cleaned it, stored so that saying it again changes nothing.

Rules, in order:

1. The unique name in its source makes the release; its languages come one by one, in any order (`consensus`).
2. A new text is a new revision. With a note, after the release has opened, it is a major one: a correction that
   is told. So is a note put to a text that has none. A silent change keeps the note that readers were given.
3. What never opened may still move its time. What opened keeps `public_at` for good.
4. A draft of a language that was never let go stays hidden; an open text is not taken back by a draft, only by
   withdrawing the release.
5. A withdrawn release comes back by a document that says so anew: with a note, or by one that had itself been
   withdrawn. That is a major revision too. Any other new text of it is kept, unseen.
6. What is first seen withdrawn stays hidden, unless it was public elsewhere: then readers are told that it is gone.
7. Every effective change takes the next change number, from one row whose lock orders the writers: it is taken first,
   before any release's row, so that writers of several releases never wait for each other in a circle.
8. What is kept unseen of a release that has opened takes none: who follows the numbers must not feel it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Release, Revision, State, Urgency
from syndicator.domain.site import Site
from syndicator.store import media, words
from syndicator.store.consensus import Said, agree
from syndicator.store.loading import attachments_json, many, revision_of
from syndicator.store.tables import COUNTER, RELEASE, RELEASE_TOPIC, REVISION, VARIANT
from syndicator.store.upsert import insert_for
from syndicator.store.wanted import tell

__all__ = ["Draft", "Recorded", "lock_changes", "next_change", "open_variants", "record"]


@dataclass(frozen=True, slots=True)
class Draft:
    """One language version as intake has cleaned it, ready to be stored.

    `revision.number`, `.major` and `.created_at` are set by `record`. `topics` are (slug, chosen_by, reason) and
    speak for the whole release. `public_at` is None where the time of the first sight stands. `state` is draft,
    scheduled, public or withdrawn; which of scheduled and public it is follows from `public_at` and now. `was_public`
    says of a withdrawn one that readers have seen it elsewhere, from `public_at` on.
    """

    source: str
    key: str
    lang: str
    slug: str
    kind: str
    urgency: Urgency
    state: State
    public_at: datetime | None
    revision: Revision
    topics: tuple[tuple[str, str, str], ...] = ()
    reason: str = ""
    was_public: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` did. `new_variant` is True when a language is let go for the first time and may be announced."""

    release: Release
    created: bool  # a new release
    new_variant: bool  # a new language of it
    revised: bool  # a text changed
    major: bool  # it was a correction with a note, after it had opened, or it came back
    withdrawn: bool  # it became withdrawn now
    changed: bool  # anything at all changed (feeds and pages must follow)


@dataclass(slots=True)
class _Work:
    """What is known and decided while one draft is recorded."""

    draft: Draft
    site: Site
    now: datetime
    release: dict[str, Any]  # the row as it was
    old: RowMapping | None  # this language's row as it was
    said: Said
    before: Revision | None
    created: bool = False
    revised: bool = False
    major: bool = False
    back: bool = False
    ignored: bool = False
    seen_at: datetime | None = None  # since when readers know this text, though it comes withdrawn (rule 6)
    changed: bool = False


async def record(session: AsyncSession, draft: Draft, *, site_uids: Site, now: datetime) -> Recorded:
    """Store one language version; idempotent: the same draft again changes nothing (changed=False)."""
    await lock_changes(session)
    release, created = await _release_row(session, draft, site_uids, now)
    before = None if release["opened_at"] is None else (await many(session, [release["id"]]))[release["id"]]
    work = await _begin(session, draft, site_uids, now, release, created=created)
    work.created = work.changed = created
    was = State(release["state"])
    if not work.ignored:
        _decide(work)
        await _write_variant(session, work)
        await _write_topics(session, work)
        await _write_release(session, work)
        await open_variants(session, release["id"], now)
    stored = (await many(session, [release["id"]]))[release["id"]]
    if work.changed and stored != before:
        stored = replace(stored, change=await next_change(session))
        await session.execute(update(RELEASE).where(RELEASE.c.id == release["id"]).values(change=stored.change))
    let_go = work.old is not None and work.old["said_state"] != State.DRAFT
    return Recorded(
        release=stored,
        created=created,
        new_variant=not let_go and work.said.state is not State.DRAFT and not work.ignored,
        revised=work.revised,
        major=work.major,
        withdrawn=stored.state is State.WITHDRAWN and was is not State.WITHDRAWN,
        changed=work.changed,
    )


async def open_variants(session: AsyncSession, number: int, now: datetime) -> None:
    """The languages of a public release that are let go may be seen from now on, unless they already were."""
    public = select(RELEASE.c.id).where(RELEASE.c.id == number, RELEASE.c.state == State.PUBLIC)
    shut = VARIANT.c.opened_at.is_(None) & (VARIANT.c.said_state != State.DRAFT)
    query = update(VARIANT).where(VARIANT.c.release_id.in_(public), shut)
    await session.execute(query.values(opened_at=now))


async def lock_changes(session: AsyncSession) -> None:
    """Wait for whoever else changes releases now. Who takes it before any release's row never waits in a circle."""
    await session.execute(select(COUNTER.c.value).where(COUNTER.c.name == "change").with_for_update())


async def next_change(session: AsyncSession) -> int:
    """The next change number; its row stays locked until the transaction ends, so numbers grow in commit order."""
    tell(session)  # feeds follow, and embargoes have times
    query = update(COUNTER).where(COUNTER.c.name == "change").values(value=COUNTER.c.value + 1)
    return int((await session.execute(query.returning(COUNTER.c.value))).scalar_one())


async def _release_row(session: AsyncSession, draft: Draft, site: Site, now: datetime) -> tuple[dict[str, Any], bool]:
    """The release's row, locked; made if new, under a permanent id that needs its number.

    It is looked for first: an insert that meets the row would still use up a number, and numbers are public.
    """
    query = (
        select(RELEASE)
        .where(RELEASE.c.source == draft.source, RELEASE.c.key == draft.key)
        .with_for_update(key_share=True)
    )
    found = (await session.execute(query)).mappings().one_or_none()
    if found is not None:
        return dict(found), False
    made = await session.scalar(
        insert_for(session, RELEASE)
        .values(
            uid=f"new:{draft.source}:{draft.key}",
            source=draft.source,
            key=draft.key,
            kind=draft.kind,
            urgency=draft.urgency,
            state=State.DRAFT,
            public_at=draft.public_at or now,
            reason="",
            major=0,
            change=0,
            created_at=now,
            updated_at=draft.public_at or now,
        )
        .on_conflict_do_nothing(index_elements=["source", "key"])
        .returning(RELEASE.c.id)
    )
    if made is not None:
        await session.execute(update(RELEASE).where(RELEASE.c.id == made).values(uid=site.release_uid(made, now)))
    return dict((await session.execute(query)).mappings().one()), made is not None


async def _begin(
    session: AsyncSession, draft: Draft, site: Site, now: datetime, release: dict[str, Any], *, created: bool
) -> _Work:
    query = select(VARIANT).where(VARIANT.c.release_id == release["id"], VARIANT.c.lang == draft.lang)
    old = (await session.execute(query)).mappings().one_or_none()
    before = None if old is None else await _current(session, old)
    state = State.PUBLIC if draft.state is State.SCHEDULED else draft.state
    public_at = draft.public_at or (old["said_public_at"] if old is not None else now)
    work = _Work(draft, site, now, release, old, Said(state, public_at, draft.kind, draft.urgency), before)
    open_text = old is not None and old["said_state"] != State.DRAFT and release["opened_at"] is not None
    known = draft.was_public and state is State.WITHDRAWN and public_at < now and old is None
    if known and (created or release["opened_at"] is not None):
        work.seen_at = public_at
    work.ignored = state is State.DRAFT and open_text
    return work


async def _current(session: AsyncSession, variant: RowMapping) -> Revision:
    query = select(REVISION).where(
        REVISION.c.variant_id == variant["id"], REVISION.c.number == variant["revision_number"]
    )
    return revision_of((await session.execute(query)).mappings().one())


def _decide(work: _Work) -> None:
    """Whether this is a revision, whether it is a major one, and whether a withdrawn release comes back by it."""
    new, before = work.draft.revision, work.before
    noted = before is not None and new.note not in ("", before.note)
    work.revised = before is not None and (_text(new) != _text(before) or noted)
    if work.release["state"] == State.WITHDRAWN and work.said.state is State.PUBLIC:
        again = work.old is not None and work.old["said_state"] == State.WITHDRAWN
        work.back = again or (bool(new.note) and (work.revised or before is None))
    told = work.old is not None and work.old["said_state"] != State.DRAFT and work.release["state"] == State.PUBLIC
    opened = work.release["opened_at"] is not None
    work.major = opened and (work.back or (told and work.revised and bool(new.note)))


def _let_go_now(work: _Work) -> bool:
    """Whether a language that was a draft is one no longer."""
    return work.old is not None and work.old["said_state"] == State.DRAFT and work.said.state is not State.DRAFT


def _text(revision: Revision) -> Revision:
    """What of a revision people read; a local path is gone once a file is kept."""
    attachments = tuple(replace(one, path=None) for one in revision.attachments)
    return replace(revision, number=0, major=0, note="", created_at=None, attachments=attachments)


async def _write_variant(session: AsyncSession, work: _Work) -> None:
    draft, old = work.draft, work.old
    said = {
        "said_state": work.said.state,
        "said_public_at": work.said.public_at,
        "said_kind": work.said.kind,
        "said_urgency": work.said.urgency,
        "said_topics": [list(one) for one in draft.topics],
        "said_reason": draft.reason,
        "slug": draft.slug,
    }
    if old is None:
        variant = await _new_variant(session, work, said)
        await _write_revision(session, variant, work, 1)
        work.changed = True
        return
    new_text = work.revised or work.major
    if work.release["opened_at"] is not None:
        del said["said_public_at"]  # its time has come: a file that was only touched says nothing new
    changes = {name: value for name, value in said.items() if old[name] != value}
    if new_text:
        changes["revision_number"] = old["revision_number"] + 1
        await _write_revision(session, old["id"], work, old["revision_number"] + 1)
    if work.major:
        changes["updated_at"] = work.now
    if changes:
        await session.execute(update(VARIANT).where(VARIANT.c.id == old["id"]).values(changes))
        work.changed = True


async def _new_variant(session: AsyncSession, work: _Work, said: dict[str, Any]) -> int:
    release, draft = work.release, work.draft
    others = select(VARIANT.c.position).where(VARIANT.c.release_id == release["id"]).order_by(VARIANT.c.position.desc())
    last = await session.scalar(others.limit(1))
    values = {
        **said,
        "release_id": release["id"],
        "lang": draft.lang,
        "uid": work.site.variant_uid(release["id"], draft.lang, work.now),
        "position": 0 if last is None else last + 1,
        "revision_number": 1,
        "created_at": work.now,
        "opened_at": work.seen_at,
        "updated_at": work.now if work.major else max(work.said.public_at, release["public_at"]),
    }
    return int((await session.execute(insert(VARIANT).values(values).returning(VARIANT.c.id))).scalar_one())


async def _write_revision(session: AsyncSession, variant: int, work: _Work, number: int) -> None:
    """The immutable text, its words for search and the files it holds.

    A silent change stays within the major revision it mends.
    """
    new = work.draft.revision
    major = work.release["major"] + 1 if work.major else (work.before.major if work.before else work.release["major"])
    await session.execute(
        insert(REVISION).values(
            variant_id=variant,
            number=number,
            major=major,
            title=new.title,
            summary=new.summary,
            body=new.body,
            text=new.text,
            link=new.link,
            attachments=attachments_json(new.attachments),
            rights=new.rights,
            note=new.note or _kept_note(work),
            created_at=work.seen_at or work.now,
        )
    )
    await words.index(session, variant, new)
    await media.hold(session, variant, new)


def _kept_note(work: _Work) -> str:
    """The note that still holds: a mended comma does not unsay a correction. What nobody saw leaves nothing behind."""
    shown = work.old is not None and work.old["opened_at"] is not None
    return work.before.note if work.before is not None and shown and not work.major else ""


async def _write_topics(session: AsyncSession, work: _Work) -> None:
    """Topics are said for the whole release: what is newly said replaces what was, what is said again does not.

    A draft says nothing while another language is let go; its word counts from the day it is let go itself.
    """
    said = [list(one) for one in work.draft.topics]
    draft = work.said.state is State.DRAFT
    if draft and work.release["state"] != State.DRAFT:
        return
    if work.old is not None and work.old["said_topics"] == said and not _let_go_now(work):
        return
    number = work.release["id"]
    query = select(RELEASE_TOPIC).where(RELEASE_TOPIC.c.release_id == number).order_by(RELEASE_TOPIC.c.position)
    held = [[row.topic, row.chosen_by, row.reason] for row in await session.execute(query)]
    if held == said:
        return
    await session.execute(delete(RELEASE_TOPIC).where(RELEASE_TOPIC.c.release_id == number))
    rows = [
        {"release_id": number, "topic": topic, "position": place, "chosen_by": by, "reason": reason}
        for place, (topic, by, reason) in enumerate(said)
    ]
    if rows:
        await session.execute(insert(RELEASE_TOPIC), rows)
    work.changed = True


async def _write_release(session: AsyncSession, work: _Work) -> None:
    row = work.release
    if work.back:  # the whole release comes back, whichever of its documents had taken it away
        here = (VARIANT.c.release_id == row["id"]) & (VARIANT.c.said_state == State.WITHDRAWN)
        await session.execute(update(VARIANT).where(here).values(said_state=State.PUBLIC))
    values = await _facts(session, work)
    if work.major:
        values |= {"major": row["major"] + 1, "updated_at": work.now}
    if row["opened_at"] is None and values["public_at"] != row["public_at"]:
        all_of_it = VARIANT.c.release_id == row["id"]
        await session.execute(update(VARIANT).where(all_of_it).values(updated_at=values["public_at"]))
    changes = {name: value for name, value in values.items() if row[name] != value}
    if changes:
        await session.execute(update(RELEASE).where(RELEASE.c.id == row["id"]).values(changes))
        work.changed = True


async def _facts(session: AsyncSession, work: _Work) -> dict[str, Any]:
    """The release's row as all its languages now have it."""
    row = work.release
    query = select(VARIANT).where(VARIANT.c.release_id == row["id"]).order_by(VARIANT.c.position)
    said = [
        Said(State(v["said_state"]), v["said_public_at"], v["said_kind"], Urgency(v["said_urgency"]))
        for v in (await session.execute(query)).mappings()
    ]
    agreed = agree(said)
    values: dict[str, Any] = {"kind": agreed.kind, "urgency": agreed.urgency}
    if row["opened_at"] is None:
        values["public_at"] = values["updated_at"] = agreed.public_at
    return values | _standing(work, released=agreed.released, public_at=agreed.public_at)


def _standing(work: _Work, *, released: bool, public_at: datetime) -> dict[str, Any]:
    """Its state: withdrawn until it comes back; once open, open; otherwise by its time."""
    row, now = work.release, work.now
    if work.said.state is State.WITHDRAWN or (row["state"] == State.WITHDRAWN and not work.back):
        first = row["state"] != State.WITHDRAWN
        opened = {"opened_at": public_at} if work.created and work.seen_at is not None else {}
        return {
            **opened,
            "state": State.WITHDRAWN,
            "withdrawn_at": now if first else row["withdrawn_at"],
            "reason": work.draft.reason if first else work.draft.reason or row["reason"],
        }
    shown = {"withdrawn_at": None, "reason": ""}
    if row["opened_at"] is not None:
        return {"state": State.PUBLIC, **shown}
    if not released:
        return {"state": State.DRAFT, **shown}
    if public_at > now:
        return {"state": State.SCHEDULED, **shown}
    return {"state": State.PUBLIC, "opened_at": now, **shown}
