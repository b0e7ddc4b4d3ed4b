"""Which letters may become mails now: the one question about visibility (`domain.visibility`), asked at send.

Rules, in order:

1. A release and its correction go out while the release is public, a withdrawal while it is withdrawn.
2. A digest tells of what is public; what is not drops out, and a digest of which nothing is left is refused.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Release, Standing
from syndicator.domain.visibility import standing

__all__ = ["NotShown", "shown"]

NEEDED = {
    MessageKind.RELEASE: Standing.PUBLIC,
    MessageKind.CORRECTION: Standing.PUBLIC,
    MessageKind.WITHDRAWAL: Standing.WITHDRAWN,
}


class NotShown(ValueError):
    """This letter tells of what may not be seen now; one clear line."""


def shown(letter: Letter, now: datetime) -> Letter:
    """The letter with what of it may be shown now.

    Raises:
        NotShown: nothing of it may.
    """
    if letter.kind is MessageKind.DIGEST:
        items = tuple(item for item in letter.items if _standing(item.release, now) is Standing.PUBLIC)
        if not items:
            raise NotShown("nothing of the digest is public any more")
        return letter if len(items) == len(letter.items) else replace(letter, items=items)
    needed = NEEDED.get(letter.kind)
    if needed is None or letter.release is None:  # the compiler says that there is no text
        return letter
    if _standing(letter.release, now) is not needed:
        raise NotShown(f"the release is not {needed.value}")
    return letter


def _standing(release: Release, now: datetime) -> Standing:
    return standing(release.state, release.public_at, release.opened_at, now)
