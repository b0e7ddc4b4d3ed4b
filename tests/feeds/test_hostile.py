"""Whatever a text holds, every feed stays well-formed and every id arrives whole."""

import json
from dataclasses import replace

import feedparser
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from feeds import build
from feeds.entry import entry_of
from feeds.streams import ALL, Stream, describe
from syndicator.domain.model import Attachment, State
from tests.feeds.rules import judge

NASTY = [
    "]]>",
    "<![CDATA[",
    "&amp;lt;script>",
    "</title></item></channel></rss>",
    "<!DOCTYPE x [<!ENTITY a 'b'>]>",
    "\x00\x0b\x1f",
    "\ud800",
    "\udfff\ud83d",
    "\ufffe\uffff",
    "שלום \u202e مرحبا",
    "👩‍👩‍👧 🇦🇿",
    "\"'><",
    "{title} {0} %s",
    "<?xml version='1.0'?>",
    "əıİöüğşçЁё",
    "\\u0000 \\",
    "\u2028\u2029\x85",
]
hostile = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=12)), max_size=4).map("".join)


@pytest.fixture(scope="module")
def render(site, taxonomy, texts):
    def rendered(releases, lang="az"):
        channel = describe(Stream(lang, ALL), site, taxonomy, texts)
        fragments = [build.fragment_of(entry_of(r, r.variant(lang), site, taxonomy, texts)) for r in releases]
        return {fmt: build.render(fmt, channel, fragments, 60) for fmt in ("rss", "atom", "json")}

    return rendered


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=hostile,
    summary=hostile,
    body=hostile,
    alt=hostile,
    credit=hostile,
    note=hostile,
    reason=hostile,
    topic=hostile,
)
def test_every_feed_parses_and_no_id_is_lost(render, make, title, summary, body, alt, credit, note, reason, topic):
    texts = {"title": title, "summary": summary, "body": f"<p>{body}</p>", "rights": credit}
    media = (make.picture(alt=alt, credit=credit, title=title), Attachment("/media/" + alt, credit, 5, title=note))
    plain = make.release(1, topics=(topic, "visas"), attachments=media, link="https://x.example/" + summary, **texts)
    corrected = make.revise(make.release(2, **texts), at=make.now, note=note)
    withdrawn = replace(make.release(3, **texts), state=State.WITHDRAWN, withdrawn_at=make.now, reason=reason)
    rendered = render([withdrawn, corrected, plain])
    expected = [r.variant("az").uid for r in (withdrawn, corrected, plain)]
    for fmt in ("rss", "atom"):
        etree.fromstring(rendered[fmt])
        parsed = feedparser.parse(rendered[fmt])
        assert not parsed.bozo, parsed.get("bozo_exception")
        assert [entry.id for entry in parsed.entries] == expected
    assert [item["id"] for item in json.loads(rendered["json"])["items"]] == expected
    for fmt, document in rendered.items():
        assert judge(fmt, document, f"https://press.example.org/feeds/az/all.{fmt}", make.now) == []


@pytest.mark.parametrize("nasty", NASTY)
def test_what_xml_can_carry_comes_out_of_all_formats_alike(render, make, nasty):
    rendered = render([make.release(1, body=f"<p>a{nasty}z</p>")])
    content = json.loads(rendered["json"])["items"][0]["content_html"]
    atom, rss = etree.fromstring(rendered["atom"]), etree.fromstring(rendered["rss"])
    assert atom.findtext(".//{http://www.w3.org/2005/Atom}content") == content
    assert rss.findtext(".//{http://purl.org/rss/1.0/modules/content/}encoded") == content
