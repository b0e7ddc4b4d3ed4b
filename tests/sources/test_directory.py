"""Passes over a folder: what is told once, what again, and what never."""

import asyncio
import os
import threading
import time
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from syndicator.domain.model import Change, Problem, State
from syndicator.sources import folder, survey

TEXT = "A title\n\nThe text of it."
DEMO = Path(__file__).parents[2] / "config" / "demo"


def names(found) -> list[str]:
    return [item.origin for item in found]


async def test_a_document_is_told_once(office):
    office.write("a.en.txt", TEXT)
    assert names(await office.take()) == ["a.en.txt"]
    assert await office.take() == []


async def test_the_languages_of_a_name_are_one_release(office):
    for name in ("2026/news.az.txt", "2026/news.EN.md", "2026/news.ru.html"):
        office.write(name, TEXT if "html" not in name else "<h1>Title</h1><p>Text</p>")
    found = await office.look()
    assert {change.key for change in found} == {"2026/news"}
    assert {change.lang for change in found} == {"az", "en", "ru"}


async def test_touching_a_file_changes_nothing(office):
    path = office.write("a.en.txt", TEXT)
    await office.take()
    os.utime(path, ns=(1, 1))
    assert await office.take() == []


@pytest.mark.parametrize("again", [TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT])
async def test_saving_with_another_editor_changes_nothing(office, again):
    office.write("a.en.txt", TEXT)
    await office.take()
    office.write("a.en.txt", again)
    assert await office.take() == []


async def test_a_new_text_is_a_change_of_the_same_release(office):
    office.write("a.en.txt", TEXT)
    (first,) = await office.take()
    office.write("a.en.txt", TEXT + " And more.")
    (second,) = await office.take()
    assert (first.key, first.lang) == (second.key, second.lang)
    assert second.body.endswith("And more.")


async def test_a_new_picture_under_the_old_name_is_a_change(office):
    office.write("a.png", b"one")
    office.write("a.en.txt", f"---\nimage: a.png\n---\n{TEXT}")
    assert len(await office.take()) == 1
    office.write("a.png", b"two")
    assert names(await office.take()) == ["a.en.txt"]
    office.write("a.png", b"two", age=50)
    assert await office.take() == []


async def test_a_picture_that_comes_later_mends_the_document(office):
    office.write("a.en.txt", f"---\nimage: a.png\n---\n{TEXT}")
    (problem,) = await office.take()
    assert problem.reason == "a.png: there is no such file in the folder"
    assert await office.take() == []
    office.write("a.png", b"one")
    assert isinstance((await office.take())[0], Change)


async def test_a_bad_document_is_told_once_and_stops_nobody(office):
    office.write("bad.en.txt", b"\xff")
    office.write("good.en.txt", TEXT)
    found = await office.take()
    assert sorted(names(found)) == ["bad.en.txt", "good.en.txt"]
    assert await office.take() == []


async def test_older_releases_come_first(office):
    office.write("c.en.txt", TEXT, age=10)
    office.write("b.en.txt", TEXT, age=20)
    office.write("a.en.txt", TEXT, age=10)
    office.write("z.en.txt", f"---\npublished: 2020-01-01\n---\n{TEXT}")
    assert names(await office.look()) == ["z.en.txt", "b.en.txt", "a.en.txt", "c.en.txt"]


async def test_a_file_time_ahead_of_the_clock_does_not_date_a_text_into_the_future(open_office):
    office = open_office(clock_ns=lambda: 1_700_000_000_000_000_000)
    change = await office.change("a.en.txt", TEXT)
    assert change.seen_at.timestamp() == 1_700_000_000


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.txt",
        ".git/a.txt",
        "a.txt~",
        "a.txt.tmp",
        "a.txt.part",
        ".a.txt.swp",
        "#a.txt#",
        "~$a.txt",
        "a.pdf",
        "a.bak/b.md",
    ],
)
async def test_what_is_hidden_or_half_done_is_not_there(office, name):
    office.write(name, TEXT)
    assert await office.look() == []


async def test_the_same_key_twice_in_a_language_names_both_and_the_first_stays(office):
    office.write("b.en.txt", f"---\nid: 7\n---\n{TEXT}")
    await office.take()
    office.write("a.en.md", f"---\nid: 7\n---\n{TEXT}")
    (problem,) = await office.take()
    assert problem.origin == "a.en.md"
    assert problem.reason == "b.en.txt is 7 in en already; one of the two must go"
    assert await office.take() == []
    (office.folder / "b.en.txt").unlink()
    assert names(await office.take()) == ["a.en.md"]


