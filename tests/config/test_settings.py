"""A configuration is either right as a whole, or refused with one line that says what, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.loading import load
from config.settings import BadSettings, DirectorySource
from config.topics import load_topics

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str) -> Path:
        path = tmp_path / "syndicator.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def refusal(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(BadSettings) as caught:
        load(path, environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_without_a_file_the_shipped_defaults_hold() -> None:
    settings = load(None, {})
    assert (settings.web.port, settings.site.languages) == (8080, ("az", "en", "ru"))
    assert settings.sources == ()


def test_the_file_changes_only_what_it_names(write: Write) -> None:
    settings = load(write("[web]\nport = 9090\n"), {})
    assert (settings.web.port, settings.web.host) == (9090, "127.0.0.1")


def test_the_environment_wins_over_the_file(write: Write) -> None:
    settings = load(write("[web]\nport = 9090\n"), {"SYNDICATOR_WEB__PORT": "7070"})
    assert settings.web.port == 7070


def test_a_list_from_the_environment_is_json() -> None:
    settings = load(None, {"SYNDICATOR_SOURCES": '[{"kind": "directory", "path": "/srv/releases"}]'})
    assert isinstance(settings.sources[0], DirectorySource)


def test_a_secret_can_come_as_a_file_and_never_shows_in_the_settings_text(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("123:canary\n", encoding="utf-8")
    settings = load(None, {"SYNDICATOR_TELEGRAM__TOKEN_FILE": str(secret)})
    assert settings.telegram.token is not None
    assert settings.telegram.token.get_secret_value() == "123:canary"
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[web]\nprt = 1\n", ("web.prt", "unknown key", "host, port")),
        ("[wbe]\nport = 1\n", ("wbe", "unknown key", "site, database")),
        ("[web]\nport = 'x'\n", ("web.port", "valid integer")),
        ("[web]\nport = 99999\n", ("web.port", "less than or equal to 65535")),
        ("[site]\ntimezone = 'Mars/Olympus'\n", ("site.timezone", "IANA time zone")),
        ("[site]\ndefault_language = 'fr'\n", ("default_language must be one of languages (az, en, ru)",)),
        ("[site]\nbase_url = 'press.example.org'\n", ("site.base_url", "https://press.example.org")),
        ("[site]\nbase_url = 'https://agency.example/press'\n", ("site.base_url", "without a path")),
        ("[site]\ncontact = 'https://agency.example'\n", ("site.contact", "news@press.example.org")),
        ("[email]\nfrom = 'Press <a@x.az>'\n", ("email.from", "news@press.example.org")),
        ("[site]\nsecret = 'short'\n", ("site.secret",)),
        ("[database]\nurl = 'mysql://x'\n", ("database.url", "sqlite:///PATH or postgresql://")),
        ("[[sources]]\nkind = 'feed'\n", ("sources.0", "'directory', 'sql'")),
        ("[[sources]]\nkind = 'directory'\n", ("sources.0.path", "required")),
        ("[[sources]]\nkind = 'directory'\npath = '.'\nx = 1\n", ("sources.0.x", "unknown key", "withdraw_missing")),
        ("[email]\ntransport = 'smtp'\n", ("email.from is needed",)),
        ("[webhooks]\n", ("webhooks", "not part of this version")),
        ("[telegram]\nchannels = [{ chat = '@a', flter = '' }]\n", ("telegram.channels.0.flter", "chat, filter")),
        ("[engine]\nkind = 'celery'\n", ("engine.kind", "'embedded'")),
        ("port = \n", ("is not TOML",)),
    ],
)
def test_a_bad_key_is_refused_by_file_key_and_what_is_allowed(write: Write, text: str, parts: tuple[str, ...]) -> None:
    path = write(text)
    line = refusal(path)
    assert line.startswith(str(path))
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"SYNDICATOR_WEB__PRT": "1"}, ("SYNDICATOR_WEB__PRT", "unknown key")),
        ({"SYNDICATOR_WEB__PORT": "x"}, ("SYNDICATOR_WEB__PORT", "valid integer")),
        ({"SYNDICATOR_SITE__SECRET_FILE": "/nowhere/at/all"}, ("SYNDICATOR_SITE__SECRET_FILE", "cannot read")),
        ({"SYNDICATOR_CONFIG": "/nowhere/at/all.toml"}, ("/nowhere/at/all.toml", "cannot be read")),
    ],
)
def test_a_bad_variable_is_named(environ: dict[str, str], parts: tuple[str, ...]) -> None:
    line = refusal(None, **environ)
    for part in parts:
        assert part in line


def test_two_sources_of_one_name_are_refused(write: Write) -> None:
    text = "[[sources]]\nkind='directory'\npath='a'\n[[sources]]\nkind='directory'\npath='b'\n"
    assert "name of its own" in refusal(write(text))


def test_the_demo_brings_its_releases_wherever_it_is_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {}, demo=True)
    demo = settings.sources[0]
    assert isinstance(demo, DirectorySource)
    assert len(list(Path(demo.path).glob("*.md"))) > 15


def test_the_shipped_topic_file_is_whole_and_names_every_topic_in_every_language() -> None:
    taxonomy = load_topics(load(None, {}).topics_path)
    assert len(taxonomy.topics) >= 15
    for topic in taxonomy.topics:
        assert set(topic.names) == {"az", "en", "ru"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[[topic]]\nslug = 'all'\nname = { az = 'a' }\n", "all"),
        ("[[topic]\n", "is not TOML"),
    ],
)
def test_a_bad_topic_file_is_refused_by_its_name(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadSettings) as caught:
        load_topics(path)
    assert str(path) in str(caught.value)
    assert part in str(caught.value)


def test_a_hubs_address_holds_no_name_or_password_that_every_feed_would_show() -> None:
    line = refusal(SYNDICATOR_FEEDS__HUBS='["https://desk:canary@hub.example.org/"]')
    assert "feeds.hubs" in line
    assert "without a name and password" in line
