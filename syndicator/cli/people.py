"""Commands about people and what was sent to them: subscribers import and list, deliveries list and retry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from syndicator.cli.desk import Desk, fail, say, show
from syndicator.domain.model import DeliveryState, SubscriptionState
from syndicator.pipeline.importing import BadRow, Row, import_rows, read_rows
from syndicator.store import ledger, subscriptions

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RETRIED = (DeliveryState.FAILED, DeliveryState.UNKNOWN)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    subscribers = typer.Typer(help="Who gets what.", no_args_is_help=True)
    subscribers.command("import")(subscribers_import)
    subscribers.command("list")(subscribers_list)
    app.add_typer(subscribers, name="subscribers")
    deliveries = typer.Typer(help="The ledger of what was sent.", no_args_is_help=True)
    deliveries.command("list")(deliveries_list)
    deliveries.command("retry")(deliveries_retry)
    app.add_typer(deliveries, name="deliveries")


def subscribers_import(context: typer.Context, file: Annotated[Path, typer.Argument(help="CSV in UTF-8.")]) -> None:
    """Subscribe everyone in a CSV file, with their record of consent. Bad rows are named and left out."""

    async def work(desk: Desk) -> tuple[int, list[BadRow]]:
        good: list[Row] = []
        bad: list[BadRow] = []
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for row in read_rows(lines, desk.site, desk.taxonomy):
                if isinstance(row, BadRow):
                    bad.append(row)
                else:
                    good.append(row)
        return await import_rows(desk.database, good, desk.clock()), bad

    taken, bad = context.obj.at_desk(work)
    for row in bad:
        say(f"{file}: line {row.line}: {row.reason}")
    say(f"{taken} subscriptions taken, {len(bad)} rows left out")
    if bad:
        raise typer.Exit(1)


def subscribers_list(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Every subscription with its subscriber."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        async with desk.database.reading() as session:
            return [
                {
                    "id": subscription.id,
                    "channel": subscriber.channel.value,
                    "address": subscriber.address,
                    "language": subscriber.language,
                    "filter": subscription.filter,
                    "cadence": subscription.cadence.value,
                    "state": subscriber.state if subscriber.state != "active" else subscription.state.value,
                    "consent_at": subscription.consent_at,
                    "consent_source": subscription.consent_source,
                }
                async for subscriber, subscription in subscriptions.everyone(session)
                if ended or subscription.state is not SubscriptionState.ENDED
            ]

    rows = context.obj.at_desk(work)
    columns = ("id", "channel", "address", "language", "filter", "cadence", "state", "consent_at", "consent_source")
    show(rows, as_json=as_json, columns=columns)


def deliveries_list(
    context: typer.Context,
    state: Annotated[DeliveryState | None, typer.Option(help="Only rows in this state.")] = None,
    release: Annotated[int | None, typer.Option(help="Only rows about this release.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Rows of the ledger: what was promised to whom, and what became of it."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        async with desk.database.reading() as session:
            return [dict(row) for row in await ledger.listing(session, state=state, release=release, limit=limit)]

    rows = context.obj.at_desk(work)
    columns = ("id", "message", "channel", "address", "lang", "state", "attempts", "due_at", "settled_at", "reason")
    show(rows, as_json=as_json, columns=columns)


def deliveries_retry(
    context: typer.Context,
    state: Annotated[DeliveryState | None, typer.Option(help="failed or unknown; both if left out.")] = None,
    release: Annotated[int | None, typer.Option(help="Only the message of this release.")] = None,
    delivery: Annotated[int | None, typer.Option("--id", help="Only this row.")] = None,
) -> None:
    """Send failed or unknown deliveries again. An unknown one may have arrived: its reader may get it twice."""
    if state is not None and state not in RETRIED:
        fail(f"--state: {state.value!r} is not one of {', '.join(RETRIED)}")

    async def work(desk: Desk) -> int:
        states = (state,) if state else RETRIED
        message = f"release:{release}:0" if release is not None else None
        async with desk.database.writing() as session:
            return await ledger.retry(session, states=states, message=message, delivery=delivery, now=desk.clock())

    say(f"{context.obj.at_desk(work)} deliveries are due again")
