"""One rule for what is corrected, and one date, on every surface."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syndicator.domain.corrections import corrections, is_corrected
from syndicator.domain.model import Release, Revision, State, Urgency, Variant

PUBLIC = datetime(2026, 11, 20, 9, tzinfo=UTC)


def hours(count):
    return PUBLIC + timedelta(hours=count)


@pytest.mark.parametrize(
    ("past", "told"),
    [
        ([(0, "", 0)], []),
        ([(0, "A", 0)], [(0, "A")]),  # it came with a note
        ([(0, "A", -5)], [(0, "A")]),  # under embargo: told when it opened
        ([(0, "A", 99)], [(0, "A")]),  # taken in long after it was published: as feeds date it
        ([(0, "", 0), (1, "B", 2)], [(2, "B")]),
        ([(0, "", 0), (1, "B", 2), (1, "B", 3)], [(2, "B")]),  # a silent change repeats the note
        ([(0, "A", 0), (1, "B", 2), (1, "B", 3), (2, "C", 4)], [(4, "C"), (2, "B"), (0, "A")]),
        ([(0, "", 0), (1, "B", 2), (2, "B", 4)], [(4, "B")]),  # told again
        ([(0, "", 0), (1, "B", 2), (2, "", 4)], []),  # it was withdrawn and came back without a note
        ([(3, "", 0)], []),  # a translation after corrections of the others
    ],
)
def test_what_was_told_is_dated_by_the_revision_that_brought_it(past, told):
    history = [
        Revision(number, major, "T", "", "", "", note=note, created_at=hours(at))
        for number, (major, note, at) in enumerate(past, 1)
    ][::-1]
    majors = [one for older, one in zip(history[1:], history, strict=False) if one.major > older.major]
    updated = majors[0].created_at if majors else PUBLIC  # as the store moves it
    variant = Variant(1, "en", "tag:1", "t", updated, history[0])
    release = Release(1, "tag:1", "s", "k", "news", Urgency.NORMAL, State.PUBLIC, PUBLIC, PUBLIC, (), (variant,))
    found = corrections(release, variant, history)
    assert [(one.at, one.note) for one in found] == [(hours(at), note) for at, note in told]
    assert is_corrected(variant.revision) == bool(found)
