"""The lines that a partner copies into their page: pure text, from one wish and what it shows now.

Rules, in order:

1. The element holds real links, as they are now: they stand without a script, and until the feed has come. What is
   withdrawn is not handed out: those links would stand on the partner's page for ever.
2. The script is named by version and digest, so that nobody, we included, can change what runs on the partner's page.
3. Everything is escaped here; nothing in a snippet is inline script or style, which a strict policy would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from feeds.embed.places import fragment_path, frame_path, more_address
from feeds.embed.scripts import Script
from feeds.embed.showing import Item
from feeds.embed.wanted import LAYOUTS, PAGE, Wanted
from syndicator.domain.filters import Filter, canonical
from syndicator.domain.site import Site
from syndicator.domain.text import excerpt
from syndicator.i18n import Texts

__all__ = ["Snippets", "frame_height", "snippets"]

_ROW = {"compact": 84, "full": 150, "cards": 210}  # pixels of a row in a narrow column, by layout
_PICTURE, _AROUND = 170, 110


@dataclass(frozen=True, slots=True)
class Snippets:
    """What stands on the configurator's page. `policy` is what a partner's Content-Security-Policy must name."""

    component: str
    frame: str
    ssi: str
    esi: str
    policy: str


def frame_height(wanted: Wanted) -> int:
    """Pixels in which most embeds of that kind fit; a longer one scrolls in its frame."""
    row = _ROW[wanted.layout] + (_PICTURE if wanted.images else 0)
    return min(900, _AROUND + row * wanted.limit)


def snippets(wanted: Wanted, items: Sequence[Item], script: Script, site: Site, texts: Texts, title: str) -> Snippets:
    """All ways to show that wish."""
    frame, fragment = site.absolute(frame_path(wanted)), site.absolute(fragment_path(wanted))
    return Snippets(
        component=_component(wanted, items, script, site, texts),
        frame=(
            f'<iframe src="{escape(frame)}" title="{escape(wanted.heading or title)}" width="100%" '
            f'height="{frame_height(wanted)}" frameborder="0" loading="lazy"\n'
            '  sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>'
        ),
        # nginx and Apache include what lies on their own host: the partner passes this path on to ours.
        # Nothing in the path needs escaping, and servers do not undo it there.
        ssi=f'<!--#include virtual="/press{fragment_path(wanted)}" -->',
        esi=f'<esi:include src="{escape(fragment)}" onerror="continue"/>',
        policy=f"Content-Security-Policy: default-src 'self' {site.base_url}",
    )


def _component(wanted: Wanted, items: Sequence[Item], script: Script, site: Site, texts: Texts) -> str:
    t = texts(wanted.lang)
    attributes = "".join(
        f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in _attributes(wanted, site)
    )
    rows = [
        f'    <li><a href="{escape(item.href)}" hreflang="{item.lang}">{escape(excerpt(item.title, 160))}</a>\n'
        f'      <time datetime="{item.published.isoformat()}">{escape(t.date(item.published, site.zone))}</time></li>'
        for item in items
        if not item.withdrawn
    ]
    if not rows:
        rows = [f'    <li><a href="{escape(more_address(wanted.filter, site))}">{escape(t("All releases"))}</a></li>']
    listed = "\n".join(rows)
    source = escape(site.embed_script(script.version))
    return (
        f"<press-feed{attributes}>\n  <ul>\n{listed}\n  </ul>\n</press-feed>\n"
        f'<script src="{source}" integrity="{script.integrity}"\n  crossorigin="anonymous" defer></script>'
    )


def _attributes(wanted: Wanted, site: Site) -> Iterator[tuple[str, str | None]]:
    """The element's attributes in order; None is one without a value."""
    chosen, topics = wanted.filter, wanted.filter.topics
    yield "lang", wanted.lang
    if chosen == Filter(langs=(wanted.lang,), topics=topics) and len(topics) < 2:
        yield from (("topic", slug) for slug in topics)
    else:
        yield "filter", canonical(chosen)
    yield "limit", str(wanted.limit)
    if wanted.layout != LAYOUTS[0]:
        yield "layout", wanted.layout
    if wanted.theme != PAGE:  # without one the element takes on the colours of the page
        yield "theme", wanted.theme
    if wanted.heading:
        yield "heading", wanted.heading
    if wanted.images:
        yield "images", None
    yield "time-zone", site.timezone
