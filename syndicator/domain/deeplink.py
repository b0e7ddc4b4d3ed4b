"""Links that open the bot with a choice: a topic, or a whole filter. Pure.

The pages that show such links and the bot that hears them agree through this. Rules, in order:

1. What follows `start=` is of A-Za-z0-9_- (https://core.telegram.org/bots/features#deep-linking, which allows 64 of
   them). We use at most `MAX_PAYLOAD`, since the same text waits in the callback data of the buttons that ask for the
   language, which have 64 bytes for all they say.
2. A single topic is named by its slug, a long one by a digest of it.
3. Anything else begins with the letter of its form, which no slug does, and goes on as base64url of its fields. A field
   is one octet (three bits say which, five how long) and its content: topics by three octets of a digest each, words,
   kinds and languages as text.
4. A filter that does not fit is carried as far as it does: languages go first, then words (one that no link could hold,
   then the shortest: long words say most), then kinds, what is refused, and topics from the last one. The link says
   whether all of it fitted.
5. A payload is written by strangers. What cannot be read, or what names no topic that there is, is None; a topic that
   has left the file is left out, but never so that less is asked for than was: where no wanted topic is left, None.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.folding import unescape

__all__ = ["MAX_PAYLOAD", "BotLink", "bot_link", "filter_of", "payload_of", "topic_key"]

MAX_PAYLOAD = 50

_LONG = 40
_FORM = "A"
_OCTETS = (MAX_PAYLOAD - len(_FORM)) * 6 // 8
_DIGEST = 3
_LONGEST = 31
_TOPICS, _WITHOUT, _KINDS, _LANGS, _WORDS, _CYRILLIC = range(6)
_CODE_PAGE = "cp1251"  # one octet for each letter of Russian, where UTF-8 takes two
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class BotLink:
    """An address that opens the bot, "" where there is none; `carried` is what of the filter it brings along."""

    address: str
    carried: Filter
    whole: bool = True

    def __bool__(self) -> bool:
        return bool(self.address)


def topic_key(slug: str) -> str:
    """A topic's short name in callback data and deep links."""
    return slug if len(slug) <= _LONG else sha256(slug.encode()).hexdigest()[:_LONG]


def bot_link(name: str, wanted: Filter | None = None) -> BotLink:
    """What opens the bot of that name with that filter; without one, or with the one that takes all, just opens it."""
    wanted = wanted or Filter()
    carried, payload = payload_of(wanted)
    address = f"https://t.me/{name}" if name else ""
    return BotLink(f"{address}?start={payload}" if address and payload else address, carried, carried == wanted)


def payload_of(wanted: Filter) -> tuple[Filter, str]:
    """As much of a filter as fits, and the text that stands for it; "" for the filter that takes all."""
    for smaller in _ever_less(wanted):
        if smaller == Filter():
            break
        if smaller == Filter(topics=smaller.topics[:1]):
            return smaller, topic_key(smaller.topics[0])
        packed = _packed(smaller)
        if packed is not None and len(packed) <= _OCTETS:
            return smaller, _FORM + urlsafe_b64encode(packed).decode().rstrip("=")
    return Filter(), ""


def filter_of(payload: str, slugs: Mapping[str, str], languages: Collection[str]) -> Filter | None:
    """The filter that a payload stands for, with those of its topics and languages that there are; else None.

    `slugs` leads from every slug that a topic has, or had once, to the one it has now.
    """
    if not _PAYLOAD.fullmatch(payload):
        return None
    if not payload.startswith(_FORM):
        named = {topic_key(slug): now for slug, now in slugs.items()}.get(payload)
        return Filter(topics=(named,)) if named else None
    try:
        packed = urlsafe_b64decode(payload[1:] + "=" * (-len(payload[1:]) % 4))
        return _unpacked(packed, _by_digest(slugs), languages)
    except (BadFilter, ValueError, IndexError):
        return None


def _ever_less(wanted: Filter) -> Iterator[Filter]:
    """The filter, and what is left of it as one thing after the other goes."""
    yield wanted
    for field in ("langs", "words", "kinds", "without", "topics"):
        while values := getattr(wanted, field):
            least = values[-1] if field == "topics" else min(reversed(values), key=_weight)
            kept = [one for one in values if one != least] if field in ("words", "topics") else ()
            wanted = replace(wanted, **{field: tuple(kept)})
            yield wanted


