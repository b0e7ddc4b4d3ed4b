"""The settings as types: every section and key, what is allowed, and how keys hang together.

1. Everything is frozen: it is read once at start (`config.loading`) and passed on by `main.py`.
2. An unknown key is refused; a key that is needed has no default here or in `default.toml`.
3. A secret is a `SecretStr`: it does not show in a text of the settings.
"""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from config.email import EmailSettings
from config.section import BadSettings, BaseUrl, DatabaseUrl, HttpUrl, Language, Mailbox, Network, Section, Zone
from syndicator.domain.site import Site
from syndicator.domain.tokens import CONFIRM_FOR

__all__ = [
    "AlertSettings",
    "BadSettings",
    "DigestSettings",
    "DirectorySource",
    "EmailSettings",
    "FeedSettings",
    "MonitoringSettings",
    "OutgoingSettings",
    "Settings",
    "SqlSource",
    "TelegramChannel",
    "TelegramSettings",
]

HERE = Path(__file__).parent


class SiteSettings(Section):
    """Who publishes, where, and in which languages."""

    base_url: BaseUrl
    secret: SecretStr | None = Field(default=None, min_length=16)
    names: dict[str, str]
    languages: tuple[Language, ...] = Field(min_length=1)
    default_language: Language
    timezone: Zone
    contact: Mailbox = Field(default="", description="an email address that people may write to")

    @model_validator(mode="after")
    def _default_is_offered(self) -> SiteSettings:
        if self.default_language not in self.languages:
            raise ValueError(f"default_language must be one of languages ({', '.join(self.languages)})")
        return self


class DatabaseSettings(Section):
    """Where the ledger lives."""

    url: DatabaseUrl


class TopicSettings(Section):
    """The topic file; empty means the shipped one."""

    file: str = ""


class WebSettings(Section):
    """The address the server listens on. `trusted_proxies` may state the reader's address in X-Forwarded-For."""

    host: str
    port: int = Field(ge=0, le=65535)
    trusted_proxies: tuple[str, ...] = ()


