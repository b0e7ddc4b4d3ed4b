"""Telegram's tests: the double, a small site with topics, and letters to send."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from telegram.ext import ExtBot

from bots.telegram.app import TelegramBot
from bots.telegram.channel import TelegramChannel
from bots.telegram.kept import Pause
from bots.telegram.limits import Pacer
from bots.telegram.transport import AiohttpRequest, hide_token
from config.settings import TelegramSettings
from syndicator.domain.letters import Letter
from syndicator.domain.model import (
    Attachment,
    MessageKind,
    Release,
    Revision,
    State,
    SubscriberRole,
    Urgency,
    Variant,
)
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from tests.telegram.agency import Agency, Clock
from tests.telegram.chats import FakeChats
from tests.telegram.double import TelegramDouble

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)  # 13:00 in Baku
LANGS = ("az", "en", "ru")


def _module():
    path = Path(__file__).with_name("double.py")
    spec = importlib.util.spec_from_file_location("telegram_double", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["telegram_double"] = module
    spec.loader.exec_module(module)
    return module


DOUBLE = _module()


@pytest.fixture(scope="session")
def now():
    return NOW


@pytest.fixture(scope="session")
def rules():
    return DOUBLE.rules


@pytest.fixture(scope="session")
def site():
    names = {"az": "Miqrasiya Xidməti", "en": "Migration Service", "ru": "Миграционная служба"}
    return Site("https://press.example.org", names, LANGS, "az", "Asia/Baku")


@pytest.fixture(scope="session")
def taxonomy():
    rows = [
        ("entry", None, {"az": "Giriş və olma", "en": "Entry and stay", "ru": "Въезд и пребывание"}),
        ("visas", "entry", {"az": "Vizalar", "en": "Visas", "ru": "Визы"}),
        ("refugees", None, {"az": "Qaçqınlar", "en": "Refugees", "ru": "Беженцы"}),
    ]
    topics = [{"slug": slug, "name": names, **({"parent": parent} if parent else {})} for slug, parent, names in rows]
    return Taxonomy.from_mapping({"topic": topics})


@pytest.fixture(scope="session")
def texts():
    return Texts.load(LANGS)


@pytest.fixture(scope="session")
def release():
    """Makes a release; keyword arguments go to its revision or to the release itself."""

    def made(lang="en", *, urgent=False, topics=("visas",), image=False, number=12, change=1, **revision):
        attachments = (Attachment("/media/a.jpg", "image/jpeg"),) if image else ()
        values = {
            "title": "Visas get cheaper",
            "summary": "",
            "body": "<p>From Monday.</p>",
            "text": "From Monday.",
            "attachments": attachments,
            **revision,
        }
        said = Revision(number=1, major=0, **values)
        variant = Variant(1, lang, "tag:x", "visas", NOW, said)
        return Release(
            number,
            "tag:x",
            "directory",
            "visas",
            "news",
            Urgency.URGENT if urgent else Urgency.NORMAL,
            State.PUBLIC,
            NOW - timedelta(days=1),
            NOW - timedelta(days=1),
            topics,
            (variant,),
            change=change,
        )

    return made


@pytest.fixture(scope="session")
def letter(release):
    """Makes a letter to chat 7."""

    def made(about=None, *, address="7", role=SubscriberRole.PERSON, **values):
        about = about or release()
        base = Letter(
            delivery=5,
            message=f"release:{about.number}:0",
            kind=MessageKind.RELEASE,
            subscriber=1,
            address=address,
            lang=about.langs[0],
            reader_lang=about.langs[0],
            timezone="Asia/Baku",
            role=role,
            release=about,
        )
        return replace(base, **values)

    return made


@pytest.fixture
async def double():
    async with DOUBLE.TelegramDouble() as running:
        yield running


class MemoryPauses:
    """Keeps pauses in a dict; `broken` says the database is away."""

    def __init__(self):
        self.stored, self.broken = {}, False

    async def load(self):
        if self.broken:
            raise OSError("no database")
        return [Pause(scope, until, reason) for scope, (until, reason) in self.stored.items()]

    async def keep(self, pause):
        if self.broken:
            raise OSError("no database")
        self.stored[pause.scope] = (pause.until, pause.reason)

    @property
    def kept(self):
        """What is paused, until when; what crowds got is another thing."""
        return {scope: until for scope, (until, _) in self.stored.items() if not scope.startswith("crowd:")}


class FakeTime:
    """A monotonic clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture
def pauses():
    return MemoryPauses()


@pytest.fixture
async def line(double):
    """Makes bots that talk to the double; closes them afterwards."""
    requests = []

    def made(token=None, root=None, total=5.0):
        hide_token(token or double.token)
        request = AiohttpRequest(total=total, connect=2)
        poller = AiohttpRequest()
        requests.extend((request, poller))
        return ExtBot(
            token or double.token, base_url=f"{root or double.url}/bot", request=request, get_updates_request=poller
        )

    yield made
    for request in requests:
        await request.shutdown()


@pytest.fixture
def channel(line, site, texts, taxonomy, pauses, time):
    """Makes a TelegramChannel over the double."""

    def made(bot=None, pacer=None, site=site, **values):
        return TelegramChannel(
            bot or line(**values),
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            pacer=pacer or Pacer(),
            pauses=pauses,
            sleep=time.sleep,
            monotonic=time.monotonic,
        )

    return made


@pytest.fixture
def later(now):
    return lambda seconds: now + timedelta(seconds=seconds)


@pytest.fixture
async def agency(sqlite_url, tmp_path, site, taxonomy, texts, now):
    """The whole agency over the double, in time that tests move."""
    clock = Clock(now)
    async with TelegramDouble(clock=clock.seconds) as double:
        opened = Agency(sqlite_url, tmp_path, double, clock, site=site, taxonomy=taxonomy, texts=texts)
        await opened.open()
        yield opened
        await opened.close()


@pytest.fixture
def chats():
    return FakeChats()


@pytest.fixture
def bot_time(now):
    """What a bot takes for its time: one moment."""
    return {"clock": lambda: now}


@pytest.fixture
async def bot(double, site, texts, taxonomy, chats, pauses, bot_time):
    """Makes running bots; stops them afterwards."""
    running = []

    async def made(**settings):
        values = {"token": double.token, "api_root": double.url, **settings}
        one = TelegramBot(
            TelegramSettings(**values),
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            chats=chats,
            pauses=pauses,
            poll_for=timedelta(seconds=1),
            **bot_time,
        )
        running.append(one)
        await one.start()
        return one

    yield made
    for one in running:
        await one.stop()


@pytest.fixture
async def talk(double, bot):
    """One exchange: something happens, and the bot has dealt with it."""
    await bot()
    await double.until(lambda: any(method == "getUpdates" for method, _ in double.calls))

    async def done(update):
        await double.until(lambda: update not in double.pending)
        await double.until(lambda: all(one["update_id"] > update["update_id"] for one in double.pending))

    return done