def _weight(word: str) -> tuple[bool, int]:
    """How much would be lost without it: nothing, where no link could hold it."""
    octets = sum(map(len, _written(unescape(word))))
    return octets <= _LONGEST, octets


def _packed(wanted: Filter) -> bytes | None:
    """The fields in a row; None where one is too long to say how long it is."""
    plain, cyrillic = _written(" ".join(map(unescape, wanted.words)))
    fields = (
        (_TOPICS, b"".join(map(_digest, wanted.topics))),
        (_WITHOUT, b"".join(map(_digest, wanted.without))),
        (_KINDS, ",".join(wanted.kinds).encode()),
        (_LANGS, ",".join(wanted.langs).encode()),
        (_WORDS, plain),
        (_CYRILLIC, cyrillic),
    )
    if any(_size(kind, content) > _LONGEST for kind, content in fields):
        return None
    return b"".join(bytes([kind << 5 | _size(kind, content)]) + content for kind, content in fields if content)


def _unpacked(packed: bytes, topics: Mapping[bytes, str], languages: Collection[str]) -> Filter:
    """The filter again.

    Raises:
        BadFilter: its words or kinds are none.
        IndexError: it ends in the middle of a field.
        ValueError: it cannot be read, or nothing of what was wanted is left.
    """
    found = dict(_fields(packed))
    wanted, refused = (_slugs(found.get(kind, b""), topics) for kind in (_TOPICS, _WITHOUT))
    langs = [lang for lang in _text(found, _LANGS).split(",") if lang in languages]
    words = (*_text(found, _WORDS).split(" "), *_text(found, _CYRILLIC, _CODE_PAGE).split(" "))
    read = Filter(
        langs=tuple(langs),
        topics=wanted,
        without=refused,
        kinds=tuple(_text(found, _KINDS).split(",")),
        words=words,
    )
    if (_TOPICS in found and not read.topics) or read == Filter():
        raise ValueError("nothing is left of it")
    return read


def _fields(packed: bytes) -> Iterator[tuple[int, bytes]]:
    """Each field of a row, in the order of their kinds, each once, none empty."""
    at, last = 0, -1
    while at < len(packed):
        kind, size = packed[at] >> 5, packed[at] & _LONGEST
        length = size * _DIGEST if kind in (_TOPICS, _WITHOUT) else size
        content = packed[at + 1 : at + 1 + length]
        if kind <= last or kind > _CYRILLIC or not length or len(content) < length:
            raise ValueError("it is not written as a filter is")
        yield kind, content
        at, last = at + 1 + length, kind


def _size(kind: int, content: bytes) -> int:
    return len(content) // _DIGEST if kind in (_TOPICS, _WITHOUT) else len(content)


def _written(words: str) -> tuple[bytes, bytes]:
    """The words as UTF-8, or as Cyrillic where that is shorter: one of the two is empty."""
    plain = words.encode()
    try:
        cyrillic = words.encode(_CODE_PAGE)
    except UnicodeEncodeError:
        return plain, b""
    return (b"", cyrillic) if len(cyrillic) < len(plain) else (plain, b"")


def _text(found: Mapping[int, bytes], kind: int, code: str = "utf-8") -> str:
    return found.get(kind, b"").decode(code)


def _digest(slug: str) -> bytes:
    return sha256(slug.encode()).digest()[:_DIGEST]


def _by_digest(slugs: Mapping[str, str]) -> Mapping[bytes, str]:
    """Topics by their digests; two that share one are not told apart, and so not named."""
    found: dict[bytes, set[str]] = {}
    for slug, now in slugs.items():
        found.setdefault(_digest(slug), set()).add(now)
    return {digest: named.pop() for digest, named in found.items() if len(named) == 1}


def _slugs(content: bytes, topics: Mapping[bytes, str]) -> tuple[str, ...]:
    asked = (content[at : at + _DIGEST] for at in range(0, len(content), _DIGEST))
    return tuple(topics[digest] for digest in asked if digest in topics)
