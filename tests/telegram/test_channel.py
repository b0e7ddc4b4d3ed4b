"""Letters on their way, through the real library and transport to the double."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bots.telegram.channel import chat_id
from bots.telegram.kept import BOT
from bots.telegram.limits import Pacer
from bots.telegram.options import ChatOptions, Options
from bots.telegram.outbox import FileTelegram
from bots.telegram.parts import Style
from syndicator.domain.letters import Earlier, Gone, Later, Moved, Refused, Sent, Unknown
from syndicator.domain.model import MessageKind, State, SubscriberRole

CHANNEL = SubscriberRole.CHANNEL
LONG = "".join(f"<p>Paragraph {n}. {'word ' * 60}</p>" for n in range(25))


@pytest.fixture
def reader(double):
    double.started.add(7)
    return 7


async def test_a_subscriber_gets_the_release_with_a_button(double, channel, letter, reader, now):
    (found,) = await channel().send([letter()], now)
    (seen,) = double.seen(7)
    assert seen["text"].startswith("Visas get cheaper")
    assert seen["keyboard"][0][0]["url"] == "https://press.example.org/en/releases/12-visas"
    assert found.address == "7"
    assert found.answer.pop("seals")
    assert found == Sent({"chat": 7, "messages": [seen["id"]], "parts": 1, "revision": 1, "lang": "en"}, "7")


async def test_what_was_withdrawn_on_its_way_is_not_sent(
    double, channel, letter, release, reader, tmp_path, site, texts, taxonomy, now
):
    about = replace(release(), state=State.WITHDRAWN, withdrawn_at=now)
    folder = FileTelegram(tmp_path, site=site, texts=texts, taxonomy=taxonomy)
    for sender in (channel(), folder):
        assert await sender.send([letter(about)], now) == [Refused("the release is not public")]
    assert (double.seen(7), list(tmp_path.iterdir())) == ([], [])


async def test_a_channel_gets_its_post_and_its_number_is_learned(double, channel, letter, now):
    double.channel("@news", -100123)
    (found,) = await channel().send([letter(address="https://t.me/news", role=CHANNEL)], now)
    assert found.address == "-100123"
    assert len(double.seen(-100123)) == 1


async def test_a_picture_is_shown_large_by_the_page_and_otherwise_nothing_is(
    double, channel, letter, release, reader, now
):
    await channel().send([letter(release(image=True)), letter(release(number=13), address="7")], now)
    first, second = double.seen(7)
    assert first["preview"] == {
        "url": "https://press.example.org/en/releases/12-visas",
        "prefer_large_media": True,
        "show_above_text": True,
    }
    assert second["preview"] == {"is_disabled": True}


@pytest.mark.parametrize(
    ("hour", "urgent", "quiet"),
    [(9, False, False), (19, False, True), (3, False, True), (4, False, False), (19, True, False)],
)
async def test_nights_are_quiet_unless_it_is_urgent(double, channel, letter, release, now, hour, urgent, quiet):
    double.channel("@news", -100123)  # Baku is four hours ahead of UTC
    await channel().send([letter(release(urgent=urgent), address="@news", role=CHANNEL)], now.replace(hour=hour))
    assert double.seen(-100123)[0]["silent"] is quiet


@pytest.mark.parametrize(
    ("fault", "kind", "seen"),
    [
        ({"kind": "flood", "retry_after": 40}, Later, 0),
        ({"kind": "refuse", "code": 403, "text": "Forbidden: bot was blocked by the user"}, Gone, 0),
        ({"kind": "refuse", "code": 403, "text": "Forbidden: user is deactivated"}, Gone, 0),
        ({"kind": "refuse", "code": 400, "text": "Bad Request: chat not found"}, Gone, 0),
        ({"kind": "migrate", "to": -100999}, Moved, 0),
        ({"kind": "502"}, Unknown, 0),
        ({"kind": "not_json"}, Unknown, 1),
        ({"kind": "proxy"}, Later, 0),
        ({"kind": "drop_before"}, Unknown, 0),
        ({"kind": "drop_after"}, Unknown, 1),
        ({"kind": "refuse", "code": 400, "text": "Bad Request: nonsense", "times": 2}, Refused, 0),
    ],
)
async def test_every_fault_has_its_outcome_and_nothing_is_said_twice(
    double, channel, letter, reader, now, fault, kind, seen
):
    double.fault(**fault)
    (found,) = await channel().send([letter()], now)
    assert isinstance(found, kind)
    assert len(double.seen(7)) == seen


async def test_a_server_that_falls_silent_is_unknown(double, channel, letter, reader, now):
    double.fault("stall")
    (found,) = await channel(total=0.2).send([letter()], now)
    assert isinstance(found, Unknown)


async def test_a_line_that_is_down_is_said_once_costs_no_attempt_and_is_tried_by_one_letter_at_a_time(
    double, channel, letter, reader, time, now, later
):
    sender = channel()
    letters = [replace(letter(), address=str(chat)) for chat in range(20, 26)]
    double.started.update(range(20, 26))
    await double.down()
    with capture_logs() as logs:
        assert sender.ready_at(now) is None
        for moment in (now, later(20), later(40)):
            found = await sender.send(letters, moment)
            assert {(type(one), one.counts) for one in found} == {(Later, False)}
            assert max(one.not_before for one in found) <= moment + timedelta(seconds=30)
            assert moment < sender.ready_at(moment) <= moment + timedelta(seconds=15)
        time.now += 60
        await double.up()
        assert sender.ready_at(later(60)) is None
        found = await sender.send(letters, later(60))
    assert {type(one) for one in found} == {Sent}
    assert [(one["log_level"], one["event"]) for one in logs] == [
        ("error", "telegram cannot be reached: messages wait, and go out when it can"),
        ("info", "telegram can be reached again: what waited goes out"),
    ]


async def test_one_broken_connection_holds_nobody_up(double, channel, letter, reader, now, later):
    sender = channel()
    await double.down()
    (found,) = await sender.send([letter()], now)
    await double.up()
    assert (found.counts, found.not_before, sender.ready_at(now)) == (False, later(5), None)
    assert isinstance((await sender.send([letter()], later(5)))[0], Sent)


async def test_what_blames_the_message_is_sent_once_more_as_plain_text(double, channel, letter, reader, now):
    double.fault("refuse", code=400, text="Bad Request: can't parse entities: x")
    (found,) = await channel().send([letter()], now)
    (seen,) = double.seen(7)
    assert isinstance(found, Sent)
    assert seen["html"] == ""
    assert "Read on the site: https://press.example.org/en/releases/12-visas" in seen["text"]


async def test_a_site_without_a_public_name_shows_its_address_in_words(double, channel, letter, site, reader, now):
    (found,) = await channel(site=replace(site, base_url="http://localhost:8080")).send([letter()], now)
    (seen,) = double.seen(7)
    assert isinstance(found, Sent)
    assert seen["keyboard"] == []
    assert "http://localhost:8080/en/releases/12-visas" in seen["text"]


async def test_a_second_attempt_goes_on_behind_the_parts_that_were_accepted(
    double, channel, letter, release, reader, now, later
):
    double.fault("flood", retry_after=40, skip=1)
    about = letter(release(urgent=True, body=LONG))
    sender = channel()
    (first,) = await sender.send([about], now)
    assert isinstance(first, Later)
    assert len(first.answer["messages"]) == 1
    kept = json.loads(json.dumps(first.answer))
    (second,) = await sender.send([replace(about, answer=kept, attempt=2)], later(41))
    assert isinstance(second, Sent)
    assert second.answer["messages"] == [one["id"] for one in double.seen(7)]
    assert len(double.seen(7)) == second.answer["parts"] == 3


@pytest.mark.parametrize("kind", ["drop_after", "cut", "502", "empty", "no_result", "strange"])
async def test_a_part_that_nobody_can_tell_of_keeps_no_other_from_going_out(
    double, channel, letter, release, reader, now, kind
):
    double.fault(kind, skip=1, done=True)
    (found,) = await channel().send([letter(release(urgent=True, body=LONG))], now)
    assert isinstance(found, Unknown)
    first, _, third = double.seen(7)
    assert found.answer["messages"] == [first["id"], third["id"]]


async def test_a_short_wait_is_waited_out_and_a_long_one_is_later(double, channel, letter, reader, now, time, later):
    sender = channel()
    for _ in range(3):
        await sender.send([letter()], now + timedelta(seconds=time.now))
    assert sum(time.slept) == pytest.approx(2, abs=0.01)
    pacer = Pacer()
    pacer.too_many(7, 30, now)
    (found,) = await channel(pacer=pacer).send([letter()], now)
    assert (found.not_before, found.counts) == (later(30), False)
    assert len(double.seen(7)) == 3


async def test_a_pause_outlives_a_restart(double, channel, letter, reader, now, pauses, later):
    double.fault("flood", retry_after=4000)
    await channel().send([letter()], now)
    assert pauses.kept == {"chat:7": later(4000)}
    (found,) = await channel(pacer=Pacer()).send([letter()], later(60))
    assert found == Later("Telegram asked for a pause", later(4000), counts=False)
    assert len([one for one in double.calls if one[0] == "sendMessage"]) == 1


async def test_two_chats_in_trouble_pause_everybody(double, channel, letter, now, pauses):
    double.started.update((7, 8, 9))
    double.fault("flood", retry_after=60, times=2)
    sender = channel()
    found = [(await sender.send([letter(address=str(chat))], now))[0] for chat in (7, 8, 9)]
    assert [type(one) for one in found] == [Later, Later, Later]
    assert BOT in pauses.kept
    assert len(double.calls) == 2


async def test_the_bot_says_until_when_nothing_can_go_so_that_nothing_is_claimed(
    double, channel, letter, now, later, line
):
    double.started.update((7, 8))
    sender = channel()
    assert sender.ready_at(now) is None
    double.fault("flood", retry_after=60, times=2)
    await sender.send([letter(address="7")], now)
    assert sender.ready_at(now) is None, "one chat's pause is no other chat's"
    await sender.send([letter(address="8")], now)
    assert sender.ready_at(now) == later(60)
    assert sender.ready_at(later(60)) is None


async def test_a_refused_token_says_until_when(channel, letter, now, later, line):
    sender = channel(bot=line(token="4242:wrong-and-secret"))
    await sender.send([letter()], now)
    assert sender.ready_at(now) == later(300)


@pytest.mark.parametrize("kind", ["empty", "no_result", "not_json"])
async def test_an_answer_without_a_result_is_unknown(double, channel, letter, reader, now, kind):
    double.fault(kind)
    (found,) = await channel().send([letter()], now)
    assert isinstance(found, Unknown)


async def test_a_database_that_is_away_makes_no_letter_unknown(double, channel, letter, reader, now, pauses):
    pauses.broken = True
    double.fault("flood")
    (found,) = await channel().send([letter()], now)
    assert isinstance(found, Later)


async def test_a_refused_token_holds_everything_and_is_never_written_to_the_log(
    double, channel, letter, now, line, capsys, caplog
):
    caplog.set_level(logging.DEBUG)
    sender = channel(bot=line(token="4242:wrong-and-secret"))
    found = await sender.send([letter(), letter(address="8")], now)
    assert [(type(one), one.counts) for one in found] == [(Later, False), (Later, False)]
    assert double.calls == []
    out = capsys.readouterr()
    assert "wrong-and-secret" not in out.out + out.err + caplog.text


async def test_a_channel_that_we_may_not_post_to_waits_for_its_administrator(double, channel, letter, now):
    double.channel("@news", -100123, may_post=False)
    sender, post = channel(), letter(address="@news", role=CHANNEL, created_at=now)
    with capture_logs() as logs:
        for moment in (now, now + timedelta(hours=71)):
            (found,) = await sender.send([post], moment)
            assert (isinstance(found, Later), found.counts) == (True, False)
    assert [(one["log_level"], one["chat"]) for one in logs] == [("error", "@news")]
    (found,) = await sender.send([post], now + timedelta(hours=73))
    assert isinstance(found, Refused), "nobody wants old news by the hundred when a right comes back"


@pytest.mark.parametrize("kind", [MessageKind.CONFIRMATION, MessageKind.FEED])
async def test_what_is_not_for_telegram_is_refused_with_a_reason(channel, letter, now, kind):
    (found,) = await channel().send([letter(kind=kind)], now)
    assert isinstance(found, Refused)
    assert kind.value in found.reason


async def test_closing_twice_is_harmless(channel):
    sender = channel()
    await sender.close()
    await sender.close()
    assert (sender.kind.value, sender.chunk) == ("telegram", 1)


@pytest.mark.parametrize(("per_second", "chunk"), [(1, 1), (25, 1), (50, 1), (100, 2), (1000, 20)])
def test_more_is_claimed_at_a_time_only_where_the_budget_needs_it(channel, per_second, chunk):
    assert channel(pacer=Pacer(per_second)).chunk == chunk


async def test_letters_of_one_chunk_go_side_by_side_and_each_has_its_own_outcome(double, channel, letter, now):
    double.started.update((7, 9))
    found = await channel().send([letter(address=str(chat)) for chat in (7, 8, 9)], now)
    assert [type(one) for one in found] == [Sent, Gone, Sent]
    assert [len(double.seen(chat)) for chat in (7, 8, 9)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-100123", -100123),
        ("7", 7),
        ("@news", "@news"),
        ("t.me/news", "@news"),
        ("https://t.me/news/", "@news"),
        ("x", "x"),
    ],
)
def test_an_address_is_a_number_or_a_name(written, read):
    assert chat_id(written) == read


async def test_without_a_token_messages_become_files(tmp_path, site, texts, taxonomy, letter, rules, now):
    folder = tmp_path / "deep" / "outbox"
    sender = FileTelegram(folder, site=site, texts=texts, taxonomy=taxonomy)
    for _ in range(2):
        (found,) = await sender.send([letter()], now)
        assert isinstance(found, Sent)
    (path,) = folder.iterdir()
    assert path.name == "telegram-00000005-1.json"
    call = json.loads(path.read_text())
    assert (call.pop("method"), call["chat_id"]) == ("sendMessage", 7)
    rules.decoded("sendMessage", call)
    rules.parsed(call["text"], call["parse_mode"])
    assert call["reply_markup"]["inline_keyboard"][0][0]["text"] == "Read on the site"


async def test_without_a_token_what_follows_becomes_files_too(
    tmp_path, site, texts, taxonomy, letter, release, rules, now
):
    options = ChatOptions(Options(Style(media="photo")))
    sender = FileTelegram(tmp_path, site=site, texts=texts, taxonomy=taxonomy, options=options)
    old = release(image=True)
    (found,) = await sender.send([letter(old)], now)
    earlier = (Earlier(5, MessageKind.RELEASE, found.answer, now),)
    new = replace(old.variants[0], revision=replace(old.variants[0].revision, number=2, major=1, note="The fee is 20."))
    about = letter(replace(old, variants=(new,), change=2), kind=MessageKind.CORRECTION, delivery=6)
    (found,) = await sender.send([replace(about, earlier=earlier, notes=("The fee is 20.",))], now)
    gone = replace(old, state=State.WITHDRAWN, withdrawn_at=now)
    earlier += (Earlier(6, MessageKind.CORRECTION, found.answer, now),)
    await sender.send([replace(letter(gone, kind=MessageKind.WITHDRAWAL, delivery=7), earlier=earlier)], now)
    calls = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert [call.pop("method") for call in calls] == [
        "sendPhoto",
        "editMessageCaption",
        "sendMessage",
        "deleteMessage",
        "deleteMessage",
        "sendMessage",
    ]
    shown, edited, reply, copy, word, _ = calls
    assert shown["photo"] == "https://press.example.org/media/a.jpg"
    assert [edited["message_id"], copy["message_id"], reply["reply_parameters"]["message_id"]] == [501] * 3
    assert word["message_id"] == 602
    for method, call in zip(("editMessageCaption", "sendMessage", "deleteMessage"), (edited, reply, copy), strict=True):
        rules.decoded(method, call)


async def test_a_folder_that_cannot_be_written_is_later(tmp_path, site, texts, taxonomy, letter, now):
    (tmp_path / "file").write_text("")
    sender = FileTelegram(tmp_path / "file", site=site, texts=texts, taxonomy=taxonomy)
    (found,) = await sender.send([letter()], now)
    assert isinstance(found, Later)
