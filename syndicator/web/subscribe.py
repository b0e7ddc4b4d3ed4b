"""Signing up by email.

Rules, in order:

1. GET shows the form, filled from the address; it changes nothing.
2. POST answers the same page for every address, and before anybody looks whose it is (`pipeline.applying`); whether it
   is known is said only in the mail.
3. The words that are agreed to stand beside the button, and exactly they are kept as the consent.
4. What is wrong with the form is said beside the field, and nothing typed is lost.
5. A robot (honeypot) is told what everybody is told. Too many asks get the filled form back, with the time to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from aiohttp import web

from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.model import Cadence
from syndicator.i18n import Translator
from syndicator.pipeline.subscribing import BadAddress
from syndicator.store.subscriptions import Consent
from syndicator.web.asked import asked_filter
from syndicator.web.choices import cadence_of, cadences
from syndicator.web.errors import TOO_MANY, error_page
from syndicator.web.forms import HONEYPOT, Form, made_in_time, read_form, refuse_foreign, timed_token
from syndicator.web.limits import Limits
from syndicator.web.pages import query_filter
from syndicator.web.parts import PARTS, Parts
from syndicator.web.refusals import refusal
from syndicator.web.rendering import NO_STORE, page
from syndicator.web.telegram_links import telegram_link
from syndicator.web.turns import PROXIES
from syndicator.web.views import topic_tree
from syndicator.web.visitors import network, visitor
from syndicator.wording import link_works_for

__all__ = ["LIMITS", "PROXIES", "chosen_filter", "consent_text", "form_page", "network_of", "sign_up", "take_turn"]

LIMITS = web.AppKey("limits", Limits)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form."""

    wanted: Filter
    email: str = ""
    words: str = ""
    language: str = ""
    cadence: Cadence = Cadence.IMMEDIATE
    text_only: bool = False


def consent_text(t: Translator, office: str) -> str:
    """The words somebody agrees to; shown beside the button and kept word for word."""
    return t(
        "By pressing “Subscribe” I agree that {office} keeps my email address and sends me its releases on the chosen "
        "topics until I unsubscribe, which I can do at any time with one click.",
        office=office,
    )


async def form_page(request: web.Request) -> web.Response:
    """GET /{lang}/subscribe."""
    lang = request.match_info["lang"]
    try:
        wanted = query_filter(request)
    except BadFilter as error:
        return error_page(request, 400, detail=refusal(error, request.app[PARTS].texts(lang)))
    asked = request.query.get("language", "")
    first = asked if asked in request.app[PARTS].site.languages else lang
    language = wanted.langs[0] if wanted.langs else first
    words = " ".join(request.query.getall("q", ()))
    cadence = cadence_of(request.query.get("cadence", "")) or Cadence.IMMEDIATE
    return _form(request, Filled(wanted, words=words, language=language, cadence=cadence), {})


async def sign_up(request: web.Request) -> web.Response:
    """POST /{lang}/subscribe."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    refuse_foreign(request)
    form, now = await read_form(request), parts.clock()
    if form[HONEYPOT]:
        log.info("sign-up by a robot")
        return _sent(request)
    filled, errors = _check(form, parts, lang, now)
    if errors:
        return _form(request, filled, errors, status=422)
    wait, busy = await take_turn(request, now)
    if wait:
        response = _form(request, filled, {"form": parts.texts(lang)(TOO_MANY)}, status=429)
        response.headers["Retry-After"] = str(wait)
        return response
    text = consent_text(parts.texts(lang), parts.site.name(lang))
    await parts.subscribing.apply(
        filled.email,
        filter_=filled.wanted,
        language=filled.language,
        cadence=filled.cadence,
        text_only=filled.text_only,
        consent=Consent(now, f"web:{request.path}", text),
        busy=busy,
        network=network_of(request),
    )
    return _sent(request)


async def take_turn(request: web.Request, now: datetime) -> tuple[int, bool]:
    """Take a visitor's turn to have a letter sent: the seconds to wait if there is none, and whether many do so now.

    Raises:
        DatabaseTrouble: turns are kept in the database, and it fails.
    """
    shared = request.app[PARTS].limits
    if shared is not None:
        wait, busy = await shared.take(_visitor(request))
    else:
        wait = request.app[LIMITS].take(_visitor(request), now)
        busy = not wait and request.app[LIMITS].busy(now)
    if busy:
        log.warning("many sign-ups: an address that had its letter today gets no second one")
    return wait, busy


def network_of(request: web.Request) -> str:
    """Where a visitor comes from: each network has a share of the letters to one mail domain."""
    return network(_visitor(request))


def _visitor(request: web.Request) -> str:
    return visitor(request.remote or "", request.headers.getall("X-Forwarded-For", ()), request.app[PROXIES])


def _check(form: Form, parts: Parts, lang: str, now: datetime) -> tuple[Filled, dict[str, str]]:
    """What was filled in, and what is wrong with it, by field."""
    t, errors = parts.texts(lang), {}
    email, wanted = form["email"], Filter()
    try:
        email = parts.subscribing.check_address(email)
    except BadAddress:
        errors["email"] = t("Please give a whole email address, such as name@example.org.")
    try:
        wanted = chosen_filter(form, parts)
    except BadFilter as error:
        errors["words"] = refusal(error, t)
    language = form["language"] or lang
    if language not in parts.site.languages:
        errors["language"] = t("Please choose one of the languages.")
        language = lang
    cadence = cadence_of(form["cadence"] or Cadence.IMMEDIATE)
    if cadence is None:
        errors["cadence"] = t("Please choose how often you want to hear from us.")
    if not made_in_time(parts.tokens, form["made"], now):
        errors["form"] = t("The form was sent too quickly or was open for too long. Please press the button once more.")
    text_only = form["text_only"] == "yes"
    return Filled(wanted, email, form["q"], language, cadence or Cadence.IMMEDIATE, text_only), errors


def chosen_filter(form: Form, parts: Parts) -> Filter:
    """The filter that a form's boxes and words make.

    Raises:
        BadFilter: the words or topics cannot be used.
    """
    fields = [(name, value) for name in ("lang", "topic", "not", "kind", "q") for value in form.all(name)]
    return asked_filter(fields, parts.taxonomy)


def _form(request: web.Request, filled: Filled, errors: Mapping[str, str], status: int = 200) -> web.Response:
    parts, lang = request.app[PARTS], request.match_info["lang"]
    t = parts.texts(lang)
    return page(
        request,
        "subscribe.html",
        lang,
        status=status,
        cache=NO_STORE,
        paths={code: f"/{code}/subscribe" for code in parts.site.languages},
        filled=filled,
        errors=errors,
        topics=topic_tree(parts.taxonomy, t),
        cadences=cadences(t),
        choices=[(code, parts.texts(code).language_name) for code in parts.site.languages],
        honeypot=HONEYPOT,
        made=timed_token(parts.tokens, parts.clock()),
        consent=consent_text(t, parts.site.name(lang)),
        telegram=telegram_link(parts, lang, filled.wanted),
    )


def _sent(request: web.Request) -> web.Response:
    parts, lang = request.app[PARTS], request.match_info["lang"]
    works_for = link_works_for(parts.confirm_for, parts.texts(lang))
    return page(request, "check_mail.html", lang, cache=NO_STORE, works_for=works_for)
