"""Commands of the press office: preview, publish, correct, withdraw."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from syndicator.cli.desk import Desk
from syndicator.cli.finding import GREATEST, find, read
from syndicator.cli.output import fail, say, show_one, working
from syndicator.domain.filters import Facts, parse, wants
from syndicator.domain.model import Change, Reader, Release, State, SubscriptionState, Urgency
from syndicator.domain.text import one_line
from syndicator.pipeline import corrections
from syndicator.pipeline.taking import Taken
from syndicator.store import releases, subscriptions

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[int, typer.Argument(help="The release's number.", metavar="ID", min=1, max=GREATEST)]


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
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show a release as every channel would, and how many people it would reach. Nothing is stored or sent."""

    async def work(desk: Desk) -> tuple[dict[str, str], dict[str, int]]:
        release = (await find(desk, what)).release
        if channel and channel not in desk.previews:
            raise ValueError(f"--channel: {channel!r} is not one of {', '.join(desk.previews)}")
        if lang and lang not in release.langs:
            raise ValueError(f"--lang: {lang!r} is not one of {', '.join(release.langs)}, in which it exists")
        shown = {
            f"{name} {variant.lang}": render(release, variant.lang)
            for variant in release.variants
            if not lang or variant.lang == lang
            for name, render in desk.previews.items()
            if not channel or name == channel
        }
        return shown, await _reach(desk, release, quiet=as_json)

    shown, reach = context.obj.at_desk(work)
    if as_json:
        typer.echo(json.dumps({"previews": shown, "reach": reach}, ensure_ascii=False, indent=1))
        return
    for name, text in shown.items():
        typer.echo(f"── {name} ──\n{text}\n")
    total = ", ".join(f"{count} by {name}" for name, count in sorted(reach.items()))
    say(f"would reach {sum(reach.values())} now{f' ({total})' if total else ''}")


def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A document.")],
    revise: Annotated[  # noqa: FBT002
        bool, typer.Option("--revise", help="It may change the title of the release that has its name.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Take one document in, as if it had been found in a source. A running service sends it at once.

    Its name says which release it is: another document under an old name is refused, since it would take its place.
    """

    async def work(desk: Desk) -> tuple[Release, Taken]:
        change = await read(desk, file)
        if not revise:
            await _refuse_another_title(desk, change)
        return await _take(desk, change)

    release, taken = context.obj.at_desk(work)
    line = f"{release.number} {release.state.value} {' '.join(release.langs)}: {taken.result}"
    _tell(release, line, as_json=as_json, result=taken.result, announced=taken.announced, silence=taken.silence)
    if taken.silence:
        say(f"not announced: {taken.silence}")


async def _refuse_another_title(desk: Desk, change: Change) -> None:
    async with desk.database.reading() as session:
        existing = await releases.get_by_key(session, change.source, change.key)
    variant = existing.variant(change.lang) if existing else None
    if existing is None or variant is None or not change.title:
        return
    if (title := variant.revision.title) != one_line(change.title):
        raise ValueError(
            f"{change.origin}: its name belongs to release {existing.number}, {title!r}; "
            "--revise puts this text in its place, another name makes it a release of its own"
        )


def correct(
    context: typer.Context,
    number: Number,
    file: Annotated[Path, typer.Argument(help="The corrected document, in one language.")],
    note: Annotated[str, typer.Option(help="What changed, for the public.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Correct a release: the text is right in every feed and on its page now, with the note.

    Whoever has the old text is told, as far as their channel has words for it, and posts that can be edited follow.
    One that was withdrawn is public again by it.
    """

    async def work(desk: Desk) -> tuple[Release, Release]:
        if not note.strip():
            raise ValueError("--note: is empty; the public must be told what changed")
        async with desk.database.reading() as session:
            existing = await releases.get(session, number)
        if existing is None:
            raise LookupError(f"release {number}: there is none")
        if existing.opened_at is None:
            raise ValueError(f"release {number} is not public yet: edit its document instead")
        change = await read(desk, file)
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
        release, _ = await _take(desk, change)
        return existing, release

    before, release = context.obj.at_desk(work)
    _tell(release, f"{release.number} {_corrected(before, release)}", as_json=as_json)


def _corrected(before: Release, after: Release) -> str:
    """What a correction came to, or the end of the command where it came to nothing."""
    if after.major > before.major:
        again = before.state is State.WITHDRAWN and after.state is State.PUBLIC
        return f"corrected, major revision {after.major}{', public again' if again else ''}"
    if new := [lang for lang in after.langs if lang not in before.langs]:
        return f"has a new language, {', '.join(new)}; nobody has read it in that one, so there is nothing to correct"
    if set(after.topics) == set(before.topics):
        fail("nothing to correct: the text and note are the same")
    return "has other topics now; the text and note are the same"


def withdraw(
    context: typer.Context,
    number: Number,
    reason: Annotated[str, typer.Option(help="Why, for the public.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Withdraw a release: its text leaves every feed and its page now; the reason stays.

    Whoever has it is told, as far as their channel has words for it, and posts that can be taken back go.
    """

    async def work(desk: Desk) -> Release:
        if not reason.strip():
            raise ValueError("--reason: is empty; the public must be told why")
        async with desk.database.writing() as session:
            release = await corrections.withdraw(session, number, reason.strip(), desk.clock())
        if release is None:
            raise LookupError(f"release {number}: there is none")
        return release

    release = context.obj.at_desk(work)
    _tell(release, f"{release.number} withdrawn", as_json=as_json)


def _tell(release: Release, line: str, *, as_json: bool, **more: object) -> None:
    """What became of it."""
    value = {"number": release.number, "state": release.state.value, "major": release.major, "langs": release.langs}
    show_one(value | more, line, as_json=as_json)


async def _take(desk: Desk, change: Change) -> tuple[Release, Taken]:
    taken = await desk.intake.take(change)
    if taken.problem is not None:
        raise ValueError(f"{change.origin}: {taken.problem.reason}")
    if taken.release is None:
        fail(f"{change.origin}: was not taken")
    return taken.release, taken


async def _reach(desk: Desk, release: Release, *, quiet: bool) -> dict[str, int]:
    """How many active subscribers want it, by channel; each counts once, and equal wishes are judged once."""
    facts = Facts.of(release)
    judged: dict[tuple[str, str, str], bool] = {}
    reached: dict[int, str] = {}
    with working("counting readers", quiet=quiet) as advance:
        async with desk.database.reading() as session:
            async for subscriber, subscription in subscriptions.everyone(session):
                advance(1)
                active = subscription.state is SubscriptionState.ACTIVE and subscriber.state == "active"
                wish = (subscription.filter, subscriber.language, subscriber.other_language.value)
                if active and wish not in judged:
                    reader = Reader(subscriber.language, subscriber.other_language)
                    filter_ = parse(subscription.filter)
                    judged[wish] = bool(wants(filter_, facts, reader, desk.taxonomy, desk.site.languages))
                if active and judged[wish]:
                    reached[subscriber.id] = subscriber.channel.value
    if release.urgency is Urgency.URGENT:
        say("urgent: goes before everything else")
    return Counter(reached.values())
