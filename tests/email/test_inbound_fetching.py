"""Mail that is fetched from a mailbox, over real lines: nothing is deleted before what followed is committed."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from bots.email.inbound.fetching import BATCH, PUT_OFF, Fetcher
from bots.email.inbound.intake import Intake
from bots.email.inbound.keeping import Keep
from bots.email.inbound.mailboxes import open_mailbox
from config.email import EmailSettings
from tests.email.inbound_office import BOUNCES, UNCLEAR, Locked
from tests.email.returned import READER, mail


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_mailbox_is_emptied_and_what_it_held_has_its_consequence(office, fetching, kind):
    leave = mail(
        f"From: {READER}\nTo: {office.leave_to}\nSubject: unsubscribe", ".", "..dots and a line: " + "x" * 5000
    )
    box, part = await fetching(kind, office.report(), leave, UNCLEAR)
    assert await part.once() is False
    assert box.mails == {}
    assert await office.state() == ("paused", 0)
    (kept,) = office.kept()
    assert kept.strip() == UNCLEAR.strip()


@pytest.mark.parametrize("kind", ["pop3", "imap"])
@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_server_shows_a_certificate_that_is_trusted_or_nothing_is_said_to_it(
    office, fetching, kind, is_trusted, certificate
):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    office.trust = ssl.create_default_context(cafile=certificate) if is_trusted else None
    box, part = await fetching(kind, office.report(), tls=server)
    if is_trusted:
        await part.once()
        assert box.mails == {}
    else:
        with pytest.raises(OSError, match="certificate verify failed"):
            await part.once()
        assert box.log == []


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_nothing_is_deleted_before_it_is_committed(office, fetching, kind):
    locked = Locked(office.database)
    box, part = await fetching(kind, office.report())
    await part.once()
    assert len(box.mails) == 1
    assert not {"DELE", "STORE", "EXPUNGE"} & set(box.log)
    assert office.failures() == 1
    locked.is_locked = False
    await part.once()
    assert box.mails == {}
    assert await office.state() == ("paused", 1)


@pytest.mark.parametrize(
    ("kind", "command"), [("pop3", "DELE"), ("pop3", "QUIT"), ("imap", "STORE"), ("imap", "EXPUNGE")]
)
async def test_a_session_that_breaks_after_the_commit_takes_the_same_mail_again(office, fetching, kind, command):
    box, part = await fetching(kind, office.report(), break_at=command)
    with pytest.raises(OSError):  # noqa: PT011  # whatever the library says
        await part.once()
    assert len(box.mails) == 1
    assert await office.state() == ("paused", 1)
    box.break_at = ""
    box.flagged.clear()
    await part.once()
    assert box.mails == {}
    assert (office.counted("hard"), office.counted("known")) == (1, 1)


@pytest.mark.parametrize(("kind", "command"), [("pop3", "RETR"), ("imap", "FETCH")])
async def test_a_mail_at_which_a_session_breaks_comes_last_the_next_time(office, fetching, kind, command):
    box, part = await fetching(kind, UNCLEAR, office.report(), break_at=command)
    with pytest.raises(OSError):  # noqa: PT011
        await part.once()
    box.break_at = ""
    taken: list[str] = []

    class Watched(Intake):
        async def take(self, data, recipients=(), *, whole=True):
            taken.append("unclear" if b"hello" in data else "report")
            return await super().take(data, recipients, whole=whole)

    part._intake.__class__ = Watched
    await part.once()
    assert taken == ["report", "unclear"]


async def test_a_server_without_uidplus_is_only_told_that_a_mail_is_done_with(office, fetching):
    box, part = await fetching("imap", office.report(), uidplus=False)
    box.flagged.add("777")  # somebody else's
    await part.once()
    await part.once()
    assert (list(box.mails), box.flagged) == (["101"], {"101", "777"})
    assert "EXPUNGE" not in box.log
    assert office.counted("hard") == 1
    assert office.counted("known") == 0


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_mail_that_is_too_large_is_read_as_far_as_needed_and_left_if_that_tells_nothing(
    office, fetching, kind, monkeypatch
):
    monkeypatch.setattr("bots.email.inbound.mailboxes.LARGEST", 3000)
    head = f"From: postmaster@example.org\nTo: {BOUNCES}\nSubject: long"
    large = mail(head, *["x" * 70] * 100)
    spam = large.replace(b"postmaster", b"somebody")
    box, part = await fetching(kind, large, office.report() + b"x\r\n" * 2000, spam)
    await part.once()
    assert list(box.mails) == ["101"]
    assert await office.state() == ("paused", 1)
    assert office.kept() == []
    assert [len(one) <= 3002 for one in office.others()] == [True]


async def test_a_server_that_says_too_little_of_a_mails_size_fills_no_memory(office, fetching, monkeypatch):
    monkeypatch.setattr("bots.email.inbound.mailboxes.LARGEST", 3000)
    box, part = await fetching("pop3", mail("From: postmaster@example.org", *["x" * 70] * 100), says=100)
    await part.once()
    assert list(box.mails) == ["101"]


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_session_takes_so_many_and_the_next_follows(office, fetching, kind, monkeypatch):
    monkeypatch.setattr("bots.email.inbound.fetching.BATCH", 2)
    assert BATCH > 2
    mails = [UNCLEAR.replace(b"hello", str(number).encode()) for number in range(3)]
    box, part = await fetching(kind, *mails)
    assert await part.once() is True
    assert len(box.mails) == 1
    assert await part.once() is False
    assert len(office.kept()) == 3


async def test_many_that_must_wait_end_a_session_and_hold_nothing_up(office, fetching, monkeypatch):
    monkeypatch.setattr(Keep.__init__, "__kwdefaults__", {"files": 0, "size": 10_000})
    mails = [UNCLEAR.replace(b"hello", str(number).encode()) for number in range(PUT_OFF + 2)]
    box, part = await fetching("pop3", *mails, office.report())
    for _ in range(2):
        await part.once()
    assert await office.state() == ("paused", 1)
    assert len(box.mails) == PUT_OFF + 2


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_wrong_password_is_one_line_and_the_next_time_comes(office, fetching, kind):
    box, part = await fetching(kind, office.report(), password="wrong")
    with pytest.raises(OSError, match="wrong password") as refused:
        await part.once()
    assert "\n" not in str(refused.value)
    part._interval = 0.01
    await part.start()
    for _ in range(300):
        if office.failures() >= 2:
            break
        await asyncio.sleep(0.01)
    await part.stop()
    await part.stop()
    assert office.failures() >= 2
    assert len(box.mails) == 1


async def test_stopping_waits_for_no_server(office):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = office.part("pop3", host="127.0.0.1", port=silent.getsockname()[1])
        await settings.start()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await settings.stop()


def test_a_mailbox_speaks_what_the_settings_say():
    for kind in ("pop3", "imap"):
        asked = {"inbound": {"kind": kind, "user": "a", "password": "b"}}
        assert type(open_mailbox(EmailSettings.model_validate(asked).inbound)).__name__.lower() == kind
    assert Fetcher.__doc__
