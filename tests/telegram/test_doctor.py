"""The doctor asks Telegram who the bot is and where it may post, in one line each, and changes nothing."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime, timedelta

import pytest

from bots.telegram.doctor import telegram_questions
from config.settings import TelegramSettings


@pytest.fixture
def ask(double):
    """Asks everything; an answer, or the error that was raised, for each question."""

    async def asked(*chats, off=timedelta(), **values):
        given = {"token": double.token, "api_root": double.url, "channels": [{"chat": chat} for chat in chats]}
        questions = telegram_questions(TelegramSettings(**(given | values)), lambda: datetime.now(UTC) + off)
        found = {}
        for name, question in questions:
            try:
                found[name] = await question()
            except (OSError, ValueError) as error:
                found[name] = error
        for said in found.values():
            assert double.token not in str(said)
            assert "\n" not in str(said)
        return found

    return asked


async def test_a_bot_that_may_post_is_told_so_and_nothing_is_sent(ask, double):
    double.channel("@press", -100)
    double.channel("@group", -200, kind="supergroup", member={"status": "member"})
    double.channel("@owned", -300, member={"status": "creator"})
    double.say(7, "/start")
    waiting = double.pending
    assert await ask("@press", "https://t.me/press", "-200", "@owned", "7") == {
        "telegram bot": "@press_double_bot answers, our clock agrees",
        "telegram @press": "the bot may post in the channel “Press office”",
        "telegram https://t.me/press": "the bot may post in the channel “Press office”",
        "telegram -200": "the bot may post in the supergroup “Press office”",
        "telegram @owned": "the bot may post in the channel “Press office”",
        "telegram 7": "a private chat with Aysel",
    }
    assert {method for method, _ in double.calls} == {"getMe", "getChat", "getChatMember"}
    assert double.pending == waiting


@pytest.mark.parametrize(
    ("kind", "member", "says"),
    [
        ("channel", {"status": "administrator", "can_post_messages": False}, "has no right to post messages"),
        ("channel", {"status": "administrator"}, "has no right to post messages"),
        ("channel", {"status": "member"}, "in a channel as an administrator"),
        ("channel", {"status": "left"}, "in a channel as an administrator"),
        ("supergroup", {"status": "left"}, "may not write there (it is: left)"),
        ("supergroup", {"status": "kicked", "until_date": 0}, "may not write there (it is: kicked)"),
        ("group", {"status": "restricted", "is_member": True, "can_send_messages": False}, "may not write there"),
        ("group", {"status": "restricted", "is_member": False, "can_send_messages": True}, "may not write there"),
    ],
)
async def test_a_bot_that_may_not_post_is_told_what_to_do(ask, double, kind, member, says):
    double.channel("@press", -100, kind=kind, member=member)
    found = (await ask("@press"))["telegram @press"]
    assert isinstance(found, (OSError, ValueError))
    assert says in str(found)


async def test_a_chat_that_is_not_there_is_named(ask):
    found = (await ask("@nowhere"))["telegram @nowhere"]
    assert "chat not found" in str(found)


async def test_a_wrong_token_is_told_without_being_shown(ask):
    found = (await ask(token="4242:another-token"))["telegram bot"]
    assert isinstance(found, ValueError)
    assert str(found) == "the token is refused (Unauthorized); check telegram.token"


@pytest.mark.parametrize(("minutes", "way"), [(5, "ahead"), (-5, "behind")])
async def test_a_clock_that_is_wrong_is_told_by_how_much(ask, minutes, way):
    found = str((await ask(off=timedelta(minutes=minutes)))["telegram bot"])
    assert re.match(rf"our clock is (29[89]|30[012]) s {way}: .*set the clock", found), found


async def test_a_closed_port_a_proxy_and_a_broken_line_are_one_line_each(ask, double):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{closed.getsockname()[1]}"
        found = (await ask(api_root=root))["telegram bot"]
    assert str(found).startswith("127.0.0.1: cannot be reached: ")
    for fault, says in (
        ("proxy", "HTTP 403 from something that is not the Bot API"),
        ("not_json", "is not the Bot API"),
        ("drop_before", "cannot be reached"),
    ):
        double.fault(fault, method="getMe")
        assert says in str((await ask())["telegram bot"])
    assert "cannot be reached" in str((await ask(api_root="no address"))["telegram bot"])


def test_without_a_token_nothing_is_asked():
    assert telegram_questions(TelegramSettings(channels=({"chat": "@press"},)), lambda: datetime.now(UTC)) == []
