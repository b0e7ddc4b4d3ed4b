"""Every reader makes of our feeds what we meant, in every format: a real service, feeds over HTTP, other people's code.

What we meant is read from the JSON feed, which needs no parser but Python's own and is held to its rules elsewhere.
"""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from lxml import html as lxml_html

from tests.feeds.rules import judge
from tests.judges import readers
from tests.program import ROOT, Program, make_program, wait_for

SEEDS = ROOT.parent / "shared" / "seeds"
FORMATS = ("rss", "atom", "json")
MIXED = "lang=az,ru&topic=citizenship,visas"
MONTHS = ("2026-08", "2026-10")
CORRECTED = """---
id: judged-1
title: Fees & "forms" <new>
lang: en
published: 2026-10-05T10:00:00+04:00
topics: [visas]
link: https://www.example.org/judged?a=1&b=2
image: {src: hall.jpg, alt: "A hall, 5 < 6 & windows", credit: A. Photographer}
attachments: [{src: form.pdf, title: Form 7}, {src: list.pdf, title: List}]
%s---
The fee is %s lir, "as before" & <b>not</b> less. ə ı ö ü ğ ş ç — ё.

- One
- Two
"""
WITHDRAWN = """---
id: judged-2
title: Published by mistake
lang: %s
published: 2026-10-06T10:00:00+04:00
topics: [visas]
%s---
Nothing of this is right.
"""
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc0000b080001000101011100ffc40014000100000000000000"
    "00000000000000000000ffc40014100100000000000000000000000000000000ffda0008010100003f0037ffd9"
)


@dataclass(frozen=True)
class Judged:
    """The feeds of a running service: each as a file by its address's path, and what is meant by it.

    `meant` are the items, `named` the feed's own title and page.
    """

    program: Program
    files: dict[str, Path]
    meant: dict[str, list[dict[str, Any]]]
    named: dict[str, tuple[str, str]]

    def of(self, *formats: str) -> dict[str, Path]:
        return {path: file for path, file in self.files.items() if file.suffix[1:] in formats}


def fill(folder: Path) -> None:
    """The demo, the two real releases where they are at hand, and what is hard to read."""
    shutil.copytree(ROOT / "config" / "demo", folder, dirs_exist_ok=True)
    for seed in sorted(SEEDS.glob("*.txt")):
        shutil.copy(seed, folder / f"{seed.stem}.en.txt")
    (folder / "hall.jpg").write_bytes(JPEG)
    for name in ("form.pdf", "list.pdf"):
        (folder / name).write_bytes(b"%PDF-1.4\n" + name.encode() * 50)
    (folder / "judged.en.md").write_text(CORRECTED % ("", 30))
    for lang in ("az", "en"):
        (folder / f"mistake.{lang}.md").write_text(WITHDRAWN % (lang, ""))


def change(program: Program) -> None:
    """One release is corrected, one withdrawn."""
    program.write("judged.en.md", CORRECTED % ("note: The fee is 40 and not 30.\n", 40))
    for lang in ("az", "en"):
        program.write(f"mistake.{lang}.md", WITHDRAWN % (lang, "state: withdrawn\nreason: Published by mistake.\n"))


def followed(program: Program, path: str) -> bool:
    """Whether this feed tells of the withdrawal, and of the correction if it is in English."""
    status, body, _ = program.get(path)
    items = json.loads(body)["items"] if status == 200 else ()  # archives come after the live feeds
    withdrawn = any(
        item["_syndicator"]["state"] == "withdrawn" and item["title"].endswith("Published by mistake") for item in items
    )
    return withdrawn and ("/en/" not in path or any("The fee is 40 lir" in item["content_html"] for item in items))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("judged")
    program = make_program(folder, warm=True)
    fill(program.releases)
    program.start()
    try:
        wait_for(lambda: "Published by mistake" in program.titles(), "the first edition")
        change(program)
        for stem in ("en/all", "en/visas", "az/all", "az/visas"):
            for path in (f"/feeds/{stem}.json", f"/feeds/{stem}/{MONTHS[-1]}.json"):
                wait_for(lambda path=path: followed(program, path), f"what changed in {path}")
        yield gather(program, folder)
    finally:
        program.stop()


def gather(program: Program, folder: Path) -> Judged:
    stems = [
        *(f"/feeds/{lang}/{topic}" for lang in ("az", "en", "ru") for topic in ("all", "visas")),
        *(f"/feeds/{lang}/all/{month}" for lang in ("az", "en") for month in MONTHS),
        "/feeds/en/visas/2026-10",
    ]
    wanted = [(stem, f"{stem}.{fmt}") for stem in stems for fmt in FORMATS]
    wanted += [("mixed", f"/feeds/custom.{fmt}?{MIXED}") for fmt in FORMATS]
    wanted += [("az", "/feeds/az.opml"), ("index", "/feeds/index.opml")]
    files, meant, named = {}, {}, {}
    for number, (stem, path) in enumerate(wanted):
        wait_for(lambda path=path: program.get(path)[0] == 200, path)
        body = program.get(path)[1]
        suffix = path.partition("?")[0].rpartition(".")[2]
        files[path] = folder / f"{number}.{suffix}"
        files[path].write_bytes(body)
        if suffix == "json":
            document = json.loads(body)
            meant[stem] = [_meant(item) for item in document["items"]]
            named[stem] = (document["title"], document["home_page_url"])
    assert all(meant.values())
    by_path = [(stem, path) for stem, path in wanted if stem in meant]
    return Judged(program, files, {p: meant[s] for s, p in by_path}, {p: named[s] for s, p in by_path})


