"""What went wrong, said to programs: `application/problem+json` (RFC 9457).

Rules, in order:

1. `detail` is one line: what was wrong, where, what is allowed.
2. A release that may not be seen and one that never was get the same bytes: nothing depends on what was asked for.
3. Scripts of any site may read a problem; nobody may keep it for long.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import hdrs, web

from syndicator.web.api.models import Problem
from syndicator.web.errors import error_page
from syndicator.web.parts import PARTS

__all__ = ["HEADERS", "PREFIX", "Refused", "error_answer", "is_api", "kind_url", "problem", "problem_of", "refusal"]

PREFIX = "/api"
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Link, Retry-After",
    "X-Content-Type-Options": "nosniff",
}
CONTENT_TYPE = "application/problem+json"

_SAID = {
    404: "There is nothing at this address; /api/openapi.json lists every address of this API.",
    405: "This API is read only; allowed are GET, HEAD and OPTIONS.",
    413: "The request is larger than this API takes; it reads no bodies.",
    500: "Something went wrong on our side and has been recorded; try again in a few minutes.",
    503: "The database is away for a moment; try again in a minute.",
}


class Refused(Exception):
    """A request that cannot be answered: 400 with one line; `parameter` names the one to blame."""

    def __init__(self, line: str, parameter: str | None = None, kind: str = "") -> None:
        super().__init__(line)
        self.parameter = parameter
        self.kind = kind


def is_api(path: str) -> bool:
    """Whether a program asks there, so that what goes wrong is said as JSON."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def kind_url(request: web.Request, kind: str) -> str:
    """The address that explains a kind of problem."""
    return f"{request.app[PARTS].site.base_url}{PREFIX}/#{kind}"


def problem(said: Problem, headers: dict[str, str] | None = None) -> web.Response:
    """The answer."""
    kept = {hdrs.CACHE_CONTROL: "no-store" if said.status >= 429 else "no-cache"} | HEADERS | (headers or {})
    body = said.model_dump_json().encode()
    return web.Response(status=said.status, body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE} | kept)


def problem_of(status: int, detail: str = "", **more: str) -> web.Response:
    """The answer for a status that needs no words of its own; `more` are headers."""
    detail = detail or _SAID.get(status) or _SAID[500 if status >= 500 else 404]
    said = Problem(type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail)
    return problem(said, {name.replace("_", "-"): value for name, value in more.items()})


def error_answer(request: web.Request, status: int) -> web.Response:
    """What a visitor of that address gets for a status that was raised: a page, or a problem for a program."""
    return problem_of(status) if is_api(request.path) else error_page(request, status)


def refusal(request: web.Request, error: Refused) -> web.Response:
    """400 for a parameter that cannot be used."""
    kind = kind_url(request, error.kind) if error.kind else "about:blank"
    title = HTTPStatus.BAD_REQUEST.phrase
    return problem(Problem(type=kind, title=title, status=400, detail=str(error), parameter=error.parameter))
