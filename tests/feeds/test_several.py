"""A reader who is sent from one machine to another: each keeps its feeds by itself, over one store."""

from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from aiohttp.test_utils import make_mocked_request

from feeds.answering import Answering
from feeds.build import CONTENT_TYPES

NAME = "en/visas.rss"
PATH = f"/feeds/{NAME}"
BY_TAG, BY_DATE = {"ETag": "If-None-Match"}, {"Last-Modified": "If-Modified-Since"}
KINDS = (BY_TAG, BY_DATE, BY_TAG | BY_DATE)


class Reader:
    """Keeps one feed, and asks for it with those validators of the last whole answer that it knows."""

    def __init__(self, knows):
        self._knows = knows
        self._asking, self._body, self._dates = {}, b"", []

    def ask(self, machine):
        """The status. Afterwards the reader has what the machine has, and no date was before one that it saw."""
        stored = machine.find(NAME)
        answering = Answering(machine.site.base_url, 60, (), machine.clock, shared=True)
        request = make_mocked_request("GET", PATH, self._asking)
        answer = answering.answer(request, stored, CONTENT_TYPES["rss"], PATH)
        if answer.status == 200:
            self._body = answer.body
            self._asking = {put: answer.headers[got] for got, put in self._knows.items() if got in answer.headers}
        self._dates += map(parsedate_to_datetime, answer.headers.getall("Last-Modified", ()))
        assert self._body == stored.body
        assert self._dates == sorted(self._dates)
        return answer.status


def corrected(make, release, at):
    return make.revise(release, at=at, note="The price was wrong.", title="Visas are cheap")


def mended_silently(make, release, at):
    return make.revise(release, at=at, body="<p>Typo mended</p>")


def moved_to_another_topic(make, release, at):
    return replace(release, topics=("law",), updated_at=at)


@pytest.mark.parametrize("change", [corrected, mended_silently, moved_to_another_topic])
async def test_a_reader_of_several_machines_misses_no_change_that_only_some_of_them_saw_by_itself(
    publish, shelf, make, tmp_path, change
):
    one, two, late = (publish(directory=tmp_path / name) for name in ("one", "two", "late"))
    began = make.now - timedelta(minutes=1)
    shelf.put(make.release(1))
    await two.refresh(began - timedelta(minutes=1))
    shelf.put(make.release(2, public_at=began))
    await one.refresh(began)
    readers = {(Reader(knows), other): 304 if "ETag" in knows else 200 for knows in KINDS for other in (two, late)}
    assert {reader.ask(one) for reader, _ in readers} == {200}

    soon = began + timedelta(milliseconds=400)  # within the same second
    shelf.put(change(make, shelf.get(2), soon))
    await one.refresh(soon)
    for machine in (two, late):  # to these, both changes are one
        await machine.refresh(began + timedelta(seconds=5))
    for (reader, other), unchanged in readers.items():
        assert [reader.ask(machine) for machine in (other, one, late, two, one)] == [200] + [unchanged] * 4

    shelf.put(mended_silently(make, shelf.get(1), make.now))
    for machine in (late, one, two):  # each in its time
        await machine.refresh(make.now)
        for reader, _ in readers:
            reader.ask(machine)
    assert one.find(NAME).etag == two.find(NAME).etag == late.find(NAME).etag


async def test_of_a_feed_that_one_machine_has_the_date_is_told_and_of_one_that_several_have_the_tag_alone(
    publish, shelf, make
):
    shelf.put(make.release(1))
    machine = publish()
    await machine.refresh(make.now)
    stored = machine.find(NAME)
    told = {}
    for shared in (False, True):
        answering = Answering(machine.site.base_url, 60, (), machine.clock, shared=shared)
        for asked in ({}, {"If-None-Match": stored.etag}):
            answer = answering.answer(make_mocked_request("GET", PATH, asked), stored, CONTENT_TYPES["rss"], PATH)
            told[shared, answer.status] = ("ETag" in answer.headers, "Last-Modified" in answer.headers)
    assert told == {
        (False, 200): (True, True),
        (False, 304): (True, True),
        (True, 200): (True, False),
        (True, 304): (True, False),
    }
