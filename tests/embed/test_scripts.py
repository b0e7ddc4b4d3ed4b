"""The script as partners' browsers get it: pinned by a digest, kept for good, small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re

import pytest

from feeds.embed.scripts import FOLDER, Scripts, integrity_of

NEWEST = Scripts().newest


def test_the_script_is_smaller_than_6_kb_gzipped():
    assert len(gzip.compress(NEWEST.body, 9)) < 6_000


def test_the_script_needs_nothing_that_a_strict_policy_refuses():
    code = NEWEST.body.decode()
    for unsafe in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "import ",
    ):
        assert unsafe not in code
    assert not re.search(r"https?://(?!\$)", code.replace("^https?:$", ""))  # it knows nobody but who gave it out


def test_what_was_given_out_is_never_edited():
    """A change is a new file with a new number; add its line to press-feed.sums."""
    listed = dict(line.split() for line in (FOLDER / "press-feed.sums").read_text().splitlines())
    assert {version: script.integrity for version, script in Scripts().all.items()} == listed


async def test_the_script_is_served_with_all_that_another_site_needs(press):
    status, headers, text = await press.answer(f"/embed-{NEWEST.version}.js")
    assert status == 200
    assert text.encode() == NEWEST.body
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["Vary"] == "Accept-Encoding"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("identity", None), ("br;q=1, gzip;q=0", None)])
async def test_the_digest_is_of_the_script_however_it_is_packed(press, accepted, coding):
    status, headers, text = await press.answer(f"/embed-{NEWEST.version}.js", Accept_Encoding=accepted)
    digest = base64.b64encode(hashlib.sha384(text.encode()).digest()).decode()
    assert (status, headers.get("Content-Encoding")) == (200, coding)
    assert f"sha384-{digest}" == NEWEST.integrity == integrity_of(NEWEST.body)


async def test_who_has_the_script_is_told_so(press):
    path = f"/embed-{NEWEST.version}.js"
    _, headers, _ = await press.answer(path)
    status, again, text = await press.answer(path, If_None_Match=headers["ETag"])
    assert (status, text, again["ETag"]) == (304, "", headers["ETag"])
    assert again["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/embed-0.js", "/embed-999.js"])
async def test_a_version_that_never_was_is_not_there(press, path):
    status, headers, text = await press.answer(path)
    assert status == 404
    assert f"/embed-{NEWEST.version}.js" in text
    assert headers["Cache-Control"] == "no-cache"


def test_old_versions_stay_beside_the_newest(tmp_path):
    for version in (1, 2, 10):
        (tmp_path / f"press-feed-{version}.js").write_text(f"// {version}")
    (tmp_path / "press-feed-x.js").write_text("// none of ours")
    scripts = Scripts(tmp_path)
    assert sorted(scripts.all) == ["1", "10", "2"]
    assert scripts.newest.version == "10"


def test_an_installation_without_a_script_says_so(tmp_path):
    with pytest.raises(ValueError, match="press-feed-NUMBER"):
        Scripts(tmp_path)
