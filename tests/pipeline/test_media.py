"""What came with a release is kept whole, under an address that nobody guesses, and only if a browser may have it."""

import hashlib
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from syndicator.domain.model import Attachment
from syndicator.pipeline.media import MediaFolder


def archive(*names: str) -> bytes:
    data = BytesIO()
    with ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return data.getvalue()


JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 10
AVIF = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + b"x" * 20
OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.fixture
def store(tmp_path) -> MediaFolder:
    return MediaFolder(tmp_path / "media", 5_000)


def came(tmp_path: Path, name: str, data: bytes, media_type: str = "application/octet-stream") -> Attachment:
    path = tmp_path / name
    path.write_bytes(data)
    return Attachment(path=path, media_type=media_type, title="A title", alt="Words for it", credit="Somebody")


@pytest.mark.parametrize(
    ("name", "data", "media_type", "extension"),
    [
        ("a.jpg", JPEG, "image/jpeg", "jpg"),
        ("a.jpg", b"\x89PNG\r\n\x1a\nrest", "image/png", "png"),  # bytes count, not names
        ("a", b"GIF89arest", "image/gif", "gif"),
        ("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp", "webp"),
        ("a.avif", AVIF, "image/avif", "avif"),
        ("a.pdf", b"%PDF-1.7\n...", "application/pdf", "pdf"),
        ("a.docx", archive("[Content_Types].xml", "word/document.xml"), f"{OFFICE}.wordprocessingml.document", "docx"),
        ("a.docx", archive("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet", "xlsx"),
        ("a.zip", archive("a.csv"), "application/zip", "zip"),
        ("a.csv", b"ad;say\nviza;7\n", "text/csv", "csv"),
        ("a.TXT", "\ufeffMətn".encode(), "text/plain", "txt"),
    ],
)
async def test_a_file_is_kept_as_what_its_bytes_are(store, tmp_path, name, data, media_type, extension):
    kept = await store.keep(came(tmp_path, name, data))
    assert kept.url == f"/media/{hashlib.sha256(data).hexdigest()[:32]}.{extension}"
    assert (kept.media_type, kept.length, kept.path) == (media_type, len(data), None)
    assert (kept.title, kept.alt, kept.credit) == ("A title", "Words for it", "Somebody")
    assert store.path(kept.url).read_bytes() == data


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (
            "a.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            "a.svg: this type of file is not served",
        ),
        ("a.html", b"<!doctype html>", "a.html: this type of file is not served"),
        ("a.png", b"<svg/>", "a.png: this type of file is not served"),
        ("a.txt", b" \n<html><script>", "a.txt: markup is not served"),
        ("a.txt", "Жа".encode("cp1251"), "a.txt: the text is not UTF-8"),
        ("a.csv", b"a\0b", "a.csv: the text holds control characters"),
        ("a.exe", b"MZ\x90", "a.exe: this type of file is not served"),
        (
            "a.docm",
            archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
            "a.docm: documents with macros",
        ),
        ("a.pptx", archive("[Content_Types].xml", "ppt/presentation.xml"), "a.pptx: this type of office document"),
        ("a.zip", b"PK\x03\x04broken", "a.zip: the archive is damaged"),
        ("a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a.mp4: this type of file is not served"),
        ("a.jpg", JPEG + b"x" * 5_000, "a.jpg: the file has 5,074 bytes; at most 5,000 are taken"),
        ("a.txt", b"", None),
    ],
)
async def test_what_is_not_served_is_refused_by_name(store, tmp_path, name, data, reason):
    attachment = came(tmp_path, name, data)
    if reason is None:
        assert (await store.keep(attachment)).length == 0
        return
    with pytest.raises(ValueError, match="^" + reason.replace(".", r"\.")):
        await store.keep(attachment)
    assert list((tmp_path / "media").glob("**/*")) == []


async def test_a_picture_that_is_none_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"a\.jpg: the file is no picture but application/pdf"):
        await store.keep(came(tmp_path, "a.jpg", b"%PDF-1.7", "image/jpeg"))


async def test_keeping_twice_changes_nothing(store, tmp_path):
    first = await store.keep(came(tmp_path, "a.jpg", JPEG))
    before = store.path(first.url).stat()
    assert (await store.keep(came(tmp_path, "b.jpg", JPEG))).url == first.url
    assert store.path(first.url).stat() == before
    assert len(list((tmp_path / "media").iterdir())) == 1


async def test_a_half_written_file_is_written_anew(store, tmp_path):
    kept = await store.keep(came(tmp_path, "a.jpg", JPEG))
    store.path(kept.url).write_bytes(JPEG[:5])
    await store.keep(came(tmp_path, "a.jpg", JPEG))
    assert store.path(kept.url).read_bytes() == JPEG


async def test_what_is_elsewhere_stays_elsewhere(store):
    remote = Attachment(url="https://press.example.org/a.png", media_type="image/png")
    assert await store.keep(remote) is remote


async def test_a_file_that_cannot_be_read_is_named(store, tmp_path):
    with pytest.raises(OSError, match=r"^gone\.jpg: the file cannot be read: No such file"):
        await store.keep(Attachment(path=tmp_path / "gone.jpg"))


async def test_a_folder_that_cannot_be_written_is_named_and_nothing_half_is_left(tmp_path):
    (tmp_path / "media").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"^a\.jpg: cannot be kept in "):
        await MediaFolder(tmp_path / "media", 5_000).keep(came(tmp_path, "a.jpg", JPEG))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/media/",
        "/media/../secret.txt",
        "/media/..%2fsecret.txt",
        "/media/" + "0" * 32 + ".jpg",
        "/media/" + "0" * 32 + ".jpg\n",
        "/media/" + "٠" * 32 + ".jpg",
        "/media/" + "a" * 32 + ".html",
        "/media/" + "b" * 32 + ".jpg",
        "https://press.example.org/media/" + "a" * 32 + ".jpg",
    ],
)
def test_no_address_leads_out_of_the_folder(store, tmp_path, url):
    (tmp_path / "secret.txt").write_text("hush")
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / ("a" * 32 + ".html")).write_text("<script>")
    (folder / ("b" * 32 + ".jpg")).symlink_to(tmp_path / "secret.txt")
    assert store.path(url) is None
