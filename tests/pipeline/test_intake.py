"""Intake: what a source reports becomes releases, once; the bad is named and the rest goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from syndicator.domain.model import Attachment, BodyFormat, Problem, State, Urgency
from syndicator.store import ledger, releases, sourcing


async def test_a_document_becomes_a_public_release_and_is_announced(press):
    tally = await press.harvest(press.change())
    assert (tally.changed, tally.announced, tally.problems) == (1, 1, 0)
    async with press.database.reading() as session:
        release = await releases.visible(session, 1, press.now)
        (message,) = await ledger.open_messages(session)
    assert release.variant("en").revision.title == "Title of fees in en"
    assert message.key == "release:1:0"
    assert press.woken


async def test_harvesting_the_same_store_again_changes_nothing(press):
    await press.publish(press.change(), press.change(lang="az"))
    before = press.woken
    tally = await press.harvest()
    assert (tally.seen, tally.changed, tally.announced) == (0, 0, 0)
    assert press.woken == before


@pytest.mark.parametrize(
    ("values", "state", "announced"),
    [
        ({}, State.PUBLIC, 1),
        ({"published": timedelta(hours=-71)}, State.PUBLIC, 1),
        ({"published": timedelta(hours=-73)}, State.PUBLIC, 0),
        ({"embargo": timedelta(hours=1)}, State.SCHEDULED, 0),
        ({"published": timedelta(hours=1)}, State.SCHEDULED, 0),
        ({"published": timedelta(days=-90), "embargo": timedelta(hours=-1)}, State.PUBLIC, 1),
        ({"seen_at": timedelta(hours=5)}, State.PUBLIC, 1),  # a file's clock may be ahead; that is no embargo
        ({"state": State.DRAFT}, State.DRAFT, 0),
        ({"state": State.WITHDRAWN}, State.WITHDRAWN, 0),
    ],
)
async def test_what_is_announced_is_new_public_and_due(press, values, state, announced):
    found = {name: press.now + value if isinstance(value, timedelta) else value for name, value in values.items()}
    tally = await press.harvest(press.change(**found))
    async with press.database.reading() as session:
        release = await releases.get(session, 1)
    assert (release.state, tally.announced) == (state, announced)


async def test_an_embargo_opens_by_itself_and_is_announced_then_once(press):
    await press.harvest(press.change(embargo=press.now + timedelta(hours=1)))
    assert await press.intake.open_due() == 0
    press.now += timedelta(hours=1)
    assert await press.intake.open_due() == 1
    assert await press.intake.open_due() == 0
    async with press.database.reading() as session:
        assert [m.key for m in await ledger.open_messages(session)] == ["release:1:0"]


async def test_an_embargo_that_ended_long_ago_while_the_service_was_down_is_shown_but_not_announced(press):
    await press.harvest(press.change(embargo=press.now + timedelta(hours=1)))
    press.now += timedelta(hours=80)
    assert await press.intake.open_due() == 1
    async with press.database.reading() as session:
        assert list(await ledger.open_messages(session)) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lang": "fr"}, "'fr' is not a language of this site (az, en, ru)"),
        ({"title": " \u200b "}, "title: is empty"),
        ({"title": "x" * 501}, "at most 500"),
        ({"topics": ("visas", "nonsense")}, "nonsense unknown; allowed are"),
        ({"body": "x" * 1_000_001}, "1,000,000"),
    ],
)
async def test_a_bad_document_is_named_with_its_reason_and_the_others_go_on(press, values, words):
    bad = press.change("bad", **values)
    tally = await press.harvest(press.change("one"), bad, press.change("two"))
    assert (tally.problems, tally.announced) == (1, 2)
    async with press.database.reading() as session:
        (problem,) = await sourcing.problems(session)
    assert problem.origin == bad.origin
    assert words.replace(",", "") in problem.reason.replace(",", "").replace("_", "").replace(" 000", "000"), (
        problem.reason
    )


async def test_a_bad_document_is_reported_once_tried_at_each_pass_and_forgotten_when_mended(press, capsys):
    for _ in range(3):
        assert (await press.harvest(press.change(lang="fr", fingerprint="f"))).problems == 1
    assert capsys.readouterr().out.count("document left out") == 1
    bad = press.source.items[0]
    await press.harvest(replace(bad, lang="en", fingerprint="mended"))
    async with press.database.reading() as session:
        assert list(await sourcing.problems(session)) == []


async def test_a_full_disk_is_no_fault_of_the_document_which_is_tried_again(press):
    await press.harvest(press.change(attachments=(Attachment(path=Path("full")),)))
    assert (await press.harvest()).problems == 1


async def test_a_problem_of_the_source_is_kept_for_the_operator(press):
    tally = await press.harvest(Problem("desk", "x.txt", "not UTF-8", "f1"), press.change())
    assert (tally.problems, tally.announced) == (1, 1)
    await press.harvest(Problem("desk", "x.txt", "", "f2"), press.change())
    async with press.database.reading() as session:
        assert list(await sourcing.problems(session)) == []


async def test_a_source_that_breaks_off_keeps_what_was_taken_and_says_why(press):
    press.source.broken = "the disk is gone"
    with pytest.raises(OSError, match="the disk is gone"):
        await press.harvest(press.change())
    press.source.broken = ""
    assert (await press.harvest()).seen == 0


async def test_bodies_are_cleaned_once_at_intake(press):
    await press.harvest(
        press.change(body="<p onclick=x>A<script>alert(1)</script><b>b</b></p>", body_format=BodyFormat.HTML)
    )
    async with press.database.reading() as session:
        release = await releases.get(session, 1)
    assert release.variant("en").revision.body == "<p>A<strong>b</strong></p>"


async def test_topics_by_rule_do_not_depend_on_which_translation_came_first(press):
    texts = {"en": ("A visa", "A visa for all."), "az": ("Viza və qaçqınlar", "Viza, qaçqın.")}
    changes = [press.change(lang=lang, title=title, body=body) for lang, (title, body) in texts.items()]
    other = [replace(change, key="other", origin=f"other.{change.lang}.txt") for change in reversed(changes)]
    await press.harvest(*changes, *other)
    async with press.database.reading() as session:
        first, second = await releases.get(session, 1), await releases.get(session, 2)
    assert set(first.topics) == set(second.topics) == {"visas", "refugees"}


async def test_ticked_topics_of_one_language_hold_for_all(press):
    await press.harvest(press.change(lang="az"), press.change(topics=("e-visa", "office")))
    await press.harvest(press.change(lang="az", body="Mended."), press.change(topics=("e-visa", "office")))
    async with press.database.reading() as session:
        assert (await releases.get(session, 1)).topics == ("e-visa", "office")


async def test_a_document_by_hand_tells_what_became_of_it(press):
    taken = await press.intake.take(press.change(urgency=Urgency.URGENT))
    assert (taken.release.number, taken.release.urgency, taken.problem) == (1, Urgency.URGENT, None)
    assert (taken.result, taken.announced, taken.silence) == ("new", True, "")
    assert (await press.intake.take(press.change(urgency=Urgency.URGENT))).result == "same"
    assert (await press.intake.take(press.change(lang="az"))).result == "added"
    assert (await press.intake.take(press.change(lang="az", body="Mended."))).result == "revised"
    assert "not a language" in (await press.intake.take(press.change(lang="fr"))).problem.reason


async def test_what_is_too_old_to_be_announced_is_counted_and_said_in_the_log(press):
    with capture_logs() as logged:
        tally = await press.harvest(press.change(published=press.now - timedelta(hours=73)), press.change("b"))
    assert (tally.changed, tally.announced, tally.too_old) == (2, 1, 1)
    old, new = [line for line in logged if line["event"] == "recorded"]
    assert (old["announced"], old["reason"]) == (False, "older than 72 hours (published 2026-11-18T08:00+00:00)")
    assert (new["announced"], new["reason"]) == (True, "")


async def test_a_document_that_vanished_withdraws_its_release(press):
    await press.harvest(press.change())
    gone = press.change(title="", body="", state=State.WITHDRAWN, reason="The file is gone.")
    await press.harvest(gone)
    async with press.database.reading() as session:
        release = await releases.get(session, 1)
    assert (release.state, release.reason) == (State.WITHDRAWN, "The file is gone.")


@pytest.mark.parametrize(
    ("published", "embargo", "told"),
    [(-1, None, True), (None, None, False), (1, None, False), (-1, 1, False), (None, -1, False)],
)
async def test_what_comes_withdrawn_is_told_to_be_gone_only_if_it_was_out(press, published, embargo, told):
    def hours(number):
        return None if number is None else press.now + timedelta(hours=number)

    gone = press.change(state=State.WITHDRAWN, published=hours(published), embargo=hours(embargo))
    tally = await press.harvest(gone)
    async with press.database.reading() as session:
        found = await releases.visible(session, 1, press.now + timedelta(hours=2))
        messages = await ledger.open_messages(session)
    assert (found is not None, tally.announced, list(messages)) == (told, 0, [])
