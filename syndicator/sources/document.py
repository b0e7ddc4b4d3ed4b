"""One document of a folder: bytes become a title, a body and checked values, or one clear line. No I/O.

Rules, in order:

1. UTF-8 only, with or without a byte order mark. Other encodings are not guessed: a wrong guess would be published.
2. Front matter first (`heading`), its values checked (`fields`), then the foot is taken off (`footer`).
3. Without a title in the front matter: a text's first line, Markdown's first line (a heading or not), HTML's <title>
   or first <h1>. A heading that only repeats the title is not shown twice.
4. A document needs a title, and a text under it: a body, a summary or a link; a withdrawal needs no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from markdown_it import MarkdownIt

from syndicator.domain.model import BodyFormat, State
from syndicator.domain.text import BODY_LIMIT, one_line
from syndicator.sources.fields import LENGTHS, BadField, Fields, read_fields
from syndicator.sources.footer import Footer, plain
from syndicator.sources.heading import BadDocument, split_heading

__all__ = ["FILE_LIMIT", "FORMATS", "BadDocument", "Document", "Name", "decode", "parse", "split_name"]

FILE_LIMIT = 2 * BODY_LIMIT + 100_000  # bytes: Cyrillic letters take two
FORMATS = {".txt": BodyFormat.TEXT, ".md": BodyFormat.MARKDOWN, ".html": BodyFormat.HTML}
TITLE_LIMIT = LENGTHS["title"]

_LANGUAGE = re.compile(r"[a-z]{2}")
_ATX = re.compile(r"#{1,6}\s+(.*?)\s*#*")
_UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*")
_INLINE = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class Name:
    """NAME[.LANG].EXT taken apart; `lang` is "" where the name does not tell."""

    stem: str
    lang: str
    body_format: BodyFormat


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says. `fields` has its title and rights filled in; `lines` tells where each key stands."""

    fields: Fields
    body: str
    lines: dict[str, int]

    def at(self, key: str) -> str:
        """Words such as "line 4: " to put before a sentence about a key; "" where the key was not written."""
        return f"line {self.lines[key]}: " if key in self.lines else ""


def split_name(path: str, languages: tuple[str, ...]) -> Name:
    """A path relative to the folder, with one of the suffixes of `FORMATS`.

    Raises:
        BadDocument: the name claims a language that is not one of the site's.
    """
    pure = PurePosixPath(path)
    body_format = FORMATS[pure.suffix.lower()]
    stem, lang = pure.with_suffix("").as_posix(), pure.with_suffix("").suffix.lower().removeprefix(".")
    if lang in languages:
        return Name(stem[: -len(lang) - 1], lang, body_format)
    if _LANGUAGE.fullmatch(lang):
        raise BadDocument(f"the file name says language {lang}; allowed are {', '.join(languages)}")
    return Name(stem, "", body_format)


def decode(data: bytes) -> str:
    r"""The text with "\n" at its line ends.

    Raises:
        BadDocument: it is empty, not UTF-8, or not a text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadDocument("the file is UTF-16; save it as UTF-8")
    if b"\0" in data:
        raise BadDocument("the file holds NUL bytes; it is not a text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadDocument(f"line {line}: not UTF-8; save the file as UTF-8 (encodings are not guessed)") from None
    if not text.strip():
        raise BadDocument("the file is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(text: str, body_format: BodyFormat, zone: ZoneInfo, footer: Footer) -> Document:
    """Read a decoded document.

    Raises:
        BadDocument: it cannot be taken; the line says why.
    """
    heading, content = split_heading(text)
    lines = dict(heading.lines)
    try:
        fields = read_fields(heading.values, zone)
    except BadField as error:
        where = f"line {lines[error.key]}: " if error.key in lines else ""
        raise BadDocument(f"{where}{error}") from None
    title, body, rights = _SPLIT[body_format](content, fields.title, footer)
    if not title:
        raise BadDocument("there is no title")
    if len(title) > TITLE_LIMIT:
        raise BadDocument(f"the first line is the title; it has {len(title):,} characters, at most {TITLE_LIMIT}")
    if len(body) > BODY_LIMIT:
        raise BadDocument(f"the body has {len(body):,} characters; at most {BODY_LIMIT:,} are taken")
    if not (body or fields.summary or fields.link or fields.state is State.WITHDRAWN):
        raise BadDocument("there is no text under the title")
    return Document(replace(fields, title=title, rights=fields.rights or rights), body, lines)


def _split_text(content: str, title: str, footer: Footer) -> tuple[str, str, str]:
    body, rights = footer.strip(content)
    first, rest = _first_line(body)
    if not title or one_line(first) == title:
        return title or one_line(first), rest.strip("\n"), rights
    return title, body.strip("\n"), rights


def _split_markdown(content: str, title: str, footer: Footer) -> tuple[str, str, str]:
    body, rights = footer.strip(content)
    first, rest = _first_line(body)
    found = _markdown_words(first)
    if title and found != title:
        return title, body.strip("\n"), rights
    underline, after = rest.split("\n", 1) if "\n" in rest else (rest, "")
    if first and _UNDERLINE.fullmatch(underline):
        rest = after
    return title or found, rest.strip("\n"), rights


def _markdown_words(line: str) -> str:
    """A line of Markdown without its marks."""
    heading = _ATX.fullmatch(line.strip())
    source = heading[1] if heading else line
    if len(source) > 4 * TITLE_LIMIT:
        return one_line(source)
    tokens = _INLINE.parseInline(source)[0].children or []
    return one_line("".join(" " if token.type.endswith("break") else token.content for token in tokens))


def _first_line(text: str) -> tuple[str, str]:
    """The first line that says something, and what follows."""
    first, _, rest = text.lstrip().partition("\n")
    return first, rest


def _split_html(content: str, title: str, footer: Footer) -> tuple[str, str, str]:
    page_title, content = _cut_out(content, "title")
    body = _page_body(content)
    heading, without = _cut_out(body, "h1")
    found = title or page_title or heading
    body, rights = footer.strip_html(without if heading == found else body)
    return found, body.strip(), rights


def _cut_out(content: str, tag: str) -> tuple[str, str]:
    """The words of the first such element, and the content without it."""
    opening = re.search(rf"<{tag}(?:\s[^<>]*)?>", content, re.IGNORECASE)
    closing = opening and re.compile(f"</{tag}[ \n\t]?>", re.IGNORECASE).search(content, opening.end())
    if not opening or not closing or closing.start() - opening.end() > 8 * TITLE_LIMIT:
        return "", content
    words = plain(content[opening.end() : closing.start()])
    return words, content[: opening.start()] + content[closing.end() :]


def _page_body(content: str) -> str:
    """What stands in <body>, where there is one; else everything after the head."""
    opening = re.search(r"<body(?:\s[^<>]*)?>", content, re.IGNORECASE) or re.search("</head>", content, re.IGNORECASE)
    start = opening.end() if opening else 0
    ends = [found.start() for found in re.finditer("</body>|</html>", content, re.IGNORECASE) if found.start() >= start]
    return content[start : ends[0]] if ends else content[start:]


_SPLIT = {BodyFormat.TEXT: _split_text, BodyFormat.MARKDOWN: _split_markdown, BodyFormat.HTML: _split_html}
