"""A running cluster whose worker is frozen or told to stop while it sends, or whose database goes away."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.cluster.running import Cluster
from tests.faulty import outage
from tests.faulty.dying import QUICK, RHYTHM
from tests.faulty.killing import run
from tests.program import wait_for
from tests.relay import RelayProcess

PEOPLE = 150
CHUNK = 20


@pytest.fixture
def relay(tmp_path):
    found = RelayProcess(tmp_path, delay=0.05)
    yield found
    found.stop()


@pytest.fixture
def office(tmp_path, postgresql_url, relay):
    """A web machine and a scheduler, and people who wait for mail."""
    found = Cluster(tmp_path, postgresql_url, environ={RHYTHM: QUICK}).mail_through(relay.port)
    del found.environ["SYNDICATOR_TELEGRAM__CHANNELS"]
    found.subscribe(*(f"r{n}@example.org,email,en,,immediate" for n in range(PEOPLE)))
    yield found
    found.close()


def copies(relay) -> Counter:
    return Counter(address for address, _, _ in relay.arrivals())


def told(office, relay) -> Counter:
    wait_for(lambda: len(copies(relay)) == PEOPLE and office.count("sent") == PEOPLE, "everybody to be told", 45)
    return copies(relay)


@pytest.mark.slow
def test_of_a_frozen_worker_only_what_was_in_flight_is_sent_again_and_its_late_word_moves_nothing(office, relay):
    office.start("web,scheduler", "worker")
    frozen = office.machines[-1]
    office.write("n0.en.txt", "Notice number 0\n\nText.\n")
    wait_for(lambda: copies(relay).total() > 5, "the first mails")
    frozen.freeze()
    in_flight = office.count("sending")
    office.start("worker")
    found = told(office, relay)
    frozen.thaw()
    wait_for(lambda: "it registers anew" in frozen.log(), "the frozen one to find out")
    wait_for(lambda: not office.sql("SELECT 1 FROM delivery WHERE state <> 'sent'"), "nothing to move")
    found = copies(relay)
    assert found.total() - PEOPLE <= in_flight
    assert max(found.values()) <= 2


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_leaves_the_rest_to_another_and_repeats_nothing(office, relay):
    office.start("web,scheduler", "worker", "worker")
    leaving = office.machines[-1]
    office.write("n0.en.txt", "Notice number 0\n\nText.\n")
    wait_for(lambda: copies(relay).total() > 5, "the first mails")
    assert leaving.process is not None
    leaving.process.send_signal(signal.SIGTERM)
    assert leaving.process.wait(30) == 0
    assert set(told(office, relay).values()) == {1}
    assert "Traceback" not in leaving.log()


@pytest.mark.slow
def test_a_database_that_goes_away_stops_no_feed_and_loses_nothing(tmp_path):
    report = outage.run(tmp_path, "stopped", people=60, seconds=4)
    assert report.right, report


@pytest.mark.slow
def test_machines_of_any_role_that_are_killed_again_and_again_miss_nobody_and_leave_no_job(tmp_path, postgresql_url):
    report = run(
        tmp_path,
        postgresql_url,
        people=300,
        releases=1,
        workers=2,
        seconds=3,
        every=0.8,
        seed=20261122,
        chats=50,
        environ={RHYTHM: QUICK},
    )
    assert report.right, report
    assert len(report.seen.sending) >= 4, "each machine has died"
