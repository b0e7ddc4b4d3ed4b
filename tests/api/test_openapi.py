"""The OpenAPI document is true: what it says may be asked is answered, in the shapes it says."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import re
import threading
import warnings

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from syndicator.web.api.openapi import OPERATIONS
from syndicator.web.app import make_app
from syndicator.web.server import WebServer
from tests.whole.house import examples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    schemathesis = importlib.import_module("schemathesis")
    accepted = importlib.import_module("schemathesis.specs.openapi.checks").positive_data_acceptance

UNSAYABLE = re.compile(
    r"cursor: it is not|q: .* holds no letter|topic: it can never|since: \d+ is greater"
    r"|q: it is missing|\w+: '0000-|filter: it is"
)
"""What a schema cannot say of a value, and is refused all the same."""


@pytest.fixture
def running(parts, newsroom, sqlite_database):
    """The site on a port of this machine, in a thread of its own, since its judge waits for each answer."""
    loop = asyncio.new_event_loop()
    server = WebServer(make_app(parts), "127.0.0.1", 0)

    async def begin():
        for number in range(12):
            await newsroom.publish({"az": f"Viza {number}", "en": f"Visa {number}"}, topics=["visas"])
        gone = await newsroom.publish("Gone")
        await newsroom.withdraw(gone, "Never so.")
        await server.start()

    async def end():
        await server.stop()
        await sqlite_database.close()

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    asyncio.run_coroutine_threadsafe(end(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


LONGEST_LINE = 8000  # of the 8,190 bytes of a request line that the server reads


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_everything_that_the_document_lets_one_ask_is_answered_as_it_says(running, mode):
    schema = schemathesis.openapi.from_url(f"{running}/api/openapi.json")
    schema.config.update(base_url=f"{running}/api/v1")
    visitors, judged = itertools.count(), set()

    def judge(case):
        number = next(visitors)
        headers = {"X-Forwarded-For": f"10.{number // 62500}.{number // 250 % 250}.{number % 250}"}
        response = case.call(headers=headers)
        if len(response.request.url) > LONGEST_LINE:
            return  # refused before the API sees it
        if mode == "positive" and response.status_code == 400 and UNSAYABLE.match(response.json()["detail"]):
            case.validate_response(response, excluded_checks=[accepted])
        else:
            case.validate_response(response)
        judged.add((case.operation.path, response.status_code))

    for found in schema.get_all_operations():
        operation = found.ok()
        if mode == "negative" and not tuple(operation.iter_parameters()):
            continue
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
        settings(
            max_examples=examples(8),
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
            database=None,
        )(given(case=cases)(judge))()
    asked = {path for path, _ in judged}
    assert asked == {one.path for one in OPERATIONS if mode == "positive" or one.parameters or "{" in one.path}
    assert mode == "negative" or {status for _, status in judged} >= {200, 404}


def test_the_examples_in_the_document_can_be_asked(running):
    said = httpx.get(f"{running}/api/openapi.json").json()
    for path, item in said["paths"].items():
        for parameter in item["get"]["parameters"]:
            example = parameter["example"]
            text = ",".join(example) if isinstance(example, list) else str(example)
            more = {"q": "viza"} if path == "/search" else {}
            place = path.replace("{number}", "1" if parameter["in"] == "query" else text)
            asked = {parameter["name"]: text} if parameter["in"] == "query" else {}
            answer = httpx.get(f"{running}/api/v1{place}", params=more | asked)
            assert answer.status_code == 200, (path, parameter["name"], answer.text)


def test_no_schema_forbids_the_members_that_may_be_added(running):
    said = httpx.get(f"{running}/api/openapi.json").json()
    closed = {name for name, schema in said["components"]["schemas"].items() if "False" in str(_more(schema))}
    assert closed == set()
    assert "Members may be added within version 1" in said["info"]["description"]


def _more(part):
    """Every `additionalProperties` in a schema."""
    if isinstance(part, dict):
        return [
            one for name, inner in part.items() for one in ([inner] if name == "additionalProperties" else _more(inner))
        ]
    return [one for inner in part for one in _more(inner)] if isinstance(part, list) else []
