"""Commands that carry the whole office: backup, restore, and migrate, which also moves it to another database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from config.settings import Settings
from syndicator.cli.desk import Session
from syndicator.cli.output import fail, say, show_one, working
from syndicator.pipeline import moving_house
from syndicator.pipeline.backing_up import back_up
from syndicator.pipeline.moving_house import Move
from syndicator.pipeline.restoring import Plan, Restore
from syndicator.pipeline.restoring import restore as bring_back

__all__ = ["register"]

WHERE = ("postgresql://", "sqlite:///")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    app.command()(backup)
    app.command()(restore)


def migrate(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="Move the office to that empty database, postgresql://... .")] = "",
    to_file: Annotated[
        Path | None,
        typer.Option(help="A file with that address: a password in it stands in no list of processes.", dir_okay=False),
    ] = None,
    stay: Annotated[  # noqa: FBT002
        bool, typer.Option("--stay", help="The office stays in the configured database after all.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Create the database or bring it to the newest schema; data stays. With --to, move everything to another one.

    A move needs the service stopped. The old database is left as it was, and refuses to be run on from then on.
    """
    session: Session = context.obj
    settings = _settings(session)
    if (bool(to), to_file is not None, stay).count(True) > 1:
        fail("--to, --to-file and --stay: one of them")
    if to_file is not None:
        to = _address_in(to_file)
    if to and not _names_a_database(to):
        fail("where an office goes is postgresql://NAME:PASSWORD@HOST:PORT/DATABASE or sqlite:///PATH")
    if stay:
        was = session.run(moving_house.stay(settings.database.url))
        said = f"the office is here; the move to {was.to} does not count" if was else "the office was here all along"
        show_one({"was": was and was.to}, said, as_json=as_json)
        return
    if not to:
        session.run(session.wiring.migrate(settings))
        say("the database is up to date")
        return
    bar, media = partial(_bar, quiet=as_json), Path(settings.media.directory)
    move = session.run(moving_house.move(settings.database.url, to, media=media, now=session.wiring.clock(), bar=bar))
    value = {"to": move.to, "rows": dict(move.rows), "files": move.files, "again": move.again, "secret": move.secret}
    show_one(value, "\n".join(_moved(move)), as_json=as_json)


def _names_a_database(address: str) -> bool:
    try:
        _ = urlsplit(address).port
    except ValueError:
        return False
    return address.startswith(WHERE)


def _address_in(file: Path) -> str:
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--to-file: {file}: cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}")
    if not said or any(character.isspace() for character in said):
        fail(f"--to-file: {file}: must hold one address, such as postgresql://name:password@db.example.org/syndicator")
    return said


def _moved(move: Move) -> list[str]:
    told = f"{sum(move.rows.values()):,} rows and {move.files:,} files are in {move.to}; counts and checksums agree"
    lines = [told if move.rows else f"all had arrived in {move.to} before"]
    if move.again:
        lines.append(f"{move.again:,} deliveries that a crash left half-way go out again there")
    lines += [
        "Now change the configuration of every machine:",
        f"  database.url = the address of {move.to}, with its password",
        '  engine.kind = "procrastinate" to run on several machines; "embedded" as before on one',
    ]
    secret = "the secret behind old links has come along" if move.secret else "keep site.secret as it is"
    return [*lines, f"  nothing else: {secret}; then `check` and `run`"]


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file, for instance office.backup.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the whole office into one new file, beside a running service: the database, and all kept files inside.

    Keep it as safe as the machine: it holds addresses, and the secret behind the links in mails if it was minted.
    """
    session: Session = context.obj
    settings = _settings(session)
    bar, media = partial(_bar, quiet=as_json), Path(settings.media.directory)
    made = session.run(back_up(settings.database.url, file, media=media, now=session.wiring.clock(), bar=bar))
    value = {"file": made.file, "at": made.at, "bytes": made.size, "files": made.files, "secret": made.secret}
    line = f"{made.file}: {made.size:,} bytes, {made.files:,} kept files inside"
    if not made.secret:
        line += "; site.secret is in the configuration: keep that as well"
    show_one(value, line, as_json=as_json)


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.", exists=True, dir_okay=False)],
    replace: Annotated[  # noqa: FBT002
        bool, typer.Option("--replace", help="Put it in the place of what the configured database holds.")
    ] = False,
    until: Annotated[
        str, typer.Option(help="When the lost service sent last, 2026-11-22T14:30+04:00; now if left out.")
    ] = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Bring the office back from a backup, into the configured database. Nothing is sent that may have been sent.

    What waited in the backup, and what would have come due since, stands as `unknown`: look, then
    `deliveries retry --state unknown`. What was published since is found in the sources, and announced to nobody.
    Embargoes that end later, and all that is new, go out.
    """
    session: Session = context.obj
    plan = Plan(file, replace=replace, until=_moment(until), now=session.wiring.clock(), tells=session.wiring.tells())
    done = session.run(bring_back(_settings(session), plan, partial(_bar, quiet=as_json)))
    unknown = [{"kind": kind, "channel": channel, "deliveries": n} for (kind, channel), n in _sorted(done.unknown)]
    value = {"backup_at": done.backup_at, "until": done.until, "unknown": unknown, "files": done.files}
    value |= {"aside": done.aside and str(done.aside), "releases_from": done.releases_from}
    show_one(value, "\n".join(_restored(done)), as_json=as_json)


def _moment(said: str) -> datetime | None:
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        fail(f"--until: {said!r} is no time such as 2026-11-22T14:30+04:00")
    if moment.tzinfo is None:
        fail(f"--until: {said!r} does not say its zone, such as +04:00")
    return moment.astimezone(UTC)


def _restored(done: Restore) -> list[str]:
    at, until = (one.isoformat(timespec="seconds") for one in (done.backup_at, done.until))
    lines = [f"the office stands as of {at}; {done.files:,} kept files are back"]
    if done.unknown:
        lines.append(f"{sum(done.unknown.values()):,} deliveries may have been sent by {until}, and stand as unknown:")
        lines += [f"  {kind} by {channel}: {number:,}" for (kind, channel), number in _sorted(done.unknown)]
        lines.append("  `deliveries list --state unknown` names them; `deliveries retry --state unknown` sends them")
    lines += [
        f"what became public by {until} is announced to nobody; what the sources changed by then is told to nobody",
        f"releases that came since the backup get numbers from {done.releases_from} on; old links find them by words",
        "sign-ups, choices and goodbyes since the backup are lost: links of mails that went out since open nothing",
    ]
    if done.aside:
        lines.append(f"what was there stands in {done.aside}; delete it when all is well")
    return lines


def _sorted(rows: Mapping[tuple[str, str], int]) -> list[tuple[tuple[str, str], int]]:
    return sorted(rows.items())


def _settings(session: Session) -> Settings:
    """The settings; and of the log only what an operator must see."""
    settings = session.settings()
    session.wiring.log_trouble()
    return settings


def _bar(what: str, total: float, *, quiet: bool) -> AbstractContextManager[Callable[[float], None]]:
    return working(what, total=total, quiet=quiet)
