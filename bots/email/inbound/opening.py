"""From the settings to what takes mail in: listening, fetching, or nothing. Nothing is connected yet."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from bots.email.headers import own_host
from bots.email.inbound.fetching import Fetcher
from bots.email.inbound.intake import Intake
from bots.email.inbound.keeping import Keep
from bots.email.inbound.listening import Addresses, Listener
from bots.email.inbound.mailboxes import open_mailbox
from config.email import EmailSettings
from config.section import BadSettings
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.pipeline.returning import Returning
from syndicator.pipeline.service import Part
from syndicator.store.database import Database

__all__ = ["open_inbound"]

PORTS = {"lmtp": 8024, "smtp": 8025}


def open_inbound(
    email: EmailSettings,
    database: Database,
    *,
    site: Site,
    tokens: Tokens,
    metrics: Metrics,
    clock: Clock,
    wake: Callable[[], None],
    context: ssl.SSLContext | None = None,
    shared: bool = False,
    works: bool = True,
) -> Sequence[Part]:
    """The parts that take mail in; none where nothing is configured.

    `context` is for servers whose certificates the usual ones do not vouch for. `shared`: this process is one of many.
    Each of them may listen; what fetches is for one of them at a time. Reports that two of them take in count once.
    `works`: whether it may take in mail at all; else it does not count what another of its machine keeps.

    Raises:
        BadSettings: mail is to come in, and there is no address that it could come to.
    """
    inbound = email.inbound
    if inbound.kind == "none":
        return ()
    if not (email.bounce_address or email.unsubscribe_address):
        raise BadSettings(f"email.bounce_address is needed with email.inbound.kind {inbound.kind}")
    returning = Returning(database, tokens, metrics=metrics, wake=wake)
    keep = Keep(Path(inbound.keep))
    if works:
        metrics.unclear_kept.set_function(keep.count)
    intake = Intake(returning, keep, tokens=tokens, clock=clock)
    if inbound.kind in PORTS:
        return (
            Listener(
                intake,
                Addresses(email.bounce_address, email.unsubscribe_address, tokens),
                kind=inbound.kind,
                host=inbound.host,
                port=inbound.port or PORTS[inbound.kind],
                hostname=own_host(site),
                metrics=metrics,
                clock=clock,
                shared=shared,
            ),
        )
    return (Fetcher(lambda: open_mailbox(inbound, context), intake, interval=inbound.interval, metrics=metrics),)