def _meant(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": item["id"],
        "title": item["title"],
        "url": item["url"],
        "published": int(datetime.fromisoformat(item["date_published"]).timestamp()),
        "updated": int(datetime.fromisoformat(item["date_modified"]).timestamp()),
        "content": item["content_html"],
        "enclosures": [
            {"url": file["url"], "type": file["mime_type"], "length": file.get("size_in_bytes", 0)}
            for file in item.get("attachments", ())
        ],
        "categories": item.get("tags", []),
    }


def words(markup: str) -> str:
    """What a person reads of it."""
    return " ".join(lxml_html.fromstring(f"<div>{markup}</div>").text_content().split())


def faults(judged: Judged, feed: readers.Told, path: str) -> list[str]:
    """Where a reader understood something else, a line each."""
    named = (feed["title"], feed["url"])
    about = [] if named == judged.named[path] else [f"{path}: {named}, meant {judged.named[path]}"]
    return about + _faults(feed["items"], judged.meant[path], path)


def _faults(told: list[dict[str, Any]], meant: list[dict[str, Any]], path: str) -> list[str]:
    if sorted(str(one["id"]) for one in told) != sorted(one["id"] for one in meant):
        return [f"{path}: {len(told)} items, {len(meant)} meant, or other ids: {[one['id'] for one in told][:3]}"]
    ours = {one["id"]: one for one in meant}
    return [f"{path}: {one['id']}: {line}" for one in told for line in _differences(one, ours[one["id"]], path)]


def _differences(told: dict[str, Any], meant: dict[str, Any], path: str) -> list[str]:
    found = [
        f"{name}: {told[name]!r}, meant {meant[name]!r}"
        for name in ("title", "url", "published", "updated")
        if told.get(name) is not None and told[name] != meant[name]
    ]
    if "dated" in told and told["dated"] not in (meant["published"], meant["updated"]):
        found.append(f"dated: {told['dated']}")
    if words(told["content"]) != words(meant["content"]):
        found.append(f"content: {words(told['content'])[:200]!r}, meant {words(meant['content'])[:200]!r}")
    if missing := set(meant["categories"]) - set(told.get("categories", meant["categories"])):
        found.append(f"categories missing: {missing}")
    if "enclosures" in told and not _all_there(told["enclosures"], meant["enclosures"], path):
        found.append(f"enclosures: {told['enclosures']}, meant {meant['enclosures']}")
    return found


def _all_there(told: list[dict[str, Any]], meant: list[dict[str, Any]], path: str) -> bool:
    """RSS has one enclosure, the other formats have all."""
    if path.partition("?")[0].endswith(".rss"):
        return len(told) == min(1, len(meant)) and all(one in meant for one in told)
    return sorted(told, key=str) == sorted(meant, key=str)


def compare(judged: Judged, told: dict[Path, readers.Told]) -> list[str]:
    names = {file: path for path, file in judged.files.items()}
    return [line for file, feed in told.items() for line in faults(judged, feed, names[file])]


def test_what_is_judged_holds_everything_that_is_hard_to_read(judged: Judged) -> None:
    items = {item["id"]: item for path in judged.of("json") for item in judged.meant[path]}.values()
    assert any("Withdrawn" in item["title"] for item in items)
    assert any("Corrected" in words(item["content"]) for item in items)
    assert max(len(item["enclosures"]) for item in items) >= 3
    mixed = judged.meant[f"/feeds/custom.json?{MIXED}"]
    assert {item["url"].split("/")[3] for item in mixed} == {"az", "ru"}
    assert len(judged.files) == len(FORMATS) * 12 + 2


def test_each_obeys_its_rules(judged: Judged) -> None:
    now = datetime.now(UTC)
    for path, file in judged.of(*FORMATS).items():
        assert judge(file.suffix[1:], file.read_bytes(), judged.program.base + path, now) == [], path


def test_feedparser_reads_what_we_meant(judged: Judged) -> None:
    assert compare(judged, readers.by_feedparser([*judged.of("rss", "atom").values()])) == []


def test_reader_reads_what_we_meant(judged: Judged) -> None:
    assert compare(judged, readers.by_reader([*judged.of(*FORMATS).values()])) == []


@pytest.mark.parametrize(
    ("name", "formats"), [("rss-parser", ("rss", "atom")), ("feedsmith", FORMATS), ("feedme", FORMATS)]
)
def test_a_reader_of_npm_reads_what_we_meant(judged: Judged, name: str, formats: tuple[str, ...]) -> None:
    assert compare(judged, readers.node(name, [*judged.of(*formats).values()])) == []


@pytest.mark.parametrize("fmt", ["rss", "atom"])
def test_newsboat_reads_what_we_meant(judged: Judged, tmp_path: Path, fmt: str) -> None:
    apart = {
        "live": [*(f"/feeds/{lang}/all.{fmt}" for lang in ("az", "en", "ru")), f"/feeds/custom.{fmt}?{MIXED}"],
        "archives": [f"/feeds/{lang}/all/{month}.{fmt}" for lang in ("az", "en") for month in MONTHS],
    }
    for name, paths in apart.items():
        told = readers.by_newsboat([judged.program.base + path for path in paths], tmp_path / name)
        found = [line for path in paths for line in faults(judged, told[judged.program.base + path], path)]
        assert found == []


def test_subscription_lists_are_read_alike(judged: Judged) -> None:
    for path, file in judged.of("opml").items():
        ours = [html.unescape(o.get("xmlUrl")) for o in etree.parse(str(file)).iter("outline") if o.get("xmlUrl")]
        assert len(ours) > 10
        parsed = readers.listparser(file.read_bytes())
        assert not parsed.bozo, path
        assert sorted(feed.url for feed in parsed.feeds) == sorted(ours)
        assert all(feed.title for feed in parsed.feeds)
        assert readers.node("feedsmith", [file])[file]["feeds"] == ours
