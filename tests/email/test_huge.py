"""However large a release, its mails fit: under 100 KB, whole, in both parts, and soon made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.addresses import BadAddress, _judged, address
from bots.email.compile import LARGEST, Compiler
from syndicator.domain.filters import Filter, canonical
from syndicator.domain.letters import Earlier, Item
from syndicator.domain.model import Attachment, MessageKind, State
from syndicator.domain.text import BODY_LIMIT
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from tests.email.gallery import LANGS, NOW, SITE, a_letter, a_text, parts, read
from tests.email.signing import signer

WORDS = st.sampled_from(["a", "Ш", "<p>", "&", ". ", "\n", "😀", "=", "\u00a0", "Слово ", '"', "?="])
HUGE = st.builds(lambda word, times: word * times, WORDS, st.sampled_from([0, 1, 80, 3_000, 30_000]))
BLOCKS = st.sampled_from(["<p>Ш</p>", "<ul><li>ə</li></ul>", "<table><tbody><tr><td>1</td></tr></tbody></table>", "."])
BODIES = st.builds(lambda block, times: (block * times)[: BODY_LIMIT // 8], BLOCKS, st.sampled_from([0, 1, 500, 6_000]))
FILES = st.builds(
    lambda title, times: tuple(Attachment(f"/media/{n}-{title[:40]}.pdf", title=title) for n in range(times)),
    HUGE,
    st.sampled_from([0, 3, 300]),
)
WANTED = [f"topic-{number}" for number in range(40)]
TOPICS = Taxonomy.from_mapping(
    {"topic": [{"slug": slug, "name": dict.fromkeys(LANGS, f"{slug} & Служба Ş " * 4)} for slug in WANTED]}
)
THREAD = tuple(
    Earlier(n, MessageKind.CORRECTION, {"message_id": f"<{n:03}{'m' * 230}@example.org>"}, NOW) for n in range(12)
)
KINDS = (MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.WITHDRAWAL, MessageKind.DIGEST)


OFFICE = Compiler(
    site=SITE, texts=Texts.load(LANGS), taxonomy=TOPICS, sender="news@press.example.org", contact="press@example.org"
)


def signed(letter):
    return signer("rsa").signed(OFFICE.mail(letter, NOW).data, NOW)


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    title=HUGE,
    summary=HUGE,
    note=HUGE,
    body=BODIES,
    files=FILES,
    times=st.sampled_from([1, 9, 200]),
    wanted=st.sampled_from([0, 3, 20]),
    text_only=st.booleans(),
)
def test_every_mail_of_every_release_fits(kind, title, summary, note, body, files, times, wanted, text_only):
    given_texts = {"title": title, "summary": summary, "note": note, "body": body, "text": summary}
    release = replace(a_text("ru", attachments=files, **given_texts), reason=note, state=State.PUBLIC)
    items = tuple(Item(replace(release, number=n, public_at=NOW - timedelta(days=n)), "ru") for n in range(times))
    choice = canonical(Filter(topics=tuple(WANTED[:wanted]), without=tuple(WANTED[20 : 20 + wanted])))
    about = {"release": release, "items": items, "notes": (note,) * times, "earlier": THREAD, "filter_text": choice}
    data = signed(a_letter(kind, "ru", text_only=text_only, **about))
    message = read(data)
    assert len(data) < LARGEST
    assert not message.defects
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert message["Subject"].strip()
    if not text_only:
        assert parts(data)[1].rstrip().endswith("</html>")


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_fills_up_a_mail_makes_way_for_a_long_reason_a_long_thread_and_a_signature(kind, lang):
    """Each of the three once took a mail over the limit."""
    full = a_text(lang, body="<p>Служба Алдеры, Şərq. </p>" * 3_000)
    items = tuple(Item(replace(full, number=n, public_at=NOW - timedelta(days=n)), lang) for n in range(200))
    choice = canonical(Filter(topics=tuple(WANTED[:20]), without=tuple(WANTED[20:])))
    about = {"release": full, "items": items, "notes": (), "earlier": THREAD, "filter_text": choice}
    assert 60_000 * (kind is not MessageKind.WITHDRAWAL) < len(signed(a_letter(kind, lang, **about))) < LARGEST


LOCAL = st.text(alphabet="abXY09.!#$%&'*+/=?^_`{|}~-@ \u0259", max_size=45)
DOMAIN = st.text(alphabet="abx09.-N\u0259", max_size=40)
ENDING = st.sampled_from([".org", ".test", ".local", ".invalid", ".example", ".o1", ".onion", "", ".arpa"])


@settings(max_examples=200, deadline=None)
@given(st.builds(lambda local, domain, ending: f"{local}@{domain}{ending}", LOCAL, DOMAIN, ENDING))
def test_a_plain_address_is_taken_at_sight_exactly_as_it_would_be_judged(written):
    def told(ask):
        try:
            return ask(written)
        except BadAddress:
            return None

    assert told(address) == told(_judged)
