"""Every outside face of the service, asked as a curious stranger would, who knows all slugs, words and file names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from email.message import EmailMessage
from itertools import count, cycle
from urllib.parse import unquote

from syndicator.domain.deeplink import bot_link
from syndicator.domain.filters import Filter
from tests.whole.house import BOT, Answer, House
from tests.whole.secrets import Outsider, Text, secrets_in

NEVER_ASKED = (f"kind=news,zq{number}" for number in count(1))
PROBES = cycle(
    [
        lambda lang, kind: f"/embed/fragment?lang={lang}&{kind}",
        lambda lang, kind: f"/embed/frame?lang={lang}&{kind}",
    ]
)
NOWHERE = 999  # a number that no release has
SOUGHT = ("title", "summary", "body")
MACHINES = ("/", "/robots.txt", "/healthz", "/readyz", "/sitemap.xml")


def release_paths(house: House, office: Outsider) -> list[str]:
    """By number alone, by every slug there ever was and by a wrong one, in every language."""
    found = []
    for one in office.releases.values():
        slugs = ["", "-", "-wrong", *(f"-{text.slug}" for text in office.texts if text.key == one.key)]
        found += [f"/{lang}/releases/{one.number}{slug}" for lang in house.site.languages for slug in slugs]
        found.append(f"/api/v1/releases/{one.number}")
    return found


def api_paths(house: House) -> list[str]:
    lists = [f"releases?{query}" for query in ("", "topic=visas", "by=updated", "limit=1")]
    lists += [f"releases?lang={lang}" for lang in house.site.languages]
    return [f"/api/v1/{name}" for name in ("", *lists, "changes", "changes?limit=1", "topics")]


def page_paths(house: House, office: Outsider) -> list[str]:
    found = list(MACHINES)
    for lang in house.site.languages:
        found += [f"/{lang}/{name}" for name in ("", "feeds", "search", "search?topic=visas")]
        found += [f"/{lang}/topics/{slug}" for slug in house.taxonomy.slugs]
    quoted = [
        f"/oembed?url={house.site.home(lang)}releases/{one.number}"
        for lang, one in zip(cycle(house.site.languages), office.releases.values(), strict=False)
    ]
    return [*found, *quoted, *api_paths(house), *release_paths(house, office)]


def feed_paths(house: House) -> list[str]:
    return [
        *house.feed_names(),
        *house.archive_names(),
        *(f"/feeds/{lang}.opml" for lang in house.site.languages),
        *embed_paths(house),
    ]


def embed_paths(house: House) -> list[str]:
    """They say of a withdrawn release what feeds say."""
    languages = ",".join(house.site.languages)
    return [f"/embed/frame?lang={languages}&limit=20", f"/embed/fragment?lang={languages}&layout=full", "/en/embed"]


async def look(house: House, paths: Iterable[str], method: str = "GET", **headers: str) -> dict[str, Answer]:
    asked = list(paths)
    answers = await asyncio.gather(*(house.ask(path, method, **headers) for path in asked))
    return dict(zip(asked, answers, strict=True))


def told(answer: Answer) -> set[str]:
    """Every secret in an answer: its body and all its headers, however written."""
    return secrets_in(unquote(answer.text)) | secrets_in(unquote(str(answer.headers)))


async def found_by_search(house: House, office: Outsider, texts: Iterable[Text]) -> dict[str, bool]:
    """Whether search knows a secret: does it answer otherwise than for a word that stands nowhere?"""
    nothing = "zq000nothingqz"
    words = {text.word(SOUGHT[text.number % 3]): text.lang for text in texts}
    empty = {lang: await house.ask(f"/{lang}/search?q={nothing}") for lang in house.site.languages}
    answers = await look(house, [f"/{lang}/search?q={word}" for word, lang in words.items()])
    found = {}
    for word, lang in words.items():
        body = answers[f"/{lang}/search?q={word}"].text
        found[word] = _as_asked(body, word, nothing) != empty[lang].text
    return found


def _as_asked(body: str, word: str, other: str) -> str:
    """The page as it would echo the other word, in its form and in the link that carries the search to the bot."""
    links = [bot_link(BOT, Filter(words=(one,))).address for one in (word, other)]
    return body.replace(word, other).replace(*links)


async def found_by_api(house: House, texts: Iterable[Text]) -> dict[str, bool]:
    """The same of the API's search."""
    nothing = "zq000nothingqz"
    empty = await house.ask(f"/api/v1/search?q={nothing}")
    words = {text.word(SOUGHT[text.number % 3]) for text in texts}
    answers = {word: await house.ask(f"/api/v1/search?q={word}") for word in words}
    return {word: answer.text.replace(word, nothing) != empty.text for word, answer in answers.items()}


async def found_by_filters(house: House, texts: Iterable[Text]) -> dict[str, bool]:
    """The same of embeds and custom feeds, each time by a filter that nobody has asked for before."""
    nothing, found = "zq000nothingqz", dict[str, bool]()
    for text in texts:
        word = text.word(SOUGHT[text.number % 3])
        path = next(PROBES)(text.lang, next(NEVER_ASKED))
        sought, empty = await house.ask(f"{path}&q={word}"), await house.ask(f"{path}&q={nothing}")
        found[word] = sought.text.replace(word, nothing) != empty.text
    return found


def letters(house: House) -> Mapping[str, str]:
    """Mails and posts as read by people: each file with all its text."""
    mails = {name: mail_text(mail) for name, mail in house.mails().items()}
    return mails | {name: str(post) for name, post in house.posts().items()}


def mail_text(mail: EmailMessage) -> str:
    parts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for name, value in mail.items()), *parts])
