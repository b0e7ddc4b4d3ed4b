"""What the command `preview` shows of a Telegram post."""

from __future__ import annotations

from bots.telegram.preview import styles_in_use, telegram_preview
from bots.telegram.render import Style
from config.settings import TelegramSettings
from syndicator.domain.model import Attachment

HALL = Attachment("/media/a.jpg", "image/jpeg", alt="A hall", credit="The press office")


def test_a_post_is_shown_with_its_button(site, texts, taxonomy, release):
    shown = telegram_preview(site, texts, taxonomy)(release(), "en")
    assert shown.startswith("Visas get cheaper\n\nFrom Monday.")
    assert shown.endswith("[Read on the site] https://press.example.org/en/releases/12-visas")


def test_every_style_in_use_is_shown_and_equal_ones_once(site, texts, taxonomy, release):
    channels = [{"chat": "@a", "media": "photo"}, {"chat": "@b", "media": "photo"}, {"chat": "@c", "text": "lead"}]
    styles = styles_in_use(TelegramSettings(channels=channels))
    assert styles == (Style(), Style(media="photo"), Style("lead"))
    show = telegram_preview(site, texts, taxonomy, styles)
    shown = show(release(attachments=(HALL,)), "en")
    assert shown.count("From Monday.") == 2
    assert "(text full, media preview; text lead, media preview)" in shown
    assert "(text full, media photo)\n\n[photo: A hall]\nVisas get cheaper" in shown
    assert show(release(), "en").count("From Monday.") == 1


def test_it_says_where_a_text_is_too_long_for_a_caption(site, texts, taxonomy, release):
    about = release(attachments=(HALL,), title="Long " * 150, summary="So much to say. " * 30)
    shown = telegram_preview(site, texts, taxonomy, [Style(media="photo")])(about, "en")
    assert shown.startswith("[no photo: the text is too long for a caption]\nLong")
