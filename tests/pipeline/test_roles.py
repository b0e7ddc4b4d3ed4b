"""Roles: what a process is started for, and what it then takes from the queue."""

from __future__ import annotations

import pytest

from syndicator.pipeline.roles import EVERY_ROLE, SEATS, Role, check_roles, parse_roles, works_on


@pytest.mark.parametrize(
    ("written", "roles"),
    [
        ("web", {"web"}),
        (" web , worker,", {"web", "worker"}),
        ("web,scheduler,worker,bot", {"web", "scheduler", "worker", "bot"}),
        ("bot,bot", {"bot"}),
    ],
)
def test_roles_are_read_as_written(written, roles):
    assert parse_roles(written) == roles


@pytest.mark.parametrize("written", ["", " , ", "webb", "web;worker", "Web", "web,\nbot,x"])
def test_what_is_no_role_is_refused_in_one_line_that_names_those_there_are(written):
    with pytest.raises(ValueError, match="web, scheduler, worker, bot") as refused:
        parse_roles(written)
    assert "\n" not in str(refused.value)


def test_alone_a_process_has_every_role_or_does_not_start():
    check_roles("embedded", EVERY_ROLE)
    check_roles("procrastinate", {Role.WEB})
    with pytest.raises(ValueError, match=r"engine\.kind"):
        check_roles("embedded", EVERY_ROLE - {Role.BOT})


@pytest.mark.parametrize(
    ("roles", "lanes"),
    [
        ({Role.SCHEDULER}, {"source:directory"}),
        ({Role.WORKER}, {"email", "email-later", "fanout", "open", "sweep", "applications", "tidy"}),
        ({Role.WEB, Role.BOT}, set()),
    ],
)
def test_who_reads_sources_and_who_does_the_rest(roles, lanes):
    shared = {"source:directory", "email", "email-later", "fanout", "open", "sweep", "applications", "tidy"}
    assert {lane for lane in shared if works_on(roles)(lane)} == lanes


def test_every_seat_has_a_role_that_takes_it():
    assert set(SEATS.values()) <= set(Role)
