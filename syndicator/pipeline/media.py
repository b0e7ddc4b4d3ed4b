"""Pictures and files that came with releases, kept in a folder and served from `/media/`.

Rules, in order:

1. What a file is, its bytes say, never its name: jpeg, png, gif, webp, avif; pdf, docx, xlsx, zip; csv and txt in
   UTF-8. What a browser or an office program could run (svg, html, macros) is not kept.
2. A file's address is the beginning of its SHA-256: the same bytes have the same address, and nobody can guess
   the address of a picture whose release has not come out yet.
3. A file is there whole or not at all: written aside, flushed to the disk, then named.
4. Keeping a file twice changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from syndicator.domain.model import Attachment
from syndicator.sources.folder import Moving, read

__all__ = ["TYPES", "MediaFolder", "flush"]

DIGITS = 32  # of the SHA-256 in hexadecimal: 128 bits
EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/zip": "zip",
    "text/csv": "csv",
    "text/plain": "txt",
}
TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}
_SERVED = "jpg, png, gif, webp, avif, pdf, docx, xlsx, zip, csv and txt are served"
_NAME = re.compile(rf"/media/([0-9a-f]{{{DIGITS}}}\.(?:{'|'.join(EXTENSIONS.values())}))", re.ASCII)
_BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class MediaFolder:
    """Implements `domain.ports.MediaStore`. The folder is made when the first file comes."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    async def keep(self, attachment: Attachment) -> Attachment:
        """As the port says; what has no local file stays as it is.

        Raises:
            OSError: the file cannot be read or kept.
            ValueError: it is too large, of a type that is not served, or promised as a picture and none.
        """
        if attachment.path is None:
            return attachment
        return await asyncio.to_thread(self._keep, attachment, attachment.path)

    async def examine(self, attachment: Attachment) -> Attachment:
        """What `keep` would give, without keeping anything; for previews. Raises as `keep` does."""
        if attachment.path is None:
            return attachment
        return (await asyncio.to_thread(self._examine, attachment, attachment.path))[0]

    def path(self, url: str) -> Path | None:
        """The kept file behind `/media/...`, or None."""
        name = self.name_of(url)
        if name is None:
            return None
        path = self._directory / name
        return path if path.is_file() and not path.is_symlink() else None

    async def find(self, url: str) -> Path | None:
        """The same; where several machines share what they keep, from wherever it is (`media_shared`)."""
        return self.path(url)

    @staticmethod
    def name_of(url: str) -> str | None:
        """The file's name, if that is an address of ours."""
        found = _NAME.fullmatch(url)
        return found[1] if found else None

    def urls(self) -> list[str]:
        """The addresses of everything in the folder."""
        names = (f"/media/{path.name}" for path in self._directory.iterdir()) if self._directory.is_dir() else ()
        return sorted(url for url in names if self.path(url) is not None)

    def _keep(self, attachment: Attachment, source: Path) -> Attachment:
        kept, data = self._examine(attachment, source)
        try:
            self._write(kept.url.rpartition("/")[2], data)
        except OSError as error:
            raise OSError(f"{source.name}: cannot be kept in {self._directory}: {error.strerror}") from error
        return kept

    def _examine(self, attachment: Attachment, source: Path) -> tuple[Attachment, bytes]:
        """The attachment as it is served, and its bytes."""
        try:
            data, _ = read(source, self._max_bytes)
            media_type = _media_type(data, source.suffix.lower())
        except Moving:
            raise OSError(f"{source.name}: the file changes while it is read") from None
        except OSError as error:
            raise OSError(f"{source.name}: the file cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{source.name}: {error}") from None
        if attachment.is_image and not media_type.startswith("image/"):
            raise ValueError(f"{source.name}: the file is no picture but {media_type}")
        name = f"{hashlib.sha256(data).hexdigest()[:DIGITS]}.{EXTENSIONS[media_type]}"
        return replace(attachment, url=f"/media/{name}", media_type=media_type, length=len(data), path=None), data

    def _write(self, name: str, data: bytes) -> None:
        target = self._directory / name
        if target.is_file() and target.stat().st_size == len(data):
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        aside = self._directory / f".{name}.{secrets.token_hex(4)}.part"
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        flush(self._directory)


def flush(path: Path) -> None:
    """Onto the disk; a new name survives a power cut only once its folder is there too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _media_type(data: bytes, suffix: str) -> str:
    """What the bytes are; the name only tells a table from a text.

    Raises:
        ValueError: nothing that is served.
    """
    for beginning, media_type in _BEGINNINGS:
        if data.startswith(beginning):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and _brands(data) & {b"avif", b"avis"}:
        return "image/avif"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive_type(data)
    if suffix in (".csv", ".txt"):
        return _text_type(data, suffix)
    raise ValueError(f"this type of file is not served; {_SERVED}")


def _brands(data: bytes) -> set[bytes]:
    """The brands of an ISO base media file's first box (ISO/IEC 14496-12, 4.3), its version aside."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}


def _archive_type(data: bytes) -> str:
    """Office documents are zip archives with a known inside (ECMA-376, part 2)."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (BadZipFile, ValueError, NotImplementedError, OverflowError):
        raise ValueError("the archive is damaged") from None
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise ValueError("documents with macros are not served")
    if "[Content_Types].xml" not in names:
        return TYPES["zip"]
    if "word/document.xml" in names:
        return TYPES["docx"]
    if "xl/workbook.xml" in names:
        return TYPES["xlsx"]
    raise ValueError(f"this type of office document is not served; {_SERVED}")


def _text_type(data: bytes, suffix: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the text is not UTF-8; save it as UTF-8") from None
    if _CONTROLS.search(data):
        raise ValueError("the text holds control characters; it is not a text")
    if text.lstrip().startswith("<"):
        raise ValueError(f"markup is not served; {_SERVED}")
    return TYPES[suffix.removeprefix(".")]
