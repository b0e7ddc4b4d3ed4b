"""One bot, several processes that could be it, and several web machines that Telegram may call."""

from __future__ import annotations

import json
import urllib.request

from tests.cluster.takeover import take_over
from tests.doubled import TelegramProcess
from tests.program import wait_for

SECRET = "s3cret-s3cret"


def test_the_process_that_sends_is_stopped_in_the_middle_and_the_next_goes_on_without_a_word_twice(cluster, tmp_path):
    found = take_over(cluster, tmp_path, 60, "stop")
    assert found.right, found
    assert found.gap < 10, found


def test_people_are_answered_once_whichever_web_machine_telegram_calls(cluster):
    telegram = TelegramProcess()
    try:
        telegram.post_for(cluster)
        telegram.begin_chats(range(7, 9))
        cluster.environ |= {
            "SYNDICATOR_SITE__BASE_URL": "https://press.example.org",
            "SYNDICATOR_TELEGRAM__MODE": "webhook",
            "SYNDICATOR_TELEGRAM__WEBHOOK_SECRET": SECRET,
        }
        for roles in ("web", "web", "bot"):
            cluster.spawn(roles)
        one, other, _ = [machine.wait() for machine in cluster.machines]
        for number, (machine, chat) in enumerate([(one, 7), (other, 8), (other, 7), (one, 7), (one, 8)], 1):
            text = "/help" if number < 5 else "/language"
            assert called(machine, number, chat, text) == 200
            assert called(other, number, chat, text) == 200  # as Telegram does where an answer was lost
        wait_for(lambda: len(answers(telegram)) == 5, "five answers")
        wait_for(lambda: b"https://t.me/" in one.get("/en/subscribe")[1], "the bot's name on pages")
        assert cluster.stop() == [0, 0, 0]
        assert sorted(one["chat"] for one in answers(telegram)) == [7, 7, 7, 8, 8]
        assert cluster.sql("SELECT count(*) FROM telegram_update WHERE done_at IS NULL OR body <> ''") == [(0,)]
    finally:
        cluster.close()
        telegram.stop()


def answers(telegram):
    return [one for one in telegram.messages() if one["by"] == "bot"]


def called(machine, number, chat, text):
    """Telegram brings an update; how it was answered."""
    message = {
        "message_id": number,
        "date": 1_795_251_600,
        "chat": {"id": chat, "type": "private", "first_name": "Aysel"},
        "from": {"id": chat, "is_bot": False, "first_name": "Aysel", "language_code": "en"},
        "text": text,
        "entities": [{"type": "bot_command", "offset": 0, "length": len(text)}],
    }
    data = json.dumps({"update_id": number, "message": message}).encode()
    headers = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": SECRET}
    request = urllib.request.Request(f"{machine.base}/telegram/webhook", data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status
