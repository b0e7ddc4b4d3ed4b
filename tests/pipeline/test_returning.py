"""What comes back, and what follows from it for the reader, the ledger and the list of who is kept out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from syndicator.domain.bounces import Bounce, BounceKind, Suppressed
from syndicator.domain.filters import parse
from syndicator.domain.letters import Gone, Later, Refused, Sent
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, SubscriptionState
from syndicator.domain.returns import Action, AutoReply, Complaint, Failure, Leave, Notice, Report, Unclear, Whom
from syndicator.pipeline.returning import NotYet, Returning
from syndicator.store import ledger, subscriptions, suppressions
from syndicator.store.subscriptions import Consent
from tests.pipeline.conftest import Press

READER = "reader@example.org"
DAY = timedelta(days=1)
HARD = Bounce(BounceKind.HARD, "5.1.1", "550 5.1.1 user unknown")
SOFT = Bounce(BounceKind.SOFT, "4.2.2", "452 4.2.2 full")
POLICY = Bounce(BounceKind.POLICY, "5.7.1", "554 5.7.1 blocked")


@dataclass
class Reader:
    """Somebody who reads by mail, and all that can be seen of them."""

    press: Press
    id: int = 0
    delivery: int = 0

    async def sign_up(self) -> None:
        press = self.press
        async with press.database.writing() as session:
            who = await subscriptions.ensure(
                session, ChannelKind.EMAIL, READER, language="en", timezone="UTC", now=press.now
            )
            consent = Consent(press.now, "page", "yes")
            active = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": consent}
            await subscriptions.subscribe(session, who.id, parse(""), now=press.now, **active)
            self.id = who.id

    async def is_told(self, key: str = "fees") -> None:
        await self.press.publish(self.press.change(key))
        self.delivery = max(int(row["id"]) for row in await self.press.rows())

    def take(self, came: Any, **values: Any) -> Any:
        press = self.press
        returning = Returning(press.database, press.tokens, metrics=press.metrics, wake=press.wake)
        return returning.take(came, press.now, **values)

    def bounces(self, bounce: Bounce = HARD, *addresses: str, delivery: int | None = None) -> Any:
        whom = Whom(delivery or self.delivery)
        return self.take(Report(whom, (Failure(addresses or (READER,), bounce),)))

    async def seen(self) -> tuple[str, str, Suppressed | None, list[str]]:
        """State and its reason, why they are kept out, and how their live subscriptions stand."""
        press = self.press
        async with press.database.reading() as session:
            who = await subscriptions.by_id(session, self.id)
            kept_out = await suppressions.has(session, press.tokens.fingerprint("address", READER))
            live = [one.state.value for one in await subscriptions.of(session, self.id)]
        assert who is not None
        return who.state, who.state_reason, kept_out, live

    async def row(self) -> tuple[str, str]:
        (found,) = [row for row in await self.press.rows() if row["id"] == self.delivery]
        return found["state"], found["reason"]


@pytest.fixture
async def reader(press) -> Reader:
    one = Reader(press)
    await one.sign_up()
    await one.is_told()
    return one


async def test_nobody_there_ends_sending_at_once_and_keeps_the_topics(reader):
    assert await reader.bounces(HARD) == "hard"
    state, reason, kept_out, live = await reader.seen()
    assert (state, kept_out, live) == ("paused", Suppressed.BOUNCED, ["active"])
    assert reason == "bounced: 550 5.1.1 user unknown"
    assert await reader.row() == ("failed", "bounced: 550 5.1.1 user unknown")
    await reader.press.publish(reader.press.change("visas"))
    assert len(reader.press.mail.sent) == 1


async def test_the_same_report_again_changes_nothing(reader):
    await reader.bounces(HARD)
    async with reader.press.database.writing() as session:
        await subscriptions.back(session, reader.id, reader.press.now)
    assert await reader.bounces(HARD) == "known"
    assert (await reader.seen())[0] == "active"


async def test_a_complaint_ends_everything_at_once(reader):
    assert await reader.take(Complaint(Whom(reader.delivery))) == "complaint"
    assert (await reader.seen())[2:] == (Suppressed.COMPLAINED, [])
    assert (await reader.row())[0] == "sent"  # it has arrived, after all
    assert await reader.take(Complaint(Whom(None, reader.id)), also="x") == "complaint"


async def test_a_complaint_about_a_question_means_that_nobody_asks_again(reader):
    press = reader.press
    press.now += DAY
    await _ask(press)
    await press.send()
    (letter,) = [one for one in press.mail.sent if one.kind is MessageKind.CONFIRMATION]
    assert await reader.take(Complaint(Whom(letter.delivery))) == "complaint"
    assert (await reader.seen())[2] is Suppressed.UNASKED
    press.now += 7 * DAY
    await _ask(press)
    await press.send()
    assert len([one for one in press.mail.sent if one.kind is MessageKind.CONFIRMATION]) == 1


async def test_a_complaint_about_a_question_ends_a_sign_up_there_that_waits_for_an_answer_and_nothing_else(reader):
    press = reader.press
    press.mail.tells.add(MessageKind.ADDRESS)
    other = "other@example.org"
    consent = Consent(press.now, "page", "yes")
    asked = {"language": "en", "cadence": Cadence.IMMEDIATE, "consent": consent, "now": press.now}
    await press.subscribing.ask(other, filter_=parse("topic=visas"), **asked)
    async with press.database.writing() as session:
        await ledger.ask_address(session, reader.id, other, now=press.now)
    await press.send()
    (letter,) = [one for one in press.mail.sent if one.kind is MessageKind.ADDRESS]
    assert await reader.take(Complaint(Whom(letter.delivery))) == "complaint"
    async with press.database.reading() as session:
        there = await subscriptions.find(session, ChannelKind.EMAIL, other)
        assert there is not None
        assert await subscriptions.of(session, there.id) == []
    assert (await reader.seen())[3] == ["active"]


async def _ask(press):
    asked = {"filter_": parse("topic=visas"), "language": "en", "cadence": Cadence.IMMEDIATE}
    await press.subscribing.ask(READER, **asked, consent=Consent(press.now, "page", "yes"), now=press.now)


async def test_a_full_mailbox_is_paused_after_days_and_who_comes_back_begins_anew(reader):
    told = []
    for number in range(7):
        told.append(await reader.bounces(SOFT))
        paused = (await reader.seen())[0] == "paused"
        assert paused is (number >= 5)
        if not paused:
            reader.press.now += DAY
            await reader.is_told(f"again{number}")
    assert told == ["soft"] * 6 + ["known"]
    assert (await reader.seen())[2] is None
    async with reader.press.database.writing() as session:
        await subscriptions.back(session, reader.id, reader.press.now)
    reader.press.now += DAY
    await reader.is_told("much later")
    await reader.bounces(SOFT)
    assert (await reader.seen())[0] == "active"


async def test_a_refusal_that_blames_us_is_counted_and_harms_nobody(reader):
    for number in range(10):
        assert await reader.bounces(POLICY) == "policy"
        assert await reader.row() == ("failed", "bounced: 554 5.7.1 blocked")
        reader.press.now += DAY
        await reader.is_told(f"again{number}")
    assert (await reader.seen())[:3] == ("active", "", None)
    counted = reader.press.metrics.registry.get_sample_value("syndicator_mail_returned_total", {"kind": "policy"})
    assert counted == 10


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        ((READER,), "hard"),
        (("READER@Example.ORG",), "hard"),
        (("else@example.org", READER), "hard"),
        ((), "hard"),  # the report names nobody: the mail was for one
        (("else@forwarded.example",), "soft"),  # theirs took it
    ],
)
async def test_a_report_about_another_address_than_theirs_is_softened(reader, addresses, kind):
    report = Report(Whom(reader.delivery), (Failure(addresses, HARD),))
    assert await reader.take(report) == kind
    assert (await reader.seen())[0] == ("paused" if kind == "hard" else "active")
    assert (await reader.row())[0] == "failed"


async def test_of_several_recipients_only_ours_counts(reader):
    others = Failure(("a@example.net",), HARD), Failure((READER,), SOFT), Failure(("b@example.net",), POLICY)
    assert await reader.take(Report(Whom(reader.delivery), others)) == "soft"


async def test_a_report_that_comes_while_the_mail_is_being_sent_must_come_again(reader):
    press = reader.press
    await press.harvest(press.change("visas"))
    await press.spread()
    async with press.database.writing() as session:
        (batch,) = await ledger.open_batches(session)
        (claimed,) = await ledger.claim(session, batch.id, press.now, 10)
    with pytest.raises(NotYet):
        await reader.bounces(HARD, delivery=claimed.id)
    assert (await reader.seen())[0] == "active"


@pytest.mark.parametrize(
    ("came", "word"),
    [
        (Notice(Action.DELAYED), "delayed"),
        (Notice(Action.DELIVERED), "delivered"),
        (AutoReply(), "auto_reply"),
        (Unclear("?"), "unclear"),
        (Report(Whom(999), (Failure((), HARD),)), "nobody"),
        (Report(Whom(None, 999), (Failure((), HARD),)), "nobody"),
        (Complaint(Whom()), "nobody"),
        (Leave(999), "nobody"),
    ],
)
async def test_what_means_nothing_for_anybody_is_counted(reader, came, word):
    assert await reader.take(came) == word
    assert (await reader.seen())[:3] == ("active", "", None)
    counted = reader.press.metrics.registry.get_sample_value("syndicator_mail_returned_total", {"kind": word})
    assert counted == 1


async def test_a_mail_to_leave_ends_all_and_again_is_the_same(reader):
    for _ in range(2):
        assert await reader.take(Leave(reader.id)) == "leave"
        assert (await reader.seen())[2:] == (None, [])


async def test_where_only_the_reader_is_known_reports_are_told_apart_by_what_they_are_about(reader):
    soft = Report(Whom(None, reader.id, "unknown@x"), (Failure((READER,), SOFT),))
    assert [await reader.take(soft, also=one) for one in ("a", "b")] == ["soft", "known"]
    nameless = Report(Whom(None, reader.id), (Failure((READER,), SOFT),))
    assert [await reader.take(nameless, also=one) for one in ("a", "b", "a")] == ["soft", "soft", "known"]


# -- what the relay says at once


@pytest.mark.parametrize(
    ("outcome", "state", "kept_out"),
    [
        (Gone("RCPT: 550 5.1.1 user unknown", bounce=HARD), "paused", Suppressed.BOUNCED),
        (Refused("END: 554 5.7.1 blocked", bounce=POLICY), "active", None),
        (Refused("RCPT: 552 5.2.2 full", bounce=SOFT), "active", None),
        (Gone("RCPT: 550 nobody"), "paused", None),  # a channel that says nothing of a mailbox
        (Later("450 4.2.2 full", bounce=SOFT), "active", None),
        (Sent({"message_id": "<x>"}), "active", None),
    ],
)
async def test_what_the_relay_says_at_once_takes_the_same_way(press, outcome, state, kept_out):
    reader = Reader(press)
    await reader.sign_up()
    press.mail.answers[READER] = outcome
    await reader.is_told()
    found = await reader.seen()
    assert (found[0], found[2]) == (state, kept_out)


async def test_what_the_relay_said_and_a_report_says_again_counts_once(press):
    reader = Reader(press)
    await reader.sign_up()
    press.mail.answers[READER] = Refused("RCPT: 552 5.2.2 full", bounce=SOFT)
    await reader.is_told()
    assert await reader.bounces(SOFT) == "known"


async def test_a_new_address_that_does_not_exist_leaves_its_subscriber_as_they_are(press):
    reader = Reader(press)
    await reader.sign_up()
    press.mail.answers["new@example.org"] = Gone("RCPT: 550 5.1.1 user unknown", bounce=HARD)
    async with press.database.writing() as session:
        await ledger.ask_address(session, reader.id, "new@example.org", now=press.now)
    await press.send()
    assert (await reader.seen())[:3] == ("active", "", None)
    async with press.database.reading() as session:
        fingerprint = press.tokens.fingerprint("address", "new@example.org")
        assert await suppressions.has(session, fingerprint) is Suppressed.BOUNCED


async def test_a_mail_that_is_given_up_counts_and_one_that_is_put_off_does_not(press):
    reader = Reader(press)
    await reader.sign_up()
    press.mail.answers[READER] = Later("452 4.2.2 full", bounce=SOFT)
    await reader.is_told()
    for _ in range(20):
        if (await reader.row())[0] == "failed":
            break
        assert await reader.bounces(SOFT, delivery=999) == "nobody"
        press.now += 6 * timedelta(hours=1)
        await press.send()
    assert (await reader.row())[0] == "failed"
    assert await reader.bounces(SOFT) == "known"


BACK = [("button", "active"), ("way back in", "active"), ("not at all", "paused")]


@pytest.mark.parametrize(("way", "state"), BACK)
async def test_a_late_report_about_a_mail_from_before_somebody_came_back_pauses_them_no_second_time(reader, way, state):
    press, early = reader.press, reader.delivery
    await reader.is_told("visas")
    press.now += DAY
    await reader.bounces(HARD)
    account = await press.subscribing.account("manage", press.tokens.sign("manage", reader.id), press.now)
    press.now += DAY
    if way == "button":
        await press.subscribing.resume(account, now=press.now)
    elif way != "not at all":
        await _ask(press)
        await press.send()
        assert await press.subscribing.confirm(press.mail.sent[-1].confirm_token, press.now)
    assert await reader.bounces(HARD, delivery=early) == "hard"
    kept_out = Suppressed.BOUNCED if state == "paused" else None
    assert (await reader.seen())[::2] == (state, kept_out)
    if state == "active":
        await reader.is_told("office")
        await reader.bounces(HARD)
        assert (await reader.seen())[::2] == ("paused", Suppressed.BOUNCED)


async def test_a_new_topic_does_not_excuse_a_mailbox_that_was_never_paused_for_mails_sent_since(reader):
    press = reader.press
    async with press.database.writing() as session:
        wish = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": None}
        await subscriptions.subscribe(session, reader.id, parse("topic=visas"), now=press.now, **wish)
    press.now += DAY
    await reader.is_told("visas")
    await reader.bounces(HARD)
    assert (await reader.seen())[::2] == ("paused", Suppressed.BOUNCED)


async def test_resuming_leaves_an_address_kept_out_that_did_not_bounce(reader):
    press = reader.press
    account = await press.subscribing.account("manage", press.tokens.sign("manage", reader.id), press.now)
    async with press.database.writing() as session:
        fingerprint = press.tokens.fingerprint("address", READER)
        await suppressions.add(session, fingerprint, Suppressed.COMPLAINED, press.now)
    await press.subscribing.resume(account, now=press.now)
    assert (await reader.seen())[2] is Suppressed.COMPLAINED
