"""Commands about addresses that are to get nothing: subscribers suppress, allow and suppressed.

Rules, in order:

1. Addresses are kept as fingerprints: the list can be counted and asked, and not be read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from syndicator.cli.desk import Desk
from syndicator.cli.output import say, show, show_one
from syndicator.domain.bounces import Suppressed
from syndicator.pipeline.keeping_out import KeepingOut, KeptOut
from syndicator.store import suppressions

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[str, typer.Argument(help="A mail address.")]


class Reason(StrEnum):
    """What an operator may say."""

    BLOCKED = "blocked"
    COMPLAINED = "complained"
    BOUNCED = "bounced"


def register(subscribers: typer.Typer) -> None:
    """Add the commands."""
    subscribers.command("suppress")(subscribers_suppress)
    subscribers.command("allow")(subscribers_allow)
    subscribers.command("suppressed")(subscribers_suppressed)


def subscribers_suppress(
    context: typer.Context,
    address: Address,
    reason: Annotated[
        Reason, typer.Option(help="blocked: not even a confirmation is sent there; else their own yes lets them in.")
    ] = Reason.BLOCKED,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Send nothing to that address from now on, whoever asks; subscriptions that it has end."""

    async def work(desk: Desk) -> KeptOut:
        return await _keeping_out(desk).suppress(address, Suppressed(reason.value), desk.clock())

    done = context.obj.at_desk(work)
    line = f"kept out ({done.reason.value}); subscriptions ended: {done.ended}"
    if as_json:
        show_one({"reason": done.reason.value, "ended": done.ended}, line, as_json=True)
    else:
        say(line)


def subscribers_allow(context: typer.Context, address: Address, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Let that address in again. Nothing is sent, and nothing that has ended comes back."""
    was = context.obj.at_desk(lambda desk: _keeping_out(desk).allow(address))
    line = "was not kept out" if was is None else f"may be written to again; was kept out ({was.value})"
    if as_json:
        show_one({"was": was and was.value}, line, as_json=True)
    else:
        say(line)


def subscribers_suppressed(
    context: typer.Context,
    check: Annotated[str | None, typer.Option(help="Only whether this address is kept out, and why.")] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """How many addresses get nothing, by reason."""
    if check is not None:
        found = context.obj.at_desk(lambda desk: _keeping_out(desk).check(check))
        line = "not kept out" if found is None else f"kept out ({found.value})"
        show_one({"reason": found and found.value}, line, as_json=as_json)
        return

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.database.reading() as session:
            counts = await suppressions.counts(session)
        return [{"reason": reason.value, "addresses": number} for reason, number in counts.items()]

    show(context.obj.at_desk(work), as_json=as_json, columns=("reason", "addresses"))


def _keeping_out(desk: Desk) -> KeepingOut:
    return KeepingOut(desk.database, desk.tokens)
