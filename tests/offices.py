"""Settings of an office as tests need them: a site, a database that nobody opens, and what is said of Telegram."""

from __future__ import annotations

from config.settings import DatabaseSettings, FeedSettings, Settings, SiteSettings, TelegramSettings, WebSettings


def settings_of(site, **telegram) -> Settings:
    named = SiteSettings(
        base_url=site.base_url,
        names=dict(site.names),
        languages=site.languages,
        default_language=site.default_language,
        timezone=site.timezone,
    )
    return Settings(
        site=named,
        database=DatabaseSettings(url="sqlite:///x"),
        web=WebSettings(host="127.0.0.1", port=0),
        feeds=FeedSettings(directory="x", entries=50, max_age=60),
        telegram=TelegramSettings(**telegram),
    )
