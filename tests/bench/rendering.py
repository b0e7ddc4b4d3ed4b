"""Rendering 50 entries beside Django's feedgenerator and beside plain feedgen, from the same prepared entries.

Rules, in order:

1. Each peer writes RSS and Atom with what it can say: full text, author, topics, dates, ids. Ours writes those two with
   everything it has to say (languages, corrections, media), and JSON Feed as well.
2. "Cold" renders every entry; "one changed" renders one and splices it among 49 kept fragments. Peers keep nothing, so
   for them both are the same.
3. CPU of this process, of each the best of some rounds in turn.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import feedgenerator
from feedgen.feed import FeedGenerator

from feeds import build
from feeds.entry import Entry, entry_of
from feeds.streams import Channel, Stream, describe
from syndicator.domain.model import Release, Revision, State, Urgency, Variant
from syndicator.domain.site import FEED_FORMATS
from syndicator.i18n import Texts
from tests.bench.crowd import LANGS, NOW, PARAGRAPH, SITE, taxonomy
from tests.bench.figures import Figure

__all__ = ["measure"]

ENTRIES = 50
ROUNDS = 15


def measure(_folder: Path) -> Iterator[Figure]:
    """Ours, cold and with one change, and both peers."""
    if not settings.configured:
        settings.configure(USE_TZ=True)
    topics, texts = taxonomy(), Texts.load(LANGS)
    channel = describe(Stream("en", "all"), SITE, topics, texts)
    entries = [_entry(number, topics, texts) for number in range(ENTRIES)]
    kept = [build.fragment_of(entry) for entry in entries]
    ways: dict[str, Callable[[], object]] = {
        "cold": lambda: _ours(channel, [build.fragment_of(entry) for entry in entries]),
        "one of them changed": lambda: _ours(channel, [build.fragment_of(entries[0]), *kept[1:]]),
        "django": lambda: _django(channel, entries),
        "feedgen": lambda: _feedgen(channel, entries),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            best[name] = min(best[name], (time.process_time() - begun) * 1000)
    for name in ("cold", "one of them changed"):
        for peer in ("django", "feedgen"):
            what = f"{ENTRIES} entries, {name}: RSS, Atom and JSON"
            beside = f"{peer}, RSS and Atom: {best[peer]:.1f} ms"
            yield Figure(what, f"{best[name]:.2f} ms", beside, best[name] / best[peer])


def _entry(number: int, topics: object, texts: Texts) -> Entry:
    body = PARAGRAPH * (8 + number % 8)
    revision = Revision(1, 0, f"Release {number} in English", PARAGRAPH, f"<p>{body}</p>", body)
    when = NOW - timedelta(hours=number)
    uid = f"tag:press.example.org,2026:release:{number}"
    versions = tuple(
        Variant(number * 3 + place, lang, f"{uid}:{lang}", f"release-{number}", when, revision)
        for place, lang in enumerate(LANGS)
    )
    release = Release(
        number=number,
        uid=uid,
        source="desk",
        key=f"r{number}",
        kind="news",
        urgency=Urgency.NORMAL,
        state=State.PUBLIC,
        public_at=when,
        topics=(f"t{number % 20}", f"t{number * 3 % 20}"),
        variants=versions,
        opened_at=when,
    )
    return replace(entry_of(release, versions[1], SITE, topics, texts), published=when, updated=when)


def _ours(channel: Channel, fragments: Sequence[build.Fragment]) -> list[bytes]:
    return [build.render(fmt, channel, fragments, 60, ()) for fmt in FEED_FORMATS]


def _django(channel: Channel, entries: Sequence[Entry]) -> list[str]:
    made = []
    for kind in (feedgenerator.Rss201rev2Feed, feedgenerator.Atom1Feed):
        feed = kind(
            title=channel.title,
            link=channel.page,
            description=channel.description,
            language=channel.lang,
            author_name=channel.author,
            feed_url=channel.addresses["rss"],
            feed_guid=channel.uid,
            ttl=1,
        )
        for entry in entries:
            feed.add_item(
                title=entry.title,
                link=entry.url,
                description=entry.content,
                author_name=entry.author,
                pubdate=entry.published,
                updateddate=entry.updated,
                unique_id=entry.uid,
                unique_id_is_permalink=False,
                categories=[topic.label for topic in entry.categories],
            )
        out = io.StringIO()
        feed.write(out, "utf-8")
        made.append(out.getvalue())
    return made


def _feedgen(channel: Channel, entries: Sequence[Entry]) -> list[bytes]:
    feed = FeedGenerator()
    feed.id(channel.uid)
    feed.title(channel.title)
    feed.link(href=channel.page, rel="alternate")
    feed.description(channel.description)
    feed.language(channel.lang)
    for entry in entries:
        item = feed.add_entry(order="append")
        item.guid(entry.uid, permalink=False)
        item.title(entry.title)
        item.link(href=entry.url)
        item.content(entry.content, type="html")
        item.author({"name": entry.author})
        for topic in entry.categories:
            item.category(term=topic.term, label=topic.label)
        item.published(entry.published)
        item.updated(entry.updated)
    return [feed.rss_str(), feed.atom_str()]
