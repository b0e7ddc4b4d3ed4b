"""From the settings to the way that mail takes: over the relay, or into a folder. Nothing is connected yet."""

from __future__ import annotations

from pathlib import Path

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler
from bots.email.headers import own_host
from bots.email.outbox import FileTransport
from bots.email.smtp import SmtpTransport
from config.settings import EmailSettings
from syndicator.domain.site import Site

__all__ = ["open_email", "open_relay"]


def open_email(email: EmailSettings, compiler: Compiler, site: Site) -> EmailChannel:
    """The channel for mail."""
    if email.transport == "file":
        return EmailChannel(compiler, FileTransport(Path(email.outbox)))
    return EmailChannel(compiler, open_relay(email, site))


def open_relay(email: EmailSettings, site: Site) -> SmtpTransport:
    """The way to the relay."""
    return SmtpTransport(
        email.host,
        email.port,
        local_hostname=own_host(site),
        tls=email.tls,
        user=email.user,
        password=email.password.get_secret_value() if email.password else "",
        connections=email.connections,
        timeout=email.timeout,
    )
