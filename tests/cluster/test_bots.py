"""One bot, several processes that could be it."""

from __future__ import annotations

from tests.cluster.takeover import take_over


def test_the_process_that_sends_is_stopped_in_the_middle_and_the_next_goes_on_without_a_word_twice(cluster, tmp_path):
    found = take_over(cluster, tmp_path, 60, "stop")
    assert found.right, found
    assert found.gap < 10, found
