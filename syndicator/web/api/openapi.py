"""The OpenAPI 3.1 document: made from the models that render the answers and the parameters that are read.

1. Topics, languages and addresses are this site's own, so that a generated client knows what there is to ask for.
2. Every answer that can come is named, errors too.
3. No schema closes its object: members may be added within version 1, and a generated client must pass over them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.web.api import models
from syndicator.web.api.parameters import CHANGES, RELEASES, SEARCH, Parameter
from syndicator.web.api.showing import BASE

__all__ = ["Operation", "document"]

REF = "#/components/schemas/{model}"
_JSON = "application/json"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One address, as it is described."""

    path: str
    name: str
    summary: str
    answer: type[BaseModel]
    parameters: tuple[Parameter, ...] = ()
    about: str = ""


OPERATIONS = (
    Operation("/", "getSite", "Who publishes, in which languages, and where the rest is.", models.Site),
    Operation(
        "/releases",
        "listReleases",
        "Releases that a filter takes, newest first.",
        models.Releases,
        RELEASES,
        "Walk the list with `next` until it is null. The walk holds while releases come and go.",
    ),
    Operation(
        "/releases/{number}",
        "getRelease",
        "One release with its texts in all languages.",
        models.WholeRelease,
        about="A withdrawn release answers 410 with its number, when and why, and nothing of its text.",
    ),
    Operation(
        "/changes",
        "listChanges",
        "What is new, corrected or withdrawn since a change number: keeps a copy in step.",
        models.Changes,
        CHANGES,
        "Begin with 0, follow `next` while `more` is true, then ask `next` again from time to time.",
    ),
    Operation("/topics", "listTopics", "All topics, as trees, with names, counts and feeds.", models.Topics),
    Operation(
        "/search",
        "search",
        "Releases that hold all of these words, with how many there are.",
        models.SearchResult,
        SEARCH,
    ),
)
_NUMBER: Mapping[str, Any] = {
    "name": "number",
    "in": "path",
    "required": True,
    "description": "The release's public number.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "example": 12,
}


def document(site: Site, taxonomy: Taxonomy) -> bytes:
    """The document for this site."""
    answers: list[type[BaseModel]] = [one.answer for one in OPERATIONS]
    answers += [models.Problem, models.WithdrawnProblem]
    _, schemas = models_json_schema([(one, "serialization") for one in answers], ref_template=REF)
    said = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": site.name(site.default_language),
            "version": "1",
            "summary": "Releases as JSON: read only, no key, any origin.",
            "description": "Every answer has an ETag: ask with If-None-Match. Members may be added within version 1: "
            f"pass over those you do not know. For people: {site.base_url}/api/",
        },
        "servers": [{"url": f"{site.base_url}{BASE}"}],
        "paths": {one.path: {"get": _operation(one, site, taxonomy)} for one in OPERATIONS},
        "components": {"schemas": _open(schemas["$defs"]), "responses": _problems(), "headers": _headers()},
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _open(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Our models refuse members that they do not have; readers of their answers must not."""
    return {
        name: {key: said for key, said in schema.items() if key != "additionalProperties"}
        for name, schema in schemas.items()
    }


def _operation(one: Operation, site: Site, taxonomy: Taxonomy) -> dict[str, Any]:
    known = {"lang": site.languages, "topic": taxonomy.slugs, "not": taxonomy.slugs}
    whole = "{number}" in one.path
    headers = ["ETag", "Cache-Control", *(["Link"] if one.parameters else [])]
    answers = {
        "200": {
            "description": "The answer.",
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
            "content": {_JSON: {"schema": {"$ref": REF.format(model=one.answer.__name__)}}},
        },
        "304": {"description": "Not modified: what the ETag in `If-None-Match` stands for still holds."},
        "400": {"$ref": "#/components/responses/BadRequest"},
        **({"404": {"$ref": "#/components/responses/NotFound"}} if whole else {}),
        "405": {"$ref": "#/components/responses/NotAllowed"},
        **({"410": {"$ref": "#/components/responses/Withdrawn"}} if whole else {}),
        "429": {"$ref": "#/components/responses/TooMany"},
        "500": {"$ref": "#/components/responses/Failed"},
    }
    return {
        "operationId": one.name,
        "summary": one.summary,
        **({"description": one.about} if one.about else {}),
        "parameters": [*([_NUMBER] if whole else []), *(_parameter(p, known) for p in one.parameters)],
        "responses": answers,
    }


def _parameter(one: Parameter, known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    schema = dict(one.schema)
    example = one.example
    if one.name in known:
        allowed = list(known[one.name])
        schema["items"] = {"type": "string", **({"enum": allowed} if allowed else {})}
        example = allowed[:1] or example
    return {
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.about,
        "schema": schema,
        "example": example,
        **({"style": "form", "explode": False} if one.listed else {}),
    }


def _problems() -> dict[str, Any]:
    def said(text: str, model: str = "Problem", **headers: str) -> dict[str, Any]:
        content = {_PROBLEM: {"schema": {"$ref": REF.format(model=model)}}}
        names = {name.replace("_", "-"): {"$ref": f"#/components/headers/{name}"} for name in headers}
        return {"description": text, **({"headers": names} if names else {}), "content": content}

    return {
        "BadRequest": said("A parameter that cannot be used; `detail` says which and what is allowed."),
        "NotFound": said("There is no such release that may be shown."),
        "NotAllowed": said("The API is read only.", Allow=""),
        "Withdrawn": said("The release was withdrawn: take down your copy.", "WithdrawnProblem"),
        "TooMany": said("Too many questions in a short time.", Retry_After=""),
        "Failed": said("A fault on our side."),
    }


def _headers() -> dict[str, Any]:
    def said(text: str, kind: str = "string") -> dict[str, Any]:
        return {"description": text, "schema": {"type": kind}}

    return {
        "ETag": said("A validator for `If-None-Match`."),
        "Cache-Control": said("How long this may be kept."),
        "Link": said('`rel="next"`: where the list goes on, where it does.'),
        "Allow": said("The methods that are allowed."),
        "Retry_After": said("Seconds to wait.", "integer"),
    }
