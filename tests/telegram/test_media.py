"""Photos: what is offered to Telegram, uploaded once, and tried no more."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from telegram import InputFile
from telegram.error import BadRequest, Forbidden, NetworkError

from bots.telegram.media import DatabaseFiles, Photos, is_picture_trouble
from syndicator.domain.model import Attachment
from syndicator.store import migrate
from syndicator.store.database import Database

JPEG = Attachment("/media/a.jpg", "image/jpeg")


def png(width, height, size=100):
    """The head of a PNG; nobody looks further."""
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return head.ljust(size, b"\0")


class Ids:
    """File_ids in memory; `broken` says the database is away."""

    def __init__(self):
        self.kept, self.loads, self.broken = {}, 0, False

    def _reached(self):
        if self.broken:
            raise OSError("no database")

    async def load(self, url):
        self._reached()
        self.loads += 1
        return self.kept.get(url)

    async def keep(self, url, file_id, now):
        self._reached()
        self.kept[url] = file_id

    async def forget(self, url):
        self._reached()
        self.kept.pop(url, None)


@pytest.fixture
def ids():
    return Ids()


@pytest.fixture
def folder(tmp_path):
    """A media folder with one picture; what `tests` write into it is found by its name."""
    (tmp_path / "a.jpg").write_bytes(png(800, 600))

    async def find(url):
        found = tmp_path / url.removeprefix("/media/")
        return found if url.startswith("/media/") and found.is_file() else None

    return SimpleNamespace(find=find, at=tmp_path)


@pytest.fixture
def photos(ids, folder):
    return Photos(ids, folder, patience=0.05)


def taken(now, file_id="large"):
    sizes = (SimpleNamespace(file_id="small"), SimpleNamespace(file_id=file_id))
    return SimpleNamespace(photo=sizes, date=now)


async def test_a_picture_is_uploaded_once_and_named_from_then_on(photos, ids, now):
    first = await photos.input(JPEG)
    assert isinstance(first, InputFile)
    assert (first.filename, first.mimetype) == ("a.jpg", "image/jpeg")
    await photos.accepted(JPEG, taken(now))
    assert ids.kept == {JPEG.url: "large"}
    assert await photos.input(JPEG) == "large"


async def test_a_restarted_bot_knows_what_it_uploaded(photos, ids, folder, now):
    await photos.input(JPEG)
    await photos.accepted(JPEG, taken(now))
    again = Photos(ids, folder)
    assert [await again.input(JPEG) for _ in range(3)] == ["large"] * 3
    assert ids.loads == 2  # once for each process


async def test_two_chats_side_by_side_wait_for_the_one_upload(ids, folder, now):
    photos = Photos(ids, folder)
    assert isinstance(await photos.input(JPEG), InputFile)
    others = [asyncio.ensure_future(photos.input(JPEG)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(other.done() for other in others)
    await photos.accepted(JPEG, taken(now))
    assert await asyncio.gather(*others) == ["large"] * 3


async def test_when_the_upload_fails_for_another_reason_one_of_those_who_wait_tries(ids, folder, now):
    photos = Photos(ids, folder)
    await photos.input(JPEG)
    others = [asyncio.ensure_future(photos.input(JPEG)) for _ in range(2)]
    await asyncio.sleep(0)
    photos.released(JPEG)
    done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    assert [isinstance(one.result(), InputFile) for one in done] == [True]
    await photos.accepted(JPEG, taken(now))
    assert [await one for one in waiting] == ["large"]


async def test_an_upload_of_which_nothing_is_heard_holds_nobody_up_for_long(photos):
    await photos.input(JPEG)
    assert isinstance(await photos.input(JPEG), InputFile)


async def test_refused_bytes_are_not_tried_again_and_those_who_wait_do_without(ids, folder):
    photos = Photos(ids, folder)
    await photos.input(JPEG)
    other = asyncio.ensure_future(photos.input(JPEG))
    await asyncio.sleep(0)
    await photos.refused(JPEG)
    assert await other is None
    assert await photos.input(JPEG) is None


async def test_a_refused_file_id_is_forgotten_and_the_bytes_are_sent(photos, ids):
    ids.kept[JPEG.url] = "stale"
    assert await photos.input(JPEG) == "stale"
    await photos.refused(JPEG)
    assert ids.kept == {}
    assert isinstance(await photos.input(JPEG), InputFile)


async def test_without_the_database_pictures_are_sent_all_the_same(photos, ids, now):
    ids.broken = True
    assert isinstance(await photos.input(JPEG), InputFile)
    await photos.accepted(JPEG, taken(now))
    assert await photos.input(JPEG) == "large"
    await photos.refused(JPEG)
    assert isinstance(await photos.input(JPEG), InputFile)


@pytest.mark.parametrize(
    ("data", "media_type", "offered"),
    [
        (png(800, 600), "image/png", True),
        (png(5000, 5000), "image/png", True),
        (png(5001, 5000), "image/png", False),  # the sides sum up to more than 10,000
        (png(2000, 100), "image/png", True),
        (png(2001, 100), "image/png", False),  # more than 20 times as wide as high
        (png(0, 0), "image/png", False),
        (png(800, 600, 10_000_000), "image/png", True),
        (png(800, 600, 10_000_001), "image/png", False),
        (png(800, 600), "image/gif", False),
        (png(800, 600), "image/avif", False),
        (b"not a picture", "image/jpeg", False),
        (b"", "image/jpeg", False),
    ],
)
async def test_only_what_telegram_takes_is_offered(photos, folder, data, media_type, offered):
    (folder.at / "b").write_bytes(data)
    found = await photos.input(Attachment("/media/b", media_type))
    assert isinstance(found, InputFile) is offered
    if not offered:
        assert found is None


@pytest.mark.parametrize(
    ("url", "media_type", "length", "offered"),
    [
        ("https://cdn.example.org/a.jpg", "image/jpeg", 0, True),
        ("https://cdn.example.org/a.jpg", "image/jpeg", 5_000_001, False),  # Telegram fetches 5 MB at most
        ("https://cdn.example.org/a.gif", "image/gif", 0, False),
        ("http://cdn.example.org/a.jpg", "image/jpeg", 0, False),
        ("https://localhost/a.jpg", "image/jpeg", 0, False),
        ("https://printer.local/a.jpg", "image/jpeg", 0, False),
        ("https://10.0.0.1/a.jpg", "image/jpeg", 0, False),
        ("https://93.184.216.34/a.jpg", "image/jpeg", 0, True),
        ("https://me:secret@cdn.example.org/a.jpg", "image/jpeg", 0, False),
        ("https://[::1/a.jpg", "image/jpeg", 0, False),
        ("/media/gone.jpg", "image/jpeg", 0, False),
    ],
)
async def test_telegram_fetches_what_anybody_could(photos, url, media_type, length, offered):
    assert await photos.input(Attachment(url, media_type, length)) == (url if offered else None)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (BadRequest("PHOTO_INVALID_DIMENSIONS"), True),
        (BadRequest("IMAGE_PROCESS_FAILED"), True),
        (BadRequest("wrong file identifier/HTTP URL specified"), True),
        (BadRequest("failed to get HTTP URL content"), True),
        (BadRequest("wrong type of the web page content"), True),
        (BadRequest("file is too big"), True),
        (NetworkError("Request Entity Too Large"), True),
        (BadRequest("not enough rights to send photos to the chat"), False),
        (BadRequest("message caption is too long"), False),
        (BadRequest("can't parse entities"), False),
        (Forbidden("bot was blocked by the user"), False),
        (NetworkError("Bad Gateway"), False),
    ],
)
def test_the_picture_is_blamed_only_for_what_is_its_own(error, blamed):
    assert is_picture_trouble(error) is blamed


async def test_file_ids_outlive_the_process_in_the_database(tmp_path, now):
    url = f"sqlite:///{tmp_path / 'ids.db'}"
    await migrate.upgrade(url)
    database = Database(url)
    try:
        files = DatabaseFiles(database, 7)
        await files.keep(JPEG.url, "large", now)
        assert await files.load(JPEG.url) == "large"
        assert await DatabaseFiles(database, 8).load(JPEG.url) is None
        await files.forget(JPEG.url)
        assert await files.load(JPEG.url) is None
    finally:
        await database.close()


async def test_a_database_that_is_not_there_is_an_oserror(tmp_path, now):
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    (tmp_path / "empty.db").touch()
    try:
        files = DatabaseFiles(database, 7)
        for doing in (lambda: files.load("x"), lambda: files.keep("x", "y", now), lambda: files.forget("x")):
            with pytest.raises(OSError, match=r"file_id|telegram_file"):
                await doing()
    finally:
        await database.close()
