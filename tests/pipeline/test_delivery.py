"""From a message to people: once each, whatever the channel answers, whatever dies in between."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event

from syndicator.domain.letters import Gone, Later, Moved, Refused, Unknown
from syndicator.domain.model import ChannelKind, State, Urgency
from syndicator.domain.tokens import Tokens
from syndicator.store import erasing, ledger, releases, subscriptions


async def test_each_reader_gets_what_they_asked_for_once_in_their_language(press, reader):
    await reader("all@x.az", lang="az")
    await reader("visas@x.az", "topic=visas")
    await reader("visas@x.az", "q=body")
    await reader("office@x.az", "topic=office")
    await reader("7", channel=ChannelKind.TELEGRAM, lang="az")
    await press.publish(press.change(topics=("e-visa",)), press.change(lang="az", topics=("e-visa",)))
    assert sorted((sent.address, sent.lang) for sent in press.mail.sent) == [("all@x.az", "az"), ("visas@x.az", "en")]
    assert [sent.address for sent in press.telegram.sent] == ["7"]


async def test_a_letter_carries_the_text_as_it_stands_now_and_tokens_that_work(press, reader):
    found = await reader("a@x.az", "topic=visas")
    await press.harvest(press.change(topics=("visas",)))
    await press.spread()
    await press.harvest(press.change(topics=("visas",), title="A better title"))
    await press.send()
    (letter,) = press.mail.sent
    assert letter.release.variant("en").revision.title == "A better title"
    assert letter.filter_text == "topic=visas"
    tokens: Tokens = press.tokens
    assert tokens.verify("unsubscribe", letter.unsubscribe_token, press.now) == found.id
    assert tokens.verify("manage", letter.manage_token, press.now) == found.id


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Refused("too large"), "failed"),
        (Gone("no such user"), "failed"),
        (Later("busy"), "deferred"),
        (Unknown("dropped after the dot"), "deferred"),  # this channel's policy sends it once more
    ],
)
async def test_one_readers_trouble_is_never_anothers(press, reader, outcome, state):
    for name in ("a", "b", "c"):
        await reader(f"{name}@x.az")
    press.mail.answers["b@x.az"] = outcome
    await press.publish(press.change())
    assert await press.states() == {"a@x.az": "sent", "b@x.az": state, "c@x.az": "sent"}


async def test_a_deferred_letter_goes_out_at_its_time_and_not_before(press, reader):
    await reader("a@x.az")
    press.mail.answers["a@x.az"] = Later("greylisted")
    await press.publish(press.change())
    press.mail.answers.clear()
    await press.send()
    assert len(press.mail.sent) == 1
    press.now += timedelta(minutes=2)
    await press.send()
    assert await press.states() == {"a@x.az": "sent"}
    assert len(press.mail.sent) == 2


async def test_after_the_last_attempt_it_fails_with_its_reason_and_an_operator_can_send_it_again(press, reader):
    await reader("a@x.az")
    press.mail.answers["a@x.az"] = Later("mailbox full")
    await press.publish(press.change())
    for _ in range(4):
        press.now += timedelta(hours=6)
        await press.send()
    (row,) = await press.rows()
    assert (row["state"], row["reason"]) == ("failed", "given up after 3 attempts: mailbox full")
    press.mail.answers.clear()
    async with press.database.writing() as session:
        assert await ledger.retry(session, states=("failed",), now=press.now) == 1
    await press.send()
    assert await press.states() == {"a@x.az": "sent"}


async def test_an_unknown_outcome_is_sent_once_more_at_most_and_then_shown(press, reader):
    await reader("a@x.az")
    press.mail.answers["a@x.az"] = Unknown("dropped")
    await press.publish(press.change())
    for _ in range(3):
        press.now += timedelta(hours=1)
        await press.send()
    assert len(press.mail.sent) == 2
    assert [letter.resent for letter in press.mail.sent] == [False, True]
    assert await press.states() == {"a@x.az": "unknown"}


async def test_an_address_that_is_gone_is_paused_and_gets_nothing_more(press, reader):
    await reader("a@x.az")
    press.mail.answers["a@x.az"] = Gone("550 no such user")
    await press.publish(press.change())
    await press.publish(press.change(), press.change("next"))
    assert len(press.mail.sent) == 1


async def test_a_chat_that_moved_gets_it_at_its_new_id(press, reader):
    await reader("7", channel=ChannelKind.TELEGRAM)
    press.telegram.answers["7"] = Moved("-1007")
    await press.publish(press.change())
    await press.send()
    assert [letter.address for letter in press.telegram.sent] == ["7", "-1007"]


async def test_leaving_before_the_send_stops_it(press, reader):
    found = await reader("a@x.az")
    await press.harvest(press.change())
    await press.spread()
    async with press.database.writing() as session:
        await subscriptions.end_all(session, found.id, "unsubscribed", press.now)
    await press.send()
    assert press.mail.sent == []
    assert await press.states() == {"a@x.az": "suppressed"}


async def test_a_withdrawal_before_the_send_stops_it(press, reader):
    await reader("a@x.az")
    await press.harvest(press.change())
    await press.spread()
    async with press.database.writing() as session:
        await releases.withdraw(session, 1, "wrong", press.now)
    await press.send()
    assert press.mail.sent == []


async def test_a_fault_in_a_channel_leaves_its_letters_unknown_and_the_process_alive(press, reader):
    await reader("7", channel=ChannelKind.TELEGRAM)
    press.telegram.fault = RuntimeError("a bug")
    await press.publish(press.change())
    assert await press.states() == {"7": "unknown"}
    (row,) = await press.rows()
    assert "RuntimeError" in row["reason"]


async def test_a_crash_between_sending_and_settling_repeats_only_what_was_in_flight(press, reader):
    for number in range(5):
        await reader(f"r{number}@x.az")
    await press.harvest(press.change())
    await press.spread()
    async with press.database.reading() as session:
        (batch,) = await ledger.open_batches(session)
    async with press.database.writing() as session:
        claimed = await ledger.claim(session, batch.id, press.now, 2)
    assert len(claimed) == 2  # and here the process dies
    async with press.database.writing() as session:
        assert await ledger.recover(session, press.now) == 2
    await press.send()
    assert sorted(letter.address for letter in press.mail.sent) == [f"r{number}@x.az" for number in range(5)]
    assert sum(letter.resent for letter in press.mail.sent) == 2


async def test_a_long_batch_gives_way_after_each_chunk(press, reader, always):
    for number in range(5):
        await reader(f"r{number}@x.az")
    await press.harvest(press.change())
    await press.spread()
    assert await press.send(always) == 1
    assert len(press.mail.sent) == press.mail.chunk
    await press.send()
    assert len(press.mail.sent) == 5


async def test_a_late_translation_reaches_only_who_lacked_it(press, reader):
    await reader("en@x.az")
    await reader("az@x.az", lang="az")
    await press.publish(press.change())
    assert [letter.address for letter in press.mail.sent] == ["en@x.az"]
    press.now += timedelta(hours=1)
    await reader("late@x.az")
    await press.publish(press.change(), press.change(lang="az"))
    assert [letter.address for letter in press.mail.sent] == ["en@x.az", "az@x.az"], "and nobody gets the past"


@pytest.mark.parametrize("meanwhile", ["translation", "topic"])
async def test_what_lands_while_a_release_is_fanned_out_reaches_whom_it_concerns(press, reader, monkeypatch, meanwhile):
    await reader("translation@x.az", lang="az")
    await reader("topic@x.az", "topic=office")
    for number in range(3):
        await reader(f"{number}@x.az")
    await press.harvest(press.change(topics=("visas",)))
    lands = {
        "translation": [press.change(topics=("visas",)), press.change(lang="az", topics=("visas",))],
        "topic": [press.change(topics=("visas", "office"))],
    }[meanwhile]
    whole = press.fanout._write

    async def step(*args):
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "fan_out", partial(ledger.fan_out, limit=3))
            written = await whole(*args)
        if press.source.items != lands:
            await press.harvest(*lands)
        return written

    monkeypatch.setattr(press.fanout, "_write", step)
    await press.spread()
    await press.send()
    assert sorted(sent.address for sent in press.mail.sent) == ["0@x.az", "1@x.az", "2@x.az", f"{meanwhile}@x.az"]


async def test_a_draft_language_let_go_later_reaches_who_subscribed_before_that(press, reader):
    english, draft = press.change(), press.change(lang="az", state=State.DRAFT)
    await press.publish(english, draft)
    press.now += timedelta(hours=1)
    await reader("az@x.az", lang="az")
    press.now += timedelta(hours=1)
    await press.publish(english, press.change(lang="az"))
    assert [(sent.address, sent.lang) for sent in press.mail.sent] == [("az@x.az", "az")]


@pytest.mark.parametrize("broken_for", [1, 3, 20])
async def test_an_answer_that_cannot_be_written_down_is_owed_and_nobody_gets_it_twice(
    press, reader, monkeypatch, broken_for
):
    await reader("a@x.az")
    await press.harvest(press.change())
    await press.spread()
    tries = 0
    settle = ledger.settle

    async def broken(*args):
        nonlocal tries
        tries += 1
        if tries <= broken_for:
            raise OSError("disk full")
        return await settle(*args)

    monkeypatch.setattr(ledger, "settle", broken)
    for _ in range(10):
        try:
            await press.send()
            if press.settler.owes:
                await press.settler.pay()
        except OSError:
            continue
    assert await press.states() == {"a@x.az": "sent"}
    assert len(press.mail.sent) == 1
    assert not press.settler.owes


async def test_a_claim_that_fails_takes_no_answer_with_it(press, reader, monkeypatch):
    await reader("a@x.az")
    await reader("b@x.az")
    press.mail.chunk = 1
    await press.harvest(press.change())
    await press.spread()
    claims = []
    claim = ledger.claim_each

    async def broken(*args, **how):
        claims.append(args)
        if len(claims) in (2, 4):
            raise OSError("the disk is slow")
        return await claim(*args, **how)

    monkeypatch.setattr(ledger, "claim_each", broken)
    await press.send()
    assert await press.states() == {"a@x.az": "sent", "b@x.az": "sent"}
    assert sorted(sent.address for sent in press.mail.sent) == ["a@x.az", "b@x.az"]
    assert not press.settler.owes


async def test_a_broadcast_costs_one_commit_a_message_and_reads_its_release_once(press, reader):
    asked = []
    for name in range(10):
        await reader(f"{name}@x.az")
    press.mail.chunk = 1
    await press.harvest(press.change())
    await press.spread()
    for engine in (press.database._writers.sync_engine, press.database._readers.sync_engine):
        event.listen(engine, "commit", lambda _: asked.append("commit"))
        event.listen(engine, "before_cursor_execute", lambda _, __, statement, *___: asked.append(statement))
    await press.send()
    assert len(press.mail.sent) == 10
    assert asked.count("commit") <= 10 + 3
    if press.database.url.startswith("sqlite"):  # elsewhere a claim does not know that nobody changes it meanwhile
        assert sum("FROM variant JOIN revision" in one for one in asked) == 1


async def test_a_letter_that_cannot_be_composed_waits_and_is_not_lost(press, reader, monkeypatch):
    await reader("a@x.az")
    await press.harvest(press.change())
    await press.spread()
    with monkeypatch.context() as patched:
        patched.setattr(releases, "many", lambda *_: (_ for _ in ()).throw(OSError("gone")))
        await press.send()
    assert await press.states() == {"a@x.az": "deferred"}
    press.now += timedelta(minutes=1)
    await press.send()
    assert await press.states() == {"a@x.az": "sent"}


async def test_an_urgent_release_whose_languages_are_saved_one_by_one_reaches_each_reader_in_their_own(press, reader):
    await reader("az@x.az", lang="az")
    await reader("en@x.az", lang="en")
    await reader("ru@x.az", lang="ru")
    await press.publish(press.change(lang="az", urgency=Urgency.URGENT))
    assert [letter.address for letter in press.mail.sent] == ["az@x.az"]
    press.now += timedelta(seconds=1)
    await press.publish(
        press.change(lang="az", urgency=Urgency.URGENT), press.change(lang="en", urgency=Urgency.URGENT)
    )
    assert [(letter.address, letter.lang) for letter in press.mail.sent[1:]] == [("en@x.az", "en")]
    press.now += timedelta(seconds=60)
    await press.spread()
    await press.send()
    assert [(letter.address, letter.lang) for letter in press.mail.sent[2:]] == [("ru@x.az", "az")]
    press.now += timedelta(seconds=60)
    await press.spread()
    async with press.database.reading() as session:
        assert list(await ledger.open_messages(session)) == []


async def test_whoever_was_erased_while_their_answer_was_on_its_way_moves_nowhere(press, reader):
    gone = await reader("7", channel=ChannelKind.TELEGRAM)
    async with press.database.writing() as session:
        other = await subscriptions.ensure(
            session, ChannelKind.TELEGRAM, "-1007", language="en", timezone="UTC", now=press.now
        )
    await press.harvest(press.change())
    await press.spread()
    async with press.database.writing() as session:
        [batch] = await ledger.open_batches(session)
        claimed = await ledger.claim(session, batch.id, press.now, 10)
        await erasing.erase(session, gone.id, press.now, language="en", timezone="UTC")
    await press.settler.settle(ChannelKind.TELEGRAM, claimed, [Moved("-1007")])
    async with press.database.writing() as session:
        await subscriptions.move(session, gone.id, "-1007")
        assert await subscriptions.of(session, other.id) == []
    [row] = await press.rows()
    assert (row["address"], row["state"]) == (f"erased-{gone.id}", "suppressed")
