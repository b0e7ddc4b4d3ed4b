"""Whatever people write to the bot, it answers, and Telegram takes the answer; so it does whatever releases say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.telegram.turnstile import Turnstile
from tests.telegram import double as doubled
from tests.telegram.agency import Agency, Clock
from tests.telegram.double import TelegramDouble
from tests.telegram.nasty import LINE, PIECES, examples

COMMANDS = ["", "/search ", "/words ", "/start ", "/latest ", "/why ", "/quiet ", "/zone ", "/settings ", "/topics "]
WRITTEN = LINE.map(lambda text: text.encode("utf-8", "replace").decode()[:4000])
OUR_FAULT = "Something went wrong on our side. Please try again in a minute."


@pytest.fixture
def refused(monkeypatch):
    """What the double refused, as it said it."""
    told, answer = [], doubled._refused

    def noted(refusal):
        told.append(refusal.text)
        return answer(refusal)

    monkeypatch.setattr(doubled, "_refused", noted)
    return told


@pytest.fixture
async def agency(sqlite_url, tmp_path, site, taxonomy, texts, now):
    """An agency with releases of strange titles, and a reader in English who gets everything."""
    clock = Clock(now)
    async with TelegramDouble(clock=clock.seconds) as double:
        opened = Agency(sqlite_url, tmp_path, double, clock, site=site, taxonomy=taxonomy, texts=texts)
        opened.bot.desk._turnstile = Turnstile([7])  # one person says all that many would
        await opened.open()
        await opened.write(7, "/start")
        await opened.press(7, "English")
        await opened.press(7, "All topics")
        yield opened
        await opened.close()


@examples(30)
@given(command=st.sampled_from(COMMANDS), text=WRITTEN)
async def test_whatever_a_person_writes_is_answered(agency, refused, command, text):
    before = len(agency.double.seen(7))
    answer = await agency.write(7, f"{command}{text}".strip() or "?")
    assert len(agency.double.seen(7)) > before
    assert answer["text"] != OUR_FAULT
    assert [one for one in refused if "not modified" not in one] == []


async def test_whatever_releases_say_is_posted_listed_searched_and_explained(agency, refused):
    strange = ["".join(PIECES[first::6]).encode("utf-8", "replace").decode() for first in range(6)]
    for number, text in enumerate(strange):
        await agency.publish(f"r{number}", en=f"Strange {text}")
        await agency.pass_time(minutes=1)
    assert sum("Strange" in post["text"] for post in agency.double.seen(7)) == len(strange)
    for command in ("/latest", "/search strange", "/why"):
        assert "Strange" in (await agency.write(7, command))["text"]
    await agency.correct("r0", strange[1], en=f"Stranger {strange[0]}")
    await agency.withdraw("r1", strange[2])
    (copy,) = [post for post in agency.double.seen(7) if "Stranger" in post["text"]]
    assert [post["text"].split("\n")[0] for post in agency.double.seen(7) if post["reply_to"] == copy["id"]] == [
        "✏️ Corrected"
    ]
    assert refused == []
