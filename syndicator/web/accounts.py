"""The pages behind the links in our mails: confirm, manage, unsubscribe. In the subscriber's own language.

Rules, in order:

1. GET and HEAD change nothing, whoever follows the link: mail scanners do.
2. The token in the address is the authority. A forged or expired one gets a page that says how to start again.
3. One-click unsubscribe (RFC 8058): a POST with `List-Unsubscribe=One-Click` ends everything; no cookie, no other
   field, from anywhere, as often as it comes.
4. The manage page's forms carry a token of their own and must come from our page; after each, the page is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from syndicator.domain.filters import BadFilter, parse
from syndicator.domain.folding import unescape
from syndicator.domain.model import OtherLanguage, SubscriptionState
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.pipeline.subscribing import Account
from syndicator.store.subscriptions import Consent, Subscription
from syndicator.web.errors import error_page
from syndicator.web.forms import Form, form_token, is_for, read_form, refuse_foreign
from syndicator.web.parts import PARTS, Parts
from syndicator.web.refusals import refusal
from syndicator.web.rendering import NO_STORE, negotiated, page
from syndicator.web.subscribe import chosen_filter
from syndicator.web.views import topic_tree
from syndicator.wording import filter_in_words, stored_in_words

__all__ = ["ask_confirm", "ask_unsubscribe", "change", "confirm", "manage", "unsubscribe"]

_ = str  # marks a text for the catalogues

_DONE: Mapping[str, str] = {
    "changed": _("The subscription was changed."),
    "ended": _("The subscription has ended."),
    "reading": _("Your settings were saved."),
    "resumed": _("Sending goes on from now."),
    "nothing": _("Nothing was changed."),
}
CONSENT = _("I changed my subscription on the page for managing it.")


# -- confirm
async def ask_confirm(request: web.Request) -> web.Response:
    """GET /confirm/{token}: what will be confirmed, and a button."""
    parts = request.app[PARTS]
    found = await parts.subscribing.preview(request.match_info["token"], parts.clock())
    if found is None or found[1].state is SubscriptionState.ENDED:
        return _no_longer(request, 410)
    account, subscription = found
    done = subscription.state is SubscriptionState.ACTIVE and not account.subscriber.is_paused
    return _confirming(request, account, subscription, done=done)


async def confirm(request: web.Request) -> web.Response:
    """POST /confirm/{token}: the opt-in holds from now on."""
    parts = request.app[PARTS]
    refuse_foreign(request, opaque_allowed=True)
    found = await parts.subscribing.confirm(request.match_info["token"], parts.clock())
    if found is None:
        return _no_longer(request, 410)
    return _confirming(request, *found, done=True)


def _confirming(request: web.Request, account: Account, subscription: Subscription, *, done: bool) -> web.Response:
    parts, lang = request.app[PARTS], _language(request, account)
    return page(
        request,
        "confirm.html",
        lang,
        private=True,
        done=done,
        what=stored_in_words(subscription.filter, parts.taxonomy, parts.texts(lang)),
        address=account.subscriber.address,
        manage=f"/manage/{account.manage_token}",
    )


# -- unsubscribe
async def ask_unsubscribe(request: web.Request) -> web.Response:
    """GET /unsubscribe/{token}: a button."""
    account = await _account(request, "unsubscribe")
    return _no_longer(request, 404) if account is None else _leaving(request, account, done=not account.subscriptions)


async def unsubscribe(request: web.Request) -> web.Response:
    """POST /unsubscribe/{token}: by the mail program's button (RFC 8058) or the page's; ends everything."""
    parts = request.app[PARTS]
    account = await _account(request, "unsubscribe")
    if account is None:
        return _no_longer(request, 404)
    form = await read_form(request)
    if form["List-Unsubscribe"].lower() != "one-click":
        return error_page(
            request, 400, detail="List-Unsubscribe: One-Click is allowed", lang=_language(request, account)
        )
    await parts.subscribing.end_all(account, reason="unsubscribed", now=parts.clock())
    return _leaving(request, account, done=True)


def _leaving(request: web.Request, account: Account, *, done: bool) -> web.Response:
    return page(
        request,
        "unsubscribe.html",
        _language(request, account),
        private=True,
        done=done,
        address=account.subscriber.address,
        manage=f"/manage/{account.manage_token}",
    )


# -- manage
async def manage(request: web.Request) -> web.Response:
    """GET /manage/{token}: every live subscription in words, and what can be changed."""
    account = await _account(request, "manage")
    return _no_longer(request, 404) if account is None else _managing(request, account)


async def change(request: web.Request) -> web.Response:
    """POST /manage/{token}: one change, named by the button that was pressed; then the page anew (303)."""
    parts = request.app[PARTS]
    refuse_foreign(request, opaque_allowed=True)
    account = await _account(request, "manage")
    if account is None:
        return _no_longer(request, 404)
    form = await read_form(request)
    if not is_for(parts.tokens, form["form"], account.subscriber.id, parts.clock()):
        raise web.HTTPForbidden
    try:
        done = await _act(parts, account, form, _language(request, account))
    except BadFilter as error:
        wrong = refusal(error, parts.texts(_language(request, account)))
        return _managing(request, account, wrong=wrong, at=form["subscription"])
    return web.Response(status=303, headers={"Location": f"{request.path}?done={done}", "Cache-Control": NO_STORE})


async def _act(parts: Parts, account: Account, form: Form, lang: str) -> str:
    """Do what a form of the manage page asks; says what was done.

    Raises:
        BadFilter: the words or topics cannot be used.
    """
    now = parts.clock()
    theirs = {str(subscription.id): subscription for subscription in account.subscriptions}
    chosen = theirs.get(form["subscription"])
    match form["action"]:
        case "change" if chosen is not None and chosen.state is SubscriptionState.ACTIVE:
            wanted = chosen_filter(form, parts)
            t = parts.texts(lang)
            text = f"{t(CONSENT)} {filter_in_words(wanted, parts.taxonomy, t)}"
            await parts.subscribing.change(
                account, chosen.id, filter_=wanted, consent=Consent(now, "web:/manage", text), now=now
            )
            return "changed"
        case "end" if chosen is not None:
            await parts.subscribing.end(account, chosen.id, reason="unsubscribed", now=now)
            return "ended"
        case "resume":
            await parts.subscribing.resume(account, now=now)
            return "resumed"
        case "end-all":
            await parts.subscribing.end_all(account, reason="unsubscribed", now=now)
            return "ended"
        case "reading" if form["language"] in parts.site.languages and form["other"] in list(OtherLanguage):
            await parts.subscribing.set_reading(
                account, language=form["language"], other_language=OtherLanguage(form["other"])
            )
            return "reading"
    return "nothing"


def _managing(request: web.Request, account: Account, *, wrong: str = "", at: str = "") -> web.Response:
    parts, lang = request.app[PARTS], _language(request, account)
    t = parts.texts(lang)
    return page(
        request,
        "manage.html",
        lang,
        status=422 if wrong else 200,
        private=True,
        account=account,
        subscriptions=[_row(s, parts.taxonomy, t) for s in account.subscriptions],
        topics=topic_tree(parts.taxonomy, t),
        choices=[(code, parts.texts(code).language_name) for code in parts.site.languages],
        form=form_token(parts.tokens, account.subscriber.id, parts.clock()),
        done=t(_DONE[said]) if (said := request.query.get("done", "")) in _DONE and not wrong else "",
        wrong=wrong,
        at=at,
    )


def _row(subscription: Subscription, taxonomy: Taxonomy, t: Translator) -> Mapping[str, object]:
    try:
        wanted = parse(subscription.filter)
    except BadFilter:  # of an older version: shown as it stands, and can be ended
        wanted = None
    return {
        "id": str(subscription.id),
        "words": stored_in_words(subscription.filter, taxonomy, t),
        "pending": subscription.state is SubscriptionState.PENDING,
        "filter": wanted,
        "q": " ".join(unescape(word) for word in wanted.words) if wanted else "",
        "since": subscription.confirmed_at or subscription.created_at,
    }


# -- all of them
async def _account(request: web.Request, purpose: str) -> Account | None:
    parts = request.app[PARTS]
    return await parts.subscribing.account(purpose, request.match_info["token"], parts.clock())


def _language(request: web.Request, account: Account) -> str:
    lang = account.subscriber.language
    return lang if lang in request.app[PARTS].site.languages else negotiated(request)


def _no_longer(request: web.Request, status: int) -> web.Response:
    """The link opens nothing: how to start again."""
    lang = negotiated(request)
    return page(request, "no_longer.html", lang, status=status, private=True, subscribe=f"/{lang}/subscribe")
