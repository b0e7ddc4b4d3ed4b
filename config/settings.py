"""The settings: typed, frozen, read once at start, and passed on by `main.py`.

Rules, in order of strength (the later wins):

1. `config/default.toml`, the shipped defaults.
2. One `syndicator.toml`: `--config`, else `SYNDICATOR_CONFIG`, else the file of that name in the working folder.
3. Environment: `SYNDICATOR_SECTION__KEY`; a secret also as a file, `SYNDICATOR_SECTION__KEY_FILE`.
4. An unknown or bad key stops the start with one line that names the file, the key and what is allowed.

Lists (`sources`, `telegram.channels`) are replaced whole, tables are merged key by key. From the environment a
list or table is written as JSON.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from syndicator.domain.site import Site

__all__ = [
    "BadSettings",
    "DirectorySource",
    "EmailSettings",
    "FeedSettings",
    "Settings",
    "SqlSource",
    "TelegramChannel",
    "TelegramSettings",
    "load",
]

HERE = Path(__file__).parent
PREFIX = "SYNDICATOR_"
NOT_YET = {
    "webhooks": "webhooks are not part of this version; remove the section",
    "operators": "operators are not part of this version; remove the section",
    "console": "the console is not part of this version; remove the section",
}


class BadSettings(ValueError):
    """One clear line: what is wrong, where, and what is allowed."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("an IANA time zone such as Asia/Baku is allowed") from error
    return name


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address such as https://press.example.org is allowed")
    return url.rstrip("/")


def _database(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("sqlite:///PATH or postgresql://USER@HOST/NAME is allowed")
    return url


Zone = Annotated[str, AfterValidator(_zone)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Section(BaseModel):
    """A section: no unknown keys, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteSettings(Section):
    """Who publishes, where, and in which languages."""

    base_url: Annotated[str, AfterValidator(_base_url)]
    secret: SecretStr | None = Field(default=None, min_length=16)
    names: dict[str, str]
    languages: tuple[Language, ...] = Field(min_length=1)
    default_language: Language
    timezone: Zone
    contact: str = Field(default="", description="an email address that people may write to")

    @model_validator(mode="after")
    def _default_is_offered(self) -> SiteSettings:
        if self.default_language not in self.languages:
            raise ValueError(f"default_language must be one of languages ({', '.join(self.languages)})")
        return self


class DatabaseSettings(Section):
    """Where the ledger lives."""

    url: Annotated[str, AfterValidator(_database)]


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
    """How feeds are kept."""

    directory: str
    entries: int = Field(ge=1, le=500)
    max_age: int = Field(ge=0, le=86400)


class TelegramChannel(Section):
    """A public channel or group and the filter of what it carries."""

    chat: str = Field(min_length=1)
    filter: str = ""
    language: Language | None = None


class TelegramSettings(Section):
    """The bot. Without a token, messages go to `outbox` as files."""

    token: SecretStr | None = None
    api_root: str = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"
    webhook_secret: SecretStr | None = None
    channels: tuple[TelegramChannel, ...] = ()
    outbox: str = "var/outbox"
    per_second: float = Field(default=25, gt=0, le=1000)
    resend_unknown: Literal["never", "urgent", "once"] = "urgent"


class EmailSettings(Section):
    """The mail relay, or a folder of .eml files."""

    transport: Literal["file", "smtp"] = "file"
    host: str = "localhost"
    port: int = Field(default=25, ge=1, le=65535)
    tls: Literal["none", "starttls", "tls"] = "starttls"
    user: str = ""
    password: SecretStr | None = None
    sender: str = Field(default="", alias="from")
    bounce_address: str = ""
    outbox: str = "var/outbox"
    connections: int = Field(default=4, ge=1, le=64)
    timeout: float = Field(default=60, gt=0, le=600)
    resend_unknown: Literal["never", "urgent", "once"] = "once"


class EngineSettings(Section):
    """Where jobs run."""

    kind: Literal["embedded"] = "embedded"
    announce_hours: float = Field(default=72, gt=0, description="what became public earlier is not announced")
    max_attempts: int = Field(default=12, ge=1, le=100)


class MediaSettings(Section):
    """Where pictures and files that came with releases are kept."""

    directory: str = "var/media"
    max_bytes: int = Field(default=20_000_000, gt=0)


class RetentionSettings(Section):
    """How long what is no longer needed is kept, in days."""

    pending_days: float = Field(default=7, gt=0, description="an opt-in that was never confirmed")


class Settings(Section):
    """Everything that can be set."""

    site: SiteSettings
    database: DatabaseSettings
    topics: TopicSettings = TopicSettings()
    web: WebSettings
    sources: tuple[AnySource, ...] = ()
    feeds: FeedSettings
    telegram: TelegramSettings = TelegramSettings()
    email: EmailSettings = EmailSettings()
    engine: EngineSettings = EngineSettings()
    media: MediaSettings = MediaSettings()
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: each needs a name of its own")
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


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ, *, demo: bool = False) -> Settings:
    """Read defaults, with `demo` the sample releases' settings, the file and the environment.

    Raises:
        BadSettings: with one line that names the file or variable, the key, and what is allowed.
    """
    chosen = path or _named_file(environ)
    tables = _read(HERE / "default.toml")
    if demo:
        tables = _merge(tables, _demo())
    if chosen is not None:
        tables = _merge(tables, _read(chosen))
    from_env = _from_environment(environ)
    tables = _merge(tables, from_env)
    for key, why in NOT_YET.items():
        if key in tables:
            raise BadSettings(f"{chosen or 'environment'}: {key}: {why}")
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise BadSettings(_one_line(error, str(chosen or "default.toml"), from_env)) from None


def _demo() -> dict[str, Any]:
    """The settings of the demo; its sample releases lie beside this file, wherever that is."""
    tables = _read(HERE / "demo.toml")
    for source in tables["sources"]:
        source["path"] = source["path"].replace("{config}", str(HERE))
    return tables


def _named_file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(PREFIX + "CONFIG"):
        return Path(named)
    usual = Path("syndicator.toml")
    return usual if usual.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: is not TOML: {error}") from None


def _merge(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        if path[-1].endswith("_file") and len(path) > 1:
            path[-1] = path[-1].removesuffix("_file")
            value = _secret_file(name, value)  # noqa: PLW2901  # the file's content stands for its name
        _put(tables, path, _plain_value(value))
    return tables


def _secret_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSettings(f"{name}: cannot read {path}: {error.strerror}") from None


def _plain_value(value: str) -> Any:
    if value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _put(tables: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tables = tables.setdefault(key, {})
        if not isinstance(tables, dict):
            return
    tables[path[-1]] = value


def _one_line(error: ValidationError, file: str, from_env: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = [str(part) for part in first["loc"] if part not in ("directory", "sql")]
    key = ".".join(path)
    where = _origin(path, file, from_env)
    if first["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key; allowed here: {', '.join(_allowed(path[:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}"


def _origin(path: list[str], file: str, from_env: Mapping[str, Any]) -> str:
    found: Any = from_env
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return file
        found = found[key]
    return PREFIX + "__".join(path).upper() if path else file


def _allowed(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for key in path:
        if key.isdigit():
            continue
        if key == "sources":
            return sorted({*DirectorySource.model_fields, *SqlSource.model_fields})
        if key == "channels":
            model = TelegramChannel
            continue
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
            return []
        model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]
