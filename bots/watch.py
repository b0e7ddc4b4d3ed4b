"""From the settings to the watchman and whom he tells. Nothing is opened.

A way to tell somebody is loaded only where it is wanted: it takes a part of a start.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from config.section import BadSettings
from config.settings import Settings
from syndicator.domain.ports import Clock, FeedPublisher
from syndicator.domain.site import Site
from syndicator.metrics import Metrics
from syndicator.pipeline.watchman import Herald, Watchman
from syndicator.store.database import Database

__all__ = ["alert_questions", "open_heralds", "open_watchman"]


def open_watchman(
    settings: Settings,
    database: Database,
    *,
    site: Site,
    metrics: Metrics,
    clock: Clock,
    publisher: FeedPublisher | None = None,
) -> Watchman:
    """The watchman of this process; `publisher` is that of one which serves feeds.

    Raises:
        BadSettings: an address or the key for signing cannot be used.
    """
    return Watchman(
        database,
        heralds=open_heralds(settings, site, clock),
        after=settings.alerts.after,
        intervals={source.name: source.interval for source in settings.sources},
        order=site.languages,
        host=site.host,
        clock=clock,
        metrics=metrics,
        publisher=publisher,
        machine=_own_name(settings, serves=publisher is not None) if settings.engine.kind == "procrastinate" else "",
    )


def _own_name(settings: Settings, *, serves: bool) -> str:
    """The machine; with pages also their port, since it may have several processes with some."""
    return f"{socket.gethostname()}:{settings.web.port}" if serves else socket.gethostname()


def alert_questions(settings: Settings, site: Site, clock: Clock) -> Sequence[tuple[str, Callable[[], Awaitable[str]]]]:
    """What `check` asks: whether whoever `alerts` names could be told. Nothing is sent.

    Raises:
        BadSettings: an address or the key for signing cannot be used.
    """
    asked = [(f"alerts.{herald.name}", herald.ask) for herald in open_heralds(settings, site, clock)]
    if settings.alerts.telegram and settings.telegram.token is None:
        asked.append(("alerts.telegram", _no_bot))
    return asked


async def _no_bot() -> str:
    raise ValueError("nobody is told there: there is no telegram.token")


def open_heralds(settings: Settings, site: Site, clock: Clock) -> list[Herald]:
    """Whom `alerts` names.

    Raises:
        BadSettings: an address or the key for signing cannot be used.
    """
    heralds: list[Herald] = []
    if settings.alerts.email:
        heralds.append(_by_mail(settings, site, clock))
    if settings.alerts.telegram and settings.telegram.token is not None:
        from bots.telegram.asking import Line  # noqa: PLC0415  # see the module's word
        from bots.telegram.herald import TelegramHerald  # noqa: PLC0415

        token = settings.telegram.token.get_secret_value()
        line = Line(settings.telegram.api_root.rstrip("/"), token, clock)
        heralds.append(TelegramHerald(line, settings.alerts.telegram))
    return heralds


def _by_mail(settings: Settings, site: Site, clock: Clock) -> Herald:
    from bots.email.addresses import BadAddress, address  # noqa: PLC0415  # see the module's word
    from bots.email.headers import own_host  # noqa: PLC0415
    from bots.email.herald import MailHerald  # noqa: PLC0415
    from bots.email.outbox import FileTransport  # noqa: PLC0415
    from bots.email.relay.connecting import Access  # noqa: PLC0415

    email, host = settings.email, own_host(site)
    try:
        recipient = address(settings.alerts.email)
    except BadAddress as error:
        raise BadSettings(f"alerts.email: {error}") from None
    sign = None
    if email.dkim is not None:
        from bots.email.dkim import Signer  # noqa: PLC0415

        sign = Signer.of(email.dkim).signed
    password = email.password.get_secret_value() if email.password else ""
    relay = Access(email.host, email.port, host, email.tls, email.user, password, None)
    way = relay if email.transport == "smtp" else FileTransport(Path(email.outbox))
    sender = email.sender or f"syndicator@{host}"
    return MailHerald(recipient, sender=sender, host=host, way=way, clock=clock, sign=sign)
