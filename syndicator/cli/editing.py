"""Commands of the press office: preview, publish, correct, withdraw."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from syndicator.cli.desk import Desk, fail, say
from syndicator.domain.filters import Facts, parse, wants
from syndicator.domain.model import Change, Problem, Reader, Release, State, SubscriptionState, Urgency, Variant
from syndicator.pipeline.preparing import prepare, ruled_topics
from syndicator.store import releases, subscriptions

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(preview)
    app.command()(publish)
    app.command()(correct)
    app.command()(withdraw)


def preview(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="A document, or a release's number.", metavar="FILE|ID")],
    channel: Annotated[str, typer.Option(help="Only this one.")] = "",
    lang: Annotated[str, typer.Option(help="Only this language.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Show a release as every channel would, and how many people it would reach. Nothing is stored or sent."""

    async def work(desk: Desk) -> tuple[dict[str, str], dict[str, int]]:
        release = await _find(desk, what)
        if channel and channel not in desk.previews:
            raise ValueError(f"--channel: {channel!r} is not one of {', '.join(desk.previews)}")
        shown = {
            f"{name} {variant.lang}": render(release, variant.lang)
            for variant in release.variants
            if not lang or variant.lang == lang
            for name, render in desk.previews.items()
            if not channel or name == channel
        }
        return shown, await _reach(desk, release)

    shown, reach = context.obj.at_desk(work)
    if as_json:
        typer.echo(json.dumps({"previews": shown, "reach": reach}, ensure_ascii=False, indent=1))
        return
    for name, text in shown.items():
        typer.echo(f"── {name} ──\n{text}\n")
    total = ", ".join(f"{count} by {name}" for name, count in sorted(reach.items()))
    say(f"would reach {sum(reach.values())} now{f' ({total})' if total else ''}")


def publish(context: typer.Context, file: Annotated[Path, typer.Argument(help="A document.")]) -> None:
    """Take one document in, as if it had been found in a source. A running service sends it at once."""

    async def work(desk: Desk) -> Release:
        return await _take(desk, await _read(desk, file))

    release = context.obj.at_desk(work)
    typer.echo(f"{release.number} {release.state.value} {' '.join(release.langs)}")


def correct(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The release's number.", metavar="ID")],
    file: Annotated[Path, typer.Argument(help="The corrected document, in one language.")],
    note: Annotated[str, typer.Option(help="What changed, for the public.")],
) -> None:
    """Correct a release: the text is right in every feed and on its page now, with the note."""

    async def work(desk: Desk) -> Release:
        if not note.strip():
            raise ValueError("--note: is empty; the public must be told what changed")
        async with desk.database.reading() as session:
            existing = await releases.get(session, number)
        if existing is None:
            raise LookupError(f"release {number}: there is none")
        change = await _read(desk, file)
        change = replace(
            change,
            source=existing.source,
            key=existing.key,
            origin=f"correction of {number} ({change.lang})",
            note=note,
            state=State.PUBLIC,
            kind=existing.kind,
            urgency=existing.urgency,
            published=existing.public_at,
            embargo=None,
        )
        return await _take(desk, change)

    release = context.obj.at_desk(work)
    typer.echo(f"{release.number} corrected, major revision {release.major}")


def withdraw(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The release's number.", metavar="ID")],
    reason: Annotated[str, typer.Option(help="Why, for the public.")],
) -> None:
    """Withdraw a release: its text leaves every feed and its page now; the reason stays."""

    async def work(desk: Desk) -> Release:
        if not reason.strip():
            raise ValueError("--reason: is empty; the public must be told why")
        async with desk.database.writing() as session:
            release = await releases.withdraw(session, number, reason.strip(), desk.clock())
        if release is None:
            raise LookupError(f"release {number}: there is none")
        return release

    release = context.obj.at_desk(work)
    typer.echo(f"{release.number} withdrawn")


async def _read(desk: Desk, file: Path) -> Change:
    found = await desk.read_file(file)
    if isinstance(found, Problem):
        raise ValueError(f"{file}: {found.reason}")  # noqa: TRY004  # the document is bad, not the type
    return found


async def _take(desk: Desk, change: Change) -> Release:
    release, problem = await desk.intake.take(change)
    if problem is not None:
        raise ValueError(f"{change.origin}: {problem.reason}")
    if release is None:
        fail(f"{change.origin}: was not taken")
    return release


async def _find(desk: Desk, what: str) -> Release:
    """The stored release of that number, or one made of a document, for looking only."""
    if what.isdigit():
        async with desk.database.reading() as session:
            release = await releases.get(session, int(what))
        if release is None:
            raise LookupError(f"release {what}: there is none")
        return release
    change = await _read(desk, Path(what))
    now = desk.clock()
    prepared = prepare(change, tuple(a for a in change.attachments if a.url), desk.site, desk.taxonomy, now)
    topics = prepared.ticked if prepared.ticked is not None else ruled_topics(prepared, None, desk.taxonomy)
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
        topics=tuple(slug for slug, _, _ in topics),
        variants=(variant,),
        updated_at=now,
    )


async def _reach(desk: Desk, release: Release) -> dict[str, int]:
    """How many active subscribers want it, by channel; each counts once, and equal wishes are judged once."""
    facts = Facts.of(release)
    judged: dict[tuple[str, str, str], bool] = {}
    reached: dict[int, str] = {}
    async with desk.database.reading() as session:
        async for subscriber, subscription in subscriptions.everyone(session):
            if subscription.state is not SubscriptionState.ACTIVE or subscriber.state != "active":
                continue
            wish = (subscription.filter, subscriber.language, subscriber.other_language.value)
            if wish not in judged:
                reader = Reader(subscriber.language, subscriber.other_language)
                filter_ = parse(subscription.filter)
                judged[wish] = bool(wants(filter_, facts, reader, desk.taxonomy, desk.site.languages))
            if judged[wish]:
                reached[subscriber.id] = subscriber.channel.value
    if release.urgency is Urgency.URGENT:
        say("urgent: goes before everything else")
    return Counter(reached.values())