async def test_links_lead_nowhere_but_to_files_of_the_folder(office, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(TEXT)
    office.write("real.en.txt", TEXT)
    (office.folder / "out.en.txt").symlink_to(secret)
    (office.folder / "folder").symlink_to(tmp_path, target_is_directory=True)
    (office.folder / "gone.en.txt").symlink_to(office.folder / "nothing.txt")
    (office.folder / "in.en.txt").symlink_to(office.folder / "real.en.txt")
    os.mkfifo(office.folder / "pipe.en.txt")
    found = {item.origin: item for item in await office.take()}
    assert {origin: item.reason for origin, item in found.items() if isinstance(item, Problem)} == {
        "out.en.txt": "a link that leads out of the folder is not followed",
        "folder": "a linked or too deep folder is not followed",
        "gone.en.txt": "the link leads nowhere",
        "pipe.en.txt": "it is not a regular file",
    }
    assert {origin for origin, item in found.items() if isinstance(item, Change)} == {"real.en.txt", "in.en.txt"}
    assert await office.take() == []


async def test_a_picture_behind_a_link_out_of_the_folder_is_refused(office, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    (office.folder / "a.png").symlink_to(tmp_path / "secret.png")
    assert "outside" in await office.problem("a.en.txt", f"---\nimage: a.png\n---\n{TEXT}")


async def test_a_missing_folder_ends_the_pass_with_one_line(office):
    office.folder.rmdir()
    with pytest.raises(OSError, match=r"^source press: the folder .* cannot be read: No such file or directory$"):
        await office.look()
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="cannot be read"):
            [event async for event in office.source.watch()]


async def test_a_file_that_changes_while_it_is_read_waits(office, monkeypatch):
    office.write("a.en.txt", TEXT)

    def moving(path, limit):
        raise folder.Moving(path)

    with monkeypatch.context() as patch:
        patch.setattr(survey.folder, "read", moving)
        assert await office.take() == []
    assert names(await office.take()) == ["a.en.txt"]


async def test_a_fresh_file_is_looked_at_again_even_if_its_times_stand_still(open_office):
    office = open_office(clock_ns=time.time_ns)
    path = office.write("a.en.txt", TEXT)
    await office.take()
    path.write_text(TEXT.replace("text", "TEXT"))  # as long as before
    assert len(await office.take()) == 1


# -- files that go
async def test_a_missing_file_means_nothing_by_default(office):
    office.write("a.en.txt", TEXT).unlink()
    office.known["a.en.txt"] = "0 en a"
    assert await office.take() == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_release_is_withdrawn_when_its_last_language_has_gone(open_office, restarted):
    office = open_office(withdraw_missing=True)
    office.write("other.en.txt", TEXT)
    office.write("a.az.txt", f"---\nid: the key\n---\n{TEXT}")
    office.write("a.en.txt", f"---\nid: the key\n---\n{TEXT}")
    await office.take()
    (office.folder / "a.az.txt").unlink()
    assert await office.take() == []
    (office.folder / "a.en.txt").unlink()
    if restarted:
        office.source = open_office(withdraw_missing=True).source
    gone = await office.take()
    assert [(item.origin, item.key, item.lang, item.state, item.title) for item in gone] == [
        ("a.az.txt", "the key", "az", State.WITHDRAWN, ""),
        ("a.en.txt", "the key", "en", State.WITHDRAWN, ""),
    ]
    assert await office.take() == []
    office.write("a.en.txt", f"---\nid: the key\n---\n{TEXT}")
    assert [item.state for item in await office.take()] == [State.PUBLIC]


async def test_a_renamed_or_broken_file_is_not_withdrawn(open_office):
    office = open_office(withdraw_missing=True)
    office.write("a.en.txt", f"---\nid: 1\n---\n{TEXT}")
    office.write("b.en.txt", f"---\nid: 2\n---\n{TEXT}")
    await office.take()
    (office.folder / "a.en.txt").rename(office.folder / "c.en.txt")
    office.write("b.en.txt", b"\xff")
    found = await office.take()
    assert sorted((item.origin, type(item)) for item in found) == [("b.en.txt", Problem), ("c.en.txt", Change)]
    (office.folder / "b.en.txt").unlink()  # now it has gone, broken as it was
    assert [(item.key, item.state) for item in await office.take()] == [("2", State.WITHDRAWN)]


async def test_an_editor_that_replaces_a_file_withdraws_nothing(open_office, monkeypatch):
    office = open_office(withdraw_missing=True, settle=7)
    office.write("b.en.txt", TEXT)
    path = office.write("a.en.txt", TEXT)
    await office.take()
    path.unlink()

    async def meanwhile(seconds):
        assert seconds == 7
        path.write_text(TEXT)

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    assert await office.take() == []


@pytest.mark.parametrize("withdraw_missing", [False, True])
async def test_a_bad_document_that_has_gone_is_told_as_settled_once(open_office, withdraw_missing):
    office = open_office(withdraw_missing=withdraw_missing)
    office.write("a.en.txt", TEXT)
    bad = office.write("bad.en.txt", b"\xff")
    await office.take()
    bad.unlink()
    assert [(item.origin, item.reason) for item in await office.take()] == [("bad.en.txt", "")]
    assert await office.take() == []
    office.write("bad.en.txt", b"\xff")
    assert len(await office.take()) == 1


async def test_a_folder_that_lost_everything_is_no_withdrawal_of_everything(open_office):
    office = open_office(withdraw_missing=True)
    paths = [office.write(f"{name}.en.txt", TEXT) for name in "abc"]
    await office.take()
    for path in paths:
        path.unlink()
    (problem,) = await office.take()
    assert problem.reason == "the folder holds no document any more; 3 are not taken as withdrawn"
    assert await office.take() == []
    for path in paths:  # the disk is back
        office.write(path.name, TEXT)
    assert [(item.origin, item.reason) for item in await office.take()] == [(".", "")]
    assert await office.take() == []


@pytest.mark.parametrize("unmounted", ["another process", "another folder", "another folder, a moment later"])
async def test_one_release_is_not_withdrawn_either_where_the_folder_may_not_be_the_one_it_was_in(
    open_office, monkeypatch, unmounted
):
    office = open_office(withdraw_missing=True)
    path = office.write("a.en.txt", TEXT)
    await office.take()

    async def mounted_over(_=0):
        office.folder.rename(office.folder.with_name("the disk"))
        office.folder.mkdir()

    if unmounted == "another process":
        path.unlink()
        office.source = open_office(withdraw_missing=True).source
    elif unmounted == "another folder":
        await mounted_over()
    else:
        path.unlink()
        monkeypatch.setattr(asyncio, "sleep", mounted_over)
        assert await office.take() == []
    (problem,) = await office.take()
    assert problem.reason == "the folder holds no document any more; 1 is not taken as withdrawn"
    assert await office.take() == []


async def test_the_only_release_of_a_folder_is_withdrawn_by_who_saw_it_there(open_office):
    office = open_office(withdraw_missing=True)
    path = office.write("a.en.txt", TEXT)
    await office.take()
    path.unlink()
    assert [item.state for item in await office.take()] == [State.WITHDRAWN]
    assert await office.take() == []


async def test_a_disk_that_goes_between_two_looks_withdraws_nothing(open_office, monkeypatch):
    office = open_office(withdraw_missing=True)
    paths = [office.write(f"{name}.en.txt", TEXT) for name in "abc"]
    await office.take()
    paths[0].unlink()

    async def meanwhile(_):
        for path in paths[1:]:
            path.unlink()

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    assert await office.take() == []
    (problem,) = await office.take()
    assert "3 are not taken as withdrawn" in problem.reason


# -- size
async def test_ten_thousand_unchanged_documents_cost_a_part_of_what_they_cost_at_first(office):
    for number in range(100):
        office.write(f"{number}/x.en.txt", b"\xff")  # refused at once, so that even the first pass is cheap
        for more in range(99):
            os.link(office.folder / f"{number}/x.en.txt", office.folder / f"{number}/{more}.en.txt")
    costs = []
    for expected in (10_000, 0, 0):
        begin = time.process_time()  # of all threads; other programs do not count
        assert len(await office.take()) == expected
        costs.append(time.process_time() - begin)
    assert min(costs[1:]) < costs[0] / 2


async def test_unchanged_documents_are_not_even_opened(office, monkeypatch):
    office.write("a.png", b"x")
    office.write("a.en.txt", f"---\nimage: a.png\n---\n{TEXT}")
    await office.take()
    monkeypatch.setattr(survey.folder, "read", None)
    monkeypatch.setattr(survey.folder, "digest", None)
    assert await office.take() == []


# -- watching
async def test_a_new_file_is_noticed_at_once_and_watching_stops_cleanly(office):
    threads = threading.active_count()
    seen = asyncio.Event()

    async def follow():
        async with aclosing(office.source.watch()) as events:
            async for _ in events:
                seen.set()

    async with asyncio.timeout(30):
        follower = asyncio.create_task(follow())
        number = 0
        while not seen.is_set():  # the watcher needs a moment to begin
            if follower.done():
                await follower  # says why there is no watching here, such as no room for one more watch
            office.write(f"{number % 50}.en.txt", TEXT + str(number))
            number += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(seen.wait(), 0.3)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower
    assert threading.active_count() <= threads + 2  # the loop's own idle workers


async def test_closing_the_watch_between_two_events_ends_it(office):
    async with asyncio.timeout(30):
        events = office.source.watch()
        first = asyncio.ensure_future(anext(events))
        while not first.done():
            office.write("a.en.txt", str(time.perf_counter_ns()))
            await asyncio.wait([first], timeout=0.3)
        await events.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(events)


# -- the shipped samples
async def test_every_sample_release_comes_in(open_office):
    office = open_office(folder=DEMO)
    found = await office.look()
    assert [(item.origin, item.reason) for item in found if isinstance(item, Problem)] == []
    assert len(found) == sum(path.suffix in (".txt", ".md", ".html") for path in DEMO.iterdir())
    assert all(item.body and "©" not in item.body for item in found)
