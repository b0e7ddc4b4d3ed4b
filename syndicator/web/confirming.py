"""Two questions that mails ask: is this subscription yours, and is this address yours. GET shows, POST says yes.

Rules, in order:

1. The token is the authority, for as long as the link works; pressing twice is the same.
2. What a new address is asked does not name the subscriptions of whoever asked: it may be a stranger's by mistake.
"""

from __future__ import annotations

from aiohttp import web

from syndicator.domain.model import SubscriptionState
from syndicator.pipeline.relocating import Wish
from syndicator.pipeline.subscribing import Account
from syndicator.store.subscriptions import Subscription
from syndicator.web.accounts import no_longer, private_page, reading_language
from syndicator.web.choices import CADENCES
from syndicator.web.forms import refuse_foreign
from syndicator.web.parts import PARTS
from syndicator.wording import stored_in_words

__all__ = ["ask_address", "ask_confirm", "confirm", "move"]


async def ask_confirm(request: web.Request) -> web.Response:
    """GET /confirm/{token}: what will be confirmed, and a button."""
    parts = request.app[PARTS]
    found = await parts.subscribing.preview(request.match_info["token"], parts.clock())
    if found is None:
        return no_longer(request, 410)
    account, subscription = found
    done = subscription.state is SubscriptionState.ACTIVE and not account.subscriber.is_paused
    return _confirming(request, account, subscription, done=done)


async def confirm(request: web.Request) -> web.Response:
    """POST /confirm/{token}: the opt-in holds from now on."""
    parts = request.app[PARTS]
    refuse_foreign(request, opaque_allowed=True)
    found = await parts.subscribing.confirm(request.match_info["token"], parts.clock())
    if found is None:
        return no_longer(request, 410)
    return _confirming(request, *found, done=True)


def _confirming(request: web.Request, account: Account, subscription: Subscription, *, done: bool) -> web.Response:
    parts = request.app[PARTS]
    t = parts.texts(reading_language(request, account))
    return private_page(
        request,
        "confirm.html",
        account,
        done=done,
        what=stored_in_words(subscription.filter, parts.taxonomy, t),
        often=t(CADENCES[subscription.cadence]),
    )


async def ask_address(request: web.Request) -> web.Response:
    """GET /address/{token}: where mails will go, and a button."""
    parts = request.app[PARTS]
    wish = await parts.subscribing.preview_move(request.match_info["token"], parts.clock())
    return no_longer(request, 410) if wish is None else _moving(request, wish)


async def move(request: web.Request) -> web.Response:
    """POST /address/{token}: from now on mails go there."""
    parts = request.app[PARTS]
    refuse_foreign(request, opaque_allowed=True)
    wish = await parts.subscribing.move(request.match_info["token"], parts.clock())
    return no_longer(request, 410) if wish is None else _moving(request, wish)


def _moving(request: web.Request, wish: Wish) -> web.Response:
    done, told = wish.is_done, wish.is_told
    return private_page(request, "address.html", wish.account, address=wish.address, done=done, told=told)
