"""How the bot hears people, by polling and by webhook, and what the operator learns of trouble on the line."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from telegram.error import InvalidToken, NetworkError
from yarl import URL

SECRET = "s3cret-s3cret"
HOOK = "/telegram/webhook"


class Hours:
    """The bot's time: it passes only when the bot waits, and no real time does."""

    def __init__(self, now):
        self.now, self.slept = now, []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0.005)


@pytest.fixture
def hours(now):
    return Hours(now)


@pytest.fixture
def bot_time(hours):
    return {"clock": hours.clock, "sleep": hours.sleep}


def polls(double):
    return len(double.made("getUpdates"))


async def heard(double, chat=7):
    """A person writes and is answered."""
    before = len(double.seen(chat))
    double.say(chat, "/help")
    await double.until(lambda: len(double.seen(chat)) > before)


# -- polling
async def test_menu_and_descriptions_are_set_in_every_language_once(double, bot):
    await (await settled(double, await bot())).stop()
    assert {"Commands:az", "Commands:ru", "Commands:en", "Commands:", "Description:ru"} <= set(double.settings)
    assert sum(method.startswith("setMy") for method, _ in double.calls) == 12
    await settled(double, await bot(), asked=8)
    assert sum(method.startswith("setMy") for method, _ in double.calls) == 12


async def settled(double, running, asked=4):
    await double.until(lambda: len(double.made("getMyShortDescription")) == asked and len(double.settings) == 12)
    return running


async def test_a_second_poller_is_one_line_however_often_it_takes_its_turn(double, bot, hours, capsys):
    for _ in range(4):  # it polls, we are told; then we have our turn
        double.fault("refuse", method="getUpdates", code=409, text="Conflict: terminated by other getUpdates request")
        double.fault("empty", method="getUpdates", times=0)
    await bot()
    await double.until(lambda: polls(double) > 4)
    await heard(double)
    assert capsys.readouterr().out.count("another program polls") == 1
    assert hours.slept == [30] * 4
    hours.now += timedelta(minutes=6)
    await heard(double)
    await double.until(lambda: not double.pending)
    assert "telegram answers again" in capsys.readouterr().out


async def test_two_bots_on_one_token_are_told_to_both_operators_and_both_services_go_on(double, bot, capsys):
    first = await bot()
    await double.until(lambda: polls(double))
    second = await bot()
    await double.until(lambda: polls(double) > 4)
    assert "another program polls" in first.trouble or "another program polls" in second.trouble
    await heard(double)
    assert capsys.readouterr().out.count("another program polls") <= 2


async def test_a_webhook_that_somebody_set_is_taken_away_and_told(double, bot, capsys):
    await bot()
    await heard(double)
    await double.updates.set({"url": "https://elsewhere.example.org/hook"})
    double.say(7, "/help")
    await double.until(lambda: len(double.seen(7)) == 2)
    assert double.webhook == {}
    assert capsys.readouterr().out.count("somebody had set a webhook") == 1


async def test_a_webhook_from_before_is_taken_away_at_the_start(double, bot):
    await double.updates.set({"url": "https://elsewhere.example.org/hook"})
    await bot()
    await heard(double)
    assert double.webhook == {}


async def test_one_broken_long_poll_is_nothing_to_tell_and_two_are_one_line(double, bot, capsys):
    double.fault("drop_before", method="getUpdates")
    await bot()
    await heard(double)
    assert "cannot be reached" not in capsys.readouterr().out
    double.fault("502", method="getUpdates", times=3)
    double.say(7, "/help")
    double.say(7, "/help")
    await double.until(lambda: double.faults[-1].times == 0 and not double.pending)
    assert capsys.readouterr().out.count("cannot be reached") == 1


async def test_a_server_that_is_down_for_a_while_is_one_line_and_then_one_more(double, bot, capsys):
    await bot()
    await heard(double)
    await double.down()
    for _ in range(200):
        if "cannot be reached" in (out := capsys.readouterr().out):
            break
        await asyncio.sleep(0.01)
    await double.up()
    await heard(double)
    out += capsys.readouterr().out
    assert out.count("cannot be reached") == 1
    assert out.count("telegram answers again") == 1


