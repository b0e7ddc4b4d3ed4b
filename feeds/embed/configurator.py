"""The page where a partner puts an embed together: choose, look, copy. It needs no script.

Rules, in order:

1. The choice stands in the page's address (a GET form), so that it can be kept, sent on and changed.
2. The preview is the frame itself, as partners' visitors would get it; beside it, the page's policy lets in only the
   site's own button that copies.
3. What cannot be used is said in the reader's language, with the form as it was filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import Markup

from feeds.embed.places import Places, frame_path, style_hash
from feeds.embed.scripts import FOLDER, Scripts
from feeds.embed.snippets import frame_height, snippets
from feeds.embed.wanted import FILTER_KEYS, LAYOUTS, LONGEST_HEADING, MOST, THEMES, USUAL, Wanted
from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.web.asked import asked_filter
from syndicator.web.refusals import refusal
from syndicator.web.rendering import page
from syndicator.web.views import topic_tree

__all__ = ["Configurator"]

_ = str  # marks a text for the catalogues

PREVIEW = 640  # pixels of height; more than that scrolls

_LAYOUTS = {"compact": _("Titles and dates"), "full": _("With summaries"), "cards": _("Cards")}
_THEMES = {"auto": _("Automatic"), "light": _("Light"), "dark": _("Dark")}


@dataclass(frozen=True, slots=True)
class Configurator:
    """GET /{lang}/embed."""

    places: Places
    scripts: Scripts
    style: str = (FOLDER / "configurator.css").read_text("utf-8")

    async def show(self, request: web.Request) -> web.Response:
        """The form as it was filled in, and for a choice that holds, the preview and the lines to copy."""
        places, lang = self.places, request.match_info["lang"]
        site, t = places.site, places.texts(lang)
        wanted, error = _chosen(request, lang, site.languages, places.taxonomy, t)
        shown = None
        if not error:
            items = await places.showcase.items(wanted, places.clock())
            title = str(places.context(wanted)["title"])
            shown = snippets(wanted, items, self.scripts.newest, site, places.texts, title)
        response = page(
            request,
            "embed/configurator.html",
            lang,
            status=400 if error else 200,
            cache="no-cache" if error else "public, max-age=60",
            paths={code: f"/{code}/embed" for code in site.languages},
            style=Markup(self.style),  # noqa: S704  # our own file
            wanted=wanted,
            words=" ".join(request.query.getall("q", ())),
            error=error,
            ticked=[
                places.taxonomy.current(s.strip()) for v in request.query.getall("topic", ()) for s in v.split(",")
            ],
            topics=topic_tree(places.taxonomy, t),
            languages=[(code, places.texts(code).language_name) for code in site.languages],
            layouts=[(name, t(said)) for name, said in _LAYOUTS.items()],
            themes=[(name, t(said)) for name, said in _THEMES.items()],
            most=MOST,
            longest_heading=LONGEST_HEADING,
            frame=frame_path(wanted),
            height=min(PREVIEW, frame_height(wanted)),
            snippets=shown,
            oembed=site.oembed,
            address=site.base_url,
        )
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; img-src 'self'; style-src 'self' {style_hash(self.style)}; "
            "frame-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response


def _chosen(
    request: web.Request, lang: str, languages: tuple[str, ...], taxonomy: Taxonomy, t: Translator
) -> tuple[Wanted, str]:
    """What the form says, and what is wrong with it; a wrong number or layout, which the form cannot send, is usual."""
    asked = request.query
    language = asked.get("language", asked.get("lang", "").partition(",")[0] or lang)
    language = language if language in languages else lang
    wanted = Wanted(
        Filter(langs=(language,)),
        limit=_number(asked),
        layout=asked.get("layout", "") if asked.get("layout") in LAYOUTS else LAYOUTS[0],
        theme=asked.get("theme", "") if asked.get("theme") in THEMES else THEMES[0],
        heading=one_line(asked.get("heading", ""))[:LONGEST_HEADING],
        images=asked.get("images") == "1",
    )
    try:
        fields = [(name, value) for name in FILTER_KEYS[1:] for value in asked.getall(name, ())]
        return replace(wanted, filter=replace(asked_filter(fields, taxonomy), langs=(language,))), ""
    except BadFilter as error:
        return wanted, refusal(error, t)


def _number(asked: Mapping[str, str]) -> int:
    given = asked.get("limit", "")
    return min(MOST, max(1, int(given))) if given.isascii() and given.isdigit() and len(given) < 4 else USUAL
