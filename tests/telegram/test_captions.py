"""Pictures: as a photo with a caption, as the page's large preview, and in words for who cannot see them."""

from __future__ import annotations

import pytest

from bots.telegram.render import Style, render
from syndicator.domain.model import Attachment

PHOTO = Style(media="photo")
HALL = Attachment("/media/a.jpg", "image/jpeg", alt="A hall by the sea", credit="The press office")


@pytest.fixture
def shown(site, texts, taxonomy, release):
    def made(style=PHOTO, lang="en", picture=HALL, **values):
        about = release(attachments=(picture,) if picture else (), **values)
        return render(about, "en", texts(lang), site, taxonomy, style)

    return made


def test_a_short_text_is_the_photos_caption_with_its_button(shown):
    (part,) = shown()
    assert part.photo == HALL
    assert part.preview == ""
    assert part.plain.startswith("Visas get cheaper\n\nFrom Monday.\n\n🖼 A hall by the sea")
    assert part.button == "Read on the site"


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "🖼 A hall by the sea (Photo: The press office)"),
        ("az", "🖼 A hall by the sea (Foto: The press office)"),
        ("ru", "🖼 A hall by the sea (Фото: The press office)"),
    ],
)
@pytest.mark.parametrize("media", ["photo", "preview"])
def test_what_a_picture_shows_and_who_took_it_is_told(shown, lang, said, media):
    (part,) = shown(Style(media=media), lang)
    assert said in part.plain


@pytest.mark.parametrize(
    ("alt", "credit", "said"),
    [("", "", None), ("A hall", "", "🖼 A hall"), ("", "Me", "🖼 Photo: Me"), ("\u200b", " \n ", None)],
)
def test_what_is_not_known_is_not_told(shown, alt, credit, said):
    (part,) = shown(picture=Attachment("/media/a.jpg", "image/jpeg", alt=alt, credit=credit))
    lines = [line for line in part.plain.split("\n") if line.startswith("🖼")]
    assert lines == ([said] if said else [])


def test_a_chat_without_pictures_is_told_of_none(shown):
    (part,) = shown(Style(media="none"))
    assert (part.photo, part.preview) == (None, "")
    assert "🖼" not in part.plain


def test_a_text_that_is_too_long_for_a_caption_gives_its_lead(shown, rules):
    (part,) = shown(body="<p>" + "word " * 400 + "</p>", summary="In short: cheaper.")
    assert part.photo == HALL
    assert "In short: cheaper.\n\n🖼" in part.plain
    assert rules.units(part.plain) <= 1024


def test_where_not_even_the_lead_fits_a_text_goes_with_the_pages_picture(shown):
    (part,) = shown(body="<p>" + "word " * 400 + "</p>", summary="In short: cheaper. " * 50)
    assert part.photo is None
    assert part.preview == "https://press.example.org/en/releases/12-visas"
    assert part.plain.count("word") == 400


def test_an_urgent_text_comes_whole_rather_than_with_a_photo(shown):
    body = "<p>" + "word " * 400 + "</p>"
    (part,) = shown(body=body, summary="In short: cheaper.", urgent=True)
    assert part.photo is None
    assert part.plain.count("word") == 400
    (part,) = shown(urgent=True)
    assert part.photo == HALL


def test_without_a_picture_there_is_no_photo(shown):
    (part,) = shown(picture=None)
    assert (part.photo, part.preview) == (None, "")


def test_the_description_gives_way_before_the_text_does(shown, rules):
    body = "<p>" + "word " * 790 + "</p>"
    (part,) = shown(Style(), body=body)
    assert part.plain.count("word") == 790
    assert "🖼" not in part.plain
    assert part.preview


@pytest.mark.parametrize(("media", "instead"), [("photo", "preview"), ("preview", "preview"), ("none", "none")])
def test_what_takes_a_refused_photos_place_is_the_large_preview(media, instead):
    assert Style("lead", media).without_photo == Style("lead", instead)