class DirectorySource(Section):
    """A folder of documents."""

    kind: Literal["directory"]
    name: str = Field(default="directory", pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    path: str
    interval: float = Field(default=60, gt=0, description="seconds between passes; changes are seen at once anyway")
    withdraw_missing: bool = False
    boilerplate: tuple[str, ...] = ()
    rights: str = r"^(©|\(c\)|copyright\b)"


class SqlSource(Section):
    """A read-only query on any SQLAlchemy URL."""

    kind: Literal["sql"]
    name: str = Field(default="sql", pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    url: SecretStr
    query: str = Field(description="yields id, lang, title, body, published, updated; has :updated and :id")
    body_format: Literal["text", "markdown", "html"] = "html"
    timezone: Zone | None = None
    interval: float = Field(default=60, gt=0)


AnySource = Annotated[DirectorySource | SqlSource, Field(discriminator="kind")]


class FeedSettings(Section):
    """How feeds are kept, and who is told of a change. `moved` leads old paths of an office's feeds to today's."""

    directory: str
    entries: int = Field(ge=1, le=500)
    max_age: int = Field(ge=0, le=86400)
    hub: bool = True
    hubs: tuple[HttpUrl, ...] = ()
    logo: str = ""
    moved: dict[Annotated[str, Field(pattern=r"^/[^?#\s]*$")], Annotated[str, Field(pattern=r"^/[^#\s]*$")]] = Field(
        default={}
    )


class OutgoingSettings(Section):
    """Requests that the service makes to addresses others gave it. `allow` exempts networks from the guard."""

    allow: tuple[Network, ...] = ()


class TelegramChannel(Section):
    """A public channel or group and the filter of what it carries; `thread` is a topic of a forum.

    `text` full gives the whole text where it fits in one message, lead the summary. `media` shows a release's picture
    as the large preview of its page, as a photo of its own, or not at all. `silent` says when posts make no sound.
    """

    chat: str = Field(min_length=1)
    filter: str = ""
    language: Language | None = None
    thread: int | None = Field(default=None, gt=0)
    text: Literal["full", "lead"] = "full"
    media: Literal["preview", "photo", "none"] = "preview"
    silent: Literal["night", "always", "never"] = "night"


class TelegramSettings(Section):
    """The bot. Without a token, messages go to `outbox` as files.

    `audit_chat` is a private chat in which the bot looks up whether a post with an unknown outcome stands in its
    channel. `media` is how people are shown pictures.
    """

    token: SecretStr | None = None
    api_root: str = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"
    webhook_secret: SecretStr | None = None
    channels: tuple[TelegramChannel, ...] = ()
    outbox: str = "var/outbox"
    per_second: float = Field(default=25, gt=0, le=1000)
    resend_unknown: Literal["never", "urgent", "once"] = "urgent"
    audit_chat: str = ""
    media: Literal["preview", "photo", "none"] = "preview"


class DigestSettings(Section):
    """When daily and weekly digests close, in each reader's own time zone.

    After a silence one digest makes up for `make_up_days` at most.
    """

    at: time = time(8, 0)
    weekly_on: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    make_up_days: float = Field(default=14, ge=7, le=60)

    @property
    def reach(self) -> timedelta:
        """How far back a digest reaches at most."""
        return timedelta(days=self.make_up_days)

    @field_validator("at")
    @classmethod
    def _on_the_readers_clock(cls, at: time) -> time:
        if at.tzinfo is not None:
            raise ValueError("a time of day without a zone is allowed, such as 08:00: it is each reader's own")
        return at


class EngineSettings(Section):
    """Where jobs run: in the one process there is, or by a queue in PostgreSQL that any number of machines work on."""

    kind: Literal["embedded", "procrastinate"] = "embedded"
    announce_hours: float = Field(default=72, gt=0, description="what became public earlier is not announced")
    max_attempts: int = Field(default=12, ge=1, le=100)


class AlertSettings(Section):
    """Whom to tell that something needs a person, and after how long a public release should have reached a channel.

    `telegram` is a chat that the bot may write to; what is told also stands in the log and in the metrics.
    """

    email: Mailbox = ""
    telegram: str = ""
    after_minutes: float = Field(default=15, ge=1, le=1440)

    @property
    def after(self) -> timedelta:
        """How long a release may take to reach a channel, and a feed to be behind."""
        return timedelta(minutes=self.after_minutes)


class MonitoringSettings(Section):
    """Where a process without the role `web` answers `/healthz`, `/readyz` and `/metrics`; port 0: nowhere."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class MediaSettings(Section):
    """Where pictures and files that came with releases are kept."""

    directory: str = "var/media"
    max_bytes: int = Field(default=20_000_000, gt=0)


class RetentionSettings(Section):
    """How long what is no longer needed is kept, in days."""

    pending_days: float = Field(default=CONFIRM_FOR / timedelta(days=1), gt=0, description="a sign-up without a yes")
    left_days: float = Field(default=28, ge=1, description="whoever has left, until nothing of them is kept but counts")
    ledger_days: float = Field(default=730, ge=90, description="what was sent to whom; later no correction follows it")

    @property
    def confirm_for(self) -> timedelta:
        """How long somebody may take to confirm: what mails and pages say, what links do, and when sign-ups end."""
        return timedelta(days=self.pending_days)


class Settings(Section):
    """Everything that can be set."""

    site: SiteSettings
    database: DatabaseSettings
    topics: TopicSettings = TopicSettings()
    web: WebSettings
    sources: tuple[AnySource, ...] = ()
    feeds: FeedSettings
    outgoing: OutgoingSettings = OutgoingSettings()
    telegram: TelegramSettings = TelegramSettings()
    email: EmailSettings = EmailSettings()
    digests: DigestSettings = DigestSettings()
    engine: EngineSettings = EngineSettings()
    alerts: AlertSettings = AlertSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    media: MediaSettings = MediaSettings()
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: each needs a name of its own")
        if self.engine.kind == "procrastinate" and not self.database.url.startswith("postgresql:"):
            raise ValueError("engine.kind procrastinate needs a database.url of the form postgresql://USER@HOST/NAME")
        if self.alerts.telegram and not self.telegram.token:
            raise ValueError("telegram.token is needed with alerts.telegram")
        if self.email.transport == "smtp" and not self.email.sender:
            raise ValueError("email.from is needed with transport smtp")
        if self.telegram.mode == "webhook" and self.telegram.token and not self.telegram.webhook_secret:
            raise ValueError("telegram.webhook_secret is needed with mode webhook")
        return self

    def as_site(self) -> Site:
        """The site as the domain knows it."""
        site = self.site
        return Site(site.base_url, site.names, site.languages, site.default_language, site.timezone)

    @property
    def topics_path(self) -> Path:
        """The topic file in force."""
        return Path(self.topics.file) if self.topics.file else HERE / "topics.toml"
