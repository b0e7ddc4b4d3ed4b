"""What was published is corrected or withdrawn by command or in the store, and every copy we serve follows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

WRONG = "Visa fees change on 1 December\n\nThe fee for an electronic visa becomes 20 lir.\n"
RIGHT = "Visa fees change on 1 December\n\nThe fee for an electronic visa becomes 25 lir.\n"


@pytest.fixture
def published(program: Any, until: Any) -> Any:
    program.start()
    program.write("fees.en.txt", WRONG)
    until(lambda: program.titles() and program.posts(), "the release")
    return program


def everywhere(program: Any) -> str:
    item = program.feed()["items"][0]
    return "".join(
        [program.text(f"/feeds/en/all.{fmt}") for fmt in ("rss", "atom", "json")]
        + [program.text(item["url"]), program.text("/en/search?q=visa"), program.text("/en/")]
    )


def test_a_correction_by_command_is_right_in_every_feed_and_on_the_page_under_the_same_id(
    published: Any, until: Any
) -> None:
    before = published.feed()["items"][0]
    until(lambda: datetime.now(UTC).isoformat(timespec="seconds") > before["date_modified"], "another second than that")
    mended = published.folder / "mended.en.txt"
    mended.write_text(RIGHT, encoding="utf-8")
    done = published.command("correct", "1", str(mended), "--note", "The fee is 25 lir, not 20.")
    assert "major revision 1" in done.stdout
    until(lambda: "25 lir" in published.text("/feeds/en/all.rss"), "the correction")
    after = published.feed()["items"][0]
    assert after["id"] == before["id"]
    assert after["date_published"] == before["date_published"]
    assert after["date_modified"] > before["date_modified"]
    assert "becomes 20 lir" not in everywhere(published)
    assert "The fee is 25 lir, not 20." in published.text(after["url"])
    for fmt in ("rss", "atom", "json"):
        assert "The fee is 25 lir, not 20." in published.text(f"/feeds/en/all.{fmt}")
    published.command("harvest")
    assert "becomes 25 lir" in everywhere(published), "the old file does not undo the correction"


def test_a_changed_file_with_a_note_is_a_correction(published: Any, until: Any) -> None:
    published.write("fees.en.txt", "---\nnote: The fee is 25 lir.\n---\n" + RIGHT)
    until(lambda: "25 lir" in published.text("/feeds/en/all.rss"), "the correction")
    assert "The fee is 25 lir." in published.text(published.feed()["items"][0]["url"])


@pytest.mark.parametrize("way", ["command", "file"])
def test_a_withdrawn_release_leaves_its_reason_and_no_word_of_its_text(published: Any, until: Any, way: str) -> None:
    item = published.feed()["items"][0]
    if way == "command":
        published.command("withdraw", "1", "--reason", "The figure was wrong.")
    else:
        published.write("fees.en.txt", "---\nstate: withdrawn\nreason: The figure was wrong.\n---\n" + WRONG)
    until(lambda: "The figure was wrong." in published.text("/feeds/en/all.rss"), "the withdrawal")
    status, page, _ = published.get(item["url"])
    assert status == 410
    assert "The figure was wrong." in page.decode()
    for text in (page.decode(), *(published.text(f"/feeds/en/all.{fmt}") for fmt in ("rss", "atom", "json"))):
        assert "becomes 20 lir" not in text
    assert "deleted-entry" in published.text("/feeds/en/all.atom")
    assert published.feed()["items"][0]["id"] == item["id"]
    assert "Visa fees" not in published.text("/en/search?q=visa")


def test_a_withdrawal_before_the_mail_went_out_stops_the_mail(mailing: Any, sink: Any, until: Any) -> None:
    mailing.subscribe("reader@example.org,email,en,,immediate")
    mailing.write("fees.en.txt", WRONG)
    mailing.command("harvest")
    mailing.command("withdraw", "1", "--reason", "Wrong.")
    mailing.start()
    mailing.write("other.en.txt", "Another notice about visas\n\nA visa text.\n")
    until(lambda: sink.taken, "the other mail")
    until(lambda: mailing.count("due", "sending", "deferred") == 0, "an empty ledger")
    assert [mail["Subject"] for mail in sink.mails] == ["Another notice about visas"]


def test_a_withdrawn_release_does_not_come_back_with_a_comma(published: Any, until: Any) -> None:
    published.command("withdraw", "1", "--reason", "Wrong.")
    until(lambda: "Wrong." in published.text("/feeds/en/all.rss"), "the withdrawal")
    published.write("fees.en.txt", WRONG.replace("visa becomes", "visa, becomes"))
    published.write("other.en.txt", "Another notice about visas\n\nA visa text.\n")
    until(lambda: len(published.titles()) == 2, "the pass over the folder")
    assert "becomes" not in published.text("/feeds/en/all.rss")


def test_a_preview_stores_nothing_and_says_how_many_it_would_reach(program: Any) -> None:
    program.subscribe("reader@example.org,email,en,topic=visas,immediate", "x@example.org,email,ru,,immediate")
    draft = program.folder / "draft.en.txt"
    draft.write_text(WRONG, encoding="utf-8")
    shown = json.loads(program.command("preview", str(draft), "--json").stdout)
    assert shown["reach"] == {"email": 1}
    assert set(shown["previews"]) == {"telegram en", "email en", "rss en", "atom en", "json en"}
    assert all("Visa fees change" in text for text in shown["previews"].values())
    rows = json.loads(program.command("topics", "--json").stdout)
    assert all(row["en releases"] == 0 for row in rows)


def test_publish_takes_one_document_and_a_running_service_sends_it(program: Any, until: Any) -> None:
    program.start()
    document = program.folder / "urgent.en.md"
    document.write_text("---\nurgency: urgent\n---\n# Service hall closed\n\nThe hall is closed.\n", encoding="utf-8")
    assert program.command("publish", str(document)).stdout.strip() == "1 public en: new"
    until(lambda: program.titles() and program.posts(), "the release")
    assert datetime.fromisoformat(program.feed()["items"][0]["date_published"]) <= datetime.now(UTC)
