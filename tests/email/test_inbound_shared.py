"""Several processes take mail in: one fetches at a time, all may listen, and what two of them take in counts once."""

from __future__ import annotations

import asyncio
import smtplib

import pytest

from tests.email.inbound_office import Office, make_office


@pytest.fixture
async def shared_office(database, now, site, tmp_path) -> Office:
    """On both databases."""
    return await make_office(database, now, site, tmp_path / "inbound")


@pytest.fixture
def office(shared_office):
    return shared_office


async def emptied(box):
    """Nothing is left; by IMAP what stands there marked as deleted is nothing."""
    for _ in range(300):
        if box.mails.keys() <= set(box.flagged):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(box.mails)} mails are still there")


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_the_seat_may_be_taken_again_and_again_and_another_goes_on_where_one_left(office, fetching, kind):
    box, first = await fetching(kind, office.report())
    second = office.part(kind, host="127.0.0.1", port=box.port)
    for number, part in enumerate((first, second, first)):
        await part.start()
        await emptied(box)
        await part.stop()
        await part.stop()
        box.mails[str(200 + number)] = office.report()
    assert (office.counted("hard"), office.counted("known")) == (1, 2)
    assert await office.state() == ("paused", 1)


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_who_is_stopped_in_the_middle_of_a_mail_loses_none_and_the_next_counts_it_once(office, fetching, kind):
    box, first = await fetching(kind, *[office.report()] * 5)
    taken = asyncio.Event()
    real = first._intake.take

    async def take(*given, **values):
        found = await real(*given, **values)
        taken.set()
        await asyncio.sleep(0)
        return found

    first._intake.take = take
    await first.start()
    await asyncio.wait_for(taken.wait(), 10)
    await asyncio.wait_for(first.stop(), 5)
    second = office.part(kind, host="127.0.0.1", port=box.port)
    await second.start()
    await emptied(box)
    await second.stop()
    assert office.counted("hard") == 1
    assert await office.state() == ("paused", 1)


async def test_a_report_that_several_processes_take_in_at_once_counts_once(office):
    takers = [office.part("imap", host="127.0.0.1", port=1)._intake for _ in range(6)]
    words = await asyncio.gather(*(one.take(office.report()) for one in takers))
    assert sorted(words) == ["hard", *["known"] * 5]
    assert await office.state() == ("paused", 1)


async def test_several_workers_of_one_machine_listen_on_one_port_and_any_of_them_takes_a_report(office):
    first = office.part("lmtp", shared=True)
    await first.start()
    second = office.part("lmtp", shared=True)
    second.port = first.port
    await second.start()

    def bring():
        with smtplib.LMTP("127.0.0.1", first.port) as client:
            client.sendmail("", [office.bounce_to], office.report())

    for _ in range(6):
        await asyncio.to_thread(bring)
    await first.stop()
    await asyncio.to_thread(bring)  # one is gone, and nothing is refused
    await second.stop()
    assert (office.counted("hard"), office.counted("known")) == (1, 6)


async def test_where_one_process_has_all_a_taken_port_is_told(office):
    first = office.part("lmtp")
    await first.start()
    second = office.part("lmtp")
    second.port = first.port
    with pytest.raises(OSError, match=r"email\.inbound: cannot listen"):
        await second.start()
    await first.stop()
