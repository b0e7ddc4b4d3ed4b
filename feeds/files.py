"""Feeds as files: written whole or not at all, and known again after a restart.

Rules, in order:

1. A feed is three files: itself, and `.gz` and (where brotli is installed) `.br`, made deterministically. How they are
   put in place so that other servers may serve them, `feeds.tree` says.
2. `manifest.json` is written last. It names every feed's validators and the digests of its files; a file that does not
   match is not believed. Without a manifest that fits, everything is built again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from isal import igzip

from feeds import tree
from feeds.streams import Stream

try:
    import brotli  # type: ignore[import-untyped]  # it has none
except ImportError:  # pragma: no cover  # an optional extra of aiohttp
    brotli = None

__all__ = [
    "ENCODINGS",
    "Kept",
    "Manifest",
    "Stored",
    "etag_of",
    "kept_data",
    "kept_from",
    "kept_of",
    "load",
    "pack",
    "read_manifest",
    "remains",
    "remove",
    "save",
    "time_of",
    "write_manifest",
]

MANIFEST = "manifest.json"
SUFFIXES = {"gzip": ".gz", "br": ".br"}
ENCODINGS = tuple(coding for coding in ("br", "gzip") if coding == "gzip" or brotli is not None)
_GZIP_LEVEL, _BROTLI_QUALITY = 2, 1  # feeds change often and small machines pack them: speed before the last percent

_NAME = re.compile(r"[a-z]{2,8}(/[a-z0-9_-]+(/[0-9]{4}-[0-9]{2})?)?\.[a-z]+")  # az.opml, az/all.rss, az/all/2026-10.rss

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stored:
    """A feed's bytes, as they are, and as they are sent compressed."""

    body: bytes
    packed: Mapping[str, bytes]
    etag: str
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What the manifest says of one file. `digests` are by coding; the feed itself is `identity`."""

    etag: str
    last_modified: datetime
    digests: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The ETag without its quotes, as files are named."""
        return self.etag.strip('"')


@dataclass(slots=True)
class Manifest:
    """What was built, from what, and up to which change."""

    settings: str
    built: int
    files: dict[str, Kept] = field(default_factory=dict)
    windows: dict[Stream, tuple[int, ...]] = field(default_factory=dict)
    revisit: dict[int, datetime] = field(default_factory=dict)


def etag_of(body: bytes) -> str:
    """A strong validator (RFC 9110 §8.8.3), the same whatever coding the body travels in."""
    return f'"{hashlib.sha256(body).hexdigest()}"'


def pack(body: bytes) -> dict[str, bytes]:
    """The body in each content coding on offer; equal bodies give equal bytes."""
    packed = {"gzip": igzip.compress(body, _GZIP_LEVEL, mtime=0)}
    if brotli is not None:
        packed["br"] = brotli.compress(body, quality=_BROTLI_QUALITY)
    return packed


def save(directory: Path, files: Mapping[str, Stored], *, together: bool = False) -> None:
    """Write these feeds. A file's time is its Last-Modified, so that a plain web server says the same.

    `together`: all are made safe by one sync of everything, which is cheaper for hundreds of files.

    Raises:
        OSError: a file could not be written; what is public is whole, and as it was unless all files were written.
    """
    tree.swap(directory, {name: _version(stored) for name, stored in files.items()}, together=together)


def remove(directory: Path, names: Iterable[str]) -> None:
    """Take away feeds that are no more, or that nobody may read as they stand. Needs no room on the disk."""
    tree.drop(directory, names)


def remains(directory: Path, names: Iterable[str]) -> dict[str, Kept]:
    """What is public under these names though no manifest knows it: tags and times, and no digest to believe it by."""
    found = {}
    for name in names:
        path = directory / name
        tag = tree.tag_of(directory, name)
        if tag is not None and path.exists():
            found[name] = Kept(f'"{tag}"', datetime.fromtimestamp(path.stat().st_mtime, UTC), {})
    return found


def load(directory: Path, name: str, kept: Kept) -> Stored | None:
    """The feed as the manifest knows it, or None where a file is missing or is another."""
    path = directory / name
    try:
        body = path.read_bytes()
        packed = {coding: path.with_name(path.name + SUFFIXES[coding]).read_bytes() for coding in kept.digests}
    except (OSError, KeyError):
        return None
    if etag_of(body) != kept.etag or _digests(packed) != dict(kept.digests):
        return None
    if not tree.points_to(directory, name, kept.tag):
        return None  # as an older release of this program wrote it, or somebody who copied the folder without links
    return Stored(body, packed, kept.etag, kept.last_modified)


def kept_of(stored: Stored) -> Kept:
    """What the manifest must say of it."""
    return Kept(stored.etag, stored.last_modified, _digests(stored.packed))


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest, or None where there is none that can be read."""
    path = directory / MANIFEST
    try:
        return _parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("feed manifest cannot be read; every feed is built again", file=str(path), reason=str(error))
        return None


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest in its place, last of all.

    Raises:
        OSError: it could not be written; the next start builds again what it does not vouch for.
    """
    data = {
        "settings": manifest.settings,
        "built": manifest.built,
        "files": kept_data(manifest.files),
        "windows": {f"{s.lang}/{s.topic}": numbers for s, numbers in sorted(manifest.windows.items())},
        "revisit": {str(number): when.isoformat() for number, when in sorted(manifest.revisit.items())},
    }
    directory.mkdir(parents=True, exist_ok=True)
    tree.replace_file(directory / MANIFEST, json.dumps(data, separators=(",", ":")).encode())
    tree.sync_folder(directory)


def kept_data(files: Mapping[str, Kept]) -> dict[str, Any]:
    """These validators as a manifest holds them, in JSON."""
    return {
        name: {"etag": kept.etag, "last_modified": kept.last_modified.isoformat(), "digests": dict(kept.digests)}
        for name, kept in sorted(files.items())
    }


def kept_from(data: Any, fits: Callable[[str], bool]) -> dict[str, Kept]:
    """The validators that a manifest holds.

    Raises:
        ValueError: a name does not fit; names become paths.
        KeyError, TypeError, AttributeError: the data are no such thing.
    """
    if unsafe := [name for name in data if not fits(name)]:
        raise ValueError(f"not a name of a feed: {unsafe[0]!r}")
    return {
        name: Kept(str(one["etag"]), time_of(one["last_modified"]), dict(one["digests"])) for name, one in data.items()
    }


def time_of(text: str) -> datetime:
    """A time that a manifest holds, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _parse(data: Any) -> Manifest:
    files = kept_from(data["files"], lambda name: _NAME.fullmatch(name) is not None)
    windows = {_stream(name): tuple(int(n) for n in numbers) for name, numbers in data["windows"].items()}
    revisit = {int(number): time_of(when) for number, when in data["revisit"].items()}
    return Manifest(str(data["settings"]), int(data["built"]), files, windows, revisit)


def _stream(name: str) -> Stream:
    lang, _, topic = name.partition("/")
    return Stream(lang, topic)


def _digests(packed: Mapping[str, bytes]) -> dict[str, str]:
    return {coding: hashlib.sha256(data).hexdigest() for coding, data in packed.items()}


def _tag(etag: str) -> str:
    return etag.strip('"')


def _version(stored: Stored) -> tree.Version:
    codings = {SUFFIXES[coding]: data for coding, data in stored.packed.items()}
    return tree.Version(_tag(stored.etag), codings | {"": stored.body}, stored.last_modified)
