"""People talk to the bot: through long polling, the real library and the double."""

from __future__ import annotations

import asyncio
import json
import logging

import aiohttp
import pytest
from aiohttp import web
from telegram.error import InvalidToken, NetworkError

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.screens import Press, pressed
from syndicator.domain.deeplink import topic_key
from syndicator.domain.filters import Filter
from syndicator.domain.topics import Taxonomy

WORDS = {
    "az": ("Azərbaycan", "Vizalar", "Hazırdır", "Bütün mövzular", "abunə"),
    "en": ("English", "Visas", "Done", "All topics", "subscribed"),
    "ru": ("Русский", "Визы", "Готово", "Все темы", "подписаны"),
}


@pytest.fixture
async def talk(double, bot):
    """One exchange: something happens, and the bot has dealt with it."""
    await bot()
    await double.until(lambda: any(method == "getUpdates" for method, _ in double.calls))

    async def done(update):
        await double.until(lambda: update not in double.pending)
        await double.until(lambda: all(one["update_id"] > update["update_id"] for one in double.pending))

    return done


def labels(message):
    return [button["text"] for row in message["keyboard"] for button in row]


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_three_taps_from_start_to_subscribed(double, talk, chats, lang):
    language, topic, done, _, subscribed = WORDS[lang]
    await talk(double.say(7, "/start", language="de"))
    (screen,) = double.seen(7)
    assert all(name in labels(screen) for name in ("Azərbaycan", "English", "Русский"))
    await talk(double.tap(7, language))
    await talk(double.tap(7, topic))
    await talk(double.tap(7, done))
    (screen,) = double.seen(7)
    assert chats.people[7].filter == Filter(topics=("visas",))
    assert chats.people[7].language == lang
    assert subscribed in screen["text"]
    assert topic in screen["text"]
    assert len(double.answered) == 3
    assert chats.consents[-1].source == "telegram"


async def test_ticks_show_in_place_and_pressing_twice_changes_nothing_more(double, talk, chats):
    await talk(double.say(7, "/topics", language="en"))
    first = double.tap(7, "Visas")
    again = double.tap(7, "", data=first["callback_query"]["data"])
    await talk(again)
    (screen,) = double.seen(7)
    assert "✅ · Visas" in labels(screen)
    assert chats.people[7].filter == Filter(topics=("visas",))
    await talk(double.tap(7, "Refugees"))
    assert chats.people[7].filter == Filter(topics=("visas", "refugees"))
    await talk(double.tap(7, "Visas"))
    await talk(double.tap(7, "Refugees"))
    assert chats.people[7].filter is None


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_all_topics_takes_everything_and_a_topic_narrows_it(double, talk, chats, lang):
    _, topic, _, everything, _ = WORDS[lang]
    await talk(double.say(7, "/topics", language=lang))
    await talk(double.tap(7, everything))
    assert chats.people[7].filter == Filter()
    await talk(double.tap(7, topic))
    assert chats.people[7].filter == Filter(topics=("visas",))


async def test_a_topic_covers_its_children_on_the_screen(double, talk):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "Entry and stay"))
    assert labels(double.seen(7)[0])[1:3] == ["✅ Entry and stay", "☑️ · Visas"]


async def test_a_deep_link_ticks_its_topic(double, talk, chats):
    await talk(double.say(7, "/start visas"))
    await talk(double.tap(7, "English"))
    assert "✅ · Visas" in labels(double.seen(7)[0])
    assert chats.people[7].filter == Filter(topics=("visas",))


@pytest.mark.parametrize("payload", ["nothing", "'; drop", "all", "x" * 64])
async def test_a_deep_link_to_nothing_is_a_plain_start(double, talk, chats, payload):
    await talk(double.say(7, f"/start {payload}"))
    await talk(double.tap(7, "English"))
    assert chats.people[7].filter is None


@pytest.mark.parametrize(("lang", "said"), [("az", "dayandırıldı"), ("en", "unsubscribed"), ("ru", "отписались")])
async def test_stop_ends_everything_at_once(double, talk, chats, lang, said):
    await talk(double.say(7, "/topics", language=lang))
    await talk(double.tap(7, WORDS[lang][1]))
    await talk(double.say(7, "/stop", language=lang))
    assert chats.people[7].filter is None
    assert said in double.seen(7)[-1]["text"]
    await talk(double.say(7, "/stop", language=lang))


async def test_the_language_can_be_changed(double, talk, chats):
    await talk(double.say(7, "/language", language="az"))
    await talk(double.tap(7, "Русский"))
    assert chats.people[7].language == "ru"
    await talk(double.say(7, "/help"))
    assert "/topics — выбрать темы" in double.seen(7)[-1]["text"]