async def test_a_slow_handler_holds_up_nobody_but_its_own_chat(double, bot, chats, monkeypatch):
    gate = asyncio.Event()
    real = chats.chat

    async def slow(chat, **values):
        if chat == 7:
            await gate.wait()
        return await real(chat, **values)

    monkeypatch.setattr(chats, "chat", slow)
    monkeypatch.setattr("bots.telegram.polling.QUICK", 0.03)
    await bot()
    first = double.say(7, "/help", language="en")
    double.say(7, "/language", language="en")
    for person in range(8, 14):
        await heard(double, person)
    assert double.seen(7) == []
    assert double.pending[0] == first  # not confirmed: after a crash it would come again
    gate.set()
    await double.until(lambda: len(double.seen(7)) == 2 and not double.pending)
    assert "/stop" in double.seen(7)[0]["text"]  # in the order in which they were said


async def test_a_slow_handler_makes_nobody_ask_telegram_in_a_hurry(double, bot, chats, monkeypatch):
    gate = asyncio.Event()

    async def slow(*_, **__):
        await gate.wait()

    monkeypatch.setattr(chats, "chat", slow)
    await bot()
    double.say(7, "/help")
    await double.until(lambda: polls(double) >= 2)
    double.updates._waiting.clear()  # another program with our token has confirmed it
    before = polls(double)
    await asyncio.sleep(0.2)
    assert polls(double) - before <= 2
    gate.set()


async def test_what_takes_too_long_is_given_up_and_told(double, bot, chats, monkeypatch, capsys):
    monkeypatch.setattr("bots.telegram.desk.LONGEST", 0.02)
    real = chats.chat

    async def stuck(chat, **values):
        if chat == 7:
            await asyncio.Event().wait()
        return await real(chat, **values)

    monkeypatch.setattr(chats, "chat", stuck)
    await bot()
    double.say(7, "/help")
    await heard(double, 8)
    await double.until(lambda: not double.pending)
    assert capsys.readouterr().out.count("an update could not be handled") == 1


async def test_what_was_handled_and_not_confirmed_when_the_process_died_comes_again(double, bot, chats, monkeypatch):
    running = await bot()
    double.fault("stall_before", method="getUpdates", skip=1)  # it hears the update, and never gets to say so
    double.say(7, "/help")
    await double.until(lambda: double.seen(7) and double.faults[0].times == 0)
    monkeypatch.setattr(running._polling, "_confirm", nothing)  # a process that dies says no farewell
    await running.stop()
    assert len(double.pending) == 1
    await bot()
    await double.until(lambda: len(double.seen(7)) == 2 and not double.pending)
    assert len(chats.people) == 1


async def nothing(_):
    return None


async def test_updates_are_confirmed_when_the_bot_stops(double, bot):
    running = await bot()
    await heard(double)
    await running.stop()
    assert double.pending == []
    await running.stop()


async def test_what_is_older_than_a_day_is_gone_and_the_bot_hears_what_came_after(double, bot):
    double.say(7, "/help")
    double.pass_time(hours=25)
    double.say(8, "/help")
    await bot()
    await double.until(lambda: double.seen(8) and not double.pending)
    assert double.seen(7) == []


async def test_a_button_that_was_pressed_hours_ago_still_does_its_work(double, bot, chats):
    await bot()
    double.say(7, "/language", language="az")
    await double.until(lambda: double.seen(7))
    double.tap(7, "English")
    double.pass_time(hours=1)  # too late to be answered
    await double.until(lambda: not double.pending)
    assert double.answered == []
    assert chats.people[7].language == "en"


