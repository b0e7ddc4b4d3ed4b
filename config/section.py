"""What sections of the settings are made of: the frozen form of one, and the kinds of values that several share.

1. A value that is wrong says in one line what is allowed.
2. Nothing is looked up: an address or a zone is judged by its form alone.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["BadSettings", "BaseUrl", "DatabaseUrl", "HttpUrl", "Language", "Mailbox", "Network", "Section", "Zone"]


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
    if parts.path.strip("/"):
        raise ValueError("an address without a path is allowed, such as https://press.example.org")
    return url.rstrip("/")


def _mailbox(address: str) -> str:
    if address:
        try:
            validate_email(address, check_deliverability=False, allow_smtputf8=False)
        except EmailNotValidError as error:
            raise ValueError(f"a bare mail address such as news@press.example.org is allowed ({error})") from None
    return address


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("an address such as https://hub.example.org/ is allowed")
    if "@" in parts.netloc:  # every feed would show it
        raise ValueError("an address without a name and password is allowed, such as https://hub.example.org/")
    return url


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"a network such as 10.0.0.0/8 is allowed ({error})") from None


def _database(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("sqlite:///PATH or postgresql://USER@HOST/NAME is allowed")
    return url


BaseUrl = Annotated[str, AfterValidator(_base_url)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Network = Annotated[str, AfterValidator(_network)]
Zone = Annotated[str, AfterValidator(_zone)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Section(BaseModel):
    """A section: no unknown keys, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
