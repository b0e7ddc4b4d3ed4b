"""Mail that our server brings, over real lines: nothing is answered with 250 before it is committed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bots.email.inbound import listening
from syndicator.domain.tokens import Tokens
from tests.email.inbound_office import BOUNCES, LEAVING, SPAM, UNCLEAR, Locked
from tests.email.returned import READER, mail


@pytest.mark.parametrize("kind", ["lmtp", "smtp"])
async def test_a_report_that_our_server_brings_has_its_consequence_when_it_is_answered(office, listening_for, kind):
    async with listening_for(kind) as (talk, _):
        assert await talk([office.bounce_to], office.report()) == [250]
        assert await office.state() == ("paused", 1)
        assert await talk([office.bounce_to.upper()], office.report()) == [250]
        assert (office.counted("hard"), office.counted("known")) == (1, 1)


async def test_a_mail_to_leave_ends_everything(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.leave_to], mail(f"From: {READER}\nSubject: unsubscribe", ""), READER) == [250]
        assert await office.state() == ("active", 0)


async def test_each_recipient_has_an_answer_by_lmtp(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.leave_to, BOUNCES, "x@else.example"], SPAM, READER) == [550, 250, 250]
        assert await office.state() == ("active", 0)
        assert len(office.others()) == 1


async def test_what_a_machine_sends_to_a_leaving_address_makes_nobody_leave(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.leave_to], mail(f"From: {READER}\nSubject: unsubscribe", "")) == [250]
        assert await office.state() == ("active", 1)
        assert len(office.kept()) == 1


@pytest.mark.parametrize("recipient", [BOUNCES, LEAVING, BOUNCES.upper(), f"prvs=1234abcdef={BOUNCES}"])
async def test_our_addresses_are_taken_without_a_token_too(listening_for, recipient):
    async with listening_for() as (talk, _):
        assert await talk([recipient], UNCLEAR) == [250]


@pytest.mark.parametrize(
    "recipient",
    [
        "reader@example.org",
        "news@press.example.org",
        "bounces@else.example",
        "bounces+" + "a" * 48 + "@press.example.org",
        f"bounces+{Tokens(b'somebody else altogether').mailbox('return', 1)}@press.example.org",
        "bounces",
    ],
)
async def test_only_our_own_addresses_are_taken(listening_for, recipient):
    async with listening_for() as (talk, _):
        assert await talk([recipient], UNCLEAR) == [550]


@pytest.mark.parametrize(("kind", "answers"), [("lmtp", [451, 451]), ("smtp", [451])])
async def test_what_cannot_be_written_is_to_come_again(office, listening_for, kind, answers):
    locked = Locked(office.database)
    async with listening_for(kind) as (talk, _):
        assert await talk([office.bounce_to, office.leave_to], office.report()) == answers
        locked.is_locked = False
        assert await office.state() == ("active", 1)
        assert set(await talk([office.bounce_to, BOUNCES], office.report())) == {250}
        assert await office.state() == ("paused", 1)


async def test_a_mail_that_is_too_large_is_refused_for_each_recipient(office, listening_for, monkeypatch):
    monkeypatch.setattr(listening, "LARGEST", 1000)
    async with listening_for() as (talk, _):
        assert await talk([BOUNCES, office.leave_to], b"x" * 70 + b"\r\n" * 1000) == [552, 552]
        assert office.kept() == []


async def _said(port, *sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for one in sent:
            writer.write(one)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def test_an_endless_line_is_cut(listening_for, monkeypatch):
    for name in ("LARGEST", "MORE"):
        monkeypatch.setattr(listening, name, 100_000)
    async with listening_for() as (_, part):
        start = f"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{BOUNCES}>\r\nDATA\r\n".encode()
        await _said(part.port, start, b"x" * 1_000_000)
        for _ in range(100):
            if not part.open:
                break
            await asyncio.sleep(0.01)
        assert not part.open


async def test_mails_come_in_by_turns_so_that_many_large_ones_fill_no_memory(office, listening_for, monkeypatch):
    monkeypatch.setattr(listening, "AT_ONCE", 1)
    async with listening_for() as (talk, part):
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.write(f"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{BOUNCES}>\r\nDATA\r\n".encode())
        while not (await reader.readline()).startswith(b"354"):
            pass
        second = asyncio.create_task(talk([office.bounce_to], office.report()))
        await asyncio.sleep(0.05)
        assert not second.done()
        writer.write(UNCLEAR + b".\r\n")
        assert (await reader.readline()).startswith(b"250")
        assert await second == [250]
        writer.close()


async def test_one_connection_too_many_is_told_so(listening_for, monkeypatch):
    monkeypatch.setattr(listening, "CONNECTIONS", 1)
    async with listening_for() as (talk, part):
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        await reader.readline()
        assert (await _said(part.port)).startswith(b"421 4.3.2")
        writer.close()
        await writer.wait_closed()
        for _ in range(100):
            if not part.open:
                break
            await asyncio.sleep(0.01)
        assert await talk([BOUNCES], UNCLEAR) == [250]


async def test_a_connection_that_says_nothing_is_ended(listening_for, monkeypatch):
    monkeypatch.setattr(listening, "TIMEOUT", 0.05)
    async with listening_for() as (_, part):
        assert (await _said(part.port)).startswith(b"220 ")


async def test_a_taken_port_is_an_error_of_the_outside(office):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        part = office.part("smtp")
        part.port = taken.getsockname()[1]
        with pytest.raises(OSError, match=r"email\.inbound\.port.*[Aa]ddress already in use"):
            await part.start()
        await part.stop()
