"""The foot of a page that came along with a text: a copyright line, a line of links, whatever else the office names.

Rules, in order:

1. Lines go from the end upwards and only while each of them is boilerplate; the first real line stops it. The same
   words inside the text stay.
2. A copyright line (the source's `rights` pattern) becomes the text's rights.
3. A line of links is two short parts or more between bars, without digits or addresses, at least one of which says
   terms, privacy, cookies, site map or rights reserved, in az, en, ru or tr. A table's last row is not one.
4. A line drawn above the foot goes with it. Long lines are never boilerplate.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import nh3

from syndicator.domain.text import one_line

__all__ = ["RIGHTS", "Footer", "plain"]

RIGHTS = r"^(©|\(c\)|copyright\b)"
LONGEST = 300  # characters of a line that may be boilerplate
LONGEST_LINK = 50
MOST_BLOCKS = 40  # of HTML that are looked at from the end

_BARS = re.compile(r"\s*[|•·]\s*")
_RULE = re.compile(r"(?:[-_*=–—]\s?){3,}")
_LINKS = re.compile(
    r"(terms|privacy|cookies?|site ?map|all rights reserved"
    r"|istifadə şərtləri|məxfilik|saytın xəritəsi|bütün hüquqlar"
    r"|условия|пользовательское соглашение|конфиденциальност|политика конфиденциальности|карта сайта|все права защищены"
    r"|kullanım şartları|gizlilik|tüm hakları)",
    re.IGNORECASE,
)
_CONTACT = re.compile(r"[\d:@]")  # a line that says whom to call is news, not furniture
_RESERVED = re.compile(
    r"(all rights reserved|bütün hüquqlar(ı)? qorunur|все права защищены|tüm hakları saklıdır)\W*", re.IGNORECASE
)
_BLOCK = re.compile(r"<(?:p|div|footer|small|hr|center|section|address)\b|<br\b", re.IGNORECASE)
_LINE_BREAK = re.compile(r"<br\b[^>]{0,20}>|</(?:p|div|footer|li|small)\s*>", re.IGNORECASE)
_KEPT = re.compile(r"<(?:img|table|iframe|video)\b", re.IGNORECASE)


def plain(fragment: str) -> str:
    """The words of a piece of HTML on one line."""
    return one_line(html.unescape(nh3.clean(fragment, tags=set())))


class Footer:
    """Knows boilerplate when it sees it. `rights` and `patterns` are regular expressions, tried on each line alone.

    Raises:
        ValueError: an expression cannot be read; the line names it.
    """

    def __init__(self, rights: str = RIGHTS, patterns: Sequence[str] = ()) -> None:
        self._rights = _compiled("rights", rights)
        self._patterns = tuple(_compiled("boilerplate", pattern) for pattern in patterns)

    def strip(self, text: str) -> tuple[str, str]:
        """The text without its foot, and the rights it stated ("" if none)."""
        lines = text.rstrip().split("\n")
        rights: list[str] = []
        end = len(lines)
        while end:
            line = _bare(lines[end - 1])
            if line and not self._drops(line, rights) and not (end < len(lines) and _RULE.fullmatch(line)):
                break
            end -= 1
        return "\n".join(lines[:end]).rstrip(), " ".join(reversed(rights))

    def strip_html(self, body: str) -> tuple[str, str]:
        """The same for HTML: the last blocks go while all their words are boilerplate."""
        rights: list[str] = []
        cut = False
        body = body.rstrip()
        starts = [found.start() for found in _BLOCK.finditer(body, max(0, len(body) - 20 * LONGEST))]
        for start in reversed(starts[-MOST_BLOCKS:]):
            tail = body[start:]
            lines = [line for part in _LINE_BREAK.split(tail) if (line := plain(part))]
            found: list[str] = []
            if _KEPT.search(tail) or not all(self._drops(line, found) for line in reversed(lines)):
                break
            if lines or cut:
                body, rights, cut = body[:start].rstrip(), rights + found, True
        return body, " ".join(reversed(rights))

    def _drops(self, line: str, rights: list[str]) -> bool:
        """Whether a line is boilerplate; a copyright line is put aside."""
        if len(line) > LONGEST:
            return False
        if self._rights.search(line):
            first, *rest = _BARS.split(line)
            rights.append(first if any(map(_LINKS.match, rest)) else line)
            return True
        return _is_links(line) or any(pattern.search(line) for pattern in self._patterns)


def _is_links(line: str) -> bool:
    if _RESERVED.fullmatch(line):
        return True
    parts = _BARS.split(line)
    if len(parts) < 2 or not parts[0] or max(map(len, parts)) > LONGEST_LINK or _CONTACT.search(line):
        return False
    return any(_LINKS.match(part) for part in parts)


def _bare(line: str) -> str:
    """A line as it reads: without entities, and without Markdown's emphasis around it."""
    text = one_line(html.unescape(line))
    return text if _RULE.fullmatch(text) else text.strip("*_ ")


def _compiled(key: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{key}: {pattern!r} is not a regular expression: {error}") from None
