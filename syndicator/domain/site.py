"""The site as everyone names it: its address, its languages, its zone, and where each thing lives.

Rules, in order:

1. An address is built here and nowhere else, so that a page, a feed, a mail and a post always agree.
2. Permanent ids are tag URIs (RFC 4151) over the site's authority and the release's number; no address, title
   or date change ever moves one. They are minted once and stored: a release's whole, a feed's by its authority.
3. The authority is the host that the site had at its first start (`minted_under`), and never another: a move keeps
   every id. What a mail says of its sender goes by the host of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

__all__ = ["FEED_FORMATS", "Site"]

FEED_FORMATS = ("rss", "atom", "json")


@dataclass(frozen=True, slots=True)
class Site:
    """The public site. `base_url` has no trailing slash; `names` gives the office's name per language.

    `minted_under` is the authority kept in the database; where none is kept, ids are minted under the host.
    """

    base_url: str
    names: Mapping[str, str]
    languages: tuple[str, ...]
    default_language: str
    timezone: str
    minted_under: str = ""

    @property
    def host(self) -> str:
        """The host that the site answers at now."""
        return urlsplit(self.base_url).hostname or "localhost"

    @property
    def authority(self) -> str:
        """What tag URIs are minted under."""
        return self.minted_under or self.host

    @property
    def zone(self) -> ZoneInfo:
        """The office's time zone."""
        return ZoneInfo(self.timezone)

    def name(self, lang: str) -> str:
        """The office's name in that language, or in the default one."""
        return self.names.get(lang) or self.names.get(self.default_language) or self.host

    def absolute(self, path: str) -> str:
        """An absolute address; one that is absolute already stays as it is."""
        return path if path.startswith(("http://", "https://")) else self.base_url + path

    def home(self, lang: str) -> str:
        """The site's front page in a language."""
        return f"{self.base_url}/{lang}/"

    def release(self, lang: str, number: int, slug: str) -> str:
        """A release's page."""
        return f"{self.base_url}{self.release_path(lang, number, slug)}"

    @staticmethod
    def release_path(lang: str, number: int, slug: str) -> str:
        """A release's page, relative to the site."""
        return f"/{lang}/releases/{number}-{slug}" if slug else f"/{lang}/releases/{number}"

    def topic(self, lang: str, slug: str) -> str:
        """A topic's page."""
        return f"{self.base_url}/{lang}/topics/{slug}"

    @staticmethod
    def feed_path(lang: str, topic: str, fmt: str) -> str:
        """A feed, relative to the site; `topic` is a slug or `all`, `fmt` one of `FEED_FORMATS`."""
        return f"/feeds/{lang}/{topic}.{fmt}"

    @property
    def vocabulary(self) -> str:
        """The list of all topics for programs, which categories name as their scheme; it is of no language."""
        return f"{self.base_url}/feeds/topics.json"

    def feed(self, lang: str, topic: str, fmt: str) -> str:
        """A feed's own address."""
        return self.base_url + self.feed_path(lang, topic, fmt)

    @staticmethod
    def archive_path(lang: str, topic: str, month: str, fmt: str) -> str:
        """A month of a feed (RFC 5005 section 4), relative to the site; `month` is `YYYY-MM` in the office's zone."""
        return f"/feeds/{lang}/{topic}/{month}.{fmt}"

    def archive(self, lang: str, topic: str, month: str, fmt: str) -> str:
        """A month's own address."""
        return self.base_url + self.archive_path(lang, topic, month, fmt)

    @staticmethod
    def custom_feed_path(query: str, fmt: str) -> str:
        """A feed of any filter, relative to the site; `query` is the filter's canonical text, `fmt` may be `opml`."""
        return f"/feeds/custom.{fmt}?{query}"

    def custom_feed(self, query: str, fmt: str) -> str:
        """A custom feed's own address."""
        return self.base_url + self.custom_feed_path(query, fmt)

    def custom_page(self, lang: str, query: str) -> str:
        """The page for people that shows what a filter takes; `query` is the filter's canonical text."""
        return f"{self.base_url}/{lang}/feeds?{query}"

    @staticmethod
    def feed_list_path(lang: str = "") -> str:
        """The subscription list (OPML) of a language, relative to the site; without one, of all by language."""
        return f"/feeds/{lang or 'index'}.opml"

    @property
    def hub(self) -> str:
        """Our WebSub hub."""
        return f"{self.base_url}/hub"

    @staticmethod
    def feed_page_path(lang: str, topic: str) -> str:
        """The page that tells people of a feed, relative to the site; `topic` is a slug or `all`."""
        return f"/{lang}/feeds/{topic}"

    def embed_script(self, version: str) -> str:
        """The script of `<press-feed>`; what stands at an address never changes."""
        return f"{self.base_url}/embed-{version}.js"

    @property
    def oembed(self) -> str:
        """Where other sites ask how to show one of our pages."""
        return f"{self.base_url}/oembed"

    def subscribe(self, lang: str) -> str:
        """Where people sign up."""
        return f"{self.base_url}/{lang}/subscribe"

    def manage(self, token: str) -> str:
        """A subscriber's own page."""
        return f"{self.base_url}/manage/{token}"

    def confirm(self, token: str) -> str:
        """Where a double opt-in is confirmed."""
        return f"{self.base_url}/confirm/{token}"

    def address(self, token: str) -> str:
        """Where a new address says that it is theirs."""
        return f"{self.base_url}/address/{token}"

    def unsubscribe(self, token: str) -> str:
        """Where a subscription ends; one-click POST (RFC 8058) goes here too."""
        return f"{self.base_url}/unsubscribe/{token}"

    def release_uid(self, number: int, minted: datetime) -> str:
        """A language-neutral entry id."""
        return f"tag:{self.authority},{minted.year}:release:{number}"

    def variant_uid(self, number: int, lang: str, minted: datetime) -> str:
        """An entry id of one language version."""
        return f"tag:{self.authority},{minted.year}:release:{lang}:{number}"

    def custom_uid(self, query: str) -> str:
        """A custom feed's id; `query` is the filter's canonical text, in the slugs that its topics had first."""
        return f"tag:{self.authority},2026:feed:custom:{query}"

    def feed_uid(self, lang: str, topic: str) -> str:
        """A feed's own id, whatever becomes of its address or of the whole site's; `topic` is the first slug it had."""
        return f"tag:{self.authority},2026:feed:{lang}:{topic}"
