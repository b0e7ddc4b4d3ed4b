"""Death at each named point of a release's way: nobody is missed, and only what stood `sending` comes again."""

from __future__ import annotations

import os

import pytest

from tests.cluster.running import Cluster
from tests.faulty import failing
from tests.faulty.dying import POINTS

TELLING = ["before the claim is committed", "after the mail was sent", "before the answers are committed"]
CHOSEN = list(POINTS) if "TEST_TIMES" in os.environ else TELLING
CHUNK = 20  # mails that one claim may have on their way


@pytest.mark.slow
def test_one_process_that_dies_anywhere_misses_nobody(tmp_path):
    report = failing.embedded(tmp_path, CHOSEN, 30)
    assert report.right, report
    assert max(report.repeated) <= CHUNK
    assert sum(report.repeated) > 0, "after the mail was sent, there is something to repeat"


@pytest.mark.slow
def test_workers_of_a_cluster_that_die_anywhere_miss_nobody(tmp_path, postgresql_url):
    report = failing.clustered(Cluster(tmp_path, postgresql_url), CHOSEN, 30)
    assert report.right, report
    assert sum(report.repeated) > 0


@pytest.mark.slow
def test_a_cluster_whose_engine_dies_at_any_of_its_steps_misses_nobody_and_leaves_nothing_behind(
    tmp_path, postgresql_url
):
    left = failing.engine(Cluster(tmp_path, postgresql_url), 10)
    assert left.right, left
    assert sum(left.seen.repeated) > 0, "what stood sending when the judge died is told again"
    assert len(left.posts) == 4
