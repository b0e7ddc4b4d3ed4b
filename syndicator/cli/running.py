"""Commands that run the service or a part of it: run, harvest, feeds build, check, topics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from syndicator.cli.counting import Counting
from syndicator.cli.desk import Check, Desk, Session, reason
from syndicator.cli.finding import find
from syndicator.cli.output import fail, say, show, show_one, working
from syndicator.domain.filters import Filter
from syndicator.domain.model import Problem
from syndicator.domain.topics import classify
from syndicator.pipeline.roles import Role, check_roles, parse_roles
from syndicator.store import releases

__all__ = ["register"]

DEMO_INBOX = Path("var/inbox")  # as config/demo.toml names it
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(harvest)
    app.command()(check)
    app.command()(topics)
    feeds = typer.Typer(help="Feeds as files.", no_args_is_help=True)
    feeds.command("build")(feeds_build)
    app.add_typer(feeds, name="feeds")


def run(
    context: typer.Context,
    demo: Annotated[bool, typer.Option(help="Add the sample releases of an invented agency.")] = False,  # noqa: FBT002
    roles: Annotated[
        str, typer.Option(help="What this process does, of several on one PostgreSQL (engine.kind procrastinate).")
    ] = ",".join(Role),
) -> None:
    """Start everything in one process, or some roles of it; SIGTERM or Ctrl-C stops it within 30 seconds."""
    session: Session = context.obj
    settings = session.settings(demo=demo)
    try:
        wanted = parse_roles(roles)
        check_roles(settings.engine.kind, wanted)
    except ValueError as error:
        fail(str(error))
    if demo:
        DEMO_INBOX.mkdir(parents=True, exist_ok=True)
        say(f"drop a text into {DEMO_INBOX}/ and watch it arrive at {settings.site.base_url}")
    session.run(session.wiring.serve(settings, wanted))


def harvest(context: typer.Context, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Read every source once. A running service announces what is new; without one the next start does.

    Each document of this pass that was left out is named with its reason; the exit code is 1 then.
    """

    async def work(desk: Desk) -> tuple[list[dict[str, Any]], list[Problem], list[str]]:
        rows, left_out, failed = [], list[Problem](), []
        for source in desk.sources.values():
            try:
                with working(f"reading {source.name}", quiet=as_json) as advance:
                    tally = await desk.intake.harvest(Counting(source, advance))
            except OSError as error:
                failed.append(f"{source.name}: {error}")
                continue
            left_out += tally.left_out
            rows.append(
                {
                    "source": source.name,
                    "seen": tally.seen,
                    "changed": tally.changed,
                    "announced": tally.announced,
                    "too_old": tally.too_old,
                    "problems": tally.problems,
                }
            )
        return rows, left_out, failed

    rows, left_out, failed = context.obj.at_desk(work)
    show(rows, as_json=as_json, columns=("source", "seen", "changed", "announced", "too_old", "problems"))
    for problem in left_out:
        say(f"{problem.source}: {problem.origin}: {problem.reason}")
    if failed:
        fail("; ".join(failed))
    if left_out:
        raise typer.Exit(1)


def feeds_build(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder for the tree of feeds; made if it is not there.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write every feed as it stands now into a folder that any web server can serve."""

    async def work(desk: Desk) -> int:
        await desk.intake.open_due()
        with working("building feeds", quiet=as_json):
            return await desk.build_feeds(out)

    written = context.obj.at_desk(work)
    if as_json:
        show_one({"written": written, "out": str(out)}, "", as_json=True)
    else:
        say(f"{written} files written to {out}")


def check(context: typer.Context, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Ask whether everything is in order: a doctor without side effects."""
    session: Session = context.obj
    rows = session.run(_ask_all(list(session.wiring.checks(session.settings()))))
    show(rows, as_json=as_json, columns=("check", "ok", "found"))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def topics(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(help="A document, or a release's number: why it has its topics.", metavar="[FILE|ID]"),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """The topics, their names, and how many public releases each has; or why a release has its topics."""
    if what is not None:
        rows = context.obj.at_desk(lambda desk: _explain(desk, what))
        show(rows, as_json=as_json, columns=("topic", "chosen", "lang", "points", "because"))
        return
    rows = context.obj.at_desk(_every_topic)
    show(rows, as_json=as_json, columns=tuple(rows[0]) if rows else ("topic",))


async def _every_topic(desk: Desk) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with desk.database.reading() as session:
        for topic in desk.taxonomy.topics:
            filter_ = Filter(topics=(topic.slug,))
            row: dict[str, Any] = {"topic": topic.slug, "parent": topic.parent or ""}
            for lang in desk.site.languages:
                row[lang] = topic.name(lang)
                row[f"{lang} releases"] = await releases.count(
                    session, filter_, desk.taxonomy, lang=lang, now=desk.clock()
                )
            rows.append(row)
    return rows


async def _explain(desk: Desk, what: str) -> list[dict[str, Any]]:
    """The topics a release has and who chose them, and all that its texts say for each, near misses included."""
    found = await find(desk, what)
    by = {slug: "by the editor" if who == "source" else "by the rules" for slug, who, _ in found.topics}
    rows: list[dict[str, Any]] = []
    for variant in found.release.variants:
        text = variant.revision
        judged = classify(text.title, text.summary, text.text, variant.lang, desk.taxonomy)
        for one in judged.reasons:
            hits = ", ".join(f"{hit.phrase} ({hit.where}, {hit.points:g})" for hit in one.hits)
            because = "; ".join(filter(None, (one.verdict, hits)))
            rows.append({"topic": one.slug, "lang": variant.lang, "points": one.score, "because": because})
    silent = [slug for slug in by if slug not in {row["topic"] for row in rows}]
    rows += [{"topic": slug, "lang": "", "points": None, "because": "no phrase of it occurs"} for slug in silent]
    order = {slug: place for place, slug in enumerate(by)}
    rows.sort(key=lambda row: (order.get(row["topic"], len(order)), -(row["points"] or 0), row["topic"]))
    return [{**row, "chosen": by.get(row["topic"], "")} for row in rows]


async def _ask_all(checks: list[Check]) -> list[dict[str, Any]]:
    async def ask(one: Check) -> dict[str, Any]:
        try:
            async with asyncio.timeout(20):
                return {"check": one.name, "ok": True, "found": await one.ask()}
        except TimeoutError:
            return {"check": one.name, "ok": False, "found": "no answer within 20 seconds"}
        except (OSError, ValueError) as error:
            return {"check": one.name, "ok": False, "found": reason(error)}

    return list(await asyncio.gather(*(ask(one) for one in checks)))
