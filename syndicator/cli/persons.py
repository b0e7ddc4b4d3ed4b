"""Commands about what is held of people: taking it along, handing it out, erasing it.

Rules, in order:

1. Results go to standard output alone, so that `export > people.csv` is the file; counts go beside it.
2. Erasing asks first, on standard error; a script says `--yes`. With neither a person to ask nor that, nothing is done.
3. Who is not there is an error: a request that names somebody by mistake is not done with.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

import typer

from syndicator.cli.desk import Desk
from syndicator.cli.output import fail, say, show_one, stream, working
from syndicator.domain.model import ChannelKind
from syndicator.pipeline.exporting import exported_rows
from syndicator.pipeline.importing import COLUMNS, PEOPLE
from syndicator.pipeline.personal import Personal
from syndicator.store.personal import Erased
from syndicator.store.subscriptions import Subscriber

__all__ = ["subscribers_erase", "subscribers_export"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OnChannel = Annotated[ChannelKind, typer.Option(help="telegram or email.")]


def subscribers_export(
    context: typer.Context,
    address: Annotated[str | None, typer.Option(help="Only what is held of this person, all of it, as JSON.")] = None,
    channel: Annotated[ChannelKind | None, typer.Option(help="telegram or email; needed with --address.")] = None,
    without_paused: Annotated[  # noqa: FBT002
        bool, typer.Option("--without-paused", help="Leave out who is paused: they would be active once imported.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print every active subscription as CSV that `subscribers import` takes; or one person's data as JSON."""
    if address is not None:
        data = context.obj.at_desk(lambda desk: _data(desk, address, _channel(channel)))
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=None if as_json else 1) + "\n")
        return

    counts = Counter[bool]()

    async def rows(desk: Desk) -> AsyncGenerator[dict[str, str], None]:
        async with aclosing(exported_rows(desk.database, without_paused=without_paused)) as found:
            async for row, paused in found:
                if channel in (None, row["channel"]):
                    counts[paused] += 1
                    yield row

    async def work(desk: Desk) -> None:
        with working("exporting", quiet=as_json) as advance:
            async with aclosing(rows(desk)) as found:
                if as_json:
                    await stream(found, as_json=True, columns=COLUMNS)
                    return
                table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
                table.writeheader()
                async for row in found:
                    table.writerow(row)
                    advance(1)
        sys.stdout.flush()

    context.obj.at_desk(work)
    say(f"{counts.total()} subscriptions, {counts[True]} of them of people who are paused")


def subscribers_erase(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="A mail address, or the number of a Telegram chat.")],
    channel: OnChannel,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Erase all that names a person: address, settings, consent, and what the channel answered. It cannot be undone.

    Counts without a person stay. What had not been sent is not sent any more.
    """
    if not yes:
        found = context.obj.at_desk(lambda desk: _known(desk, address, _channel(channel)))
        if not somebody_is_there():
            fail("erase: nobody is there to be asked; --yes says that it is meant")
        typer.confirm(f"Erase {found.channel.value} subscriber {found.address}?", abort=True, err=True)

    async def work(desk: Desk) -> tuple[Subscriber, Erased]:
        who = await _known(desk, address, _channel(channel))
        return who, await _personal(desk).erase(who, desk.clock())

    who, erased = context.obj.at_desk(work)
    line = f"erased; subscriptions ended: {erased.subscriptions}, messages that will not be sent: {erased.unsent}"
    done = {"subscriber": who.id, "ended": erased.subscriptions, "unsent": erased.unsent}
    if as_json:
        show_one(done, line, as_json=True)
    else:
        say(line)


def somebody_is_there() -> bool:
    """Whether a question would be read by a person."""
    return sys.stdin.isatty()


async def _data(desk: Desk, address: str, channel: ChannelKind) -> Mapping[str, Any]:
    who = await _known(desk, address, channel)
    data = await _personal(desk).data(who.id, desk.texts(desk.site.default_language), desk.clock())
    if data is None:
        raise LookupError(f"{channel.value} {address}: nothing is held")
    return data


async def _known(desk: Desk, address: str, channel: ChannelKind) -> Subscriber:
    who = await _personal(desk).find(channel, address.strip())
    if who is None or who.is_erased:
        raise LookupError(f"{channel.value} {address.strip()}: there is no such subscriber")
    return who


def _personal(desk: Desk) -> Personal:
    return Personal(desk.database, site=desk.site, taxonomy=desk.taxonomy, tokens=desk.tokens)


def _channel(channel: ChannelKind | None) -> ChannelKind:
    if channel not in PEOPLE:
        fail(f"--channel: {channel.value if channel else 'missing'}; allowed are {', '.join(PEOPLE)}")
    return channel
