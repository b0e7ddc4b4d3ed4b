"""Markup: a source's body becomes the small safe subset of HTML, once, at intake.

Rules, in order:

1. Text and Markdown become HTML first (raw HTML in Markdown is shown, not obeyed). The result then takes HTML's way.
2. Every tag is renamed to what it means here, or loses its name, and nesting deeper than `DEEPEST` does too, before
   a parser sees it. Formatting tags get names of our own, so that the parser neither reopens nor multiplies them.
   So hostile nesting costs linear time.
3. nh3 parses as browsers do and keeps the subset. Links are http, https, mailto and tel, made absolute, or text.
4. `layout` puts the blocks in order: paragraphs round loose text, no empty or impossible nesting.
5. nh3 has the last word, with the real names.

The result is valid HTML5 and, inside one element, well-formed XML too (`<br/>`, no named entities but the five).
Cleaning twice changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from urllib.parse import urljoin, urlsplit

import nh3
from markdown_it import MarkdownIt

from syndicator.domain.characters import strip_illegal
from syndicator.domain.layout import lay_out
from syndicator.domain.model import BodyFormat

__all__ = ["BODY_LIMIT", "SUBSET", "TooLong", "clean"]

# A press release has some 5,000 characters, a law in full some 300,000. Beyond a million it is a mistake or an attack,
# and every copy of it (page, feed, mail, search index) would pay for it.
BODY_LIMIT = 1_000_000
DEEPEST = 60
LONGEST_LINK = 2048

_SUBSET = "p br h2 h3 h4 ul ol li blockquote a strong em table thead tbody tr th td code pre hr sub sup"
SUBSET = frozenset(_SUBSET.split())
_SPANS = {"colspan", "rowspan"}
_ATTRIBUTES = {"a": {"href"}, "td": _SPANS, "th": _SPANS}
_SCHEMES = {"http", "https", "mailto", "tel"}

# Their content is no text for readers; the parser must see them under their own names.
_UNREAD = "script style iframe noembed noframes textarea title noscript template svg math object select audio video"
_DROPPED = frozenset(_UNREAD.split())
_BLOCKS = (
    "div section article main aside header footer nav address center figure figcaption caption details summary dl dt "
    "dd form fieldset legend hgroup"
)
_MEANING = (
    {name: name for name in SUBSET | _DROPPED}
    | dict.fromkeys(_BLOCKS.split(), "p")
    | {"h1": "h2", "h5": "h4", "h6": "h4", "tfoot": "tbody", "menu": "ul", "dir": "ul", "xmp": "pre", "listing": "pre"}
    | dict.fromkeys(("strong", "b"), "x-strong")
    | dict.fromkeys(("em", "i", "cite"), "x-em")
    | dict.fromkeys(("code", "tt", "kbd", "samp"), "x-code")
    | {"a": "x-a"}
)
_NAMELESS = "wbr"  # never nests, takes any attribute, and is not in the subset
_FLAT = frozenset({"p", "li", "br", "hr", "tr", "td", "th", "thead", "tbody"})  # the parser closes these by itself
_FIRST_TAGS = {_MEANING[name] for name in SUBSET}
_FIRST_ATTRIBUTES = {"x-a": {"href"}, "td": _SPANS, "th": _SPANS}
_ENTITIES = re.compile("(?:&[^<&]*){2000}")
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_ADDRESS = re.compile(r"https?://[^\s<>\"'«»“”]+", re.IGNORECASE)
_WRAPPED = 60
_BROKEN_LINE = re.compile(r"[\t\n\r]")  # inside an address, browsers pass over these
_UNSAFE = re.compile(r"[\s\"'<>\\^`{|}]")


class TooLong(ValueError):
    """A body beyond `BODY_LIMIT`; the message says how long it is."""


def clean(body: str, body_format: BodyFormat, base_url: str = "") -> str:
    """The body in the safe subset; relative links are taken from `base_url`, or become text without one.

    Raises:
        TooLong: the body is longer than `BODY_LIMIT` characters.
    """
    if len(body) > BODY_LIMIT:
        raise TooLong(f"the body has {len(body):,} characters; at most {BODY_LIMIT:,} are taken")
    source = strip_illegal(body)
    if body_format is BodyFormat.TEXT:
        source = _from_text(source)
    elif body_format is BodyFormat.MARKDOWN:
        source = _MARKDOWN.render(source)
    return _sanitise(source, base_url)


def _sanitise(source: str, base_url: str) -> str:
    def attribute(_tag: str, name: str, value: str) -> str | None:
        return _link(value, base_url) if name == "href" else _span(value)

    parsed = nh3.clean(
        _in_portions(_rename(source)),
        tags=_FIRST_TAGS,
        clean_content_tags=set(_DROPPED),
        attributes=_FIRST_ATTRIBUTES,
        attribute_filter=attribute,
        link_rel=None,
    )
    ordered = lay_out(strip_illegal(parsed.replace("&nbsp;", "\u00a0")))
    safe = _last_word(_in_portions(ordered))
    # In serialised HTML these can be nothing but what they seem: text and attributes have their "<" and "&" escaped.
    return safe.replace("&nbsp;", "\u00a0").replace("<br>", "<br/>").replace("<hr>", "<hr/>")


def _last_word(html: str) -> str:
    return nh3.clean(html, tags=set(SUBSET), attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=None)


def _rename(source: str) -> str:
    """Every tag under its meaning; what has none, or lies too deep, under a name that is dropped."""
    opened: Counter[str] = Counter()

    def renamed(tag: re.Match[str]) -> str:
        closing, name = tag[1], _MEANING.get(tag[2].lower(), _NAMELESS)
        if name in _FLAT or name == _NAMELESS:
            return f"<{closing}{name}"
        if closing:
            opened[name] -= 1 if opened[name] > 0 else 0
        elif opened.total() >= DEEPEST:
            return f"<{_NAMELESS}"
        else:
            opened[name] += 1
        return f"<{closing}{name}"

    return _TAG.sub(renamed, source)


def _in_portions(html: str) -> str:
    """The parser joins the entities of one text at quadratic cost; a tag that it drops ends a text now and then."""
    return _ENTITIES.sub(rf"\g<0><{_NAMELESS}>", html)


def _link(value: str, base_url: str) -> str | None:
    """An absolute address with nothing in it that could end an attribute, or None."""
    address = _UNSAFE.sub(_percent, _BROKEN_LINE.sub("", strip_illegal(value)).strip())
    try:
        parts = urlsplit(address)
        if not parts.scheme and base_url:
            address = urljoin(base_url, address)
            parts = urlsplit(address)
        host = parts.hostname
    except ValueError:  # a broken IPv6 address, a base that is none
        return None
    if parts.scheme not in _SCHEMES or len(address) > LONGEST_LINK:
        return None
    whole = host if parts.scheme.startswith("http") else parts.path
    return address if whole and _stands(address) else None


def _stands(address: str) -> bool:
    """Whether the last word will let the address be; what it refuses must be text before the layout is made."""
    return "href" in _last_word(f'<a href="{escape(address)}">x</a>')


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _span(value: str) -> str | None:
    return value if re.fullmatch("[1-9][0-9]?", value) and value != "1" else None


def _from_text(text: str) -> str:
    """Paragraphs at blank lines. A line end inside one is kept, unless all lines are full: then somebody wrapped it."""
    return "".join(f"<p>{_paragraph(part)}</p>" for part in _BLANK_LINES.split(text.strip()))


def _paragraph(part: str) -> str:
    lines = [line.strip() for line in part.split("\n")]
    wrapped = len(lines) > 2 and all(len(line) >= _WRAPPED for line in lines[:-1])
    return (" " if wrapped else "<br>").join(map(_linked, lines))


def _linked(line: str) -> str:
    """Escaped, with bare web addresses as links; the sentence's own punctuation stays outside."""
    pieces, last = [], 0
    for found in _ADDRESS.finditer(line):
        address = found[0].rstrip(".,;:!?…)]")
        pieces += [escape(line[last : found.start()]), f'<a href="{escape(address)}">{escape(address)}</a>']
        last = found.start() + len(address)
    return "".join([*pieces, escape(line[last:])])
