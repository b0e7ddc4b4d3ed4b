"""A newer version beside this one on one database, while machines are upgraded one by one: all are told once."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from syndicator.store import migrate
from tests.cluster.running import Cluster, Machine
from tests.program import ROOT, wait_for

READERS = 40
STEP = '''"""What the next version adds: a column, a table of wishes, and a job that grants them."""

import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"
branch_labels = None
depends_on = None
beside = "{beside}"


def upgrade() -> None:
    op.add_column("message", sa.Column("mood", sa.String(), nullable=True))
    op.create_table("wish", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("granted", sa.Boolean()))
{more}'''
JOB = """
    async def _grant(self, job: Job, turn: Turn) -> Verdict:
        from sqlalchemy import text
        async with self._database.writing() as session:
            await session.execute(text("UPDATE wish SET granted = true WHERE id = :id"), {"id": job.args["wish"]})
        return Done()

    async def _harvest("""
ASKED = """        from sqlalchemy import text
        async with self._database.reading() as session:
            wishes = await session.execute(text("SELECT id FROM wish WHERE granted IS NULL"))
            if "grant" in self._does:
                jobs += [Job("grant", f"grant:{n}", Priority.NORMAL, now, args={"wish": n}) for (n,) in wishes]
        if due is not None:
"""

TOLD = """    message = message_of(row)
    if message.kind is MessageKind.BRIEFING:
        await advance(session, number, fanned_out_at=now)
        return None
"""


def next_version(folder: Path, *, beside: str = "0013", more: str = "") -> Path:
    """This program as its successor: with a migration, a kind of message, a column and a job that this one lacks."""
    folder.mkdir()
    shutil.copyfile(ROOT / "main.py", folder / "main.py")
    for part in ("syndicator", "bots", "feeds", "config"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    head = migrate._revisions()[-1]
    step = STEP.format(head=head, beside=beside, more=more)
    (folder / "syndicator/store/migrations/versions/9000_next.py").write_text(step)
    for path, before, after in (
        ("syndicator/domain/model.py", 'RELEASE = "release"\n', 'RELEASE = "release"\n    BRIEFING = "briefing"\n'),
        ("syndicator/store/tables_people.py", "  cursor: int = 0\n", "  mood: str | None = None\n    cursor: int = 0\n"),  # noqa: E501
        ("syndicator/pipeline/work.py", 'SHARED = frozenset({"harvest",', 'SHARED = frozenset({"grant", "harvest",'),
        ("syndicator/pipeline/work.py", '"harvest": self._harvest,', '"grant": self._grant, "harvest": self._harvest,'),
        ("syndicator/pipeline/work.py", "\n    async def _harvest(", JOB),
        ("syndicator/pipeline/work.py", "        if due is not None:\n", ASKED),
        ("syndicator/store/fanout.py", "    message = message_of(row)\n", TOLD),
    ):  # fmt: skip
        text = (folder / path).read_text()
        assert before in text, (path, before)
        (folder / path).write_text(text.replace(before, after, 1))
    return folder


class Next(Machine):
    """A machine with the next version."""

    tree: Path

    def spawn(self, *arguments: str) -> Path:
        log = self.folder / "next.log"
        self.logs.append(log)
        with log.open("wb") as out:
            command = [self.python, str(self.tree / "main.py"), "run", *arguments]
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=out, stderr=out)
        return log


@pytest.fixture
def cluster(tmp_path: Path, postgresql_url: str) -> Any:
    found = Cluster(tmp_path, postgresql_url)
    yield found
    found.close()


def test_two_versions_work_side_by_side_through_a_rolling_upgrade(cluster, sink, tmp_path):
    tree = next_version(tmp_path / "tree")
    cluster.mail_through(sink.port)
    cluster.subscribe(*(f"r{number}@example.org,email,en,,immediate" for number in range(READERS)))
    cluster.start("web,scheduler,worker,bot", "worker")
    titles = [f"Release number {n}" for n in range(6)]

    def write(*numbers: int) -> None:
        for n in numbers:
            cluster.write(f"r{n}.en.txt", f"{titles[n]}\n\nText.\n")

    write(0, 1)
    plain = cluster.machine()
    newer = Next(plain.folder, plain.environ, plain.port, roles=plain.roles)
    newer.tree = tree
    cluster.machines[-1] = newer
    newer.begin().wait(40)
    strange(cluster)
    write(2, 3)
    for old in cluster.machines[:2]:
        assert old.stop() == 0
        write(4 if old is cluster.machines[0] else 5)
    wait_for(lambda: len(sink.mails) >= len(titles) * READERS, "all mails", 40)
    wait_for(lambda: cluster.count("due", "sending", "deferred") <= 1, "an empty ledger")
    got = Counter((mail["To"], mail["Subject"]) for mail in sink.mails)
    assert len(got) == len(titles) * READERS, "nobody is missed"
    assert set(got.values()) == {1}, "nobody is told twice"
    granted = "SELECT count(*) FROM wish WHERE granted"
    wait_for(lambda: cluster.sql(granted) == [(3,)], "the jobs that only the newer version knows", 20)
    assert cluster.sql("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'") == [(0,)]
    said = "".join(machine.log() for machine in cluster.machines[:2])
    assert "Traceback" not in said, said[-3000:]


def strange(cluster: Cluster) -> None:
    """What only the newer version knows, in the middle of what both work on."""
    cluster.sql("INSERT INTO wish (id) VALUES (1), (2), (3)")
    cluster.sql(
        "INSERT INTO message (key, kind, major, priority, cursor, created_at, fanned_out_at)"
        " VALUES ('briefing:1', 'briefing', 0, 22, 0, now(), now()), ('briefing:2', 'briefing', 0, 22, 0, now(), NULL)"
    )
    cluster.sql("INSERT INTO batch (channel, priority, created_at) VALUES ('email', 22, now()), ('fax', 7, now())")


def migrated(office, tree):
    """By the next version."""
    subprocess.run([office.python, str(tree / "main.py"), "migrate"], cwd=office.folder, env=office.environ, check=True)


@pytest.mark.parametrize("beside", ["9000", "9999"])
def test_an_older_version_refuses_in_one_line_what_it_may_not_run_beside(office, tmp_path, beside):
    tree = next_version(tmp_path / "tree", beside=beside)
    migrated(office, tree)
    refused = office.command("run", check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("has schema 9000, made by a newer version; install that version to use it")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_migration_that_is_killed_in_the_middle_leaves_the_version_before_at_work(office, tmp_path, postgresql, kind):
    url = f"sqlite:///{tmp_path}/x.db" if kind == "sqlite" else postgresql.fresh()
    marker = tmp_path / "halfway"
    more = f'    import pathlib, time\n    pathlib.Path("{marker}").touch()\n    time.sleep(60)\n'
    tree = next_version(tmp_path / "tree", more=more)
    office.environ["SYNDICATOR_DATABASE__URL"] = url
    office.command("migrate")
    with Path(os.devnull).open("wb") as out:
        process = subprocess.Popen(
            [office.python, str(tree / "main.py"), "migrate"], cwd=office.folder, env=office.environ, stderr=out
        )
    wait_for(marker.exists, "the middle of the migration")
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert office.command("subscribers", "list", "--json").stdout.strip() == "[]"
    step = tree / "syndicator/store/migrations/versions/9000_next.py"
    step.write_text(step.read_text().replace("time.sleep(60)", "time.sleep(0)"))
    migrated(office, tree)
    office.command("subscribers", "list", "--json")  # it runs beside the newer one
    if kind == "postgresql":
        psycopg: Any = importlib.import_module("psycopg")
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9000",)
            connection.execute("DROP TABLE wish")
            connection.execute("ALTER TABLE message DROP COLUMN mood")
        postgresql.drop(url)
