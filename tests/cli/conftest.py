"""Commands over a real, empty SQLite database; what the composition root would hand in is small and plain here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from syndicator.cli.app import make_cli
from syndicator.cli.desk import Check, Desk
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.sources.directory import DirectorySource
from syndicator.sources.single import DocumentReader
from syndicator.store.database import Database
from tests.store.looked import TELLS

TOKENS = Tokens(b"a secret of these tests")
NOW = datetime.fromisoformat("2026-11-21T09:00:00+00:00")


@dataclass
class FakeRoot:
    """The wiring, without bots and feeds."""

    url: str
    site: Any
    taxonomy: Taxonomy
    folder: Path
    asked: list[Check] = field(default_factory=list)
    served: list[Any] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, settings):
        database, site = Database(self.url), self.site
        media = MediaFolder(self.folder / "media", 100_000)
        intake = Intake(
            database,
            site=site,
            taxonomy=self.taxonomy,
            media=media,
            announce_for=timedelta(hours=72),
            clock=lambda: NOW,
            metrics=Metrics(),
            wake=lambda: None,
        )
        source = DirectorySource(
            "folder",
            self.folder / "releases",
            languages=site.languages,
            default_language="az",
            zone=site.zone,
            withdraw_missing=False,
            boilerplate=(),
            rights="^©",
        )
        try:
            yield Desk(
                settings=settings,
                site=site,
                texts=Texts.load(site.languages),
                taxonomy=self.taxonomy,
                database=database,
                tokens=TOKENS,
                intake=intake,
                sources={"folder": source},
                read_file=DocumentReader(site.languages, "az", site.zone).read,
                examine=media.examine,
                previews={"plain": self._plain, "loud": lambda release, lang: release.variant(lang).revision.title},
                build_feeds=self._build,
                clock=lambda: NOW,
            )
        finally:
            await database.close()

    @staticmethod
    def _plain(release, lang):
        revision = release.variant(lang).revision
        return "\n".join([revision.title, revision.text, *(f"[{one.alt}] {one.url}" for one in revision.attachments)])

    async def _build(self, out):
        out.mkdir()
        return 7

    async def serve(self, settings, roles):
        self.served.append(settings)
        self.roles = roles

    async def migrate(self, settings):
        """It is migrated."""

    def checks(self, settings):
        return self.asked

    def log_trouble(self):
        """Nothing: what a process logs into is set once, and these tests share one."""

    def clock(self):
        return NOW

    def tells(self):
        return TELLS


@dataclass
class Operator:
    """Types commands and reads what they print."""

    root: FakeRoot
    runner: CliRunner = field(default_factory=CliRunner)

    def __call__(self, *words: object, code: int = 0) -> Any:
        done = self.runner.invoke(make_cli(self.root), [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
        return done

    def json(self, *words: object, code: int = 0) -> Any:
        """What a script reads: one JSON value, and nothing more."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def refused(self, *words: object) -> str:
        """The one line on standard error."""
        done = self(*words, code=1)
        (line,) = done.stderr.splitlines()
        assert line.startswith("syndicator: ")
        assert done.stdout == ""
        return line.removeprefix("syndicator: ")


@pytest.fixture
def root(sqlite_url, site, taxonomy, tmp_path, monkeypatch) -> Iterator[FakeRoot]:
    for name in ("SYNDICATOR_CONFIG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "releases").mkdir()
    with capture_logs():  # results are what is read here
        yield FakeRoot(sqlite_url, site, taxonomy, tmp_path)


@pytest.fixture
def operator(root) -> Operator:
    return Operator(root)


@pytest.fixture
def document(tmp_path) -> Callable[..., Path]:
    """Writes a document outside of every source."""

    def write(text: str, name: str = "fees.en.txt") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def database(root) -> Callable[[Callable[[Any], Any]], Any]:
    """Does something in a writing session of the operator's database."""

    def do(work):
        async def run():
            opened = Database(root.url)
            try:
                async with opened.writing() as session:
                    return await work(session)
            finally:
                await opened.close()

        return asyncio.run(run())

    return do
