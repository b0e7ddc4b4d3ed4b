"""The channel as the pipeline sees it, with mails going into a folder."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bots.email.channel import EmailChannel
from bots.email.outbox import FileTransport
from bots.email.preview import email_preview
from syndicator.domain.letters import Later, Refused, Sent, Unknown
from syndicator.domain.model import ChannelKind, State


@pytest.fixture
def channel(compiler, tmp_path):
    return EmailChannel(compiler, FileTransport(tmp_path / "outbox"))


async def test_the_folder_gets_the_bytes_a_relay_would_get(channel, compiler, letter, now, tmp_path):
    letters = [letter(subscriber=n) for n in range(3)]
    got = await channel.send(letters, now)
    for one, outcome in zip(letters, got, strict=True):
        mail = compiler.mail(one, now)
        assert isinstance(outcome, Sent)
        assert outcome.answer["message_id"] == f"<{mail.message_id}>"
        assert (tmp_path / "outbox" / str(outcome.answer["file"])).read_bytes() == mail.data
    assert len(list((tmp_path / "outbox").iterdir())) == 3


async def test_sending_again_replaces_the_same_file(channel, letter, now, tmp_path):
    await channel.send([letter()], now)
    await channel.send([letter(resent=True)], now)
    assert len(list((tmp_path / "outbox").iterdir())) == 1


async def test_a_folder_that_cannot_be_written_is_later(compiler, letter, now, tmp_path):
    (tmp_path / "file").write_text("in the way")
    got = await EmailChannel(compiler, FileTransport(tmp_path / "file")).send([letter()], now)
    assert isinstance(got[0], Later)
    assert not got[0].counts


@pytest.mark.parametrize(
    "about",
    [
        {"state": State.DRAFT, "opened_at": None},
        {"state": State.SCHEDULED, "opened_at": None},
        {"state": State.WITHDRAWN},
        "embargo",
    ],
)
async def test_what_is_not_public_never_leaves(channel, letter, now, tmp_path, about):
    about = {"public_at": now + timedelta(seconds=1)} if about == "embargo" else about
    got = await channel.send([letter(about)], now)
    assert isinstance(got[0], Refused)
    assert not (tmp_path / "outbox").exists()


class Broken:
    connections = 2
    steady = True

    def ready_at(self, now):
        return None

    async def send(self, mails, now, answered=None):
        raise RuntimeError("a bug")

    async def close(self):
        pass


async def test_a_bug_is_one_letters_unknown(compiler, letter, now):
    got = await EmailChannel(compiler, Broken()).send([letter(), letter(address="nobody")], now)
    assert isinstance(got[0], Unknown)
    assert "RuntimeError" in got[0].reason


async def test_a_stop_in_the_middle_keeps_what_the_relay_has_taken(compiler, letter, now):
    class Slow:
        connections = 1
        steady = True

        async def send(self, mails, now, answered=None):
            try:
                taken.extend(mail.recipient.text for mail in mails)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return [Later("", counts=False) if to.startswith("slow") else Sent({}) for to in taken]

    taken: list[str] = []
    letters = [letter(address=address) for address in ("a@example.org", "slow@example.org", "b@example.org")]
    sending = asyncio.create_task(EmailChannel(compiler, Slow()).send(letters, now))
    async with asyncio.timeout(5):
        while len(taken) < 3:
            await asyncio.sleep(0)
    sending.cancel()
    first, second, third = await sending
    assert isinstance(first, Sent)
    assert isinstance(third, Sent)
    assert isinstance(second, Later)
    assert not second.counts


def test_the_port_says_how_much_goes_at_a_time(compiler):
    channel = EmailChannel(compiler, Broken())
    assert channel.kind is ChannelKind.EMAIL
    assert channel.chunk <= 20
    assert channel.lanes == 3, "one for each connection, and one that is settled meanwhile"


def test_a_preview_shows_what_a_subscriber_reads(compiler, release, now):
    show = email_preview(compiler, "Asia/Baku", lambda: now)
    shown = show(release(lang="az", title="Viza qaydaları"), "az")
    assert shown.startswith("Subject: Viza qaydaları\n\n")
    assert "Abunəlikdən çıx" in shown
    with pytest.raises(LookupError):
        show(release(lang="az"), "ru")