# -- trouble
async def test_a_refused_token_is_one_line_without_the_token_and_stops_nothing(double, bot, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    double.token = "4242:another"
    running = await bot(token="4242:wrong-and-secret")
    for _ in range(200):
        if running.trouble:
            break
        await asyncio.sleep(0.01)
    out = capsys.readouterr()
    assert "refuses the bot's token" in out.out
    assert "wrong-and-secret" not in out.out + out.err + caplog.text


@pytest.mark.parametrize("kind", ["empty", "no_result", "strange", "not_json"])
@pytest.mark.parametrize("method", ["getMe", "deleteWebhook", "getMyCommands", "getUpdates"])
async def test_answers_that_make_no_sense_are_said_once_and_survived(double, bot, capsys, method, kind):
    double.fault(kind, method=method, times=4)
    running = await bot()
    await heard(double)
    out = capsys.readouterr().out
    assert sum(out.count(words) for words in ("cannot be understood", "cannot be reached", "could not be set")) <= 1
    assert double.token not in out
    assert not running._task.done()


async def test_an_outage_of_hours_ends_nothing(bot, capsys):
    running = await bot()
    for error in (NetworkError("away"), KeyError("result"), RuntimeError("4242:double-secret-token")):
        assert running._trouble.begins(error, 5000) == 30
    assert "double-secret" not in capsys.readouterr().out


async def test_a_fault_behind_which_stands_the_librarys_own_error_does_not_tell_the_token(
    double, bot, capsys, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    running = await bot()
    await double.until(lambda: polls(double))
    await running.stop()

    async def fails():
        error = OverflowError("34, 'Numerical result out of range'")
        error.__context__ = InvalidToken(f"The token `{double.token}` was rejected by the server.")
        raise error

    monkeypatch.setattr(running, "_until_done", lambda _: fails())
    await running._run()
    out = capsys.readouterr()
    assert "OverflowError at test_listening.py" in out.out
    assert "double-secret" not in out.out + out.err + caplog.text


async def test_answers_do_not_wait_for_the_connections_of_a_broadcast(double, bot, letter, pauses, now):
    running = await bot()
    await heard(double)
    pool = running._requests[1]._pool
    double.fault("stall", method="sendMessage", times=pool, chat=9)
    double.started.add(9)
    stalled = [asyncio.create_task(running.sender.send_message(9, "x")) for _ in range(pool + 4)]
    await double.until(lambda: sum(one.get("chat_id") == 9 for one in double.made("sendMessage")) == pool)
    await heard(double)
    for task in stalled:
        task.cancel()
    await asyncio.gather(*stalled, return_exceptions=True)


# -- the bot's place in the office's chats
ADMINISTRATOR = {"status": "administrator", "can_post_messages": True}


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ({"status": "left"}, "is no administrator"),
        ({"status": "kicked"}, "is no administrator"),
        ({"status": "administrator", "can_post_messages": False}, "has no right to post messages"),
    ],
)
async def test_a_bot_that_loses_its_channel_says_so_at_once_and_once(double, bot, capsys, member, says):
    double.channel("@press", -1001)
    double.channel("@other", -1002)
    back = []

    async def reopened(chats):
        back.append(set(chats))

    (await bot(channels=[{"chat": "https://t.me/Press"}]))._standing._reopened = reopened
    await double.until(lambda: polls(double))
    double.rights("@press", member)
    double.rights("@other", member)
    await double.until(lambda: not double.pending)
    out = capsys.readouterr().out
    assert out.count("cannot go out any more") == 1
    assert "@press" in out
    assert says in out
    assert back == []
    double.rights("@press", ADMINISTRATOR)
    await double.until(lambda: not double.pending)
    assert "may post in a chat of the configuration again" in capsys.readouterr().out
    assert back == [{"@press", "-1001"}], "what waited there is told to go out"


# -- webhook
@pytest.fixture
async def served():
    """Serves routes on this machine; gives the address."""
    runners = []

    async def made(routes):
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        where = web.TCPSite(runner, "127.0.0.1", 0)
        await where.start()
        return f"http://127.0.0.1:{where._server.sockets[0].getsockname()[1]}"

    yield made
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def hooked(double, bot, served):
    """A bot that Telegram calls."""
    running = await bot(mode="webhook", webhook_secret=SECRET)
    double.updates.lead("https://press.example.org", await served(running.routes()))
    await double.until(lambda: double.webhook and running._webhook.open)
    return running


async def test_a_webhook_hears_people_in_order_and_each_update_once(double, hooked):
    assert double.webhook["url"] == f"https://press.example.org{HOOK}"
    assert double.webhook["secret_token"] == SECRET
    for text in ("/help", "/language", "/help"):
        double.say(7, text, language="en")
    await double.until(lambda: not double.pending)
    assert ["/stop" in one["text"] for one in double.seen(7)] == [True, False, True]
    assert [status for _, status in double.updates.sent] == [200, 200, 200]
    assert polls(double) == 0


