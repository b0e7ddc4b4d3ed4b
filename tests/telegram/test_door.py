"""Telegram's calls to whichever machine: kept before 200, handled once and in order by the one that has the seat."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select, update
from telegram import Bot

from bots.telegram.desk import Desk
from bots.telegram.door import WEBHOOK_PATH, Door
from bots.telegram.letterbox import GAP, UPDATES, Letterbox
from bots.telegram.opening import open_lobby, open_telegram
from bots.telegram.turnstile import Turnstile
from config.settings import TelegramSettings
from syndicator.domain.model import Priority
from syndicator.domain.ports import Done, Job
from syndicator.pipeline.tidying import Tidying
from syndicator.store import telegram_updates
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.store.tables import TELEGRAM_UPDATE
from tests.telegram.agency import Clock
from tests.telegram.double import TelegramDouble
from tests.telegram.test_seat import Machine, Present
from tests.whole.house import Never

SECRET = "s3cret-s3cret"
BASE = "https://press.example.org"
BOT = 4242


@asynccontextmanager
async def web_machine(database, clock):
    """A machine with the role web: its address. It knows nothing of the bot but its token and secret."""
    settings = TelegramSettings(token=f"{BOT}:token", mode="webhook", webhook_secret=SECRET)
    app = web.Application()
    app.add_routes(open_lobby(settings, database, clock).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def office(sqlite_url, tmp_path, site, taxonomy, texts, now):
    """A machine with the role bot, not seated yet, and its double."""
    clock = Clock(now)
    async with TelegramDouble(token=f"{BOT}:token", clock=clock.seconds) as double:
        rooms = {"site": site, "taxonomy": taxonomy, "texts": texts}
        settings = {"mode": "webhook", "webhook_secret": SECRET}
        machine = Machine(1, sqlite_url, tmp_path, double, clock, **rooms, **settings)
        yield machine
        await machine.close()


@pytest.fixture
async def machines(sqlite_url, now):
    """Two machines with the role web: their addresses."""
    database = Database(sqlite_url)
    async with web_machine(database, lambda: now) as one, web_machine(database, lambda: now) as other:
        yield one, other
    await database.close()


async def call(address, body, secret=SECRET):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret, "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        answer = await session.post(address + WEBHOOK_PATH, data=data, headers=headers)
        return answer.status


def said(number, chat, text):
    person = {"id": chat, "is_bot": False, "first_name": "Aysel", "language_code": "en"}
    where = {"id": chat, "type": "private", "first_name": "Aysel"}
    entities = [{"type": "bot_command", "offset": 0, "length": len(text)}]
    body = {"message_id": number, "date": 1_795_251_600, "chat": where, "from": person, "text": text}
    return {"update_id": number, "message": {**body, "entities": entities}}


async def rows(machine):
    async with machine.database.reading() as session:
        found = (await session.execute(select(TELEGRAM_UPDATE))).mappings()
        return {row["number"]: (row["body"], row["done_at"] is not None) for row in found}


async def empty(machine):
    """Nothing waits any more."""
    for _ in range(300):
        machine.hands.wake()
        if all(done for _, done in (await rows(machine)).values()):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await rows(machine))


@pytest.fixture
async def letters(sqlite_url, now):
    """A letterbox whose desk notes the numbers that it is brought, in their order."""
    heard = []

    async def handle(update):
        heard.append(update.update_id)

    database = Database(sqlite_url)
    desk = Desk(handle, turnstile=Turnstile(), slow=handle)
    yield Letterbox(database, BOT, Bot(f"{BOT}:token"), desk, lambda: True, lambda: now), database, heard, now
    await desk.close(1)
    await database.close()


async def keep(database, now, number, body=""):
    async with database.writing() as session:
        await telegram_updates.keep(session, BOT, number, body or json.dumps(said(number, 7, "/help")), now)


async def empty_once(box, now):
    assert isinstance(await box.empty(Job(UPDATES, UPDATES, Priority.URGENT, now), Never()), Done)


# -- at the door
@pytest.mark.parametrize(
    ("body", "secret", "status"),
    [
        (b"{}", "wrong", 403),
        (b"{}", "", 403),
        (b"x" * 1_000_001, SECRET, 413),
        (b"not json", SECRET, 400),
        (b"[]", SECRET, 400),
        (b'{"update_id": "x"}', SECRET, 400),
        (b'{"update_id": -1}', SECRET, 400),
        (b'{"update_id": 1e400}', SECRET, 400),
        (b'{"update_id": "8"}', SECRET, 400),
        (b'{"update_id": true}', SECRET, 400),
        (b'{"update_id": 7.0}', SECRET, 400),
        (b'{"update_id": 7, "message": ' + b"[" * 5000 + b"]" * 5000 + b"}", SECRET, 400),
        (b'{"update_id": 99999999999999999999}', SECRET, 400),
        (b'{"update_id": 7, "message": {"text": "\\u0000 \\ud800"}}', SECRET, 200),
    ],
)
async def test_only_telegram_comes_in_and_only_with_updates(machines, office, body, secret, status):
    assert await call(machines[0], body, secret) == status
    assert bool(await rows(office)) == (status == 200)


async def test_what_cannot_be_kept_is_503_and_telegram_brings_it_again(machines, monkeypatch):
    async def broken(*_):
        raise DatabaseTrouble("gone")

    monkeypatch.setattr(telegram_updates, "keep", broken)
    assert await call(machines[0], said(1, 7, "/help")) == 503


async def test_a_flood_that_nobody_empties_stays_with_telegram(machines, monkeypatch, office):
    monkeypatch.setattr("bots.telegram.door.MOST", 3)
    assert [await call(machines[0], said(number, 7, "/help")) for number in range(1, 6)] == [200] * 3 + [503] * 2
    assert len(await rows(office)) == 3


async def test_a_machine_without_webhook_has_no_door(sqlite_url, now):
    database = Database(sqlite_url)
    lobby = open_lobby(TelegramSettings(token="1:x", mode="polling"), database, lambda: now)
    assert not lobby.routes()
    assert not open_lobby(TelegramSettings(), database, lambda: now).parts()
    await database.close()


async def test_a_process_without_the_role_bot_builds_none_and_has_its_door_and_its_name_all_the_same(
    office, sqlite_url, tmp_path, now
):
    rooms = {"site": None, "texts": None, "taxonomy": None, "chats": None, "folder": None, "metrics": None}
    database = Database(sqlite_url)
    telegram = open_telegram(
        TelegramSettings(token=f"{BOT}:token", mode="webhook", webhook_secret=SECRET),
        database,
        clock=lambda: now,
        wake=lambda: None,
        attendance=Present(2),
        speaks=False,
        **rooms,
    )
    assert telegram.bot is None
    assert not telegram.workplaces
    assert len(telegram.routes()) == len(telegram.lobby.parts()) == 1
    assert telegram.channel.tells == office.telegram.channel.tells, "what others send is written down all the same"
    with pytest.raises(RuntimeError, match="not the role bot"):
        await telegram.channel.send([], now)
    await database.close()


# -- and behind it
async def test_each_update_is_handled_once_and_in_order_whichever_machine_took_it(machines, office):
    texts = ["/help", "/language", "/start", "/help"]
    for number, text in enumerate(texts, 1):
        for chat in (7, 8):
            office.double.started.add(chat)
            assert await call(machines[number % 2], said(number * 10 + chat, chat, text)) == 200
            assert await call(machines[(number + 1) % 2], said(number * 10 + chat, chat, text)) == 200
    await office.seat.start()
    await empty(office)
    seen = [[one["text"] for one in office.double.seen(chat)] for chat in (7, 8)]
    assert len(seen[0]) == len(texts)
    assert seen[0] == seen[1]
    assert seen[0][0] == seen[0][3] != seen[0][1]
    assert [body for body, _ in (await rows(office)).values()] == [""] * 8, "what people wrote is not kept"
    assert await call(machines[0], said(17, 7, "/help")) == 200  # it is brought once more
    await empty(office)
    assert len(office.double.seen(7)) == len(texts)


async def test_updates_come_by_telegrams_own_calls(machines, office):
    await office.seat.start()
    await office.double.until(lambda: office.double.webhook)
    office.double.updates.lead(BASE, machines[1])
    office.double.say(7, "/help")
    await office.double.until(lambda: not office.double.pending)
    await empty(office)
    assert len(office.double.seen(7)) == 1


async def test_what_was_taken_while_nobody_sat_waits(machines, office):
    office.double.started.add(7)
    assert await call(machines[0], said(1, 7, "/help")) == 200
    assert office.double.seen(7) == []
    await office.seat.start()
    await empty(office)
    assert len(office.double.seen(7)) == 1


async def test_an_update_that_cannot_be_read_is_passed_over_and_the_next_one_is_not(machines, office, capsys):
    office.double.started.add(7)
    await call(machines[0], {"update_id": 1, "message": {"date": "never", "chat": 7}})
    await call(machines[0], said(2, 7, "/help"))
    await office.seat.start()
    await empty(office)
    assert len(office.double.seen(7)) == 1
    assert capsys.readouterr().out.count("cannot be read, and is passed over") == 1


@pytest.mark.parametrize(
    "nasty",
    [
        {"update_id": 1, "message": {**said(1, 7, "/help")["message"], "chat": {"id": [1], "type": "private"}}},
        {"update_id": 1, "message": {**said(1, 7, "/help")["message"], "chat": {"id": {"a": 1}, "type": "private"}}},
        {"update_id": 1, "my_chat_member": {"chat": {"id": [1], "type": "private"}, "from": {"id": [7]}}},
    ],
)
async def test_an_update_that_the_desk_cannot_begin_with_is_passed_over_and_those_beside_it_are_not(
    machines, office, nasty, capsys
):
    office.double.started |= {7, 8}
    await call(machines[0], nasty)
    await call(machines[0], said(2, 7, "/help"))
    await call(machines[1], said(3, 8, "/help"))
    await office.seat.start()
    await empty(office)
    assert [len(office.double.seen(chat)) for chat in (7, 8)] == [1, 1]
    assert [body for body, _ in (await rows(office)).values()] == [""] * 3
    told = capsys.readouterr().out
    assert "could not be handled" in told or "cannot be read" in told
    assert "Aysel" not in told


@pytest.mark.parametrize("body", ['{"update_id": "1"}', '{"update_id": [1]}', "[" * 5000, "no json"])
async def test_a_row_that_cannot_be_read_is_done_with(letters, body):
    box, database, heard, now = letters
    await keep(database, now, 1, body)
    await keep(database, now, 2)
    await empty_once(box, now)
    assert heard[-1] == 2
    async with database.reading() as session:
        assert not await telegram_updates.waits(session, BOT)


async def test_what_two_machines_kept_in_the_wrong_order_is_heard_in_the_right_one(letters):
    box, database, heard, now = letters
    late = {101: 100, 103: 102}
    for first, second in late.items():
        await keep(database, now, first)

        async def meanwhile(_, number=second):
            await keep(database, now, number)

        box._sleep = meanwhile
        box._highest = first - 2
        await empty_once(box, now)
    assert heard == [100, 101, 102, 103]


async def test_a_number_that_never_comes_is_waited_for_once(letters):
    box, database, heard, now = letters
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    box._sleep = sleep
    for numbers in ([5], [6, 7], [9], [10], [8], [11]):
        for number in numbers:
            await keep(database, now, number)
        await empty_once(box, now)
    assert heard == [5, 6, 7, 9, 10, 8, 11]
    assert waited == [GAP]


async def test_what_was_answered_when_the_seat_is_left_is_not_answered_again(machines, office, monkeypatch):
    office.double.started |= {7, 8}
    gate, real = asyncio.Event(), office.subscribing.chat

    async def slow(chat, **values):
        if chat == 7:
            await gate.wait()
        return await real(chat, **values)

    monkeypatch.setattr(office.subscribing, "chat", slow)
    await office.seat.start()
    await call(machines[0], said(1, 7, "/help"))
    await call(machines[0], said(2, 8, "/help"))
    for _ in range(200):
        office.hands.wake()
        if office.double.seen(8):
            break
        await asyncio.sleep(0.02)
    leaving = asyncio.create_task(office.seat.stop())
    await asyncio.sleep(0.05)
    gate.set()
    await leaving
    assert {number: done for number, (_, done) in (await rows(office)).items()} == {1: True, 2: True}
    await office.seat.start()
    await empty(office)
    assert [len(office.double.seen(chat)) for chat in (7, 8)] == [1, 1]


async def test_numbers_are_forgotten_after_two_days(sqlite_url, now):
    database = Database(sqlite_url)
    async with database.writing() as session:
        for number in (1, 2):
            await telegram_updates.keep(session, BOT, number, "{}", now)
        await telegram_updates.done(session, BOT, [1], now)
        old = update(TELEGRAM_UPDATE).where(TELEGRAM_UPDATE.c.number == 1)
        await session.execute(old.values(done_at=now - telegram_updates.REMEMBERED * 2))
        await telegram_updates.done(session, BOT, [2], now)
    async with database.reading() as session:
        assert list(await session.scalars(select(TELEGRAM_UPDATE.c.number))) == [2]
    await database.close()


async def test_what_no_bot_comes_for_is_deleted_after_two_days(database, now):
    """Its token was changed while it waited, say."""
    async with database.writing() as session:
        for number, age in ((1, 1), (2, 3)):
            await telegram_updates.keep(session, 77, number, "what a person wrote", now - timedelta(days=age))
        await telegram_updates.keep(session, BOT, 3, "{}", now - timedelta(days=3))
        await telegram_updates.done(session, BOT, [3], now)
    await Tidying(database, pending_for=timedelta(days=7), clock=lambda: now).tidy()
    async with database.reading() as session:
        kept = select(TELEGRAM_UPDATE.c.number).order_by(TELEGRAM_UPDATE.c.number)
        assert list(await session.scalars(kept)) == [1, 3], "a number that was dealt with is remembered all the same"


async def test_two_machines_that_take_the_same_update_at_once_keep_one(database, now):
    door = Door(database, BOT, SECRET, lambda: now)
    assert await asyncio.gather(*(door._keep(5, {"update_id": 5}) for _ in range(8))) == [True] * 8
    async with database.reading() as session:
        assert await telegram_updates.waits(session, BOT, 10) == 1
