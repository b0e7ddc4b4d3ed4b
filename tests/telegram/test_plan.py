"""From what stands in a chat to what should: any road there, interrupted anywhere, ends in the same chat."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.telegram.copies import OWN, WORDS, Copy, Stand, seal
from bots.telegram.plan import DASH, Aim, Delete, Edit, Reply, Retract, Send, after, plan
from bots.telegram.recalling import stand_before, stand_of
from bots.telegram.render import Part
from syndicator.domain.letters import Earlier, Letter
from syndicator.domain.model import Attachment, MessageKind
from syndicator.domain.places import Place

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PLACE = Place(7)
NOTICE, WORD = Part("withdrawn", "withdrawn"), Part("the fee is 20", "the fee is 20")
PICTURES = [Attachment("/media/a.jpg", "image/jpeg"), Attachment("/media/b.jpg", "image/jpeg")]


def text(words, photo=None):
    return Part(words, words, photo=photo)


class Chat:
    """What a reader sees, in the order of the messages: number -> (words, picture)."""

    __hash__ = None

    def __init__(self):
        self.shown, self.replies, self.last = {}, [], 100

    def __eq__(self, other):
        return (list(self.shown.values()), self.replies) == (list(other.shown.values()), other.replies)

    def do(self, operation):
        match operation:
            case Send(_, part):
                return self._put(part)
            case Reply(_, part):
                self.replies.append(part.html)
                return self._put(part)
            case Edit(_, message, part, photo, picture):
                old = self.shown[message][1]
                assert photo is (old is not None), "a caption is edited as a caption, a text as a text"
                self.shown[message] = (part.html, (part.photo.url if part.photo else "blank") if picture else old)
            case Retract(_, message, part, photo):
                assert photo is (self.shown[message][1] is not None)
                self.shown[message] = (part.html, self.shown[message][1])
            case Delete(_, message):
                del self.shown[message]
        return 0

    def _put(self, part):
        self.last += 1
        self.shown[self.last] = (part.html, part.photo.url if part.photo else None)
        return self.last


@st.composite
def copies(draw, most=4):
    """The parts of a copy; a picture stands alone."""
    if draw(st.integers(0, 3)) == 0:
        return (text(draw(st.sampled_from("abc")), draw(st.sampled_from(PICTURES))),)
    return tuple(text(words) for words in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=most)))


def standing(chat, parts, stand, key=OWN):
    for part in parts:
        operation = Send(key, part)
        stand = after(stand, operation, chat.do(operation))
    return stand


def walk(chat, stand, aims, word, steps=1000):
    for _ in range(steps):
        rows = plan(stand, aims, word)
        if not rows:
            return stand
        stand = after(stand, rows[0], chat.do(rows[0]))
    return stand


def written_and_read(stand):
    """As the ledger hands it to the next attempt."""
    kept = json.loads(json.dumps(stand.answer(7, {"parts": 1})))
    letter = Letter(5, "x", MessageKind.CORRECTION, 1, "7", "en", "en", "Asia/Baku", answer=kept)
    return replace(stand_of(letter, PLACE, NOW), fixed=stand.fixed)


@st.composite
def situations(draw):
    """(what stood, what is wanted, a word or none, which messages cannot be deleted, where it is interrupted)."""
    old, digest = draw(copies()), draw(copies())
    wanted = draw(st.one_of(copies(), st.just(())))
    hushed = draw(st.booleans())
    aims = (
        Aim(OWN, wanted, more=not hushed, notice=NOTICE),
        Aim(9, tuple(text(f"digest {part.html}") for part in draw(copies())), anew=False, more=not hushed),
        *((Aim(WORDS),) if not wanted else ()),
    )
    fixed = draw(st.sets(st.integers(101, 110)))
    word = draw(st.sampled_from([None, WORD]))
    return old, digest, aims, word, frozenset(fixed), draw(st.integers(0, 12))


@settings(max_examples=150, deadline=None)
@given(situations())
def test_a_chat_ends_the_same_wherever_the_work_was_interrupted(situation):
    old, digest, aims, word, fixed, steps = situation

    def begin():
        chat = Chat()
        stand = standing(chat, old, Stand(fixed=fixed))
        stand = standing(chat, (replace(part, photo=None) for part in digest), stand, 9)
        return chat, standing(chat, (text("an old word"),), stand, WORDS)

    chat, stand = begin()
    ended = walk(chat, stand, aims, word)
    assert plan(ended, aims, word) == [], "all is done"
    assert plan(written_and_read(ended), aims, word) == [], "and the ledger knows it"
    other, stand = begin()
    halfway = walk(other, stand, aims, word, steps)
    if halfway.copies != stand.copies:  # what has begun is in the answer; before that, earlier answers say all
        halfway = written_and_read(halfway)
    walk(other, halfway, aims, word)
    assert other == chat


@settings(max_examples=60, deadline=None)
@given(copies(), copies())
def test_a_reader_ends_with_the_newest_text_and_nothing_of_the_old(old, new):
    chat = Chat()
    stand = standing(chat, old, Stand())
    walk(chat, stand, (Aim(OWN, new),), None)
    words = [words for words, _ in chat.shown.values()]
    assert words == [part.html for part in new]
    if new[0].photo:
        was_text = old[0].photo is None
        assert was_text or next(iter(chat.shown.values()))[1] == new[0].photo.url


@settings(max_examples=60, deadline=None)
@given(copies(), st.booleans())
def test_of_a_withdrawn_copy_no_word_is_left(old, too_late):
    chat = Chat()
    stand = standing(chat, old, Stand(fixed=frozenset(range(90, 120)) if too_late else frozenset()))
    walk(chat, stand, (Aim(OWN, notice=NOTICE),), None)
    left = [words for words, _ in chat.shown.values()]
    assert left == ([NOTICE.html, *["—"] * (len(old) - 1)] if too_late else [])


A, B, C = text("a"), text("b"), text("c")
PHOTO, OTHER = text("a", PICTURES[0]), text("a", PICTURES[1])


def stood(*parts, photo=False):
    return Copy(tuple(range(1, len(parts) + 1)), tuple(seal(part) for part in parts), photo)


@pytest.mark.parametrize(
    ("copy", "aim", "rows"),
    [
        (stood(A), Aim(OWN, (A,)), []),
        (stood(A), Aim(OWN, (B,)), [Edit(OWN, 1, B)]),
        (stood(A), Aim(OWN, (A, B)), [Send(OWN, B)]),
        (stood(A), Aim(OWN, (B, C), more=False), [Edit(OWN, 1, B)]),
        (stood(A, B), Aim(OWN, (C,)), [Edit(OWN, 1, C), Delete(OWN, 2)]),
        (Copy(), Aim(OWN, (A,)), [Send(OWN, A)]),
        (Copy(), Aim(OWN, (A,), anew=False), []),
        (Copy((1, 0, 3), (seal(A), seal(B), seal(C))), Aim(OWN, (A, B, C)), []),
        (Copy((1, 0), (seal(A), seal(B))), Aim(OWN, (A, C)), [Send(OWN, C)]),
        (stood(PHOTO, photo=True), Aim(OWN, (text("b", PICTURES[0]),)), [Edit(OWN, 1, text("b", PICTURES[0]), True)]),
        (stood(PHOTO, photo=True), Aim(OWN, (OTHER,)), [Edit(OWN, 1, OTHER, True, True)]),
        (stood(PHOTO, photo=True), Aim(OWN, (B,)), [Send(OWN, B), Delete(OWN, 1)]),
        (stood(PHOTO, photo=True), Aim(OWN, (B,), more=False), [Edit(OWN, 1, B, True, True)]),
        (stood(PHOTO, photo=True), Aim(OWN, (text("x" * 1025),), more=False), [Delete(OWN, 1)]),
        (stood(A), Aim(OWN, notice=NOTICE), [Delete(OWN, 1)]),
        (Copy((), (), gone=True), Aim(OWN, notice=NOTICE), []),
    ],
)
def test_each_difference_has_its_operations(copy, aim, rows):
    assert plan(Stand({OWN: copy}), [aim]) == rows


def test_what_cannot_be_deleted_is_edited_away():
    stand = Stand({OWN: stood(A, B, C)}, fixed=frozenset({1, 2, 3}))
    assert plan(stand, [Aim(OWN, (A,))]) == [Retract(OWN, 2, DASH), Retract(OWN, 3, DASH)]
    assert plan(stand, [Aim(OWN, notice=NOTICE)]) == [
        Retract(OWN, 1, NOTICE, notice=True),
        Retract(OWN, 2, DASH),
        Retract(OWN, 3, DASH),
    ]


@pytest.mark.parametrize(
    ("stand", "to"),
    [
        (Stand({OWN: stood(A)}), 1),
        (Stand({OWN: Copy(gone=True)}, notice=4), 4),
        (Stand({9: stood(A), 12: Copy((8,), ("",))}), 8),
        (Stand({OWN: Copy((0, 3), ("", ""))}), 3),
        (Stand(), None),
    ],
)
def test_the_word_replies_to_what_stands(stand, to):
    assert plan(stand, [], WORD) == [Reply(to, WORD)]
    assert plan(replace(stand, word=77), [], WORD) == []


# -- what the ledger says
def letter(*earlier, answer=None, **values):
    return Letter(
        50, "x", MessageKind.CORRECTION, 1, "7", "en", "en", "UTC", earlier=earlier, answer=answer or {}, **values
    )


def told(delivery, kind, answer, hours=1):
    return Earlier(delivery, kind, {"chat": 7, **answer}, NOW - timedelta(hours=hours))


RELEASED = told(1, MessageKind.RELEASE, {"messages": [11, 12], "seals": ["a", "b"]}, hours=50)
CORRECTED = told(2, MessageKind.CORRECTION, {"messages": [11, 12, 20], "seals": ["c", "d", "e"], "reply": 21})
DIGEST = told(3, MessageKind.DIGEST, {"messages": [30], "seals": ["f"]})
WITHDRAWN = told(4, MessageKind.WITHDRAWAL, {"messages": [], "seals": [], "gone": True, "words": [], "reply": 40})


def test_a_later_answer_about_a_copy_has_the_last_word():
    stand = stand_before(letter(RELEASED, CORRECTED), PLACE, NOW)
    assert stand.copy(OWN) == Copy((11, 12, 20), ("c", "d", "e"))
    assert stand.copy(WORDS).messages == (21,)
    assert stand.fixed == {11, 12}, "these are older than 48 hours"


def test_a_digest_is_a_copy_of_its_own_and_follow_ups_speak_of_it():
    edited = told(5, MessageKind.CORRECTION, {"messages": [], "digests": {"3": {"messages": [30], "seals": ["g"]}}})
    stand = stand_before(letter(DIGEST, edited), PLACE, NOW)
    assert stand.copy(3) == Copy((30,), ("g",))
    assert stand.stands


def test_a_withdrawn_copy_is_gone_and_what_came_back_is_a_new_one():
    assert stand_before(letter(RELEASED, CORRECTED, WITHDRAWN), PLACE, NOW).copies == {
        OWN: Copy(gone=True),
        WORDS: Copy(),
    }
    again = told(6, MessageKind.CORRECTION, {"messages": [60], "seals": ["h"]})
    assert stand_before(letter(RELEASED, WITHDRAWN, again), PLACE, NOW).copy(OWN) == Copy((60,), ("h",))


def test_what_stands_in_another_chat_is_out_of_reach():
    elsewhere = replace(RELEASED, answer={**RELEASED.answer, "chat": -100})
    stand = stand_before(letter(elsewhere), PLACE, NOW)
    assert (stand.lost, stand.stands) == (True, False)
    named = stand_before(letter(elsewhere), Place("@news"), NOW)
    assert named.stands, "a name does not say that it is another chat"


def test_an_answer_from_before_there_were_seals_is_understood():
    old = told(1, MessageKind.RELEASE, {"messages": [11], "parts": 1, "revision": 1, "lang": "en"})
    stand = stand_before(letter(old), PLACE, NOW)
    assert plan(stand, [Aim(OWN, (A,))]) == [Edit(OWN, 11, A)]


@pytest.mark.parametrize(
    "answer",
    [
        {"messages": "x", "seals": 3, "doubt": 7, "digests": [], "reply": "y", "words": None},
        {"messages": [None, True, "11", -4], "digests": {"x": 1, "3": None}, "doubt": [[1], None]},
        {"chat": None},
    ],
)
def test_an_answer_that_makes_no_sense_is_no_copy(answer):
    assert not stand_of(letter(told(1, MessageKind.RELEASE, answer), answer=answer), PLACE, NOW).stands


def test_what_nobody_can_tell_of_keeps_its_place_for_its_own_letter_only():
    answer = {"chat": 7, "messages": [11, 13], "seals": ["a", "c"], "doubt": [[1, "b"]]}
    assert stand_of(letter(answer=answer), PLACE, NOW).copy(OWN).messages == (11, 0, 13)
    later = stand_before(letter(told(1, MessageKind.RELEASE, answer)), PLACE, NOW)
    assert later.copy(OWN).messages == (11, 13)


def test_a_seal_tells_texts_buttons_and_pictures_apart():
    parts = [
        A,
        B,
        PHOTO,
        OTHER,
        replace(A, button="Read"),
        replace(A, url="https://a.example"),
        replace(A, preview="x"),
    ]
    assert len({seal(part) for part in parts}) == len(parts)
    assert seal(A) == seal(Part("a", "other plain words"))
