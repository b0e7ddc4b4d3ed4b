"""How a post is known again whose number nobody knows: by digests of its words, and by having a picture. Pure.

Rules, in order:

1. White space and markup are left aside. The page's address stands in words where a button was refused, so a part has
   two digests.
2. Kept in the ledger, a trace says also behind which number the post can only stand: what it tells of may have changed
   long before somebody looks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bots.telegram.parts import Part

__all__ = ["Trace", "digest"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What to look for. `after` is the newest number that was known in its chat before it was sent."""

    words: tuple[str, ...]
    photo: bool = False
    after: int | None = None

    @classmethod
    def of(cls, part: Part, after: int | None = None) -> Trace:
        """That part's."""
        return cls((digest(part.plain), digest(f"{part.plain}{part.link}")), part.photo is not None, after)

    @classmethod
    def read(cls, kept: object) -> Trace | None:
        """What `written` gave; None where it is none."""
        words = kept.get("words") if isinstance(kept, Mapping) else None
        if not isinstance(kept, Mapping) or not isinstance(words, Sequence) or isinstance(words, str):
            return None
        after = kept.get("after")
        return cls(tuple(str(one) for one in words), bool(kept.get("photo")), after if isinstance(after, int) else None)

    def written(self) -> dict[str, object]:
        """As JSON has it."""
        kept: dict[str, object] = {"words": list(self.words)}
        kept |= {"photo": True} if self.photo else {}
        return kept | ({"after": self.after} if self.after is not None else {})

    def is_of(self, words: str, *, photo: bool) -> bool:
        """Whether a message with this digest of its words is what is looked for."""
        return words in self.words and photo == self.photo


def digest(text: str) -> str:
    """The words of a message, white space aside, in a few letters."""
    bare = "".join(text.split())
    return hashlib.blake2s(bare.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
