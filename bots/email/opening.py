"""From the settings to mail: what makes mails, the way that they take, what goes on beside it. Nothing is connected.

Rules, in order:

1. Without a relay mails become files in a folder; they are signed all the same, so that they can be looked at.
2. An address or a key that cannot be used stops the start with one line.
3. What signs and what takes mail in is loaded only where it is wanted: it takes a part of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler
from bots.email.headers import own_host
from bots.email.outbox import FileTransport
from bots.email.pace.budget import SharedRate
from bots.email.pace.keeper import Keeper
from bots.email.pace.limits import Limits
from bots.email.pace.pace import Pace
from bots.email.smtp import SmtpTransport
from bots.email.transports import Transport
from config.email import EmailSettings
from config.section import BadSettings
from config.settings import Settings
from syndicator.domain.ports import ALONE, Attendance, Clock, Workplace
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.service import Part
from syndicator.store.database import Database

FETCHED = ("pop3", "imap")

__all__ = ["Email", "open_compiler", "open_email", "open_relay"]


@dataclass(frozen=True, slots=True)
class Email:
    """The way out, parts that run beside it, and work of their own. `fetching` is for one process at a time."""

    channel: EmailChannel
    parts: Sequence[Part] = ()
    fetching: Sequence[Part] = ()
    workplaces: Sequence[Workplace] = ()


def open_email(
    settings: Settings,
    database: Database,
    *,
    site: Site,
    texts: Texts,
    taxonomy: Taxonomy,
    tokens: Tokens,
    metrics: Metrics,
    clock: Clock,
    wake: Callable[[], None],
    attendance: Attendance = ALONE,
    works: bool = True,
) -> Email:
    """What the settings ask for; `wake` is called when deliveries have become due.

    `attendance` is that of this process among those that send, `works` whether it has the role for that.

    Raises:
        BadSettings: an address or the key for signing cannot be used, or something is missing.
    """
    email = settings.email
    parts: list[Part] = []
    way: Transport = FileTransport(Path(email.outbox))
    if email.transport == "smtp":
        rate = SharedRate(email.per_second, database) if settings.engine.kind == "procrastinate" else None
        pace = Pace(Limits.of(email, site.zone), shared=rate)
        way = open_relay(email, site, pace, rate, attendance)
        parts.append(Keeper(pace, database, clock=clock, metrics=metrics, rate=rate))
    if email.dkim is not None:
        from bots.email.dkim import Signer, SigningTransport  # noqa: PLC0415  # see rule 3

        way = SigningTransport(Signer.of(email.dkim), way)
    channel = EmailChannel(open_compiler(settings, site=site, texts=texts, taxonomy=taxonomy), way)
    if email.inbound.kind == "none":
        return Email(channel, parts)
    from bots.email.inbound.opening import open_inbound  # noqa: PLC0415  # see rule 3

    shared = settings.engine.kind == "procrastinate"
    inbound = open_inbound(
        email,
        database,
        site=site,
        tokens=tokens,
        metrics=metrics,
        clock=clock,
        wake=wake,
        shared=shared,
        works=works,
    )
    if email.inbound.kind in FETCHED:
        return Email(channel, parts, inbound)
    return Email(channel, [*parts, *inbound])


def open_compiler(settings: Settings, *, site: Site, texts: Texts, taxonomy: Taxonomy) -> Compiler:
    """What makes mails.

    Raises:
        BadSettings: an address cannot be used.
    """
    email = settings.email
    try:
        return Compiler(
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            sender=email.sender,
            bounce_address=email.bounce_address,
            verp=email.verp,
            unsubscribe_address=email.unsubscribe_address,
            reply_to=email.reply_to,
            contact=settings.site.contact,
            confirm_for=settings.retention.confirm_for,
        )
    except ValueError as error:
        raise BadSettings(str(error)) from None


def open_relay(
    email: EmailSettings,
    site: Site,
    pace: Pace | None = None,
    rate: SharedRate | None = None,
    attendance: Attendance = ALONE,
) -> SmtpTransport:
    """The way to the relay; without `pace` everything may go at once. See `SmtpTransport` for the rest."""
    return SmtpTransport(
        email.host,
        email.port,
        local_hostname=own_host(site),
        tls=email.tls,
        user=email.user,
        password=email.password.get_secret_value() if email.password else "",
        connections=email.connections,
        timeout=email.timeout,
        pace=pace,
        rate=rate,
        attendance=attendance,
    )
