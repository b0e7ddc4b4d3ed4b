"""The manage page: every live subscription in words, and all that its reader can change without a password.

Rules, in order:

1. A form does one thing, named by the button that was pressed; then the page is read anew (303), and says what was
   done.
2. What is wrong with a form is said beside its field, and nothing typed is lost.
3. Another address is only asked here (`confirming` moves); what is answered is the same whoever has it, within the
   limits of signing up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from syndicator.domain.filters import BadFilter
from syndicator.domain.folding import unescape
from syndicator.domain.model import OtherLanguage, SubscriptionState
from syndicator.i18n import Translator
from syndicator.pipeline.subscribing import Account, BadAddress
from syndicator.store.subscriptions import Consent, Subscription
from syndicator.web.accounts import behind, filter_of, own_form, private_page, reading_language
from syndicator.web.choices import CADENCES, cadence_of, cadences, pause_until, zone_of, zones
from syndicator.web.errors import TOO_MANY
from syndicator.web.forms import Form, form_token
from syndicator.web.parts import PARTS, Parts
from syndicator.web.refusals import refusal
from syndicator.web.rendering import NO_STORE
from syndicator.web.subscribe import chosen_filter, network_of, take_turn
from syndicator.web.views import topic_tree
from syndicator.wording import filter_in_words, stored_in_words

__all__ = ["change", "manage"]

_ = str  # marks a text for the catalogues

_DONE: Mapping[str, str] = {
    "changed": _("The subscription was changed."),
    "ended": _("The subscription has ended."),
    "reading": _("Your settings were saved."),
    "paused": _("Sending is paused."),
    "resumed": _("Sending goes on from now."),
    "asked": _(
        "We have sent a letter to the new address. Open the link in it and press the button there: only then does "
        "anything change."
    ),
    "nothing": _("Nothing was changed."),
}
CONSENT = _("I changed my subscription on the page for managing it.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came in with a form."""

    request: web.Request
    parts: Parts
    account: Account
    form: Form
    now: datetime

    @property
    def t(self) -> Translator:
        return self.parts.texts(reading_language(self.request, self.account))

    @property
    def chosen(self) -> Subscription | None:
        """The subscription that the form is about, if it is theirs."""
        return next((one for one in self.account.subscriptions if str(one.id) == self.form["subscription"]), None)


class _Wrong(Exception):
    """What is wrong, by the id of the field; and the seconds to wait, where it is only too soon."""

    def __init__(self, errors: Mapping[str, str], wait: int = 0) -> None:
        super().__init__(*errors.values())
        self.errors = errors
        self.wait = wait

    @property
    def status(self) -> int:
        return 429 if self.wait else 422


@behind("manage")
async def manage(request: web.Request, account: Account) -> web.Response:
    """GET /manage/{token}: every live subscription in words, and what can be changed."""
    return _managing(request, account)


@behind("manage")
async def change(request: web.Request, account: Account) -> web.Response:
    """POST /manage/{token}: one change, named by the button that was pressed; then the page anew (303)."""
    parts = request.app[PARTS]
    form = await own_form(request, account)
    asked = _Asked(request, parts, account, form, parts.clock())
    act = _ACTIONS.get(form["action"])
    try:
        done = "nothing" if act is None else await act(asked)
    except _Wrong as wrong:
        response = _managing(request, account, wrong=wrong, typed=form)
        if wrong.wait:
            response.headers["Retry-After"] = str(wrong.wait)
        return response
    return web.Response(status=303, headers={"Location": f"{request.path}?done={done}", "Cache-Control": NO_STORE})


# -- what can be done; each says what was done
async def _change(asked: _Asked) -> str:
    chosen, cadence = asked.chosen, cadence_of(asked.form["cadence"]) if asked.form["cadence"] else None
    if chosen is None or chosen.state is not SubscriptionState.ACTIVE:
        return "nothing"
    try:
        wanted = chosen_filter(asked.form, asked.parts)
    except BadFilter as error:
        raise _Wrong({f"q{chosen.id}": refusal(error, asked.t)}) from error
    words = filter_in_words(wanted, asked.parts.taxonomy, asked.t)
    often = asked.t(CADENCES[cadence or chosen.cadence])
    consent = Consent(asked.now, "web:/manage", f"{asked.t(CONSENT)} {words}. {often}.")
    await asked.parts.subscribing.change(
        asked.account, chosen.id, filter_=wanted, cadence=cadence, consent=consent, now=asked.now
    )
    return "changed"


