"""Pictures of an office on several machines: each has its own folder, and shows what any of them took in."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from syndicator.domain.model import Attachment
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.media_shared import SharedMedia
from syndicator.store.tables import MEDIA_FILE

PDF = b"%PDF-1.7\n..."


@pytest.fixture
def machine(database, tmp_path, now):
    return lambda name: SharedMedia(tmp_path / name, 5_000, database, lambda: now)


@pytest.fixture
def came(tmp_path):
    (tmp_path / "a.pdf").write_bytes(PDF)
    return Attachment(path=tmp_path / "a.pdf", media_type="application/pdf")


async def test_a_machine_that_lacks_a_file_fetches_it_once_and_keeps_it(machine, came, tmp_path):
    kept = await machine("one").keep(came)
    two = machine("two")
    assert two.path(kept.url) is None
    assert (await two.find(kept.url)).read_bytes() == PDF
    assert (await MediaFolder(tmp_path / "two", 5_000).find(kept.url)).read_bytes() == PDF


@pytest.mark.parametrize("url", ["/media/" + "0" * 32 + ".pdf", "/media/../a.pdf", "/etc/passwd", ""])
async def test_what_nobody_has_is_not_there(machine, url):
    assert await machine("one").find(url) is None


async def test_bytes_that_their_address_does_not_fit_are_not_believed(machine, came, database):
    kept = await machine("one").keep(came)
    async with database.writing() as session:
        await session.execute(update(MEDIA_FILE).values(data=b"%PDF-1.7\nother"))
    assert await machine("two").find(kept.url) is None


async def test_what_a_folder_held_before_is_everybodys_after_the_next_start(machine, came, tmp_path):
    kept = await MediaFolder(tmp_path / "one", 5_000).keep(came)
    (tmp_path / "one" / "notes.txt").write_text("nothing of ours")
    for _ in range(2):
        await machine("one").start()
    assert (await machine("two").find(kept.url)).read_bytes() == PDF
