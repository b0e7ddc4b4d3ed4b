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

    async def asked(*chats, off=timedelta(), base_url="https://press.example.org", **values):
        channels = [chat if isinstance(chat, dict) else {"chat": chat} for chat in chats]
        given = {"token": double.token, "api_root": double.url, "channels": channels, **values}
        questions = telegram_questions(TelegramSettings(**given), lambda: datetime.now(UTC) + off, base_url)
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
    found = await ask("@press", "https://t.me/press/", "-200", "@owned", "7")
    assert found.pop("telegram bot").startswith("@press_double_bot answers, our clock agrees; ")
    assert str(found.pop("telegram channels")).startswith("https://t.me/press/ is the same place as @press: ")
    assert found == {
        "telegram webhook": "none, as polling wants; 1 updates wait",
        "telegram @press": "the bot may post, edit and delete in the channel “Press office”",
        "telegram https://t.me/press/": "the bot may post, edit and delete in the channel “Press office”",
        "telegram -200": "the bot may post, edit and delete in the supergroup “Press office”",
        "telegram @owned": "the bot may post, edit and delete in the channel “Press office”",
        "telegram 7": "a private chat with Aysel",
    }
    assert {method for method, _ in double.calls} == {"getMe", "getWebhookInfo", "getChat", "getChatMember"}
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


@pytest.mark.parametrize(
    ("chats", "says"),
    [
        (("@press", "-100"), "-100 is the same place as @press: leave out one of telegram.channels"),
        (("-100", "@press"), "@press is the same place as -100: leave out one of telegram.channels"),
        (("@press", "@nowhere", "-200"), "3 places, none named twice"),
        (({"chat": "@press", "thread": 5}, {"chat": "-100", "thread": 6}), "2 places, none named twice"),
    ],
)
async def test_a_place_named_twice_is_told_by_name_and_by_number(ask, double, chats, says):
    double.channel("@press", -100)
    double.channel("@group", -200, kind="supergroup")
    assert str((await ask(*chats))["telegram channels"]) == says


async def test_a_chat_that_is_not_there_is_named(ask):
    found = (await ask("@nowhere"))["telegram @nowhere"]
    assert "chat not found" in str(found)


async def test_a_server_of_ones_own_is_told_to_be_used_after_logging_out_of_the_public_one(ask):
    assert "call https://api.telegram.org/bot<token>/logOut once" in (await ask())["telegram bot"]


@pytest.mark.parametrize(
    ("thread", "says"),
    [
        (5, "the bot may post, edit and delete in the supergroup “Press office”, topic 5"),
        (6, "topic 6: Bad Request: TOPIC_CLOSED; check telegram.channels.thread"),
        (7, "topic 7: Bad Request: message thread not found; check telegram.channels.thread"),
    ],
)
async def test_a_forums_topic_is_looked_for_without_a_message(ask, double, thread, says):
    double.channel("@forum", -300, kind="supergroup", threads={5: "open", 6: "closed"})
    found = await ask({"chat": "@forum", "thread": thread})
    assert str(found[f"telegram @forum, topic {thread}"]) == says
    assert double.seen("@forum") == []


async def test_a_topic_in_a_chat_without_topics_is_told(ask, double):
    double.channel("@press", -100)
    found = (await ask({"chat": "@press", "thread": 5}))["telegram @press, topic 5"]
    assert str(found) == "the channel “Press office” is no forum: leave out telegram.channels.thread"


@pytest.mark.parametrize(
    ("audit", "says"),
    [
        ("-500", "posts can be looked up in the channel chat “Audit”"),
        ("7", "posts can be looked up in the private chat “Aysel”"),
        ("@press", "telegram.audit_chat is one of telegram.channels: give it a private chat of its own"),
        ("@open", "the channel “Open” is public: everybody would see what is looked up; take a private one"),
        ("-900", "Bad Request: chat not found; the bot must be in the chat, in a channel as an administrator"),
    ],
)
async def test_the_audit_chat_is_private_and_the_bot_may_write_there(ask, double, audit, says):
    double.channel("@press", -100)
    double.channel("@open", -400, title="Open")
    double.channel(-500, -500, title="Audit")
    double.say(7, "/start")
    assert str((await ask("@press", audit_chat=audit))["telegram audit chat"]) == says


HOOK = "https://press.example.org/telegram/webhook"
WEBHOOK = {"mode": "webhook", "webhook_secret": "s3cret"}


@pytest.mark.parametrize(
    ("url", "settings", "says"),
    [
        ("", {}, "none, as polling wants; 0 updates wait"),
        (HOOK, {}, "ours from before is set; `run` takes it away"),
        ("https://other.example.org/x", {}, "a webhook at other.example.org is set: another program uses this bot"),
        ("", WEBHOOK, "not set yet; `run` sets it; 0 updates wait"),
        (HOOK, WEBHOOK, "set, 0 updates wait"),
        ("https://other.example.org/x", WEBHOOK, "a webhook at other.example.org is set: another program uses"),
    ],
)
async def test_how_the_bot_hears_is_compared_with_how_it_should(ask, double, url, settings, says):
    await double.updates.set({"url": url})
    assert says in str((await ask(**settings))["telegram webhook"])
    assert double.webhook.get("url", "") == url


async def test_deliveries_that_failed_lately_are_told(ask, double):
    await double.updates.set({"url": HOOK})
    double.updates._error = (int(double.clock()) - 60, "Wrong response from the webhook: 502 Bad Gateway")
    found = (await ask(**WEBHOOK))["telegram webhook"]
    assert str(found).startswith("Telegram could not deliver to us lately: Wrong response from the webhook: 502")
    double.updates._error = (int(double.clock()) - 7200, "Wrong response from the webhook: 502 Bad Gateway")
    assert (await ask(**WEBHOOK))["telegram webhook"] == "set, 0 updates wait"


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
