"""What an operator decides: `deliveries settle` what nobody can tell of, `deliveries resume` what mail waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from syndicator.cli.desk import Desk
from syndicator.cli.output import fail, say, show, show_one
from syndicator.domain.model import ChannelKind
from syndicator.store import pauses
from syndicator.store.settled_by_hand import settle_by_hand, settle_restored, unknown_by_reason

__all__ = ["UNKNOWN_HINT", "register"]

UNKNOWN_HINT = (
    "Nobody can tell whether these arrived. Look, then: `deliveries settle --id N --as sent [--message NUMBER]`, "
    "`deliveries settle --id N --as failed`, or `deliveries retry --id N` to send it again."
)


class Outcome(StrEnum):
    """What an operator may find."""

    SENT = "sent"
    FAILED = "failed"


def register(deliveries: typer.Typer) -> None:
    """Add the commands."""
    deliveries.command("settle")(deliveries_settle)
    deliveries.command("unknown")(deliveries_unknown)
    deliveries.command("resume")(deliveries_resume)


def deliveries_settle(
    context: typer.Context,
    outcome: Annotated[Outcome, typer.Option("--as", help="sent: it stands there; failed: it does not.")],
    delivery: Annotated[int | None, typer.Option("--id", help="The row.", min=1, max=2**63 - 1)] = None,
    restored: Annotated[  # noqa: FBT002
        bool, typer.Option("--restored", help="All that a restore has left unknown.")
    ] = False,
    channel: Annotated[ChannelKind | None, typer.Option(help="With --restored: only of this channel.")] = None,
    release: Annotated[int | None, typer.Option(help="With --restored: only about this release.", min=1)] = None,
    message: Annotated[
        list[int] | None,
        typer.Option(help="The message's number in its chat, as its link ends; once for each part.", min=1),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Say what became of an unknown delivery, or of one that waits to be sent again. It is not sent.

    With the message's number, corrections and withdrawals change the post itself; those that came before do so now.
    """
    if (delivery is None) != restored:
        fail("--id N or --restored: one of them")
    if delivery is None:
        if message:
            fail("--message goes with --id")
        _settle_restored(context, outcome, channel, release, as_json=as_json)
        return
    if channel is not None or release is not None:
        fail("--channel and --release go with --restored")

    async def work(desk: Desk) -> str:
        async with desk.database.writing() as session:
            now = desk.clock()
            return await settle_by_hand(session, delivery, outcome=outcome.value, messages=message or (), now=now)

    follows = context.obj.at_desk(work)
    if as_json:
        show_one({"id": delivery, "state": outcome.value, "follows": follows}, "", as_json=True)
    else:
        say(f"delivery {delivery} is {outcome.value} now" + (f"; {follows}" if follows else ""))


def _settle_restored(
    context: typer.Context, outcome: Outcome, channel: ChannelKind | None, release: int | None, *, as_json: bool
) -> None:
    async def work(desk: Desk) -> int:
        async with desk.database.writing() as session:
            return await settle_restored(
                session, outcome=outcome.value, channel=channel, release=release, now=desk.clock()
            )

    settled = context.obj.at_desk(work)
    show_one({"settled": settled, "state": outcome.value}, f"{settled} deliveries are {outcome} now", as_json=as_json)


def deliveries_unknown(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Count what nobody can tell of, by reason, channel and release. Readers of digests had no row of their own."""

    async def work(desk: Desk) -> Sequence[Mapping[str, Any]]:
        async with desk.database.reading() as session:
            return await unknown_by_reason(session)

    columns = ("deliveries", "channel", "kind", "release", "reason")
    show(context.obj.at_desk(work), as_json=as_json, columns=columns)


def deliveries_resume(
    context: typer.Context,
    domain: Annotated[str, typer.Option(help="Of this receiving domain only; else of all, and of the relay.")] = "",
    look: Annotated[bool, typer.Option("--look", help="Only show them.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """End the long pauses that receivers of mail, or the relay, asked for: of new mail one goes first, then the rest.

    What was put off until a pause's end keeps its time: `deliveries retry --state deferred` sends it now.
    A running service follows within seconds; what its relay said since it started ends with a restart.
    """

    async def work(desk: Desk) -> Sequence[tuple[str, datetime, str]]:
        name = domain.strip().lower()
        if look:
            async with desk.database.reading() as session:
                return await pauses.of_mail(session, desk.clock(), name)
        async with desk.database.writing() as session:
            return await pauses.lift_mail(session, desk.clock(), name)

    found = context.obj.at_desk(work)
    columns = ("scope", "until", "reason")
    show((dict(zip(columns, one, strict=True)) for one in found), as_json=as_json, columns=columns)
    say(f"{len(found)} pauses of mail " + ("hold" if look else "ended"))
