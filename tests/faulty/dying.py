"""Ways for a test to make the program die at a named point, as if its machine lost power there.

Only the tests' own entry program (`tests.warm`) arms them, from variables of the environment; the product knows nothing
of them. `TEST_DIES_AT` names a point; `TEST_RHYTHM` gives other times to a cluster (`syndicator.engine.rhythm`): no
test waits for 20 s until a process counts as dead; `TEST_TRIES_AFTER` says after how many seconds what failed
for the first time, or is not known, is sent again, which is a minute or two, and how long a relay rests;
`TEST_CLOCK_AHEAD` by how many seconds that machine's own clock is ahead.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

__all__ = [
    "ALARMED_AFTER",
    "CLOCK_AHEAD",
    "COMMANDS",
    "DIES_AT",
    "ENGINE_POINTS",
    "POINTS",
    "QUICK",
    "RHYTHM",
    "TRIES_AFTER",
    "arm",
]

DIES_AT, RHYTHM, TRIES_AFTER = "TEST_DIES_AT", "TEST_RHYTHM", "TEST_TRIES_AFTER"
CLOCK_AHEAD = "TEST_CLOCK_AHEAD"
ALARMED_AFTER = "TEST_ALARMED_AFTER"  # seconds, in place of minutes
QUICK = json.dumps({"beat": 0.5, "sure": 3.0, "dead": 4.0, "look": 0.5, "poll": 0.5, "sweep": 5.0})


@dataclass(frozen=True, slots=True)
class Point:
    """A function (`module:name` or `module:class.name`), and on which side of it to die; `sends`: in a worker.

    `when` says, of what it was given and what it found, whether that is the moment.
    """

    function: str
    after: bool
    sends: bool = True
    when: Callable[[Sequence[Any], Any], object] = lambda given, found: True


POINTS = {
    "before the recipients are written": Point("syndicator.store.ledger:fan_out", after=False),
    "before the recipients are committed": Point("syndicator.store.ledger:fan_out", after=True),
    "before the claim": Point("syndicator.store.ledger:claim_each", after=False),
    "before the claim is committed": Point(
        "syndicator.store.ledger:claim_each", after=True, when=lambda _, found: any(found)
    ),
    "before the mail is sent": Point("syndicator.pipeline.delivery:Delivery._send", after=False),
    "after the mail was sent": Point("syndicator.pipeline.delivery:Delivery._send", after=True),
    "before the answers are committed": Point("syndicator.store.ledger:settle", after=True),
    "after the answers are committed": Point("syndicator.pipeline.settling:Settler.settle", after=True),
    "before a release is committed": Point("syndicator.store.releases:record", after=True, sends=False),
    "between the feeds and their manifest": Point("feeds.files:write_manifest", after=False, sends=False),
}

COMMANDS = {  # at which a command dies that carries the whole office
    "before the old office is marked": Point("syndicator.store.relocation:begin", after=False),
    "before anything is carried over": Point("syndicator.pipeline.moving_house:_carry", after=False),
    "when all rows are written": Point("syndicator.store.copying:_index", after=False),
    "before the arrival is committed": Point("syndicator.store.ledger:recover", after=True),
    "before the old office knows of the arrival": Point("syndicator.pipeline.moving_house:_mark", after=False),
    "after the old office knows of the arrival": Point("syndicator.pipeline.moving_house:_mark", after=True),
    "when the backup has its tables": Point("syndicator.pipeline.backing_up:_fill", after=True),
    "before the backup is examined": Point("syndicator.pipeline.backing_up:seal", after=False),
    "before the backup has its name": Point("syndicator.pipeline.backing_up:_name", after=False),
    "when the backup has its name": Point("syndicator.pipeline.backing_up:_name", after=True),
    "when the backup is prepared": Point("syndicator.pipeline.restoring:_settle", after=True),
    "before the old database is aside": Point("syndicator.pipeline.restoring:_put", after=False),
    "between the old database and the new one": Point("syndicator.pipeline.restoring:_aside", after=True),
    "when the new database is in its place": Point("syndicator.pipeline.restoring:_put", after=True),
    "before the restore is committed": Point("syndicator.store.numbering:carry_on", after=True),
    "when the restore is committed": Point("syndicator.pipeline.restoring:_pour", after=True),
}

# Of a cluster alone: what its engine may leave half done.
ENGINE_POINTS = {
    "after this process was registered": Point("syndicator.engine.attendance:Attended.start", after=True),
    "after a job was taken": Point("syndicator.engine.queue:Queue.take", after=True, when=lambda _, found: found),
    "after a job was done": Point("syndicator.engine.queue:Queue.done", after=False),
    "after a seat was taken": Point("syndicator.pipeline.seats:Seat.start", after=False),
    "before what is pending is asked for": Point(
        "syndicator.engine.queue:Queue.put", after=False, when=lambda given, _: any(j.name == "open" for j in given[1])
    ),
    "before the ledger hears of the dead": Point(
        "syndicator.engine.judge:Judge._bury", after=True, when=lambda _, found: found
    ),
}


def arm(environ: Mapping[str, str]) -> None:
    """Do what the environment says; nothing, where it says nothing."""
    if rhythm := environ.get(RHYTHM):
        made = import_module("syndicator.engine.rhythm")
        quick = made.Rhythm(**json.loads(rhythm))
        made.Rhythm.__init__.__defaults__ = tuple(getattr(quick, name) for name in made.Rhythm.__dataclass_fields__)
    if seconds := environ.get(TRIES_AFTER):
        retry = import_module("syndicator.domain.retry")
        retry.FIRST_WAIT = retry.UNKNOWN_WAIT = float(seconds)
        import_module("bots.email.pace.domain").FIRST_PAUSE = float(seconds)
        import_module("bots.email.pace.pace").RELAY_PAUSE = timedelta(seconds=float(seconds))
    if seconds := environ.get(ALARMED_AFTER):
        import_module("config.settings").AlertSettings.after = timedelta(seconds=float(seconds))
        import_module("syndicator.pipeline.watchman").EVERY = 0.3
        import_module("syndicator.pipeline.watching").SETTLING = timedelta(seconds=1)
    if seconds := environ.get(CLOCK_AHEAD):
        clock, ahead = import_module("syndicator.clock"), timedelta(seconds=float(seconds))
        right = clock.machine_clock
        clock.OneClock.__init__.__defaults__ = (lambda: right() + ahead, clock.steady)
    if name := environ.get(DIES_AT):
        _arm((POINTS | ENGINE_POINTS | COMMANDS)[name])


def _arm(point: Point) -> None:
    module, _, path = point.function.partition(":")
    owner: Any = import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    real = getattr(owner, name)

    async def dies(*given: Any, **named: Any) -> Any:
        if not point.after and point.when(given, None):
            _die()
        found = await real(*given, **named)
        if point.after and point.when(given, found):
            _die()
        return found

    def dies_at_once(*given: Any, **named: Any) -> Any:
        if not point.after and point.when(given, None):
            _die()
        found = real(*given, **named)
        if point.after and point.when(given, found):
            _die()
        return found

    setattr(owner, name, dies if iscoroutinefunction(real) else dies_at_once)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
