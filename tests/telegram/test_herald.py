"""An operator is told by the bot: one message that Telegram takes, whole or cut, and errors that hold no token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiohttp import web

from bots.watch import alert_questions, open_heralds
from config.settings import AlertSettings
from syndicator.pipeline.watching import Notice
from tests.offices import settings_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOKEN = "1234567890:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


@pytest.fixture
async def api():
    """A Bot API server that keeps what it is asked, and answers as told."""

    class Api:
        def __init__(self):
            self.asked, self.answer = [], (200, {"ok": True, "result": {"message_id": 1}})

        async def take(self, request):
            self.asked.append((request.path, await request.json()))
            status, body = self.answer
            if status == 0:
                request.transport.abort()
            return web.json_response(body, status=status or 500)

    found = Api()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.root = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
def herald(site, api):
    def made(chat):
        settings = settings_of(site, token=TOKEN, api_root=api.root)
        (found,) = open_heralds(settings.model_copy(update={"alerts": AlertSettings(telegram=chat)}), site, lambda: NOW)
        return found

    return made


@pytest.mark.parametrize(("chat", "number"), [("-1001234567890", -1001234567890), ("@oncall", "@oncall")])
async def test_one_plain_message_goes_to_the_chat(herald, api, chat, number):
    await herald(chat).tell(Notice("one <b>", "- a & b\n"))
    ((path, said),) = api.asked
    assert path == f"/bot{TOKEN}/sendMessage"
    assert (said["chat_id"], said["text"]) == (number, "one <b>\n\n- a & b\n")
    assert "parse_mode" not in said


async def test_what_is_too_long_for_a_message_is_cut_between_characters(herald, api):
    await herald("1").tell(Notice("x", "😀" * 5000))
    text = api.asked[0][1]["text"]
    assert len(text.encode("utf-16-le")) // 2 <= 4096
    assert text.endswith("(the log has the rest)")


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"ok": False, "error_code": 403, "description": "Forbidden: bot was kicked"}),
        (429, {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 9}}),
        (502, {}),
        (0, {}),
    ],
)
async def test_what_fails_is_one_line_without_the_token(herald, api, answer):
    api.answer = answer
    with pytest.raises(OSError, match=r"^127\.0\.0\.1: ") as caught:
        await herald("1").tell(Notice("x", "y"))
    assert "AAHdq" not in str(caught.value)


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ({"status": "administrator", "can_post_messages": True}, "the bot may write in the channel “Press office”"),
        ({"status": "administrator", "can_post_messages": False}, "the bot has no right to post messages"),
    ],
)
async def test_the_doctor_asks_whether_the_bot_may_write_to_whom_it_is_to_alarm_and_writes_nothing(
    site, double, member, says
):
    double.channel("@oncall", -100, member=member)
    settings = settings_of(site, token=double.token, api_root=double.url)
    settings = settings.model_copy(update={"alerts": AlertSettings(telegram="@oncall")})
    ((_, ask),) = alert_questions(settings, site, lambda: NOW)
    try:
        said = await ask()
    except OSError as error:
        said = str(error)
    assert said.startswith(says)
    assert {method for method, _ in double.calls} == {"getChat", "getMe", "getChatMember"}


async def test_the_doctor_hears_of_a_chat_that_is_none(herald, api):
    api.answer = (400, {"ok": False, "description": "Bad Request: chat not found"})
    with pytest.raises(OSError, match="chat not found; the bot must be in the chat"):
        await herald("-100").ask()
