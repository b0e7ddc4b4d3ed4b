"""Releases as the store keeps them: recorded once, opened once, corrected with a history, and never leaked early."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syndicator.domain.filters import Filter
from syndicator.domain.model import Attachment, MessageKind, Priority, State, Urgency
from syndicator.store import ledger, releases
from tests.store.looked import TELLS

HOUR = timedelta(hours=1)
EVER = datetime(2000, 1, 1, tzinfo=UTC)


async def test_a_release_comes_back_as_it_was_written(database, press, now):
    picture = Attachment("/media/a.jpg", "image/jpeg", 10, "A", "alt", "credit")
    draft = press.draft("law", topics=("visas", "office"), kind="notice", urgency="urgent")
    draft = replace(draft, revision=replace(draft.revision, attachments=(picture,), link="https://x.example/1"))
    async with database.writing() as session:
        done = await releases.record(session, draft, site_uids=press.site, now=now)
    async with database.reading() as session:
        found = await releases.get_by_key(session, "directory", "law")
    assert found == done.release
    assert (found.number, found.state, found.opened_at, found.change) == (1, State.PUBLIC, now, 1)
    assert (found.topics, found.kind, found.urgency) == (("visas", "office"), "notice", Urgency.URGENT)
    assert found.uid == "tag:press.example.org,2026:release:1"
    [variant] = found.variants
    assert variant.uid == "tag:press.example.org,2026:release:az:1"
    assert variant.revision.attachments == (picture,)
    assert (variant.revision.number, variant.revision.major) == (1, 0)
    assert (done.created, done.new_variant, done.changed, done.major) == (True, True, True, False)


async def test_saying_the_same_again_changes_nothing_whatever_the_order(database, press):
    said = [("a", "az", "Bir"), ("a", "en", "One"), ("a", "ru", "Один")]
    facts = [{"kind": "notice", "topics": ("visas",)}, {"urgency": "urgent"}, {"topics": ("office",)}]
    async with database.writing() as session:
        for words, values in zip(said, facts, strict=True):
            assert (await press.record(session, *words, **values)).changed
        before = await releases.get(session, 1)
        for words, values in [*zip(said, facts, strict=True)] * 2:
            done = await press.record(session, *words, **values)
            assert (done.changed, done.new_variant, done.revised, done.created) == (False, False, False, False)
        assert await releases.get(session, 1) == before
    assert (before.kind, before.urgency, before.langs) == ("notice", Urgency.URGENT, ("az", "en", "ru"))


async def test_a_mended_comma_does_not_unsay_a_correction(database, press, now):
    async with database.writing() as session:
        await press.record(session, text="Köhnə")
        await press.record(session, text="Yeni", note="Tarix düzəldildi", now=now + HOUR)
        mended = await press.record(session, text="Yeni.", now=now + 2 * HOUR)
        again = await press.record(session, text="Yeni.", now=now + 3 * HOUR)
    assert (mended.revised, mended.major) == (True, False)
    assert mended.release.variants[0].revision.note == "Tarix düzəldildi"
    assert not again.changed


async def test_what_an_embargoed_text_said_before_it_opened_is_no_part_of_its_history(database, press, now):
    async with database.writing() as session:
        await press.record(session, text="Birinci", note="Səhv idi", public_at=now + HOUR)
        await press.record(session, text="İkinci", now=now + HOUR / 2, public_at=now + HOUR)
        await releases.open_due(session, now + HOUR)
        history = await releases.history(session, 1, "az")
        opened = await releases.get(session, 1)
    assert [(r.text, r.note) for r in history] == [("İkinci", "")]
    assert opened.variants[0].revision.note == ""


async def test_a_change_without_a_note_is_silent_and_one_with_a_note_is_told(database, press, now):
    async with database.writing() as session:
        await press.record(session, text="Köhnə")
        silent = await press.record(session, text="Köhne", now=now + HOUR)
        told = await press.record(session, text="Yeni", note="Tarix düzəldildi", now=now + 2 * HOUR)
        again = await press.record(session, text="Yeni", note="Tarix düzəldildi", now=now + 3 * HOUR)
        noted = await press.record(session, text="Yeni", note="Yer də düzəldildi", now=now + 4 * HOUR)
        history = await releases.history(session, 1, "az")
    assert (silent.revised, silent.major, silent.release.major) == (True, False, 0)
    assert silent.release.variants[0].updated_at == now
    assert (told.revised, told.major, told.release.major) == (True, True, 1)
    assert told.release.variants[0].updated_at == told.release.updated_at == now + 2 * HOUR
    assert not again.changed
    assert (noted.major, noted.release.major) == (True, 2)
    assert [(r.number, r.major, r.text, r.note) for r in history] == [
        (4, 2, "Yeni", "Yer də düzəldildi"),
        (3, 1, "Yeni", "Tarix düzəldildi"),
        (2, 0, "Köhne", ""),
        (1, 0, "Köhnə", ""),
    ]


async def test_a_correction_of_one_language_leaves_the_other_as_it_was(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a", "az")
        await press.record(session, "a", "en")
        done = await press.record(session, "a", "az", "Yeni", note="!", now=now + HOUR)
    az, en = done.release.variants
    assert (az.revision.major, en.revision.major) == (1, 0)
    assert (az.updated_at, en.updated_at) == (now + HOUR, now)


async def test_a_change_before_opening_is_never_a_correction(database, press, now):
    async with database.writing() as session:
        await press.record(session, public_at=now + HOUR)
        done = await press.record(session, text="Yeni", note="!", public_at=now + HOUR)
    assert (done.revised, done.major, done.release.major) == (True, False, 0)


async def test_an_embargo_moves_until_the_release_opens_and_never_after(database, press, now):
    async with database.writing() as session:
        first = await press.record(session, public_at=now + HOUR)
        moved = await press.record(session, public_at=now + 2 * HOUR)
        assert await releases.next_due(session) == now + 2 * HOUR
        assert await releases.open_due(session, now + HOUR) == []
        [opened] = await releases.open_due(session, now + 2 * HOUR)
        assert await releases.open_due(session, now + 2 * HOUR) == []
        after = await press.record(session, public_at=now + 9 * HOUR, now=now + 3 * HOUR)
    assert (first.release.state, moved.release.public_at) == (State.SCHEDULED, now + 2 * HOUR)
    assert moved.release.variants[0].updated_at == now + 2 * HOUR
    assert (opened.state, opened.opened_at, opened.change) == (State.PUBLIC, now + 2 * HOUR, 3)
    assert (after.release.public_at, after.release.state) == (now + 2 * HOUR, State.PUBLIC)


async def test_a_translation_without_an_embargo_never_lifts_the_embargo_of_another(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a", "az", public_at=now + HOUR)
        done = await press.record(session, "a", "en", public_at=now)
    assert (done.release.state, done.release.public_at) == (State.SCHEDULED, now + HOUR)


async def test_a_draft_translation_stays_hidden_until_it_is_let_go(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a", "en", state="draft")
        alone = await releases.get(session, 1)
        await press.record(session, "a", "az")
        hidden = await releases.visible(session, 1, now)
        done = await press.record(session, "a", "en")
        kept = await press.record(session, "a", "en", "Secret", state="draft")
    assert (alone.state, alone.langs) == (State.DRAFT, ("en",))
    assert hidden.langs == ("az",)
    assert (done.new_variant, done.release.langs) == (True, ("en", "az"))
    assert (kept.changed, kept.new_variant, kept.release.variant("en").revision.text) == (False, False, "Sözlər")


async def test_withdrawing_twice_is_withdrawing_once(database, press, now):
    async with database.writing() as session:
        await press.record(session)
        gone = await releases.withdraw(session, 1, "Səhv idi", now + HOUR)
        again = await releases.withdraw(session, 1, "Başqa", now + 2 * HOUR)
        assert await releases.withdraw(session, 99, "", now) is None
    assert (gone.state, gone.reason, gone.withdrawn_at, gone.change) == (
        State.WITHDRAWN,
        "Səhv idi",
        now + HOUR,
        2,
    )
    assert again == gone


async def test_a_withdrawn_release_comes_back_only_by_a_document_that_says_so_anew(database, press, now):
    async with database.writing() as session:
        await press.record(session, note="Köhnə qeyd")
        await releases.withdraw(session, 1, "Səhv", now)
        same = await press.record(session, note="Köhnə qeyd")
        silent = await press.record(session, text="Başqa")
        back = await press.record(session, text="Düz", note="Düzəldildi", now=now + HOUR)
        twice = await press.record(session, text="Düz", note="Düzəldildi", now=now + HOUR)
    assert not same.changed
    assert (silent.changed, silent.release.state, silent.major) == (True, State.WITHDRAWN, False)
    assert (back.release.state, back.major, back.release.major, back.release.reason) == (State.PUBLIC, True, 1, "")
    assert back.release.withdrawn_at is None
    assert not twice.changed


async def test_a_document_that_withdraws_may_bring_back_what_it_took_away(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a", "az")
        await press.record(session, "a", "en")
        gone = await press.record(session, "a", "az", state="withdrawn", reason="Səhv", now=now + HOUR)
        other = await press.record(session, "a", "en", "Edited", now=now + HOUR)
        back = await press.record(session, "a", "az", now=now + 2 * HOUR)
    assert (gone.withdrawn, gone.release.reason, gone.release.state) == (True, "Səhv", State.WITHDRAWN)
    assert other.release.state is State.WITHDRAWN
    assert (back.release.state, back.major, back.release.variant("az").revision.major) == (State.PUBLIC, True, 1)


async def test_each_language_gives_the_reason_that_its_own_document_said(database, press, now):
    gone = {"state": "withdrawn", "now": now + HOUR}
    async with database.writing() as session:
        for lang in ("az", "en", "ru"):
            await press.record(session, "a", lang)
            await press.record(session, "b", lang, reason="Of old")
        for lang, reason in {"az": "Səhv", "en": "A mistake", "ru": ""}.items():
            made = await press.record(session, "a", lang, reason=reason, **gone)
        release = await releases.get(session, made.release.number)
        assert [release.reason_in(lang) for lang in ("az", "en", "ru", "de")] == ["Səhv", *["A mistake"] * 3]
        # what an office says by a command is the reason in every language, whatever stands in documents
        other = await releases.get_by_key(session, release.source, "b")
        withdrawn = await releases.withdraw(session, other.number, "By a command", now + HOUR)
        assert {withdrawn.reason_in(lang) for lang in ("az", "en", "ru")} == {"By a command"}


async def test_what_is_withdrawn_before_its_time_is_never_seen(database, press, now):
    async with database.writing() as session:
        await press.record(session, public_at=now + HOUR)
        await releases.withdraw(session, 1, "", now)
        assert await releases.open_due(session, now + 2 * HOUR) == []
        assert await releases.visible(session, 1, now + 2 * HOUR) is None


async def test_change_numbers_name_what_changed_in_order(database, press):
    async with database.writing() as session:
        for key in "abc":
            await press.record(session, key)
        await press.record(session, "a", text="Yeni")
        assert [r.key for r in await releases.changed_since(session, 0)] == ["b", "c", "a"]
        assert [r.key for r in await releases.changed_since(session, 3)] == ["a"]
        assert await releases.last_change(session) == 4


async def test_a_failed_transaction_takes_its_change_number_back(database, press):
    async def fail() -> None:
        async with database.writing() as session:
            await press.record(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.writing() as session:
        assert await releases.last_change(session) == 0
        assert (await press.record(session)).release.change == 1


async def test_an_embargoed_or_drafted_release_is_in_no_answer_for_the_outside(database, press, taxonomy, now):
    async with database.writing() as session:
        await press.record(session, "embargo", public_at=now + HOUR, topics=("visas",))
        await press.record(session, "draft", state="draft", topics=("visas",))
        await press.record(session, "open", topics=("visas",), public_at=now - HOUR)
    async with database.reading() as session:
        listed = await releases.listing(session, Filter(), taxonomy, lang="az", now=now, withdrawn_since=EVER)
        assert [r.key for r in listed] == ["open"]
        assert await releases.count(session, Filter(), taxonomy, lang="az", now=now) == 1
        assert await releases.newest_ids(session, "az", ["visas"], now=now, limit=9) == [3]
        totals = await releases.topic_totals(session, taxonomy, now)
        assert (totals["az", "all"], totals["az", "visas"]) == (1, 1)
        assert [await releases.visible(session, n, now) is None for n in (1, 2, 3)] == [True, True, False]


async def test_pages_of_a_listing_never_overlap(database, press, taxonomy, now):
    async with database.writing() as session:
        for key in "abcdefg":
            await press.record(session, key)
        pages = [
            await releases.listing(session, Filter(), taxonomy, lang="az", now=now, limit=3, offset=offset)
            for offset in (0, 3, 6)
        ]
    assert ["".join(r.key for r in page) for page in pages] == ["gfe", "dcb", "a"]


async def test_many_keeps_the_order_asked_and_leaves_out_what_is_not_there(database, press):
    async with database.writing() as session:
        for key in "abc":
            await press.record(session, key)
        assert list(await releases.many(session, [3, 9, 1])) == [3, 1]
        assert await releases.many(session, []) == {}


async def test_topics_that_an_editor_ticked_are_told_from_found_ones(database, press, now):
    found = replace(press.draft("b"), topics=(("visas", "rule", "viza"),))
    async with database.writing() as session:
        await press.record(session, "a", topics=("office", "visas"))
        await releases.record(session, found, site_uids=press.site, now=now)
        assert await releases.ticked(session, 1) == (("office", "source", ""), ("visas", "source", ""))
        assert await releases.ticked(session, 2) is None


async def test_two_who_change_releases_at_once_wait_for_each_other_and_never_in_a_circle(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a")
        await press.record(session, "b")
    at_work = asyncio.Event()

    async def edit():
        async with database.writing() as session:
            await press.record(session, "a", text="Yeni")
            at_work.set()
            await asyncio.sleep(0.1)
            await press.record(session, "b", text="Yeni")

    async def withdraw():
        await at_work.wait()
        async with database.writing() as session:
            await releases.withdraw(session, 2, "", now)
            await releases.withdraw(session, 1, "", now)

    async with asyncio.timeout(20):
        await asyncio.gather(edit(), withdraw())
    async with database.reading() as session:
        found = await releases.many(session, [1, 2])
    assert {r.state for r in found.values()} == {State.WITHDRAWN}
    assert sorted(r.change for r in found.values()) == [5, 6]


async def test_a_fan_out_does_not_wait_in_a_circle_with_an_edit_of_its_release(database, press, people, taxonomy, now):
    async with database.writing() as session:
        await people.add(session, "a@example.org")
        await press.record(session, "a")
        told = {"kind": MessageKind.RELEASE, "major": 0, "priority": Priority.NORMAL, "now": now}
        message = await ledger.announce(session, 1, **told)
    at_work = asyncio.Event()

    async def edit():
        async with database.writing() as session:
            await press.record(session, "a", "en")
            at_work.set()
            await asyncio.sleep(0.1)
            await ledger.announce(session, 1, **told)

    async def spread():
        await at_work.wait()
        async with database.writing() as session:
            await ledger.fan_out(session, message.id, taxonomy=taxonomy, order=("az", "en"), now=now, tells=TELLS)

    async with asyncio.timeout(20):
        await asyncio.gather(edit(), spread())
    async with database.reading() as session:
        assert [m.id for m in await ledger.open_messages(session)] == [message.id]


async def test_what_was_public_elsewhere_and_comes_withdrawn_is_told_to_be_gone(database, press, taxonomy, now):
    gone = {"state": "withdrawn", "was_public": True, "public_at": now - HOUR}
    async with database.writing() as session:
        first = await press.record(session, "a", "az", **gone)
        await press.record(session, "a", "en", **gone)
        await press.record(session, "a", "ru")  # a text that nobody has seen
        hidden = await press.record(session, "b", "az", state="withdrawn", public_at=now - HOUR)
        early = await press.record(session, "c", "az", state="withdrawn", was_public=True, public_at=now + HOUR)
    async with database.reading() as session:
        found = await releases.visible(session, first.release.number, now)
        assert (found.state, found.opened_at, found.withdrawn_at) == (State.WITHDRAWN, now - HOUR, now)
        assert [(v.lang, v.revision.title) for v in found.variants] == [("az", "a az"), ("en", "a en")]
        assert await releases.visible(session, hidden.release.number, now) is None
        assert await releases.visible(session, early.release.number, now + 2 * HOUR) is None
        how = {"lang": "az", "now": now}
        assert await releases.listing(session, Filter(), taxonomy, **how) == []
        listed = await releases.listing(session, Filter(), taxonomy, **how, withdrawn_since=EVER)
        assert [r.number for r in listed] == [first.release.number]


async def test_a_withdrawn_language_opens_no_release_that_waits_for_its_time(database, press, now):
    async with database.writing() as session:
        await press.record(session, "a", "az", public_at=now + HOUR)
        await press.record(session, "a", "en", state="withdrawn", was_public=True, public_at=now - HOUR)
    async with database.reading() as session:
        assert await releases.visible(session, 1, now + 2 * HOUR) is None
