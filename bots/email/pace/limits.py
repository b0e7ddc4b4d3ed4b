"""What the office set: how much may go to all domains together, and to each. Plain values, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from zoneinfo import ZoneInfo

from config.email import EmailSettings

__all__ = ["Ceiling", "Limits", "WarmUpPlan"]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One domain's: mails a second and mails on their way at once. None: as many as it takes."""

    per_second: float | None = None
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class WarmUpPlan:
    """`first` mails on day `begins` in `zone`, twice as many on each day after it."""

    begins: date
    first: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Limits:
    """All of them.

    `domains` names those with a ceiling of their own, each for itself and all below it. A day is one of `zone`.
    """

    per_second: float = 350
    every: Ceiling = Ceiling()
    domains: Mapping[str, Ceiling] = field(default_factory=dict)
    warm_up: WarmUpPlan | None = None
    timeout: float = 60
    zone: tzinfo = UTC

    @classmethod
    def of(cls, email: EmailSettings, zone: ZoneInfo) -> Limits:
        """From the section `email`; `zone` is the office's."""
        every = Ceiling(email.domain_per_second, email.domain_connections)
        named = {
            name: Ceiling(
                one.per_second if one.per_second is not None else every.per_second,
                one.connections if one.connections is not None else every.connections,
            )
            for name, one in email.domains.items()
        }
        begins = email.warm_up_from
        warm_up = WarmUpPlan(begins, email.warm_up_first, zone) if begins is not None else None
        return cls(email.per_second, every, named, warm_up, email.timeout, zone)

    def group_of(self, domain: str) -> tuple[str, Ceiling]:
        """Under which name that domain's turns are counted, and its ceiling: by the longest name it is at or below."""
        name = domain
        while self.domains and name:
            if (found := self.domains.get(name)) is not None:
                return name, found
            name = name.partition(".")[2]
        return domain, self.every
