"""The one question: may the outside see this release now?

Rules, in order:

1. What never opened is hidden: drafts, embargoes, and what was withdrawn before its time.
2. What opened and was withdrawn is shown as withdrawn, with its reason, never with its text.
3. What is public is shown from `public_at` on, not a second earlier, whatever the clock did since.

Every surface (pages, feeds, search, link previews, messages) asks here, or the query
`store.releases.visible()`, which says the same in SQL; a property test holds the two together.
"""

from __future__ import annotations

from datetime import datetime

from syndicator.domain.model import Standing, State

__all__ = ["standing"]


def standing(state: State, public_at: datetime, opened_at: datetime | None, now: datetime) -> Standing:
    """What may be shown at `now` of a release with this state and these times."""
    if opened_at is None or public_at > now:
        return Standing.HIDDEN
    if state is State.PUBLIC:
        return Standing.PUBLIC
    if state is State.WITHDRAWN:
        return Standing.WITHDRAWN
    return Standing.HIDDEN
