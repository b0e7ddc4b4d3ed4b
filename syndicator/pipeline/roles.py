"""What a process does, and what exactly one of them does at a time.

Rules, in order:

1. A process has one role or more; all of them together are the whole service.
2. Work is of three kinds. Shared work stands in the queue, and whoever has the role for its lane does it. Work that is
   done HERE belongs to each process: its own feeds, what it owes the ledger. A SEAT is held by one process at a time,
   out of those that have its role.
3. Where one process has the database to itself, it has every role, and everything is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum

__all__ = ["EVERY_ROLE", "SEATS", "Role", "check_roles", "parse_roles", "works_on"]

SOURCES = "source:"


class Role(StrEnum):
    """What a process is started for."""

    WEB = "web"  # pages, feeds, the API, the hub
    SCHEDULER = "scheduler"  # polls and reads sources, says what is due, watches the others
    WORKER = "worker"  # writes recipients, sends mail, takes mail in, tidies
    BOT = "bot"  # speaks to Telegram


EVERY_ROLE = frozenset(Role)
SEATS = {"telegram": Role.BOT, "hub": Role.WEB, "inbound": Role.WORKER}


def parse_roles(text: str) -> frozenset[Role]:
    """Roles as written, `web,worker`.

    Raises:
        ValueError: one is unknown, or there is none; one line.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in list(Role)]:
        raise ValueError(f"--roles: {unknown[0]!r} is no role; {', '.join(Role)} are allowed, with commas between them")
    if not names:
        raise ValueError(f"--roles: at least one of {', '.join(Role)} is needed")
    return frozenset(map(Role, names))


def check_roles(kind: str, roles: Collection[Role]) -> None:
    """Whether this engine (`engine.kind`) can do with these roles.

    Raises:
        ValueError: it needs them all, and one is missing; one line.
    """
    if kind == "embedded" and frozenset(roles) != EVERY_ROLE:
        raise ValueError(
            "--roles: with engine.kind embedded one process has every role; leave --roles out, or set engine.kind to"
            " procrastinate"
        )


def works_on(roles: Collection[Role]) -> Callable[[str], bool]:
    """Which lanes of the shared work a process with these roles takes jobs from (rule 2)."""

    def does(lane: str) -> bool:
        return (Role.SCHEDULER if lane.startswith(SOURCES) else Role.WORKER) in roles

    return does