async def test_what_is_not_understood_gets_help(double, talk):
    await talk(double.say(7, "salam", language="en"))
    assert "/stop" in double.seen(7)[0]["text"]


async def test_groups_are_passed_over_in_silence(double, talk):
    await talk(double.say(-5, "/start", kind="group"))
    assert not [one for one in double.calls if one[0] == "sendMessage"]


async def test_blocking_pauses_and_start_brings_the_topics_back(double, talk, chats):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "Visas"))
    await talk(double.block(7))
    assert chats.people[7].paused
    await talk(double.say(7, "/start"))
    assert not chats.people[7].paused
    assert chats.people[7].filter == Filter(topics=("visas",))


@pytest.mark.parametrize("data", ["", "x", "t:+:0:nothing", "s:xx:0:", "z:::", "t:+:999:visas", "☃" * 10])
async def test_strange_buttons_are_answered_and_do_no_harm(double, talk, data):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "", data=data or "?"))
    assert len(double.answered) == 1


async def test_a_screen_that_is_gone_is_sent_anew(double, talk):
    await talk(double.say(7, "/topics", language="en"))
    double.fault("refuse", method="editMessageText", code=400, text="Bad Request: message to edit not found")
    await talk(double.tap(7, "Visas"))
    assert len(double.seen(7)) == 2


@pytest.mark.parametrize(
    ("spoken", "said"),
    [("az", "Bizdə nasazlıq"), ("en", "Something went wrong"), ("ru", "У нас"), ("de", "Bizdə nasazlıq")],
)
async def test_our_own_fault_is_said_in_the_persons_language(double, talk, chats, spoken, said):
    chats.broken = True
    await talk(double.say(7, "/topics", language=spoken))
    assert double.seen(7)[0]["text"].startswith(said)


async def test_our_own_fault_is_said_in_the_chosen_language(double, talk, chats, monkeypatch):
    await talk(double.say(7, "/language", language="az"))
    await talk(double.tap(7, "Русский"))

    async def broken(*args, **kwargs):
        raise RuntimeError("the database is away")

    monkeypatch.setattr(chats, "choose", broken)
    await talk(double.say(7, "/stop", language="az"))
    assert double.seen(7)[-1]["text"].startswith("У нас")


async def test_after_our_own_fault_the_bot_answers_again(double, talk, chats):
    chats.broken = True
    await talk(double.say(7, "/topics"))
    chats.broken = False
    await talk(double.say(7, "/topics"))
    assert len(double.seen(7)) == 2


async def test_menu_and_descriptions_are_set_in_every_language_once(double, talk, bot):
    await talk(double.say(7, "/help"))
    assert {"Commands:az", "Commands:ru", "Commands:en", "Commands:", "Description:ru"} <= set(double.settings)
    writes = [one for one in double.calls if one[0].startswith("setMy")]
    assert len(writes) == 12


async def test_a_second_poller_is_one_line_and_the_bot_comes_back(double, bot, capsys, monkeypatch):
    monkeypatch.setattr("bots.telegram.app._LONGEST_WAIT", 0.05)
    double.fault(
        "refuse", method="getUpdates", code=409, text="Conflict: terminated by other getUpdates request", times=3
    )
    await bot()
    await double.until(lambda: sum(method == "getUpdates" for method, _ in double.calls) > 3)
    double.say(7, "/help")
    await double.until(lambda: double.seen(7))
    out = capsys.readouterr().out
    assert out.count("another program polls") == 1
    assert "telegram answers again" in out


async def test_one_broken_long_poll_is_nothing_to_tell_and_two_are_one_line(double, bot, capsys, monkeypatch):
    monkeypatch.setattr("bots.telegram.app._LONGEST_WAIT", 0.01)
    double.fault("drop_before", method="getUpdates")
    await bot()
    double.say(7, "/help")
    await double.until(lambda: double.seen(7))
    assert "cannot be reached" not in capsys.readouterr().out
    double.fault("502", method="getUpdates", times=3)
    double.say(7, "/help")
    double.say(7, "/help")
    await double.until(lambda: double.faults[-1]["times"] == 0 and not double.pending)
    assert capsys.readouterr().out.count("cannot be reached") == 1


