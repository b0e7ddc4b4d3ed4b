"""The section `email`: which way mails take, how fast, under which names, and where answers to them come in.

Rules, in order:

1. Mail is sent to one relay, or into a folder. What is asked for is done or refused: TLS that is asked for is never
   left out, a key that cannot be read stops the start.
2. A bounce address makes each mail's envelope its own (VERP): `bounces@x` becomes `bounces+TOKEN@x`. So does the
   address for leaving by mail.
3. Rates are limits, not promises; what receivers say lowers them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from config.section import Mailbox, Section

__all__ = ["DkimSettings", "DomainSettings", "EmailSettings", "InboundSettings"]

Tls = Literal["none", "starttls", "tls"]
DomainName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class DomainSettings(Section):
    """What one receiving domain (and all below it) is sent at most. None leaves it to what the domain says."""

    per_second: float | None = Field(default=None, gt=0, le=10_000)
    connections: int | None = Field(default=None, ge=1, le=64)


class DkimSettings(Section):
    """Signing here, where the relay does not sign.

    The key is PEM, RSA of 2048 bits or more, or Ed25519: as the text `key`, or as the file `key_file`.
    """

    domain: DomainName
    selector: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    key: SecretStr | None = None
    key_file: str = ""

    @model_validator(mode="after")
    def _one_key(self) -> DkimSettings:
        if bool(self.key) == bool(self.key_file):
            raise ValueError("either key or key_file is needed")
        return self


class InboundSettings(Section):
    """Where bounces, complaints and wishes to leave come in.

    `lmtp` and `smtp` listen on `host` and `port` for our own mail server; `pop3` and `imap` fetch from a mailbox that
    is for nothing else, every `interval` seconds. What nobody can make sense of is kept in `keep`.
    """

    kind: Literal["none", "lmtp", "smtp", "pop3", "imap"] = "none"
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="0: the usual one (8024 lmtp, 8025 smtp, 995, 993)")
    tls: Tls = "tls"
    user: str = ""
    password: SecretStr | None = None
    folder: str = "INBOX"
    interval: float = Field(default=60, ge=5, le=3600)
    keep: str = "var/inbound"

    @model_validator(mode="after")
    def _fetching_logs_in(self) -> InboundSettings:
        if self.kind in ("pop3", "imap") and not (self.user and self.password):
            raise ValueError(f"user and password are needed with kind {self.kind}")
        return self


class EmailSettings(Section):
    """The mail relay, or a folder of .eml files.

    `per_second` holds for all mail together, `domain_per_second` and `domain_connections` for each receiving domain
    that `domains` does not name (None: until it asks for less). `connections` are each worker's own. `warm_up_from` is
    the first day of an address that nobody knows yet: `warm_up_first` mails on that day, twice as many on each day
    after it, until nothing is held back; confirmations, corrections and urgent releases are never held back by it.
    """

    transport: Literal["file", "smtp"] = "file"
    host: str = "localhost"
    port: int = Field(default=25, ge=1, le=65535)
    tls: Tls = "starttls"
    user: str = ""
    password: SecretStr | None = None
    sender: Mailbox = Field(default="", alias="from")
    reply_to: Mailbox = ""
    bounce_address: Mailbox = ""
    unsubscribe_address: Mailbox = ""
    verp: bool = True
    outbox: str = "var/outbox"
    connections: int = Field(default=8, ge=1, le=64)
    timeout: float = Field(default=60, gt=0, le=600)
    resend_unknown: Literal["never", "urgent", "once"] = "once"
    per_second: float = Field(default=350, gt=0, le=100_000)
    domain_per_second: float | None = Field(default=None, gt=0, le=100_000)
    domain_connections: int | None = Field(default=None, ge=1, le=64)
    domains: dict[DomainName, DomainSettings] = Field(default={})
    warm_up_from: date | None = None
    warm_up_first: int = Field(default=500, ge=1, le=1_000_000)
    give_up_hours: float = Field(default=48, ge=1, le=240)
    dkim: DkimSettings | None = None
    inbound: InboundSettings = InboundSettings()

    @property
    def patience(self) -> timedelta:
        """How long a mail that is put off is tried again."""
        return timedelta(hours=self.give_up_hours)
