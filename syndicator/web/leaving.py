"""Unsubscribing: one subscription or all, by a button here or by the mail program's own.

Rules, in order:

1. One-click unsubscribe (RFC 8058): a POST with `List-Unsubscribe=One-Click` ends everything; no cookie, no other
   field, from anywhere, as often as it comes.
2. A POST that names one subscription (`only`) ends that one; it must come from our page.
3. Who has left is shown the way back: signing up anew, with what they had filled in, and with a new opt-in.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web

from syndicator.domain.folding import unescape
from syndicator.pipeline.subscribing import Account
from syndicator.store.subscriptions import Subscription
from syndicator.web.accounts import behind, filter_of, private_page, reading_language
from syndicator.web.choices import CADENCES
from syndicator.web.errors import error_page
from syndicator.web.forms import read_form, refuse_foreign
from syndicator.web.parts import PARTS
from syndicator.wording import stored_in_words

__all__ = ["ask_unsubscribe", "unsubscribe", "way_back"]


@behind("unsubscribe")
async def ask_unsubscribe(request: web.Request, account: Account) -> web.Response:
    """GET /unsubscribe/{token}: what can be ended, each with a button."""
    return _leaving(request, account)


@behind("unsubscribe")
async def unsubscribe(request: web.Request, account: Account) -> web.Response:
    """POST /unsubscribe/{token}: by the mail program's button (RFC 8058) or the page's."""
    parts = request.app[PARTS]
    form, now = await read_form(request), parts.clock()
    if form["List-Unsubscribe"].lower() == "one-click":
        left = await parts.subscribing.end_all(account, reason="unsubscribed", now=now)
        return _leaving(request, left, ended=account.subscriptions)
    chosen = [one for one in account.subscriptions if str(one.id) == form["only"]]
    if not form["only"]:
        lang = reading_language(request, account)
        return error_page(request, 400, detail="List-Unsubscribe: One-Click is allowed", lang=lang)
    refuse_foreign(request, opaque_allowed=True)
    for one in chosen:
        account = await parts.subscribing.end(account, one.id, reason="unsubscribed", now=now)
    return _leaving(request, account, ended=chosen)


def _leaving(request: web.Request, account: Account, *, ended: Sequence[Subscription] = ()) -> web.Response:
    parts, lang = request.app[PARTS], reading_language(request, account)
    t = parts.texts(lang)
    return private_page(
        request,
        "unsubscribe.html",
        account,
        address=account.subscriber.address,
        ended=[stored_in_words(one.filter, parts.taxonomy, t) for one in ended],
        left=[
            (str(one.id), stored_in_words(one.filter, parts.taxonomy, t), t(CADENCES[one.cadence]))
            for one in account.subscriptions
        ],
        again=way_back(lang, ended),
    )


def way_back(lang: str, ended: Sequence[Subscription]) -> str:
    """Where to sign up anew, filled in as the newest of those that ended was."""
    one = ended[-1] if ended else None
    wanted = None if one is None else filter_of(one.filter)
    if one is None or wanted is None:
        return f"/{lang}/subscribe"
    chosen = {
        "lang": ",".join(wanted.langs),
        "topic": ",".join(wanted.topics),
        "not": ",".join(wanted.without),
        "kind": ",".join(wanted.kinds),
        "q": " ".join(unescape(word) for word in wanted.words),
        "cadence": one.cadence.value,
    }
    query = {name: value for name, value in chosen.items() if value and (name, value) != ("cadence", "immediate")}
    return f"/{lang}/subscribe?{urlencode(query)}" if query else f"/{lang}/subscribe"
