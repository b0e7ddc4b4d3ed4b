"""Posts with photos on their way to the double: uploaded once, and a text wherever a photo will not do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from bots.telegram.channel import TelegramChannel
from bots.telegram.limits import Pacer
from bots.telegram.media import Photos
from bots.telegram.options import ChatOptions, Options
from bots.telegram.render import Style
from syndicator.domain.letters import Earlier, Sent
from syndicator.domain.model import Attachment, MessageKind, State
from tests.telegram.pictures import png

PHOTO = ChatOptions(people=Options(Style(media="photo")))
HALL = Attachment("/media/a.png", "image/png", alt="A hall", credit="The press office")


class Ids:
    """File_ids in memory."""

    def __init__(self):
        self.kept = {}

    async def load(self, url):
        return self.kept.get(url)

    async def keep(self, url, file_id, now):
        self.kept[url] = file_id

    async def forget(self, url):
        self.kept.pop(url, None)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40, 30))

    async def find(url):
        return path if (path := tmp_path / url.split("/")[-1]).is_file() else None

    return SimpleNamespace(at=tmp_path, find=find)


@pytest.fixture
def ids():
    return Ids()


@pytest.fixture
def channel(line, site, texts, taxonomy, pauses, time, folder, ids, double):
    """A channel whose readers get photos; ten of them have written to the bot."""
    double.started.update(range(1, 11))
    return TelegramChannel(
        line(),
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        pacer=Pacer(),
        pauses=pauses,
        options=PHOTO,
        photos=Photos(ids, folder),
        sleep=time.sleep,
        monotonic=time.monotonic,
    )


@pytest.fixture
def to(letter, release):
    def made(chat, picture=HALL, **values):
        about = release(attachments=(picture,), **values)
        return replace(letter(about, address=str(chat)), delivery=chat)

    return made


async def test_the_picture_comes_with_the_text_as_its_caption_and_the_button_below(double, channel, to, now):
    (found,) = await channel.send([to(7)], now)
    (seen,) = double.seen(7)
    assert isinstance(found, Sent)
    assert seen["kind"] == "photo"
    assert seen["text"].startswith("Visas get cheaper\n\nFrom Monday.\n\n🖼 A hall (Photo: The press office)")
    assert seen["keyboard"][0][0]["text"] == "Read on the site"
    assert found.answer["photo"] is True


@pytest.mark.parametrize("image", [True, False])
async def test_posts_can_be_forwarded_and_quoted(double, channel, to, now, image):
    await channel.send([to(7, HALL if image else replace(HALL, url="/media/gone.png"))], now)
    assert double.seen(7)[0]["protected"] is False


async def test_ten_readers_side_by_side_need_one_upload(double, channel, to, now):
    await asyncio.gather(*(channel.send([to(chat)], now) for chat in range(1, 11)))
    posts = [post for chat in range(1, 11) for post in double.seen(chat)]
    assert [post["kind"] for post in posts] == ["photo"] * 10
    assert sum(post["uploaded"] for post in posts) == 1


async def test_a_file_id_that_telegram_has_forgotten_is_uploaded_again_at_the_next_chat(double, channel, to, ids, now):
    ids.kept[HALL.url] = "forgotten"
    for chat in (1, 2, 3):
        await channel.send([to(chat)], now)
    assert [double.seen(chat)[0]["kind"] for chat in (1, 2, 3)] == ["text", "photo", "photo"]
    assert double.seen(1)[0]["preview"]["url"] == "https://press.example.org/en/releases/12-visas"
    assert ids.kept[HALL.url] != "forgotten"


@pytest.mark.parametrize(
    "refusal",
    ["PHOTO_INVALID_DIMENSIONS", "IMAGE_PROCESS_FAILED", "not enough rights to send photos to the chat"],
)
async def test_a_picture_that_is_refused_gives_way_to_the_text_with_the_pages_picture(
    double, channel, to, now, refusal
):
    double.fault("refuse", method="sendPhoto", code=400, text=f"Bad Request: {refusal}")
    (found,) = await channel.send([to(7)], now)
    (seen,) = double.seen(7)
    assert isinstance(found, Sent)
    assert (seen["kind"], "photo" in found.answer) == ("text", False)
    assert seen["text"].startswith("Visas get cheaper")
    assert seen["preview"]["prefer_large_media"] is True


@pytest.mark.parametrize(
    ("refusal", "next_one"),
    [("IMAGE_PROCESS_FAILED", "text"), ("not enough rights to send photos to the chat", "photo")],
)
async def test_a_bad_picture_is_tried_once_and_a_chat_without_photos_spoils_none(
    double, channel, to, now, refusal, next_one
):
    double.fault("refuse", method="sendPhoto", code=400, text=f"Bad Request: {refusal}")
    await channel.send([to(1), to(2)], now)
    assert double.seen(2)[0]["kind"] == next_one


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(png(9_000, 2_000), "image/png"), (png(2_100, 100), "image/png"), (b"GIF89a", "image/gif"), (None, "image/png")],
)
async def test_what_telegram_would_refuse_is_not_even_tried(double, channel, to, folder, now, data, media_type):
    (folder.at / "a.png").unlink()
    if data:
        (folder.at / "a.png").write_bytes(data)
    (found,) = await channel.send([to(7, replace(HALL, media_type=media_type))], now)
    assert isinstance(found, Sent)
    assert double.seen(7)[0]["kind"] == "text"
    assert double.made("sendPhoto") == []


async def test_a_text_that_fits_no_caption_goes_without_the_photo(double, channel, to, now):
    await channel.send([to(7, body="<p>" + "word " * 500 + "</p>", summary="So much to say. " * 60)], now)
    (seen,) = double.seen(7)
    assert (seen["kind"], seen["text"].count("word")) == ("text", 500)


@pytest.fixture
async def withdrawn(double, channel, to, now):
    """Withdraws a photo post three days later; gives what then stands in the chat."""

    async def made():
        clock = now
        double._clock = lambda: clock.timestamp()  # noqa: PLW0108  # time moves on below
        letter = to(7)
        (found,) = await channel.send([letter], now)
        earlier = Earlier(letter.delivery, MessageKind.RELEASE, found.answer, now)
        clock = now + timedelta(days=3)
        gone = replace(letter.release, state=State.WITHDRAWN, withdrawn_at=clock, reason="A face could be seen.")
        after = replace(letter, kind=MessageKind.WITHDRAWAL, delivery=99, release=gone, earlier=(earlier,))
        (ended,) = await channel.send([after], clock)
        assert isinstance(ended, Sent)
        return double.seen(7)

    return made


async def test_of_a_withdrawn_photo_that_is_too_old_to_delete_neither_picture_nor_words_stay(double, withdrawn, ids):
    notice, reply = await withdrawn()
    assert notice["kind"] == "photo"
    assert notice["photo"] != ids.kept[HALL.url]
    assert notice["text"].startswith("🚫 Withdrawn")
    assert "A hall" not in notice["text"]
    assert reply["reply_to"] == notice["id"]


async def test_where_the_blank_picture_is_refused_at_least_the_words_go(double, withdrawn):
    double.fault("refuse", method="editMessageMedia", code=400, text="Bad Request: IMAGE_PROCESS_FAILED")
    notice, _ = await withdrawn()
    assert notice["text"].startswith("🚫 Withdrawn")


async def test_a_proxy_that_takes_no_large_requests_makes_a_photo_post_a_text_at_once(double, channel, to, now):
    double.fault("too_large", method="sendPhoto")
    (found,) = await channel.send([to(7)], now)
    (seen,) = double.seen(7)
    assert isinstance(found, Sent)
    assert (seen["kind"], seen["text"].startswith("Visas get cheaper")) == ("text", True)
    assert channel.ready_at(now) is None