async def test_a_refused_token_is_one_line_without_the_token_and_stops_nothing(double, bot, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    double.token = "4242:another"
    running = await bot(token="4242:wrong-and-secret")
    for _ in range(200):
        if running._trouble:
            break
        await asyncio.sleep(0.01)
    out = capsys.readouterr()
    assert "refuses the bot's token" in out.out
    assert "wrong-and-secret" not in out.out + out.err + caplog.text
    await running.stop()
    await running.stop()


@pytest.mark.parametrize("kind", ["empty", "no_result", "strange", "not_json"])
@pytest.mark.parametrize("method", ["getMe", "deleteWebhook", "getMyCommands", "getUpdates"])
async def test_answers_that_make_no_sense_are_said_once_and_survived(double, bot, capsys, monkeypatch, method, kind):
    monkeypatch.setattr("bots.telegram.app._LONGEST_WAIT", 0.01)
    double.fault(kind, method=method, times=4)
    running = await bot()
    await double.until(lambda: any(name == "getUpdates" for name, _ in double.calls))
    double.say(7, "/help")
    await double.until(lambda: double.seen(7))
    out = capsys.readouterr().out
    assert sum(out.count(words) for words in ("cannot be understood", "cannot be reached", "could not be set")) <= 1
    assert double.token not in out
    assert not running._task.done()


async def test_an_outage_of_hours_ends_nothing(bot, capsys):
    running = await bot()
    for error in (NetworkError("away"), KeyError("result"), RuntimeError("4242:double-secret-token")):
        assert running._worried(error, 5000) == 30
    assert "double-secret" not in capsys.readouterr().out


async def test_a_fault_behind_which_stands_the_librarys_own_error_does_not_tell_the_token(
    double, bot, capsys, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    running = await bot()
    await double.until(lambda: any(name == "getUpdates" for name, _ in double.calls))
    await running.stop()

    async def fails():
        error = OverflowError("34, 'Numerical result out of range'")
        error.__context__ = InvalidToken(f"The token `{double.token}` was rejected by the server.")
        raise error

    monkeypatch.setattr(running, "_until_done", lambda _: fails())
    await running._run()
    out = capsys.readouterr()
    assert "OverflowError at test_dialogue.py" in out.out
    assert "double-secret" not in out.out + out.err + caplog.text


async def test_updates_are_confirmed_when_the_bot_stops(double, bot):
    running = await bot()
    double.say(7, "/help")
    await double.until(lambda: double.seen(7))
    await running.stop()
    assert double.pending == []


@pytest.fixture
async def hook(double, bot):
    running = await bot(mode="webhook", webhook_secret="s3cret-s3cret")
    await double.until(lambda: running._ready)
    app = web.Application()
    app.add_routes(running.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/telegram/webhook"
    async with aiohttp.ClientSession() as session:

        async def post(body, secret="s3cret-s3cret"):
            async with session.post(url, data=body, headers={"X-Telegram-Bot-Api-Secret-Token": secret}) as answer:
                return answer.status

        yield post
    await runner.cleanup()


async def test_a_webhook_call_with_our_secret_is_handled_once(double, hook):
    assert double.webhook["url"] == "https://press.example.org/telegram/webhook"
    assert double.webhook["secret_token"] == "s3cret-s3cret"
    body = json.dumps(double.say(7, "/help"))
    assert [await hook(body), await hook(body)] == [200, 200]
    assert len(double.seen(7)) == 1


@pytest.mark.parametrize(
    ("body", "secret", "status"),
    [
        ("{}", "wrong", 403),
        ("{}", "", 403),
        ("no", "s3cret-s3cret", 400),
        ("[]", "s3cret-s3cret", 400),
        ("x" * 1_000_001, "s3cret-s3cret", 413),
    ],
)
async def test_a_webhook_call_that_is_not_telegrams_is_turned_away(hook, body, secret, status):
    assert await hook(body, secret) == status


def test_every_button_of_a_large_topic_file_fits_in_64_bytes(texts, rules):
    rows = [{"slug": f"t{n}" + "x" * (n % 60), "name": {"en": "N" * 200}} for n in range(45)]
    boxes = Boxes(None, Taxonomy.from_mapping({"topic": rows}))
    for page in range(4):
        screen = boxes.screen(texts("en"), Filter(), page)
        markup = screen.keyboard.to_dict()
        rules.check_keyboard(markup)
        assert sum(len(row) for row in markup["inline_keyboard"]) <= 100
    assert all(boxes.slug(topic_key(row["slug"])) == row["slug"] for row in rows)


def test_a_press_survives_its_text():
    for press in (Press("t", "+", 2, "visas"), Press("d"), Press("s", "az", 0, "x" * 40)):
        assert pressed(str(press)) == press