async def _end(asked: _Asked) -> str:
    if asked.chosen is None:
        return "nothing"
    await asked.parts.subscribing.end(asked.account, asked.chosen.id, reason="unsubscribed", now=asked.now)
    return "ended"


async def _end_all(asked: _Asked) -> str:
    await asked.parts.subscribing.end_all(asked.account, reason="unsubscribed", now=asked.now)
    return "ended"


async def _read(asked: _Asked) -> str:
    form, languages = asked.form, asked.parts.site.languages
    if form["language"] not in languages or form["other"] not in list(OtherLanguage):
        return "nothing"
    held = asked.account.subscriber.timezone
    offered = {name for name, _ in zones(asked.parts.site.timezone, held, asked.t, asked.now)}
    zone = form["timezone"]
    await asked.parts.subscribing.set_reading(
        asked.account,
        language=form["language"],
        other_language=OtherLanguage(form["other"]),
        text_only=form["text_only"] == "yes",
        timezone=zone if zone in offered and zone != held else None,
        now=asked.now,
    )
    return "reading"


async def _pause(asked: _Asked) -> str:
    zone = zone_of(asked.account.subscriber.timezone, asked.parts.site.zone)
    try:
        until = pause_until(asked.form["span"], asked.form["until"], zone, asked.now)
    except ValueError as error:
        said = asked.t("Please choose a day from tomorrow on, within two years.")
        raise _Wrong({"until": said}) from error
    await asked.parts.subscribing.rest(asked.account, until, now=asked.now)
    return "paused"


async def _resume(asked: _Asked) -> str:
    await asked.parts.subscribing.resume(asked.account, now=asked.now)
    return "resumed"


async def _ask_address(asked: _Asked) -> str:
    try:
        address = asked.parts.subscribing.check_address(asked.form["email"])
    except BadAddress as error:
        said = asked.t("Please give a whole email address, such as name@example.org.")
        raise _Wrong({"email": said}) from error
    if address == asked.account.subscriber.address:
        raise _Wrong({"email": asked.t("This is the address that you have now.")})
    wait, busy = await take_turn(asked.request, asked.now)
    if wait:
        raise _Wrong({"email": asked.t(TOO_MANY)}, wait)
    network = network_of(asked.request)
    await asked.parts.subscribing.apply_to_move(asked.account, address, now=asked.now, busy=busy, network=network)
    return "asked"


_ACTIONS: Mapping[str, Callable[[_Asked], Awaitable[str]]] = {
    "change": _change,
    "end": _end,
    "end-all": _end_all,
    "reading": _read,
    "pause": _pause,
    "resume": _resume,
    "address": _ask_address,
}


# -- the page
def _managing(
    request: web.Request, account: Account, *, wrong: _Wrong | None = None, typed: Form | None = None
) -> web.Response:
    parts, lang, now = request.app[PARTS], reading_language(request, account), request.app[PARTS].clock()
    t, said = parts.texts(lang), request.query.get("done", "")
    held = account.subscriber.timezone
    return private_page(
        request,
        "manage.html",
        account,
        status=wrong.status if wrong else 200,
        subscriptions=[_row(one, parts, t, typed) for one in account.subscriptions],
        topics=topic_tree(parts.taxonomy, t),
        cadences=cadences(t),
        choices=[(code, parts.texts(code).language_name) for code in parts.site.languages],
        zones=zones(parts.site.timezone, held, t, now),
        today=now.astimezone(zone_of(held, parts.site.zone)).date(),
        form=form_token(parts.tokens, account.subscriber.id, now),
        done=t(_DONE[said]) if said in _DONE and wrong is None else "",
        errors=wrong.errors if wrong else {},
        typed=typed,
    )


def _row(subscription: Subscription, parts: Parts, t: Translator, typed: Form | None) -> Mapping[str, object]:
    """A subscription as the page shows it; where its own form came back, as it was filled in."""
    number, wanted = str(subscription.id), filter_of(subscription.filter)
    mine = typed if typed is not None and (typed["action"], typed["subscription"]) == ("change", number) else None
    held = " ".join(unescape(word) for word in wanted.words) if wanted else ""
    return {
        "id": number,
        "words": stored_in_words(subscription.filter, parts.taxonomy, t),
        "pending": subscription.state is SubscriptionState.PENDING,
        "filter": wanted,
        "topics": mine.all("topic") if mine else wanted.topics if wanted else (),
        "q": mine["q"] if mine else held,
        "cadence": mine["cadence"] if mine else subscription.cadence.value,
        "often": t(CADENCES[subscription.cadence]),
        "is_open": mine is not None,
        "since": subscription.confirmed_at or subscription.created_at,
    }
