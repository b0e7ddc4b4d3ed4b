"""What an embed shows and how: the parameters of `/embed/frame` and `/embed/fragment`, in one normal form. Pure.

Rules, in order:

1. A filter's keys say which releases (`domain.filters`); `limit`, `layout`, `theme`, `heading` and `images` say how.
   Any other key is refused by name: a typing error must not silently show everything.
2. Equal wishes have one text: the canonical filter first, then what is not usual, in a fixed order.
3. Without `lang` it is the site's first language: an embed is the same for every visitor of a partner's page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from syndicator.domain.filters import BadFilter, Filter, canonical
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.web.asked import asked_filter

__all__ = ["FILTER_KEYS", "LAYOUTS", "MOST", "PAGE", "THEMES", "Wanted", "read"]

FILTER_KEYS = ("lang", "topic", "not", "kind", "q")
LAYOUTS = ("compact", "full", "cards")
THEMES = ("auto", "light", "dark")
PAGE = "page"
"""The element's own theme: the colours of the page around it. A frame has none such."""
MOST = 20
USUAL = 5
LONGEST_HEADING = 120
_SHOWING = ("limit", "layout", "theme", "heading", "images")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One embed. `filter` names at least one language; `limit` is 1 to 20."""

    filter: Filter
    limit: int = USUAL
    layout: str = LAYOUTS[0]
    theme: str = THEMES[0]
    heading: str = ""
    images: bool = False

    @property
    def lang(self) -> str:
        """The language that the embed itself speaks."""
        return self.filter.langs[0]

    @property
    def query(self) -> str:
        """The one text of it."""
        usual = Wanted(self.filter)
        more = [
            (name, "1" if value is True else str(value))
            for name in _SHOWING
            if (value := getattr(self, name)) != getattr(usual, name)
        ]
        return "&".join(filter(None, (canonical(self.filter), urlencode(more))))


def read(query: Sequence[tuple[str, str]], languages: Sequence[str], taxonomy: Taxonomy) -> Wanted:
    """The parameters of an address; `languages` are those that the site has, its default one first.

    A topic that was renamed is known by its old slug, too: partners' pages keep an address for years.

    Raises:
        BadFilter: one line that says which parameter is wrong and what is allowed.
    """
    asked = [(name.strip().lower(), value) for name, value in query]
    unknown = next((name for name, _ in asked if name not in (*FILTER_KEYS, *_SHOWING)), None)
    if unknown is not None:
        allowed = ", ".join((*FILTER_KEYS, *_SHOWING))
        raise BadFilter(f"embed: unknown parameter {unknown[:40]!r}; allowed are {allowed}")
    wanted = asked_filter([(name, value) for name, value in asked if name in FILTER_KEYS], taxonomy, languages)
    if not wanted.langs:
        wanted = replace(wanted, langs=(languages[0],))
    last = dict(asked)
    return Wanted(
        wanted,
        _limit(last),
        _one_of("layout", last, LAYOUTS),
        _one_of("theme", last, THEMES),
        one_line(last.get("heading", ""))[:LONGEST_HEADING],
        _one_of("images", last, ("0", "1", "")) == "1",
    )


def _limit(asked: Mapping[str, str]) -> int:
    given = asked.get("limit", "").strip() or str(USUAL)
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= MOST):
        raise BadFilter(f"limit: {given[:40]!r} is no number from 1 to {MOST}")
    return int(given)


def _one_of(name: str, asked: Mapping[str, str], allowed: Sequence[str]) -> str:
    given = asked.get(name, "").strip().lower() or allowed[0]
    if given not in allowed:
        raise BadFilter(f"{name}: {given[:40]!r} is unknown; allowed are {', '.join(filter(None, allowed))}")
    return given