async def test_a_call_that_is_repeated_while_the_first_goes_on_is_handled_once(double, hooked, chats, monkeypatch):
    gate = asyncio.Event()
    real = chats.chat

    async def slow(chat, **values):
        await gate.wait()
        return await real(chat, **values)

    monkeypatch.setattr(chats, "chat", slow)
    monkeypatch.setattr("bots.telegram.webhook.PATIENCE", 0.02)
    waits = []

    async def nap(seconds):
        waits.append(seconds)
        gate.set() if len(waits) == 3 else None
        await asyncio.sleep(0.01)

    double.updates.sleep = nap
    double.say(7, "/help")
    await double.until(lambda: not double.pending)
    assert len(double.seen(7)) == 1
    assert [status for _, status in double.updates.sent] == [503, 503, 503, 200]
    assert waits == [5, 5, 5]


async def test_what_came_while_the_service_was_down_is_brought_when_it_is_up(double, bot, served):
    first = await bot(mode="webhook", webhook_secret=SECRET)
    await double.until(lambda: double.webhook)
    await first.stop()
    double.updates.sleep = lambda _: asyncio.sleep(0.01)
    double.updates.lead("https://press.example.org", await served(first.routes()))
    double.say(7, "/help")
    await double.until(lambda: double.updates.sent)
    assert double.updates.sent[0][1] == 503
    double.pass_time(2)
    second = await bot(mode="webhook", webhook_secret=SECRET)
    await double.until(lambda: second._webhook.open)
    double.updates._doors.clear()
    double.updates.lead("https://press.example.org", await served(second.routes()))
    await double.until(lambda: double.seen(7))


async def test_another_program_that_takes_the_webhook_is_told_and_ours_is_set_again(double, hooked, capsys):
    double.pass_time(2)
    await double.updates.set({"url": "https://elsewhere.example.org/hook"})
    double.pass_time(2)
    await double.until(lambda: double.webhook.get("url", "").startswith("https://press"))
    assert "another program took this bot's webhook away" in capsys.readouterr().out


async def test_what_telegram_says_of_failed_calls_reaches_the_operator_once(double, hooked, capsys):
    double.updates._error = (int(double.clock()), "Wrong response from the webhook: 502 Bad Gateway")
    asked = len(double.made("getWebhookInfo"))
    await double.until(lambda: len(double.made("getWebhookInfo")) > asked + 3)
    assert capsys.readouterr().out.count("502 Bad Gateway") == 1


@pytest.mark.parametrize(
    ("body", "secret", "status"),
    [
        ("{}", "wrong", 403),
        ("{}", "", 403),
        ("no", SECRET, 400),
        ("[]", SECRET, 400),
        ("x" * 1_000_001, SECRET, 413),
    ],
)
async def test_a_webhook_call_that_is_not_telegrams_is_turned_away(double, hooked, body, secret, status):
    url = double.updates._doors["https://press.example.org"] + HOOK
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == status


@pytest.mark.parametrize(("body", "status"), [("no", 400), ('{"update_id": "x"}', 400), ("unreadable", 200)])
async def test_a_call_with_our_secret_that_cannot_be_read_is_one_line_and_never_comes_again(
    double, hooked, capsys, body, status
):
    double.updates._doors, url = {}, double.updates._doors["https://press.example.org"] + HOOK
    update = double.say(7, "/help")
    update["message"]["date"] = 1e30
    body = json.dumps(update) if body == "unreadable" else body
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    capsys.readouterr()
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == status
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "telegram:" in one]
    assert "no update" in line or "cannot be read" in line
    assert "Traceback" not in line


async def test_a_secret_that_is_no_text_is_a_wrong_one(double, hooked, capsys):
    door = URL(double.updates._doors["https://press.example.org"])
    reader, writer = await asyncio.open_connection(door.host, door.port)
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"
    writer.write(head.encode() + b"X-Telegram-Bot-Api-Secret-Token: \xff\xfe\r\n\r\n{}")
    assert (await reader.readline()).split()[1] == b"403"
    writer.close()
    await writer.wait_closed()
    assert "Traceback" not in capsys.readouterr().out


async def test_a_webhook_call_with_our_secret_is_handled_once(double, hooked):
    double.updates._doors, url = {}, double.updates._doors["https://press.example.org"] + HOOK
    body = json.dumps(double.say(7, "/help"))
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200
    assert len(double.seen(7)) == 1
