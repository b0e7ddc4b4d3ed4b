"""A release's way through several machines, from a folder to feeds, mail and Telegram."""

from __future__ import annotations

from tests.program import wait_for

TEXT = "Offices open on Saturday\n\nAll offices are open on Saturdays from now on.\n"


def test_a_release_goes_from_a_folder_to_feeds_mail_and_telegram_through_five_machines(cluster, sink):
    cluster.mail_through(sink.port)
    web, other, *_ = [cluster.spawn(roles) for roles in ("web", "web", "scheduler", "worker", "bot")]
    for machine in cluster.machines:
        machine.wait()
    cluster.subscribe("anna@example.org,email,en,,immediate")
    cluster.write("saturday.en.txt", TEXT)
    wait_for(lambda: sink.to("anna@example.org"), "the mail")
    wait_for(cluster.posts, "the post")
    for machine in (web, other):
        wait_for(lambda machine=machine: machine.titles() == ["Offices open on Saturday"], "the feed")
    assert len(sink.mails) == 1
    assert len(cluster.posts()) == 1
    assert cluster.stop() == [0] * 5
