"""What is held about a subscriber, for themselves: what we sent them and why, all of it as a file, and erasing it.

Rules, in order:

1. The manage token opens it, and nobody else's rows are in it (`pipeline.personal`).
2. GET shows and downloads, and changes nothing; only the button on the page erases, and says before what stays.
3. An erased person's links open nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from syndicator.domain.model import DeliveryState, MessageKind
from syndicator.i18n import Translator
from syndicator.pipeline.personal import Because, Personal
from syndicator.pipeline.subscribing import Account
from syndicator.web.accounts import behind, no_longer, own_form, private_page, reading_language
from syndicator.web.forms import form_token
from syndicator.web.parts import PARTS
from syndicator.web.rendering import NO_STORE
from syndicator.wording import stored_in_words

__all__ = ["ask_erase", "data", "erase", "sent"]

SHOWN = 30

_ = str  # marks a text for the catalogues

_KINDS: Mapping[MessageKind, str] = {
    MessageKind.RELEASE: _("A release"),
    MessageKind.CORRECTION: _("A correction of what you had been sent before"),
    MessageKind.WITHDRAWAL: _("The withdrawal of what you had been sent before"),
    MessageKind.DIGEST: _("A letter with several releases"),
    MessageKind.CONFIRMATION: _("The question whether the subscription is yours"),
    MessageKind.WELCOME: _("The welcome after you had confirmed"),
    MessageKind.ADDRESS: _("The question whether a new address is yours"),
    MessageKind.MOVED: _("The word that your address has changed"),
}
_STATES: Mapping[DeliveryState, str] = {
    DeliveryState.DUE: _("is on its way"),
    DeliveryState.SENDING: _("is on its way"),
    DeliveryState.DEFERRED: _("waits, and is tried again"),
    DeliveryState.SENT: _("was sent"),
    DeliveryState.UNKNOWN: _("was sent, but nobody confirmed its arrival"),
    DeliveryState.FAILED: _("could not be delivered"),
    DeliveryState.SUPPRESSED: _("was not sent"),
}


def _personal(request: web.Request) -> Personal:
    parts = request.app[PARTS]
    return Personal(parts.database, site=parts.site, taxonomy=parts.taxonomy, tokens=parts.tokens)


@behind("manage")
async def sent(request: web.Request, account: Account) -> web.Response:
    """GET /manage/{token}/sent: the newest messages, what each told of, what became of it, and what brought it."""
    parts = request.app[PARTS]
    t = parts.texts(reading_language(request, account))
    told = await _personal(request).latest(account.subscriber.id, SHOWN, parts.clock())
    return private_page(request, "sent.html", account, rows=[_row(one, request, t) for one in told], most=SHOWN)


def _row(because: Because, request: web.Request, t: Translator) -> Mapping[str, object]:
    told, taxonomy = because.told, request.app[PARTS].taxonomy
    return {
        "kind": t(_KINDS[told.kind]) if told.kind in _KINDS else told.kind.value,
        "state": t(_STATES[told.state]),
        "at": told.settled_at or told.created_at,
        "about": because.about,
        "because": [stored_in_words(one.filter, taxonomy, t) for one in because.subscriptions],
    }


@behind("manage")
async def data(request: web.Request, account: Account) -> web.Response:
    """GET /manage/{token}/data.json: all that is held about them, as a file."""
    parts = request.app[PARTS]
    t = parts.texts(reading_language(request, account))
    held = await _personal(request).data(account.subscriber.id, t, parts.clock())
    if held is None:
        return no_longer(request, 404)
    headers = {
        "Cache-Control": NO_STORE,
        "Content-Disposition": 'attachment; filename="data.json"',
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
    }
    text = json.dumps(held, ensure_ascii=False, indent=1) + "\n"
    return web.Response(text=text, content_type="application/json", headers=headers)


@behind("manage")
async def ask_erase(request: web.Request, account: Account) -> web.Response:
    """GET /manage/{token}/erase: what goes, what stays, and a button."""
    parts = request.app[PARTS]
    form = form_token(parts.tokens, account.subscriber.id, parts.clock())
    return private_page(request, "erase.html", account, form=form, done=False)


@behind("manage")
async def erase(request: web.Request, account: Account) -> web.Response:
    """POST /manage/{token}/erase: they are nobody from now on."""
    await own_form(request, account)
    await _personal(request).erase(account.subscriber, request.app[PARTS].clock())
    return private_page(request, "erase.html", account, form="", done=True)
