"""What embeds say of a withdrawn release, and what nobody can feel out through them."""

from __future__ import annotations

from datetime import timedelta

from lxml import html

from feeds.windows import KEEP_WITHDRAWN
from syndicator.web.limits import Limits, Window
from syndicator.web.turns import TURNS

WORD = "zebra"
FACES = (
    "/embed/frame?lang=en&q={}",
    "/embed/fragment?lang=en&q={}",
    "/en/embed?q={}",
    "/feeds/custom.rss?lang=en&q={}",
    "/feeds/custom.atom?lang=en&q={}",
    "/feeds/custom.json?lang=en&q={}",
    "/en/search?q={}",
    "/en/feeds?q={}",
)


async def withdrawn(press):
    release = await press.publish("A mistake of ours", "1", text=f"The {WORD} crossing")
    press.now += timedelta(seconds=1)
    await press.withdraw(release, "It was wrong.")
    press.now += timedelta(hours=1)


async def test_the_words_of_a_withdrawn_release_cannot_be_felt_out_letter_by_letter(press):
    await withdrawn(press)
    for face in FACES:
        nothing = (await press.text(face.format("qqqq"))).replace("qqqq", "")
        for end in range(1, len(WORD) + 1):
            asked = WORD[:end]
            text = await press.text(face.format(asked))
            assert "mistake" not in text, (face, asked)
            assert "It was wrong" not in text, (face, asked)
            if face.startswith("/embed/"):
                assert text.replace(f"q={asked}", "q=").replace(f"“{asked}”", "“”") == nothing.replace("q=qqqq", "q=")


async def test_who_had_asked_before_is_told(press):
    await press.text(f"/embed/fragment?lang=en&q={WORD}")  # whichever way: the filter is one
    await withdrawn(press)
    for face in FACES[:2]:
        text = await press.text(face.format(WORD))
        assert "Withdrawn: A mistake of ours" in text
        assert "It was wrong." in text
        assert "mistake" not in await press.text(face.format(WORD[:-1]))


async def test_topics_and_kinds_of_a_withdrawn_release_are_no_secret(press):
    await withdrawn(press)
    for face in ("/embed/frame?lang=en&topic=visas", "/embed/fragment?lang=en&kind=news"):
        assert "Withdrawn: A mistake of ours" in await press.text(face)


async def test_lines_to_copy_hand_out_nothing_that_is_withdrawn(press):
    await press.publish("Right", "2")
    await withdrawn(press)
    page = html.fromstring(await press.text("/en/embed"))
    component = page.get_element_by_id("component").text_content()
    assert "Right" in component
    assert "mistake" not in component


async def test_old_withdrawals_do_not_hide_what_is_public(press):
    await press.publish("Right", "right", public_at=press.now - timedelta(days=400))
    for number in range(12):
        release = await press.publish({"en": "Wrong"}, f"w{number}", public_at=press.now - timedelta(days=200))
        await press.withdraw(release, "x")
    press.now += KEEP_WITHDRAWN
    for face in ("/embed/frame?lang=en&limit=1", "/embed/fragment?lang=en&limit=1&q=from"):
        assert "Right" in await press.text(face)


async def test_what_is_made_for_the_first_time_costs_a_turn_and_what_is_kept_does_not(press):
    await press.publish("Right", "1")
    faces = (
        "/embed/frame?lang=en",
        "/embed/fragment?lang=en&limit=2",
        "/en/embed?q=a",
        "/en/feeds?q=a",
        "/en/search?q=a",
    )
    oembed = f"/oembed?url={press.site.base_url}/en/"
    press.runner.app[TURNS].__init__(Window(6, timedelta(minutes=1)))
    assert isinstance(press.runner.app[TURNS], Limits)
    for path in (*faces, oembed):
        assert (await press.answer(path))[0] == 200, path
    for path in faces[:2]:
        assert (await press.answer(path))[0] == 200, "what is kept"
    await press.publish("Another", "2")
    assert "Another" in await press.text(faces[0])  # a change is not the visitor's doing
    for path in (
        "/embed/frame?lang=ru&q=b",
        "/embed/fragment?q=b",
        "/ru/embed?q=b",
        "/en/feeds?q=b",
        "/en/search?q=b",
        oembed,
    ):
        status, headers, text = await press.answer(path)
        assert (status, headers["Retry-After"]) == (429, "60"), path
        if path.startswith(("/embed/fragment", "/oembed")):
            assert text.count("\n") == 1
    status, headers, text = await press.answer("/embed/frame?lang=ru&q=b")
    assert "frame-ancestors *" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "попробуйте" in html.fromstring(text).xpath("//main")[0].text_content().lower()
    for path in ("/en/feeds", "/en/search", "/en/"):
        assert (await press.answer(path))[0] == 200, path
    other = {"X_Forwarded_For": "192.0.2.7"}
    assert (await press.answer("/embed/frame?lang=ru&q=b", **other))[0] == 200
    press.now += timedelta(minutes=1)
    assert (await press.answer("/embed/frame?lang=ru&q=c"))[0] == 200


async def test_an_embed_is_kept_for_a_minute_and_no_longer_even_if_we_are_gone(press):
    for path in ("/embed/frame", "/embed/fragment"):
        assert (await press.answer(path))[1]["Cache-Control"] == "public, max-age=60"


async def test_finished_embeds_are_not_made_again_until_something_changes(press, monkeypatch):
    await press.publish("A", "1")
    before = await press.text("/embed/frame?lang=en")
    monkeypatch.setattr("aiohttp_jinja2.render_string", None)
    assert await press.text("/embed/frame?lang=en") == before
    monkeypatch.undo()
    await press.publish("B", "2")
    assert "B" in await press.text("/embed/frame?lang=en")
