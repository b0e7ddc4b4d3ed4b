"""Characters: what a text may hold, how it is cut, and its letters in each language.

Rules, in order:

1. What XML 1.0 cannot carry goes, and what turns the reading direction around it; every line end is a newline.
2. A title, a name, a subject is one line.
3. A cut falls between sentences, or between words, or at least never inside a character as people see it.
4. Azerbaijani has two letters i: İ is the capital of i, I of ı.
5. A slug is ASCII, so that an address survives mail, chat and print.
"""

from __future__ import annotations

import re
import unicodedata

from syndicator.domain.folding import fold

__all__ = ["excerpt", "lower", "one_line", "repeats_opening", "slugify", "strip_illegal", "upper", "upper_first"]

SLUG_LENGTH = 80
DOTTED = frozenset({"az", "tr"})

_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ILLEGAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff\u202a-\u202e\u2066-\u2069"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
# A sentence ends after a word of three letters or more ("Mr.", "V." do not count) and before a capital.
_SENTENCE_END = re.compile(r"(?<=[\w»”\")\]]{3})[.!?…]+[»”\")\]]*(?= +[«“\"(\[]?[^\W_a-zа-я])")
_LOOSE_END = " \t,;:–—-(«“\"'"

# After BGN/PCGN, without its apostrophes; `fold` has made ё of е and lower case of all.
_CYRILLIC = str.maketrans(
    dict(zip("абвгдезийклмнопрстуфыэіґ", "abvgdeziyklmnoprstufyeig", strict=True))
    | {
        "ж": "zh",
        "х": "kh",
        "ц": "ts",
        "ч": "ch",
        "ш": "sh",
        "щ": "shch",
        "ъ": "",
        "ь": "",
        "ю": "yu",
        "я": "ya",
        "є": "ye",
    }
)
_APOSTROPHES = re.compile("['’ʼ`]")


def strip_illegal(text: str) -> str:
    """The text without what XML 1.0 cannot carry: controls, surrogates, noncharacters; and no stray bidi controls."""
    return _ILLEGAL.sub("", _LINE_END.sub("\n", text))


def one_line(text: str) -> str:
    """For titles, subjects and names: legal, all white space runs one space, trimmed."""
    return " ".join(strip_illegal(text).split())


def excerpt(text: str, limit: int = 280) -> str:
    """The beginning of a text on one line, at most `limit` characters.

    Whole sentences where they fill at least half of it, otherwise whole words and "…".
    """
    line = one_line(text)
    if len(line) <= limit:
        return line
    if limit < 1:
        return ""
    ends = [
        found.end() for found in _SENTENCE_END.finditer(line, 0, limit + 2) if limit <= 2 * found.end() <= 2 * limit
    ]
    if ends:
        return line[: ends[-1]]
    space = line.rfind(" ", 0, limit)
    cut = space if 2 * space >= limit else _between_characters(line, limit - 1)
    return line[:cut].rstrip(_LOOSE_END) + "…"


def repeats_opening(summary: str, text: str) -> bool:
    """Whether a summary says only what the text opens with, as an `excerpt` of it does."""
    return one_line(text).startswith(one_line(summary).rstrip("…"))


def slugify(title: str) -> str:
    """A title as part of an address: ASCII words joined by "-", at most 80 characters; "" if it has no such letter."""
    words = re.findall("[a-z0-9]+", fold(_APOSTROPHES.sub("", title)).translate(_CYRILLIC))
    slug = "-".join(words)
    if len(slug) <= SLUG_LENGTH:
        return slug
    end = slug.rfind("-", 0, SLUG_LENGTH + 1)
    return slug[: end if end > 0 else SLUG_LENGTH]


def upper(text: str, lang: str) -> str:
    """Capitals as that language writes them."""
    return (text.replace("i", "İ") if lang in DOTTED else text).upper()


def lower(text: str, lang: str) -> str:
    """Small letters as that language writes them; İ never leaves a loose dot behind."""
    text = text.replace("İ", "i")
    return (text.replace("I", "ı") if lang in DOTTED else text).lower()


def upper_first(text: str, lang: str) -> str:
    """The text with a capital at its beginning and nothing else changed."""
    return upper(text[:1], lang) + text[1:]


def _between_characters(text: str, cut: int) -> int:
    """The last place at or before `cut` that is not inside a character; `cut` itself if there is none."""
    for place in range(cut, 0, -1):
        if not _joined(text, place):
            return place
    return cut


def _joined(text: str, place: int) -> bool:
    after, before = text[place], text[place - 1]
    if before == "\u200d" or after == "\u200d" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True  # skin tones; tags that spell a flag
    return _is_flag_half(after) and _flag_run(text, place) % 2 == 1


def _flag_run(text: str, place: int) -> int:
    """How many flag halves stand right before a place."""
    start = place
    while start and _is_flag_half(text[start - 1]):
        start -= 1
    return place - start


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
