"""Mail that nobody can make sense of: what may be a bounce is never lost, and other people's mail fills nothing."""

from __future__ import annotations

import os

import pytest

from bots.email.inbound import keeping
from bots.email.inbound.keeping import Full, Keep
from bots.email.inbound.opening import open_inbound
from config.email import EmailSettings
from config.section import BadSettings
from syndicator.metrics import Metrics
from tests.email.inbound_office import BOUNCES, SPAM, UNCLEAR
from tests.email.returned import READER


async def test_what_nobody_understands_is_kept_until_there_is_no_room(office, listening_for, monkeypatch):
    monkeypatch.setattr(Keep.__init__, "__kwdefaults__", {"files": 1, "size": 10_000})
    async with listening_for() as (talk, _):
        assert office.metrics.registry.get_sample_value("syndicator_unclear_mails") == 0
        assert await talk([BOUNCES], UNCLEAR) == [250]
        assert await talk([BOUNCES], UNCLEAR) == [250]
        assert await talk([BOUNCES], UNCLEAR.replace(b"hello", b"other")) == [451]
        assert office.metrics.registry.get_sample_value("syndicator_unclear_mails") == 1
    assert len(office.kept()) == 1
    assert office.failures() == 1


async def test_other_peoples_mail_is_never_put_off_and_takes_no_room_from_bounces(office, listening_for, monkeypatch):
    monkeypatch.setattr(Keep.__init__, "__kwdefaults__", {"files": 1, "size": 10_000})
    monkeypatch.setattr(keeping, "OTHERS", 2)
    async with listening_for() as (talk, _):
        for number in range(4):
            assert await talk([BOUNCES], SPAM.replace(b"cheap", b"%d" % number), READER) == [250]
        assert await talk([BOUNCES], UNCLEAR) == [250]
        assert office.metrics.registry.get_sample_value("syndicator_unclear_mails") == 1
    assert len(office.others()) == 2
    assert office.counted("unclear") == 5


async def test_a_persons_word_to_a_mails_own_address_waits_for_a_person(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.bounce_to], SPAM, READER) == [250]
    assert (len(office.kept()), office.others()) == (1, [])


def test_the_newest_of_other_peoples_mail_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "OTHERS", 2)
    monkeypatch.setattr(keeping, "OTHERS_BYTES", 10)
    keep = Keep(tmp_path)
    for age, one in enumerate((b"old", b"middle", b"new"), -3):
        keep.keep_other(one)
        path = next(path for path in (tmp_path / "others").iterdir() if path.read_bytes() == one)
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    assert {path.read_bytes() for path in (tmp_path / "others").iterdir()} == {b"middle", b"new"}
    keep.keep_other(b"twelve bytes")
    assert {path.read_bytes() for path in (tmp_path / "others").iterdir()} == {b"twelve bytes"}
    assert keep.count() == 0


def test_a_mail_is_kept_whole_and_for_our_eyes_only(tmp_path):
    keep = Keep(tmp_path / "kept", files=2, size=1000)
    assert [keep.keep(one) for one in (b"a", b"a", b"b")] == [1, 1, 2]
    with pytest.raises(Full):
        keep.keep(b"c")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()} == {0o600}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    with pytest.raises(Full):
        Keep(tmp_path / "small", size=3).keep(b"four")


def test_nothing_comes_in_unless_it_is_asked_for_and_then_it_needs_an_address(office):
    assert open_inbound(EmailSettings(), None, site=None, tokens=None, metrics=None, clock=None, wake=None) == ()
    asked = EmailSettings.model_validate({"inbound": {"kind": "lmtp"}})
    with pytest.raises(BadSettings, match="bounce_address is needed"):
        open_inbound(asked, None, site=None, tokens=None, metrics=None, clock=None, wake=None)


@pytest.mark.parametrize(("works", "count"), [(True, 2), (False, 0)])
def test_what_is_kept_is_counted_by_whoever_may_take_it_in_and_not_by_others_of_its_machine(
    works, count, tmp_path, sqlite_database, site
):
    for name in ("a.eml", "b.eml"):
        (tmp_path / name).write_bytes(b"Subject: ?")
    said = {"kind": "imap", "host": "mail.example", "user": "u", "password": "p", "keep": str(tmp_path)}
    email = EmailSettings.model_validate({"bounce_address": "bounce@press.example", "inbound": said})
    metrics = Metrics()
    given = {"site": site, "tokens": None, "clock": None, "wake": None, "shared": True}
    assert open_inbound(email, sqlite_database, metrics=metrics, works=works, **given)
    assert metrics.registry.get_sample_value("syndicator_unclear_mails") == count
