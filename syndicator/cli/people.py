"""Commands about people and what was sent to them: subscribers import and list, deliveries list and retry."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from syndicator.cli import settling, suppressing
from syndicator.cli.desk import Desk
from syndicator.cli.finding import GREATEST
from syndicator.cli.output import fail, say, show_one, stream, working
from syndicator.cli.persons import subscribers_erase, subscribers_export
from syndicator.domain.model import DeliveryState, SubscriptionState
from syndicator.pipeline.importing import GROUP, BadRow, Row, import_rows, read_rows
from syndicator.store import ledger, subscriptions
from syndicator.store.subscriptions import Subscriber, Subscription

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RETRIED = (DeliveryState.FAILED, DeliveryState.UNKNOWN)  # where no state is named
MAY_BE_RETRIED = (*RETRIED, DeliveryState.DEFERRED)
SUBSCRIBER_COLUMNS = (
    "id",
    "channel",
    "address",
    "language",
    "filter",
    "cadence",
    "state",
    "consent_at",
    "consent_source",
)
DELIVERY_COLUMNS = (
    "id",
    "message",
    "channel",
    "address",
    "lang",
    "state",
    "attempts",
    "due_at",
    "settled_at",
    "reason",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    subscribers = typer.Typer(help="Who gets what.", no_args_is_help=True)
    subscribers.command("import")(subscribers_import)
    subscribers.command("list")(subscribers_list)
    subscribers.command("export")(subscribers_export)
    subscribers.command("erase")(subscribers_erase)
    suppressing.register(subscribers)
    app.add_typer(subscribers, name="subscribers")
    deliveries = typer.Typer(help="The ledger of what was sent.", no_args_is_help=True)
    deliveries.command("list")(deliveries_list)
    deliveries.command("retry")(deliveries_retry)
    settling.register(deliveries)
    app.add_typer(deliveries, name="deliveries")


def subscribers_import(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Subscribe everyone in a CSV file, with their record of consent.

    Bad rows, and people who unsubscribed after that consent, are named and left out; the exit code is 1 then.
    """

    async def work(desk: Desk) -> tuple[int, list[BadRow]]:
        total = file.stat().st_size
        with (
            file.open(encoding="utf-8-sig", newline="") as lines,
            working("importing", total=total, quiet=as_json) as advance,
        ):
            return await _import(desk, _passing(lines, advance), str(file))

    taken, bad = context.obj.at_desk(work)
    for row in bad:
        say(f"{file}: line {row.line}: {row.reason}")
    left_out = [{"line": row.line, "reason": row.reason} for row in bad]
    kept_out = sum(row.kept_out for row in bad)
    line = f"{taken} subscriptions taken, {len(bad)} rows left out"
    line += f" ({kept_out} of addresses that are kept out)" * bool(kept_out)
    if as_json:
        show_one({"taken": taken, "left_out": left_out, "kept_out": kept_out}, line, as_json=True)
    else:
        say(line)
    if bad:
        raise typer.Exit(1)


async def _import(desk: Desk, lines: Iterator[str], name: str) -> tuple[int, list[BadRow]]:
    """Take the good rows in, group by group as they are read; how many, and the bad ones."""
    rows = read_rows(lines, desk.site, desk.taxonomy)
    taken, bad = 0, list[BadRow]()
    while True:
        try:
            group = list(islice(rows, GROUP))
        except (ValueError, csv.Error) as error:
            said = "is not UTF-8; save it as UTF-8" if isinstance(error, UnicodeError) else str(error)
            before = f" ({taken} subscriptions before that were taken)" if taken else ""
            raise ValueError(f"{name}: {said}{before}") from None
        if not group:
            return taken, bad
        good = [row for row in group if isinstance(row, Row)]
        left_out = await import_rows(desk.database, good, desk.clock(), tokens=desk.tokens)
        taken += len(good) - len(left_out)
        bad += sorted([*left_out, *(row for row in group if isinstance(row, BadRow))], key=lambda row: row.line)


def _passing(lines: Iterable[str], advance: Callable[[float], None]) -> Iterator[str]:
    """The same lines; each moves the bar on by its bytes."""
    for line in lines:
        advance(len(line.encode()))
        yield line


def subscribers_list(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too.")] = False,  # noqa: FBT002
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, oldest first; all if left out.")] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Every subscription with its subscriber."""

    async def rows(desk: Desk) -> AsyncGenerator[dict[str, Any], None]:
        told = 0
        async with desk.database.reading() as session:
            async for subscriber, subscription in subscriptions.everyone(session):
                if subscription.state is SubscriptionState.ENDED and not ended:
                    continue
                yield _as_row(subscriber, subscription)
                told += 1
                if told == limit:
                    return

    async def work(desk: Desk) -> None:
        async with aclosing(rows(desk)) as found:
            await stream(found, as_json=as_json, columns=SUBSCRIBER_COLUMNS)

    context.obj.at_desk(work)


def _as_row(subscriber: Subscriber, subscription: Subscription) -> dict[str, Any]:
    return {
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


def deliveries_list(
    context: typer.Context,
    state: Annotated[DeliveryState | None, typer.Option(help="Only rows in this state.")] = None,
    release: Annotated[int | None, typer.Option(help="Only rows about this release.", min=1, max=GREATEST)] = None,
    limit: Annotated[int, typer.Option(min=1, max=GREATEST, help="At most so many, newest first.")] = 100,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Rows of the ledger: what was promised to whom, and what became of it."""

    async def work(desk: Desk) -> None:
        async with desk.database.reading() as session:
            rows = ledger.streamed(session, state=state, release=release, limit=limit)
            async with aclosing(rows) as found:
                await stream(found, as_json=as_json, columns=DELIVERY_COLUMNS)

    context.obj.at_desk(work)
    if state is DeliveryState.UNKNOWN and not as_json:
        say(settling.UNKNOWN_HINT)


def deliveries_retry(
    context: typer.Context,
    state: Annotated[
        DeliveryState | None, typer.Option(help="failed, unknown or deferred; failed and unknown if left out.")
    ] = None,
    release: Annotated[int | None, typer.Option(help="Only messages about this release.", min=1, max=GREATEST)] = None,
    delivery: Annotated[int | None, typer.Option("--id", help="Only this row.", min=1, max=2**63 - 1)] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Send failed or unknown deliveries again now, or deferred ones before their time.

    An unknown one may have arrived: its reader may get it twice. A running service begins at once.
    """
    if state is not None and state not in MAY_BE_RETRIED:
        fail(f"--state: {state.value!r} is not one of {', '.join(MAY_BE_RETRIED)}")

    async def work(desk: Desk) -> int:
        states = (state,) if state else RETRIED
        async with desk.database.writing() as session:
            return await ledger.retry(session, states=states, release=release, delivery=delivery, now=desk.clock())

    again = context.obj.at_desk(work)
    if as_json:
        show_one({"due": again}, "", as_json=True)
    else:
        say(f"{again} deliveries are due again")
