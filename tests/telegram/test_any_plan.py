"""Whatever stood and whatever should stand: each message on the way there is one that Telegram takes."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.telegram.aims import View, Writer
from bots.telegram.calls import Manner, call
from bots.telegram.copies import OWN, Copy, Stand, seal
from bots.telegram.parts import Style
from bots.telegram.plan import after, plan
from bots.telegram.render import Renderings
from syndicator.domain.letters import Earlier, Item
from syndicator.domain.model import MessageKind, State
from syndicator.domain.places import Place
from tests.telegram import rules
from tests.telegram.nasty import LINE, LONG_BODIES, examples

STYLES = st.builds(Style, st.sampled_from(["full", "lead"]), st.sampled_from(["preview", "photo", "none"]))
KINDS = st.sampled_from([MessageKind.CORRECTION, MessageKind.EDIT, MessageKind.WITHDRAWAL])
MANNERS = st.builds(Manner, buttons=st.booleans(), plain=st.booleans())
ENDLESS = 40
DIGEST = 3
MANNER = Manner()


def judge(asked):
    """The server's parser and limits, on whatever text the call has."""
    media = asked.values.get("media")
    if "text" in asked.values:
        rules.parsed(asked.values["text"], str(asked.values.get("parse_mode") or ""), rules.TEXT)
    elif media is not None:
        rules.parsed(media.caption or "", str(media.parse_mode or ""), rules.CAPTION)
    elif "caption" in asked.values:
        rules.parsed(asked.values["caption"], str(asked.values.get("parse_mode") or ""), rules.CAPTION)


def picture_of(operation):
    part = getattr(operation, "part", None)
    return "file_id" if part is not None and part.photo is not None else None


def copy_of(parts, first):
    numbers = tuple(range(first, first + len(parts)))
    return Copy(numbers, tuple(seal(part) for part in parts), photo=bool(parts and parts[0].photo))


@pytest.fixture
def walk(site, texts, taxonomy, release, letter, now):
    """Goes from the copies of an old text, one of them in a digest, to those of a new one, and judges each call."""

    def done(old, new, styles, manner=MANNER, *, kind=MessageKind.EDIT, hushed=True, fixed=False, others=0, few=False):
        renderings = Renderings(site, taxonomy)
        writer, new = Writer(renderings, texts), replace(new, change=old.change + 1)
        views = [View(style, now, ZoneInfo("Asia/Baku")) for style in styles]
        first = writer.task(letter(old), views[0], Stand(), Stand()).aims[0].parts
        items = [Item(one, "en") for one in (old, *(release(number=100 + n, title="x" * 300) for n in range(others)))]
        digest = renderings.digest(items, texts("en"), now, views[0].zone)
        copies = {OWN: copy_of(first, 1), DIGEST: copy_of(digest[:1] if few else digest, 50)}
        stand = before = Stand(copies, fixed=frozenset(range(1, 99)) if fixed else frozenset())
        later = (Item(new, "en"), *items[1:])
        earlier = (Earlier(DIGEST, MessageKind.DIGEST, {}, now, is_known=True, items=later),)
        told = letter(new, kind=kind, hushed=hushed, earlier=earlier, notes=(new.variants[0].revision.title,))
        for number in range(100, 100 + ENDLESS):
            task = writer.task(told, views[1], before, stand)
            operations = plan(stand, task.aims, task.word)
            if not operations:
                return
            judge(call(operations[0], Place(7), manner, picture_of(operations[0])))
            stand = after(stand, operations[0], number)
        raise AssertionError("it never comes to an end")

    return done


@examples(25)
@given(
    bodies=st.tuples(LONG_BODIES, LONG_BODIES),
    titles=st.tuples(LINE, LINE),
    pictures=st.tuples(st.booleans(), st.booleans()),
    styles=st.tuples(STYLES, STYLES),
    urgent=st.booleans(),
    kind=KINDS,
    hushed=st.booleans(),
    manner=MANNERS,
    fixed=st.booleans(),
    others=st.sampled_from([0, 3, 30]),
    few=st.booleans(),
)
def test_every_part_of_any_plan_is_taken(release, walk, bodies, titles, pictures, styles, urgent, kind, manner, **how):
    old, new = (
        release(title=title, body=body, summary=title, text=title, image=image, urgent=urgent, note="n")
        for title, body, image in zip(titles, bodies, pictures, strict=True)
    )
    if kind is MessageKind.WITHDRAWAL:
        new = replace(new, state=State.WITHDRAWN, reason=titles[1])
    walk(old, new, styles, manner, kind=kind, **how)


@examples(15)
@given(title=LINE, length=st.integers(600, 1400), manner=MANNERS, fixed=st.booleans(), urgent=st.booleans())
def test_what_stands_below_a_picture_that_the_release_has_lost_fits_there(
    release, walk, title, length, manner, fixed, urgent
):
    old = release(image=True)
    words = "word " * (length // 5)
    new = release(title=title, summary=words, body=f"<p>{words * 5}</p>", urgent=urgent)
    walk(old, new, (Style(media="photo"), Style(media="photo")), manner, fixed=fixed)


@examples(8)
@given(title=LINE, note=LINE, manner=MANNERS)
def test_a_digest_that_needs_more_messages_than_stand_keeps_to_its_limits(release, walk, title, note, manner):
    old = release()
    new = release(title=title, note=note, urgent=True)
    walk(old, new, (Style(), Style()), manner, others=30, few=True)
