"""Pictures and files over HTTP: there with their release, gone with it, and harmless to open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.domain.model import Attachment, State

NAMES = ("a.jpg", "a.svg", "a.pdf", "a.html")


@pytest.fixture
async def release(newsroom, media_folder):
    for name in NAMES:
        (media_folder / name).write_bytes(b"<script>alert(1)</script>")
    return await newsroom.publish(key="k", attachments=[Attachment(f"/media/{name}") for name in NAMES])


async def test_pictures_are_shown_and_other_files_are_downloaded(visitor, release):
    for name, kind, shown in (
        ("a.jpg", "image/jpeg", "inline"),
        ("a.pdf", "application/pdf", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a.html", "application/octet-stream", "attachment"),
    ):
        answer = await visitor.get(f"/media/{name}")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["Content-Disposition"] == shown
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"  # for pages with COEP


async def test_caches_ask_again_soon_and_are_answered_briefly(visitor, release):
    answer = await visitor.get("/media/a.jpg")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    again = await visitor.get("/media/a.jpg", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["Cache-Control"] == "public, max-age=60"
    part = await visitor.get("/media/a.jpg", headers={"Range": "bytes=0-6"})
    assert (part.status, await part.read()) == (206, b"<script")
    assert (await visitor.head("/media/a.jpg")).status == 200


async def test_a_withdrawn_release_takes_its_files_along_also_for_those_who_had_them(visitor, newsroom, release):
    tag = (await visitor.get("/media/a.jpg")).headers["ETag"]
    await newsroom.withdraw(release, "a mistake")
    for headers in ({}, {"If-None-Match": tag}, {"Range": "bytes=0-6"}):
        assert (await visitor.get("/media/a.jpg", headers=headers)).status == 404


@pytest.mark.parametrize("hidden", ["draft", "embargo", "replaced", "withdrawn", "nobody's"])
async def test_a_file_that_may_not_be_seen_is_like_one_that_never_was(visitor, newsroom, media_folder, clock, hidden):
    (media_folder / "b.jpg").write_bytes(b"secret")
    held = [Attachment("/media/b.jpg", "image/jpeg", 6)]
    if hidden == "draft":
        await newsroom.publish(attachments=held, state=State.DRAFT)
    elif hidden == "embargo":
        await newsroom.publish(attachments=held, public_at=clock() + timedelta(hours=1))
    elif hidden == "replaced":
        await newsroom.publish(attachments=held, key="k")
        await newsroom.publish(key="k")
    elif hidden == "withdrawn":
        await newsroom.withdraw(await newsroom.publish(attachments=held), "a mistake")
    unknown = await visitor.get("/media/0.jpg")
    for method in (visitor.get, visitor.head):
        answer = await method("/media/b.jpg")
        assert answer.status == unknown.status == 404
        kept = {name: value for name, value in answer.headers.items() if name != "Date"}
        assert kept == {name: value for name, value in unknown.headers.items() if name != "Date"}
    assert await (await visitor.get("/media/b.jpg")).read() == await unknown.read()


async def test_an_address_that_is_held_but_whose_file_is_missing_is_a_404(visitor, newsroom):
    await newsroom.publish(attachments=[Attachment("/media/gone.jpg", "image/jpeg", 6)])
    assert (await visitor.get("/media/gone.jpg")).status == 404
