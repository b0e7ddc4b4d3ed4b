"""The page where a partner puts an embed together: choose, look, copy. It needs no script.

Rules, in order:

1. The choice stands in the page's address (a GET form), so that it can be kept, sent on and changed.
2. The preview is the frame itself, as partners' visitors would get it; beside it, the page's policy lets in only the
   site's own button that copies.
3. What cannot be used is said in the reader's language, beside its field; all that was filled in stays.
4. A choice that is not kept costs the visitor a turn (`web.turns`).
5. The colours of the page around it are the element's alone; a frame is light instead of them, in the preview too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import Markup
from multidict import MultiMapping

from feeds.embed.places import Places, frame_path, style_hash
from feeds.embed.scripts import FOLDER, Scripts
from feeds.embed.snippets import frame_height, snippets
from feeds.embed.wanted import FILTER_KEYS, LAYOUTS, LONGEST_HEADING, MOST, PAGE, THEMES, USUAL, Wanted
from syndicator.domain.filters import MAX_LENGTH, MAX_VALUES, BadFilter, Filter
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy, is_slug
from syndicator.i18n import Translator
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.web.asked import asked_filter
from syndicator.web.refusals import refusal
from syndicator.web.rendering import page
from syndicator.web.turns import no_turn
from syndicator.web.views import topic_tree
from syndicator.wording import kind_name

__all__ = ["Configurator"]

_ = str  # marks a text for the catalogues

PREVIEW = 640  # pixels of height; more than that scrolls

_LAYOUTS = {"compact": _("Titles and dates"), "full": _("With summaries"), "cards": _("Cards")}
_THEMES = {
    PAGE: _("Those of your page"),
    "auto": _("Light or dark, as the visitor's device"),
    "light": _("Light"),
    "dark": _("Dark"),
}
ASKED = FILTER_KEYS[1:]


@dataclass(frozen=True, slots=True)
class Configurator:
    """GET /{lang}/embed."""

    places: Places
    scripts: Scripts
    database: Database
    style: str = (FOLDER / "configurator.css").read_text("utf-8")

    async def show(self, request: web.Request) -> web.Response:
        """The form as it was filled in, and for a choice that holds, the preview and the lines to copy."""
        places, lang = self.places, request.match_info["lang"]
        site, t = places.site, places.texts(lang)
        wanted, errors = _chosen(request, lang, site.languages, places.taxonomy, t)
        now, shown = places.clock(), None
        if not errors:
            costs = bool(wanted.filter.words) or not places.showcase.holds(wanted)
            if costs and (refused := no_turn(request, now)):
                return refused
            items = await places.showcase.items(wanted, now)
            title = str(places.context(wanted)["title"])
            shown = snippets(wanted, items, self.scripts.newest, site, places.texts, title)
        async with self.database.reading() as session:
            kinds = await releases.kinds(session, now)
        filled = _filled(request.query, places.taxonomy)
        response = page(
            request,
            "embed/configurator.html",
            lang,
            status=400 if errors else 200,
            cache="no-cache" if errors else "public, max-age=60",
            paths={code: f"/{code}/embed" for code in site.languages},
            style=Markup(self.style),  # noqa: S704  # our own file
            wanted=wanted,
            filled=filled,
            errors=errors,
            topics=topic_tree(places.taxonomy, t),
            kinds=[(kind, kind_name(kind, t)) for kind in sorted({*kinds, *filled.kinds})],
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


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form's fields of a filter, as it was sent: kept even where it makes none."""

    topics: Sequence[str]
    without: Sequence[str]
    kinds: Sequence[str]
    words: str


def _filled(asked: MultiMapping[str], taxonomy: Taxonomy) -> Filled:
    sent = {name: [value[:MAX_LENGTH] for value in asked.getall(name, ())] for name in ASKED}
    split = {name: [part.strip().lower() for value in sent[name] for part in value.split(",")] for name in ASKED}
    topics, without = ([*map(taxonomy.current, split[name])] for name in ("topic", "not"))
    kinds = [kind for kind in split["kind"] if is_slug(kind)][:MAX_VALUES]
    return Filled(topics, without, kinds, " ".join(sent["q"]))


def _chosen(
    request: web.Request, lang: str, languages: tuple[str, ...], taxonomy: Taxonomy, t: Translator
) -> tuple[Wanted, dict[str, str]]:
    """What the form says, and what is wrong with it by field (`form`: with the whole).

    A wrong number or layout, which the form cannot send, is the usual one.
    """
    asked = request.query
    order = [code for code in asked.get("lang", "").split(",") if code in languages]
    language = asked.get("language", order[0] if order else lang)
    langs = tuple(dict.fromkeys((language if language in languages else lang, *order)))
    wanted = Wanted(
        Filter(langs=langs),
        limit=_number(asked),
        layout=asked.get("layout", "") if asked.get("layout") in LAYOUTS else LAYOUTS[0],
        theme=asked.get("theme", "") if asked.get("theme") in THEMES else PAGE,
        heading=one_line(asked.get("heading", ""))[:LONGEST_HEADING],
        images=asked.get("images") == "1",
    )
    try:
        fields = [(name, value) for name in ASKED for value in asked.getall(name, ())]
        return replace(wanted, filter=replace(asked_filter(fields, taxonomy), langs=langs)), {}
    except BadFilter as error:
        key = str(error).partition(":")[0]
        return wanted, {key if key in ASKED else "form": refusal(error, t)}


def _number(asked: Mapping[str, str]) -> int:
    given = asked.get("limit", "")
    return min(MOST, max(1, int(given))) if given.isascii() and given.isdigit() and len(given) < 4 else USUAL
