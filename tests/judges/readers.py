"""What other people's readers make of our feeds, in one plain form: `title`, page (`url`), `items` of a feed.

Of each item `id, title, url, published, updated` (seconds), `content` (HTML), `enclosures` [{url, type, length}],
`categories`; a reader that does not tell one of them leaves it out. A reader that is not there skips with the reason;
in CI it fails.
"""

from __future__ import annotations

import calendar
import json
import os
import shutil
import sqlite3
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import feedparser

from tests.needing import missing

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"

Told = dict[str, Any]
"""A feed: its title, its page, its items."""


def node(name: str, paths: Sequence[Path], scope: str = "") -> dict[Path, Any]:
    """What a reader from npm says of these files; all in one process. `scope` stands before its name there."""
    program = shutil.which("node")
    if program is None or not (MODULES / scope / name).is_dir():
        missing(name, "make judges")
    command = [str(program), str(HERE / f"{name}.mjs"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {Path(path): told for path, told in json.loads(done.stdout).items()}


def by_feedparser(paths: Sequence[Path]) -> dict[Path, Told]:
    found = {}
    for path in paths:
        parsed = _sound(path)
        items = [_parsed(entry) for entry in parsed.entries]
        found[path] = {"title": parsed.feed.title, "url": parsed.feed.link, "items": items}
    return found


def _sound(path: Path) -> Any:
    feed = feedparser.parse(path.read_bytes())
    assert not feed.bozo, (path, feed.get("bozo_exception"))
    return feed


def _parsed(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "url": entry.link,
        "published": calendar.timegm(entry.published_parsed),
        "updated": calendar.timegm(entry.updated_parsed),
        "content": entry.content[0].value,
        "enclosures": [{"url": e.href, "type": e.type, "length": int(e.get("length", 0))} for e in entry.enclosures],
        "categories": [tag.label or tag.term for tag in entry.get("tags", ())],
    }


def by_reader(paths: Sequence[Path]) -> dict[Path, Told]:
    """lemon24's `reader`, from files, into a database in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries it brings
        from reader import make_reader as reader_of  # noqa: PLC0415  # its libraries warn while they load
    found = {}
    with reader_of(":memory:", feed_root=str(paths[0].parent)) as reader:
        for path in paths:
            reader.add_feed(path.name)
            reader.update_feed(path.name)
            feed, items = reader.get_feed(path.name), [_kept(entry) for entry in reader.get_entries(feed=path.name)]
            found[path] = {"title": feed.title, "url": feed.link, "items": items}
    return found


def _kept(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "url": entry.link,
        "published": int(entry.published.timestamp()),
        "updated": int((entry.updated or entry.published).timestamp()),
        "content": next(c.value for c in entry.content if c.type == "text/html"),
        "enclosures": [{"url": e.href, "type": e.type, "length": e.length or 0} for e in entry.enclosures],
    }


def by_newsboat(addresses: Sequence[str], folder: Path) -> dict[str, Told]:
    """newsboat, over HTTP as its readers use it, from the cache that it keeps; there an id is in one feed only.

    It tells of enclosures that can be heard or seen as films, no others.
    """
    program = shutil.which("newsboat")
    if program is None:
        missing("newsboat", "Debian: apt install newsboat")
    folder.mkdir()
    (folder / "urls").write_text("\n".join(addresses) + "\n")
    (folder / "config").write_text("download-retries 1\nrefresh-on-startup no\nmax-items 0\n")
    files = ["-u", folder / "urls", "-c", folder / "cache.db", "-C", folder / "config"]
    environment = os.environ | {"HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "dumb", "no_proxy": "127.0.0.1"}
    command = [str(program), *map(str, files), "-x", "reload"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    cache = sqlite3.connect(folder / "cache.db")
    feeds = cache.execute("SELECT rssurl, title, url FROM rss_feed")
    found: dict[str, Told] = {address: {"title": title, "url": url, "items": []} for address, title, url in feeds}
    for address, *row in cache.execute("SELECT feedurl, guid, title, url, pubDate, content FROM rss_item"):
        found[address]["items"].append(dict(zip(("id", "title", "url", "dated", "content"), row, strict=True)))
    cache.close()
    return found


def listparser(body: bytes) -> Any:
    """An OPML file as listparser reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import listparser as lists  # noqa: PLC0415  # it warns while it loads

        return lists.parse(body)
