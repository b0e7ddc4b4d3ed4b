"""A release that lands in the publication store reaches everyone who wants it, once, and nobody else."""

from __future__ import annotations

import json
import re
from calendar import timegm
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import feedparser

FEES = """Visa fees change on 1 December

The Service lowers the fee for an electronic visa from 25 to 20 lir.

Applications that were paid before stay valid.

© 2026 Migration Service of Aldera
Terms of use | Privacy | All rights reserved
"""


def test_a_text_in_the_watched_folder_is_soon_in_feeds_on_its_page_in_the_channel_and_in_the_mail(
    mailing: Any, sink: Any, until: Any
) -> None:
    mailing.warm = False  # one journey begins as an operator begins it
    mailing.subscribe(
        "reader@example.org,email,en,topic=entry,immediate", "other@example.org,email,en,topic=students,immediate"
    )
    mailing.start()
    mailing.write("fees.en.txt", FEES)
    until(lambda: mailing.titles() and mailing.posts() and sink.mails, "the release on every channel")

    assert mailing.titles() == ["Visa fees change on 1 December"]
    assert mailing.titles(topic="visas") == mailing.titles(topic="entry") == mailing.titles()
    assert mailing.titles(topic="students") == []
    item = mailing.feed()["items"][0]
    assert "from 25 to 20 lir" in item["content_html"]
    assert "Terms of use" not in item["content_html"]

    status, page, _ = mailing.get(item["url"])
    assert status == 200
    assert "© 2026 Migration Service of Aldera" in page.decode()

    (post,) = mailing.posts()
    assert post["chat_id"] == "@press"
    assert "Visa fees change on 1 December" in post["text"]
    (mail,) = sink.mails
    assert (mail["To"], mail["Subject"]) == ("reader@example.org", "Visa fees change on 1 December")


def test_overlapping_filters_bring_one_message_and_a_late_translation_none(mailing: Any, sink: Any, until: Any) -> None:
    mailing.subscribe(
        "reader@example.org,email,en,topic=visas,immediate",
        "reader@example.org,email,en,q=fee,immediate",
        "reader@example.org,email,en,,immediate",
        "oxucu@example.org,email,az,,immediate",
    )
    mailing.start()
    mailing.write("fees.en.txt", FEES)
    until(lambda: sink.to("reader@example.org"), "the English mail")
    mailing.write("fees.az.txt", "Viza rüsumları 1 dekabrdan dəyişir\n\nElektron viza rüsumu 25 lirdən 20 lirə enir.\n")
    until(lambda: sink.to("oxucu@example.org"), "the Azerbaijani mail")
    until(lambda: mailing.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
    assert len(sink.to("reader@example.org")) == 1
    assert len(sink.to("oxucu@example.org")) == 1
    assert len(mailing.posts()) == 1, "the channel has had it in English"


def archived(feeds: Path) -> bool:
    """Whether the archives stand where the feeds do."""
    built = json.loads((feeds / "manifest.json").read_text())["built"]
    progress = json.loads((feeds / ".archives" / "progress.json").read_text())
    return bool(progress["built"] == built and not progress["todo"])


def stamps(feeds: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in feeds.rglob("*") if path.is_file()}


def test_harvesting_the_same_store_again_sends_nothing_and_writes_no_file(program: Any, until: Any) -> None:
    program.start()
    program.write("fees.en.txt", FEES)
    until(lambda: program.titles() and program.posts(), "the release")
    feeds = program.folder / "var" / "feeds"
    until(lambda: archived(feeds), "the month's archives")
    before = stamps(feeds)
    (program.releases / "fees.en.txt").touch()
    tally = json.loads(program.command("harvest", "--json").stdout)[0]
    assert (tally["changed"], tally["announced"]) == (0, 0)
    program.stop()
    program.start()
    assert stamps(feeds) == before
    assert len(program.posts()) == 1


def test_an_edit_touches_only_the_feeds_that_hold_the_release(program: Any, until: Any) -> None:
    program.start()
    program.write("fees.en.txt", FEES)
    program.write(
        "exam.en.txt",
        "The citizenship exam moves online\n\nThe exam for citizenship is now held online, in every region.\n",
    )
    until(lambda: len(program.titles()) == 2, "both releases")
    tags = {topic: program.get(f"/feeds/en/{topic}.rss")[2]["etag"] for topic in ("all", "visas", "citizenship")}
    program.write("fees.en.txt", FEES.replace("20 lir", "21 lir"))
    until(lambda: "21 lir" in program.text("/feeds/en/all.rss"), "the edit")
    after = {topic: program.get(f"/feeds/en/{topic}.rss")[2]["etag"] for topic in tags}
    assert after["all"] != tags["all"]
    assert after["visas"] != tags["visas"]
    assert after["citizenship"] == tags["citizenship"]
    until(lambda: program.posts("editMessageText"), "the post follows")
    (edit,) = program.posts("editMessageText")
    assert "21 lir" in edit["text"]
    assert len(program.posts()) == 2, "a silent edit is no news"


def test_a_bad_document_is_reported_and_the_others_go_on(program: Any, until: Any) -> None:
    program.write("bad.en.md", "---\ntitle: A\nurgensy: urgent\n---\nText\n")
    program.write("worse.en.txt", "\x00\x01")
    program.write("fees.en.txt", FEES)
    program.start()
    until(program.titles, "the good one")
    assert program.titles() == ["Visa fees change on 1 December"]
    until(lambda: "urgensy" in program.log(), "the report")
    assert re.search(r"bad\.en\.md.*urgensy", program.log())


def test_a_first_start_on_a_full_store_builds_every_feed_and_announces_nothing_old(program: Any, until: Any) -> None:
    for day in range(1, 6):
        program.write(
            f"old{day}.en.md", f"---\npublished: 2026-01-0{day}T09:00:00+04:00\n---\n# Visa news {day}\n\nText.\n"
        )
    program.start()
    until(lambda: len(program.titles()) == 5, "all five")
    assert program.titles() == [f"Visa news {day}" for day in range(5, 0, -1)]
    assert program.posts() == []


def test_the_three_formats_say_the_same(program: Any, until: Any) -> None:
    program.start()
    program.write("fees.en.txt", FEES)
    program.write("odd.en.md", '---\ntitle: "Fish & <chips> ]]> \\u202Eעברית 😀"\n---\nA visa, `]]>` & more.\n')
    until(lambda: len(program.titles()) == 2, "both releases")
    items = program.feed()["items"]
    for fmt in ("rss", "atom"):
        parsed = feedparser.parse(program.get(f"/feeds/en/all.{fmt}")[1])
        assert not parsed.bozo
        assert [e.id for e in parsed.entries] == [i["id"] for i in items]
        assert [e.title for e in parsed.entries] == [i["title"] for i in items]
        labels = [{t.label or t.term for t in e.tags if t.label or not t.scheme} for e in parsed.entries]
        assert labels == [set(i["tags"]) for i in items]
        times = [datetime.fromtimestamp(timegm(e.published_parsed), UTC) for e in parsed.entries]
        assert times == [datetime.fromisoformat(i["date_published"]) for i in items]
