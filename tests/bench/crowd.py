"""Filling a database without going through the doors: many filters, subscribers and releases, by SQL, in seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from syndicator.domain.filters import Filter
from syndicator.domain.model import MessageKind, Priority, Revision, State, Urgency
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store import ledger, releases
from syndicator.store.database import Database
from syndicator.store.filters import share_filter
from syndicator.store.releases import Draft
from syndicator.store.tables import COUNTER, RELEASE, RELEASE_TOPIC, REVISION, VARIANT

__all__ = ["LANGS", "NOW", "SITE", "TOPICS", "announce", "crowd", "library"]

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LANGS = ("az", "en", "ru")
TOPICS = 20
CHUNK = 5000  # releases written in one transaction
SITE = Site(
    "https://press.example.org",
    {"az": "Miqrasiya Xidməti", "en": "Migration Service", "ru": "Миграционная служба"},
    LANGS,
    "az",
    "Asia/Baku",
)
PARAGRAPH = "The Service explains how applications for a residence permit are made and how long a decision takes. "
COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < :people) "
PEOPLE = """INSERT INTO subscriber (channel, address, role, resolved, language, timezone, other_language, state,
    state_reason, created_at)
SELECT CASE WHEN x % :chats = :chats - 1 THEN 'telegram' ELSE 'email' END,
    CASE WHEN x % :chats = :chats - 1 THEN '' || x ELSE 'reader' || x || '@example.org' END,
    'person', '', 'en', 'Asia/Baku', 'urgent', 'active', '', :early FROM n"""
WISHES = """INSERT INTO subscription (subscriber_id, filter_id, cadence, state, created_at, confirmed_at, ended_reason,
    consent_source, consent_text)
SELECT p.id, 1 + p.id % :filters, 'immediate', 'active', :early, :early, '', 'desk', 'yes' FROM subscriber p"""


def taxonomy() -> Taxonomy:
    """Twenty topics."""
    names = {"az": "Mövzu", "en": "Topic", "ru": "Тема"}
    return Taxonomy.from_mapping({"topic": [{"slug": f"t{n}", "name": names} for n in range(TOPICS)]})


async def crowd(database: Database, people: int, filters: int, *, chats: int = 3) -> None:
    """Subscribers on distinct filters that all match `announce`'s release; every `chats`th is on Telegram (0: none)."""
    early: Any = NOW - timedelta(days=30)
    if database.url.startswith("sqlite"):
        early = early.replace(tzinfo=None).isoformat(" ")
    async with database.writing() as session:
        for number in range(filters):
            await share_filter(session, _distinct(number))
        await session.execute(
            text(COUNT + PEOPLE if database.url.startswith("sqlite") else _with_inside(PEOPLE)),
            {"people": people, "early": early, "chats": chats or people + 2},
        )
        await session.execute(text(WISHES), {"filters": filters, "early": early})
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))


def _with_inside(statement: str) -> str:
    head, _, tail = statement.partition("SELECT")
    return f"{head} {COUNT} SELECT {tail}"


def _distinct(number: int) -> Filter:
    """By topic, by kind and by word in turn; each matches the release, and each is another."""
    if number == 0:
        return Filter()
    others = (
        Filter(topics=("t1", f"x{number}")),
        Filter(kinds=("news", f"k{number}")),
        Filter(words=("permit",), without=(f"x{number}",)),
    )
    return others[number % 3]


async def announce(
    database: Database, sentences: int = 8, *, key: str = "permits", priority: Priority = Priority.NORMAL
) -> int:
    """One release of so many sentences that everybody wants, and its message, open; returns the message's id."""
    texts = {"az": "İcazə permit", "en": "Permits take less time", "ru": "Разрешение permit"}
    async with database.writing() as session:
        for lang, title in texts.items():
            revision = Revision(0, 0, title, "", f"<p>{PARAGRAPH * sentences}</p>", PARAGRAPH * sentences)
            topics = (("t1", "source", ""),)
            draft = Draft("desk", key, lang, key, "news", Urgency.NORMAL, State.PUBLIC, NOW, revision, topics)
            recorded = await releases.record(session, draft, site_uids=SITE, now=NOW)
        number = recorded.release.number
        message = await ledger.announce(session, number, kind=MessageKind.RELEASE, major=0, priority=priority, now=NOW)
    return message.id


async def library(database: Database, count: int) -> None:
    """Public releases, one an hour, each in three languages and on one or two topics."""
    for first in range(1, count + 1, CHUNK):
        numbers = range(first, min(first + CHUNK, count + 1))
        times = {n: NOW - timedelta(hours=count - n + 1) for n in numbers}
        topics = {(n, f"t{(n * step) % TOPICS}"): step for n in numbers for step in (3, 1)}
        versions = [(n, place) for n in numbers for place in range(len(LANGS))]
        async with database.writing() as session:
            await session.execute(insert(RELEASE), [_release(n, times[n]) for n in numbers])
            await session.execute(
                insert(RELEASE_TOPIC),
                [
                    {"release_id": n, "topic": topic, "position": place, "chosen_by": "source", "reason": ""}
                    for (n, topic), place in topics.items()
                ],
            )
            await session.execute(insert(VARIANT), [_variant(n, place, times[n]) for n, place in versions])
            await session.execute(insert(REVISION), [_revision(n, place, times[n]) for n, place in versions])
            await session.execute(COUNTER.update().where(COUNTER.c.name == "change").values(value=numbers[-1]))
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))


def _release(number: int, when: datetime) -> dict[str, Any]:
    facts = {"uid": f"tag:press.example.org,2026:release:{number}", "source": "desk", "key": f"r{number}"}
    times = {"public_at": when, "opened_at": when, "created_at": when, "updated_at": when}
    state = {"kind": "news", "urgency": "normal", "state": "public", "reason": "", "major": 0, "change": number}
    return {"id": number, **facts, **times, **state}


def _variant(number: int, place: int, when: datetime) -> dict[str, Any]:
    said = {"said_state": "public", "said_public_at": when, "said_kind": "news", "said_urgency": "normal"}
    lang = LANGS[place]
    return {
        "id": number * len(LANGS) + place,
        "release_id": number,
        "lang": lang,
        "uid": f"tag:press.example.org,2026:release:{lang}:{number}",
        "slug": f"release-{number}",
        "position": place,
        **said,
        "said_topics": [[f"t{number % TOPICS}", "source", ""]],
        "said_reason": "",
        "revision_number": 1,
        "updated_at": when,
        "opened_at": when,
        "created_at": when,
    }


def _revision(number: int, place: int, when: datetime) -> dict[str, Any]:
    body = PARAGRAPH * (8 + number % 8)
    words = {"title": f"Release {number} in {LANGS[place]}", "summary": PARAGRAPH, "body": f"<p>{body}</p>"}
    rest = {"text": body, "link": "", "attachments": [], "rights": "", "note": "", "created_at": when}
    return {"variant_id": number * len(LANGS) + place, "number": 1, "major": 0, **words, **rest}
